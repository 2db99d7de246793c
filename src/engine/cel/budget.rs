//! The cost limit and the deadline of one evaluation.

use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::hatchet::wire::readable_duration;

/// Cost limit in units. A step, an element or [`TEXT_UNIT`] bytes of text cost one unit. An expression that joins some
/// fields costs about ten, a search through a list of 10,000 objects about 50,000. The whole limit takes a few
/// milliseconds and keeps a value below 2 MB of text or 100,000 elements.
const LIMIT: u64 = 100_000;

/// Bytes of text that cost one unit to copy, compare or search.
const TEXT_UNIT: usize = 16;

/// Time limit: 500 ms, for machines on which the cost limit takes longer.
const DEADLINE: Duration = Duration::from_millis(500);

/// Units between two readings of the clock.
const CLOCK_UNITS: u64 = 1000;

/// The remaining limits of one evaluation.
#[derive(Debug)]
pub(super) struct Budget {
    remaining: u64,
    deadline: Instant,
    /// The clock is read when at most this many units are remaining.
    next_reading: u64,
}

impl Budget {
    /// Starts both limits.
    pub(super) fn new() -> Self {
        Self { remaining: LIMIT, deadline: Instant::now() + DEADLINE, next_reading: LIMIT - CLOCK_UNITS }
    }

    /// Charges for work before it is done.
    pub(super) fn spend(&mut self, units: u64) -> Result<(), Fault> {
        let Some(remaining) = self.remaining.checked_sub(units) else {
            self.remaining = 0;
            return Err(Fault::Exhausted(format!(
                "it costs more than the limit of {LIMIT} units: a step, a list element or {TEXT_UNIT} bytes of text \
                 cost one"
            )));
        };
        self.remaining = remaining;
        if remaining <= self.next_reading {
            self.next_reading = remaining.saturating_sub(CLOCK_UNITS);
            if Instant::now() >= self.deadline {
                self.remaining = 0;
                return Err(Fault::Exhausted(format!(
                    "it takes longer than the limit of {}",
                    readable_duration(DEADLINE)
                )));
            }
        }
        Ok(())
    }

    /// Charges for work on a text of this many bytes.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(units(bytes / TEXT_UNIT))
    }

    /// Charges for work on this many elements.
    pub(super) fn spend_elements(&mut self, elements: usize) -> Result<(), Fault> {
        self.spend(units(elements))
    }

    /// Charges for a regular expression. At worst a search takes time proportional to the product of both lengths; a
    /// few characters can stand for many, as in `a{1000}`.
    pub(super) fn spend_regex(&mut self, pattern: usize, text: usize) -> Result<(), Fault> {
        let search = pattern.saturating_add(REGEX_EXPANSION).saturating_mul(text);
        self.spend_text(search.saturating_add(REGEX_COMPILATION))
    }
}

/// Cost of compiling a regular expression, in bytes of text.
const REGEX_COMPILATION: usize = 16_000;

/// Characters that are added to a pattern's length.
const REGEX_EXPANSION: usize = 16;

fn units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
