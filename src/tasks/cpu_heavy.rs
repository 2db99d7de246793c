//! `cpu-heavy-task`: counts primes on all threads of the pool. The pattern for work that computes.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hatchet::task::{Context, Task, TaskError};

/// The name on the wire.
pub const NAME: &str = "cpu-heavy-task";
/// The name of the seed quickstart's task of the same kind, so that its runners need no change.
pub const ALIAS: &str = "cpu-heavy-with-process-pool";

/// Numbers in one piece of work: some milliseconds, so that pieces spread well and a cancellation is noticed soon.
const PIECE: u64 = 20_000;

/// Below what to count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Input {
    /// Primes below this number are counted.
    pub limit: u64,
}

impl Default for Input {
    fn default() -> Self {
        Self { limit: 5_000_000 }
    }
}

/// What was counted, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// How many primes there are below the limit.
    pub primes: u64,
    /// Threads of the pool.
    pub threads: usize,
    /// Time taken, in seconds.
    pub seconds: f64,
}

/// The task, for a worker.
pub fn task() -> Task {
    Task::new_cpu(NAME, run)
        .alias(ALIAS)
        .description("Counts the primes below a limit by trial division, on all threads of the CPU pool.")
        .execution_timeout(Duration::from_secs(600))
}

/// Counts, in pieces that the pool's threads share.
pub fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
    let begun = Instant::now();
    let primes = (0..input.limit.div_ceil(PIECE))
        .into_par_iter()
        .map(|piece| {
            ctx.check_cancelled()?;
            let from = piece * PIECE;
            let to = from.saturating_add(PIECE).min(input.limit);
            Ok((from..to).filter(|n| is_prime(*n)).count() as u64)
        })
        .try_reduce(|| 0, |a, b| Ok::<_, TaskError>(a + b))?;
    Ok(Output { primes, threads: rayon::current_num_threads(), seconds: begun.elapsed().as_secs_f64() })
}

fn is_prime(n: u64) -> bool {
    if n < 4 {
        return n > 1;
    }
    if n.is_multiple_of(2) {
        return false;
    }
    // A plain loop: unoptimised builds are ten times slower with an iterator here.
    let mut divisor = 3;
    while divisor <= n / divisor {
        if n.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::{CancelReason, RunInfo};

    fn count(limit: u64) -> u64 {
        let (ctx, ..) = Context::new(RunInfo::default());
        run(Input { limit }, ctx).unwrap().primes
    }

    #[test]
    fn known_counts() {
        for (limit, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (100, 25), (20_000, 2_262), (100_000, 9_592)] {
            assert_eq!(count(limit), primes, "below {limit}");
        }
    }

    #[test]
    fn notices_cancellation() {
        let (ctx, canceller, _emissions) = Context::new(RunInfo::default());
        canceller.cancel(CancelReason::Requested);
        assert!(run(Input { limit: u64::MAX }, ctx).is_err());
    }
}
