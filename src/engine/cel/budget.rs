//! The cost limit and the deadline of one evaluation.

use std::time::{Duration, Instant};

use super::Fault;

/// Cost limit: a step, an element or [`TEXT_UNIT`] bytes of text are one unit. An expression that joins some fields
/// costs about ten, a search through a list of 10,000 objects about 50,000; the whole limit takes a few milliseconds,
/// and keeps a value below 2 MB of text or 100,000 elements.
const LIMIT: u64 = 100_000;

/// Bytes of text that are copied, compared or searched for one unit.
const TEXT_UNIT: usize = 16;

/// Time limit, for a machine on which the cost limit takes longer than it should.
const DEADLINE: Duration = Duration::from_millis(500);

/// Units between two looks at the clock.
const CLOCK_UNITS: u64 = 1000;

/// What an evaluation may still cost.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    deadline: Instant,
    /// The clock is read when no more than this is left.
    next_look: u64,
}

impl Budget {
    /// The whole limit, from now.
    pub(super) fn new() -> Self {
        Self { left: LIMIT, deadline: Instant::now() + DEADLINE, next_look: LIMIT - CLOCK_UNITS }
    }

    /// Pays for work before it is done.
    pub(super) fn spend(&mut self, units: u64) -> Result<(), Fault> {
        let Some(left) = self.left.checked_sub(units) else {
            self.left = 0;
            return Err(Fault::Exhausted(format!(
                "it costs more than the limit of {LIMIT} units: a step, a list element or {TEXT_UNIT} bytes of text \
                 are one"
            )));
        };
        self.left = left;
        if left <= self.next_look {
            self.next_look = left.saturating_sub(CLOCK_UNITS);
            if Instant::now() >= self.deadline {
                self.left = 0;
                return Err(Fault::Exhausted(format!("it takes longer than the limit of {DEADLINE:?}")));
            }
        }
        Ok(())
    }

    /// Pays for work on a text of so many bytes.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(units(bytes / TEXT_UNIT))
    }

    /// Pays for work on so many elements.
    pub(super) fn spend_elements(&mut self, elements: usize) -> Result<(), Fault> {
        self.spend(units(elements))
    }

    /// Pays for a regular expression. A search takes time by the product of both lengths at worst; a few characters
    /// may stand for many, as in `a{1000}`.
    pub(super) fn spend_regex(&mut self, pattern: usize, text: usize) -> Result<(), Fault> {
        let search = pattern.saturating_add(REGEX_EXPANSION).saturating_mul(text);
        self.spend_text(search.saturating_add(REGEX_COMPILATION))
    }
}

/// Compiling a regular expression costs as much as so many bytes of text.
const REGEX_COMPILATION: usize = 16_000;

/// Characters by which a pattern counts as longer than it is.
const REGEX_EXPANSION: usize = 16;

fn units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
