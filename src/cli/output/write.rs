//! Writes results to stdout and messages to stderr. A closed stdout ends the command without a failure.

use std::{
    fmt::Display,
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use serde_json::Value;

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
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Exit::reader_gone()),
        Err(e) => Err(Exit::usage(format!("writing to stdout failed: {e}"))),
    }
}

/// Writes a JSON object to stdout, with the name of the event and the current time as its first fields.
pub(in crate::cli) fn print_event(event: &str, mut fields: serde_json::Map<String, Value>) -> Result<(), Exit> {
    let mut object = serde_json::Map::new();
    object.insert("event".to_owned(), event.into());
    object.insert("time".to_owned(), prost_types::Timestamp::from(SystemTime::now()).to_string().into());
    object.append(&mut fields);
    print_line(Value::Object(object))
}

/// Writes a message to stderr. Errors are ignored: there is no other place to report them.
pub(in crate::cli) fn print_message(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The time since the start, in seconds with three decimals.
pub(in crate::cli) fn format_elapsed(elapsed: Duration) -> String {
    format!("{:>8.3}s", elapsed.as_secs_f64())
}
