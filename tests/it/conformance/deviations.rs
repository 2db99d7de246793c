//! The complete list of deliberate differences between the embedded engine and a real one, and between versions of
//! the real one.

use tonic::{Code, Status};

use crate::support::{Target, assert_refused};

/// A deliberate deviation of the embedded engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deviation {
    /// The reported version is fixed; a real engine reports its own.
    FixedVersion,
    /// A trigger of an unknown workflow is refused; a real engine usually returns the id of a run that never exists.
    UnknownWorkflowIsRefused,
    /// A run is readable once its trigger has returned; a real engine may not find it for up to a second.
    RunIsReadableImmediately,
    /// Events for a finished attempt are accepted and ignored; a real engine stores them all and evaluates any of them,
    /// usually the last, and has been observed to retry after a failure that arrived right after the end.
    FinishedAttemptStaysFinished,
    /// A cancel of a finished run is accepted and ignored; a real engine usually sets it to CANCELLED.
    FinishedRunIsNotCancelled,
    /// The event stream of a run ends with the run; a real engine closes it after each failed attempt.
    StreamEndsWithRun,
    /// No `traceparent` is added to the metadata of a run.
    NoTraceParent,
    /// A late subscriber to the events of a run receives its final event; a real engine closes the stream without it.
    LateSubscriberGetsEnd,
    /// An action id is converted to lower case; a real engine fails with INTERNAL for upper case at some positions.
    ActionIsLowerCased,
    /// A malformed definition fails with INVALID_ARGUMENT; a real engine fails with INTERNAL for some.
    MalformedDefinitionIsInvalid,
    /// A worker is inactive once its stream is closed; a real engine misses every other close (it stores the time of
    /// the stream's start in milliseconds and compares it with the same time in microseconds).
    ClosedStreamMakesInactive,
    /// An assignment that the worker has not acknowledged is resent when it reconnects; a real engine lets it time out.
    UnacknowledgedIsResent,
    /// A replay of a finished run always starts; a real engine has been observed to ignore one right after the end.
    ReplayAlwaysStarts,
    /// A released slot is free immediately; a real engine has been observed to free it when the task finishes.
    ReleasedSlotIsFreeImmediately,
    /// The call that counts the workers of a workflow works; a real engine returns 500, as it no longer supports it.
    WorkersOfWorkflowAreCounted,
    /// A rate limit can be paused, as in real engines from v0.114; earlier ones do not have the call.
    RateLimitsCanBePaused,
    /// A failed attempt may choose the delay before its retry, as in real engines from v0.111; earlier ones ignore it.
    WorkerChoosesRetryDelay,
    /// The strategies that limit the waiting runs, shared rules and limits by expression are supported, as in real
    /// engines from v0.106.3; earlier ones reject the strategies and ignore the rest.
    HasNewerConcurrencyRules,
    /// A worker may report that its task is cancelled; real engines up to v0.101 do not have that event.
    WorkerCanCancel,
    /// An open run shows the status of each of its tasks; a real engine shows a completed task as QUEUED.
    OpenRunShowsItsTasks,
    /// A REST filter without `since` is refused; a real engine returns OK and selects no run.
    SinceIsRequired,
    /// A metadata filter without a colon, or with the AND operator in a list that lacks it, is refused; a real engine
    /// ignores the filter.
    InvalidFilterIsRefused,
    /// A cron that never fires or that is malformed is refused; a real engine accepts the former everywhere and both
    /// over REST, and drops them.
    InvalidCronIsRefused,
    /// A cron declared twice in one definition is created once; a real engine fails with INTERNAL.
    DuplicateCronIsMerged,
    /// A task that waits for its conditions is cancelled with its run; a real engine does not cancel it.
    WaitingTaskIsCancelled,
    /// A condition whose expression does not compile, whose event key is empty, or whose parent is not one of the
    /// task's is refused; a real engine accepts it, and the condition is never met.
    ImpossibleConditionIsRefused,
    /// A group of conditions with a parent and a sleep or an event is met by one of them; a real engine (v0.104) waits
    /// for both.
    GroupOfParentAndSleepNeedsOne,
    /// The only task of a workflow may have conditions; on a real engine its run never exists.
    OnlyTaskMayHaveConditions,
    /// An event filter without a scope, a valid expression, an object as its payload or a known workflow, and a
    /// duplicate, is refused; a real engine accepts it, or fails with INTERNAL or 500.
    InvalidEventFilterIsRefused,
    /// A pause with an unknown action or behavior or an invalid time to live is refused with 400; a real engine accepts
    /// any time to live and fails with 500 otherwise.
    InvalidPauseIsRefused,
    /// An event can be pushed over REST, with the request and response of the published API; a real engine refuses every
    /// such call with 400.
    EventIsPushedOverRest,
    /// A trigger whose idempotency key fails to evaluate is refused; a real engine returns OK and creates no run.
    FailingKeyIsRefused,
}

impl Target {
    /// Returns whether the engine under test has this deviation.
    pub fn deviates(&self, _: Deviation) -> bool {
        self.is_embedded()
    }

    /// Returns whether the engine under test lacks this deviation, so that a test of it has no subject. Prints the
    /// reason for the skip.
    pub fn lacks(&self, deviation: Deviation) -> bool {
        let lacks = !self.deviates(deviation);
        if lacks {
            println!("skipped: a real engine lacks the deviation {deviation:?}");
        }
        lacks
    }
}

/// Asserts that a call failed with NOT_FOUND. Real engines do so from v0.102; before, they failed with INTERNAL.
#[track_caller]
pub fn missing<T: std::fmt::Debug>(target: &Target, result: Result<T, Status>, text: &str) {
    match result {
        Err(status) if status.code() == Code::Internal && !target.is_embedded() => {
            assert_eq!(status.message(), "An internal error occurred.");
        }
        result => assert_refused(result, Code::NotFound, text),
    }
}
