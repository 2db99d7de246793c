//! How long to wait before the next try.

use std::{error::Error as _, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::error::{ClientError, ErrorKind};

/// Tries of a unary call, as in the official SDKs.
const TRIES: usize = 5;

/// Waits between tries of a call: short at first, so that a blip costs little.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Endless waits between tries: from `first`, doubling up to `cap`, each with jitter of up to as much again.
pub(in crate::hatchet) struct Waits {
    first: Duration,
    cap: Duration,
    next: ExponentialBackoff,
}

impl Waits {
    pub(in crate::hatchet) fn new(first: Duration, cap: Duration) -> Self {
        let waits = ExponentialBuilder::default().with_min_delay(first).with_max_delay(cap);
        Self { first, cap, next: waits.with_jitter().without_max_times().build() }
    }

    /// The wait before the next try.
    pub(in crate::hatchet) fn again(&mut self) -> Duration {
        self.next.next().unwrap_or(self.cap)
    }

    /// The wait before the next try, which is short again if what broke had held for longer than `good`.
    pub(in crate::hatchet) fn after(&mut self, held: Duration, good: Duration) -> Duration {
        if held > good {
            self.start_over();
        }
        self.again()
    }

    /// The next wait is the first one again.
    pub(in crate::hatchet) fn start_over(&mut self) {
        *self = Self::new(self.first, self.cap);
    }
}

/// Makes a call up to five times while `again` says that its failure may pass.
pub(in crate::hatchet) async fn retrying<T, F>(
    again: fn(&ClientError) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut waits = Waits::new(FIRST_WAIT, LONGEST_WAIT);
    for _ in 1..TRIES {
        match call().await {
            Err(error) if again(&error) => sleep(waits.again()).await,
            answer => return answer,
        }
    }
    call().await
}

/// The time limit that the calls of a registration share, while the engine answers that it failed.
pub(in crate::hatchet) struct RegistrationTimeout {
    begun: Instant,
    timeout: Duration,
}

impl RegistrationTimeout {
    /// The shortest. Workers that register the same new workflows at the same moment need a second or two.
    pub(in crate::hatchet) const LEAST: Duration = Duration::from_secs(30);

    /// Begins now, and is this long or [`Self::LEAST`].
    pub(in crate::hatchet) fn begin(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout: timeout.max(Self::LEAST) }
    }

    /// Makes a call until it succeeds, fails for good (see [`if_engine_failed`]), or the time is over.
    pub(in crate::hatchet) async fn retrying<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut waits = Waits::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let error = match call().await {
                Err(error) if if_engine_failed(&error) => error,
                answer => return answer,
            };
            let spent = self.begun.elapsed();
            let left = self.timeout.saturating_sub(spent);
            if left.is_zero() {
                let message = format!("{error}: tried for {} s; see the engine's log", spent.as_secs());
                return Err(error.clone().into_kind(error.kind(), message));
            }
            tracing::info!("retries a registration for up to {} s: {error}", left.as_secs());
            sleep(waits.again().min(left)).await;
        }
    }
}

/// For registrations, which may be made twice: only where a live engine answered that it failed. A real engine answers
/// INTERNAL to concurrent first registrations of one workflow, and UNAVAILABLE or ABORTED while it or its database
/// restarts. An engine that cannot be reached is another matter, which the worker's options decide.
fn if_engine_failed(error: &ClientError) -> bool {
    // A broken or refused connection has these codes too, with its cause as the source.
    error.status().is_some_and(|status| {
        matches!(status.code(), Code::Internal | Code::Unavailable | Code::Aborted) && status.source().is_none()
    })
}

/// For calls that change nothing, or the same thing twice.
pub(in crate::hatchet) fn if_temporary(error: &ClientError) -> bool {
    error.is_temporary()
}

/// For calls that must not happen twice: only where the engine certainly did not act.
pub(in crate::hatchet) fn if_not_done(error: &ClientError) -> bool {
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

    /// What a call fails with that an engine answered with this code.
    fn answered(code: Code) -> ClientError {
        ClientError::from_status("register", tonic::Status::new(code, "no"))
    }

    #[tokio::test(start_paused = true)]
    async fn failed_registration_is_retried_until_the_limit() {
        for (code, retried) in [
            (Code::Internal, true),
            (Code::Unavailable, true),
            (Code::Aborted, true),
            (Code::InvalidArgument, false),
            (Code::Unauthenticated, false),
            (Code::ResourceExhausted, false),
            (Code::DeadlineExceeded, false),
            (Code::Unimplemented, false),
        ] {
            let (begun, mut made) = (Instant::now(), 0);
            let limit = RegistrationTimeout::begin(Duration::ZERO);
            let error = limit.retrying(|| {
                made += 1;
                async move { Err::<(), _>(answered(code)) }
            });
            let error = error.await.unwrap_err();
            assert_eq!(error.kind(), answered(code).kind());
            assert_eq!(made > 1, retried, "{code:?}: {made} tries");
            let took = if retried { RegistrationTimeout::LEAST } else { Duration::ZERO };
            assert_eq!(begun.elapsed(), took, "{code:?}");
            assert_eq!(error.to_string().contains("tried for 30 s"), retried, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn registration_over_a_broken_connection_is_not_retried() {
        let broken = || {
            let status = tonic::Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
            ClientError::from_status("register", status)
        };
        let mut made = 0;
        let limit = RegistrationTimeout::begin(Duration::ZERO);
        let error = limit.retrying(|| {
            made += 1;
            async { Err::<(), _>(broken()) }
        });
        assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Unreachable);
        assert_eq!(made, 1);
    }
}
