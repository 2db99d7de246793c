//! How long to wait before the next try.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{ClientError, ErrorKind};

/// Tries of a unary call, as in the official SDKs.
const TRIES: usize = 5;

/// Endless waits between tries: from `first`, doubling up to `cap`, each with jitter of up to as much again.
pub(crate) struct Waits {
    first: Duration,
    cap: Duration,
    next: ExponentialBackoff,
}

impl Waits {
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        let waits = ExponentialBuilder::default().with_min_delay(first).with_max_delay(cap);
        Self { first, cap, next: waits.with_jitter().without_max_times().build() }
    }

    /// The wait before the next try.
    pub(crate) fn again(&mut self) -> Duration {
        self.next.next().unwrap_or(self.cap)
    }

    /// The wait before the next try, which is short again if what broke had held for longer than `good`.
    pub(crate) fn after(&mut self, held: Duration, good: Duration) -> Duration {
        if held > good {
            self.start_over();
        }
        self.again()
    }

    /// The next wait is the first one again.
    pub(crate) fn start_over(&mut self) {
        *self = Self::new(self.first, self.cap);
    }
}

/// Makes a call up to five times while `again` says that its failure may pass.
pub(crate) async fn retrying<T, F>(
    again: fn(&ClientError) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut waits = Waits::new(Duration::from_millis(100), Duration::from_secs(3));
    for _ in 1..TRIES {
        match call().await {
            Err(error) if again(&error) => tokio::time::sleep(waits.again()).await,
            answer => return answer,
        }
    }
    call().await
}

/// For calls that change nothing, or the same thing twice.
pub(crate) fn if_temporary(error: &ClientError) -> bool {
    error.is_temporary()
}

/// For calls that must not happen twice: only where the engine certainly did not act.
pub(crate) fn if_not_done(error: &ClientError) -> bool {
    (error.never_sent() && error.is_temporary()) || matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::Doubted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(2);
    const GOOD: Duration = Duration::from_secs(5);

    #[test]
    fn waits_grow_up_to_the_cap_and_after_a_good_time_start_over() {
        let mut waits = Waits::new(FIRST, CAP);
        for _ in 0..3 {
            for expected in [100, 200, 400, 800, 1_600, 2_000, 2_000].map(Duration::from_millis) {
                let wait = waits.after(Duration::ZERO, GOOD);
                assert!(expected <= wait && wait <= expected * 2, "{expected:?}: {wait:?}");
            }
            assert!(waits.after(GOOD, GOOD) >= CAP, "that was not long enough");
            let wait = waits.after(GOOD * 2, GOOD);
            assert!(FIRST <= wait && wait <= FIRST * 2, "{wait:?}");
            waits.start_over();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_five_times_and_while_its_failure_may_pass() {
        for (kind, tries) in [(ErrorKind::Unreachable, TRIES), (ErrorKind::Invalid, 1)] {
            let mut made = 0;
            let answer = retrying(if_temporary, || {
                made += 1;
                async move { Err::<(), _>(ClientError::new(kind, "no")) }
            });
            assert_eq!(answer.await.unwrap_err().kind(), kind);
            assert_eq!(made, tries);
        }
    }
}
