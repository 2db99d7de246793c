//! Announcement of an engine that another program runs.

use std::path::Path;

use super::data_folder::DataFolder;
use crate::{engine::EngineError, hatchet::system::Handshake};

/// Announces an engine of another program in a data folder, so that clients find it like an embedded one. Dropping it
/// removes the handshake file and releases the folder.
#[derive(Debug)]
pub struct Announcement(DataFolder);

impl Announcement {
    /// Locks the folder. Fails with [`FolderInUse`](crate::engine::EngineErrorKind::FolderInUse) if another process has
    /// locked it.
    pub fn acquire(folder: &Path) -> Result<Self, EngineError> {
        DataFolder::acquire(folder).map(Self)
    }

    /// Writes the handshake file.
    pub fn publish(&self, handshake: &Handshake) -> Result<(), EngineError> {
        self.0.announce(handshake)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}
