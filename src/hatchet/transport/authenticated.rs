//! The transport of generated stubs: sends the token, and ends each call in time.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture, stream};
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::sleep;
use tonic::{
    Code, GrpcMethod, Status,
    body::Body,
    codegen::{
        Service, StdError,
        http::{HeaderMap, Request, Response, header::AUTHORIZATION},
    },
    transport::Channel,
};

use super::{auth_grace::AuthState, call_deadline::CallDeadline, link::Link, liveness::OutstandingCall};

/// Methods that respond with an open-ended stream, which has no deadline.
const STREAMS: [&str; 4] = ["Listen", "ListenV2", "SubscribeToWorkflowEvents", "SubscribeToWorkflowRuns"];
/// Methods with a costly failure: a run may or may not have started, or a worker does not start.
const COSTLY_METHODS: [&str; 4] = ["TriggerWorkflow", "BulkTriggerWorkflow", "Register", "PutWorkflow"];
/// Calls of [`COSTLY_METHODS`] fail this much later when their connection is closed: an engine that merely stalls answers
/// later, on the same connection.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The transport of generated stubs, on one connection to an engine. It sends the token with every call.
///
/// A call fails with DEADLINE_EXCEEDED after its timeout, which is 30 s and the time of its own bytes on a slow link, and
/// with UNAVAILABLE when the connection is dead. Streams fail when the connection is dead.
#[derive(Clone)]
pub struct Authenticated {
    channel: Channel,
    link: Arc<Link>,
    auth: Arc<AuthState>,
}

impl Authenticated {
    pub(super) fn new(link: Arc<Link>, auth: Arc<AuthState>) -> Self {
        Self { channel: link.channel(), link, auth }
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
        request.headers_mut().insert(AUTHORIZATION, self.link.bearer());
        // Set by generated stubs.
        let method = request.extensions().get().cloned().unwrap_or_else(|| GrpcMethod::new("", "call"));
        let is_costly = COSTLY_METHODS.contains(&method.method());
        let deadline = (!STREAMS.contains(&method.method())).then(|| CallDeadline::start(method, request.extensions()));
        let request = match &deadline {
            Some(deadline) => request.map(|body| deadline.count(body)),
            None => request,
        };
        let call =
            Call { _outstanding: self.link.activity().begin_call(), link: self.link.clone(), deadline, is_costly };
        let response = self.channel.call(request);
        let auth = self.auth.clone();
        async move {
            let response = call.bounded(response).await??;
            if response.status().is_success() && shows_acceptance(response.headers()) {
                auth.record_acceptance();
            }
            Ok(response.map(|body| call.bounded_body(body)))
        }
        .boxed()
    }
}

/// A call until the end of its response.
struct Call {
    _outstanding: OutstandingCall,
    link: Arc<Link>,
    deadline: Option<CallDeadline>,
    is_costly: bool,
}

impl Call {
    /// Awaits a part of the response, but not beyond the end of the call.
    async fn bounded<T>(&self, part: impl Future<Output = T>) -> Result<T, Status> {
        tokio::select! {
            biased;
            part = part => Ok(part),
            status = self.connection_closes() => Err(status),
            status = self.deadline_passes() => Err(status),
        }
    }

    async fn connection_closes(&self) -> Status {
        let status = self.link.closed().await;
        if self.is_costly {
            sleep(STALL_TIMEOUT).await;
        }
        status
    }

    async fn deadline_passes(&self) -> Status {
        match &self.deadline {
            Some(deadline) => deadline.passes().await,
            None => std::future::pending().await,
        }
    }

    /// The body of a response, each frame of which is bounded.
    fn bounded_body(self, body: Body) -> Body {
        let frames = stream::unfold(Some((body, self)), async |rest| {
            let (mut body, call) = rest?;
            match call.bounded(body.frame()).await {
                Ok(Some(frame)) => {
                    if let (Some(deadline), Ok(frame)) = (&call.deadline, &frame) {
                        deadline.add(frame.data_ref().map_or(0, bytes::Bytes::len));
                    }
                    Some((frame, Some((body, call))))
                }
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Body::new(StreamBody::new(frames))
    }
}

/// Whether a response proves that the engine accepted the token: it has content, or a status that nothing before the
/// engine's authentication makes.
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
