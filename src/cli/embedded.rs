//! Starts the embedded engine for a worker, or joins the one that another process runs on the same folder.

use std::{path::Path, time::Duration};

use super::{Exit, connect::find};
use crate::{
    engine::{Engine, EngineErrorKind, EngineOptions},
    hatchet::wire::Handshake,
};

/// An engine to work with.
pub(super) enum Embedded {
    /// Ours, in this process.
    Own(Engine),
    /// Another process'.
    Joined(Handshake),
}

/// A process that has the folder writes its handshake file some milliseconds after it has taken the lock.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(3);

impl Embedded {
    /// `ephemeral`: one that is started keeps nothing over restarts. One that is joined does as it was started.
    pub(super) async fn start(folder: &Path, ephemeral: bool) -> Result<Self, Exit> {
        let options = EngineOptions { folder: Some(folder.to_owned()), ephemeral, ..EngineOptions::default() };
        match Engine::start(options).await {
            Ok(engine) => Ok(Self::Own(engine)),
            Err(error) if error.kind() == EngineErrorKind::Held => Self::join(folder).await,
            Err(error) => Err(Exit::unreachable(error.to_string())),
        }
    }

    async fn join(folder: &Path) -> Result<Self, Exit> {
        let found = tokio::time::timeout(HANDSHAKE_PATIENCE, async {
            loop {
                if let Some(handshake) = find(folder)? {
                    return Ok(Self::Joined(handshake));
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

    /// For this process.
    pub(super) fn handshake(&self) -> &Handshake {
        match self {
            Self::Own(engine) => engine.own_handshake(),
            Self::Joined(handshake) => handshake,
        }
    }

    /// Waits until our engine cannot serve any more; for ever where it is another process'.
    pub(super) async fn ended(&mut self) {
        match self {
            Self::Own(engine) => engine.ended().await,
            Self::Joined(_) => std::future::pending().await,
        }
    }

    pub(super) async fn stop(self) {
        match self {
            Self::Own(engine) => engine.stop().await,
            Self::Joined(_) => {}
        }
    }
}
