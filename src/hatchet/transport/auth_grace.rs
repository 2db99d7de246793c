//! The grace period for a refused token.
//!
//! A real engine looks each token up in its database and answers UNAUTHENTICATED for any failure of that lookup: while
//! its database restarts it refuses every token. So the refusal of a token that was accepted before is temporary at first
//! ([`ErrorKind::AuthGracePeriod`]) and final only after [`GRACE_PERIOD`]. The refusal of any other token is final at
//! once.
//!
//! ```text
//!              accepted                     refused
//!  unknown ───────────────▶ accepted ─────────────────────▶ grace period ──── 90 s ───▶ refused
//!     │                        ▲                                 │
//!     └─ refused: final        └─ accepted, or 30 s no refusal ──┘
//! ```

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::{ClientError, ErrorKind};

/// A restart of an engine's database takes a minute or less. Waiting longer for a token that was revoked is of no use.
const GRACE_PERIOD: Duration = Duration::from_secs(90);
/// Refusals further apart than this do not belong together: no call was made between them. Callers that wait retry every
/// 5 s or sooner.
const MAX_GAP: Duration = Duration::from_secs(30);

/// What is known about the token of a connection.
#[derive(Default)]
pub(super) struct AuthState(Mutex<State>);

#[derive(Default)]
struct State {
    accepted: bool,
    refusals: Option<Refusals>,
}

struct Refusals {
    first: Instant,
    last: Instant,
}

impl AuthState {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the engine accepted the token.
    pub(super) fn record_acceptance(&self) {
        *self.state() = State { accepted: true, refusals: None };
    }

    /// Whether an engine has accepted the token.
    pub(super) fn was_accepted(&self) -> bool {
        self.state().accepted
    }

    /// Forgets everything: another token is used from now on.
    pub(super) fn reset(&self) {
        *self.state() = State::default();
    }

    /// Records a refusal. Returns it as it is if it is final, else as [`ErrorKind::AuthGracePeriod`].
    pub(super) fn classify_refusal(&self, error: ClientError) -> ClientError {
        let now = Instant::now();
        let mut state = self.state();
        if !state.accepted {
            return error;
        }
        let refusals = match &mut state.refusals {
            Some(refusals) if now.duration_since(refusals.last) < MAX_GAP => refusals,
            other => other.insert(Refusals { first: now, last: now }),
        };
        refusals.last = now;
        let elapsed = now.duration_since(refusals.first);
        let refused = format!("the token was accepted before and is now refused for {} s", elapsed.as_secs());
        let (kind, message) = if elapsed >= GRACE_PERIOD {
            (ErrorKind::Unauthenticated, format!("{refused}: {error}"))
        } else {
            let period = GRACE_PERIOD.as_secs();
            let message = format!(
                "{refused}, which an engine without its database does too; this is final after {period} s: {error}"
            );
            (ErrorKind::AuthGracePeriod, message)
        };
        error.into_kind(kind, message)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn refusal() -> ClientError {
        ClientError::from_status("heartbeat", tonic::Status::unauthenticated("invalid auth token"))
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_final_before_first_acceptance() {
        let auth = AuthState::default();
        assert_eq!(auth.classify_refusal(refusal()).kind(), ErrorKind::Unauthenticated);
        auth.record_acceptance();
        assert_eq!(auth.classify_refusal(refusal()).kind(), ErrorKind::AuthGracePeriod);
        auth.reset();
        assert_eq!(auth.classify_refusal(refusal()).kind(), ErrorKind::Unauthenticated);
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_final_after_grace_period() {
        let auth = AuthState::default();
        auth.record_acceptance();
        for _ in 0..GRACE_PERIOD.as_secs() / 5 {
            let refused = auth.classify_refusal(refusal());
            assert!(refused.is_temporary(), "{refused}");
            advance(Duration::from_secs(5)).await;
        }
        let refused = auth.classify_refusal(refusal());
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
        let message = refused.to_string();
        assert!(message.contains("accepted before and is now refused for 90 s: heartbeat"), "{message}");
        assert!(message.contains("HATCHET_CLIENT_TOKEN"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn acceptance_or_gap_restarts_grace_period() {
        let auth = AuthState::default();
        auth.record_acceptance();
        for between in [Duration::from_secs(1), GRACE_PERIOD * 2] {
            auth.classify_refusal(refusal());
            advance(GRACE_PERIOD - Duration::from_secs(1)).await;
            auth.record_acceptance();
            assert_eq!(auth.classify_refusal(refusal()).kind(), ErrorKind::AuthGracePeriod);
            advance(between).await;
            assert_eq!(auth.classify_refusal(refusal()).kind(), ErrorKind::AuthGracePeriod);
        }
    }
}
