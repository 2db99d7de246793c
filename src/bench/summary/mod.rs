//! The summary of a benchmark: the content of `summary.json` and of the reports.
//!
//! [`compute`] turns the recorded runs into the [`model`], with exact [`percentiles`] and time [`series`]. [`warnings`]
//! lists limits to the validity of the metrics. [`machine`] describes the machine.

mod compute;
mod machine;
mod model;
mod percentiles;
mod series;
mod warnings;

pub(super) use compute::{SummaryInputs, compute};
pub(super) use machine::{Machine, cpu_time, load_average};
pub use model::Summary;
pub(super) use model::{Environment, Latency, OutcomeCounts, Verification};
pub(super) use percentiles::Percentiles;
