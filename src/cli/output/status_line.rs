//! A line at the end of a terminal that is rewritten in place. Any other output erases it first.

use std::{
    io::{IsTerminal as _, Stderr, Write as _, stderr, stdout},
    sync::atomic::{AtomicBool, Ordering},
};

/// Erases from the start of the current line to its end.
const ERASE: &str = "\r\x1b[K";

/// Whether the last line of the terminal is a status line.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Whether a status line can be shown: stdout and stderr are terminals that support cursor movement.
pub(in crate::cli) fn status_line_supported() -> bool {
    stdout().is_terminal() && stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows or replaces the status line, which must be shorter than the terminal is wide.
pub(in crate::cli) fn show_status_line(text: &str) {
    IS_SHOWN.store(true, Ordering::Relaxed);
    let mut stderr = stderr().lock();
    // The text is followed by the erasure of the rest, so that an unchanged text does not flicker.
    let _ = write!(stderr, "\r{text}\x1b[K").and_then(|()| stderr.flush());
}

/// Erases the status line, if there is one.
pub(in crate::cli) fn erase_status_line() {
    if IS_SHOWN.swap(false, Ordering::Relaxed) {
        let _ = stderr().lock().write_all(ERASE.as_bytes());
    }
}

/// Returns stderr for a log line.
pub(super) fn log_writer() -> Stderr {
    erase_status_line();
    stderr()
}
