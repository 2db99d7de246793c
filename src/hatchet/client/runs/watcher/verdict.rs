//! The meaning of one poll.

use std::time::Duration;

use super::super::{RunDetails, RunOutcome};
use crate::hatchet::{
    transport::{ClientError, ErrorKind},
    wire::{RunId, RunStatus},
};

/// A wait without a useful answer fails after this time.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// What the watcher does after a poll.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The run has finished: its waits end.
    Finished(RunOutcome),
    /// The run exists and has not finished: it is polled again.
    Unfinished(RunStatus),
    /// The engine does not know the run: it is polled again until the grace period of each wait is over.
    Unknown,
    /// The engine asks to slow down: all polls are slowed down. It has answered, so this is no silence.
    Throttled,
    /// The engine did not answer, or failed: the run is polled again.
    NoAnswer(ClientError),
    /// As [`Verdict::NoAnswer`], for [`LONGEST_SILENCE`] already: waits of that age fail.
    GiveUp(ClientError),
    /// The engine refuses this poll: the waits for this run fail.
    FailRun(ClientError),
    /// The engine refuses every poll: all waits fail.
    FailAll(ClientError),
}

/// Decides what the answer to a poll means. `silent_for` is the time since the engine's last useful answer, or since the
/// run is waited for if that is shorter.
pub(super) fn judge(run: RunId, answer: Result<RunDetails, ClientError>, silent_for: Duration) -> Verdict {
    let error = match answer {
        Ok(details) if details.done && matches!(details.status, RunStatus::Unknown(_)) => {
            let text = format!(
                "waiting for run {run} failed: it has finished with a status that this version does not know ({:?}). \
                 Update this crate",
                details.status
            );
            return Verdict::FailRun(ClientError::new(ErrorKind::Unsupported, text));
        }
        Ok(details) => {
            let unfinished = Verdict::Unfinished(details.status);
            return RunOutcome::from_details(run, &details).map_or(unfinished, Verdict::Finished);
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::NotFound => Verdict::Unknown,
        ErrorKind::Exhausted => Verdict::Throttled,
        ErrorKind::TimedOut | ErrorKind::Unreachable | ErrorKind::AuthGracePeriod | ErrorKind::Engine
            if silent_for > LONGEST_SILENCE =>
        {
            Verdict::GiveUp(after_silence(error))
        }
        ErrorKind::TimedOut | ErrorKind::Unreachable | ErrorKind::AuthGracePeriod | ErrorKind::Engine => {
            Verdict::NoAnswer(error)
        }
        ErrorKind::Invalid
        | ErrorKind::TooLarge
        | ErrorKind::RunLost
        | ErrorKind::Duplicate(_)
        | ErrorKind::Unconfirmed(_)
        | ErrorKind::StreamNotActive => Verdict::FailRun(error),
        ErrorKind::Config | ErrorKind::Tls | ErrorKind::Unauthenticated | ErrorKind::Unsupported => {
            Verdict::FailAll(error)
        }
    }
}

/// The error of a wait that had no useful answer for [`LONGEST_SILENCE`]. A status that the engine, or a proxy before
/// it, has sent is passed on unchanged: that is no silence.
fn after_silence(error: ClientError) -> ClientError {
    let is_silence = match error.kind() {
        ErrorKind::TimedOut => true,
        ErrorKind::Unreachable => error.status().is_none() || error.is_from_connection(),
        _ => false,
    };
    if !is_silence {
        return error;
    }
    let message = format!("the engine has not answered for {LONGEST_SILENCE:?}: {error}");
    error.into_kind(ErrorKind::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(status: RunStatus, done: bool) -> RunDetails {
        RunDetails { status, done, input: String::new(), additional_metadata: String::new(), tasks: Vec::new() }
    }

    fn name(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Finished(_) => "finished",
            Verdict::Unfinished(_) => "unfinished",
            Verdict::Unknown => "unknown",
            Verdict::Throttled => "throttled",
            Verdict::NoAnswer(_) => "no answer",
            Verdict::GiveUp(_) => "give up",
            Verdict::FailRun(_) => "fail run",
            Verdict::FailAll(_) => "fail all",
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
            let verdict = judge(RunId::random(), Ok(details(status, done)), LONGEST_SILENCE * 2);
            assert_eq!(name(&verdict), expected, "{status:?}, done: {done}");
        }
    }

    #[test]
    fn each_error_has_its_verdict_before_and_after_silence() {
        let trigger = crate::hatchet::wire::TriggerId::random();
        for (kind, before, after) in [
            (ErrorKind::NotFound, "unknown", "unknown"),
            (ErrorKind::Exhausted, "throttled", "throttled"),
            (ErrorKind::TimedOut, "no answer", "give up"),
            (ErrorKind::Unreachable, "no answer", "give up"),
            (ErrorKind::AuthGracePeriod, "no answer", "give up"),
            (ErrorKind::Engine, "no answer", "give up"),
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
            let judge = |silent_for| judge(RunId::random(), Err(ClientError::new(kind, "no")), silent_for);
            assert_eq!(name(&judge(LONGEST_SILENCE)), before, "{kind:?}");
            assert_eq!(name(&judge(LONGEST_SILENCE + Duration::from_millis(1))), after, "{kind:?}");
        }
    }

    #[test]
    fn silence_is_reported_and_engine_error_is_quoted() {
        let silent = LONGEST_SILENCE * 2;
        for (error, expected) in [
            (ClientError::new(ErrorKind::TimedOut, "late"), "the engine has not answered for 300s: late"),
            (ClientError::new(ErrorKind::Unreachable, "gone"), "the engine has not answered for 300s: gone"),
            (ClientError::new(ErrorKind::Engine, "no disk"), "no disk"),
            (
                ClientError::new(ErrorKind::Unreachable, "no disk").with_status(tonic::Status::unavailable("no disk")),
                "no disk",
            ),
        ] {
            match judge(RunId::random(), Err(error), silent) {
                Verdict::GiveUp(error) => assert_eq!(error.to_string(), expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
