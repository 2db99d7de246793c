//! Texts of operating system errors for users.
//!
//! A process without free file descriptors fails in operations that are unrelated to the cause, such as opening a
//! folder. The texts here then contain that cause and its remedy instead of advice about the folder.

use std::{fmt, io};

/// Error number of a process at its limit of open files, on Linux, macOS and the BSDs.
const EMFILE: i32 = 24;
/// Error number of a system at its limit of open files.
const ENFILE: i32 = 23;

/// Displays an error in lower case and without its number. If no file descriptor is free, the text contains the remedy.
pub(crate) struct OsError<'a>(pub(crate) &'a io::Error);

impl fmt::Display for OsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = out_of_files(self.0) {
            return f.write_str(text);
        }
        // The standard library has a single, unnamed kind for all errors that it does not distinguish.
        let unnamed = io::Error::from_raw_os_error(i32::MAX).kind();
        let text = self.0.to_string();
        match (self.0.kind(), text.split_once(" (os error")) {
            (kind, Some((text, _))) if kind == unnamed => f.write_str(&text.to_lowercase()),
            (kind, Some(_)) => kind.fmt(f),
            (_, None) => f.write_str(&text),
        }
    }
}

/// Formats `<error>. <advice>`. If no file descriptor is free, the advice to raise that limit replaces the given
/// advice.
pub(crate) fn with_advice(error: &io::Error, advice: &str) -> String {
    match out_of_files(error) {
        Some(text) => text.to_owned(),
        None => format!("{}. {advice}", OsError(error)),
    }
}

/// The cause and the remedy of an error that no file descriptor is free. `None` for other errors.
pub(crate) fn out_of_files(error: &io::Error) -> Option<&'static str> {
    if !cfg!(unix) {
        return None;
    }
    match error.raw_os_error()? {
        EMFILE => Some("too many open files in this process. Raise its limit (`ulimit -n`)"),
        ENFILE => Some("too many open files on this system. Close programs, or raise its limit (`sysctl fs.file-max`)"),
        _ => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn lack_of_file_descriptors_replaces_the_advice() {
        for (number, part) in [(EMFILE, "ulimit -n"), (ENFILE, "fs.file-max")] {
            let error = io::Error::from_raw_os_error(number);
            // The system's own text.
            assert!(error.to_string().to_lowercase().contains("too many open files"), "{error}");
            let text = with_advice(&error, "Choose another folder");
            assert!(text.contains("too many open files") && text.contains(part), "{text}");
            assert!(!text.contains("folder"), "{text}");
            assert_eq!(OsError(&error).to_string(), text);
        }
    }

    #[test]
    fn other_errors_keep_the_advice_and_lose_their_number() {
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(with_advice(&denied, "Choose another folder"), "permission denied. Choose another folder");
        let custom = io::Error::other("its thread ended");
        assert_eq!(OsError(&custom).to_string(), "its thread ended");
    }
}
