//! Finds the embedded engine by the handshake file in its folder.

use std::path::{Path, PathBuf};
#[cfg(feature = "engine")]
use std::time::Duration;

use super::{CommandRenderer, EmbeddedMode, EngineChoice};
#[cfg(not(feature = "engine"))]
use crate::hatchet::system::private_file;
use crate::{
    cli::Exit,
    hatchet::{
        client::{ClientConfig, Rediscovery, Sources},
        system::Handshake,
    },
};

/// A process that holds the folder's lock writes its handshake file some milliseconds later: wait at most 3 s.
#[cfg(feature = "engine")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// The folder of the embedded engine.
pub(in crate::cli) fn embedded_folder(sources: &Sources) -> PathBuf {
    PathBuf::from(sources.value("HATCHET_EMBEDDED_DIR").unwrap_or(".hatchet"))
}

/// The handshake of the engine that runs on a folder. `None` if none runs, even if one that was killed has left its
/// file.
#[cfg(feature = "engine")]
pub(in crate::cli) fn find_handshake(folder: &Path) -> Result<Option<Handshake>, Exit> {
    crate::engine::find(folder).map_err(|e| Exit::unreachable(e.to_string()))
}

/// The handshake in a folder. A build without the engine cannot check the folder's lock; the first call shows whether
/// the engine runs.
#[cfg(not(feature = "engine"))]
pub(in crate::cli) fn find_handshake(folder: &Path) -> Result<Option<Handshake>, Exit> {
    let path = folder.join("handshake.json");
    let failed = |e| Exit::unreachable(format!("reading the handshake file {} failed: {e}", path.display()));
    match private_file::check_folder(folder) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Exit::unreachable(format!("{} cannot be used: {e}", folder.display()))),
        Ok(()) => Handshake::read(&path).map_err(failed),
    }
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
            "another process holds {} but has not written a handshake file: stop it and start again",
            folder.display()
        )))
    })
}

/// The client's settings: by token, or by the handshake file of a running embedded engine.
pub(in crate::cli) fn client_config(choice: &EngineChoice, sources: &Sources) -> Result<ClientConfig, Exit> {
    match choice {
        EngineChoice::Token(_) | EngineChoice::None => Ok(ClientConfig::from_sources(sources)?),
        EngineChoice::Embedded(_) => {
            let folder = embedded_folder(sources);
            let handshake = find_handshake(&folder)?.ok_or_else(|| Exit::unreachable(not_running(&folder, sources)))?;
            handshake_config(&handshake, folder, sources)
        }
    }
}

/// The message for a folder without a running engine.
pub(in crate::cli) fn not_running(folder: &Path, sources: &Sources) -> String {
    let start = CommandRenderer::new(Some(EmbeddedMode::Always), sources).render(&["worker"]);
    let folder = folder.display();
    format!("no embedded engine runs here (folder {folder}): start one with `make run-worker` or `{start}`")
}

/// The client's settings for an engine of another process. If that engine moves, the client finds it by its folder.
pub(in crate::cli) fn handshake_config(
    handshake: &Handshake,
    folder: PathBuf,
    sources: &Sources,
) -> Result<ClientConfig, Exit> {
    let rediscovery = Some(Rediscovery::new(move || find_handshake(&folder).ok().flatten()));
    Ok(ClientConfig { rediscovery, ..ClientConfig::from_handshake(handshake, sources)? })
}
