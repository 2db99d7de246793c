//! Reads and writes the SQLite database, and checks its format and its owner.

use std::{path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags, ToSql, TransactionBehavior,
    types::{FromSqlError, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::error::{OpenError, WriteError};
use crate::engine::persistence::row::{Row, RowChange, RowKey, StoredRow, Table};

/// The format of the file. It is raised when files of earlier versions can no longer be read, and when earlier versions
/// would take rows of this version for damage. A new field of a record that earlier versions may ignore does not change
/// it.
///
/// | format | change |
/// |---|---|
/// | 1 | |
/// | 2 | definitions with conditions, concurrency, rate limits and filters, which earlier versions refuse; unadmitted tasks; the tables that are not [in all files](Table::is_in_all_files) |
const FORMAT: i64 = 2;

/// The oldest format that this version reads. An older file gets the current format when it is opened.
const OLDEST_FORMAT: i64 = 1;

/// SQLite's application id, which identifies files of this engine: "Htch".
const APPLICATION: i64 = 0x4874_6368;

/// Time to wait for a lock that another program holds on the file: 1 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Pages in the log before they are copied into the database: 4096, that is 16 MiB. More than SQLite's default of 1000,
/// so that fewer batches wait for a checkpoint.
const CHECKPOINT_PAGES: u32 = 4096;

/// Size in bytes that the log is truncated to after it has been larger: 32 MiB.
const MAX_LOG_BYTES: u32 = 32 << 20;

/// SQLite's page cache in KiB: 8 MiB.
const CACHE_KIB: i32 = 8 << 10;

/// Batches between two checks for free pages.
const RECLAIM_EVERY: u32 = 64;

/// Free pages that are returned to the file system in one step: 1024, that is 4 MiB. Fewer pages remain for new rows.
const RECLAIM_PAGES: i64 = 1024;

#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    writes: u32,
    /// Pages were returned while idle: emptying the log truncates the file.
    needs_checkpoint: bool,
    /// The value of the file's `owner` row while the file belongs to this engine.
    owner: Uuid,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        // The path to the folder may contain symbolic links; only the file itself must not be one.
        let path = path.canonicalize().map_err(OpenError::Io)?;
        let connection = Connection::open_with_flags(path, flags())?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, format) {
            (APPLICATION, OLDEST_FORMAT..=FORMAT) => {}
            (0, 0) if tables == 0 => return Err(OpenError::Damaged("it has no tables".into())),
            (APPLICATION, found) if found > FORMAT => return Err(OpenError::Newer { found, known: FORMAT }),
            _ => return Err(OpenError::Damaged("it is another program's database".into())),
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        // The log is written before each response but not synced: it survives the process, not a loss of power.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // No other engine can write until the file is claimed, so no later change is missed. The transaction does not
        // change the file, which may be damaged.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self { connection, writes: 0, needs_checkpoint: false, owner: Uuid::new_v4() })
    }

    /// Makes this engine the owner after the file was read. Another engine that has the file open can no longer write.
    pub(crate) fn claim(self) -> Result<Self, OpenError> {
        self.connection.execute_batch(CREATE_OWNER)?;
        for table in Table::ALL.into_iter().filter(|table| !table.is_in_all_files()) {
            self.connection.execute_batch(&create_table(table))?;
        }
        self.connection.pragma_update(None, "user_version", FORMAT)?;
        self.connection.execute("REPLACE INTO owner VALUES (1, ?)", (self.owner.as_bytes(),))?;
        self.connection.execute_batch("COMMIT")?;
        Ok(self)
    }

    /// Whether another engine has opened the file since.
    pub(crate) fn is_taken(&self) -> rusqlite::Result<bool> {
        is_taken(&self.connection, self.owner)
    }

    /// Calls a function with the rows of a table in the order of their keys, until it returns `false`.
    pub(crate) fn read(&self, table: Table, mut each: impl FnMut(StoredRow<'_>) -> bool) -> Result<(), OpenError> {
        let name = table.name();
        if !table.is_in_all_files() && !has_table(&self.connection, name)? {
            return Ok(());
        }
        let mut statement = self.connection.prepare(&format!("SELECT key, head, a, b FROM {name} ORDER BY key"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let row = stored_row(row).map_err(|e| OpenError::Damaged(format!("a row of `{name}`: {e}")))?;
            if !each(row) {
                break;
            }
        }
        Ok(())
    }

    /// Writes a batch in one transaction.
    pub(crate) fn write(&mut self, batch: &[RowChange]) -> Result<(), WriteError> {
        // An immediate transaction excludes other writers, so no other engine can become the owner until it ends.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_taken(&transaction, self.owner)? {
            return Err(WriteError::taken());
        }
        // One statement for adjacent changes of the same kind to the same table.
        for changes in batch.chunk_by(|a, b| a.sort_key().0 == b.sort_key().0) {
            let Some(((table, is_put), _)) = changes.first().map(RowChange::sort_key) else { continue };
            let name = table.name();
            let mut statement = transaction.prepare_cached(&match is_put {
                true => format!("REPLACE INTO {name} VALUES (?, ?, ?, ?)"),
                false => format!("DELETE FROM {name} WHERE key = ?"),
            })?;
            for change in changes {
                match change {
                    RowChange::Put(_, key, Row { head, texts: [a, b] }) => {
                        statement.execute((key, head, a.as_deref(), b.as_deref()))?
                    }
                    RowChange::Delete(_, key) => statement.execute((key,))?,
                };
            }
        }
        transaction.commit()?;
        self.writes += 1;
        Ok(())
    }

    /// Returns the pages of deleted rows to the file system, one step every [`RECLAIM_EVERY`] batches under load.
    /// Returns whether it may have written to the file. An error is ignored: it will occur again with the next batch.
    pub(crate) fn reclaim(&mut self) -> bool {
        let is_due = self.writes.is_multiple_of(RECLAIM_EVERY) && self.free_pages() >= 2 * RECLAIM_PAGES;
        if is_due {
            self.vacuum_step();
        }
        is_due
    }

    /// Returns pages as [`reclaim`](Self::reclaim) does, one step while there are no batches. Returns whether there may
    /// be more to do; after the last step the log is emptied, which truncates the file.
    pub(crate) fn reclaim_when_idle(&mut self) -> bool {
        if self.free_pages() >= RECLAIM_PAGES && self.vacuum_step() {
            self.needs_checkpoint = true;
            return true;
        }
        if std::mem::take(&mut self.needs_checkpoint) {
            let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(e) = emptied {
                tracing::debug!("the store's log was not emptied: {e}");
            }
        }
        false
    }

    fn free_pages(&self) -> i64 {
        self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap_or(0)
    }

    fn vacuum_step(&self) -> bool {
        let returned = self.return_pages(RECLAIM_PAGES);
        if let Err(e) = &returned {
            tracing::debug!("the store's free pages were not returned: {e}");
        }
        returned.is_ok()
    }

    fn return_pages(&self, pages: i64) -> rusqlite::Result<()> {
        // Each row of the result is one page.
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        Ok(())
    }

    /// Removes the owner's table, which files of earlier versions do not have.
    #[cfg(test)]
    pub(crate) fn drop_owner_table(&self) {
        self.connection.execute_batch("DROP TABLE owner").unwrap();
    }

    /// Limits the growth of the file, as a full disk does.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, more: i64) {
        let now: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        self.connection.pragma_update_and_check(None, "max_page_count", now + more, |_| Ok(())).unwrap();
    }
}

/// Creates the table with the owner of the file, in one row. Files of earlier versions do not have it.
const CREATE_OWNER: &str =
    "CREATE TABLE IF NOT EXISTS owner (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL)";

fn is_taken(connection: &Connection, owner: Uuid) -> rusqlite::Result<bool> {
    match is_owned(connection, owner) {
        Ok(is_owned) => Ok(!is_owned),
        // The table existed when the file was claimed, so another program has rewritten the file since.
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
    has_table(connection, "owner")
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?";
    connection.query_row(sql, [name], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// Creates the tables in an empty file. The caller renames the file afterwards, so that an empty file with the final
/// name is never a new database. All tables have the same columns: the meaning of a row is in its record.
pub(crate) fn create(path: &Path) -> Result<(), OpenError> {
    let connection = Connection::open_with_flags(path.canonicalize().map_err(OpenError::Io)?, flags())?;
    // An empty file needs no journal for a rollback.
    connection.pragma_update(None, "journal_mode", "memory")?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    let mut sql = String::from("BEGIN;");
    for table in Table::ALL {
        sql += &create_table(table);
    }
    sql += &format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;");
    connection.execute_batch(&sql)?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

/// The statement that creates a table, unless it exists.
fn create_table(table: Table) -> String {
    let (key, end) =
        if table.is_numbered() { ("INTEGER PRIMARY KEY", "") } else { ("BLOB PRIMARY KEY NOT NULL", " WITHOUT ROWID") };
    format!("CREATE TABLE IF NOT EXISTS {} (key {key}, head BLOB NOT NULL, a TEXT, b TEXT){end};", table.name())
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

/// Reads a row's columns: key, record, and two texts.
fn stored_row<'a>(row: &'a rusqlite::Row<'_>) -> Result<StoredRow<'a>, FromSqlError> {
    let value = |column: usize| row.get_ref(column).map_err(|e| FromSqlError::Other(Box::new(e)));
    let (number, key) = match value(0)? {
        ValueRef::Integer(number) => (u64::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))?, &[][..]),
        other => (0, other.as_blob()?),
    };
    let texts = [value(2)?.as_str_or_null()?, value(3)?.as_str_or_null()?];
    Ok(StoredRow { number, key, head: value(1)?.as_blob()?, texts })
}

impl ToSql for RowKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            // The numbers count from 1 and never reach 2^63.
            Self::Number(number) => Ok(ToSqlOutput::from(number.cast_signed())),
            Self::Bytes(bytes) => bytes.to_sql(),
        }
    }
}
