//! The Hatchet quickstart in Rust.

#[cfg(feature = "engine")]
pub mod engine;
pub mod hatchet;
