//! The deadline of a call.
//!
//! A deadline is absolute: the call's timeout, plus the time that a slow link needs for the call's own bytes in both
//! directions. It bounds the wait for an engine that is alive and does not respond to this call. Dead connections are
//! detected by [`liveness`](super::liveness).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep_until};
use tonic::{GrpcMethod, Request, Status, body::Body, codegen::http::Extensions};

use crate::hatchet::wire::readable_seconds;

/// Timeout of calls that do not set another timeout.
pub(in crate::hatchet) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Minimum rate of a link on which large messages must arrive, in bytes per second.
const MIN_RATE: f64 = 16_384.0;

/// A request with a timeout that replaces [`DEFAULT_TIMEOUT`].
pub(in crate::hatchet) fn with_timeout<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Timeout(timeout));
    request
}

#[derive(Clone, Copy)]
struct Timeout(Duration);

/// The deadline of one call. Extended by the call's own bytes.
pub(super) struct CallDeadline {
    method: GrpcMethod<'static>,
    started: Instant,
    timeout: Duration,
    bytes: CallBytes,
}

/// The call's own bytes in both directions.
#[derive(Clone, Default)]
struct CallBytes(Arc<AtomicU64>);

impl CallBytes {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The time that a link of [`MIN_RATE`] needs for them.
    fn transfer_time(&self) -> Duration {
        Duration::from_secs_f64(self.0.load(Ordering::Relaxed) as f64 / MIN_RATE)
    }
}

impl CallDeadline {
    /// Starts now. Reads the timeout that [`with_timeout`] has added to the request's extensions.
    pub(super) fn start(method: GrpcMethod<'static>, extensions: &Extensions) -> Self {
        let timeout = extensions.get().map_or(DEFAULT_TIMEOUT, |Timeout(timeout)| *timeout);
        Self { method, started: Instant::now(), timeout, bytes: CallBytes::default() }
    }

    /// Adds the bytes of the request's body to the call's own while it is sent.
    pub(super) fn count_request(&self, request: Body) -> Body {
        let bytes = self.bytes.clone();
        Body::new(request.map_frame(move |frame| {
            bytes.add(frame.data_ref().map_or(0, bytes::Bytes::len));
            frame
        }))
    }

    /// Adds bytes of the response.
    pub(super) fn count_response(&self, bytes: usize) {
        self.bytes.add(bytes);
    }

    fn at(&self) -> Instant {
        self.started + self.timeout + self.bytes.transfer_time()
    }

    /// Waits until the deadline, and returns the status of a call that misses it.
    pub(super) async fn passes(&self) -> Status {
        while self.at() > Instant::now() {
            sleep_until(self.at()).await;
        }
        let elapsed = readable_seconds(self.started.elapsed());
        Status::deadline_exceeded(format!("no response to {} within {elapsed}", self.method.method()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::time::sleep;
    use tonic::Code;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deadline() -> CallDeadline {
        CallDeadline::start(GrpcMethod::new("Service", "Call"), with_timeout(SECOND, ()).extensions())
    }

    #[tokio::test(start_paused = true)]
    async fn call_without_response_ends_at_its_timeout() {
        let (deadline, started) = (deadline(), Instant::now());
        assert_eq!(deadline.passes().await.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed(), SECOND);
        let (started, deadline) =
            (Instant::now(), CallDeadline::start(GrpcMethod::new("Service", "Call"), &Extensions::new()));
        assert_eq!(deadline.passes().await.message(), "no response to Call within 30s");
        assert_eq!(started.elapsed(), DEFAULT_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn large_request_extends_deadline_by_its_bytes() {
        let (deadline, started) = (deadline(), Instant::now());
        let request = deadline.count_request(Body::new(Full::<Bytes>::from(vec![0; 4_000_000])));
        assert_eq!(request.collect().await.unwrap().to_bytes().len(), 4_000_000);
        deadline.passes().await;
        assert!(started.elapsed() > SECOND * 200, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn response_extends_deadline_only_while_it_is_fast_enough() {
        // At 16 kB a second a link carries 1,600 bytes in a tenth of a second.
        for (bytes, is_enough) in [(10_000, true), (1, false)] {
            let (deadline, started) = (deadline(), Instant::now());
            let response = async {
                for _ in 0..400 {
                    sleep(SECOND / 10).await;
                    deadline.count_response(bytes);
                }
            };
            let is_complete = tokio::select! {
                _ = deadline.passes() => false,
                () = response => true,
            };
            assert_eq!(is_complete, is_enough, "{bytes}");
            assert!(is_enough || started.elapsed() < SECOND * 2, "{:?}", started.elapsed());
        }
    }
}
