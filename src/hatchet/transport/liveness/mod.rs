//! Detection of dead connections, for all calls and streams together.
//!
//! This is the only place that decides whether a connection is alive. In addition, a call has a deadline, which bounds
//! the wait for an engine that is alive. A stream has no deadline. When their connection is dead, all calls and streams
//! fail immediately with [`ErrorKind::Unreachable`](super::ErrorKind::Unreachable), and the next call opens another
//! connection.
//!
//! A connection is dead when its peer does not respond in time:
//!
//! | situation | probe | dead after |
//! |---|---|---|
//! | no call is outstanding | HTTP/2 PING every 10 s ([`set_keepalive`]) | 20 s |
//! | a call or stream is outstanding | a cheap call after 1 s of silence ([`Monitor`]) | 1.75 s |
//!
//! PING alone would be too slow: a real engine closes a connection that pings more often than every 5 s, a rule to
//! which calls are not subject. The PING is still needed, so that the next call does not use an idle connection that
//! died.

mod activity;
mod monitor;

use std::time::Duration;

use tonic::transport::Endpoint;

pub(super) use self::{
    activity::{Activity, CountedStream, OutstandingCall},
    monitor::Monitor,
};

/// Interval of PINGs on a connection that receives nothing, as in the official SDKs.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Configures the transport to close connections whose PINGs have no response.
pub(super) fn set_keepalive(endpoint: Endpoint) -> Endpoint {
    endpoint.http2_keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT).keep_alive_while_idle(true)
}
