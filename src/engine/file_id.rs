//! Whether a file is still where it was.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

/// Where a file was, and which it was.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// The place of a file by its path and what was read of it there.
    pub(super) fn of(path: PathBuf, metadata: &Metadata) -> Self {
        Self { path, file: file(metadata) }
    }

    /// The path, if nothing is there any more, or another file. Where the system does not say which file it is, as
    /// outside Unix, only that nothing is there is noticed; that another engine has taken the file, the store notices.
    pub(super) fn left(&self) -> Option<&Path> {
        let is_there = fs::metadata(&self.path).is_ok_and(|now| file(&now) == self.file);
        (!is_there).then_some(&self.path)
    }
}

/// What makes a file this one and no other of the same name; on systems that do not say it, nothing.
fn file(metadata: &Metadata) -> (u64, u64) {
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
