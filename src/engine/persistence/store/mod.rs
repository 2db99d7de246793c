//! The store: rows in a file, written in batches, read back once at the start.
//!
//! This is all that the engine knows of it: [`open`], [`Store::write`], and that a batch is kept whole or not at all.
//! Behind it is SQLite, on a thread of its own. What is kept outlives the end of the process at any moment, by
//! `kill -9` too. It need not outlive a loss of power: the operating system is not waited for.

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

pub(crate) use self::error::{OpenError, WriteError, advice};
use self::{files::LastWrite, row_batch::Parcel, sqlite::Database};
use crate::engine::{
    file_id::FileId,
    persistence::row::{Batch, Damaged, Found, Table},
};

/// Parcels of rows that may wait for whoever opens a store.
const PARCELS: usize = 8;

/// Without a batch for this long, pages that deleted rows have left are given back.
const IDLE: Duration = Duration::from_millis(100);

/// An open store. Dropping it waits for what is being written.
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

/// A batch that could not be kept comes back.
type Done = Result<(), (Batch, WriteError)>;

/// Opens the file, or makes it, and hands over all its rows, table by table in the order of [`Table::ALL`].
pub(crate) fn open(
    path: &Path,
    mut each: impl FnMut(Table, Found<'_>) -> Result<(), Damaged>,
) -> Result<Store, OpenError> {
    match files::look(path).map_err(OpenError::Io)? {
        files::Presence::Something => {}
        files::Presence::Emptied(why) => return Err(OpenError::Damaged(why.into())),
        files::Presence::Nothing => {
            let draft = files::draft(path).map_err(OpenError::Io)?;
            sqlite::make(&draft)?;
            std::fs::rename(&draft, path).map_err(OpenError::Io)?;
        }
    }
    let database = Database::open(path)?;
    // One thread takes the rows out of the file while this one makes them what they were.
    let database = thread::scope(|scope| {
        let (parcels, waiting) = sync_channel(PARCELS);
        let reader = scope.spawn(move || read(&database, &parcels).map(|()| database));
        // An error here ends the reader too: nobody takes its parcels.
        let outcome = waiting.into_iter().try_for_each(|parcel: Parcel| parcel.open(&mut each));
        let read = reader.join().unwrap_or_else(|_| Err(OpenError::Io(std::io::Error::other("its reader panicked"))));
        outcome?;
        read
    })?;
    Store::start(path, database.claim()?)
}

fn read(database: &Database, parcels: &SyncSender<Parcel>) -> Result<(), OpenError> {
    for table in Table::ALL {
        let mut parcel = Parcel::of(table);
        let mut is_wanted = true;
        database.read(table, |row| {
            if parcel.add(row) {
                is_wanted = parcels.send(std::mem::replace(&mut parcel, Parcel::of(table))).is_ok();
            }
            is_wanted
        })?;
        if !is_wanted || !parcel.is_empty() && parcels.send(parcel).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Puts a damaged file aside, with what belongs to it, and answers its new name.
pub(crate) fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    files::put_aside(path)
}

impl Store {
    fn start(path: &Path, database: Database) -> Result<Self, OpenError> {
        // One at a time: the next batch is collected while this one is written.
        let (jobs, waiting) = sync_channel(1);
        let places = files::places(path).map_err(OpenError::Io)?;
        let file = path.to_owned();
        let thread = thread::Builder::new()
            .name("hatchet-store".to_owned())
            .spawn(move || work(database, &file, &places, &waiting))
            .map_err(OpenError::Io)?;
        Ok(Self { path: path.to_owned(), jobs: Some(jobs), thread: Some(thread) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a batch, or gives it back with the reason why not.
    pub(crate) async fn write(&self, batch: Batch) -> Done {
        let (done, is_done) = oneshot::channel();
        if let Some(jobs) = &self.jobs
            && let Err(error) = jobs.try_send(Job { batch, done })
        {
            let (std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job)) = error;
            return Err((job.batch, WriteError::ended()));
        }
        is_done.await.unwrap_or_else(|_| Err((Batch::new(), WriteError::ended())))
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

fn work(mut database: Database, path: &Path, places: &[FileId], jobs: &Receiver<Job>) {
    let mut last_write = LastWrite::of(path);
    let mut is_tidy = true;
    loop {
        let next = if is_tidy { jobs.recv().map_err(Into::into) } else { jobs.recv_timeout(IDLE) };
        match next {
            Ok(job) => {
                is_tidy = false;
                run(job, &mut database, path, places, &mut last_write);
            }
            // What another program has done to the file is for the next batch to find.
            Err(RecvTimeoutError::Timeout) if LastWrite::of(path) != last_write => is_tidy = true,
            Err(RecvTimeoutError::Timeout) => {
                is_tidy = !database.tidy_when_idle();
                last_write = LastWrite::of(path);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Writes a batch and answers for it.
fn run(
    Job { mut batch, done }: Job,
    database: &mut Database,
    path: &Path,
    places: &[FileId],
    last_write: &mut LastWrite,
) {
    // One behind the other in the file.
    batch.sort_by(|a, b| a.place().cmp(&b.place()));
    let interference = match places.iter().find_map(FileId::lost_path) {
        Some(path) => Some(WriteError::left(path)),
        None => (LastWrite::of(path) != *last_write).then(|| WriteError::changed(path)),
    };
    let outcome = match interference {
        Some(_) if database.is_taken().unwrap_or(false) => Err((batch, WriteError::taken())),
        Some(error) => Err((batch, error)),
        None => {
            let written = database.write(&batch);
            // Also where it failed, as on a full disk, and before the answer, so that a later change by another program is
            // never taken for this one.
            *last_write = LastWrite::of(path);
            written.map_err(|error| (batch, error))
        }
    };
    // Whoever asked may have gone, with the engine.
    let _ = done.send(outcome);
    if database.tidy() {
        *last_write = LastWrite::of(path);
    }
}
