//! The engine's data folder: its lock, the engine's identity, and the handshake file.
//!
//! | file | content | exists |
//! |---|---|---|
//! | `lock` | nothing; the operating system locks it while an engine runs | always |
//! | `engine.json` | signing key, tenant and port, so that clients reach the same engine after a restart | always |
//! | `handshake.json` | address and token for clients | while the engine serves, and after a crash |
//! | `open.html` | a link with the token; `runner open` writes it for the browser | after the first `runner open` |
//! | `engine.db` | the state, see `persistence` | unless the engine is ephemeral |

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{
        error::EngineError,
        file_id::{FileId, LOCK_FILE},
        http::{KEY_BYTES, new_key},
    },
    hatchet::{
        system::{HANDSHAKE_FILE, Handshake, private_file},
        wire::TenantId,
    },
};

/// Attempts to take a lock that another process holds, and the pause between them. [`find`] holds the lock only
/// briefly.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(10);

const IDENTITY_FILE: &str = "engine.json";

/// Largest identity file that is read, in bytes. The engine writes less than 200.
const MAX_IDENTITY_BYTES: usize = 4 << 10;

/// The parts of an engine that stay the same across restarts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) tenant: TenantId,
    pub(crate) port: Option<u16>,
}

/// The content of `engine.json`.
#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    signing_key: String,
    tenant_id: TenantId,
    port: Option<u16>,
}

impl Identity {
    /// Creates an identity with a random key.
    pub(crate) fn new() -> Result<Self, EngineError> {
        let key = new_key().map_err(|e| EngineError::system("creating a signing key", e))?;
        Ok(Self { key, tenant: TenantId::random(), port: None })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let stored: StoredIdentity = serde_json::from_slice(text).ok()?;
        let key = STANDARD.decode(stored.signing_key).ok()?.try_into().ok()?;
        Some(Self { key, tenant: stored.tenant_id, port: stored.port })
    }

    fn to_json(&self) -> serde_json::Value {
        let signing_key = STANDARD.encode(self.key);
        serde_json::json!(StoredIdentity { signing_key, tenant_id: self.tenant, port: self.port })
    }
}

/// A folder that this process has locked. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    lock_id: FileId,
    /// The handshake that this process has written.
    announced: Mutex<Option<Handshake>>,
    /// Releases the folder's lock when it is dropped.
    _lock: File,
}

impl DataFolder {
    /// Locks the folder, and creates it if it does not exist.
    pub(crate) fn acquire(path: &Path) -> Result<Self, EngineError> {
        make_private_folder(path).map_err(|e| EngineError::folder("using the data folder", path, e))?;
        let file = path.join(LOCK_FILE);
        let failed = |e| EngineError::folder("locking", &file, e);
        let lock = private_file::open_or_create(&file).map_err(failed)?;
        let metadata = lock.metadata().map_err(failed)?;
        for attempts_left in (0..LOCK_ATTEMPTS).rev() {
            match lock.try_lock() {
                Ok(()) => {
                    let lock_id = FileId::new(file, &metadata);
                    return Ok(Self { path: path.to_owned(), lock_id, announced: Mutex::default(), _lock: lock });
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Err(TryLockError::WouldBlock) if attempts_left > 0 => std::thread::sleep(LOCK_RETRY_PAUSE),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Err(EngineError::folder_in_use(path))
    }

    #[cfg(feature = "durable")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the stored identity, or a new identity if none is stored. A file that cannot be parsed is renamed, not
    /// overwritten.
    pub(crate) fn identity(&self) -> Result<Identity, EngineError> {
        let file = self.path.join(IDENTITY_FILE);
        match private_file::read(&file, MAX_IDENTITY_BYTES) {
            Ok(text) => {
                if let Some(identity) = Identity::parse(&text) {
                    return Ok(identity);
                }
                let aside = self.path.join("engine.json.damaged");
                fs::rename(&file, &aside).map_err(|e| EngineError::folder("renaming", &file, e))?;
                tracing::warn!(
                    "{} is damaged: it was renamed to {}, and the engine starts with a new key and tenant",
                    file.display(),
                    aside.display()
                );
                Identity::new()
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Identity::new(),
            Err(e) => Err(EngineError::folder("reading", &file, e)),
        }
    }

    /// Stores the identity for the next start.
    pub(crate) fn save_identity(&self, identity: &Identity) -> Result<(), EngineError> {
        self.write(IDENTITY_FILE, &identity.to_json())
    }

    /// Writes the handshake file.
    pub(crate) fn announce(&self, handshake: &Handshake) -> Result<(), EngineError> {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(handshake.clone());
        self.write(HANDSHAKE_FILE, &serde_json::json!(handshake))
    }

    /// Removes the handshake file, unless it is another engine's: if the lock file was replaced, another engine may
    /// have locked the new file.
    pub(crate) fn withdraw(&self) {
        let file = self.path.join(HANDSHAKE_FILE);
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = Handshake::read(&file).ok().flatten();
        if self.lock_id.lost_path().is_some() || found.is_none() || found != announced {
            return;
        }
        if let Err(e) = fs::remove_file(&file)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("removing {} failed: {e}", file.display());
        }
    }

    fn write(&self, name: &str, content: &serde_json::Value) -> Result<(), EngineError> {
        let (file, draft) = (self.path.join(name), self.path.join(format!("{name}.new")));
        private_file::replace(&file, &draft, &format!("{content:#}\n"))
            .map_err(|e| EngineError::folder("writing", &file, e))
    }
}

/// Finds the engine that another process runs on a folder. Returns its handshake, or `None` if no process has locked
/// the folder or that process does not serve yet.
pub fn find(folder: &Path) -> Result<Option<Handshake>, EngineError> {
    Handshake::find(folder).map_err(|e| EngineError::folder(e.operation, &e.path, e.cause))
}

#[cfg(unix)]
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if path.is_symlink() {
        return Err(private_file::Untrusted::SymbolicLink.into());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    private_file::check_folder(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // A folder with content can belong to other programs, so its mode is left as it is. The engine's files are private
    // in any folder, but a user who can write to the folder could replace them.
    if fs::read_dir(path)?.next().is_none() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    } else if mode & 0o022 != 0 {
        Err(private_file::Untrusted::Writable(mode).into())
    } else {
        Ok(())
    }
}

#[cfg(not(unix))]
fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineErrorKind;

    #[cfg(unix)]
    #[test]
    fn mode_of_a_folder_with_content_is_not_changed() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("of another program"), "").unwrap();
        let set_mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mode = || fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777;
        for writable in [0o775, 0o1777] {
            set_mode(writable);
            let error = DataFolder::acquire(dir.path()).unwrap_err().to_string();
            assert!(error.contains("other users can write to it") && error.contains("chmod go-w"), "{error}");
            assert_eq!(mode(), writable);
        }
        set_mode(0o755);
        drop(DataFolder::acquire(dir.path()).unwrap());
        assert_eq!(mode(), 0o755);
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_refused() {
        let real = tempfile::tempdir().unwrap();
        let link = real.path().join("link");
        std::os::unix::fs::symlink(real.path().join("elsewhere"), &link).unwrap();
        fs::create_dir(real.path().join("elsewhere")).unwrap();
        for error in [DataFolder::acquire(&link).unwrap_err(), find(&link).unwrap_err()] {
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        let folder = real.path().join("folder");
        drop(DataFolder::acquire(&folder).unwrap());
        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        std::os::unix::fs::symlink(real.path().join("elsewhere"), folder.join(LOCK_FILE)).unwrap();
        assert!(DataFolder::acquire(&folder).unwrap_err().to_string().contains("symbolic link"));
    }

    /// The errors of a start and of a search, after `prepare` has changed a folder that was used before.
    #[cfg(unix)]
    fn errors_after(prepare: impl FnOnce(&Path)) -> [Option<String>; 2] {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::acquire(dir.path()).unwrap();
        first.save_identity(&Identity::new().unwrap()).unwrap();
        drop(first);
        prepare(dir.path());
        // Locked, as by a running engine.
        let lock = File::open(dir.path().join(LOCK_FILE)).unwrap();
        lock.try_lock_shared().unwrap();
        let found = find(dir.path()).err();
        drop(lock);
        let started = DataFolder::acquire(dir.path()).and_then(|folder| folder.identity().map(drop)).err();
        [started, found].map(|error| error.map(|error| error.to_string()))
    }

    #[cfg(unix)]
    #[test]
    fn files_of_another_user_are_refused() {
        // Only root can change the owner of a file.
        if rustix::process::geteuid().is_root() {
            let [started, _] = errors_after(|path| {
                std::os::unix::fs::chown(path.join("engine.json"), Some(65534), None).unwrap();
            });
            let error = started.unwrap();
            assert!(error.contains("engine.json") && error.contains("its owner is the user with id 65534"), "{error}");
            let [started, found] = errors_after(|path| std::os::unix::fs::chown(path, Some(65534), None).unwrap());
            for error in [started.unwrap(), found.unwrap()] {
                assert!(error.contains("its owner is the user with id 65534"), "{error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn hard_linked_files_are_refused() {
        let [started, _] = errors_after(|path| {
            fs::hard_link(path.join("engine.json"), path.join("elsewhere")).unwrap();
        });
        assert!(started.unwrap().contains("2 hard links"));
    }

    #[cfg(unix)]
    #[test]
    fn fifo_in_folder_does_not_block() {
        let fifo = |path: &Path| {
            let _ = fs::remove_file(path);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        };
        let [started, _] = errors_after(|path| fifo(&path.join("engine.json")));
        assert!(started.unwrap().contains("not a regular file"));
        let [_, found] = errors_after(|path| fifo(&path.join(HANDSHAKE_FILE)));
        assert!(found.is_none(), "no process has an exclusive lock");
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::acquire(dir.path()).unwrap();
        fifo(&dir.path().join(HANDSHAKE_FILE));
        assert!(find(dir.path()).unwrap_err().to_string().contains("not a regular file"));
        // The FIFO is replaced, not opened.
        folder.announce(&handshake()).unwrap();
        assert_eq!(find(dir.path()).unwrap(), Some(handshake()));
    }

    #[test]
    fn large_files_are_refused_before_reading() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::acquire(dir.path()).unwrap();
        folder.announce(&handshake()).unwrap();
        for name in ["engine.json", HANDSHAKE_FILE] {
            // Sparse.
            private_file::create(&dir.path().join(name)).unwrap().set_len(4 << 30).unwrap();
        }
        for error in [folder.identity().err().unwrap(), find(dir.path()).unwrap_err()] {
            assert!(error.to_string().contains("is larger than"), "{error}");
        }
    }

    fn handshake() -> Handshake {
        Handshake {
            token: "t".into(),
            tenant_id: "i".into(),
            grpc_address: "127.0.0.1:1".into(),
            api_url: "http://127.0.0.1:1".into(),
        }
    }

    #[test]
    fn locked_folder_is_refused_and_found_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(find(&path).unwrap(), None);
        let folder = DataFolder::acquire(&path).unwrap();
        assert_eq!(DataFolder::acquire(&path).unwrap_err().kind(), EngineErrorKind::FolderInUse);
        assert_eq!(find(&path).unwrap(), None, "locked, but not serving yet");
        folder.announce(&handshake()).unwrap();
        assert_eq!(find(&path).unwrap(), Some(handshake()));
        drop(folder);
        assert_eq!(find(&path).unwrap(), None, "the file of a killed engine is ignored");
        DataFolder::acquire(&path).unwrap().announce(&handshake()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn withdraw_keeps_handshake_after_lock_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::acquire(dir.path()).unwrap();
        first.announce(&handshake()).unwrap();
        fs::remove_file(dir.path().join(LOCK_FILE)).unwrap();
        let second = DataFolder::acquire(dir.path()).unwrap();
        second.announce(&handshake()).unwrap();
        first.withdraw();
        assert_eq!(find(dir.path()).unwrap(), Some(handshake()));
        second.withdraw();
        assert_eq!(find(dir.path()).unwrap(), None);
    }

    #[test]
    fn withdraw_keeps_handshake_of_another_engine() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::acquire(dir.path()).unwrap();
        folder.announce(&handshake()).unwrap();
        // The lock file is unchanged; the other engine does not use it.
        let other = Handshake { token: "another".into(), ..handshake() };
        fs::write(dir.path().join(HANDSHAKE_FILE), serde_json::json!(other).to_string()).unwrap();
        folder.withdraw();
        assert_eq!(find(dir.path()).unwrap(), Some(other));
        folder.announce(&handshake()).unwrap();
        folder.withdraw();
        assert_eq!(find(dir.path()).unwrap(), None);
    }

    #[test]
    fn identity_is_stored_and_renamed_if_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::acquire(dir.path()).unwrap();
        let mut first = folder.identity().unwrap();
        first.port = Some(7);
        folder.save_identity(&first).unwrap();
        assert!(folder.identity().unwrap() == first);
        fs::write(dir.path().join(IDENTITY_FILE), "{\"signing_key\": \"x").unwrap();
        assert!(folder.identity().unwrap() != first);
        assert!(dir.path().join("engine.json.damaged").exists());
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = DataFolder::acquire(dir.path()).unwrap();
        folder.save_identity(&Identity::new().unwrap()).unwrap();
        folder.announce(&handshake()).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(""), mode("engine.json"), mode(HANDSHAKE_FILE), mode("lock")], [0o700, 0o600, 0o600, 0o600]);
    }

    #[test]
    fn error_names_file_at_folder_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = DataFolder::acquire(&path).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Folder);
        assert!(error.to_string().contains(path.to_str().unwrap()) && !error.to_string().contains('\n'), "{error}");
    }
}
