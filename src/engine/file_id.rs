//! Identity of files that an engine uses exclusively.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

pub(super) use crate::hatchet::system::LOCK_FILE;

/// A path and the identity of its file, to detect that the file was removed or replaced.
#[derive(Debug)]
pub(super) struct FileId {
    path: PathBuf,
    inode: (u64, u64),
}

impl FileId {
    /// The file at a path, whose metadata was read from the open file.
    pub(super) fn new(path: PathBuf, metadata: &Metadata) -> Self {
        Self { path, inode: inode(metadata) }
    }

    /// The path if it no longer leads to the file. Outside Unix, a missing file is detected but a replaced file is not.
    pub(super) fn lost_path(&self) -> Option<&Path> {
        let is_same = fs::metadata(&self.path).is_ok_and(|now| inode(&now) == self.inode);
        (!is_same).then_some(&self.path)
    }
}

/// Device and inode number; zeros outside Unix.
fn inode(metadata: &Metadata) -> (u64, u64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        (0, 0)
    }
}
