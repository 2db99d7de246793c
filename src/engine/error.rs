//! Why an engine does not start.

use std::{fmt, io, net::SocketAddr, path::Path};

use crate::hatchet::system::{OsError, private_file::Untrusted, with_advice};

/// What kind of obstacle it is, to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// Another live process runs an engine on this folder: join it by its handshake file.
    Held,
    /// The folder or a file in it cannot be used.
    Folder,
    /// The address cannot be listened on.
    Address,
    /// The system gives no thread or no randomness.
    System,
}

/// An engine that does not start. The message is one line and says what to do.
#[derive(Debug)]
pub struct EngineError {
    kind: EngineErrorKind,
    message: String,
    source: Option<io::Error>,
}

impl EngineError {
    /// What kind of obstacle it is.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    pub(super) fn held(folder: &Path) -> Self {
        let message = format!(
            "another process runs an engine on {}: join it, or choose another folder or stop that process",
            folder.display()
        );
        Self { kind: EngineErrorKind::Held, message, source: None }
    }

    pub(super) fn folder(doing: &str, path: &Path, error: io::Error) -> Self {
        if let Some(why) = Untrusted::of(&error) {
            let message = format!("cannot {doing} {}: {why}", path.display());
            return Self { kind: EngineErrorKind::Folder, message, source: Some(error) };
        }
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
            io::ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
            io::ErrorKind::ReadOnlyFilesystem => "choose a folder on a writable file system",
            io::ErrorKind::PermissionDenied => "give yourself write access to it, or choose another folder",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "move the file of that name away",
            _ => "choose another folder with --embedded-dir or HATCHET_EMBEDDED_DIR",
        };
        let message = format!("cannot {doing} {}: {}", path.display(), with_advice(&error, advice));
        Self { kind: EngineErrorKind::Folder, message, source: Some(error) }
    }

    /// A file whose content is in the way.
    #[cfg(feature = "durable")]
    pub(super) fn file(path: &Path, why: &str, advice: &str) -> Self {
        let message = format!("cannot use {}: {why}: {advice}", path.display());
        Self { kind: EngineErrorKind::Folder, message, source: None }
    }

    pub(super) fn address(address: SocketAddr, error: io::Error) -> Self {
        let message =
            format!("cannot listen on {address}: {}", with_advice(&error, "choose another address, or port 0"));
        Self { kind: EngineErrorKind::Address, message, source: Some(error) }
    }

    pub(super) fn system(doing: &str, error: io::Error) -> Self {
        let message = format!("cannot {doing}: {}", OsError(&error));
        Self { kind: EngineErrorKind::System, message, source: Some(error) }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn obstacles_are_named_by_their_cause() {
        let (emfile, eio) = (|| io::Error::from_raw_os_error(24), || io::Error::from_raw_os_error(5));
        let path = Path::new("folder/lock");
        for error in [
            EngineError::folder("lock", path, emfile()),
            EngineError::address(SocketAddr::from(([127, 0, 0, 1], 1)), emfile()),
            EngineError::system("start the engine's runtime", emfile()),
        ] {
            let said = error.to_string();
            assert!(said.contains("too many open files in this process: raise its limit (`ulimit -n`)"), "{said}");
            assert!(!said.contains("choose"), "{said}");
        }
        let said = EngineError::folder("lock", path, eio()).to_string();
        assert!(said.starts_with("cannot lock folder/lock: input/output error: choose another folder"), "{said}");
    }
}
