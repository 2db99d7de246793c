//! Starts the embedded engine for a worker, or an official sidecar in its place, or joins the one that another process
//! runs on the same folder.

use std::{path::Path, time::Duration};

use crate::{
    cli::{
        Exit,
        connection::engine::find,
        sidecar::{Official, Running},
    },
    engine::{Engine, EngineErrorKind, EngineOptions},
    hatchet::system::Handshake,
};

/// An engine to work with.
pub(in crate::cli) enum Embedded {
    /// Ours, in this process.
    Own(Engine),
    /// An official sidecar, started by us.
    Sidecar(Box<Running>),
    /// Another process'.
    Joined(Handshake),
}

/// A process that has the folder writes its handshake file some milliseconds after it has taken the lock.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(3);

impl Embedded {
    /// With a sidecar named, that one is started and no engine of ours. `ephemeral`: ours keeps nothing over restarts.
    /// One that is joined does as it was started.
    pub(in crate::cli) async fn start(
        folder: &Path,
        sidecar: Option<&Official>,
        ephemeral: bool,
    ) -> Result<Self, Exit> {
        if let Some(sidecar) = sidecar {
            return match sidecar.start(folder).await? {
                Some(running) => Ok(Self::Sidecar(Box::new(running))),
                None => of_another_process(folder).await.map(Self::Joined),
            };
        }
        let options = EngineOptions { folder: Some(folder.to_owned()), ephemeral, ..EngineOptions::default() };
        match Engine::start(options).await {
            Ok(engine) => Ok(Self::Own(engine)),
            Err(error) if error.kind() == EngineErrorKind::FolderInUse => {
                of_another_process(folder).await.map(Self::Joined)
            }
            Err(error) => Err(Exit::unreachable(error.to_string())),
        }
    }

    /// For this process.
    pub(in crate::cli) fn handshake(&self) -> &Handshake {
        match self {
            Self::Own(engine) => engine.in_process_handshake(),
            Self::Sidecar(sidecar) => sidecar.handshake(),
            Self::Joined(handshake) => handshake,
        }
    }

    /// Waits until an engine that we have started cannot serve any more, and says why; for ever where it is another
    /// process'.
    pub(in crate::cli) async fn ended(&mut self) -> String {
        match self {
            Self::Own(engine) => {
                engine.ended().await;
                "the embedded engine ended by itself: see the log above".to_owned()
            }
            Self::Sidecar(sidecar) => sidecar.ended().await,
            Self::Joined(_) => std::future::pending().await,
        }
    }

    pub(in crate::cli) async fn stop(self) {
        match self {
            Self::Own(engine) => engine.stop().await,
            Self::Sidecar(sidecar) => sidecar.stop().await,
            Self::Joined(_) => {}
        }
    }
}

/// The engine that another process runs on a folder that it holds.
pub(in crate::cli) async fn of_another_process(folder: &Path) -> Result<Handshake, Exit> {
    let found = tokio::time::timeout(HANDSHAKE_PATIENCE, async {
        loop {
            if let Some(handshake) = find(folder)? {
                return Ok(handshake);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| {
        Err(Exit::unreachable(format!(
            "another process holds {} but has written no handshake file: stop it and start again",
            folder.display()
        )))
    })
}
