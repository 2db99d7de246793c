//! The engine's folder: who holds it, what is kept in it, and how others find the engine.
//!
//! `lock` is held for as long as the engine lives, by the operating system, so a kill frees it. `engine.json` keeps
//! the signing key, the tenant and the port, so that a restart is a restart and not a stranger. `handshake.json`
//! says where the engine is; it is there only while the engine serves, or after a kill, until the next start.

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
        file_id::Place,
        http::{KEY_BYTES, new_key},
    },
    hatchet::{
        system::{HANDSHAKE_FILE, Handshake, LOCK_FILE, private_file},
        wire::TenantId,
    },
};

/// How often a held lock is tried again, and how long apart: one who only looks whether it is held holds it for a
/// moment.
const TRIES: u32 = 5;
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Largest `engine.json` that is read, in bytes. Ours has less than 200.
const LARGEST_IDENTITY: usize = 4 << 10;

/// What an engine keeps from start to start.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::engine) struct Identity {
    pub(in crate::engine) key: [u8; KEY_BYTES],
    pub(in crate::engine) tenant: TenantId,
    pub(in crate::engine) port: Option<u16>,
}

/// `engine.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    signing_key: String,
    tenant_id: TenantId,
    port: Option<u16>,
}

impl Identity {
    pub(in crate::engine) fn new() -> Result<Self, EngineError> {
        let key = new_key().map_err(|e| EngineError::system("make a signing key", e))?;
        Ok(Self { key, tenant: TenantId::random(), port: None })
    }

    fn read(text: &[u8]) -> Option<Self> {
        let kept: Kept = serde_json::from_slice(text).ok()?;
        let key = STANDARD.decode(kept.signing_key).ok()?.try_into().ok()?;
        Some(Self { key, tenant: kept.tenant_id, port: kept.port })
    }

    fn written(&self) -> serde_json::Value {
        let kept = Kept { signing_key: STANDARD.encode(self.key), tenant_id: self.tenant, port: self.port };
        serde_json::json!(kept)
    }
}

/// A folder that this process holds.
#[derive(Debug)]
pub(in crate::engine) struct Folder {
    path: PathBuf,
    /// Of the lock.
    place: Place,
    /// What the handshake file says if it is still this holder's.
    announced: Mutex<Option<Handshake>>,
    /// Locked; closing it lets go.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and takes hold of it.
    pub(in crate::engine) fn hold(path: &Path) -> Result<Self, EngineError> {
        make_private_folder(path).map_err(|e| EngineError::folder("use the engine's folder", path, e))?;
        let file = path.join(LOCK_FILE);
        let failed = |e| EngineError::folder("lock", &file, e);
        let lock = private_file::open_or_create(&file).map_err(failed)?;
        let metadata = lock.metadata().map_err(failed)?;
        for again in (0..TRIES).rev() {
            match lock.try_lock() {
                Ok(()) => {
                    let place = Place::of(file, &metadata);
                    return Ok(Self { path: path.to_owned(), place, announced: Mutex::default(), _lock: lock });
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Err(TryLockError::WouldBlock) if again > 0 => std::thread::sleep(TRY_AGAIN),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Err(EngineError::held(path))
    }

    #[cfg(feature = "durable")]
    pub(in crate::engine) fn path(&self) -> &Path {
        &self.path
    }

    /// The identity kept here, or a new one. A file that cannot be read is put aside, never overwritten.
    pub(in crate::engine) fn identity(&self) -> Result<Identity, EngineError> {
        let file = self.path.join("engine.json");
        match private_file::read(&file, LARGEST_IDENTITY) {
            Ok(text) => {
                if let Some(identity) = Identity::read(&text) {
                    return Ok(identity);
                }
                let aside = self.path.join("engine.json.damaged");
                fs::rename(&file, &aside).map_err(|e| EngineError::folder("put aside", &file, e))?;
                tracing::warn!(
                    "{} is damaged: it is kept as {}, and this engine starts with a new key and tenant",
                    file.display(),
                    aside.display()
                );
                Identity::new()
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Identity::new(),
            Err(e) => Err(EngineError::folder("read", &file, e)),
        }
    }

    /// Keeps the identity for the next start.
    pub(in crate::engine) fn keep(&self, identity: &Identity) -> Result<(), EngineError> {
        self.write("engine.json", &identity.written())
    }

    /// Tells others where the engine is.
    pub(in crate::engine) fn announce(&self, handshake: &Handshake) -> Result<(), EngineError> {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(handshake.clone());
        self.write(HANDSHAKE_FILE, &serde_json::json!(handshake))
    }

    /// Takes the announcement back, unless the folder has become another engine's, or another one is announced there.
    pub(in crate::engine) fn withdraw(&self) {
        let file = self.path.join(HANDSHAKE_FILE);
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = Handshake::read(&file).ok().flatten();
        if self.place.left().is_some() || found.is_none() || found != announced {
            return;
        }
        if let Err(e) = fs::remove_file(&file)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {e}", file.display());
        }
    }

    fn write(&self, name: &str, content: &serde_json::Value) -> Result<(), EngineError> {
        let (file, draft) = (self.path.join(name), self.path.join(format!("{name}.new")));
        private_file::replace(&file, &draft, &format!("{content:#}\n"))
            .map_err(|e| EngineError::folder("write", &file, e))
    }
}

/// Finds the engine that another process runs on a folder: its handshake, or `None` if no live process holds the
/// folder or the one that does is not serving yet.
pub fn find(folder: &Path) -> Result<Option<Handshake>, EngineError> {
    Handshake::find(folder).map_err(|e| EngineError::folder(e.action, &e.path, e.source))
}

#[cfg(unix)]
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if path.is_symlink() {
        return Err(private_file::Untrusted::Link.into());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    private_file::check_folder(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    // It holds the key to the engine: if others could read it, now they cannot.
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
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
    fn links_are_refused() {
        let real = tempfile::tempdir().unwrap();
        let link = real.path().join("link");
        std::os::unix::fs::symlink(real.path().join("elsewhere"), &link).unwrap();
        fs::create_dir(real.path().join("elsewhere")).unwrap();
        for error in [Folder::hold(&link).unwrap_err(), find(&link).unwrap_err()] {
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        let folder = real.path().join("folder");
        drop(Folder::hold(&folder).unwrap());
        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        std::os::unix::fs::symlink(real.path().join("elsewhere"), folder.join(LOCK_FILE)).unwrap();
        assert!(Folder::hold(&folder).unwrap_err().to_string().contains("symbolic link"));
    }

    /// What a start says and what a search says, with this done to a folder that was used before.
    #[cfg(unix)]
    fn with_prepared(prepare: impl FnOnce(&Path)) -> [Option<String>; 2] {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::hold(dir.path()).unwrap();
        first.keep(&Identity::new().unwrap()).unwrap();
        drop(first);
        prepare(dir.path());
        // As the engine holds it that the search finds.
        let held = File::open(dir.path().join(LOCK_FILE)).unwrap();
        held.try_lock_shared().unwrap();
        let found = find(dir.path()).err();
        drop(held);
        let started = Folder::hold(dir.path()).and_then(|folder| folder.identity().map(drop)).err();
        [started, found].map(|error| error.map(|error| error.to_string()))
    }

    #[cfg(unix)]
    #[test]
    fn identity_of_another_user_is_refused() {
        // Only root can give a file away.
        if rustix::process::geteuid().is_root() {
            let [started, _] = with_prepared(|path| {
                std::os::unix::fs::chown(path.join("engine.json"), Some(65534), None).unwrap();
            });
            let said = started.unwrap();
            assert!(said.contains("engine.json") && said.contains("belongs to the user with id 65534"), "{said}");
            let [started, found] = with_prepared(|path| std::os::unix::fs::chown(path, Some(65534), None).unwrap());
            for said in [started.unwrap(), found.unwrap()] {
                assert!(said.contains("belongs to the user with id 65534"), "{said}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn hard_linked_files_are_refused() {
        let [started, _] = with_prepared(|path| {
            fs::hard_link(path.join("engine.json"), path.join("elsewhere")).unwrap();
        });
        assert!(started.unwrap().contains("2 hard links"));
    }

    #[cfg(unix)]
    #[test]
    fn fifo_in_the_folder_blocks_nobody() {
        let fifo = |path: &Path| {
            let _ = fs::remove_file(path);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        };
        let [started, _] = with_prepared(|path| fifo(&path.join("engine.json")));
        assert!(started.unwrap().contains("not a regular file"));
        let [_, found] = with_prepared(|path| fifo(&path.join(HANDSHAKE_FILE)));
        assert!(found.is_none(), "nobody holds the folder exclusively");
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::hold(dir.path()).unwrap();
        fifo(&dir.path().join(HANDSHAKE_FILE));
        assert!(find(dir.path()).unwrap_err().to_string().contains("not a regular file"));
        // Replaced, and never opened.
        folder.announce(&handshake()).unwrap();
        assert_eq!(find(dir.path()).unwrap(), Some(handshake()));
    }

    #[test]
    fn large_files_are_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::hold(dir.path()).unwrap();
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
    fn one_holder_and_everyone_else_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(find(&path).unwrap(), None);
        let folder = Folder::hold(&path).unwrap();
        assert_eq!(Folder::hold(&path).unwrap_err().kind(), EngineErrorKind::Held);
        assert_eq!(find(&path).unwrap(), None, "held, but not serving yet");
        folder.announce(&handshake()).unwrap();
        assert_eq!(find(&path).unwrap(), Some(handshake()));
        drop(folder);
        assert_eq!(find(&path).unwrap(), None, "what a kill leaves behind is not alive");
        Folder::hold(&path).unwrap().announce(&handshake()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_has_become_another_engine_s_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::hold(dir.path()).unwrap();
        first.announce(&handshake()).unwrap();
        fs::remove_file(dir.path().join(LOCK_FILE)).unwrap();
        let second = Folder::hold(dir.path()).unwrap();
        second.announce(&handshake()).unwrap();
        first.withdraw();
        assert_eq!(find(dir.path()).unwrap(), Some(handshake()));
        second.withdraw();
        assert_eq!(find(dir.path()).unwrap(), None);
    }

    #[test]
    fn what_another_has_announced_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::hold(dir.path()).unwrap();
        folder.announce(&handshake()).unwrap();
        // The lock is where it was, and who took the rest does not go by it.
        let other = Handshake { token: "another".into(), ..handshake() };
        fs::write(dir.path().join(HANDSHAKE_FILE), serde_json::json!(other).to_string()).unwrap();
        folder.withdraw();
        assert_eq!(find(dir.path()).unwrap(), Some(other));
        folder.announce(&handshake()).unwrap();
        folder.withdraw();
        assert_eq!(find(dir.path()).unwrap(), None);
    }

    #[test]
    fn the_identity_is_kept_and_a_damaged_one_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::hold(dir.path()).unwrap();
        let mut first = folder.identity().unwrap();
        first.port = Some(7);
        folder.keep(&first).unwrap();
        assert!(folder.identity().unwrap() == first);
        fs::write(dir.path().join("engine.json"), "{\"signing_key\": \"x").unwrap();
        assert!(folder.identity().unwrap() != first);
        assert!(dir.path().join("engine.json.damaged").exists());
    }

    #[cfg(unix)]
    #[test]
    fn no_one_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = Folder::hold(dir.path()).unwrap();
        folder.keep(&Identity::new().unwrap()).unwrap();
        folder.announce(&handshake()).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(""), mode("engine.json"), mode(HANDSHAKE_FILE), mode("lock")], [0o700, 0o600, 0o600, 0o600]);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = Folder::hold(&path).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Folder);
        assert!(error.to_string().contains(path.to_str().unwrap()) && !error.to_string().contains('\n'), "{error}");
    }
}
