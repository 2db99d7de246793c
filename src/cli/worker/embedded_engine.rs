//! The engine of a worker with `--embedded`: an engine in this process, an official sidecar, or the engine of another
//! process.

use std::path::Path;

use crate::{
    cli::{
        Exit,
        connection::wait_for_handshake,
        sidecar::{OfficialSidecar, RunningSidecar},
    },
    engine::{Engine, EngineErrorKind, EngineOptions},
    hatchet::system::Handshake,
};

/// The engine of a worker with `--embedded`, by the process that runs it.
pub(super) enum EmbeddedEngine {
    /// Runs in this process.
    Own(Engine),
    /// An official sidecar, started by this process.
    Sidecar(Box<RunningSidecar>),
    /// Runs in another process.
    Joined(Handshake),
}

impl EmbeddedEngine {
    /// Starts the sidecar if it is given, else an engine in this process. If another process already runs an engine on
    /// the folder, joins that engine. `ephemeral` applies to an engine in this process.
    pub(super) async fn start(folder: &Path, sidecar: Option<&OfficialSidecar>, ephemeral: bool) -> Result<Self, Exit> {
        if let Some(sidecar) = sidecar {
            return match sidecar.start(folder).await? {
                Some(running) => Ok(Self::Sidecar(Box::new(running))),
                None => wait_for_handshake(folder).await.map(Self::Joined),
            };
        }
        let options = EngineOptions { folder: Some(folder.to_owned()), ephemeral, ..EngineOptions::default() };
        match Engine::start(options).await {
            Ok(engine) => Ok(Self::Own(engine)),
            Err(error) if error.kind() == EngineErrorKind::FolderInUse => {
                wait_for_handshake(folder).await.map(Self::Joined)
            }
            Err(error) => Err(Exit::unreachable(error.to_string())),
        }
    }

    /// The handshake for other processes.
    pub(super) fn shared_handshake(&self) -> &Handshake {
        match self {
            Self::Own(engine) => engine.handshake(),
            Self::Sidecar(sidecar) => sidecar.handshake(),
            Self::Joined(handshake) => handshake,
        }
    }

    /// The handshake by which this process connects.
    pub(super) fn handshake(&self) -> &Handshake {
        match self {
            Self::Own(engine) => engine.in_process_handshake(),
            Self::Sidecar(sidecar) => sidecar.handshake(),
            Self::Joined(handshake) => handshake,
        }
    }

    /// Waits until an engine that this process has started ends unexpectedly, and returns the reason. Never returns for
    /// an engine of another process.
    pub(super) async fn ended(&mut self) -> String {
        match self {
            Self::Own(engine) => {
                engine.ended().await;
                "the embedded engine ended unexpectedly: see the log above".to_owned()
            }
            Self::Sidecar(sidecar) => sidecar.ended().await,
            Self::Joined(_) => std::future::pending().await,
        }
    }

    /// Stops an engine that this process has started.
    pub(super) async fn stop(self) {
        match self {
            Self::Own(engine) => engine.stop().await,
            Self::Sidecar(sidecar) => sidecar.stop().await,
            Self::Joined(_) => {}
        }
    }
}
