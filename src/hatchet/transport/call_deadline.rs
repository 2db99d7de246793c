//! How long a call may take: its limit counts from the last sign of life on the connection that it is made on.
//!
//! A large message takes its time on a slow link, and a small answer queues behind it. Who took that for silence would
//! give the call up and begin it anew, and so on for ever. But neither may a call whose answer never comes be waited
//! for because other calls are answered. So of a call with the limit L:
//!
//! - Where nothing has arrived on its connection for L, it is over: the link is dead, or the engine is.
//! - Where something has, it gets as much longer as the link needs for what moved meanwhile, in both directions, at
//!   [`SLOWEST`], and L at most. A link that carries a large message is busy and renews L; pings, heartbeats and
//!   questions after life add next to nothing, so that on an otherwise quiet link a call without an answer ends after L.
//! - In all it gets ten times L and the time of its own bytes at [`SLOWEST`]: so every wait ends, also on a link that is
//!   always busy.
//!
//! Each piece of the answer is a sign of life too, and what stalls in the middle of its answer ends in the same way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::{Instant, timeout_at};
use tonic::{
    GrpcMethod, Request, Status,
    body::Body,
    codegen::http::{Extensions, Response},
};

use super::io_counters::IoCounters;

/// Of calls that say no other.
pub(in crate::hatchet) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a link carries at least on which large messages get through, in bytes a second. Five times what a waiting
/// runner's own questions come to.
const SLOWEST: f64 = 16_384.0;
/// So many limits, and the time of its own bytes, is what a call takes at most.
const LIMITS: u32 = 10;

/// A message to be sent with this limit in place of 30 s.
pub(in crate::hatchet) fn with_timeout<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Limit(limit));
    request
}

#[derive(Clone, Copy)]
struct Limit(Duration);

/// What is left for one call.
pub(in crate::hatchet) struct Patience {
    call: GrpcMethod<'static>,
    limit: Duration,
    counters: IoCounters,
    /// The call's own bytes, both ways.
    own: Own,
    begun: Instant,
}

#[derive(Clone, Default)]
struct Own(Arc<AtomicU64>);

impl Own {
    fn add(&self, bytes: Option<usize>) {
        self.0.fetch_add(bytes.unwrap_or_default() as u64, Ordering::Relaxed);
    }
}

/// The time in which the slowest link carries so many bytes.
fn carried(bytes: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / SLOWEST)
}

impl Patience {
    /// Begins now; `asked` may hold what [`with_timeout`] put there.
    pub(in crate::hatchet) fn new(call: GrpcMethod<'static>, asked: &Extensions, counters: IoCounters) -> Self {
        let limit = asked.get().map_or(DEFAULT_TIMEOUT, |Limit(limit)| *limit);
        Self { call, limit, counters, own: Own::default(), begun: Instant::now() }
    }

    /// The request's body, counted on its way.
    pub(in crate::hatchet) fn counted(&self, request: Body) -> Body {
        let own = self.own.clone();
        Body::new(request.map_frame(move |frame| {
            own.add(frame.data_ref().map(|data| data.len()));
            frame
        }))
    }

    /// An answer whose pieces are waited for no longer than this has patience.
    pub(in crate::hatchet) fn watched(self, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| {
            let pieces = stream::unfold(Some((body, self)), async |rest| {
                let (mut body, patience) = rest?;
                match patience.wait(body.frame()).await {
                    Ok(Some(piece)) => {
                        patience.own.add(piece.as_ref().ok().and_then(|frame| frame.data_ref()).map(|data| data.len()));
                        Some((piece, Some((body, patience))))
                    }
                    Ok(None) => None,
                    Err(late) => Some((Err(late), None)),
                }
            });
            Body::new(StreamBody::new(pieces))
        })
    }

    /// When the call is over whatever moves.
    fn last(&self) -> Instant {
        self.begun + self.limit * LIMITS + carried(self.own.0.load(Ordering::Relaxed))
    }

    /// Awaits a part of the call.
    pub(in crate::hatchet) async fn wait<T>(&self, part: impl Future<Output = T>) -> Result<T, Status> {
        tokio::pin!(part);
        let mut until = Instant::now() + self.limit;
        let (mut arrived, mut sent) = (self.counters.received(), self.counters.sent());
        loop {
            if let Ok(part) = timeout_at(until.min(self.last()), &mut part).await {
                return Ok(part);
            }
            let now = (self.counters.received(), self.counters.sent());
            if now.0 == arrived {
                return Err(Status::deadline_exceeded(format!(
                    "{}: no answer for {:?}",
                    self.call.method(),
                    self.limit
                )));
            }
            if Instant::now() >= self.last() {
                let (method, took) = (self.call.method(), self.begun.elapsed());
                return Err(Status::deadline_exceeded(format!("{method}: no answer within {took:.0?}")));
            }
            until += carried(now.0 - arrived + now.1 - sent).min(self.limit);
            (arrived, sent) = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::{join, pending};
    use http_body_util::Full;
    use tokio::time::sleep;
    use tonic::Code;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn call() -> GrpcMethod<'static> {
        GrpcMethod::new("Service", "Call")
    }

    fn patience(counters: &IoCounters) -> Patience {
        Patience::new(call(), with_timeout(SECOND, ()).extensions(), counters.clone())
    }

    /// How long a call without an answer is waited for while `bytes` move every tenth of a second.
    async fn hung(arrive: usize, send: usize) -> Duration {
        let counters = IoCounters::default();
        let patience = patience(&counters);
        let moving = async {
            loop {
                sleep(SECOND / 10).await;
                counters.add_received(arrive);
                counters.add_sent(send);
            }
        };
        let late = tokio::select! {
            late = patience.wait(pending::<()>()) => late.unwrap_err(),
            () = moving => unreachable!(),
        };
        assert_eq!(late.code(), Code::DeadlineExceeded);
        patience.begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_sign_of_life_it_ends_at_its_limit() {
        assert_eq!(hung(0, 0).await, SECOND);
        assert_eq!(hung(0, 1_000_000).await, SECOND, "what is sent proves nothing");
        let unlimited = Patience::new(call(), &Extensions::new(), IoCounters::default());
        let late = unlimited.wait(pending::<()>()).await.unwrap_err();
        assert_eq!((unlimited.begun.elapsed(), late.message()), (DEFAULT_TIMEOUT, "Call: no answer for 30s"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_is_answered_does_not_keep_it_waiting() {
        // As much as a waiting runner's own questions come to.
        let ended = hung(30, 250).await;
        assert!(ended < SECOND * 5 / 4, "{ended:?}");
        // And a link that is never quiet only for so long.
        assert_eq!(hung(1_000_000, 0).await, SECOND * LIMITS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_link_is_waited_for_in_either_direction() {
        for (arrive, send) in [(4_000, 0), (13, 4_000)] {
            let counters = IoCounters::default();
            let patience = patience(&counters);
            let moving = async {
                for _ in 0..80 {
                    sleep(SECOND / 10).await;
                    counters.add_received(arrive);
                    counters.add_sent(send);
                }
            };
            let (answered, ()) = join(patience.wait(sleep(SECOND * 8)), moving).await;
            assert!(answered.is_ok(), "{arrive} in, {send} out");
        }
    }

    /// An answer in pieces of so many bytes, each after so many seconds; then it stalls or ends.
    fn answer(counters: &IoCounters, pieces: usize, bytes: usize, every: Duration, stalls: bool) -> Response<Body> {
        let counters = counters.clone();
        let pieces = stream::unfold(0, move |sent| {
            let counters = counters.clone();
            async move {
                if sent == pieces {
                    return if stalls { pending().await } else { None };
                }
                sleep(every).await;
                counters.add_received(bytes);
                Full::from(vec![0; bytes]).frame().await.map(|piece| (piece, sent + 1))
            }
        });
        Response::new(Body::new(StreamBody::new(pieces)))
    }

    async fn received(patience: Patience, answer: Response<Body>) -> Result<usize, Status> {
        patience.watched(answer).into_body().collect().await.map(|all| all.to_bytes().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_comes_whole_and_one_that_stalls_ends() {
        let counters = IoCounters::default();
        let whole = answer(&counters, 400, 10_000, SECOND / 10, false);
        assert_eq!(received(patience(&counters), whole).await.unwrap(), 4_000_000);
        let begun = Instant::now();
        let stalls = answer(&counters, 5, 10_000, SECOND / 10, true);
        assert_eq!(received(patience(&counters), stalls).await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(begun.elapsed(), SECOND * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_drips_ends_too() {
        let (counters, begun) = (IoCounters::default(), Instant::now());
        let drips = answer(&counters, usize::MAX, 1, SECOND * 9 / 10, true);
        assert_eq!(received(patience(&counters), drips).await.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(begun.elapsed() < SECOND * (LIMITS + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_has_the_time_of_its_bytes() {
        let counters = IoCounters::default();
        let patience = patience(&counters);
        let request = patience.counted(Body::new(Full::<Bytes>::from(vec![0; 4_000_000])));
        assert_eq!(request.collect().await.unwrap().to_bytes().len(), 4_000_000);
        let until = patience.last() - patience.begun;
        assert_eq!(until, SECOND * LIMITS + carried(4_000_000));
        assert!(until > SECOND * 200, "{until:?}");
    }
}
