//! The transport of generated stubs. It sends the token and ends each call in time.

use std::{
    fmt,
    sync::{Arc, OnceLock},
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

/// Methods that respond with a stream of unlimited duration, which has no deadline.
const STREAMS: [&str; 4] = ["Listen", "ListenV2", "SubscribeToWorkflowEvents", "SubscribeToWorkflowRuns"];
/// Methods whose failure is costly: a run may or may not have started, or a worker does not start.
const COSTLY_METHODS: [&str; 4] = ["TriggerWorkflow", "BulkTriggerWorkflow", "Register", "PutWorkflow"];
/// Delay of the failure of [`COSTLY_METHODS`] after their connection was closed. An engine that only stalls still
/// responds on the same connection.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The transport of generated stubs, on one connection to an engine. It sends the token with every call.
///
/// A call fails with DEADLINE_EXCEEDED after its timeout, which is 30 s plus the time of its own bytes on a slow link,
/// with OUT_OF_RANGE if its request is larger than the client may send, and with UNAVAILABLE when the connection is
/// dead. Streams fail when the connection is dead.
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
            Some(deadline) => request.map(|body| deadline.count_request(body)),
            None => request,
        };
        let encoding_error = EncodingError::default();
        let request = request.map(|body| encoding_error.record(body));
        let call =
            Call { _outstanding: self.link.activity().begin_call(), link: self.link.clone(), deadline, is_costly };
        let response = self.channel.call(request);
        let auth = self.auth.clone();
        async move {
            let response = call.bounded(response).await?.map_err(|error| encoding_error.or(error))?;
            if response.status().is_success() && proves_acceptance(response.headers()) {
                auth.record_acceptance();
            }
            Ok(response.map(|body| call.bounded_body(body)))
        }
        .boxed()
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").finish_non_exhaustive()
    }
}

/// The error of a request's encoder, such as a message over the client's limit.
///
/// The transport only resets the stream and reports that as a broken connection.
#[derive(Clone, Default)]
struct EncodingError(Arc<OnceLock<Status>>);

impl EncodingError {
    /// Records the error of the body.
    fn record(&self, body: Body) -> Body {
        let recorded = self.clone();
        Body::new(body.map_err(move |status| recorded.0.get_or_init(|| status).clone()))
    }

    /// The recorded error, otherwise the transport's.
    fn or(&self, error: tonic::transport::Error) -> StdError {
        self.0.get().map_or_else(|| error.into(), |status| status.clone().into())
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
    /// Awaits a part of the response, at most until the end of the call.
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

    /// Bounds each frame of a response's body.
    fn bounded_body(self, body: Body) -> Body {
        let frames = stream::unfold(Some((body, self)), async |state| {
            let (mut body, call) = state?;
            match call.bounded(body.frame()).await {
                Ok(Some(frame)) => {
                    if let (Some(deadline), Ok(frame)) = (&call.deadline, &frame) {
                        deadline.count_response(frame.data_ref().map_or(0, bytes::Bytes::len));
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

/// Whether a response proves that the engine accepted the token: it has content, or a status that can only occur after
/// the engine's authentication.
fn proves_acceptance(headers: &HeaderMap) -> bool {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::{ClientConfig, Connection, ErrorKind, Sources};
    use crate::hatchet::{system::Handshake, wire::proto::PutLogRequest};

    #[tokio::test]
    async fn message_over_the_limit_is_too_large_for_every_call() {
        // The system accepts its connections, and no process reads them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let handshake = Handshake {
            token: "ey.eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ.x".to_owned(),
            tenant_id: String::new(),
            grpc_address: listener.local_addr().unwrap().to_string(),
            api_url: String::new(),
        };
        let sources = Sources::from_pairs([("HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH", "1000")]);
        let connection = Connection::new(ClientConfig::from_handshake(&handshake, &sources).unwrap()).unwrap();
        let request = PutLogRequest { message: "x".repeat(1001), ..PutLogRequest::default() };
        let error = connection.call_error("log", connection.events().put_log(request).await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains("the limit is: 1000 bytes"), "{error}");
    }
}
