//! What a benchmark records: a record for each run, and the report folder that it is written to.
//!
//! [`run`] holds the records, [`times`] completes them from the engine's REST list, [`executions`] checks them against
//! the attempts that the tasks counted, and [`folder`] writes them to disk while the benchmark runs.

mod executions;
mod folder;
mod recording;
mod run;
mod times;

pub(super) use executions::check_executions;
pub use folder::ReportFolder;
pub(super) use folder::SUMMARY;
pub use recording::EndReason;
pub(super) use recording::{Recording, SecondPass, SlotsByPool};
pub(super) use run::{Acceptance, Micros, RunRecord, RunRecords};
pub(super) use times::fill_times;
