//! How a task wants to be run.

use std::time::Duration;

/// Options of a task, with the defaults of the official SDKs.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOptions {
    /// Retries after a failed attempt. Default 0.
    pub retries: u32,
    /// Wait before a retry. Default none.
    pub backoff: Option<Backoff>,
    /// Longest time of one attempt, from its assignment on. Default 60 s.
    pub execution_timeout: Duration,
    /// Longest time in the queue, for each attempt anew. Default 5 minutes.
    pub schedule_timeout: Duration,
    /// 1 to 3. Default 1.
    pub default_priority: u8,
    /// By what a second run like an earlier one is known and refused. Default none.
    pub idempotency: Option<Idempotency>,
}

/// Runs with the same key are one run: a second trigger is refused, with the id of the run that holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// CEL over `input` and `additional_metadata` that yields the key, a string.
    ///
    /// Keys count for the whole tenant, so it should hold the task's name. Where it cannot be evaluated (a field is
    /// missing, or the result is no string), a real engine accepts the trigger and makes no run.
    pub expression: String,
    /// How long a key is held, from the trigger on; at least 1 ms.
    pub ttl: Duration,
    /// When a key is free again.
    pub method: IdempotencyMethod,
}

/// When an idempotency key is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdempotencyMethod {
    /// After its time to live, whatever became of the run.
    Ttl,
    /// When its run ends, and at the latest after its time to live.
    Status,
}

/// Exponential wait between attempts, in seconds: `factor` to the power of the retry's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// 1 to 1000.
    pub factor: f32,
    /// 1 to 86,400.
    pub max_seconds: u32,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            retries: 0,
            backoff: None,
            execution_timeout: Duration::from_secs(60),
            schedule_timeout: Duration::from_secs(300),
            default_priority: 1,
            idempotency: None,
        }
    }
}
