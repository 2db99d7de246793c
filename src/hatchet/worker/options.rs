//! Options of a worker as one value.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use crate::hatchet::task::LabelValue;

/// Options of a worker as one value, for programs that read them from settings. [`Worker`](super::Worker) has a method
/// for each option.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Name of the worker: ASCII letters, digits, `.`, `-` and `_`. CPU tasks are registered as a second worker named
    /// `<name>-cpu`. Default `hatchet-quickstart`.
    pub name: String,
    /// Maximum number of concurrent async and blocking attempts, at least 1. Default 100. Each running blocking body
    /// occupies a blocking thread of the tokio runtime, which has 512 by default.
    pub slots: usize,
    /// Maximum number of concurrent CPU attempts, and threads of the rayon pool that they share, at least 1. Default:
    /// the number of cores.
    pub cpu_threads: usize,
    /// Labels, by which tasks choose their workers. Default empty. [`RunningWorker::set_labels`] changes them later.
    ///
    /// [`RunningWorker::set_labels`]: super::RunningWorker::set_labels
    pub labels: BTreeMap<String, LabelValue>,
    /// Time that running attempts have to finish after a stop before they are cancelled. Default 25 s.
    pub grace: Duration,
    /// Time that a body has to end after its cancellation. Afterwards an async body is dropped. A body on a thread is
    /// named in the log and keeps its slot. Default 1 s.
    pub cancel_grace: Duration,
    /// Time to wait at the start for an engine that does not respond. Default 0: the start fails.
    ///
    /// Minimum waits apply in any case: 4 s if the address accepts connections and sends nothing, 10 s for each call to
    /// an engine that accepts connections, and 30 s of retries if the engine fails the registration with INTERNAL,
    /// UNAVAILABLE or ABORTED, as a real engine does when several workers register the same new tasks concurrently. A
    /// registered worker reconnects without a time limit.
    pub wait_for_engine: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: "hatchet-quickstart".to_owned(),
            slots: 100,
            cpu_threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            labels: BTreeMap::new(),
            grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(1),
            wait_for_engine: Duration::ZERO,
        }
    }
}
