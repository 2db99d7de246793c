//! The grace period for a refused token.
//!
//! A real engine reads each token from its database and responds with UNAUTHENTICATED if that fails for any reason. So
//! it refuses every token while its database restarts. The refusal of a token that was accepted before is therefore
//! temporary at first ([`ErrorKind::AuthGracePeriod`]) and final only after [`GRACE_PERIOD`]. The refusal of any other
//! token is final immediately.
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

use super::error::{ClientError, ErrorKind, explain_refused_token};
use crate::hatchet::wire::{readable_duration, readable_seconds};

/// Time for which a refused token is retried. A restart of an engine's database takes a minute or less; a longer wait
/// would only delay the error of a revoked token.
const GRACE_PERIOD: Duration = Duration::from_secs(90);
/// Maximum time between two refusals of the same grace period. After a longer gap, in which no call was made, a new
/// period starts. Waiting callers retry at least every 5 s.
const MAX_GAP: Duration = Duration::from_secs(30);

/// Acceptance and refusals of a connection's token.
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

    /// Clears the state, for another token.
    pub(super) fn reset(&self) {
        *self.state() = State::default();
    }

    /// Records that the operation `call` was refused. Returns the error unchanged if the token was never accepted, as
    /// [`ErrorKind::AuthGracePeriod`] during the grace period, and as [`ErrorKind::Unauthenticated`] after it.
    pub(super) fn classify_refusal(&self, call: &str, error: ClientError) -> ClientError {
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
        let text = error.status().map_or_else(String::new, |status| status.message().to_owned());
        let refusal = format!("the token was accepted before and is now refused for {}", readable_seconds(elapsed));
        let (kind, cause) = if elapsed >= GRACE_PERIOD {
            (ErrorKind::Unauthenticated, explain_refused_token(&refusal, &text))
        } else {
            let period = readable_duration(GRACE_PERIOD);
            let advice = format!("The engine's database may be unavailable; the refusal is final after {period}");
            (ErrorKind::AuthGracePeriod, format!("{refusal} ({text}). {advice}"))
        };
        error.into_kind(kind, format!("{call} failed: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn refuse(auth: &AuthState) -> ClientError {
        let status = tonic::Status::unauthenticated("invalid auth token");
        auth.classify_refusal("heartbeat", ClientError::from_status("heartbeat", status))
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_final_before_first_acceptance() {
        let auth = AuthState::default();
        assert_eq!(refuse(&auth).kind(), ErrorKind::Unauthenticated);
        auth.record_acceptance();
        assert_eq!(refuse(&auth).kind(), ErrorKind::AuthGracePeriod);
        auth.reset();
        assert_eq!(refuse(&auth).kind(), ErrorKind::Unauthenticated);
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_final_after_grace_period() {
        let auth = AuthState::default();
        auth.record_acceptance();
        for _ in 0..GRACE_PERIOD.as_secs() / 5 {
            let refused = refuse(&auth);
            assert!(refused.is_temporary(), "{refused}");
            advance(Duration::from_secs(5)).await;
        }
        let refused = refuse(&auth);
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
        let message = refused.to_string();
        let expected =
            "heartbeat failed: the token was accepted before and is now refused for 1m 30s (invalid auth token). ";
        assert!(message.starts_with(expected) && message.contains("HATCHET_CLIENT_TOKEN"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn acceptance_or_gap_restarts_grace_period() {
        let auth = AuthState::default();
        auth.record_acceptance();
        for gap in [Duration::from_secs(1), GRACE_PERIOD * 2] {
            refuse(&auth);
            advance(GRACE_PERIOD - Duration::from_secs(1)).await;
            auth.record_acceptance();
            assert_eq!(refuse(&auth).kind(), ErrorKind::AuthGracePeriod);
            advance(gap).await;
            assert_eq!(refuse(&auth).kind(), ErrorKind::AuthGracePeriod);
        }
    }
}
