//! Output of the commands: data on stdout, everything else on stderr.

mod color;
mod human_log;
mod logging;
mod relative_time;
mod rows;
mod table;
mod write;

pub(super) use color::{Style, color_enabled, paint, printable};
pub(super) use logging::{Program, has_json_logs, init_logging};
pub(super) use relative_time::{parse_rfc3339, relative_time};
pub(super) use rows::{can_draw_rows, draw_rows};
pub(super) use table::{Cell, Table};
pub(super) use write::{OutputFormat, format_elapsed, print_event, print_line, print_message, print_warning};
