//! Settings and inputs: reading with a size limit, durations, unknown fields, and `--explain-config`.

mod explain;
mod read_text;
mod redact;
mod seconds;
mod unknown_fields;

pub(super) use explain::{Setting, explain_config};
pub(super) use read_text::{read_file, read_text};
pub(super) use seconds::parse_seconds;
pub(super) use unknown_fields::unknown_fields;
