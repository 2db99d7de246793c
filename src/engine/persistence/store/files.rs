//! The database file, and the files that SQLite writes next to it.

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

/// Endings of the files that SQLite writes next to the database, with the same permissions.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The files that must stay in place while the engine writes: the database, and the lock file if it exists. Without the
/// lock file a second engine could start; writes to a removed database are lost.
pub(crate) fn watched_files(database: &Path) -> io::Result<Vec<FileId>> {
    let lock = database.with_file_name(LOCK_FILE);
    let mut watched = vec![FileId::new(database.to_owned(), &fs::metadata(database)?)];
    watched.extend(fs::metadata(&lock).map(|metadata| FileId::new(lock, &metadata)));
    Ok(watched)
}

/// Length and modification time of the database and its log, as this engine left them.
///
/// Only this engine writes to them, so a difference means that another program has truncated or overwritten one. SQLite
/// does not detect that: it continues with the pages in its memory, and its later writes are lost at the next start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastWrite([Option<(u64, SystemTime)>; 2]);

impl LastWrite {
    /// Reads both from the file system.
    pub(crate) fn of(database: &Path) -> Self {
        let read = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        Self([read(database), read(&with_ending(database, COMPANIONS[0]))])
    }
}

/// The state of the file at the database's path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// Neither the file nor its log exists.
    Absent,
    /// A file that is not empty.
    Present,
    /// The file is empty, which a database of this engine never is, or only its log exists.
    Truncated(&'static str),
}

/// Inspects the database and the files next to it, and removes the access of other users. A file that another user may
/// have written is an error. Must be called before SQLite opens the file, because closing any descriptor of a file
/// releases all POSIX locks that the process holds on it.
pub(crate) fn inspect(path: &Path) -> io::Result<FileState> {
    let companions = COMPANIONS.map(|companion| with_ending(path, companion));
    for file in companions.iter().map(PathBuf::as_path).chain([path]) {
        match private_file::secure(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(_) | Err(_) => {}
        }
    }
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    // SQLite would treat an empty file as a new database, and delete the log or replay it.
    let has_log = [0, 2].iter().any(|index| bytes(&companions[*index]) > 0);
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => Ok(FileState::Present),
        Ok(_) if has_log => Ok(FileState::Truncated("it is empty, but its log is not")),
        Ok(_) => Ok(FileState::Truncated("it is empty")),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Err(_) if has_log => Ok(FileState::Truncated("it is missing, but its log exists")),
        Err(_) => Ok(FileState::Absent),
    }
}

/// Creates an empty file next to the database, with access for its owner only. It is renamed once it is complete.
pub(crate) fn draft(path: &Path) -> io::Result<PathBuf> {
    let draft = with_ending(path, ".new");
    private_file::create(&draft)?;
    Ok(draft)
}

/// Renames a damaged database and the files next to it to the first free name, so that no file is overwritten. If the
/// process ends half-way, the next start finds a log without its file, and renames the remaining files.
pub(crate) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let free = |aside: &PathBuf| {
        let names = COMPANIONS.map(|companion| with_ending(aside, companion));
        names.iter().chain([aside]).all(|name| fs::symlink_metadata(name).is_err())
    };
    let numbered = |n: u32| with_ending(path, &if n == 0 { ".damaged".to_owned() } else { format!(".damaged.{n}") });
    let aside = (0..).map(numbered).find(free).unwrap_or_else(|| numbered(u32::MAX));
    for (source, target) in renames(path, &aside) {
        match fs::rename(source, target) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// The renames in their order. The database is first: a database without its log would seem complete but have old rows,
/// while a log without its database is recognized.
pub(crate) fn renames(path: &Path, aside: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    [""].into_iter().chain(COMPANIONS).map(move |ending| (with_ending(path, ending), with_ending(aside, ending)))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
