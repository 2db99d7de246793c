//! The workers that a process registers as.

use crate::hatchet::{
    task::{ErasedTask, Kind},
    transport::ClientConfig,
    worker::options::WorkerOptions,
};

/// A worker to register: the tasks of one slot pool, and the number of slots.
pub(in crate::hatchet::worker) struct WorkerDefinition {
    /// The worker's name, with the prefix of the namespace.
    pub(super) name: String,
    pub(super) slots: usize,
    pub(super) tasks: Vec<ErasedTask>,
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
    tasks: &[ErasedTask],
) -> Vec<WorkerDefinition> {
    let (cpu_tasks, other_tasks): (Vec<ErasedTask>, Vec<ErasedTask>) =
        tasks.iter().cloned().partition(|task| task.kind() == Kind::Cpu);
    let name = config.namespaced(&options.name);
    let cpu = WorkerDefinition { name: format!("{name}-cpu"), slots: options.cpu_threads, tasks: cpu_tasks };
    let other = WorkerDefinition { name, slots: options.slots, tasks: other_tasks };
    [other, cpu].into_iter().filter(|definition| !definition.tasks.is_empty()).collect()
}
