//! The benchmark's folder: opened before the long run, written as it goes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The file with a line for each run.
const RUNS: &str = "runs.jsonl";
/// The file with the figures.
pub(super) const SUMMARY: &str = "summary.json";

/// A benchmark's folder.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    runs: BufWriter<File>,
    /// Why no more lines are written.
    failed: Option<io::Error>,
}

/// What a summary says of whose it is.
#[derive(Serialize, Deserialize)]
struct Mark {
    prefix: String,
    state: String,
}

impl Journal {
    /// Opens the folder for the benchmark with this prefix. In one line why not: it cannot be written, or holds another
    /// benchmark. A benchmark that is resumed takes up its own folder.
    pub fn open(folder: &Path, prefix: &str) -> Result<Self, String> {
        let at = |path: &Path, e: &dyn std::fmt::Display| {
            format!("--out: {} cannot be written: {e}: choose another folder", path.display())
        };
        let summary = folder.join(SUMMARY);
        match fs::read_to_string(&summary) {
            Ok(text) => match serde_json::from_str::<Mark>(&text) {
                Ok(mark) if mark.prefix == prefix => {}
                Ok(mark) => {
                    return Err(format!(
                        "--out: {} holds another benchmark, with the key prefix {}: choose another folder, or \
                         --key-prefix {} to go on with that one",
                        folder.display(),
                        mark.prefix,
                        mark.prefix
                    ));
                }
                Err(_) => {
                    return Err(format!("--out: {} is not ours: choose another folder", summary.display()));
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(format!("--out: {} cannot be read: {e}: choose another folder", summary.display())),
        }
        fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        let runs = folder.join(RUNS);
        let runs = File::create(&runs).map_err(|e| at(&runs, &e))?;
        let journal = Self { folder: folder.to_owned(), runs: BufWriter::new(runs), failed: None };
        let mark = Mark { prefix: prefix.to_owned(), state: "running".to_owned() };
        let mark = serde_json::to_string(&mark).map_err(|e| at(&summary, &e))?;
        journal.write(SUMMARY, &mark).map_err(|e| at(&summary, &e))?;
        Ok(journal)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a run's line. After a first failure there are none until the end.
    pub(super) fn line(&mut self, line: &Value) {
        if self.failed.is_none()
            && let Err(e) = writeln!(self.runs, "{line}")
        {
            self.failed = Some(e);
        }
    }

    /// Hands what was written to the system, which keeps it if this process dies.
    pub(super) fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(e) = self.runs.flush()
        {
            self.failed = Some(e);
        }
    }

    /// Why no more lines are written, if so.
    pub(super) fn failure(&self) -> Option<String> {
        let error = self.failed.as_ref()?;
        Some(format!("{} cannot be written: {error}", self.folder.join(RUNS).display()))
    }

    /// Writes the lines once more, with what came to be known since; the earlier ones stay if that fails.
    pub(super) fn rewrite(&mut self, lines: impl Iterator<Item = Value>) -> Result<(), String> {
        let (path, whole) = (self.folder.join(RUNS), self.folder.join("runs.jsonl.new"));
        let rewrite = || {
            let mut file = BufWriter::new(File::create(&whole)?);
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.flush()?;
            fs::rename(&whole, &path)
        };
        rewrite().map_err(|e| {
            // What is half written takes the room that is missing.
            let _ = fs::remove_file(&whole);
            format!("{} cannot be written: {e}: make room and run the same command again", path.display())
        })
    }

    /// Writes a file of the report.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.join(name), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_benchmark() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/out");
        Journal::open(&folder, "one").unwrap();
        Journal::open(&folder, "one").unwrap();
        let said = Journal::open(&folder, "two").unwrap_err();
        assert!(said.contains("key prefix one") && !said.contains('\n'), "{said}");
        fs::write(folder.join(SUMMARY), "hello").unwrap();
        assert!(Journal::open(&folder, "one").unwrap_err().contains("is not ours"));
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Journal::open(&file.join("out"), "one").is_err());
    }

    #[test]
    fn lines_are_rewritten_whole() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(place.path(), "p").unwrap();
        journal.line(&serde_json::json!({"a": 1}));
        journal.flush();
        assert_eq!(fs::read_to_string(place.path().join(RUNS)).unwrap(), "{\"a\":1}\n");
        journal.rewrite([serde_json::json!({"b": 2})].into_iter()).unwrap();
        assert_eq!(fs::read_to_string(place.path().join(RUNS)).unwrap(), "{\"b\":2}\n");
        assert!(journal.failure().is_none());
    }
}
