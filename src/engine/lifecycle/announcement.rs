//! A folder held for an engine that another program runs, so that whoever looks for an engine finds that one.

use std::path::Path;

use super::data_folder::Folder;
use crate::{engine::EngineError, hatchet::system::Handshake};

/// A held folder. Letting go of it takes the handshake file back.
#[derive(Debug)]
pub struct Announcement(Folder);

impl Announcement {
    /// Takes hold of the folder, as an engine of ours does; fails with [`Held`](crate::engine::EngineErrorKind::Held) where
    /// another process has it.
    pub fn hold(folder: &Path) -> Result<Self, EngineError> {
        Folder::hold(folder).map(Self)
    }

    /// Writes the handshake file.
    pub fn tell(&self, handshake: &Handshake) -> Result<(), EngineError> {
        self.0.announce(handshake)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}
