//! The benchmark: submits many runs, waits until they finish, and reports rates and times.
//!
//! It reaches the engine through the client alone, so that the same code measures the embedded engine and a real
//! Hatchet.
//!
//! ```text
//! LoadPlan ──► load ──► record ───► summary ──► report
//!              submits   a record   metrics,    Markdown,
//!              and waits per run    warnings    HTML
//! ```

mod benchmark;
mod keys;
mod load;
mod observer;
mod plan;
mod record;
mod report;
mod summary;
mod template;

pub use benchmark::{BenchmarkInfo, BenchmarkResult, run};
pub use keys::{KEY_TTL, KEYED_SUFFIX, RUN_KEY, RUN_KEY_PREFIX, generate_prefix, validate_prefix};
pub use load::serves;
pub use observer::{Observer, Progress, TaskProgress};
pub use plan::{LoadPlan, PlannedTask};
pub use record::{EndReason, ReportFolder, SlotCount};
pub use report::{Metric, ideal_time, metrics};
pub use summary::Summary;
pub use template::Template;
