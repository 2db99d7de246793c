//! One gRPC channel to an engine, from its creation until it is closed.
//!
//! A [`Connection`](super::Connection) replaces its link when the link is dead or the engine has moved. All calls of a
//! closed link fail, so that no call waits on a connection that is no longer used.

use std::{sync::OnceLock, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    codegen::http::{HeaderValue, header::AUTHORIZATION},
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use super::{
    dial::{Connector, Dialer},
    liveness::Activity,
};
use crate::hatchet::wire::{
    proto::{GetVersionRequest, dispatcher_client::DispatcherClient},
    readable_duration,
};

/// A channel that dials on its first call, with the token for its calls.
pub(super) struct Link {
    channel: Channel,
    bearer: HeaderValue,
    activity: Activity,
    closed: CancellationToken,
    reason: OnceLock<LinkClosed>,
}

/// The reason why a link was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkClosed {
    /// The peer has not sent a byte for this time.
    #[error("nothing was received for {}", readable_duration(*.0))]
    Dead(Duration),
    /// Another link has replaced it.
    #[error("the connection was replaced")]
    Replaced,
}

impl Link {
    pub(super) fn new(endpoint: &Endpoint, dialer: &Dialer, bearer: HeaderValue) -> Self {
        let activity = Activity::default();
        let channel = endpoint.connect_with_connector_lazy(Connector::new(dialer.clone(), activity.clone()));
        Self { channel, bearer, activity, closed: CancellationToken::new(), reason: OnceLock::new() }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The value of the `authorization` header.
    pub(super) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Fails all calls with this reason. Later reasons are ignored.
    pub(super) fn close(&self, reason: LinkClosed) {
        let _ = self.reason.set(reason);
        self.closed.cancel();
    }

    /// Waits until the link is closed, and returns the status for its calls.
    pub(super) async fn closed(&self) -> Status {
        self.closed.cancelled().await;
        let reason = self.reason.get().copied().unwrap_or(LinkClosed::Replaced);
        let mut status = Status::unavailable("the connection was closed");
        status.set_source(std::sync::Arc::new(reason));
        status
    }

    /// A call that costs the engine little and ends with any response. It is not counted as outstanding.
    pub(super) fn probe(&self) -> BoxFuture<'static, ()> {
        let bearer = MetadataValue::try_from(self.bearer.as_bytes());
        let authenticate = move |mut request: Request<()>| {
            if let Ok(bearer) = &bearer {
                request.metadata_mut().insert(AUTHORIZATION.as_str(), bearer.clone());
            }
            Ok(request)
        };
        let mut stub = DispatcherClient::with_interceptor(self.channel(), authenticate);
        async move { drop(stub.get_version(GetVersionRequest {}).await) }.boxed()
    }
}
