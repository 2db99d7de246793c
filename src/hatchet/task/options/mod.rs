//! Options of tasks and workflows.
//!
//! | file | options |
//! |---|---|
//! | `concurrency` | groups of runs that share a limit of concurrent runs |
//! | `rate_limit` | units per time window |
//! | `labels` | labels of workers, and the labels that a task requires or prefers |
//! | `triggers` | event triggers with filters, crons |
//! | `setters` | the builder methods, which `Task`, `Workflow` and `Handle` share |

mod concurrency;
mod labels;
mod rate_limit;
mod setters;
mod triggers;

use std::time::Duration;

pub use concurrency::{Concurrency, Limit, MaxRuns};
pub use labels::{DesiredLabel, LabelComparator, LabelValue};
pub use rate_limit::{RateLimit, RateLimitKey, RateLimitValue, Window};
pub(super) use setters::{impl_task_options, impl_workflow_options};
pub use triggers::{DefaultFilter, Sticky};

/// The kind of a body: its use of its thread, which determines its executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Awaits. Runs on the async runtime.
    Async,
    /// Blocks its thread. Runs on a separate thread.
    Blocking,
    /// Keeps a core busy. Runs on the worker's rayon pool.
    Cpu,
}

impl Kind {
    /// Returns `async`, `blocking` or `cpu`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
            Self::Cpu => "cpu",
        }
    }
}

/// The priority of a queued run: the engine assigns runs of a higher priority first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// 1 on the wire. The default.
    #[default]
    Low = 1,
    /// 2 on the wire.
    Medium = 2,
    /// 3 on the wire.
    High = 3,
}

impl Priority {
    /// Returns the priority with this number, 1 to 3; `None` for any other number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|priority| priority.number() == number)
    }

    /// Returns the number on the wire, 1 to 3.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Options of a task, with the defaults of the official SDKs. [`Task`](super::Task) and [`Handle`](super::Handle) have
/// a method for each option.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskOptions {
    /// Maximum number of retries. Default 0.
    pub retries: u32,
    /// Delay before a retry. Default `None`: a retry starts immediately.
    pub backoff: Option<Backoff>,
    /// Limit of one attempt, from its assignment on. Default 60 s.
    pub execution_timeout: Duration,
    /// Limit of the time in the queue, separately for each attempt. Default 5 minutes.
    pub schedule_timeout: Duration,
    /// Limits of concurrent runs. Default empty.
    pub concurrency: Vec<Concurrency>,
    /// Limits of runs per time window. Default empty.
    pub rate_limits: Vec<RateLimit>,
    /// Labels of the workers that may or should run the task. Default empty.
    pub desired_labels: Vec<DesiredLabel>,
    /// Number of the worker's slots that an attempt takes. Default 1.
    pub slots: u32,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            retries: 0,
            backoff: None,
            execution_timeout: Duration::from_secs(60),
            schedule_timeout: Duration::from_secs(300),
            concurrency: Vec::new(),
            rate_limits: Vec::new(),
            desired_labels: Vec::new(),
            slots: 1,
        }
    }
}

/// Options of a workflow, and of a task that is a workflow of its own. [`Workflow`](super::Workflow) and
/// [`Task`](super::Task) have a method for each option.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkflowOptions {
    /// Sentence for the dashboard. Default empty.
    pub description: String,
    /// Name of this version of the declaration, for the dashboard. Default empty.
    pub version: String,
    /// Priority of runs whose caller does not set one. Default [`Priority::Low`].
    pub default_priority: Priority,
    /// Refuses duplicate runs. Default `None`: no run is refused.
    pub idempotency: Option<Idempotency>,
    /// Limits of concurrent runs of the whole workflow. Default empty.
    pub concurrency: Vec<Concurrency>,
    /// Keys of events that start a run. Default empty.
    pub events: Vec<String>,
    /// Conditions on the events that start a run. Default empty.
    pub default_filters: Vec<DefaultFilter>,
    /// Times at which a run starts. Default empty.
    pub crons: Vec<String>,
    /// Input of the runs that a cron starts: a JSON object, or the error of its serialization. Default `None`: an empty
    /// object.
    pub cron_input: Option<Result<String, String>>,
    /// Whether the tasks of a run prefer or require one worker. Default `None`: any worker.
    pub sticky: Option<Sticky>,
}

/// Exponential delay before a retry: `factor` to the power of the retry's number, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Base of the power, 1 to 1,000.
    pub factor: f32,
    /// Maximum delay, 1 s to 86,400 s (a day) in whole seconds.
    pub max: Duration,
}

/// Refuses a trigger whose key belongs to an earlier run. The caller receives
/// [`ErrorKind::Duplicate`](crate::hatchet::client::ErrorKind::Duplicate) with the id of that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// A CEL expression over `input` and `additional_metadata` whose result is the key, a string.
    ///
    /// Keys are unique per tenant, so a key should contain the task's name. If the expression cannot be evaluated (a
    /// field is missing, or the result is not a string), a real engine accepts the trigger and creates no run.
    pub expression: String,
    /// Maximum time until a key is released, from the trigger on; at least 1 ms.
    pub ttl: Duration,
    /// Whether a key is released earlier.
    pub method: IdempotencyMethod,
}

/// The event that releases an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdempotencyMethod {
    /// The end of its time to live, independent of the run's status.
    Ttl,
    /// The end of its run or of its time to live, whichever is earlier.
    Status,
}
