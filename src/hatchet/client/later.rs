//! Runs that start later: at a time, after a delay, or by a cron expression.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use hatchet_quickstart::prelude::*;
//! # #[derive(Serialize, Deserialize, JsonSchema)]
//! # struct Input { name: String }
//! # #[derive(Serialize, Deserialize, JsonSchema)]
//! # struct Output { message: String }
//! # const STUB: Stub<Input, Output> = Stub::new("greet");
//! # async fn example(client: Client) -> Result<(), ClientError> {
//! let input = Input { name: "Ada".into() };
//! let later = client.schedule(&STUB, &input).after(Duration::from_secs(3600)).metadata("team", "a").await?;
//! later.delete().await?;
//!
//! let nightly = client.cron(&STUB, "nightly", "0 3 * * *", &input).priority(Priority::Low).await?;
//! nightly.set_enabled(false).await?;
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    future::IntoFuture,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::{
    Client, ClientError, Cron, ErrorKind, RestClient, ScheduledRun,
    span::{in_span, run_attributes},
    template::{RunTemplate, check_time, invalid, text},
    trigger::{may_be_repeated, trigger_failed},
};
use crate::hatchet::{
    task::{CallSpan, Priority, Stub},
    transport::retry_until,
    wire::{CronExpression, CronId, ScheduleId, proto::ScheduleWorkflowRequest},
};

impl Client {
    /// Starts a run of a task at a time or after a delay: call [`Schedule::at`] or [`Schedule::after`]. A time in the
    /// past starts the run immediately.
    ///
    /// # Errors
    ///
    /// By [`ClientError::kind`]:
    ///
    /// - [`Invalid`](ErrorKind::Invalid) for a time before 1970 or after 9999, or if an engine would refuse the input
    ///   or metadata.
    /// - [`NotFound`](ErrorKind::NotFound) if no task of this name is registered.
    /// - Otherwise the error of the call. If the response was lost, the engine may have stored the schedule: the call
    ///   is not repeated then.
    pub fn schedule<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> Schedule {
        Schedule { client: self.clone(), template: RunTemplate::new(task.name(), input) }
    }

    /// Starts a run of a task at each time of a cron expression: five fields (minute, hour, day of month, month,
    /// weekday; 0 is Sunday), six with seconds first, or a descriptor such as `@daily` or `@every 5m`. Times are in UTC
    /// unless `TZ=` with the name of a time zone precedes them, as in `TZ=Europe/Berlin 0 3 * * *`. The name
    /// distinguishes the crons of a task that have the same expression.
    ///
    /// The engine looks up the time zone. A real engine accepts a cron with an unknown zone, and drops it.
    ///
    /// Requires the REST API.
    ///
    /// # Errors
    ///
    /// By [`ClientError::kind`]:
    ///
    /// - [`Invalid`](ErrorKind::Invalid) for an empty name, an expression that is malformed, out of range or never
    ///   fires, an input or metadata that an engine would refuse, an unknown task, or a name that the task has for this
    ///   expression already.
    /// - [`Config`](ErrorKind::Config) if the address of the REST API is not set.
    /// - Otherwise the errors of [`RestClient`].
    pub fn cron<I: Serialize, O>(&self, task: &Stub<I, O>, name: &str, expression: &str, input: &I) -> NewCron {
        let template = RunTemplate::new(task.name(), input);
        NewCron { client: self.clone(), template, name: name.to_owned(), expression: expression.to_owned() }
    }
}

/// A run that starts later, before its time is set. Returned by [`Client::schedule`].
#[must_use = "a schedule needs a time: call `at` or `after`"]
pub struct Schedule {
    client: Client,
    template: RunTemplate,
}

/// A call that schedules a run. Returned by [`Schedule::at`] and [`Schedule::after`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct ScheduleAt {
    client: Client,
    template: RunTemplate,
    /// `None` if a delay ends after the last possible time.
    at: Option<SystemTime>,
}

/// A call that creates a cron. Returned by [`Client::cron`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct NewCron {
    client: Client,
    template: RunTemplate,
    name: String,
    expression: String,
}

/// A reference to a scheduled run: its id and its client. Cheap to clone.
#[derive(Clone)]
pub struct ScheduleRef {
    client: Client,
    id: ScheduleId,
}

/// A reference to a cron: its id and its client. Cheap to clone.
#[derive(Clone)]
pub struct CronRef {
    client: Client,
    id: CronId,
}

impl Schedule {
    /// Sets the time of the start.
    pub fn at(self, time: SystemTime) -> ScheduleAt {
        ScheduleAt { client: self.client, template: self.template, at: Some(time) }
    }

    /// Sets the delay until the start, from now on, by the clock of this machine.
    pub fn after(self, delay: Duration) -> ScheduleAt {
        ScheduleAt { client: self.client, template: self.template, at: SystemTime::now().checked_add(delay) }
    }
}

macro_rules! impl_options {
    ($builder:ident) => {
        impl $builder {
            /// Sets the priority of the run. Default: the task's priority.
            pub fn priority(mut self, priority: Priority) -> Self {
                self.template.priority = Some(priority);
                self
            }

            /// Adds a pair to the additional metadata of the run. Replaces an earlier value for the key.
            pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
                self.template.metadata.insert(key.to_owned(), value.into());
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder)).field("template", &self.template).finish_non_exhaustive()
            }
        }
    };
}

impl_options!(ScheduleAt);
impl_options!(NewCron);

impl ScheduleAt {
    async fn send(self) -> Result<ScheduleRef, ClientError> {
        let span = CallSpan::start("hatchet.schedule_workflow", |attributes| {
            let time = check_time(self.at).map(|at| [prost_types::Timestamp::from(at).to_string()]);
            let times = time.map(|time| Value::from_iter(time).to_string()).unwrap_or_default();
            let RunTemplate { task, metadata, priority, .. } = &self.template;
            run_attributes(attributes, &self.client, task, metadata, *priority)
                .text("hatchet.run_at_timestamps", &times)
        });
        in_span(span, self.schedule()).await
    }

    async fn schedule(self) -> Result<ScheduleRef, ClientError> {
        let Self { client, template, at } = self;
        let (input, metadata) = template.payloads()?;
        let at = check_time(at)?;
        let operation = &format!("scheduling {}", template.task);
        let request = &ScheduleWorkflowRequest {
            name: client.config().namespaced(&template.task),
            schedules: vec![at.into()],
            input,
            additional_metadata: Some(metadata),
            priority: template.priority.map(|priority| i32::from(priority.number())),
            ..Default::default()
        };
        let (connection, name) = (client.connection(), &*template.task);
        let response = retry_until(None, may_be_repeated, || async move {
            connection.ensure_reachable(operation).await?;
            let response = connection.workflows().schedule_workflow(request.clone()).await;
            response.map_err(|status| trigger_failed(connection, operation, name, status))
        });
        let version = response.await?.into_inner();
        let id = version.scheduled_workflows.first().map(|scheduled| scheduled.id.as_str()).unwrap_or_default();
        let id = id
            .parse()
            .map_err(|e| ClientError::new(ErrorKind::Engine, format!("{operation} failed: the response has an {e}")))?;
        Ok(ScheduleRef { client, id })
    }
}

impl NewCron {
    async fn send(self) -> Result<CronRef, ClientError> {
        let Self { client, template, name, expression } = self;
        text("cron name", &name)?;
        // A real engine accepts any text, and drops a cron that it cannot parse.
        CronExpression::parse(&expression)
            .map_err(|reason| invalid(format!("invalid cron expression {expression:?}: {reason}")))?;
        let rest = client.require_rest("creating a cron")?;
        let workflow = client.config().namespaced(&template.task);
        let cron = rest.create_cron(&workflow, &name, &expression, &template).await?;
        let id = cron.metadata.id.parse().map_err(|e| {
            ClientError::new(ErrorKind::Engine, format!("creating a cron failed: the response has an {e}"))
        })?;
        Ok(CronRef { client, id })
    }
}

impl ScheduleRef {
    /// The schedule's id.
    pub fn id(&self) -> ScheduleId {
        self.id
    }

    /// Returns the schedule. An engine deletes it when its run starts: [`ErrorKind::NotFound`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::schedule`], and [`ErrorKind::Config`] if the address of the REST API is not
    /// set.
    pub async fn get(&self) -> Result<ScheduledRun, ClientError> {
        self.rest("reading a schedule")?.schedule(self.id).await
    }

    /// Changes the time of a run that has not started.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::reschedule`], and [`ErrorKind::Config`] if the address of the REST API is
    /// not set.
    pub async fn reschedule(&self, at: SystemTime) -> Result<ScheduledRun, ClientError> {
        self.rest("changing a schedule")?.reschedule(self.id, at).await
    }

    /// Deletes the schedule.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::delete_schedule`], [`ErrorKind::NotFound`] if its run has started, and
    /// [`ErrorKind::Config`] if the address of the REST API is not set.
    pub async fn delete(&self) -> Result<(), ClientError> {
        self.rest("deleting a schedule")?.delete_schedule(self.id).await
    }

    fn rest(&self, operation: &str) -> Result<&RestClient, ClientError> {
        self.client.require_rest(operation)
    }
}

impl CronRef {
    /// The cron's id.
    pub fn id(&self) -> CronId {
        self.id
    }

    /// Returns the cron.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::cron`], and [`ErrorKind::Config`] if the address of the REST API is not set.
    pub async fn get(&self) -> Result<Cron, ClientError> {
        self.rest("reading a cron")?.cron(self.id).await
    }

    /// Enables or disables the cron. A disabled cron starts no runs.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::set_cron_enabled`], and [`ErrorKind::Config`] if the address of the REST API
    /// is not set.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), ClientError> {
        self.rest("changing a cron")?.set_cron_enabled(self.id, enabled).await
    }

    /// Deletes the cron. Runs that it has started continue.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::delete_cron`], and [`ErrorKind::Config`] if the address of the REST API is
    /// not set.
    pub async fn delete(&self) -> Result<(), ClientError> {
        self.rest("deleting a cron")?.delete_cron(self.id).await
    }

    fn rest(&self, operation: &str) -> Result<&RestClient, ClientError> {
        self.client.require_rest(operation)
    }
}

impl IntoFuture for ScheduleAt {
    type Output = Result<ScheduleRef, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl IntoFuture for NewCron {
    type Output = Result<CronRef, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("template", &self.template).finish_non_exhaustive()
    }
}

impl fmt::Debug for ScheduleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScheduleRef({})", self.id)
    }
}

impl fmt::Debug for CronRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronRef({})", self.id)
    }
}
