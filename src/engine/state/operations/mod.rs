//! Operations that touch several sub-states of the [state machine](super::State).

mod assign;
pub(super) mod control;
mod dependencies;
mod extend;
mod finish;
mod query;
pub(super) mod transition;
pub(super) mod trigger;
pub(super) mod workers;
