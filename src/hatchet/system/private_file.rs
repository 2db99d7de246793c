//! Files with secrets. They are created for their owner only, and read only if no other user can have written them.
//!
//! Another user may have prepared an engine's folder, for example below `/tmp`. With a signing key that another user
//! placed there, that user could create tokens that this process accepts. A hard link would expose this process's
//! secrets under another user's permissions. So each file is checked after it was opened, on its descriptor, which a
//! later rename or replacement of the path does not affect:
//!
//! - it is a regular file (a FIFO would block the reader),
//! - this process's user owns it,
//! - it has one hard link (another could be in a folder of another user),
//! - no other user can write to it.
//!
//! On non-Unix systems, only the type is checked. [`read`] also limits the size, on every system.

use std::{
    error::Error,
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

/// The reason why a file or folder is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untrusted {
    /// It is a symbolic link, which is not followed.
    SymbolicLink,
    /// It is not a regular file, but a folder, a FIFO, a socket or a device.
    NotAFile,
    /// Another user owns it.
    Owner {
        /// The user id of the file's owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// It has this number of hard links instead of one.
    Links(u64),
    /// Other users can write to it. Contains its mode.
    Writable(u32),
    /// It is larger than this limit, in bytes.
    TooLarge(usize),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SymbolicLink => write!(f, "it is a symbolic link, which is not followed. Use the path of its target"),
            Self::NotAFile => write!(f, "it is not a regular file. Remove it, or choose another folder"),
            Self::Owner { owner, user } => write!(
                f,
                "its owner is the user with id {owner}, but this process runs as {user}. Choose another folder, or change \
                 the owner if you trust its content"
            ),
            Self::Links(links) => {
                write!(f, "it has {links} hard links, so it can be accessed by other paths. Remove it")
            }
            Self::Writable(mode) => write!(
                f,
                "other users can write to it (mode {:o}). Remove it, or run `chmod go-w` if you trust its content",
                mode & 0o777
            ),
            Self::TooLarge(limit) => write!(f, "it is larger than {limit} bytes. Remove it"),
        }
    }
}

impl Error for Untrusted {}

impl Untrusted {
    /// The reason that an error of this module contains. `None` for other errors.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Untrusted> for io::Error {
    fn from(reason: Untrusted) -> Self {
        Self::new(io::ErrorKind::InvalidData, reason)
    }
}

/// Opens a file for reading, and checks it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_checked(path, OpenOptions::new().read(true))
}

/// Opens a file for reading and writing, and checks it. Creates a missing file for its owner only, and makes an
/// existing file private if other users can read it.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = open_checked(path, owner_only(&mut options))?;
    make_private(&file)?;
    Ok(file)
}

/// Checks an existing file, and makes it private if other users can read it.
#[cfg(feature = "durable")]
pub(crate) fn secure(path: &Path) -> io::Result<()> {
    make_private(&open(path)?)
}

/// Creates an empty file for its owner only. Removes an existing file of that name first, which another process may
/// have opened or linked.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    owner_only(OpenOptions::new().write(true).create_new(true)).open(path)
}

/// Reads a file of at most `limit` bytes, after the checks of [`open`].
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut content = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(Untrusted::TooLarge(limit).into());
    }
    Ok(content)
}

/// Replaces a file atomically: a reader gets either the old or the new content. `draft` is a path in the same folder
/// that only this writer uses.
pub(crate) fn replace(path: &Path, draft: &Path, content: &str) -> io::Result<()> {
    let write = || {
        let mut out = create(draft)?;
        out.write_all(content.as_bytes())?;
        out.sync_all()?;
        fs::rename(draft, path)
    };
    write().inspect_err(|_| {
        // The draft may not exist.
        let _ = fs::remove_file(draft);
    })
}

/// Checks that a folder is not a link and belongs to this process's user. Does not check the files in it.
pub(crate) fn check_folder(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(Untrusted::SymbolicLink.into());
    }
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    check_owner(&metadata)
}

/// Opens without following a link at the end of the path and without waiting for the writer of a FIFO.
fn open_checked(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Reports the usual cases. The flags below cover a path that is replaced after this check.
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => return Err(Untrusted::SymbolicLink.into()),
        Ok(found) if !found.is_file() => return Err(Untrusted::NotAFile.into()),
        Ok(_) | Err(_) => {}
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    let file = options.open(path)?;
    check_metadata(&file.metadata()?)?;
    Ok(file)
}

fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn check_metadata(metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(Untrusted::NotAFile.into());
    }
    check_owner(metadata)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.nlink() > 1 {
            return Err(Untrusted::Links(metadata.nlink()).into());
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(Untrusted::Writable(metadata.mode()).into());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn check_owner(metadata: &Metadata) -> io::Result<()> {
    let (owner, user) = (std::os::unix::fs::MetadataExt::uid(metadata), rustix::process::geteuid().as_raw());
    if owner == user { Ok(()) } else { Err(Untrusted::Owner { owner, user }.into()) }
}

#[cfg(not(unix))]
fn check_owner(_metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const LIMIT: usize = 64;

    /// A folder with a file `secret` in it, for its owner only.
    fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        create(&file).unwrap().write_all(b"key").unwrap();
        (dir, file)
    }

    /// The reason for which each function that opens an existing file refuses this file.
    fn refusal(file: &Path) -> Untrusted {
        let reasons = [read(file, LIMIT).err(), open(file).err(), secure(file).err(), open_or_create(file).err()];
        let reasons = reasons.map(|error| Untrusted::of(&error.unwrap()).unwrap());
        assert!(reasons.iter().all(|reason| *reason == reasons[0]), "{reasons:?}");
        reasons[0]
    }

    fn make_fifo(path: &Path) {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn private_file_is_read() {
        let (_dir, file) = folder();
        assert_eq!((read(&file, LIMIT).unwrap(), mode(&file)), (b"key".to_vec(), 0o600));
        assert_eq!(read(&file, 3).unwrap().len(), 3);
    }

    #[test]
    fn file_over_the_limit_is_refused() {
        let (_dir, file) = folder();
        assert_eq!(Untrusted::of(&read(&file, 2).unwrap_err()), Some(Untrusted::TooLarge(2)));
        // A sparse file. Reading all of it would take 4 GiB of memory.
        OpenOptions::new().write(true).open(&file).unwrap().set_len(4 << 30).unwrap();
        assert_eq!(Untrusted::of(&read(&file, LIMIT).unwrap_err()), Some(Untrusted::TooLarge(LIMIT)));
    }

    #[test]
    fn special_file_is_refused_without_blocking() {
        let (dir, file) = folder();
        fs::remove_file(&file).unwrap();
        make_fifo(&file);
        assert_eq!(refusal(&file), Untrusted::NotAFile);
        assert_eq!(refusal(dir.path()), Untrusted::NotAFile);
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(refusal(&link), Untrusted::SymbolicLink);
    }

    #[test]
    fn fifo_that_replaces_a_checked_file_does_not_block() {
        let (_dir, file) = folder();
        fs::remove_file(&file).unwrap();
        make_fifo(&file);
        // Skips the check of the path, as if the FIFO had been created after it.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = rustix::fs::open(&file, flags, rustix::fs::Mode::empty()).map(File::from).unwrap();
        assert_eq!(Untrusted::of(&check_metadata(&opened.metadata().unwrap()).unwrap_err()), Some(Untrusted::NotAFile));
    }

    #[test]
    fn hard_linked_file_is_refused() {
        let (dir, file) = folder();
        fs::hard_link(&file, dir.path().join("elsewhere")).unwrap();
        assert_eq!(refusal(&file), Untrusted::Links(2));
    }

    #[test]
    fn file_writable_by_others_is_refused() {
        let (_dir, file) = folder();
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(refusal(&file), Untrusted::Writable(found) if found & 0o777 == mode));
        }
    }

    #[test]
    fn file_readable_by_others_becomes_private() {
        let (_dir, file) = folder();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        open_or_create(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        secure(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn file_of_another_owner_is_refused() {
        let (dir, file) = folder();
        let user = rustix::process::geteuid().as_raw();
        // Only root can change the owner of a file.
        if user != 0 {
            return;
        }
        std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
        assert_eq!(refusal(&file), Untrusted::Owner { owner: 65534, user });
        std::os::unix::fs::chown(dir.path(), Some(65534), None).unwrap();
        let error = check_folder(dir.path()).unwrap_err();
        assert_eq!(Untrusted::of(&error), Some(Untrusted::Owner { owner: 65534, user }));
    }

    #[test]
    fn replacing_writes_nothing_through_a_link() {
        let (dir, file) = folder();
        let (draft, elsewhere) = (dir.path().join("draft"), dir.path().join("elsewhere"));
        for prepare in [|from: &Path, to: &Path| fs::hard_link(from, to), |from: &Path, to: &Path| symlink(from, to)] {
            fs::write(&elsewhere, "old").unwrap();
            fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
            prepare(&elsewhere, &draft).unwrap();
            replace(&file, &draft, "secret").unwrap();
            assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "old");
            assert_eq!((read(&file, LIMIT).unwrap(), mode(&file)), (b"secret".to_vec(), 0o600));
        }
    }
}
