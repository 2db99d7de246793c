//! The store: a database file with rows, written in batches and read once at the start.
//!
//! The engine uses only [`open`] and [`Store::write`]. A batch is written completely or not at all. SQLite runs on its
//! own thread. Written batches survive the end of the process at any time, including `kill -9`. They may not survive a
//! loss of power, because the store does not wait for the disk.
//!
//! Only one engine writes to a file, even if other programs interfere with the file. Three checks before each batch
//! ensure that: the file and the lock file were not removed or replaced, the file is as this engine left it, and its
//! `owner` row is still this engine's.

mod error;
mod files;
mod row_batch;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

pub(crate) use self::{
    error::{OpenError, WriteError, advice},
    files::move_aside,
};
use self::{files::LastWrite, row_batch::RowBatch, sqlite::Database};
use crate::engine::{
    file_id::FileId,
    persistence::row::{Batch, Damaged, StoredRow, Table},
};

/// Batches of rows that the reading thread may read ahead: 8, which is about 2 MiB.
const READ_AHEAD: usize = 8;

/// Time without a batch after which free pages are returned to the file system: 100 ms.
const IDLE: Duration = Duration::from_millis(100);

/// An open store. Dropping it waits until the current batch is written.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    jobs: Option<SyncSender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Job {
    batch: Batch,
    done: oneshot::Sender<Done>,
}

/// A batch that was not written is returned with the error.
type Done = Result<(), (Batch, WriteError)>;

/// Opens the database, or creates it, and calls `each` with all rows, table by table in the order of [`Table::ALL`].
pub(crate) fn open(
    path: &Path,
    mut each: impl FnMut(Table, StoredRow<'_>) -> Result<(), Damaged>,
) -> Result<Store, OpenError> {
    match files::inspect(path).map_err(OpenError::Io)? {
        files::FileState::Present => {}
        files::FileState::Truncated(reason) => return Err(OpenError::Damaged(reason.into())),
        files::FileState::Absent => {
            let draft = files::draft(path).map_err(OpenError::Io)?;
            sqlite::create(&draft)?;
            std::fs::rename(&draft, path).map_err(OpenError::Io)?;
        }
    }
    let database = Database::open(path)?;
    // One thread reads the rows while this thread restores the state from them.
    let database = thread::scope(|scope| {
        let (batches, waiting) = sync_channel(READ_AHEAD);
        let reader = scope.spawn(move || read(&database, &batches).map(|()| database));
        // After an error here the reader ends too, as its channel is closed.
        let outcome = waiting.into_iter().try_for_each(|rows: RowBatch| rows.for_each(&mut each));
        let read = reader
            .join()
            .unwrap_or_else(|_| Err(OpenError::Io(std::io::Error::other("the thread that reads it panicked"))));
        outcome?;
        read
    })?;
    Store::start(path, database.claim()?)
}

fn read(database: &Database, batches: &SyncSender<RowBatch>) -> Result<(), OpenError> {
    for table in Table::ALL {
        let mut rows = RowBatch::new(table);
        let mut has_receiver = true;
        database.read(table, |row| {
            if rows.push(row) {
                has_receiver = batches.send(std::mem::replace(&mut rows, RowBatch::new(table))).is_ok();
            }
            has_receiver
        })?;
        if !has_receiver || !rows.is_empty() && batches.send(rows).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Store {
    fn start(path: &Path, database: Database) -> Result<Self, OpenError> {
        // One batch at a time: the next batch is collected while this batch is written.
        let (jobs, waiting) = sync_channel(1);
        let watched = files::watched_files(path).map_err(OpenError::Io)?;
        let file = path.to_owned();
        let thread = thread::Builder::new()
            .name("hatchet-store".to_owned())
            .spawn(move || write_jobs(database, &file, &watched, &waiting))
            .map_err(OpenError::Io)?;
        Ok(Self { path: path.to_owned(), jobs: Some(jobs), thread: Some(thread) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch; on failure returns it with the reason.
    pub(crate) async fn write(&self, batch: Batch) -> Done {
        let (done, outcome) = oneshot::channel();
        if let Some(jobs) = &self.jobs
            && let Err(error) = jobs.try_send(Job { batch, done })
        {
            let (std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job)) = error;
            return Err((job.batch, WriteError::ended()));
        }
        outcome.await.unwrap_or_else(|_| Err((Batch::new(), WriteError::ended())))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// Writes batches until the store is dropped; returns free pages while there are no batches.
fn write_jobs(mut database: Database, path: &Path, watched: &[FileId], jobs: &Receiver<Job>) {
    let mut last_write = LastWrite::of(path);
    let mut is_reclaimed = true;
    loop {
        let next = if is_reclaimed { jobs.recv().map_err(Into::into) } else { jobs.recv_timeout(IDLE) };
        match next {
            Ok(job) => {
                is_reclaimed = false;
                write_job(job, &mut database, path, watched, &mut last_write);
            }
            // The next batch reports a change by another program.
            Err(RecvTimeoutError::Timeout) if LastWrite::of(path) != last_write => is_reclaimed = true,
            Err(RecvTimeoutError::Timeout) => {
                is_reclaimed = !database.reclaim_when_idle();
                last_write = LastWrite::of(path);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Writes a batch and reports the outcome.
fn write_job(
    Job { mut batch, done }: Job,
    database: &mut Database,
    path: &Path,
    watched: &[FileId],
    last_write: &mut LastWrite,
) {
    // In the order of the tables, so that writes are sequential.
    batch.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    let interference = match watched.iter().find_map(FileId::lost_path) {
        Some(path) => Some(WriteError::replaced(path)),
        None => (LastWrite::of(path) != *last_write).then(|| WriteError::changed(path)),
    };
    let outcome = match interference {
        Some(_) if database.is_taken().unwrap_or(false) => Err((batch, WriteError::taken())),
        Some(error) => Err((batch, error)),
        None => {
            let written = database.write(&batch);
            // Even after a failure, as on a full disk, and before the outcome is reported, so that a later change by
            // another program is never attributed to this engine.
            *last_write = LastWrite::of(path);
            written.map_err(|error| (batch, error))
        }
    };
    // The receiver may be gone, with the engine.
    let _ = done.send(outcome);
    if database.reclaim() {
        *last_write = LastWrite::of(path);
    }
}
