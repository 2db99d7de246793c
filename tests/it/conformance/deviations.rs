//! Where the embedded engine differs from a real one on purpose: the whole list.

use crate::support::Target;

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
    /// Events for an attempt that is final are answered and ignored; on a real engine the last one wins.
    FinalAttemptStaysFinal,
    /// A cancel of a final run is answered and ignored; a real engine makes it CANCELLED.
    FinalRunIsNotCancelled,
    /// The event stream of a run ends with the run; a real engine hangs up after each failed attempt.
    HangupAtTheTrueEnd,
    /// A late subscriber to a run's events gets its end; a real engine just closes the stream.
    LateSubscriberGetsTheEnd,
    /// Upper case in an action id is folded; a real engine fails with INTERNAL at some positions.
    ActionCaseIsFolded,
    /// A broken definition is INVALID_ARGUMENT; a real engine answers INTERNAL to some.
    BrokenDefinitionIsInvalid,
    /// A released slot is free at once; a real engine was seen to free it with the task.
    ReleasedSlotIsFree,
    /// An idempotency key that does not evaluate refuses the trigger; a real engine answers OK and makes no run.
    BadKeyIsRefused,
}

impl Target {
    /// Whether the engine under test deviates so.
    pub fn deviates(&self, _: Deviation) -> bool {
        self.is_embedded()
    }
}
