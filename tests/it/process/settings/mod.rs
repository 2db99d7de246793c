//! Arguments, and settings with their sources.

mod explain_config;
mod invalid_input;
mod sources;
