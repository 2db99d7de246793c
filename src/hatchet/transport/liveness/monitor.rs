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
//! - Received bytes prove that the peer is alive, independently of the call that they belong to. So a large response on
//!   a slow link is never mistaken for silence.
//! - Bytes that were sent since the last received byte extend the timeout by the time that a slow link needs for them,
//!   since the probe queues behind them. Flow control and the operating system's buffer bound these bytes, so the
//!   timeout of an upload on a dead link ends too.
//! - A connection is declared dead only if the monitor itself ran on time. If it wakes late, for example after the
//!   machine was suspended, it measures again.
//! - A connection is not declared dead while dialing, which has its own timeout, nor while the peer's limit of
//!   concurrent streams is reached: no probe can be sent then, and the HTTP/2 PING detects a dead link.
//!
//! A slow engine is not dead. So the probe timeout is four times the duration of the last probe, or of the wait for the
//! first byte of a new connection if that was longer. It doubles each time a connection is declared dead. The next
//! connection is then probed immediately, until a response to a probe sets the timeout again: otherwise steady traffic
//! would prevent probes, the doubled timeout would stay, and each further dead connection would be detected later than
//! the one before. The timeout lies between [`MIN_PROBE_TIMEOUT`] and [`MAX_PROBE_TIMEOUT`].
//!
//! Thirty waiting clients probe thirty times a second, which costs a real engine less than 3 % of a core.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::activity::{Activity, Phase};

/// Time without a received byte after which a probe is sent. Together with [`MIN_PROBE_TIMEOUT`] this is 1.75 s.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Minimum timeout of the wait for a byte after a probe was sent.
const MIN_PROBE_TIMEOUT: Duration = Duration::from_millis(750);
/// Maximum timeout of the wait for a byte after a probe was sent.
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the first byte of a new connection. No probe is needed, since an HTTP/2 peer sends its settings
/// immediately. Short, so that a connection is opened soon after the end of an outage. Until the engine has responded
/// to a call, [`MAX_PROBE_TIMEOUT`] applies.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_millis(1_250);
/// Number of consecutive new connections without a byte after which [`MAX_PROBE_TIMEOUT`] applies, since the engine may
/// only be slow.
const MAX_SHORT_ATTEMPTS: u32 = 15;
/// Rate of a slow link, in bytes per second. HTTP/2 allows up to 1 MB of an upload to be in flight before the peer must
/// respond, which takes this link 4 s.
const SLOW_LINK_RATE: f64 = 250_000.0;
/// Minimum extension of the timeout by sent bytes. Shorter extensions are ignored: a probe alone has about 200 bytes.
const MIN_EXTENSION: Duration = Duration::from_millis(50);
/// Number of sent bytes without a response above which a probe may be unsent because the send buffer is full. Equal to
/// the size of the smallest send buffers.
const MIN_UPLOAD: u64 = 16 << 10;
/// Maximum delay of the monitor's wake-up. After a longer delay it measures again.
const MAX_WAKE_DELAY: Duration = Duration::from_millis(250);

/// The monitor of a client's successive connections. Stores a probe timeout that is adapted to the engine's speed.
pub(in crate::hatchet::transport) struct Monitor {
    probe_timeout: Duration,
    /// Whether probes do not wait for silence, since the timeout was doubled. Ends with a response to a probe.
    probes_immediately: bool,
    /// Consecutive new connections that received nothing.
    silent_connections: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { probe_timeout: MIN_PROBE_TIMEOUT, probes_immediately: false, silent_connections: 0 }
    }
}

/// Result of waiting for a byte.
enum Wait {
    /// A byte was received, or the probe ended.
    Alive,
    /// Undecided: the connection is being reopened, or the probe could not be sent.
    Unknown,
    /// Nothing was received.
    Silent,
}

impl Monitor {
    /// Waits until the connection is dead. Returns the time since the last byte.
    ///
    /// Until the engine `has_responded` to a call, only a connection that received nothing is declared dead, after
    /// [`MAX_PROBE_TIMEOUT`]. The first calls are bounded by their deadlines.
    ///
    /// `probe` makes a call that costs the engine little. Any response proves that the peer is alive, including a
    /// refusal.
    pub(in crate::hatchet::transport) async fn wait_until_dead(
        &mut self,
        activity: &Activity,
        has_responded: impl Fn() -> bool,
        probe: impl Fn() -> BoxFuture<'static, ()>,
    ) -> Duration {
        // A probe that fails immediately may not change the byte counters.
        let mut last_probe = None;
        loop {
            let busy_since = activity.wait_until_busy().await;
            let phase = activity.phase();
            if phase == Phase::Dialing {
                activity.wait_for_phase_end(phase).await;
                continue;
            }
            let (silent_since, wait) = if let Phase::Silent(connected) = phase {
                let since = connected.max(busy_since);
                (connected, self.wait_for_first_byte(activity, phase, since, has_responded()).await)
            } else if !has_responded() {
                // Checks again after either end of this wait.
                let _ = timeout(PROBE_AFTER, activity.wait_for_phase_end(phase)).await;
                continue;
            } else {
                self.silent_connections = 0;
                let silent_since = activity.last_received().max(busy_since).max(last_probe.unwrap_or(busy_since));
                if !self.probes_immediately {
                    sleep_until(silent_since + PROBE_AFTER).await;
                    if activity.last_received() > silent_since || !activity.is_busy() {
                        continue;
                    }
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

    /// Waits for the first byte of a connection that was opened, or first used, at `since`. The wait takes about one
    /// round trip, so it also sets the probe timeout of a slow link.
    async fn wait_for_first_byte(
        &mut self,
        activity: &Activity,
        silent: Phase,
        since: Instant,
        has_responded: bool,
    ) -> Wait {
        let is_short = has_responded && self.silent_connections < MAX_SHORT_ATTEMPTS;
        let limit = if is_short { FIRST_BYTE_TIMEOUT } else { MAX_PROBE_TIMEOUT };
        let mut deadline = since + limit;
        while timeout_at(deadline, activity.wait_for_phase_end(silent)).await.is_err() {
            if deadline.elapsed() < MAX_WAKE_DELAY {
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
                self.probes_immediately = false;
                return Wait::Alive;
            }
            if activity.received() != received {
                return Wait::Alive;
            }
            if activity.phase() != Phase::Receiving {
                return Wait::Unknown;
            }
            if deadline.elapsed() >= MAX_WAKE_DELAY {
                deadline = Instant::now() + self.probe_timeout;
                continue;
            }
            // The probe was not sent, since the peer's limit of concurrent streams is reached. If much data is in
            // flight, the probe waits for the link instead.
            if activity.sent() == sent && activity.sent_since_received() < MIN_UPLOAD {
                return Wait::Unknown;
            }
            let upload_time = Duration::from_secs_f64(activity.sent_since_received() as f64 / SLOW_LINK_RATE);
            let extended = sent_at + self.probe_timeout + upload_time;
            if extended <= deadline + MIN_EXTENSION {
                self.probe_timeout = (self.probe_timeout * 2).min(MAX_PROBE_TIMEOUT);
                self.probes_immediately = true;
                return Wait::Silent;
            }
            deadline = extended;
        }
    }
}

#[cfg(test)]
mod tests;
