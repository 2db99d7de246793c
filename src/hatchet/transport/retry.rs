//! Retry policies: the failed calls that are repeated, and the delays between them.
//!
//! | policy | repeats | for |
//! |---|---|---|
//! | [`retry`] with [`when_temporary`] | every temporary failure | calls whose second execution changes nothing |
//! | [`retry_until`] with another predicate | failures after which the engine has certainly not acted | triggers |
//! | [`RegistrationTimeout::retry`] | failures that a running engine reports | registrations |
//!
//! Loops without an end, such as a worker's session, take their delays from [`Backoff`].

use std::{error::Error as _, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;

use super::error::ClientError;
use crate::hatchet::wire::readable_seconds;

/// Attempts of a unary call, including the first, as in the official SDKs.
const MAX_ATTEMPTS: usize = 5;
/// Delay before the second attempt of a call. Short, so that a brief failure costs little.
const MIN_DELAY: Duration = Duration::from_millis(100);
/// Maximum delay between two attempts of a call, before jitter.
const MAX_DELAY: Duration = Duration::from_secs(3);

/// Unlimited exponential backoff: delays from `min`, doubling up to `max`.
///
/// A random addition of up to 100 % is added to each delay, so that clients that failed together do not retry together.
pub(in crate::hatchet) struct Backoff {
    min: Duration,
    max: Duration,
    delays: ExponentialBackoff,
}

impl Backoff {
    /// The first delay is `min`.
    pub(in crate::hatchet) fn new(min: Duration, max: Duration) -> Self {
        let delays = ExponentialBuilder::default().with_min_delay(min).with_max_delay(max);
        Self { min, max, delays: delays.with_jitter().without_max_times().build() }
    }

    /// Returns the delay before the next attempt, and doubles the delay after it up to the maximum.
    pub(in crate::hatchet) fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(self.max)
    }

    /// Returns the delay before the next attempt, after a success that lasted for `uptime`. Restarts at the minimum if
    /// that is longer than `stable`.
    pub(in crate::hatchet) fn next_delay_after(&mut self, uptime: Duration, stable: Duration) -> Duration {
        if uptime > stable {
            self.reset();
        }
        self.next_delay()
    }

    /// Resets the next delay to the minimum.
    pub(in crate::hatchet) fn reset(&mut self) {
        *self = Self::new(self.min, self.max);
    }
}

/// Makes a call up to [`MAX_ATTEMPTS`] times, while its error `is_retryable`.
pub(in crate::hatchet) async fn retry<T, F>(
    is_retryable: fn(&ClientError) -> bool,
    call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    retry_until(None, is_retryable, call).await
}

/// Makes a call as [`retry`] does, but returns the error immediately if the next attempt would start after the
/// deadline.
pub(in crate::hatchet) async fn retry_until<T, F>(
    deadline: Option<Instant>,
    is_retryable: fn(&ClientError) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut backoff = Backoff::new(MIN_DELAY, MAX_DELAY);
    for _ in 1..MAX_ATTEMPTS {
        match call().await {
            Err(error) if is_retryable(&error) => {
                let next = Instant::now() + backoff.next_delay();
                if deadline.is_some_and(|deadline| next >= deadline) {
                    return Err(error);
                }
                sleep_until(next).await;
            }
            result => return result,
        }
    }
    call().await
}

/// Retries every temporary failure: for calls whose second execution changes nothing.
pub(in crate::hatchet) fn when_temporary(error: &ClientError) -> bool {
    error.is_temporary()
}

/// A time limit that the calls of one registration share, while a running engine fails them.
///
/// A real engine responds with INTERNAL to concurrent first registrations of one workflow, and with UNAVAILABLE or
/// ABORTED while it or its database restarts. Registrations are idempotent, so these are retried. The caller decides
/// whether to retry if the engine cannot be reached.
pub(in crate::hatchet) struct RegistrationTimeout {
    started: Instant,
    timeout: Duration,
}

impl RegistrationTimeout {
    /// The minimum timeout. Workers that register the same new workflows simultaneously need one or two seconds.
    pub(in crate::hatchet) const MIN: Duration = Duration::from_secs(30);

    /// Starts now and ends after `timeout`, at least [`Self::MIN`].
    pub(in crate::hatchet) fn start(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout: timeout.max(Self::MIN) }
    }

    /// Repeats a call until it succeeds, fails with an error that is not retried, or the timeout has elapsed.
    pub(in crate::hatchet) async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::new(MIN_DELAY, MAX_DELAY);
        loop {
            let error = match call().await {
                Err(error) if is_engine_failure(&error) => error,
                result => return result,
            };
            let elapsed = self.started.elapsed();
            let remaining = self.timeout.saturating_sub(elapsed);
            if remaining.is_zero() {
                let message =
                    format!("{error}. It was retried for {}. See the engine's log", readable_seconds(elapsed));
                return Err(error.clone().into_kind(error.kind(), message));
            }
            tracing::info!("{error}. Retrying for up to {}", readable_seconds(remaining));
            sleep(backoff.next_delay().min(remaining)).await;
        }
    }
}

/// Whether a running engine reported that it failed. A broken or refused connection has the same status codes, and a
/// source in addition.
fn is_engine_failure(error: &ClientError) -> bool {
    error.status().is_some_and(|status| {
        matches!(status.code(), Code::Internal | Code::Unavailable | Code::Aborted) && status.source().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::{super::error::ErrorKind, *};

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(2);
    const STABLE: Duration = Duration::from_secs(5);

    #[test]
    fn backoff_doubles_to_maximum_and_resets_after_stable_time() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..3 {
            for expected in [100, 200, 400, 800, 1_600, 2_000, 2_000].map(Duration::from_millis) {
                let delay = backoff.next_delay_after(Duration::ZERO, STABLE);
                assert!(expected <= delay && delay <= expected * 2, "{expected:?}: {delay:?}");
            }
            assert!(backoff.next_delay_after(STABLE, STABLE) >= MAX, "exactly the stable time does not reset");
            let delay = backoff.next_delay_after(STABLE * 2, STABLE);
            assert!(MIN <= delay && delay <= MIN * 2, "{delay:?}");
            backoff.reset();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_is_not_retried_past_its_deadline() {
        let (started, mut attempts) = (Instant::now(), 0);
        let deadline = started + Duration::from_secs(1);
        let result = retry_until(Some(deadline), when_temporary, || {
            attempts += 1;
            async { Err::<(), _>(ClientError::new(ErrorKind::Exhausted, "full")) }
        });
        assert_eq!(result.await.unwrap_err().to_string(), "full");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert!((2..MAX_ATTEMPTS).contains(&attempts), "{attempts}");
    }

    #[tokio::test(start_paused = true)]
    async fn temporary_failure_is_attempted_five_times() {
        for (kind, expected) in [(ErrorKind::Unreachable, MAX_ATTEMPTS), (ErrorKind::Invalid, 1)] {
            let mut attempts = 0;
            let result = retry(when_temporary, || {
                attempts += 1;
                async move { Err::<(), _>(ClientError::new(kind, "no")) }
            });
            assert_eq!(result.await.unwrap_err().kind(), kind);
            assert_eq!(attempts, expected);
        }
    }

    /// The error of a call to which an engine responded with this code.
    fn failure(code: Code) -> ClientError {
        ClientError::from_status("register", tonic::Status::new(code, "no"))
    }

    #[tokio::test(start_paused = true)]
    async fn failed_registration_is_retried_until_timeout() {
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
            let (started, mut attempts) = (Instant::now(), 0);
            let limit = RegistrationTimeout::start(Duration::ZERO);
            let error = limit.retry(|| {
                attempts += 1;
                async move { Err::<(), _>(failure(code)) }
            });
            let error = error.await.unwrap_err();
            assert_eq!(error.kind(), failure(code).kind());
            assert_eq!(attempts > 1, retried, "{code:?}: {attempts} attempts");
            let expected = if retried { RegistrationTimeout::MIN } else { Duration::ZERO };
            assert_eq!(started.elapsed(), expected, "{code:?}");
            assert_eq!(error.to_string().contains("retried for 30s"), retried, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn registration_over_a_broken_connection_is_not_retried() {
        let broken = || {
            let status = tonic::Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
            ClientError::from_status("register", status)
        };
        let mut attempts = 0;
        let limit = RegistrationTimeout::start(Duration::ZERO);
        let error = limit.retry(|| {
            attempts += 1;
            async { Err::<(), _>(broken()) }
        });
        assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Unreachable);
        assert_eq!(attempts, 1);
    }
}
