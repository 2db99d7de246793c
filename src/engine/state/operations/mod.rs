//! Operations: the events of the state machine that involve several sub-states.
//!
//! Every operation takes the clock reading of its event, changes the sub-states, and leaves effects for the driver.
//! Transitions of attempts are decided by [`attempt::transition`](super::attempt::transition).

mod admission;
mod calendar;
mod control;
mod declare;
mod dispatch;
mod event;
mod output;
mod report;
mod task_end;
mod tick;
mod transition;
mod trigger;
mod worker;

pub(crate) use self::{
    report::AttemptReport,
    trigger::{Desired, TriggerError, TriggerItem, Triggered, claim_for},
};
