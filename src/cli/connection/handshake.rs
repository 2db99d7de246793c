//! Finds the embedded engine by the handshake file in its folder.

use std::path::Path;
#[cfg(feature = "engine")]
use std::time::Duration;

use super::{CommandRenderer, EmbeddedMode, EngineChoice};
use crate::{
    cli::Exit,
    hatchet::{
        client::{ClientConfig, Sources, embedded_folder},
        system::Handshake,
    },
};

/// Timeout of the wait for the handshake file: 3 s. A process writes it some milliseconds after it has locked the
/// folder.
#[cfg(feature = "engine")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the handshake of the engine that runs on a folder. `None` if no engine runs there, even if a killed engine has
/// left its file.
#[cfg(feature = "engine")]
pub(in crate::cli) fn find_handshake(folder: &Path) -> Result<Option<Handshake>, Exit> {
    crate::engine::find(folder).map_err(|e| Exit::unreachable(e.to_string()))
}

/// Finds the engine of a folder, in a build that has no engine.
#[cfg(not(feature = "engine"))]
pub(in crate::cli) fn find_handshake(folder: &Path) -> Result<Option<Handshake>, Exit> {
    Handshake::find(folder).map_err(|e| Exit::unreachable(e.to_string()))
}

/// Waits for the handshake of the engine that another process runs on a folder.
#[cfg(feature = "engine")]
pub(in crate::cli) async fn wait_for_handshake(folder: &Path) -> Result<Handshake, Exit> {
    let found = tokio::time::timeout(HANDSHAKE_TIMEOUT, async {
        loop {
            if let Some(handshake) = find_handshake(folder)? {
                return Ok(handshake);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| {
        Err(Exit::unreachable(format!(
            "another process has locked {} but has not written a handshake file: stop it and start again",
            folder.display()
        )))
    })
}

/// Reads the client's settings: by token, or from the handshake file of a running embedded engine.
pub(in crate::cli) fn client_config(choice: &EngineChoice, sources: &Sources) -> Result<ClientConfig, Exit> {
    match choice {
        EngineChoice::Token(_) | EngineChoice::None => Ok(ClientConfig::from_sources(sources)?),
        EngineChoice::Embedded(_) => {
            let folder = embedded_folder(sources);
            let handshake = find_handshake(&folder)?.ok_or_else(|| Exit::unreachable(not_running(&folder, sources)))?;
            Ok(ClientConfig::from_engine_folder(&handshake, folder, sources)?)
        }
    }
}

/// The message for a folder without a running engine.
pub(in crate::cli) fn not_running(folder: &Path, sources: &Sources) -> String {
    let start = CommandRenderer::new(Some(EmbeddedMode::Always), sources).render(&["worker"]);
    let folder = folder.display();
    format!("no embedded engine runs here (folder {folder}): start one with `make run-worker` or `{start}`")
}
