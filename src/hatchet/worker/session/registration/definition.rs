//! The workers that a process registers as.

use crate::hatchet::{
    task::{ErasedTask, ErasedWorkflow, Kind},
    transport::ClientConfig,
    worker::{labels::LabelStore, options::WorkerOptions},
};

/// A worker to register: the tasks of one slot pool, and the number of slots.
pub(in crate::hatchet::worker) struct WorkerDefinition {
    /// The worker's name, with the prefix of the namespace.
    pub(in crate::hatchet::worker::session) name: String,
    pub(in crate::hatchet::worker::session) slots: usize,
    pub(in crate::hatchet::worker::session) labels: LabelStore,
    /// The workflows that contain a task of the pool.
    pub(in crate::hatchet::worker::session) workflows: Vec<ErasedWorkflow>,
    is_cpu: bool,
}

impl WorkerDefinition {
    /// Whether the worker runs a task.
    pub(in crate::hatchet::worker::session) fn serves(&self, task: &ErasedTask) -> bool {
        (task.kind() == Kind::Cpu) == self.is_cpu
    }
}

/// Returns the workers of a process: one for its async and blocking tasks, and one named `<name>-cpu` for its CPU
/// tasks, each only if it has such tasks.
///
/// The engine queues attempts by the free slots of a worker. With one worker for all kinds, the engine could assign a
/// CPU attempt while all CPU threads are busy. The attempt would wait inside the process and use up its execution
/// timeout, which starts at the assignment. A separate slot type for CPU tasks would also solve this. But workers of
/// the official SDKs have no such slots, and a real engine refills them slowly (see
/// [`SLOT_TYPE`](crate::hatchet::wire::SLOT_TYPE)).
pub(in crate::hatchet::worker) fn worker_definitions(
    config: &ClientConfig,
    options: &WorkerOptions,
    labels: &LabelStore,
    workflows: &[ErasedWorkflow],
) -> Vec<WorkerDefinition> {
    let name = config.namespaced(&options.name);
    let pools = [(name.clone(), options.slots, false), (format!("{name}-cpu"), options.cpu_threads, true)];
    let definitions = pools.into_iter().map(|(name, slots, is_cpu)| {
        let mut definition = WorkerDefinition { name, slots, labels: labels.clone(), workflows: Vec::new(), is_cpu };
        let in_pool = |workflow: &&ErasedWorkflow| workflow.tasks().into_iter().any(|task| definition.serves(task));
        definition.workflows = workflows.iter().filter(in_pool).cloned().collect();
        definition
    });
    definitions.filter(|definition| !definition.workflows.is_empty()).collect()
}
