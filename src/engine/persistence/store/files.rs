//! The file, and what SQLite keeps beside it.

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

/// What SQLite writes beside the file, in its mode.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Files that have to stay where they are while the engine writes: the database, and the lock beside it, if there is
/// one. Who removes the lock lets a second engine at the file; what is written into a file without a name is lost.
pub(crate) fn places(database: &Path) -> io::Result<Vec<FileId>> {
    let lock = database.with_file_name(LOCK_FILE);
    let mut places = vec![FileId::new(database.to_owned(), &fs::metadata(database)?)];
    places.extend(fs::metadata(&lock).map(|metadata| FileId::new(lock, &metadata)));
    Ok(places)
}

/// Length and time of the last change of the database and its log, as this engine left them.
///
/// Only this engine writes to them, so a difference means that another program truncated or overwrote one. SQLite does
/// not notice: it goes on with the pages it has in memory, and what it acknowledges then is lost at the next start.
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

/// What is where the file is to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing, and nothing beside it.
    Nothing,
    /// Some file.
    Something,
    /// No file or an empty one, which none of ours ever is, and what else there is of it.
    Emptied(&'static str),
}

/// Looks. A file that another user may have written is refused, also among those that SQLite writes beside it; other
/// users are locked out of them all. Call it before SQLite opens the file: closing any descriptor of a file releases all
/// POSIX locks that this process holds on it.
pub(crate) fn look(path: &Path) -> io::Result<Presence> {
    let companions = COMPANIONS.map(|companion| with(path, companion));
    for file in companions.iter().map(PathBuf::as_path).chain([path]) {
        match private_file::secure(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(_) | Err(_) => {}
        }
    }
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    // SQLite would take an empty file for a new one, and delete the log or go by it.
    let has_log = [0, 2].iter().any(|at| bytes(&companions[*at]) > 0);
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => Ok(Presence::Something),
        Ok(_) if has_log => Ok(Presence::Emptied("it is empty, and there is a log beside it")),
        Ok(_) => Ok(Presence::Emptied("it is empty")),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Err(_) if has_log => Ok(Presence::Emptied("it is gone, and there is a log of it")),
        Err(_) => Ok(Presence::Nothing),
    }
}

/// An empty file for its owner only, beside the one that it is to become.
pub(crate) fn draft(path: &Path) -> io::Result<PathBuf> {
    let draft = with(path, ".new");
    private_file::create(&draft)?;
    Ok(draft)
}

/// Renames a damaged file, and what is beside it in the same way, so that nothing is overwritten and it can still be
/// looked at. One that is cut short is found at the next look, and what is still there is put aside then.
pub(crate) fn put_aside(path: &Path) -> io::Result<PathBuf> {
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

/// In their order: the file first, because without its log it would pass for whole, with old rows, while a log without
/// its file is seen to be what it is.
pub(crate) fn renames(path: &Path, aside: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    [""].into_iter().chain(COMPANIONS).map(move |ending| (with(path, ending), with(aside, ending)))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
