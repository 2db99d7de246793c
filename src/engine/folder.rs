//! The engine's folder: who holds it, what is kept in it, and how others find the engine.
//!
//! `lock` is held for as long as the engine lives, by the operating system, so a kill frees it. `engine.json` keeps
//! the signing key, the tenant and the port, so that a restart is a restart and not a stranger. `handshake.json`
//! says where the engine is; it is there only while the engine serves, or after a kill, until the next start.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    error::EngineError,
    place::Place,
    token::{KEY_BYTES, new_key},
};
use crate::hatchet::wire::{Handshake, TenantId};

/// How often a held lock is tried again, and how long apart: one who only looks whether it is held holds it for a
/// moment.
const TRIES: u32 = 5;
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// The name of the file that is locked.
pub(super) const LOCK: &str = "lock";

/// What an engine keeps from start to start.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) key: [u8; KEY_BYTES],
    pub(super) tenant: TenantId,
    pub(super) port: Option<u16>,
}

/// `engine.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    signing_key: String,
    tenant_id: TenantId,
    port: Option<u16>,
}

impl Identity {
    pub(super) fn new() -> Result<Self, EngineError> {
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
pub(super) struct Folder {
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
    pub(super) fn hold(path: &Path) -> Result<Self, EngineError> {
        make_private_folder(path).map_err(|e| EngineError::folder("use the engine's folder", path, e))?;
        let file = path.join(LOCK);
        let failed = |e| EngineError::folder("lock", &file, e);
        let lock = open_private(&file, false).map_err(failed)?;
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
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The identity kept here, or a new one. A file that cannot be read is put aside, never overwritten.
    pub(super) fn identity(&self) -> Result<Identity, EngineError> {
        let file = self.path.join("engine.json");
        match fs::read(&file) {
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
    pub(super) fn keep(&self, identity: &Identity) -> Result<(), EngineError> {
        self.write("engine.json", &identity.written())
    }

    /// Tells others where the engine is.
    pub(super) fn announce(&self, handshake: &Handshake) -> Result<(), EngineError> {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(handshake.clone());
        self.write("handshake.json", &serde_json::json!(handshake))
    }

    /// Takes the announcement back, unless the folder has become another engine's, or another one is announced there.
    pub(super) fn withdraw(&self) {
        let file = self.path.join("handshake.json");
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
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
        write_whole(&file, &draft, &format!("{content:#}\n")).map_err(|e| EngineError::folder("write", &file, e))
    }
}

/// Finds the engine that another process runs on a folder: its handshake, or `None` if no live process holds the
/// folder or the one that does is not serving yet.
pub fn find(folder: &Path) -> Result<Option<Handshake>, EngineError> {
    let lock = folder.join(LOCK);
    let held = match File::open(&lock) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(e)) => return Err(EngineError::folder("look at", &lock, e)),
        },
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => false,
        Err(e) => return Err(EngineError::folder("look at", &lock, e)),
    };
    if !held {
        return Ok(None);
    }
    let file = folder.join("handshake.json");
    match fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| EngineError::folder("read", &file, io::Error::new(io::ErrorKind::InvalidData, e))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(EngineError::folder("read", &file, e)),
    }
}

#[cfg(unix)]
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    refuse_link(path)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
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

/// What a link points to may be anybody's: the key would go there, and the file there would be overwritten.
pub(super) fn refuse_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        Ok(_) | Err(_) => Ok(()),
    }
}

pub(super) fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    refuse_link(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file for its owner only, which no one ever sees half-written; `draft` is beside it, and this writer's own.
pub(crate) fn write_whole(file: &Path, draft: &Path, text: &str) -> io::Result<()> {
    let write = || {
        let mut out = open_private(draft, true)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(draft, file)
    };
    write().inspect_err(|_| {
        // It may never have been made.
        let _ = fs::remove_file(draft);
    })
}

#[cfg(test)]
mod tests {
    use super::{super::error::EngineErrorKind, *};

    #[cfg(unix)]
    #[test]
    fn links_are_refused() {
        let real = tempfile::tempdir().unwrap();
        let link = real.path().join("link");
        std::os::unix::fs::symlink(real.path().join("elsewhere"), &link).unwrap();
        fs::create_dir(real.path().join("elsewhere")).unwrap();
        assert_eq!(make_private_folder(&link).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(open_private(&link, false).unwrap_err().kind(), io::ErrorKind::InvalidInput);
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
        fs::remove_file(dir.path().join(LOCK)).unwrap();
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
        fs::write(dir.path().join("handshake.json"), serde_json::json!(other).to_string()).unwrap();
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
        assert_eq!([mode(""), mode("engine.json"), mode("handshake.json"), mode("lock")], [0o700, 0o600, 0o600, 0o600]);
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
