//! Whether a refused token is refused for good.
//!
//! A real engine looks each token up in its database and says UNAUTHENTICATED for whatever goes wrong there: one whose
//! database restarts refuses everybody for that while. So the refusal of a token that was taken before counts for good
//! only after a time, and that of any other token at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::{ClientError, ErrorKind};

/// A restart of an engine's database takes a minute or less; a token that was revoked is not worth waiting longer for.
const PATIENCE: Duration = Duration::from_secs(90);
/// Refusals further apart than this are not one: nobody has asked in between. Whoever waits asks every 5 s or sooner.
const APART: Duration = Duration::from_secs(30);

/// What is known of the token of a connection.
#[derive(Default)]
pub(in crate::hatchet) struct Trust(Mutex<State>);

#[derive(Default)]
struct State {
    accepted: bool,
    refused: Option<Refused>,
}

struct Refused {
    since: Instant,
    last: Instant,
}

impl Trust {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine took the token.
    pub(in crate::hatchet) fn accepted(&self) {
        *self.state() = State { accepted: true, refused: None };
    }

    /// Whether an engine has taken the token.
    pub(in crate::hatchet) fn was_accepted(&self) -> bool {
        self.state().accepted
    }

    /// It is another token from now on.
    pub(in crate::hatchet) fn forget(&self) {
        *self.state() = State::default();
    }

    /// A refusal: as it is where it is final, else [`ErrorKind::Doubted`].
    pub(in crate::hatchet) fn judge(&self, error: ClientError) -> ClientError {
        let now = Instant::now();
        let mut state = self.state();
        if !state.accepted {
            return error;
        }
        let refused = match &mut state.refused {
            Some(refused) if now.duration_since(refused.last) < APART => refused,
            other => other.insert(Refused { since: now, last: now }),
        };
        refused.last = now;
        let (kind, said) = match now.duration_since(refused.since) {
            long if long >= PATIENCE => (
                ErrorKind::Unauthenticated,
                format!("the token was accepted before and is now refused for {} s: {error}", long.as_secs()),
            ),
            short => (
                ErrorKind::Doubted,
                format!(
                    "the token was accepted before and is now refused for {} s, as an engine does whose database is \
                     away; this is final after {} s: {error}",
                    short.as_secs(),
                    PATIENCE.as_secs()
                ),
            ),
        };
        error.into_kind(kind, said)
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
    async fn before_it_was_accepted_a_refusal_is_final() {
        let trust = Trust::default();
        assert_eq!(trust.judge(refusal()).kind(), ErrorKind::Unauthenticated);
        trust.accepted();
        assert_eq!(trust.judge(refusal()).kind(), ErrorKind::Doubted);
        trust.forget();
        assert_eq!(trust.judge(refusal()).kind(), ErrorKind::Unauthenticated);
    }

    #[tokio::test(start_paused = true)]
    async fn afterwards_only_when_it_lasts() {
        let trust = Trust::default();
        trust.accepted();
        for _ in 0..PATIENCE.as_secs() / 5 {
            let doubted = trust.judge(refusal());
            assert!(doubted.is_temporary(), "{doubted}");
            advance(Duration::from_secs(5)).await;
        }
        let refused = trust.judge(refusal());
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
        let said = refused.to_string();
        assert!(said.contains("accepted before and is now refused for 90 s: heartbeat"), "{said}");
        assert!(said.contains("HATCHET_CLIENT_TOKEN"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_acceptance_or_a_long_silence_between_starts_the_count_again() {
        let trust = Trust::default();
        trust.accepted();
        for between in [Duration::from_secs(1), PATIENCE * 2] {
            trust.judge(refusal());
            advance(PATIENCE - Duration::from_secs(1)).await;
            trust.accepted();
            assert_eq!(trust.judge(refusal()).kind(), ErrorKind::Doubted);
            advance(between).await;
            assert_eq!(trust.judge(refusal()).kind(), ErrorKind::Doubted);
        }
    }
}
