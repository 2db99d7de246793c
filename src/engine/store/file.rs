//! The file, and what SQLite keeps beside it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::engine::{folder, place::Place};

/// What SQLite writes beside the file, in its mode.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Files that have to stay where they are while the engine writes: the database, and the lock beside it, if there is
/// one. Who removes the lock lets a second engine at the file; what is written into a file without a name is lost.
pub(super) fn places(database: &Path) -> io::Result<Vec<Place>> {
    let lock = database.with_file_name(folder::LOCK);
    let mut places = vec![Place::of(database.to_owned(), &fs::metadata(database)?)];
    places.extend(fs::metadata(&lock).map(|metadata| Place::of(lock, &metadata)));
    Ok(places)
}

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

/// Whether the file is empty and has a log: SQLite would take it for a new one and delete the log.
pub(super) fn is_emptied(path: &Path) -> bool {
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    bytes(path) == 0 && bytes(&with(path, COMPANIONS[0])) > 0
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
