//! What has been heard on a connection: bytes that arrive are a sign of life, whatever they belong to.
//!
//! A large message takes its time on a slow link, and a small answer queues behind it. Who took that silence for a
//! dead connection would leave it, begin the message anew on another one, and so on for ever.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Frame, SizeHint};
use tokio::time::{error::Elapsed, timeout};
use tonic::{Status, body::Body};

/// Counts the pieces of all answers on one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(super) fn pieces(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer whose pieces are counted.
    pub(super) fn counting(&self, body: Body) -> Body {
        Body::new(Counted { body, heard: self.clone() })
    }

    /// Awaits a call until nothing has arrived on the connection for `limit`.
    pub(crate) async fn while_heard<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::pin!(call);
        let mut before = self.pieces();
        loop {
            let silent = match timeout(limit, &mut call).await {
                Ok(answer) => return Ok(answer),
                Err(silent) => silent,
            };
            let now = self.pieces();
            if now == before {
                return Err(silent);
            }
            before = now;
        }
    }
}

struct Counted {
    body: Body,
    heard: Heard,
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            self.heard.more();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_goes_on_while_anything_arrives_and_no_longer() {
        let (heard, limit) = (Heard::default(), Duration::from_secs(1));
        let slow = heard.clone();
        let arriving = async move {
            for _ in 0..20 {
                sleep(limit / 2).await;
                slow.more();
            }
            "whole"
        };
        assert_eq!(heard.while_heard(limit, arriving).await.ok(), Some("whole"));
        let since = Instant::now();
        assert!(heard.while_heard(limit, std::future::pending::<()>()).await.is_err());
        assert_eq!(since.elapsed(), limit);
    }
}
