//! Where the embedded engine differs from a real one on purpose, and real ones among themselves: the whole list.

use tonic::{Code, Status};

use crate::support::{Target, refused};

/// A deliberate deviation of the embedded engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deviation {
    /// The version it reports is a fixed one; a real engine reports its own.
    FixedVersion,
    /// A trigger of an unknown workflow is refused; a real engine mostly answers with the id of a run that never comes
    /// to be.
    UnknownWorkflowIsRefused,
    /// A run can be read as soon as its trigger was answered; a real engine may not know it for a second.
    RunIsReadableAtOnce,
    /// Events for an attempt that is final are answered and ignored; a real engine keeps them all and reads any of
    /// them, mostly the last, and was seen to retry after a failure that came right behind the end.
    FinalAttemptStaysFinal,
    /// A cancel of a final run is answered and ignored; a real engine mostly makes it CANCELLED.
    FinalRunIsNotCancelled,
    /// The event stream of a run ends with the run; a real engine hangs up after each failed attempt.
    HangupAtTheTrueEnd,
    /// No `traceparent` is added to the metadata of a run.
    NoTraceIsBegun,
    /// A late subscriber to a run's events gets its end; a real engine just closes the stream.
    LateSubscriberGetsTheEnd,
    /// Upper case in an action id is folded; a real engine fails with INTERNAL at some positions.
    ActionCaseIsFolded,
    /// A broken definition is INVALID_ARGUMENT; a real engine answers INTERNAL to some.
    BrokenDefinitionIsInvalid,
    /// A worker is inactive as soon as its stream is closed; a real engine misses every other close (it keeps the time
    /// of the stream's opening in milliseconds and compares it with itself in microseconds).
    CloseIsAlwaysSeen,
    /// What a worker has said nothing of is sent again when it listens anew; a real engine leaves it to its timeout.
    UnheardIsSentAgain,
    /// A replay of a final run always happens; a real engine was seen to pass one over when it came right after the end.
    ReplayAlwaysHappens,
    /// A released slot is free at once; a real engine was seen to free it with the task.
    ReleasedSlotIsFree,
    /// The workers of a workflow are counted; a real engine answers 500 (it gave that call up).
    WorkersAreCounted,
    /// Labels that a task asks of its worker are not served yet: refused, by their name.
    LabelsAreRefused,
    /// Concurrency groups are not served yet: refused, by their name.
    ConcurrencyIsRefused,
    /// A worker may report that its task is cancelled; real engines do not know that event up to v0.101.
    WorkerMayCancel,
    /// A run that is not final shows how each of its tasks stands; a real engine shows a completed one as QUEUED.
    OpenRunShowsItsTasks,
    /// A filter over REST without its `since` is refused; a real engine answers OK and finds nothing.
    SinceIsRequired,
    /// A metadata filter of a list without a colon, or for all pairs in a list that has no such operator, is refused; a
    /// real engine ignores it.
    BadFilterIsRefused,
    /// A cron that never fires, or that is no expression, is refused; a real engine takes the first everywhere and both
    /// over REST, and forgets them.
    UselessCronIsRefused,
    /// A cron that is named twice in a declaration is one; a real engine fails with INTERNAL.
    CronNamedTwiceIsOne,
    /// An idempotency key that does not evaluate refuses the trigger; a real engine answers OK and makes no run.
    BadKeyIsRefused,
}

impl Target {
    /// Whether the engine under test deviates so.
    pub fn deviates(&self, _: Deviation) -> bool {
        self.is_embedded()
    }
}

/// Asserts the refusal of what is not there. Real engines say so since v0.102; before, they answered INTERNAL.
#[track_caller]
pub fn missing<T: std::fmt::Debug>(target: &Target, answer: Result<T, Status>, text: &str) {
    match answer {
        Err(status) if status.code() == Code::Internal && !target.is_embedded() => {
            assert_eq!(status.message(), "An internal error occurred.");
        }
        answer => refused(answer, Code::NotFound, text),
    }
}
