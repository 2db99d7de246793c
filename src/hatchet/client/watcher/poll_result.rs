//! Classifies the response to a poll.

use std::time::Duration;

use super::{details::RunDetails, outcome::RunOutcome};
use crate::hatchet::{
    transport::{ClientError, ErrorKind},
    wire::{RunId, RunStatus, readable_duration},
};

/// Time without a useful response after which a wait fails.
pub(super) const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);

/// The result of a poll, by the action that the watcher takes.
#[derive(Debug)]
pub(super) enum PollResult {
    /// The run has finished: its waits end.
    Finished(RunOutcome),
    /// The run exists and has not finished: it is polled again.
    Unfinished(RunStatus),
    /// The engine has no such run: it is polled again until the grace period of each wait has elapsed.
    Unknown,
    /// The engine is at its rate limit: all polls are slowed down. Counts as a response.
    Throttled,
    /// The engine did not respond, or failed: the run is polled again.
    NoResponse(ClientError),
    /// [`PollResult::NoResponse`] for more than [`SILENCE_TIMEOUT`]: waits of that age fail.
    GiveUp(ClientError),
    /// The engine refuses this poll: the waits for this run fail.
    FailRun(ClientError),
    /// The engine refuses every poll: all waits fail.
    FailAll(ClientError),
}

/// Classifies the response to a poll. `silent_for` is the time since the engine's last useful response, or
/// since the start of the watch if that is shorter.
pub(super) fn classify(run: RunId, response: Result<RunDetails, ClientError>, silent_for: Duration) -> PollResult {
    let error = match response {
        Ok(details) if details.done && matches!(details.status, RunStatus::Unknown(_)) => {
            let text = format!(
                "waiting for run {run} failed: it finished with a status that this version does not know ({:?}). \
                 Update this crate",
                details.status
            );
            return PollResult::FailRun(ClientError::new(ErrorKind::Unsupported, text));
        }
        Ok(details) => {
            let unfinished = PollResult::Unfinished(details.status);
            return RunOutcome::from_details(run, &details).map_or(unfinished, PollResult::Finished);
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::NotFound => PollResult::Unknown,
        ErrorKind::Exhausted => PollResult::Throttled,
        ErrorKind::TimedOut | ErrorKind::Unreachable | ErrorKind::AuthGracePeriod | ErrorKind::Engine
            if silent_for > SILENCE_TIMEOUT =>
        {
            PollResult::GiveUp(after_silence(error))
        }
        ErrorKind::TimedOut | ErrorKind::Unreachable | ErrorKind::AuthGracePeriod | ErrorKind::Engine => {
            PollResult::NoResponse(error)
        }
        ErrorKind::Invalid
        | ErrorKind::TooLarge
        | ErrorKind::RunLost
        | ErrorKind::Duplicate(_)
        | ErrorKind::Unconfirmed(_)
        | ErrorKind::StreamNotActive => PollResult::FailRun(error),
        ErrorKind::Config | ErrorKind::Tls | ErrorKind::Unauthenticated | ErrorKind::Unsupported => {
            PollResult::FailAll(error)
        }
    }
}

/// The error of a wait without a useful response for [`SILENCE_TIMEOUT`]. Returns the status of the engine, or of a
/// proxy in front of it, unchanged.
fn after_silence(error: ClientError) -> ClientError {
    let is_silence = match error.kind() {
        ErrorKind::TimedOut => true,
        ErrorKind::Unreachable => error.status().is_none() || error.is_from_connection(),
        _ => false,
    };
    if !is_silence {
        return error;
    }
    let message = format!("the engine has not responded for {}: {error}", readable_duration(SILENCE_TIMEOUT));
    error.into_kind(ErrorKind::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(result: &PollResult) -> &'static str {
        match result {
            PollResult::Finished(_) => "finished",
            PollResult::Unfinished(_) => "unfinished",
            PollResult::Unknown => "unknown",
            PollResult::Throttled => "throttled",
            PollResult::NoResponse(_) => "no response",
            PollResult::GiveUp(_) => "give up",
            PollResult::FailRun(_) => "fail run",
            PollResult::FailAll(_) => "fail all",
        }
    }

    #[test]
    fn each_status_is_finished_only_when_done() {
        for (status, done, expected) in [
            (RunStatus::Queued, false, "unfinished"),
            (RunStatus::Running, false, "unfinished"),
            (RunStatus::Evicted, false, "unfinished"),
            (RunStatus::Unknown(9), false, "unfinished"),
            (RunStatus::Unknown(9), true, "fail run"),
            // A failed attempt that will be retried.
            (RunStatus::Failed, false, "unfinished"),
            (RunStatus::Completed, true, "finished"),
            (RunStatus::Failed, true, "finished"),
            (RunStatus::Cancelled, true, "finished"),
        ] {
            let result = classify(RunId::random(), Ok(RunDetails::test(status, done)), SILENCE_TIMEOUT * 2);
            assert_eq!(name(&result), expected, "{status:?}, done: {done}");
        }
    }

    #[test]
    fn each_error_has_its_result_before_and_after_timeout() {
        let trigger = crate::hatchet::wire::TriggerId::random();
        for (kind, before, after) in [
            (ErrorKind::NotFound, "unknown", "unknown"),
            (ErrorKind::Exhausted, "throttled", "throttled"),
            (ErrorKind::TimedOut, "no response", "give up"),
            (ErrorKind::Unreachable, "no response", "give up"),
            (ErrorKind::AuthGracePeriod, "no response", "give up"),
            (ErrorKind::Engine, "no response", "give up"),
            (ErrorKind::Invalid, "fail run", "fail run"),
            (ErrorKind::TooLarge, "fail run", "fail run"),
            (ErrorKind::RunLost, "fail run", "fail run"),
            (ErrorKind::Duplicate(None), "fail run", "fail run"),
            (ErrorKind::Unconfirmed(trigger), "fail run", "fail run"),
            (ErrorKind::StreamNotActive, "fail run", "fail run"),
            (ErrorKind::Config, "fail all", "fail all"),
            (ErrorKind::Tls, "fail all", "fail all"),
            (ErrorKind::Unauthenticated, "fail all", "fail all"),
            (ErrorKind::Unsupported, "fail all", "fail all"),
        ] {
            let classify = |silent_for| classify(RunId::random(), Err(ClientError::new(kind, "no")), silent_for);
            assert_eq!(name(&classify(SILENCE_TIMEOUT)), before, "{kind:?}");
            assert_eq!(name(&classify(SILENCE_TIMEOUT + Duration::from_millis(1))), after, "{kind:?}");
        }
    }

    #[test]
    fn silence_is_reported_and_engine_error_is_unchanged() {
        let silent = SILENCE_TIMEOUT * 2;
        for (error, expected) in [
            (ClientError::new(ErrorKind::TimedOut, "late"), "the engine has not responded for 5m: late"),
            (ClientError::new(ErrorKind::Unreachable, "gone"), "the engine has not responded for 5m: gone"),
            (ClientError::new(ErrorKind::Engine, "no disk"), "no disk"),
            (
                ClientError::new(ErrorKind::Unreachable, "no disk").with_status(tonic::Status::unavailable("no disk")),
                "no disk",
            ),
        ] {
            match classify(RunId::random(), Err(error), silent) {
                PollResult::GiveUp(error) => assert_eq!(error.to_string(), expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
