//! Workflows: tasks that run in the order of their dependencies.
//!
//! ```text
//!  Stub<I, O> ── .workflow(|flow| …) ──▶ Workflow<I, O> ── Worker::register ──▶ ErasedWorkflow
//!                           │
//!                           ├── flow.task(name, body) ─────────────────▶ Handle<A> ─┐
//!                           └── flow.parents(&a).task(name, body) ◀─────────────────┘
//! ```
//!
//! A handle exists only after its task was declared, so a cycle cannot be written. Its lifetime `'f` belongs to one
//! declaration, so it cannot be a parent in another workflow.
//!
//! | file | contents |
//! |---|---|
//! | `declare` | [`Flow`], which declares tasks |
//! | `handle` | [`Handle`] and [`Hook`], references to declared tasks with their options |
//! | `parents` | [`Parents`], which reads the outputs of parents for a body |
//! | `condition` | conditions to wait, skip and cancel |
//! | `failure` | [`TaskFailure`], for on-failure bodies |
//! | `typed`, `erased` | the declared workflow, with and without its types |
//! | `check` | the checks before a registration |

mod check;
mod condition;
mod declare;
mod erased;
mod failure;
mod handle;
mod parents;
mod typed;

pub(in crate::hatchet) use check::validate_all;
pub(in crate::hatchet) use condition::{Action, ConditionKind};
pub use condition::{Condition, Event, OrGroup, event, sleep};
pub use declare::{Flow, WithParents};
pub use erased::ErasedWorkflow;
pub(in crate::hatchet) use erased::{RegisteredFlow, RegisteredFlowTask, Role};
pub use failure::TaskFailure;
pub use handle::{Handle, Hook, parent_output};
pub use parents::Parents;
pub use typed::Workflow;
