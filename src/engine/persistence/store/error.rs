//! Errors of the database file.

use std::{fmt, io};

use rusqlite::ErrorCode;

use crate::engine::persistence::row::Damaged;

/// The reason why a database was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The file system refuses access.
    Io(io::Error),
    /// SQLite refuses the file, and the file is not damaged.
    Sqlite(rusqlite::Error),
    /// A newer version of this engine has written the file. `known` is the newest format of this version.
    Newer { found: i64, known: i64 },
    /// The file is not a database, is damaged, or belongs to another program.
    Damaged(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

impl From<Damaged> for OpenError {
    fn from(Damaged(reason): Damaged) -> Self {
        Self::Damaged(reason)
    }
}

/// Advice about an error whose cause is outside of the file.
pub(crate) fn advice(error: &rusqlite::Error) -> Option<&'static str> {
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some("Free some space"),
        ErrorCode::SystemIoFailure => Some("Free some space, or check the disk for errors"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Some("Give yourself write access to it"),
        // SQLite reports both causes with the same code.
        ErrorCode::CannotOpen => {
            Some("Give yourself write access to its folder, or raise the limit on open files (ulimit -n)")
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some("Close the program that has it locked"),
        _ => None,
    }
}

/// The reason why a batch was not written.
#[derive(Debug)]
pub(crate) struct WriteError {
    reason: String,
    is_final: bool,
}

impl WriteError {
    /// Another engine has opened the file.
    pub(crate) fn taken() -> Self {
        let reason =
            "another engine has taken over this folder and continues from the acknowledged changes. This engine stops";
        Self { reason: reason.to_owned(), is_final: true }
    }

    /// Whether no retry can succeed.
    pub(crate) fn is_final(&self) -> bool {
        self.is_final
    }

    fn retryable(reason: String) -> Self {
        Self { reason, is_final: false }
    }

    /// A file was removed, moved or replaced.
    pub(crate) fn replaced(path: &std::path::Path) -> Self {
        Self::retryable(format!(
            "{} was removed, moved or replaced while the engine ran. Restart the process",
            path.display()
        ))
    }

    /// Another program has truncated or overwritten the database or its log.
    pub(crate) fn changed(path: &std::path::Path) -> Self {
        Self::retryable(format!(
            "{} or its log was changed by another program while the engine ran. Restart the process, which renames \
             a damaged file",
            path.display()
        ))
    }

    /// The store's thread has panicked.
    pub(crate) fn ended() -> Self {
        Self::retryable("the store's thread has ended. Restart the process".into())
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "The file is damaged. Restart the process, which renames it"
            }
            _ => advice(&error).unwrap_or("Check the folder, or restart the process"),
        };
        Self::retryable(format!("{error}. {advice}"))
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
