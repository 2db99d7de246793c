//! Writes results to stdout and messages to stderr. A closed stdout ends the command successfully.

use std::{
    fmt::Display,
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    color::{Style, color_enabled, paint},
    rows::{above_rows, write_stderr},
};
use crate::cli::Exit;

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum OutputFormat {
    /// For people
    Human,
    /// One JSON object per line on stdout, and nothing else there
    Json,
}

/// Writes a line of data to stdout.
pub(in crate::cli) fn print_line(line: impl Display) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match above_rows(|| writeln!(stdout, "{line}").and_then(|()| stdout.flush())) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Exit::reader_gone()),
        Err(e) => Err(Exit::usage(format!("writing to stdout failed: {e}"))),
    }
}

/// Writes an event to stdout as a JSON object: its name, the current time, and the fields of the object `fields`.
pub(in crate::cli) fn print_event(event: &str, mut fields: Value) -> Result<(), Exit> {
    let time = prost_types::Timestamp::from(SystemTime::now()).to_string();
    let mut object = json!({ "event": event, "time": time });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, &mut fields) {
        object.append(fields);
    }
    print_line(object)
}

/// Writes a message to stderr.
pub(in crate::cli) fn print_message(line: &str) {
    above_rows(|| write_stderr(&format!("{line}\n")));
}

/// Writes a warning to stderr.
pub(in crate::cli) fn print_warning(text: &str) {
    print_message(&format!("{} {text}", paint("warning:", Style::Yellow, color_enabled(&io::stderr()))));
}

/// Formats the time since the start for a column: in seconds, with three decimals.
pub(in crate::cli) fn format_elapsed(elapsed: Duration) -> String {
    format!("{:>8.3}s", elapsed.as_secs_f64())
}
