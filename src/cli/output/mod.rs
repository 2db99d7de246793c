//! Data on stdout, all else on stderr; and a reader that goes away is no failure.

pub(in crate::cli) mod logging;

use std::{
    fmt::Display,
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::Exit;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people.
    Human,
    /// One JSON object a line on stdout, and nothing else there.
    Json,
}

/// Writes a line of data.
pub(in crate::cli) fn data(line: impl Display) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Exit::reader_gone()),
        Err(e) => Err(Exit::usage(format!("stdout cannot be written: {e}"))),
    }
}

/// Writes a line beside the data. What cannot be said is not said.
pub(in crate::cli) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a JSON object as a line of data, with the time in front.
pub(in crate::cli) fn event(event: &str, mut fields: serde_json::Map<String, Value>) -> Result<(), Exit> {
    let mut object = serde_json::Map::new();
    object.insert("event".to_owned(), event.into());
    object.insert("time".to_owned(), prost_types::Timestamp::from(SystemTime::now()).to_string().into());
    object.append(&mut fields);
    data(Value::Object(object))
}

/// A time since the start, as people read it.
pub(in crate::cli) fn since(elapsed: Duration) -> String {
    format!("{:>8.3}s", elapsed.as_secs_f64())
}
