//! Options of a task.

use std::time::Duration;

/// What a body does to its thread, which decides where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Awaits. Runs on the async runtime.
    Async,
    /// Blocks its thread. Runs on a thread of its own.
    Blocking,
    /// Keeps a core busy. Runs on the worker's rayon pool.
    Cpu,
}

impl Kind {
    /// `async`, `blocking` or `cpu`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
            Self::Cpu => "cpu",
        }
    }
}

/// The order in which queued runs are assigned: a run of a higher priority goes first.
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
    /// The priority of a number from 1 to 3.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|priority| priority.number() == number)
    }

    /// The number on the wire, 1 to 3.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Options of a task, with the defaults of the official SDKs. [`Task`](super::Task) has a method for each.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskOptions {
    /// Retries after a failed attempt. Default 0.
    pub retries: u32,
    /// Wait before a retry. Default none.
    pub backoff: Option<Backoff>,
    /// Limit of one attempt, from its assignment on. Default 60 s.
    pub execution_timeout: Duration,
    /// Limit of an attempt's time in the queue; it starts anew with each attempt. Default 5 minutes.
    pub schedule_timeout: Duration,
    /// Priority of runs whose caller chooses none. Default [`Priority::Low`].
    pub default_priority: Priority,
    /// Keys by which duplicate runs are refused. Default none.
    pub idempotency: Option<Idempotency>,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            retries: 0,
            backoff: None,
            execution_timeout: Duration::from_secs(60),
            schedule_timeout: Duration::from_secs(300),
            default_priority: Priority::default(),
            idempotency: None,
        }
    }
}

/// Exponential wait before a retry: `factor` to the power of the retry's number, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Base of the power, 1 to 1,000.
    pub factor: f32,
    /// Longest wait, 1 s to 86,400 s in whole seconds.
    pub max: Duration,
}

/// Refuses a trigger whose key an earlier run holds. The refused caller gets
/// [`ErrorKind::Duplicate`](crate::hatchet::client::ErrorKind::Duplicate) with the id of that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// CEL over `input` and `additional_metadata` that yields the key, a string.
    ///
    /// A key is unique in the whole tenant, so it should contain the task's name. If the expression cannot be evaluated
    /// (a field is missing, or the result is not a string), a real engine accepts the trigger and creates no run.
    pub expression: String,
    /// Time that a key is held, from the trigger on; at least 1 ms.
    pub ttl: Duration,
    /// When a key is released.
    pub method: IdempotencyMethod,
}

/// When an idempotency key is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdempotencyMethod {
    /// After its time to live, whatever the run's status.
    Ttl,
    /// When its run finishes, and at the latest after its time to live.
    Status,
}
