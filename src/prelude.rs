//! The items that a task file and a caller need: `use hatchet_quickstart::prelude::*;`.
//!
//! The derives `Serialize`, `Deserialize` and `JsonSchema` expand to paths of their own crates, so a crate that uses
//! them depends on `serde` (with the feature `derive`) and `schemars` as well.

pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};

pub use crate::hatchet::{
    client::{Client, ClientError, ErrorKind, RunError, RunItem, RunRef},
    task::{CancelReason, Context, Priority, Retry, Stub, Task, TaskError, Workflow},
    worker::Worker,
};
