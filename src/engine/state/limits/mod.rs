//! The limits of a run, such as the concurrency groups of its tasks, as its workflow's expressions evaluate for it.
//!
//! All expressions are evaluated once, when the run is triggered, before the state machine is entered: an evaluation may
//! take milliseconds. The results are part of the run and survive a restart. A run of a workflow without limits has none.

mod expression;
mod run_limits;

pub(crate) use self::{
    expression::{TaskExpression, Variables},
    run_limits::{EvaluatedLimits, GroupDemand, RunLimits, TaskLimits},
};
