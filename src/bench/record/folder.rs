//! The benchmark's folder: opened before the long run, written as it goes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::hatchet::system::with_advice;

/// The file with a line for each run.
const RUNS: &str = "runs.jsonl";
/// The file with the figures.
pub(in crate::bench) const SUMMARY: &str = "summary.json";

/// A benchmark's folder. Until it has begun it is as it was before: dropped without that, what was made is taken back.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    made: Made,
    runs: BufWriter<File>,
    /// Why no more lines are written.
    failed: Option<io::Error>,
}

/// What was not there before. Goes when it is dropped, unless another has made it theirs meanwhile.
#[derive(Debug)]
struct Made {
    /// The summary and the file of runs.
    files: Option<(PathBuf, PathBuf)>,
    /// What the summary says while the benchmark runs, unlike that of any other.
    mark: String,
    /// Each before what it is in.
    folders: Vec<PathBuf>,
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some((summary, runs)) = &self.files
            && fs::read_to_string(summary).is_ok_and(|text| text == self.mark)
        {
            let _ = fs::remove_file(summary);
            if fs::metadata(runs).is_ok_and(|runs| runs.len() == 0) {
                let _ = fs::remove_file(runs);
            }
        }
        for folder in &self.folders {
            // What fails is not there, or has something in it, such as the log of a worker that did not start.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What a summary says of whose it is.
#[derive(Serialize, Deserialize)]
struct Mark {
    prefix: String,
    state: String,
    #[serde(default)]
    start: Uuid,
}

impl Journal {
    /// Opens the folder for the benchmark with this prefix. In one line why not: it cannot be written, or holds another
    /// benchmark. A benchmark that is resumed takes up its own folder, and what is there stays until it begins.
    pub fn open(folder: &Path, prefix: &str) -> Result<Self, String> {
        let at = |path: &Path, e: io::Error| {
            format!("--out: {} cannot be written: {}", path.display(), with_advice(&e, "choose another folder"))
        };
        // Where a part of the path is `..`, what is in what cannot be told from it.
        let is_plain = !folder.components().any(|part| part == Component::ParentDir);
        let is_new = |path: &&Path| is_plain && !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
        let folders = folder.ancestors().filter(is_new).map(Path::to_owned).collect();
        let mut made = Made { files: None, mark: String::new(), folders };
        fs::create_dir_all(folder).map_err(|e| at(folder, e))?;
        let (summary, runs) = (folder.join(SUMMARY), folder.join(RUNS));
        let there = match fs::read_to_string(&summary) {
            Ok(text) => match serde_json::from_str::<Mark>(&text) {
                Ok(mark) if mark.prefix == prefix => true,
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
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => {
                let why = with_advice(&e, "choose another folder");
                return Err(format!("--out: {} cannot be read: {why}", summary.display()));
            }
        };
        // Shows that they can be written, and changes nothing that is there.
        let open = |path: &Path| File::options().append(true).create(true).open(path).map_err(|e| at(path, e));
        let lines = open(&runs)?;
        let mut marked = open(&summary)?;
        let mark = Mark { prefix: prefix.to_owned(), state: "running".to_owned(), start: Uuid::new_v4() };
        made.mark = serde_json::to_string(&mark).map_err(|e| at(&summary, e.into()))?;
        if !there {
            marked.write_all(made.mark.as_bytes()).map_err(|e| at(&summary, e))?;
            made.files = Some((summary, runs));
        }
        Ok(Self { folder: folder.to_owned(), made, runs: BufWriter::new(lines), failed: None })
    }

    /// From now on there is something to report. What an earlier run of this benchmark left makes way.
    pub(in crate::bench) fn begin(&mut self) {
        // Another with the same prefix may have taken an empty folder back.
        let begun = fs::create_dir_all(&self.folder)
            .and_then(|()| self.write(SUMMARY, &self.made.mark))
            .and_then(|()| File::create(self.folder.join(RUNS)));
        (self.made.files, self.made.folders) = (None, Vec::new());
        match begun {
            Ok(runs) => self.runs = BufWriter::new(runs),
            Err(e) => self.failed = Some(e),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a run's line. After a first failure there are none until the end.
    pub(in crate::bench) fn line(&mut self, line: &Value) {
        if self.failed.is_none()
            && let Err(e) = writeln!(self.runs, "{line}")
        {
            self.failed = Some(e);
        }
    }

    /// Hands what was written to the system, which keeps it if this process dies.
    pub(in crate::bench) fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(e) = self.runs.flush()
        {
            self.failed = Some(e);
        }
    }

    /// Why no more lines are written, if so.
    pub(in crate::bench) fn failure(&self) -> Option<String> {
        let error = self.failed.as_ref()?;
        Some(format!("{} cannot be written: {error}", self.folder.join(RUNS).display()))
    }

    /// Writes the lines once more, with what came to be known since; the earlier ones stay if that fails.
    pub(in crate::bench) fn rewrite(&mut self, lines: impl Iterator<Item = Value>) -> Result<(), String> {
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
        Journal::open(&folder, "one").unwrap().begin();
        Journal::open(&folder, "one").unwrap().begin();
        let said = Journal::open(&folder, "two").unwrap_err();
        assert!(said.contains("key prefix one") && !said.contains('\n'), "{said}");
        fs::write(folder.join(SUMMARY), "hello").unwrap();
        assert!(Journal::open(&folder, "one").unwrap_err().contains("is not ours"));
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Journal::open(&file.join("out"), "one").is_err());
    }

    #[test]
    fn what_has_not_begun_leaves_all_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let (top, folder) = (place.path().join("deep"), place.path().join("deep/out"));
        let journal = Journal::open(&folder, "one").unwrap();
        assert!(folder.join(SUMMARY).is_file() && folder.join(RUNS).is_file(), "they can be written");
        drop(journal);
        assert!(!top.exists());
        // Another's file keeps the folder.
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("notes"), "mine").unwrap();
        drop(Journal::open(&folder, "one").unwrap());
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes"]);
        // As does what another with the same prefix has made of it meanwhile.
        let stays = top.join("stays");
        let first = Journal::open(&stays, "one").unwrap();
        Journal::open(&stays, "one").unwrap().begin();
        drop(first);
        assert!(stays.join(SUMMARY).is_file() && stays.join(RUNS).is_file());
        // Or what lies where a path leads only once its folders are there.
        let said = Journal::open(&top.join("new/../stays"), "two").unwrap_err();
        assert!(said.contains("holds another benchmark"), "{said}");
        // And an earlier benchmark's report is whole until it is gone on with.
        let mut journal = Journal::open(&folder, "one").unwrap();
        journal.begin();
        journal.line(&serde_json::json!({"a": 1}));
        journal.write(SUMMARY, r#"{"prefix":"one","state":"complete"}"#).unwrap();
        drop(journal);
        let state = || {
            let summary = fs::read_to_string(folder.join(SUMMARY)).unwrap();
            (summary.contains("complete"), fs::read_to_string(folder.join(RUNS)).unwrap())
        };
        drop(Journal::open(&folder, "one").unwrap());
        assert_eq!(state(), (true, "{\"a\":1}\n".to_owned()));
        Journal::open(&folder, "one").unwrap().begin();
        assert_eq!(state(), (false, String::new()));
    }

    #[test]
    fn lines_are_rewritten_whole() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(place.path(), "p").unwrap();
        journal.begin();
        journal.line(&serde_json::json!({"a": 1}));
        journal.flush();
        assert_eq!(fs::read_to_string(place.path().join(RUNS)).unwrap(), "{\"a\":1}\n");
        journal.rewrite([serde_json::json!({"b": 2})].into_iter()).unwrap();
        assert_eq!(fs::read_to_string(place.path().join(RUNS)).unwrap(), "{\"b\":2}\n");
        assert!(journal.failure().is_none());
    }
}
