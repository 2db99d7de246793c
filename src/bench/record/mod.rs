//! The records of a benchmark's runs, and its report folder.
//!
//! [`run`] defines the records. [`times`] completes them from the engine's REST list, [`executions`] checks them
//! against the attempts that the tasks recorded, and [`folder`] writes them to disk during the benchmark.

mod executions;
mod folder;
mod recording;
mod run;
mod times;

pub(super) use executions::check_executions;
pub use folder::ReportFolder;
pub(super) use folder::SUMMARY;
pub use recording::{EndReason, SlotCount};
pub(super) use recording::{Recording, SecondPass, SlotsByPool};
pub(super) use run::{Acceptance, Micros, RunRecord, RunRecords};
pub(super) use times::{Span, fill_times};
