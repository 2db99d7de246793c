//! A stub's transport: the token on every call, and an eye on whether it is taken.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
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
        self.channel
            .call(request)
            .inspect_ok(move |answer| {
                if answer.status().is_success() && shows_acceptance(answer.headers()) {
                    trust.accepted();
                }
            })
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
