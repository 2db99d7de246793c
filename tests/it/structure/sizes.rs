//! Limits on the size of files and folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{assert_only_known, source::files};

/// Maximum number of lines of a file without its tests.
const MAX_FILE_LINES: usize = 450;

/// Maximum number of source files in a folder, without its sub-folders.
const MAX_FOLDER_FILES: usize = 13;

/// Files over the limit.
const KNOWN_FILES: &[&str] = &[];

/// Folders over the limit.
const KNOWN_FOLDERS: &[&str] = &[];

#[test]
fn files_are_within_the_size_limit() {
    let found =
        files().iter().filter(|file| file.lines > MAX_FILE_LINES).map(|file| file.path.display().to_string()).collect();
    assert_only_known(&format!("a file has at most {MAX_FILE_LINES} lines"), found, KNOWN_FILES);
}

#[test]
fn folders_are_within_the_size_limit() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for file in files() {
        *folders.entry(file.path.parent().unwrap_or(Path::new("")).display().to_string()).or_default() += 1;
    }
    let found: BTreeSet<String> =
        folders.into_iter().filter(|(_, files)| *files > MAX_FOLDER_FILES).map(|(folder, _)| folder).collect();
    assert_only_known(&format!("a folder has at most {MAX_FOLDER_FILES} source files"), found, KNOWN_FOLDERS);
}
