//! Options of an engine: addresses, data folder, retention, limits and timeouts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::hatchet::wire::DEFAULT_MAX_MESSAGE;

/// Options of an engine. By default it has no data folder and listens on a loopback port that the system chooses.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Address of the gRPC services. With port 0, the engine uses the port of its last start, stored in the folder, or
    /// one that the system chooses. Default 127.0.0.1:0.
    ///
    /// On a loopback address, REST and the dashboard accept requests for loopback host names only, so that no other web
    /// page can reach them through a browser on this machine. On another address they also accept requests for any IP
    /// address.
    pub bind: SocketAddr,
    /// Address of the REST API. Default: the address of the gRPC services.
    pub rest: Rest,
    /// Data folder for the lock, the handshake file, the signing key and, unless the engine is
    /// [ephemeral](Self::ephemeral), the state. `None`, the default, keeps everything in memory.
    pub folder: Option<PathBuf>,
    /// Does not persist the state in the folder. Default `false`. An engine without a folder, or built without the
    /// cargo feature `durable`, never persists it.
    pub ephemeral: bool,
    /// Largest number of finished runs, and of events, that are kept. Beyond it, the runs that finished first are
    /// removed. Default 100,000.
    pub keep_finished: usize,
    /// Time for which a finished run is kept, measured by the monotonic clock while the engine runs, and by the wall
    /// clock between two starts. Default 7 days.
    pub keep_finished_for: Duration,
    /// Bytes of finished runs that are kept: their payloads and about 1 KiB for each task. Default 256 MiB.
    pub keep_finished_bytes: usize,
    /// Limit on the bytes of the state: payloads and metadata of all runs, definitions, workers with their labels,
    /// schedules and crons, and about 1 KiB for each task. Beyond it, calls that would add data fail with
    /// `RESOURCE_EXHAUSTED` until runs have finished. Default 1 GiB.
    pub max_state_bytes: usize,
    /// Timeouts and intervals.
    pub timings: Timings,
    /// Largest message that is received or sent, in bytes. Default 4 MiB.
    pub max_message: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rest: Rest::Shared,
            folder: None,
            ephemeral: false,
            keep_finished: 100_000,
            keep_finished_for: Duration::from_secs(7 * 24 * 3600),
            keep_finished_bytes: 256 << 20,
            max_state_bytes: 1 << 30,
            timings: Timings::default(),
            max_message: DEFAULT_MAX_MESSAGE,
        }
    }
}

impl EngineOptions {
    pub(super) fn retention(&self) -> Retention {
        Retention {
            count: self.keep_finished,
            age: self.keep_finished_for,
            bytes: self.keep_finished_bytes,
            max_bytes: self.max_state_bytes,
        }
    }
}

/// Limits on the stored data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// [`EngineOptions::keep_finished`].
    pub(crate) count: usize,
    /// [`EngineOptions::keep_finished_for`].
    pub(crate) age: Duration,
    /// [`EngineOptions::keep_finished_bytes`].
    pub(crate) bytes: usize,
    /// [`EngineOptions::max_state_bytes`].
    pub(crate) max_bytes: usize,
}

/// Address of the REST API and the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The address of the gRPC services.
    Shared,
    /// A second address. Both addresses then serve both protocols.
    At(SocketAddr),
    /// REST and the dashboard are not served. SDKs that pause a worker before it stops, or query the status of a run,
    /// need REST.
    Off,
}

/// Timeouts and intervals of an engine. The defaults are the same as in a real Hatchet, unless stated otherwise; tests
/// use shorter times.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Maximum age of the latest heartbeat of a worker that is assigned tasks. Default 5 s.
    pub max_heartbeat_age: Duration,
    /// Time without a heartbeat after which a worker loses its tasks. Default 30 s.
    pub worker_lease: Duration,
    /// Time without a heartbeat and without a stream after which a worker is removed. Default 1 h, a bound of this
    /// engine that exceeds any reconnect; a real engine keeps such workers.
    pub worker_removal: Duration,
    /// Number of workers that a task can lose before it fails. Default 10.
    pub max_reassignments: u32,
    /// Time for which a stream chunk waits for a chunk with a lower index. Default 5 s.
    pub chunk_gap: Duration,
    /// Execution timeout of a task that declares none. Default 5 min.
    pub execution_timeout: Duration,
    /// Schedule timeout of a task that declares none. Default 5 min.
    pub schedule_timeout: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            max_heartbeat_age: Duration::from_secs(5),
            worker_lease: Duration::from_secs(30),
            worker_removal: Duration::from_secs(3600),
            max_reassignments: 10,
            chunk_gap: Duration::from_secs(5),
            execution_timeout: Duration::from_secs(300),
            schedule_timeout: Duration::from_secs(300),
        }
    }
}
