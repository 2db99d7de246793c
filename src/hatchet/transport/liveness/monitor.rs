//! The liveness monitor of a connection with outstanding calls.
//!
//! ```text
//!          call begins              1 s without a byte
//!   idle ──────────────▶ listening ───────────────────▶ probing ── no byte within the probe timeout ──▶ dead
//!    ▲                    │     ▲                         │
//!    └── last call ends ──┘     └───── byte received ─────┘
//! ```
//!
//! Invariants:
//!
//! - Received bytes prove that the peer is alive; whichever call they belong to does not matter. So a large response on a
//!   slow link is never mistaken for silence.
//! - Bytes that were sent since the last received byte extend the limit by the time that a slow link needs for them: the
//!   probe queues behind them. Flow control and the operating system's buffer bound them, so an upload on a dead link ends
//!   as well.
//! - A verdict needs a monitor that was not held up itself: if it wakes late, as after a suspension of the machine, it
//!   measures again.
//! - Nothing is decided while dialing, which has its own timeout, and while the peer's limit of concurrent streams is
//!   reached: then no probe can be sent, and a dead link is found by the HTTP/2 PING.
//!
//! A slow engine is not a dead one. The probe timeout is four times the time that the last probe took, or that the first
//! byte of a new connection took if that is longer. It doubles with every verdict, between [`MIN_PROBE_TIMEOUT`] and
//! [`MAX_PROBE_TIMEOUT`].
//!
//! Thirty waiting clients probe thirty times a second, which costs a real engine less than 3 % of a core.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::activity::{Activity, Phase};

/// Time without a received byte after which a probe is sent. Together with [`MIN_PROBE_TIMEOUT`] it makes 1.75 s.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Shortest time limit for a byte after a probe was sent.
const MIN_PROBE_TIMEOUT: Duration = Duration::from_millis(750);
/// Longest time limit for a byte after a probe was sent.
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for the first byte of a new connection. No probe is needed: an HTTP/2 peer sends its settings at once. Short,
/// so that during an outage the next connection is made soon after its end. Before an engine has answered a call here, it
/// is [`MAX_PROBE_TIMEOUT`].
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_millis(1_250);
/// After so many new connections in a row without a byte, the next ones have [`MAX_PROBE_TIMEOUT`]: the engine may be
/// merely slow.
const SHORT_ATTEMPTS: u32 = 15;
/// Bytes per second of a slow link. HTTP/2 lets up to 1 MB of an upload be on its way before the peer must respond, which
/// takes this link 4 s.
const SLOW_LINK_RATE: f64 = 250_000.0;
/// Shorter extensions are not made: probes alone are some 200 bytes.
const MIN_EXTENSION: Duration = Duration::from_millis(50);
/// Bytes without a response from which on a probe may be unsent because the link takes no more: as much as the smallest
/// send buffers hold.
const MIN_UPLOAD: u64 = 16 << 10;
/// A monitor that wakes later than this was held up.
const MAX_DELAY: Duration = Duration::from_millis(250);

/// The monitor of a client's connections, one after the other. It remembers how slow the engine is.
pub(in crate::hatchet::transport) struct Monitor {
    probe_timeout: Duration,
    /// New connections in a row that received nothing.
    silent_connections: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { probe_timeout: MIN_PROBE_TIMEOUT, silent_connections: 0 }
    }
}

/// Result of waiting for a byte.
enum Wait {
    /// A byte was received, or the probe ended.
    Alive,
    /// Nothing is known, since the connection is being made anew.
    Unknown,
    /// Nothing was received.
    Silent,
}

impl Monitor {
    /// Returns when the connection is dead, with the time since the last byte. Until the engine `has_answered` a call, only
    /// a connection that received nothing at all is dead, after [`MAX_PROBE_TIMEOUT`]; the deadlines of the first calls
    /// decide the rest.
    ///
    /// `probe` makes a call that costs the engine little. Any response will do, a refusal too.
    pub(in crate::hatchet::transport) async fn dead(
        &mut self,
        activity: &Activity,
        has_answered: impl Fn() -> bool,
        probe: impl Fn() -> BoxFuture<'static, ()>,
    ) -> Duration {
        // A probe that fails at once leaves no trace among the bytes.
        let mut last_probe = None;
        loop {
            let busy_since = activity.busy_since().await;
            let phase = activity.phase();
            if phase == Phase::Dialing {
                activity.phase_ends(phase).await;
                continue;
            }
            let (silent_since, wait) = if let Phase::Silent(connected) = phase {
                let since = connected.max(busy_since);
                (connected, self.wait_for_first_byte(activity, phase, since, has_answered()).await)
            } else if !has_answered() {
                // Either end of the wait leads to another check.
                let _ = timeout(PROBE_AFTER, activity.phase_ends(phase)).await;
                continue;
            } else {
                self.silent_connections = 0;
                let silent_since = activity.last_received().max(busy_since).max(last_probe.unwrap_or(busy_since));
                sleep_until(silent_since + PROBE_AFTER).await;
                if activity.last_received() > silent_since || !activity.is_busy() {
                    continue;
                }
                let wait = self.wait_for_probe(activity, probe()).await;
                last_probe = Some(Instant::now());
                (silent_since, wait)
            };
            match wait {
                Wait::Alive | Wait::Unknown => {}
                Wait::Silent => return silent_since.elapsed(),
            }
        }
    }

    /// Waits for the first byte of a connection that was made, or first used, at `since`. Its delay is about one round trip,
    /// so it also sets the probe timeout of a slow link.
    async fn wait_for_first_byte(
        &mut self,
        activity: &Activity,
        silent: Phase,
        since: Instant,
        has_answered: bool,
    ) -> Wait {
        let is_short = has_answered && self.silent_connections < SHORT_ATTEMPTS;
        let limit = if is_short { FIRST_BYTE_TIMEOUT } else { MAX_PROBE_TIMEOUT };
        let mut deadline = since + limit;
        while timeout_at(deadline, activity.phase_ends(silent)).await.is_err() {
            if deadline.elapsed() < MAX_DELAY {
                self.silent_connections = self.silent_connections.saturating_add(1);
                return Wait::Silent;
            }
            deadline = Instant::now() + limit;
        }
        if activity.phase() != Phase::Receiving {
            return Wait::Unknown;
        }
        let delay = activity.last_received().saturating_duration_since(since);
        self.probe_timeout = self.probe_timeout.max(delay * 4).min(MAX_PROBE_TIMEOUT);
        Wait::Alive
    }

    /// Waits for a byte after a probe was sent.
    async fn wait_for_probe(&mut self, activity: &Activity, mut probe: BoxFuture<'static, ()>) -> Wait {
        let sent_at = Instant::now();
        let (received, sent) = (activity.received(), activity.sent());
        let mut deadline = sent_at + self.probe_timeout;
        loop {
            if timeout_at(deadline, &mut probe).await.is_ok() {
                self.probe_timeout = (sent_at.elapsed() * 4).clamp(MIN_PROBE_TIMEOUT, MAX_PROBE_TIMEOUT);
                return Wait::Alive;
            }
            if activity.received() != received {
                return Wait::Alive;
            }
            if activity.phase() != Phase::Receiving {
                return Wait::Unknown;
            }
            if deadline.elapsed() >= MAX_DELAY {
                deadline = Instant::now() + self.probe_timeout;
                continue;
            }
            // The probe waits in this process: the peer's limit of concurrent streams is reached. With much data on its
            // way, it waits for the link.
            if activity.sent() == sent && activity.sent_since_received() < MIN_UPLOAD {
                return Wait::Unknown;
            }
            let upload_time = Duration::from_secs_f64(activity.sent_since_received() as f64 / SLOW_LINK_RATE);
            let extended = sent_at + self.probe_timeout + upload_time;
            if extended <= deadline + MIN_EXTENSION {
                self.probe_timeout = (self.probe_timeout * 2).min(MAX_PROBE_TIMEOUT);
                return Wait::Silent;
            }
            deadline = extended;
        }
    }
}

#[cfg(test)]
mod tests;
