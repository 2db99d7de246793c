//! The integration tests, in one binary.

#![allow(clippy::unwrap_used)]

mod conformance;
mod support;
