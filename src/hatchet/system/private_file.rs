//! Files that hold secrets: they are written for their owner only, and read only if nobody else can have written them.
//!
//! An engine's folder may lie where another user can prepare it, such as below `/tmp`. A key or a handshake file that
//! another user placed there would give that user a token that this process accepts, and a hard link would show this
//! process's secrets under another user's permissions. So every file is checked after it was opened, on its
//! descriptor, which a later rename or replacement of the path cannot change:
//!
//! - it is a regular file (a FIFO would block the reader, a directory cannot be read),
//! - this process's user owns it,
//! - it has one name (a second hard link has the permissions and the folder of somebody else's choice),
//! - no other user may write to it.
//!
//! Outside Unix these properties cannot be asked for, and only the type and the size are checked.

use std::{
    error::Error,
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

/// Why a file or folder is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is a symbolic link, which is not followed.
    Link,
    /// It is no regular file: a folder, a FIFO, a socket or a device.
    NotAFile,
    /// Another user owns it: the ids of that user and of this process.
    Owner {
        /// The user id of the file's owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// It has this many names (hard links) instead of one.
    Links(u64),
    /// Other users may write to it, by this mode.
    Writable(u32),
    /// It is larger than this limit, in bytes.
    TooLarge(usize),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => write!(f, "it is a symbolic link, which is not followed: name the target itself"),
            Self::NotAFile => write!(f, "it is no regular file: remove it, or choose another folder"),
            Self::Owner { owner, user } => write!(
                f,
                "it belongs to the user with id {owner} and this process runs as {user}: choose another folder, or \
                 change the owner if you trust its content"
            ),
            Self::Links(links) => {
                write!(f, "it has {links} hard links, so it can be reached from elsewhere: remove it")
            }
            Self::Writable(mode) => write!(
                f,
                "other users may write to it (mode {:o}): remove it, or run `chmod go-w` if you trust its content",
                mode & 0o777
            ),
            Self::TooLarge(limit) => write!(f, "it is larger than {limit} bytes: remove it"),
        }
    }
}

impl Error for Untrusted {}

impl Untrusted {
    /// The reason in an error of this module, if that is what it is.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Untrusted> for io::Error {
    fn from(why: Untrusted) -> Self {
        Self::new(io::ErrorKind::InvalidData, why)
    }
}

/// Opens a file to read it, and checks it.
pub fn open(path: &Path) -> io::Result<File> {
    checked(path, OpenOptions::new().read(true))
}

/// Opens a file to read and write it, creating it for its owner only where there is none, and checks it. A file that
/// other users may read becomes private.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = checked(path, private(&mut options))?;
    make_private(&file)?;
    Ok(file)
}

/// Checks a file that is there, and makes it private where other users may read it.
pub fn secure(path: &Path) -> io::Result<()> {
    make_private(&open(path)?)
}

/// Creates an empty file for its owner only. What has the name is removed first, so that nothing is written into a
/// file that somebody else holds open or has linked.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    private(OpenOptions::new().write(true).create_new(true)).open(path)
}

/// Reads a file that is to be no larger than `limit` bytes, after the checks of [`open`].
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut content = Vec::new();
    file.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(Untrusted::TooLarge(limit).into());
    }
    Ok(content)
}

/// Replaces a file in one step: a reader sees the old content or the new one, never a part. `draft` is a name in the
/// same folder that only this writer uses.
pub fn replace(path: &Path, draft: &Path, content: &str) -> io::Result<()> {
    let write = || {
        let mut out = create(draft)?;
        out.write_all(content.as_bytes())?;
        out.sync_all()?;
        fs::rename(draft, path)
    };
    write().inspect_err(|_| {
        // It may never have been made.
        let _ = fs::remove_file(draft);
    })
}

/// Checks a folder: a real one that this process's user owns. Files in it are checked by themselves.
pub fn check_folder(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(Untrusted::Link.into());
    }
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    check_owner(&metadata)
}

/// Opens without following a link at the end of the path and without waiting for the other end of a FIFO.
fn checked(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // What this sees can have changed at the next line; it tells the usual cases apart, and the flags hold the others.
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => return Err(Untrusted::Link.into()),
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
    check(&file.metadata()?)?;
    Ok(file)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
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

fn check(metadata: &Metadata) -> io::Result<()> {
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

    /// Why each way to open an existing file refuses this one; all must give the same reason.
    fn refused(file: &Path) -> Untrusted {
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
    fn large_file_is_refused_at_the_limit() {
        let (_dir, file) = folder();
        assert_eq!(Untrusted::of(&read(&file, 2).unwrap_err()), Some(Untrusted::TooLarge(2)));
        // Sparse: reading it whole would take 4 GiB of memory.
        OpenOptions::new().write(true).open(&file).unwrap().set_len(4 << 30).unwrap();
        assert_eq!(Untrusted::of(&read(&file, LIMIT).unwrap_err()), Some(Untrusted::TooLarge(LIMIT)));
    }

    #[test]
    fn file_that_is_not_regular_is_refused_without_waiting() {
        let (dir, file) = folder();
        fs::remove_file(&file).unwrap();
        make_fifo(&file);
        assert_eq!(refused(&file), Untrusted::NotAFile);
        assert_eq!(refused(dir.path()), Untrusted::NotAFile);
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(refused(&link), Untrusted::Link);
    }

    #[test]
    fn fifo_that_replaces_a_checked_file_does_not_block() {
        let (_dir, file) = folder();
        fs::remove_file(&file).unwrap();
        make_fifo(&file);
        // What the first look at the path sees is passed over here, as if the FIFO had come right after it.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = rustix::fs::open(&file, flags, rustix::fs::Mode::empty()).map(File::from).unwrap();
        assert_eq!(Untrusted::of(&check(&opened.metadata().unwrap()).unwrap_err()), Some(Untrusted::NotAFile));
    }

    #[test]
    fn hard_linked_file_is_refused() {
        let (dir, file) = folder();
        fs::hard_link(&file, dir.path().join("elsewhere")).unwrap();
        assert_eq!(refused(&file), Untrusted::Links(2));
    }

    #[test]
    fn file_that_others_may_write_is_refused() {
        let (_dir, file) = folder();
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(refused(&file), Untrusted::Writable(found) if found & 0o777 == mode));
        }
    }

    #[test]
    fn file_that_others_may_read_becomes_private() {
        let (_dir, file) = folder();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        open_or_create(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        secure(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn file_of_another_user_is_refused() {
        let (dir, file) = folder();
        let user = rustix::process::geteuid().as_raw();
        // Only root can give a file away.
        if user != 0 {
            return;
        }
        std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
        assert_eq!(refused(&file), Untrusted::Owner { owner: 65534, user });
        std::os::unix::fs::chown(dir.path(), Some(65534), None).unwrap();
        let error = check_folder(dir.path()).unwrap_err();
        assert_eq!(Untrusted::of(&error), Some(Untrusted::Owner { owner: 65534, user }));
    }

    #[test]
    fn replaced_file_shares_nothing_with_a_prepared_one() {
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
