//! The report folder of a benchmark.
//!
//! The folder is opened before the benchmark starts, so that an unwritable path fails immediately and not after an
//! hour. It contains a single benchmark: `summary.json` has its key prefix, and a benchmark with another prefix is
//! refused.
//!
//! ```text
//! open ── begin ── write_run … flush … ── rewrite_runs, write (summary.json, report.md, report.html)
//!   └─ dropped before begin: all files and folders that `open` created are removed
//! ```
//!
//! Until [`ReportFolder::begin`], files of an earlier benchmark with the same prefix are unchanged.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::hatchet::system::with_advice;

/// File with a line for each run.
const RUNS: &str = "runs.jsonl";
/// File with the summary.
pub(in crate::bench) const SUMMARY: &str = "summary.json";

/// The report folder of a benchmark.
#[derive(Debug)]
pub struct ReportFolder {
    path: PathBuf,
    created: CreatedPaths,
    runs: BufWriter<File>,
    /// The first error of writing a run record. No more records are written after it.
    write_error: Option<io::Error>,
}

/// The paths that [`ReportFolder::open`] created. Removes them when dropped, unless another benchmark has started to
/// use them.
#[derive(Debug)]
struct CreatedPaths {
    /// The summary and the file of run records.
    files: Option<(PathBuf, PathBuf)>,
    /// Content of the summary during this benchmark. It is unique, so that a summary of another benchmark is
    /// recognized.
    marker: String,
    /// Folders, each before its parent.
    folders: Vec<PathBuf>,
}

impl Drop for CreatedPaths {
    fn drop(&mut self) {
        if let Some((summary, runs)) = &self.files
            && fs::read_to_string(summary).is_ok_and(|text| text == self.marker)
        {
            let _ = fs::remove_file(summary);
            if fs::metadata(runs).is_ok_and(|runs| runs.len() == 0) {
                let _ = fs::remove_file(runs);
            }
        }
        for folder in &self.folders {
            // Fails if the folder is missing or not empty: it may contain the log of a worker that failed to start.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The fields of a summary that identify its benchmark.
#[derive(Serialize, Deserialize)]
struct Marker {
    prefix: String,
    state: String,
    #[serde(default)]
    start: Uuid,
}

impl ReportFolder {
    /// Opens the folder for the benchmark with this prefix and creates it if necessary.
    ///
    /// # Errors
    ///
    /// Returns a line with the reason if the folder is not writable or contains another benchmark.
    pub fn open(path: &Path, prefix: &str) -> Result<Self, String> {
        let not_writable = |path: &Path, e: io::Error| {
            format!("--out: writing {} failed: {}", path.display(), with_advice(&e, "Choose another folder"))
        };
        let mut created = CreatedPaths { files: None, marker: String::new(), folders: missing_folders(path) };
        fs::create_dir_all(path).map_err(|e| not_writable(path, e))?;
        let (summary, runs) = (path.join(SUMMARY), path.join(RUNS));
        let is_resumed = check_summary(path, &summary, prefix)?;
        // Opening for appending shows that the files are writable, and changes nothing.
        let open =
            |path: &Path| File::options().append(true).create(true).open(path).map_err(|e| not_writable(path, e));
        let lines = open(&runs)?;
        let mut summary_file = open(&summary)?;
        let marker = Marker { prefix: prefix.to_owned(), state: "running".to_owned(), start: Uuid::new_v4() };
        created.marker = serde_json::to_string(&marker).map_err(|e| not_writable(&summary, e.into()))?;
        if !is_resumed {
            summary_file.write_all(created.marker.as_bytes()).map_err(|e| not_writable(&summary, e))?;
            created.files = Some((summary, runs));
        }
        Ok(Self { path: path.to_owned(), created, runs: BufWriter::new(lines), write_error: None })
    }

    /// Marks the benchmark as running and discards the run records of an earlier benchmark with the same prefix. From
    /// here on, dropping this does not remove the folder.
    pub(in crate::bench) fn begin(&mut self) {
        // Another benchmark with the same prefix may have removed the folder in the meantime.
        let started = fs::create_dir_all(&self.path)
            .and_then(|()| self.write(SUMMARY, &self.created.marker))
            .and_then(|()| File::create(self.path.join(RUNS)));
        (self.created.files, self.created.folders) = (None, Vec::new());
        match started {
            Ok(runs) => self.runs = BufWriter::new(runs),
            Err(e) => self.write_error = Some(e),
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a run record. Does nothing after a first error.
    pub(in crate::bench) fn write_run(&mut self, record: &Value) {
        if self.write_error.is_none()
            && let Err(e) = writeln!(self.runs, "{record}")
        {
            self.write_error = Some(e);
        }
    }

    /// Writes the buffered run records to the file, so that they survive the end of this process.
    pub(in crate::bench) fn flush(&mut self) {
        if self.write_error.is_none()
            && let Err(e) = self.runs.flush()
        {
            self.write_error = Some(e);
        }
    }

    /// The first error of writing run records.
    pub(in crate::bench) fn write_error(&self) -> Option<String> {
        let error = self.write_error.as_ref()?;
        Some(format!("writing {} failed: {error}", self.path.join(RUNS).display()))
    }

    /// Replaces all run records. On failure, the earlier records remain.
    pub(in crate::bench) fn rewrite_runs(&mut self, records: impl Iterator<Item = Value>) -> Result<(), String> {
        let (path, draft) = (self.path.join(RUNS), self.path.join("runs.jsonl.new"));
        let rewrite = || {
            let mut file = BufWriter::new(File::create(&draft)?);
            for record in records {
                writeln!(file, "{record}")?;
            }
            file.flush()?;
            fs::rename(&draft, &path)
        };
        rewrite().map_err(|e| {
            // An incomplete file would occupy the space that was insufficient.
            let _ = fs::remove_file(&draft);
            format!("writing {} failed: {e}. Free some space and repeat the command", path.display())
        })
    }

    /// Writes a file of the report.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(name), text)
    }
}

/// The folders of a path that do not exist, each before its parent. Empty for a path with `..`, whose ancestors need
/// not be its parent folders.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Vec::new();
    }
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
    path.ancestors().filter(is_missing).map(Path::to_owned).collect()
}

/// Whether the folder already has a summary of the benchmark with this prefix.
fn check_summary(folder: &Path, summary: &Path, prefix: &str) -> Result<bool, String> {
    match fs::read_to_string(summary) {
        Ok(text) => match serde_json::from_str::<Marker>(&text) {
            Ok(marker) if marker.prefix == prefix => Ok(true),
            Ok(Marker { prefix, .. }) => Err(format!(
                "--out: {} contains another benchmark, with the key prefix {prefix}: choose another folder, or \
                 continue that benchmark with --key-prefix {prefix}",
                folder.display()
            )),
            Err(_) => {
                Err(format!("--out: {} is not a summary of a benchmark: choose another folder", summary.display()))
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => {
            let cause = with_advice(&e, "Choose another folder");
            Err(format!("--out: reading {} failed: {cause}", summary.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_another_benchmark_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("deep/out");
        ReportFolder::open(&folder, "one").unwrap().begin();
        ReportFolder::open(&folder, "one").unwrap().begin();
        let error = ReportFolder::open(&folder, "two").unwrap_err();
        assert!(error.contains("key prefix one") && !error.contains('\n'), "{error}");
        fs::write(folder.join(SUMMARY), "hello").unwrap();
        assert!(ReportFolder::open(&folder, "one").unwrap_err().contains("is not a summary"));
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(ReportFolder::open(&file.join("out"), "one").is_err());
    }

    #[test]
    fn folder_dropped_before_begin_removes_created_paths_only() {
        let temp = tempfile::tempdir().unwrap();
        let (top, folder) = (temp.path().join("deep"), temp.path().join("deep/out"));
        let opened = ReportFolder::open(&folder, "one").unwrap();
        assert!(folder.join(SUMMARY).is_file() && folder.join(RUNS).is_file());
        drop(opened);
        assert!(!top.exists());
        // A folder with other files remains.
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("notes"), "mine").unwrap();
        drop(ReportFolder::open(&folder, "one").unwrap());
        let remaining: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(remaining, ["notes"]);
    }

    #[test]
    fn folder_dropped_before_begin_keeps_other_files() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("out");
        let first = ReportFolder::open(&folder, "one").unwrap();
        ReportFolder::open(&folder, "one").unwrap().begin();
        drop(first);
        assert!(folder.join(SUMMARY).is_file() && folder.join(RUNS).is_file());
        // The same folder by a path that exists only after its first folder was created.
        let error = ReportFolder::open(&temp.path().join("new/../out"), "two").unwrap_err();
        assert!(error.contains("contains another benchmark"), "{error}");
    }

    #[test]
    fn earlier_report_remains_until_begin() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let mut report = ReportFolder::open(folder, "one").unwrap();
        report.begin();
        report.write_run(&serde_json::json!({"a": 1}));
        report.write(SUMMARY, r#"{"prefix":"one","state":"complete"}"#).unwrap();
        drop(report);
        let state = || {
            let summary = fs::read_to_string(folder.join(SUMMARY)).unwrap();
            (summary.contains("complete"), fs::read_to_string(folder.join(RUNS)).unwrap())
        };
        drop(ReportFolder::open(folder, "one").unwrap());
        assert_eq!(state(), (true, "{\"a\":1}\n".to_owned()));
        ReportFolder::open(folder, "one").unwrap().begin();
        assert_eq!(state(), (false, String::new()));
    }

    #[test]
    fn rewritten_records_replace_earlier_ones() {
        let temp = tempfile::tempdir().unwrap();
        let mut report = ReportFolder::open(temp.path(), "p").unwrap();
        report.begin();
        report.write_run(&serde_json::json!({"a": 1}));
        report.flush();
        assert_eq!(fs::read_to_string(temp.path().join(RUNS)).unwrap(), "{\"a\":1}\n");
        report.rewrite_runs([serde_json::json!({"b": 2})].into_iter()).unwrap();
        assert_eq!(fs::read_to_string(temp.path().join(RUNS)).unwrap(), "{\"b\":2}\n");
        assert!(report.write_error().is_none());
    }
}
