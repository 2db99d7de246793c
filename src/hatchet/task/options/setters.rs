//! The builder methods of options.
//!
//! Several types have the same options: `Task` and `Handle` have the options of a task, `Task` and `Workflow` the
//! options of a workflow. Macros declare the methods once, so that their names and documentation agree.

/// Declares the methods for [`TaskOptions`](super::TaskOptions) inside an `impl` block. The type has a method
/// `with_task_options(self, impl FnOnce(&mut TaskOptions)) -> Self`.
macro_rules! impl_task_options {
    () => {
        /// Retries a failed attempt up to this many times. Default 0, at most 2,147,483,647.
        pub fn retries(self, retries: u32) -> Self {
            self.with_task_options(|options| options.retries = retries)
        }

        /// Delays a retry by `factor` to the power of the retry's number, in seconds, and at most by `max`. By default
        /// a retry starts immediately.
        ///
        /// `factor` is 1 to 1,000; `max` is 1 s to 86,400 s (a day) in whole seconds.
        pub fn backoff(self, factor: f32, max: ::std::time::Duration) -> Self {
            self.with_task_options(|options| {
                options.backoff = Some($crate::hatchet::task::Backoff { factor, max });
            })
        }

        /// Limits the time of an attempt, from its assignment to a worker on. Default 60 s; 1 ms to 2,562,047 h.
        pub fn execution_timeout(self, timeout: ::std::time::Duration) -> Self {
            self.with_task_options(|options| options.execution_timeout = timeout)
        }

        /// Limits the time that an attempt waits for a worker. Afterwards the engine cancels the run. Default 5
        /// minutes; 1 ms to 2,562,047 h.
        pub fn schedule_timeout(self, timeout: ::std::time::Duration) -> Self {
            self.with_task_options(|options| options.schedule_timeout = timeout)
        }

        /// Limits the number of concurrent runs of the task. Several calls add several limits, which all apply.
        /// Default: none.
        pub fn concurrency(self, limit: $crate::hatchet::task::Concurrency) -> Self {
            self.with_task_options(|options| options.concurrency.push(limit))
        }

        /// Limits the number of attempts in a time window. Several calls add several limits, which all apply. Default:
        /// none.
        pub fn rate_limit(self, limit: $crate::hatchet::task::RateLimit) -> Self {
            self.with_task_options(|options| options.rate_limits.push(limit))
        }

        /// Prefers or requires workers with a label. Several calls add several labels. Default: any worker.
        pub fn desired_label(self, label: $crate::hatchet::task::DesiredLabel) -> Self {
            self.with_task_options(|options| options.desired_labels.push(label))
        }

        /// Sets the number of the worker's slots that an attempt takes. Default 1; at least 1, at most the slots of the
        /// worker.
        pub fn slots(self, slots: u32) -> Self {
            self.with_task_options(|options| options.slots = slots)
        }
    };
}

/// Declares the methods for [`WorkflowOptions`](super::WorkflowOptions) inside an `impl` block. The type has a method
/// `with_workflow_options(self, impl FnOnce(&mut WorkflowOptions)) -> Self`, and the input type `$input`.
macro_rules! impl_workflow_options {
    ($input:ident) => {
        /// Sets a description of one sentence, for the dashboard and for `runner --list-tasks`. Default empty.
        pub fn description(self, text: impl Into<String>) -> Self {
            let text = text.into();
            self.with_workflow_options(|options| options.description = text)
        }

        /// Names this version of the declaration, for the dashboard. Default empty.
        pub fn version(self, version: impl Into<String>) -> Self {
            let version = version.into();
            self.with_workflow_options(|options| options.version = version)
        }

        /// Sets the priority of runs whose caller does not set one. Default
        /// [`Priority::Low`]($crate::hatchet::task::Priority::Low).
        pub fn default_priority(self, priority: $crate::hatchet::task::Priority) -> Self {
            self.with_workflow_options(|options| options.default_priority = priority)
        }

        /// Refuses a second run with the same key, the result of a CEL expression over the run's input and metadata;
        /// see [`Idempotency`]($crate::hatchet::task::Idempotency). By default no run is refused.
        pub fn idempotency(
            self,
            expression: impl Into<String>,
            ttl: ::std::time::Duration,
            method: $crate::hatchet::task::IdempotencyMethod,
        ) -> Self {
            let expression = expression.into();
            self.with_workflow_options(|options| {
                options.idempotency = Some($crate::hatchet::task::Idempotency { expression, ttl, method });
            })
        }

        /// Starts a run for each event of this key, with the event's payload as input. `*` in the key stands for any
        /// text, as in `order:*`. Several calls add several keys.
        pub fn on_event(self, key: impl Into<String>) -> Self {
            let key = key.into();
            self.with_workflow_options(|options| options.events.push(key))
        }

        /// Starts a run for an event of a scope only if a condition is true; see
        /// [`DefaultFilter`]($crate::hatchet::task::DefaultFilter). Several calls add several filters.
        pub fn default_filter(self, filter: $crate::hatchet::task::DefaultFilter) -> Self {
            self.with_workflow_options(|options| options.default_filters.push(filter))
        }

        /// Starts runs at the times of a cron expression: five fields (minute, hour, day of month, month, weekday; 0 is
        /// Sunday), or six with seconds first. Times are in UTC unless `TZ=` with the name of a time zone precedes them,
        /// as in `TZ=Europe/Berlin 0 3 * * *`. Descriptors such as `@daily` are refused, as by a real engine; so is an
        /// expression that never fires.
        ///
        /// Several calls add several expressions. Each registration of the declaration replaces its crons.
        pub fn on_cron(self, expression: impl Into<String>) -> Self {
            let expression = expression.into();
            self.with_workflow_options(|options| options.crons.push(expression))
        }

        /// Sets the input of the runs that [`on_cron`](Self::on_cron) starts. Default: an empty object.
        pub fn cron_input(self, input: &$input) -> Self {
            let input = ::serde_json::to_string(input).map_err(|e| e.to_string());
            self.with_workflow_options(|options| options.cron_input = Some(input))
        }

        /// Runs the tasks of a run on one worker; see [`Sticky`]($crate::hatchet::task::Sticky). Default: any worker.
        pub fn sticky(self, sticky: $crate::hatchet::task::Sticky) -> Self {
            self.with_workflow_options(|options| options.sticky = Some(sticky))
        }
    };
}

pub(in crate::hatchet::task) use {impl_task_options, impl_workflow_options};
