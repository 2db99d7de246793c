//! Texts of operating system errors for users.
//!
//! A process that has no file descriptor left fails in places that have nothing to do with the cause, such as opening
//! a folder. The texts here then name that cause and its remedy, in place of advice about the folder.

use std::{fmt, io};

/// Error number of a process at its limit of open files, on Linux, macOS and the BSDs.
const EMFILE: i32 = 24;
/// Error number of a system at its limit of open files.
const ENFILE: i32 = 23;

/// Displays an error in lower case and without its number. If file descriptors have run out, the text says what to do.
pub(crate) struct OsError<'a>(pub(crate) &'a io::Error);

impl fmt::Display for OsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = out_of_files(self.0) {
            return f.write_str(text);
        }
        // The standard library has a single kind, without a name, for all errors that it does not distinguish.
        let unnamed = io::Error::from_raw_os_error(i32::MAX).kind();
        let text = self.0.to_string();
        match (self.0.kind(), text.split_once(" (os error")) {
            (kind, Some((text, _))) if kind == unnamed => f.write_str(&text.to_lowercase()),
            (kind, Some(_)) => kind.fmt(f),
            (_, None) => f.write_str(&text),
        }
    }
}

/// An error followed by advice. If file descriptors have run out, the advice to raise that limit replaces the given one.
pub(crate) fn with_advice(error: &io::Error, advice: &str) -> String {
    match out_of_files(error) {
        Some(text) => text.to_owned(),
        None => format!("{}: {advice}", OsError(error)),
    }
}

/// The cause and the remedy if the error says that file descriptors have run out.
pub(crate) fn out_of_files(error: &io::Error) -> Option<&'static str> {
    if !cfg!(unix) {
        return None;
    }
    match error.raw_os_error()? {
        EMFILE => Some("too many open files in this process: raise its limit (`ulimit -n`)"),
        ENFILE => Some("too many open files on this system: close programs, or raise its limit (`sysctl fs.file-max`)"),
        _ => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn exhausted_file_descriptors_replace_the_advice() {
        for (number, part) in [(EMFILE, "ulimit -n"), (ENFILE, "fs.file-max")] {
            let error = io::Error::from_raw_os_error(number);
            // The system's own text.
            assert!(error.to_string().to_lowercase().contains("too many open files"), "{error}");
            let text = with_advice(&error, "choose another folder");
            assert!(text.contains("too many open files") && text.contains(part), "{text}");
            assert!(!text.contains("folder"), "{text}");
            assert_eq!(OsError(&error).to_string(), text);
        }
    }

    #[test]
    fn other_errors_keep_the_advice_and_lose_their_number() {
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(with_advice(&denied, "choose another folder"), "permission denied: choose another folder");
        let own = io::Error::other("its thread ended");
        assert_eq!(OsError(&own).to_string(), "its thread ended");
    }
}
