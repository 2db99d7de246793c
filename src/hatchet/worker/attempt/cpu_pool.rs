//! The rayon pool for CPU bodies. The only file that uses rayon's pools.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::sync::oneshot;

/// The thread pool of all CPU bodies. Cheap to clone.
#[derive(Clone)]
pub(in crate::hatchet::worker) struct CpuPool(Arc<rayon::ThreadPool>);

impl CpuPool {
    /// Starts the threads. Fails if the system does not provide them.
    pub(in crate::hatchet::worker) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("hatchet-cpu-{n}"));
        Ok(Self(Arc::new(pool.build()?)))
    }

    /// Runs a body in the pool, so that its `par_iter` uses the pool. The result of a panic is its payload.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Box<dyn Any + Send>>> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || {
            let _ = sender.send(catch_unwind(AssertUnwindSafe(body)));
        });
        receiver
    }
}
