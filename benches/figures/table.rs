//! The table of figures, and their statistics.

use std::{
    io::{self, Write as _},
    time::Duration,
};

/// A line of the table.
pub(crate) struct Figure {
    /// Its number in the list of figures.
    pub(crate) number: u32,
    pub(crate) what: &'static str,
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
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(most, _) => value <= most,
            Self::AtLeast(least, _) => value >= least,
        }
    }

    fn words(self) -> String {
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

/// Prints each figure when it is measured, so that an aborted run has shown its results.
pub(crate) struct Table;

impl Table {
    pub(crate) fn begin(cores: usize) -> io::Result<Self> {
        say(&format!("figures on {cores} cores, {} build", if cfg!(debug_assertions) { "DEBUG" } else { "release" }))?;
        say(&format!(
            "{:<2} {:<44} {:>20} {:>26} {:>14} {:>12}  {}",
            "#", "figure", "measured", "limit, same run", "ratio", "target", "reached"
        ))?;
        Ok(Self)
    }

    pub(crate) fn print(&self, figure: &Figure) -> io::Result<()> {
        let value = format!("{}{}", number(figure.value), figure.target.unit());
        say(&format!(
            "{:<2} {:<44} {:>20} {:>26} {:>14} {:>12}  {}",
            figure.number,
            figure.what,
            figure.measured,
            figure.limit,
            value,
            figure.target.words(),
            match figure.value {
                unknown if unknown.is_nan() => "skipped: the system does not say",
                value if figure.target.reached(value) => "yes",
                _ => "NO",
            }
        ))?;
        figure.notes.iter().try_for_each(|note| say(&format!("   {note}")))
    }

    pub(crate) fn skip(&self, number: u32, why: &str) -> io::Result<()> {
        say(&format!("{number:<2} skipped: {why}"))
    }

    pub(crate) fn end(&self, facts: &[String]) -> anyhow::Result<()> {
        Ok(facts.iter().try_for_each(|fact| say(fact))?)
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.trim_end())?;
    out.flush()
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A time in the unit that fits.
pub(crate) fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{micros:.0} us")
    } else if micros < 1e6 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

/// The value that this share of the samples does not exceed.
pub(crate) fn percentile(samples: &[Duration], share: f64) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

pub(crate) fn p50(samples: &[Duration]) -> Duration {
    percentile(samples, 0.5)
}

/// The median.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Numbers joined for a note.
pub(crate) fn row(numbers: &[f64]) -> String {
    numbers.iter().map(|n| number(*n)).collect::<Vec<_>>().join(", ")
}
