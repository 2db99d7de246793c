//! What an engine is started with.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::hatchet::wire::DEFAULT_MAX_MESSAGE;

/// How an engine is to run. The default is an engine in memory, on a loopback port that the system chooses.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where to listen. On a loopback address the REST part answers under loopback names only, so that no page of a
    /// stranger can reach it through a browser on this machine; on another address under IP addresses too. Port 0
    /// means the port kept in the folder, or else one that the system chooses.
    pub bind: SocketAddr,
    /// Where the REST part is.
    pub rest: Rest,
    /// Where the lock, the handshake file, the signing key and, unless the engine is [ephemeral](Self::ephemeral), all
    /// that it knows are kept; with `None` all of it is made anew and kept in memory.
    pub folder: Option<PathBuf>,
    /// Keep nothing over a restart, in spite of the folder. So it is without a folder, and in a build without the
    /// cargo feature `durable`.
    pub ephemeral: bool,
    /// How many finished runs are kept; beyond that the ones that ended first are forgotten. The last that many
    /// events are kept too.
    pub keep_finished: usize,
    /// How long a finished run is kept: while the engine runs by a clock that nobody sets, from start to start by the
    /// wall clock.
    pub keep_finished_for: Duration,
    /// Bytes of finished runs that are kept: payloads, and about 1 KiB a task beside them.
    pub keep_finished_bytes: usize,
    /// Bytes that the engine holds at most: payloads and metadata of all runs, finished ones among them, declared
    /// workflows, workers with their labels, schedules and crons, and about 1 KiB for each task. Beyond it calls that
    /// would add to them are refused with `RESOURCE_EXHAUSTED` until runs have ended. Default 1 GiB.
    pub max_held_bytes: usize,
    /// The engine's waits.
    pub timings: Timings,
    /// Largest message taken or sent, in bytes.
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
            max_held_bytes: 1 << 30,
            timings: Timings::default(),
            max_message: DEFAULT_MAX_MESSAGE,
        }
    }
}

impl EngineOptions {
    pub(super) fn keep(&self) -> Retention {
        Retention {
            count: self.keep_finished,
            age: self.keep_finished_for,
            bytes: self.keep_finished_bytes,
            held_bytes: self.max_held_bytes,
        }
    }
}

/// How much of what is over is kept, and how much is held in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) count: usize,
    pub(crate) age: Duration,
    pub(crate) bytes: usize,
    /// [`EngineOptions::max_held_bytes`].
    pub(crate) held_bytes: usize,
}

/// Where the REST part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// On the address of the gRPC services.
    Shared,
    /// On an address of its own; both addresses then serve both.
    At(SocketAddr),
    /// Nowhere. SDKs that pause a worker before it stops, or ask for a run's status, need it.
    Off,
}

/// The engine's waits and budgets. The defaults are those of a real Hatchet; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timings {
    /// A worker gets work only if its last heartbeat is younger than this.
    pub heartbeat_fresh: Duration,
    /// A worker whose last heartbeat is older than this has lost its tasks.
    pub worker_dead: Duration,
    /// A worker that has been silent for this long, without a stream, is forgotten.
    pub worker_forgotten: Duration,
    /// How often a task may lose its worker before it fails.
    pub max_reassignments: u32,
    /// How long a stream chunk waits for one with a lower index.
    pub chunk_gap: Duration,
    /// Execution timeout of a task that declares none.
    pub execution_timeout: Duration,
    /// Schedule timeout of a task that declares none.
    pub schedule_timeout: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat_fresh: Duration::from_secs(5),
            worker_dead: Duration::from_secs(30),
            // Ours: a real engine keeps the row. One hour is far beyond any reconnect and bounds the memory.
            worker_forgotten: Duration::from_secs(3600),
            max_reassignments: 10,
            chunk_gap: Duration::from_secs(5),
            execution_timeout: Duration::from_secs(300),
            schedule_timeout: Duration::from_secs(300),
        }
    }
}
