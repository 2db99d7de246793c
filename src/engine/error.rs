//! Errors of starting an engine.

use std::{fmt, io, net::SocketAddr, path::Path};

use crate::hatchet::system::{OsError, private_file::Untrusted, with_advice};

/// The kind of an [`EngineError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// Another process runs an engine on this folder. Its handshake file has the address and the token.
    FolderInUse,
    /// The folder or a file in it cannot be used.
    Folder,
    /// The address cannot be bound.
    Address,
    /// The system provides no thread or no random numbers.
    System,
}

/// The reason why an engine does not start. The message is a single line that contains the remedy.
#[derive(Debug)]
pub struct EngineError {
    kind: EngineErrorKind,
    message: String,
    source: Option<io::Error>,
}

impl EngineError {
    /// Returns the kind, to match on.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    pub(super) fn folder_in_use(folder: &Path) -> Self {
        let message = format!(
            "starting the engine failed: another process runs an engine on {}. Connect to it, stop it, or choose another \
             folder",
            folder.display()
        );
        Self { kind: EngineErrorKind::FolderInUse, message, source: None }
    }

    /// An operation on the data folder or a file in it failed. `operation` is a gerund, such as `reading`.
    pub(super) fn folder(operation: &str, path: &Path, error: io::Error) -> Self {
        if let Some(reason) = Untrusted::of(&error) {
            let message = format!("{operation} {} failed: {reason}", path.display());
            return Self { kind: EngineErrorKind::Folder, message, source: Some(error) };
        }
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space",
            io::ErrorKind::FileTooLarge => "Raise the limit on the size of files (ulimit -f)",
            io::ErrorKind::ReadOnlyFilesystem => "Choose a folder on a writable file system",
            io::ErrorKind::PermissionDenied => "Give yourself write access to it, or choose another folder",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "Move the file of that name away",
            _ => "Choose another folder with --embedded-dir or HATCHET_EMBEDDED_DIR",
        };
        let message = format!("{operation} {} failed: {}", path.display(), with_advice(&error, advice));
        Self { kind: EngineErrorKind::Folder, message, source: Some(error) }
    }

    /// A file whose content cannot be used. `advice` is a sentence without its period.
    #[cfg(feature = "durable")]
    pub(super) fn file(path: &Path, reason: &str, advice: &str) -> Self {
        let message = format!("opening {} failed: {reason}. {advice}", path.display());
        Self { kind: EngineErrorKind::Folder, message, source: None }
    }

    pub(super) fn address(address: SocketAddr, error: io::Error) -> Self {
        let message =
            format!("listening on {address} failed: {}", with_advice(&error, "Choose another address, or port 0"));
        Self { kind: EngineErrorKind::Address, message, source: Some(error) }
    }

    pub(super) fn system(operation: &str, error: io::Error) -> Self {
        let message = format!("{operation} failed: {}", OsError(&error));
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
    fn error_names_its_cause() {
        let (emfile, eio) = (|| io::Error::from_raw_os_error(24), || io::Error::from_raw_os_error(5));
        let path = Path::new("folder/lock");
        for error in [
            EngineError::folder("locking", path, emfile()),
            EngineError::address(SocketAddr::from(([127, 0, 0, 1], 1)), emfile()),
            EngineError::system("starting the engine's runtime", emfile()),
        ] {
            let text = error.to_string();
            assert!(text.contains("too many open files in this process. Raise its limit (`ulimit -n`)"), "{text}");
            assert!(!text.contains("Choose"), "{text}");
        }
        let text = EngineError::folder("locking", path, eio()).to_string();
        assert!(text.starts_with("locking folder/lock failed: input/output error. Choose another folder"), "{text}");
    }
}
