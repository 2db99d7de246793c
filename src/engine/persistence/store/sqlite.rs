//! The tables.

use std::{path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags, Row, ToSql, TransactionBehavior,
    types::{FromSqlError, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::{Found, OpenError, Table, WriteError};
use crate::engine::persistence::row::{Change, RowKey};

/// The format of the file. It changes when what an older engine has written can no longer be read as it is; a new
/// field of a record changes nothing.
const FORMAT: i64 = 1;

/// What tells our files from those of others: "Htch".
const APPLICATION: i64 = 0x4874_6368;

/// Another program that reads the file may hold it for a moment.
const BUSY: Duration = Duration::from_secs(1);

/// Pages in the log before they are written into the file, 16 MiB: one long write in many short ones.
const CHECKPOINT_PAGES: u32 = 4096;

/// The log is cut to this after it has been larger, in bytes.
const MAX_LOG: u32 = 32 << 20;

/// Of the file in memory, in KiB.
const CACHE_KIB: i32 = 8 << 10;

/// Batches between two looks at the free pages, the least of them that are worth giving back, and how many of them
/// are given back at once: 4 MiB.
const TIDY_EVERY: u32 = 64;
const TIDY_PAGES: i64 = 1024;

#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    writes: u32,
    /// Pages were given back while idle; the file is cut when the log is emptied.
    needs_checkpoint: bool,
    /// What the file says of whom it belongs to while it is this engine's.
    owner: Uuid,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // It is there: its folder may be reached by a link, only the file itself may not be one.
        let path = path.canonicalize().map_err(OpenError::Io)?;
        let connection = Connection::open_with_flags(path, flags())?;
        connection.busy_timeout(BUSY)?;
        let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, format) {
            (APPLICATION, FORMAT) => {}
            (0, 0) if tables == 0 => return Err(OpenError::Damaged("there is nothing in it".into())),
            (APPLICATION, found) if found > FORMAT => return Err(OpenError::Newer { found, known: FORMAT }),
            _ => return Err(OpenError::Damaged("it is another program's database".into())),
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        // The log is written before each answer, and not waited for: the process may die, the machine may not.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", MAX_LOG)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // Until it is claimed no other can write, so nothing is missed of what is read; a damaged one stays as it is.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self { connection, writes: 0, needs_checkpoint: false, owner: Uuid::new_v4() })
    }

    /// Makes the file this engine's, after it was read: an engine that still has it open can write no more.
    pub(crate) fn claim(self) -> Result<Self, OpenError> {
        self.connection.execute_batch(OWNER)?;
        self.connection.execute("REPLACE INTO owner VALUES (1, ?)", (self.owner.as_bytes(),))?;
        self.connection.execute_batch("COMMIT")?;
        Ok(self)
    }

    /// Whether another engine has opened the file since.
    pub(crate) fn is_taken(&self) -> rusqlite::Result<bool> {
        is_taken(&self.connection, self.owner)
    }

    /// Hands over the rows of a table in their order, for as long as they are wanted.
    pub(crate) fn read(&self, table: Table, mut each: impl FnMut(Found<'_>) -> bool) -> Result<(), OpenError> {
        let name = table.name();
        let mut statement = self.connection.prepare(&format!("SELECT key, head, a, b FROM {name} ORDER BY key"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let found = found(row).map_err(|e| OpenError::Damaged(format!("a row of `{name}`: {e}")))?;
            if !each(found) {
                break;
            }
        }
        Ok(())
    }

    /// Keeps a batch whole, or nothing of it.
    pub(crate) fn write(&mut self, batch: &[Change]) -> Result<(), WriteError> {
        // The one who writes is the only one, from here to the end: no other can take the file in between.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_taken(&transaction, self.owner)? {
            return Err(WriteError::taken());
        }
        for change in batch {
            match change {
                Change::Put(table, key, row) => {
                    let sql = put(*table);
                    let [a, b] = &row.texts;
                    transaction.prepare_cached(sql)?.execute((key, &row.head, a.as_deref(), b.as_deref()))?;
                }
                Change::Delete(table, key) => drop(transaction.prepare_cached(delete(*table))?.execute((key,))?),
            }
        }
        transaction.commit()?;
        self.writes += 1;
        Ok(())
    }

    /// Gives pages back to the system that deleted rows have left, so that the file does not stay as large as it once
    /// was: a step now and then while there is load. Answers whether it may have written, also in vain. What fails here
    /// fails again where it matters.
    pub(crate) fn tidy(&mut self) -> bool {
        let is_due = self.writes.is_multiple_of(TIDY_EVERY) && self.free_pages() >= 2 * TIDY_PAGES;
        if is_due {
            self.vacuum_step();
        }
        is_due
    }

    /// The same where nothing else is to be written: a step. Answers whether there is more to give back; after the last
    /// step the log is emptied, and with that the file is cut.
    pub(crate) fn tidy_when_idle(&mut self) -> bool {
        if self.free_pages() >= TIDY_PAGES && self.vacuum_step() {
            self.needs_checkpoint = true;
            return true;
        }
        if std::mem::take(&mut self.needs_checkpoint) {
            let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(e) = emptied {
                tracing::debug!("the store's log is not emptied: {e}");
            }
        }
        false
    }

    fn free_pages(&self) -> i64 {
        self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap_or(0)
    }

    fn vacuum_step(&self) -> bool {
        let given = self.give_back(TIDY_PAGES);
        if let Err(e) = &given {
            tracing::debug!("free pages of the store stay where they are: {e}");
        }
        given.is_ok()
    }

    fn give_back(&self, pages: i64) -> rusqlite::Result<()> {
        // Each step gives one page back.
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        Ok(())
    }

    /// Makes the file one of an earlier version.
    #[cfg(test)]
    pub(crate) fn forget_owner(&self) {
        self.connection.execute_batch("DROP TABLE owner").unwrap();
    }

    /// Lets the file grow no more.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, more: i64) {
        let now: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        self.connection.pragma_update_and_check(None, "max_page_count", now + more, |_| Ok(())).unwrap();
    }
}

/// Whose the file is: one row. Files of earlier versions have no such table.
const OWNER: &str = "CREATE TABLE IF NOT EXISTS owner (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL)";

fn is_taken(connection: &Connection, owner: Uuid) -> rusqlite::Result<bool> {
    match is_owned(connection, owner) {
        Ok(is_owned) => Ok(!is_owned),
        // The table was there when the file was claimed: somebody has written it anew since.
        Err(_) if !has_owner(connection)? => Ok(true),
        Err(e) => Err(e),
    }
}

fn is_owned(connection: &Connection, owner: Uuid) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT id FROM owner")?;
    let mut rows = statement.query([])?;
    let row = rows.next()?;
    Ok(row.is_some_and(|row| row.get_ref(0).is_ok_and(|id| id.as_blob().is_ok_and(|id| id == owner.as_bytes()))))
}

fn has_owner(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'owner'";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// Makes an empty file a database without a row. It is to get its name when it is whole, so that an empty file of that
/// name is never a new one. All tables have one form: what a row is, is in its head.
pub(crate) fn make(path: &Path) -> Result<(), OpenError> {
    let connection = Connection::open_with_flags(path.canonicalize().map_err(OpenError::Io)?, flags())?;
    // There is nothing to go back to, so nothing is written beside it.
    connection.pragma_update(None, "journal_mode", "memory")?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    let mut sql = String::from("BEGIN;");
    for table in Table::ALL {
        let (key, end) = if table.is_numbered() {
            ("INTEGER PRIMARY KEY", "")
        } else {
            ("BLOB PRIMARY KEY NOT NULL", " WITHOUT ROWID")
        };
        sql += &format!("CREATE TABLE {} (key {key}, head BLOB NOT NULL, a TEXT, b TEXT){end};", table.name());
    }
    sql += &format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;");
    connection.execute_batch(&sql)?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

fn found<'a>(row: &'a Row<'_>) -> Result<Found<'a>, FromSqlError> {
    let value = |at: usize| row.get_ref(at).map_err(|e| FromSqlError::Other(Box::new(e)));
    let (number, key) = match value(0)? {
        ValueRef::Integer(number) => (u64::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))?, &[][..]),
        other => (0, other.as_blob()?),
    };
    let texts = [value(2)?.as_str_or_null()?, value(3)?.as_str_or_null()?];
    Ok(Found { number, key, head: value(1)?.as_blob()?, texts })
}

macro_rules! sql {
    ($table:expr, $before:literal, $after:literal) => {
        match $table {
            Table::Versions => concat!($before, "versions", $after),
            Table::Runs => concat!($before, "runs", $after),
            Table::Tasks => concat!($before, "tasks", $after),
            Table::Children => concat!($before, "children", $after),
            Table::Claims => concat!($before, "claims", $after),
            Table::Workers => concat!($before, "workers", $after),
            Table::Lines => concat!($before, "lines", $after),
            Table::Events => concat!($before, "events", $after),
            Table::Schedules => concat!($before, "schedules", $after),
            Table::Crons => concat!($before, "crons", $after),
        }
    };
}

fn put(table: Table) -> &'static str {
    sql!(table, "REPLACE INTO ", " VALUES (?, ?, ?, ?)")
}

fn delete(table: Table) -> &'static str {
    sql!(table, "DELETE FROM ", " WHERE key = ?")
}

impl ToSql for RowKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            // The numbers count from one: none is as large as half of them all.
            Self::Number(number) => Ok(ToSqlOutput::from(number.cast_signed())),
            Self::Bytes(bytes) => bytes.to_sql(),
        }
    }
}
