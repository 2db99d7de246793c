//! Limits of concurrent runs.

/// A limit of concurrent runs. A CEL expression divides the runs into groups, and each group has the limit.
///
/// ```
/// use hatchet_quickstart::hatchet::task::{Concurrency, Limit};
///
/// // At most two runs for each customer; the others wait, and customers take turns.
/// let per_customer = Concurrency::per("input.customer").max_runs(2);
/// // A new run replaces the running run of the same document.
/// let latest = Concurrency::per("input.document").on_limit(Limit::CancelInProgress);
/// // At most five runs in total.
/// let total = Concurrency::total(5);
/// ```
///
/// An expression reads `input` and `additional_metadata`, and its result is a string. A run whose expression cannot be
/// evaluated fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    pub(in crate::hatchet) expression: String,
    pub(in crate::hatchet) max_runs: MaxRuns,
    pub(in crate::hatchet) limit: Limit,
    pub(in crate::hatchet) shared_name: Option<String>,
}

/// The number of runs of a group that may run concurrently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxRuns {
    /// A fixed number, at least 1.
    Fixed(u32),
    /// A CEL expression over `input` and `additional_metadata` whose result is the number. The latest run of a group
    /// determines the limit of the group.
    Expression(String),
}

/// The strategy for a run that exceeds a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The run waits. Groups take turns, so that a large group does not delay a small one. The default of this library.
    #[default]
    RoundRobin,
    /// The oldest running runs of the group are cancelled.
    CancelInProgress,
    /// The new run is cancelled.
    CancelNewest,
    /// The run waits, and the runs of the group that waited before it are cancelled. Engine v0.105.16 and later.
    CancelQueuedExceptNewest,
    /// The run waits if no other run of the group waits; otherwise it is cancelled. Engine v0.105.16 and later.
    CancelQueuedExceptOldest,
}

impl Concurrency {
    /// Creates a limit of one run for each value of the CEL expression, such as `input.customer`.
    pub fn per(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), max_runs: MaxRuns::Fixed(1), limit: Limit::default(), shared_name: None }
    }

    /// Creates a limit of all runs together.
    pub fn total(max_runs: u32) -> Self {
        Self::per("'constant'").max_runs(max_runs)
    }

    /// Sets the number of concurrent runs of each group. Default 1; at least 1, at most 2,147,483,647.
    #[must_use]
    pub fn max_runs(mut self, max_runs: u32) -> Self {
        self.max_runs = MaxRuns::Fixed(max_runs);
        self
    }

    /// Computes the number of concurrent runs of a group by a CEL expression, such as
    /// `input.tier == 'premium' ? 10 : 1`. Engine v0.106.3 and later; an earlier engine applies a limit of 1.
    #[must_use]
    pub fn max_runs_by(mut self, expression: impl Into<String>) -> Self {
        self.max_runs = MaxRuns::Expression(expression.into());
        self
    }

    /// Sets the strategy for a run that exceeds the limit. Default [`Limit::RoundRobin`].
    #[must_use]
    pub fn on_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Shares the limit between all tasks of the tenant that use the same name. Tasks with several shared limits must
    /// list them in the same order. Engine v0.106.3 and later; an earlier engine limits each task separately.
    #[must_use]
    pub fn shared(mut self, name: impl Into<String>) -> Self {
        self.shared_name = Some(name.into());
        self
    }
}
