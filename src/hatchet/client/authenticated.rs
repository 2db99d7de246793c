//! A stub's transport: the token on every call, and an eye on whether it is taken.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::timeout;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service,
        http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION},
    },
    transport::{Channel, Error},
};

use super::trust::Trust;

/// No call waits longer for the beginning of its answer, not for an engine or a handshake that never says anything. More
/// than any limit of a caller's own.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Streams, whose first word comes when there is something to say.
const OPEN_ENDED: [&str; 4] = ["Listen", "ListenV2", "SubscribeToWorkflowEvents", "SubscribeToWorkflowRuns"];

/// A channel that sends the token with every call.
#[derive(Clone)]
pub struct Authenticated {
    channel: Channel,
    bearer: HeaderValue,
    trust: Arc<Trust>,
}

impl Authenticated {
    pub(super) fn new(channel: Channel, bearer: HeaderValue, trust: Arc<Trust>) -> Self {
        Self { channel, bearer, trust }
    }
}

impl Service<Request<Body>> for Authenticated {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        let trust = self.trust.clone();
        let uri = request.uri().clone();
        let answer = self.channel.call(request);
        async move {
            let method = uri.path().rsplit('/').next().unwrap_or_default();
            let answer = if OPEN_ENDED.contains(&method) {
                answer.await?
            } else if let Ok(answer) = timeout(CALL_LIMIT, answer).await {
                answer?
            } else {
                let late = Status::deadline_exceeded(format!("{method}: no answer for {CALL_LIMIT:?}"));
                return Ok(late.into_http());
            };
            if answer.status().is_success() && shows_acceptance(answer.headers()) {
                trust.accepted();
            }
            Ok(answer)
        }
        .boxed()
    }
}

/// Whether an answer can only come from behind the engine's look at the token: it has content, or a status that what
/// lies between does not make up.
fn shows_acceptance(headers: &HeaderMap) -> bool {
    match Status::from_header_map(headers).map(|status| status.code()) {
        None
        | Some(Code::Ok | Code::NotFound | Code::AlreadyExists | Code::InvalidArgument | Code::FailedPrecondition) => {
            true
        }
        Some(
            Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated,
        ) => false,
    }
}
