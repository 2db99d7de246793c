//! `cpu-heavy-task` counts prime numbers on all threads of the CPU pool. The pattern for work that computes.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use hatchet_quickstart::prelude::*;

/// The task's name and types, shared by the worker and its callers.
pub const STUB: Stub<Input, Output> = Stub::new("cpu-heavy-task");
/// Name of the same task in the Python quickstart, so that its runners work unchanged.
pub const ALIAS: &str = "cpu-heavy-with-process-pool";

/// Numbers in one chunk of work, which takes a few milliseconds: the threads share the work evenly and stop soon after
/// a cancellation.
const CHUNK: u64 = 20_000;

/// The range to search.
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

/// The number of primes, and the cost of counting them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Number of primes below the limit.
    pub primes: u64,
    /// Threads of the pool.
    pub threads: usize,
    /// Time taken, in seconds.
    pub seconds: f64,
}

/// Returns the task, to register it with a worker.
pub fn task() -> Task<Input, Output> {
    STUB.cpu_task(run)
        .alias(ALIAS)
        .description("Counts the primes below a limit by trial division, on all threads of the CPU pool.")
        .execution_timeout(Duration::from_secs(600))
}

/// Counts the primes below the limit, and measures the time.
fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
    let start = Instant::now();
    let primes = count_primes(input.limit, || ctx.check_cancelled())?;
    Ok(Output { primes, threads: rayon::current_num_threads(), seconds: start.elapsed().as_secs_f64() })
}

/// Counts the primes below `limit` in chunks, which the threads of the pool share.
///
/// # Errors
///
/// The first error of `check`, which is called before each chunk.
pub fn count_primes<E: Send>(limit: u64, check: impl Fn() -> Result<(), E> + Sync) -> Result<u64, E> {
    (0..limit.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            check()?;
            let start = chunk * CHUNK;
            let end = start.saturating_add(CHUNK).min(limit);
            Ok((start..end).filter(|n| is_prime(*n)).count() as u64)
        })
        .try_reduce(|| 0, |a, b| Ok(a + b))
}

fn is_prime(n: u64) -> bool {
    if n < 4 {
        return n > 1;
    }
    if n.is_multiple_of(2) {
        return false;
    }
    // A plain loop: unoptimized builds are ten times slower with an iterator here.
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

    #[tokio::test]
    async fn primes_are_counted() {
        for (limit, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (100, 25), (20_000, 2_262), (100_000, 9_592)] {
            let run = task().test().run(Input { limit }).await;
            assert_eq!(run.result.unwrap().primes, primes, "below {limit}");
        }
    }

    #[tokio::test]
    async fn cancelled_count_stops() {
        let run = task().test().cancelled(CancelReason::Requested).run(Input { limit: u64::MAX }).await;
        assert_eq!(run.result.unwrap_err().retry(), Retry::Cancelled(CancelReason::Requested));
    }
}
