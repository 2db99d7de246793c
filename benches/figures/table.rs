//! The table of figures, and their statistics.

use std::{
    io::{self, Write as _},
    time::Duration,
};

/// A figure: a line of the table.
pub(crate) struct Figure {
    /// Its number in the list of figures.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) measured: String,
    /// The limit measured in the same run; empty if the target is absolute.
    pub(crate) limit: String,
    /// The value that is compared with the target.
    pub(crate) value: f64,
    pub(crate) target: Target,
    /// Additional lines.
    pub(crate) notes: Vec<String>,
}

/// The target, with its unit.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(most, _) => value <= most,
            Self::AtLeast(least, _) => value >= least,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::AtMost(most, unit) => format!("<= {most}{unit}"),
            Self::AtLeast(least, unit) => format!(">= {least}{unit}"),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::AtMost(_, unit) | Self::AtLeast(_, unit) => unit,
        }
    }
}

/// The table on stdout. Prints each figure as soon as it is measured, so that an aborted run has shown its results.
pub(crate) struct Table;

impl Table {
    pub(crate) fn begin(cores: usize) -> io::Result<Self> {
        print_line(&format!(
            "figures on {cores} cores, {} build",
            if cfg!(debug_assertions) { "DEBUG" } else { "release" }
        ))?;
        print_line(&format!(
            "{:<2} {:<44} {:>20} {:>26} {:>14} {:>12}  {}",
            "#", "figure", "measured", "limit, same run", "ratio", "target", "reached"
        ))?;
        Ok(Self)
    }

    pub(crate) fn print(&self, figure: &Figure) -> io::Result<()> {
        let value = format!("{}{}", number(figure.value), figure.target.unit());
        print_line(&format!(
            "{:<2} {:<44} {:>20} {:>26} {:>14} {:>12}  {}",
            figure.number,
            figure.name,
            figure.measured,
            figure.limit,
            value,
            figure.target.describe(),
            match figure.value {
                unknown if unknown.is_nan() => "skipped: not reported by the system",
                value if figure.target.is_reached(value) => "yes",
                _ => "NO",
            }
        ))?;
        figure.notes.iter().try_for_each(|note| print_line(&format!("   {note}")))
    }

    pub(crate) fn skip(&self, number: u32, reason: &str) -> io::Result<()> {
        print_line(&format!("{number:<2} skipped: {reason}"))
    }

    pub(crate) fn end(&self, facts: &[String]) -> anyhow::Result<()> {
        Ok(facts.iter().try_for_each(|fact| print_line(fact))?)
    }
}

fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.trim_end())?;
    out.flush()
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Returns the smallest sample that at least this share of the samples does not exceed.
pub(crate) fn percentile(samples: &[Duration], share: f64) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

pub(crate) fn p50(samples: &[Duration]) -> Duration {
    percentile(samples, 0.5)
}

/// Returns the middle sample, the greater one of two; NaN without samples.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Joins numbers for a note.
pub(crate) fn row(numbers: &[f64]) -> String {
    numbers.iter().map(|n| number(*n)).collect::<Vec<_>>().join(", ")
}
