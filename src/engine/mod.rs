//! The embedded development engine.
