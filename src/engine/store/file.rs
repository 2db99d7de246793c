//! The file, and what SQLite keeps beside it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::engine::folder;

/// What SQLite writes beside the file, in its mode.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Makes the file if need be, for its owner only. Links are refused, also in the place of what SQLite writes beside it.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    for companion in COMPANIONS {
        folder::refuse_link(&with(path, companion))?;
    }
    folder::open_private(path, false)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Renames a damaged file, and what is beside it in the same way, so that nothing is overwritten and it can still be
/// looked at.
pub(super) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let free = |aside: &PathBuf| fs::symlink_metadata(aside).is_err();
    let numbered = |n: u32| with(path, &if n == 0 { ".damaged".to_owned() } else { format!(".damaged.{n}") });
    let aside = (0..).map(numbered).find(free).unwrap_or_else(|| numbered(u32::MAX));
    for companion in COMPANIONS {
        match fs::rename(with(path, companion), with(&aside, companion)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
