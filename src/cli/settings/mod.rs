//! Settings and inputs: limits on what is read, validation of values, and `--explain-config`.

mod explain;
mod read_text;
mod redact;

pub(super) use explain::{Setting, explain_config};
pub(super) use read_text::{read_file, read_text};
