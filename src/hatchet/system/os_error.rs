//! Errors of the operating system that have nothing to do with what was being done, and what to do about them.
//!
//! Like [`wire`](crate::hatchet::wire), it stands below all other modules, and each of them may use it.

use std::{fmt, io};

/// The errno of a process that has as many files open as it may, on Linux, macOS and the BSDs.
const EMFILE: i32 = 24;
/// The errno of a system that has.
const ENFILE: i32 = 23;

/// The error in words; if file descriptors have run out, with what to do about it.
pub(crate) struct OsError<'a>(pub(crate) &'a io::Error);

impl fmt::Display for OsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match out_of_files(self.0) {
            Some(text) => f.write_str(text),
            None => self.0.fmt(f),
        }
    }
}

/// The error in words with what to do next: `advice`, unless file descriptors have run out, which no other folder,
/// address or port mends.
pub(crate) fn explain(error: &io::Error, advice: &str) -> String {
    match out_of_files(error) {
        Some(text) => text.to_owned(),
        None => format!("{error}: {advice}"),
    }
}

/// That file descriptors have run out, if that is what the error says, and what to do about it.
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
    fn missing_descriptors_are_named_instead_of_the_advice() {
        for (number, part) in [(EMFILE, "ulimit -n"), (ENFILE, "fs.file-max")] {
            let error = io::Error::from_raw_os_error(number);
            // So does the system call it.
            assert!(error.to_string().to_lowercase().contains("too many open files"), "{error}");
            let said = explain(&error, "choose another folder");
            assert!(said.contains("too many open files") && said.contains(part), "{said}");
            assert!(!said.contains("folder"), "{said}");
            assert_eq!(OsError(&error).to_string(), said);
        }
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(explain(&other, "choose another folder"), format!("{other}: choose another folder"));
    }
}
