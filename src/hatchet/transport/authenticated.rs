//! A stub's transport: the token on every call, an eye on whether it is taken, and patience with the answer.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tonic::{
    Code, GrpcMethod, Status,
    body::Body,
    codegen::{
        Service, StdError,
        http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION},
    },
    transport::Channel,
};

use super::{auth_grace::AuthState, call_deadline::Patience, io_counters::IoCounters};

/// Streams, whose first word comes when there is something to say.
const OPEN_ENDED: [&str; 4] = ["Listen", "ListenV2", "SubscribeToWorkflowEvents", "SubscribeToWorkflowRuns"];

/// A channel that sends the token with every call, and ends each whose answer does not come, with DEADLINE_EXCEEDED.
/// A call has 30 s without a sign of life, in all ten times that and the time of its own bytes, unless it asks for less;
/// streams have no limit.
#[derive(Clone)]
pub struct Authenticated {
    channel: Channel,
    /// What moves on the channel's connection.
    counters: IoCounters,
    bearer: HeaderValue,
    auth: Arc<AuthState>,
}

impl Authenticated {
    pub(super) fn new(channel: Channel, counters: IoCounters, bearer: HeaderValue, auth: Arc<AuthState>) -> Self {
        Self { channel, counters, bearer, auth }
    }

    pub(super) fn counters(&self) -> &IoCounters {
        &self.counters
    }
}

impl Service<Request<Body>> for Authenticated {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Response<Body>, StdError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.channel.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        let auth = self.auth.clone();
        // Generated stubs say it of every call.
        let call = request.extensions().get().cloned().unwrap_or_else(|| GrpcMethod::new("", "a call"));
        let patience = (!OPEN_ENDED.contains(&call.method()))
            .then(|| Patience::new(call, request.extensions(), self.counters.clone()));
        let request = match &patience {
            Some(patience) => request.map(|body| patience.counted(body)),
            None => request,
        };
        let answer = self.channel.call(request);
        async move {
            let answer = match patience {
                None => answer.await?,
                Some(patience) => {
                    let head = patience.wait(answer).await??;
                    patience.watched(head)
                }
            };
            if answer.status().is_success() && shows_acceptance(answer.headers()) {
                auth.record_acceptance();
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
