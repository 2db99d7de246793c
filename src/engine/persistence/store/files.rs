//! The database file, and the files that SQLite keeps beside it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    engine::file_id::{FileId, LOCK_FILE},
    hatchet::system::private_file,
};

/// Endings of the files that SQLite writes beside the database, with the same permissions.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The files that must stay in place while the engine writes: the database, and the lock beside it if there is one.
/// Removing the lock would admit a second engine; what is written to a removed database is lost.
pub(crate) fn watched_files(database: &Path) -> io::Result<Vec<FileId>> {
    let lock = database.with_file_name(LOCK_FILE);
    let mut watched = vec![FileId::new(database.to_owned(), &fs::metadata(database)?)];
    watched.extend(fs::metadata(&lock).map(|metadata| FileId::new(lock, &metadata)));
    Ok(watched)
}

/// Length and modification time of the database and its log, as this engine left them.
///
/// Only this engine writes to them, so a difference means that another program has truncated or overwritten one. SQLite
/// does not notice that: it goes on with the pages it has in memory, and what it writes then is lost at the next start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastWrite([Option<(u64, SystemTime)>; 2]);

impl LastWrite {
    /// Reads both from the file system.
    pub(crate) fn of(database: &Path) -> Self {
        let read = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        Self([read(database), read(&with(database, COMPANIONS[0]))])
    }
}

/// What is at the path of the database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// No file, and no log beside it.
    Absent,
    /// A file that is not empty.
    Present,
    /// An empty file, which a database of ours never is, or a log without its file.
    Truncated(&'static str),
}

/// Inspects the database and the files beside it, and removes the access of other users. A file that another user may
/// have written is an error. To be called before SQLite opens the file: closing any descriptor of a file releases all
/// POSIX locks that the process holds on it.
pub(crate) fn inspect(path: &Path) -> io::Result<FileState> {
    let companions = COMPANIONS.map(|companion| with(path, companion));
    for file in companions.iter().map(PathBuf::as_path).chain([path]) {
        match private_file::secure(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(_) | Err(_) => {}
        }
    }
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    // SQLite would treat an empty file as a new one, and delete the log or replay it.
    let has_log = [0, 2].iter().any(|at| bytes(&companions[*at]) > 0);
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => Ok(FileState::Present),
        Ok(_) if has_log => Ok(FileState::Truncated("it is empty, and there is a log beside it")),
        Ok(_) => Ok(FileState::Truncated("it is empty")),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Err(_) if has_log => Ok(FileState::Truncated("it is gone, and there is a log of it")),
        Err(_) => Ok(FileState::Absent),
    }
}

/// Creates an empty file beside the database, with access for its owner only. It is renamed once it is complete.
pub(crate) fn draft(path: &Path) -> io::Result<PathBuf> {
    let draft = with(path, ".new");
    private_file::create(&draft)?;
    Ok(draft)
}

/// Renames a damaged database and the files beside it to the first free name, so that nothing is overwritten. If the
/// process ends half-way, the next start finds a log without its file, and moves the rest aside.
pub(crate) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let free = |aside: &PathBuf| {
        let names = COMPANIONS.map(|companion| with(aside, companion));
        names.iter().chain([aside]).all(|name| fs::symlink_metadata(name).is_err())
    };
    let numbered = |n: u32| with(path, &if n == 0 { ".damaged".to_owned() } else { format!(".damaged.{n}") });
    let aside = (0..).map(numbered).find(free).unwrap_or_else(|| numbered(u32::MAX));
    for (from, to) in renames(path, &aside) {
        match fs::rename(from, to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// The renames in their order: the database first, because without its log it would seem complete, with old rows, while
/// a log without its database is recognised.
pub(crate) fn renames(path: &Path, aside: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    [""].into_iter().chain(COMPANIONS).map(move |ending| (with(path, ending), with(aside, ending)))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
