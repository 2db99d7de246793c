//! An engine in memory whose time a test moves forward.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Engine, EngineError, EngineOptions, Timings, driver::Driver};
use crate::hatchet::system::Handshake;

/// A time that no test reaches. Workers send heartbeats in real time, so virtual time must not end their leases.
const NEVER: Duration = Duration::from_secs(1_000_000 * 3_600);

/// An engine in memory whose time is moved forward by [`VirtualEngine::advance`], and passes like real time otherwise.
pub(crate) struct VirtualEngine {
    engine: Engine,
    driver: Arc<Driver>,
}

impl VirtualEngine {
    pub(crate) async fn start() -> Result<Self, EngineError> {
        let timings =
            Timings { max_heartbeat_age: NEVER, worker_lease: NEVER, worker_removal: NEVER, ..Timings::default() };
        let options = EngineOptions { timings, keep_finished_for: NEVER, ..EngineOptions::default() };
        let (engine, driver) = Engine::start_with_driver(options).await?;
        Ok(Self { engine, driver })
    }

    pub(crate) fn handshake(&self) -> &Handshake {
        self.engine.handshake()
    }

    /// Moves the engine's clocks forward; see [`Driver::advance`].
    pub(crate) async fn advance(&self, by: Duration) {
        self.driver.advance(by).await;
    }

    /// Waits until the engine is quiet; see [`Driver::settle`].
    pub(crate) async fn settle(&self) {
        self.driver.settle().await;
    }

    /// Returns the time of the engine's wall clock.
    pub(crate) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.driver.now().wall.0)
    }

    /// Returns the inputs of the runs of a workflow as JSON, oldest first.
    pub(crate) fn inputs_of(&self, workflow: &str) -> Vec<String> {
        self.driver.inputs_of(workflow)
    }

    pub(crate) async fn stop(self) {
        self.engine.stop().await;
    }
}
