//! The resources that all attempts of a worker share.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, Semaphore};

use super::{cpu_pool::CpuPool, table::AttemptTable};
use crate::hatchet::{
    client::Client,
    task::{ChildRunner, ErasedTask, ErasedWorkflow, Hooks},
    transport::{ClientError, ErrorKind},
    wire::ActionId,
    worker::{children::ClientChildren, health::Counters, options::WorkerOptions},
};

/// Number of attempts that a worker accepts from its streams in addition to twice its slots: finished attempts whose
/// outcome is being reported, and bodies that outlive their attempt. An engine that respects the slots never reaches
/// the limit. From any other engine the worker reads no more assignments, so they cannot fill its memory.
const SPARE_ATTEMPTS: usize = 256;

/// The client, tasks, executors and counters of a worker.
pub(in crate::hatchet::worker) struct WorkerResources {
    pub(in crate::hatchet::worker) client: Client,
    /// By lower-case action id.
    tasks: HashMap<String, RegisteredTask>,
    /// Runs async and blocking bodies.
    pub(super) body_runtime: tokio::runtime::Handle,
    /// Runs CPU bodies. `None` without CPU tasks.
    pub(super) cpu_pool: Option<CpuPool>,
    pub(super) hooks: Arc<Hooks>,
    /// Starts the child runs of attempts.
    pub(super) children: Arc<dyn ChildRunner>,
    pub(in crate::hatchet::worker) cancel_grace: Duration,
    pub(in crate::hatchet::worker) counters: Arc<Counters>,
    /// Time zero of the poll clocks.
    pub(in crate::hatchet::worker) start: Instant,
    pub(in crate::hatchet::worker) table: AttemptTable,
    /// The number of attempts in the table at which streams are no longer read.
    pub(in crate::hatchet::worker) max_attempts: usize,
    /// Notified when a stream has been opened. All streams and calls share one connection, so calls then succeed.
    pub(in crate::hatchet::worker) connected: Notify,
}

/// A task with the slots of its pool.
#[derive(Clone)]
pub(super) struct RegisteredTask {
    /// Shared with the attempts, since a task contains its schemas.
    pub(super) task: Arc<ErasedTask>,
    pub(super) slots: Arc<Semaphore>,
}

impl WorkerResources {
    pub(in crate::hatchet::worker) fn new(
        client: Client,
        workflows: &[ErasedWorkflow],
        options: &WorkerOptions,
        counters: Arc<Counters>,
        body_runtime: tokio::runtime::Handle,
        cpu_pool: Option<CpuPool>,
        hooks: Hooks,
    ) -> Result<Self, ClientError> {
        let mut by_action = HashMap::new();
        for workflow in workflows.iter().flat_map(ErasedWorkflow::registered) {
            for task in &workflow.tasks {
                let slots = counters.slots(task.task.slot_pool());
                let action = action_id(&client, workflow.name, &task.name)?;
                let registered = RegisteredTask { task: Arc::new(task.task.clone()), slots };
                by_action.insert(action.as_str().to_owned(), registered);
            }
        }
        let slots = options.slots.saturating_add(options.cpu_threads);
        let children = ClientChildren::shared(client.clone(), body_runtime.clone());
        Ok(Self {
            client,
            hooks: Arc::new(hooks),
            children,
            tasks: by_action,
            body_runtime,
            cpu_pool,
            cancel_grace: options.cancel_grace,
            counters,
            start: Instant::now(),
            table: AttemptTable::default(),
            max_attempts: slots.saturating_mul(2).saturating_add(SPARE_ATTEMPTS),
            connected: Notify::new(),
        })
    }

    /// Returns the task of an action. Fails with the message to report if no task is registered for it.
    pub(super) fn task(&self, action_id: &str) -> Result<RegisteredTask, String> {
        self.tasks.get(&action_id.to_lowercase()).cloned().ok_or_else(|| {
            let registered: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
            format!("this worker has no task for the action `{action_id}`, only for {}", registered.join(", "))
        })
    }
}

/// Returns the action of a task of a workflow. The namespace prefixes only the workflow's part.
pub(in crate::hatchet::worker) fn action_id(
    client: &Client,
    workflow: &str,
    task: &str,
) -> Result<ActionId, ClientError> {
    ActionId::new(&client.config().namespaced(workflow), task)
        .map_err(|e| ClientError::new(ErrorKind::Config, e.to_string()))
}
