//! Human-readable tables: aligned columns that fit the terminal.

use std::io::{self, IsTerminal as _};

use super::{
    color::{Style, color_enabled, paint, printable},
    write::print_line,
};
use crate::cli::Exit;

/// Spaces between two columns.
const GAP: usize = 2;
/// Minimum width to which a column is cut.
const MIN_WIDTH: usize = 6;

/// A table. Its rows are printed by [`Table::print`].
pub(in crate::cli) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

struct Column {
    title: &'static str,
    /// Whether a cell is cut if the table is wider than the terminal.
    is_flexible: bool,
}

/// A cell: its text and style.
pub(in crate::cli) struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// Creates a cell whose text is printed in a style if colors are enabled.
    pub(in crate::cli) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { style: Some(style), ..Self::from(text) }
    }

    /// The text, in one line and without control characters.
    pub(in crate::cli) fn text(&self) -> &str {
        &self.text
    }
}

impl<T: Into<String>> From<T> for Cell {
    /// Creates a cell. The text becomes one line without control characters.
    fn from(text: T) -> Self {
        let text: String = text.into();
        let line = text.lines().next().unwrap_or_default().replace('\t', " ");
        Self { text: printable(&line), style: None }
    }
}

impl Table {
    /// A table with these columns. The cells of a column whose title starts with `~` are cut if the table is wider than
    /// the terminal.
    pub(in crate::cli) fn new<const N: usize>(titles: [&'static str; N]) -> Self {
        let column = |title: &'static str| Column {
            title: title.strip_prefix('~').unwrap_or(title),
            is_flexible: title.starts_with('~'),
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(in crate::cli) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints the titles and the rows to stdout; nothing without rows.
    pub(in crate::cli) fn print(&self) -> Result<(), Exit> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let has_color = color_enabled(&io::stdout());
        self.lines(columns_of_stdout(), has_color).into_iter().try_for_each(print_line)
    }

    /// The lines of the table, at most `limit` characters wide if the flexible columns can be cut to that.
    fn lines(&self, limit: Option<usize>, has_color: bool) -> Vec<String> {
        let widths = self.widths(limit);
        let titles: Vec<Cell> = self.columns.iter().map(|column| Cell::styled(column.title, Style::Dim)).collect();
        std::iter::once(&titles).chain(&self.rows).map(|cells| line(cells, &widths, has_color)).collect()
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let width_of = |index: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.chars().count());
            cells.chain([column.title.len()]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(index, column)| width_of(index, column)).collect();
        let Some(limit) = limit else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        // Each step takes one character from the widest flexible column.
        for _ in limit..widths.iter().sum::<usize>() + gaps {
            let flexible = widths.iter_mut().zip(&self.columns).filter(|(_, column)| column.is_flexible);
            match flexible.map(|(width, _)| width).max() {
                Some(width) if *width > MIN_WIDTH => *width -= 1,
                Some(_) | None => break,
            }
        }
        widths
    }
}

fn line(cells: &[Cell], widths: &[usize], has_color: bool) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let length = cell.text.chars().count();
        let text = if length > *width {
            cell.text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        } else {
            cell.text.clone()
        };
        line.push_str(&match cell.style {
            Some(style) => paint(&text, style, has_color),
            None => text,
        });
        if index + 1 < cells.len() {
            line.push_str(&" ".repeat(width.saturating_sub(length) + GAP));
        }
    }
    line.trim_end().to_owned()
}

/// The width of the terminal to which stdout writes. `None` for a file or a pipe, where nothing is cut.
fn columns_of_stdout() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 1
    {
        return Some(size.ws_col.into());
    }
    Some(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["ID", "~NAME", "STATUS"]);
        table.row(["1".into(), "a-long-name-of-a-task".into(), Cell::styled("FAILED", Style::Red)]);
        table.row(["22".into(), "short\nsecond line\x1b".into(), "OK".into()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected =
            ["ID  NAME                   STATUS", "1   a-long-name-of-a-task  FAILED", "22  short                  OK"];
        assert_eq!(table().lines(None, false), expected);
        assert!(table().lines(None, true)[1].ends_with("\x1b[31mFAILED\x1b[0m"));
    }

    #[test]
    fn flexible_column_is_cut_to_the_terminal() {
        let lines = table().lines(Some(24), false);
        assert_eq!(lines, ["ID  NAME          STATUS", "1   a-long-name…  FAILED", "22  short         OK"]);
        // The other columns stay whole.
        assert_eq!(table().lines(Some(5), false)[1], "1   a-lon…  FAILED");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Cell::from("a\x1b[31m\tb").text, "a\\u{1b}[31m b");
    }
}
