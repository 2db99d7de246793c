//! Rows at the end of a terminal that are redrawn in place: the progress of a benchmark, the elapsed time of a run.
//!
//! All output of the process passes through here. Each write erases the rows, writes its text, and draws the rows
//! again, so that no text overwrites another and no row stays behind:
//!
//! ```text
//! results, messages, logs ──► above_rows ──► erase rows, write text, draw rows
//! progress ─────────────────► draw_rows ───► erase rows, draw new rows
//! ```

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::color::is_dumb_terminal;

/// The rows on the screen. The cursor is at the start of the line below them.
static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The size of a terminal that does not report its size.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// Whether rows can be drawn: stderr is a terminal that can move its cursor.
pub(in crate::cli) fn can_draw_rows() -> bool {
    cfg!(unix) && !is_dumb_terminal() && io::stderr().is_terminal()
}

/// Replaces the rows. Each is cut at the width of the terminal, and the first rows are left out if the terminal has too
/// few lines. Without rows, erases the earlier rows.
pub(in crate::cli) fn draw_rows(mut rows: Vec<String>) {
    let (columns, lines) = size();
    rows.drain(..rows.len().saturating_sub(lines - 1));
    for row in &mut rows {
        *row = row.chars().take(columns - 1).collect();
    }
    let mut shown = lock();
    write_stderr(&(erase(&shown) + &lines_of(&rows)));
    *shown = rows;
}

/// Calls a function that writes whole lines to stdout or stderr. The lines are above the rows.
pub(super) fn above_rows<T>(write: impl FnOnce() -> T) -> T {
    let shown = lock();
    write_stderr(&erase(&shown));
    let result = write();
    write_stderr(&lines_of(&shown));
    result
}

/// Writes text to stderr. Errors are ignored, since they cannot be reported elsewhere.
pub(super) fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A writer of whole lines to stderr, above the rows.
pub(super) struct LineWriter;

impl io::Write for LineWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        above_rows(|| io::stderr().write(lines))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lines_of(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The control sequence that moves the cursor to the first row and erases the screen from there. A terminal that has
/// become narrower shows a row on several lines.
fn erase(rows: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = size().0;
    let lines: usize = rows.iter().map(|row| row.chars().count().div_ceil(columns).max(1)).sum();
    format!("\r\x1b[{lines}A\x1b[J")
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stderr())
        && size.ws_col > 1
        && size.ws_row > 1
    {
        return (size.ws_col.into(), size.ws_row.into());
    }
    DEFAULT_SIZE
}
