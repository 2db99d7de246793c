//! Tests of the store without an engine.

use std::sync::Arc;

use super::*;
use crate::engine::persistence::row::{Row, RowChange, RowKey};

fn put(number: u64, bytes: usize) -> RowChange {
    let row = Row { head: vec![1], texts: [Some(Arc::from("x".repeat(bytes))), None] };
    RowChange::Put(Table::Runs, RowKey::Number(number), row)
}

fn numbers(path: &Path) -> Vec<u64> {
    let mut numbers = Vec::new();
    let record = |_: Table, row: StoredRow<'_>| {
        numbers.push(row.number);
        Ok(())
    };
    drop(open(path, record).unwrap());
    numbers
}

#[test]
fn batch_is_written_completely_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    drop(open(&path, |_, _| Ok(())).unwrap());
    let mut database = Database::open(&path).unwrap().claim().unwrap();
    database.write(&[put(1, 10), put(2, 10)]).unwrap();
    database.limit_pages(4);
    let error = database.write(&[put(3, 10), put(4, 100_000)]).unwrap_err().to_string();
    assert!(error.contains("full") && error.contains("Free some space"), "{error}");
    database.limit_pages(1000);
    database.write(&[RowChange::Delete(Table::Runs, RowKey::Number(1)), put(5, 10)]).unwrap();
    drop(database);
    assert_eq!(numbers(&path), [2, 5]);
}

#[test]
fn file_of_earlier_version_gets_the_added_tables() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    drop(open(&path, |_, _| Ok(())).unwrap());
    Database::open(&path).unwrap().claim().unwrap().write(&[put(1, 10)]).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    for table in Table::ALL.into_iter().filter(|table| !table.is_in_all_files()) {
        file.execute_batch(&format!("DROP TABLE {}", table.name())).unwrap();
    }
    file.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(file);
    assert_eq!(numbers(&path), [1]);
    let row = Row { head: vec![1], texts: [None, None] };
    let added = RowChange::Put(Table::Filters, RowKey::Bytes(vec![7; 16]), row);
    Database::open(&path).unwrap().claim().unwrap().write(&[added]).unwrap();
    assert_eq!(numbers(&path).len(), 2);
    let file = rusqlite::Connection::open(&path).unwrap();
    let format: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, 2, "an earlier version must not take the new rows for damage");
}

#[test]
fn file_shrinks_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    drop(open(&path, |_, _| Ok(())).unwrap());
    let mut database = Database::open(&path).unwrap().claim().unwrap();
    let all = 0..4000;
    for some in all.clone().collect::<Vec<_>>().chunks(100) {
        database.write(&some.iter().map(|n| put(*n, 10_000)).collect::<Vec<_>>()).unwrap();
    }
    database.write(&all.map(|n| RowChange::Delete(Table::Runs, RowKey::Number(n))).collect::<Vec<_>>()).unwrap();
    for n in 0..1000 {
        database.write(&[put(100_000, n % 7)]).unwrap();
        database.reclaim();
    }
    drop(database);
    let size = std::fs::metadata(&path).unwrap().len();
    // Of 40 MB, at most the pages of two steps remain.
    assert!(size < 9 << 20, "{size}");
}

#[tokio::test]
async fn file_shrinks_after_load_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    let store = open(&path, |_, _| Ok(())).unwrap();
    for some in (0..4000).collect::<Vec<_>>().chunks(100) {
        store.write(some.iter().map(|n| put(*n, 10_000)).collect()).await.unwrap();
    }
    store.write((0..4000).map(|n| RowChange::Delete(Table::Runs, RowKey::Number(n))).collect()).await.unwrap();
    // No batch follows, so the store is idle.
    let size = || ["", "-wal"].map(|end| std::fs::metadata(format!("{}{end}", path.display())).unwrap().len());
    let shrinks = async {
        while size().iter().sum::<u64>() > 5 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let shrunk = tokio::time::timeout(Duration::from_secs(20), shrinks).await;
    assert!(shrunk.is_ok(), "{:?}", size());
    store.write(vec![put(5000, 10)]).await.unwrap();
    drop(store);
    assert_eq!(numbers(&path), [5000]);
}

#[test]
fn emptied_file_is_reported_as_damaged() {
    for (is_there, log) in [(true, None), (true, Some("-wal")), (true, Some("-journal")), (false, Some("-wal"))] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.db");
        if is_there {
            std::fs::write(&path, "").unwrap();
        }
        if let Some(log) = log {
            std::fs::write(dir.path().join(format!("engine.db{log}")), "rows").unwrap();
        }
        let error = open(&path, |_, _| Ok(())).unwrap_err();
        assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
        let aside = move_aside(&path).unwrap();
        if let Some(log) = log {
            assert_eq!(std::fs::read(format!("{}{log}", aside.display())).unwrap(), b"rows");
        }
        drop(open(&path, |_, _| Ok(())).unwrap());
        assert_eq!(
            move_aside(&path).unwrap(),
            dir.path().join("engine.db.damaged.1"),
            "the first renamed file is not overwritten"
        );
    }
}

#[test]
fn partly_renamed_database_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("engine.db"), dir.path().join("engine.db.damaged"));
    drop(open(&path, |_, _| Ok(())).unwrap());
    let mut database = Database::open(&path).unwrap().claim().unwrap();
    database.write(&[put(1, 10)]).unwrap();
    // As after `kill -9`: the rows are in the log.
    std::mem::forget(database);
    let (source, target) = files::renames(&path, &aside).next().unwrap();
    std::fs::rename(source, target).unwrap();
    let error = open(&path, |_, _| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "{error:?}");
    assert_eq!(move_aside(&path).unwrap(), dir.path().join("engine.db.damaged.1"));
    assert!(aside.exists() && dir.path().join("engine.db.damaged.1-wal").exists(), "database and log are both renamed");
    assert_eq!(numbers(&path), [0_u64; 0]);
}

#[test]
fn interrupted_creation_does_not_prevent_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    std::fs::write(dir.path().join("engine.db.new"), "half of it").unwrap();
    drop(open(&path, |_, _| Ok(())).unwrap());
    assert!(!dir.path().join("engine.db.new").exists());
    assert_eq!(numbers(&path), [0_u64; 0]);
}

#[cfg(unix)]
#[tokio::test]
async fn write_fails_after_lock_or_file_is_replaced() {
    for name in ["lock", "engine.db"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.db");
        std::fs::write(dir.path().join("lock"), "").unwrap();
        let store = open(&path, |_, _| Ok(())).unwrap();
        store.write(vec![put(1, 10)]).await.unwrap();
        // The old file keeps its inode number, so that the new file gets another number.
        std::fs::rename(dir.path().join(name), dir.path().join("away")).unwrap();
        std::fs::write(dir.path().join(name), "").unwrap();
        let (_, error) = store.write(vec![put(2, 10)]).await.unwrap_err();
        assert!(error.to_string().contains(name) && error.to_string().contains("Restart the process"), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn write_fails_after_other_program_changed_files() {
    type Damage = fn(&Path);
    let truncate: Damage = |path| std::fs::File::options().write(true).open(path).unwrap().set_len(4096).unwrap();
    let overwrite: Damage = |path| {
        let length = std::fs::metadata(path).unwrap().len();
        std::fs::write(path, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    };
    for (file, damage) in [("engine.db", truncate), ("engine.db", overwrite), ("engine.db-wal", truncate)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.db");
        let store = open(&path, |_, _| Ok(())).unwrap();
        store.write(vec![put(1, 100_000)]).await.unwrap();
        store.write(vec![put(2, 10)]).await.unwrap();
        damage(&dir.path().join(file));
        let (returned, error) = store.write(vec![put(3, 10)]).await.unwrap_err();
        assert!(returned.len() == 1 && error.to_string().contains("changed by another program"), "{file}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn linked_database_files_are_refused() {
    for name in ["engine.db", "engine.db-wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.db");
        drop(open(&path, |_, _| Ok(())).unwrap());
        let file = dir.path().join(name);
        if !file.exists() {
            std::fs::write(&file, "").unwrap();
        }
        std::fs::hard_link(&file, dir.path().join("elsewhere")).unwrap();
        let error = open(&path, |_, _| Ok(())).unwrap_err();
        assert!(matches!(&error, OpenError::Io(e) if e.to_string().contains("2 hard links")), "{error:?}");
    }
}

#[tokio::test]
async fn last_engine_to_open_file_owns_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    let first = open(&path, |_, _| Ok(())).unwrap();
    first.write(vec![put(1, 10)]).await.unwrap();
    let second = open(&path, |_, _| Ok(())).unwrap();
    let (returned, error) = first.write(vec![put(2, 10)]).await.unwrap_err();
    assert!(returned.len() == 1 && error.is_final() && error.to_string().contains("another engine"), "{error}");
    second.write(vec![put(3, 10)]).await.unwrap();
    assert!(first.write(vec![put(4, 10)]).await.is_err());
    drop((first, second));
    assert_eq!(numbers(&path), [1, 3]);
}

#[test]
fn rewritten_file_belongs_to_another_engine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    drop(open(&path, |_, _| Ok(())).unwrap());
    let mut database = Database::open(&path).unwrap().claim().unwrap();
    database.write(&[put(1, 10)]).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE owner").unwrap();
    let error = database.write(&[put(2, 10)]).unwrap_err();
    assert!(error.is_final() && error.to_string().contains("another engine"), "{error}");
    assert!(database.is_taken().unwrap());
    drop(database);
    assert_eq!(numbers(&path), [1]);
}

#[test]
fn file_of_earlier_version_is_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.db");
    drop(open(&path, |_, _| Ok(())).unwrap());
    let mut database = Database::open(&path).unwrap().claim().unwrap();
    database.write(&[put(1, 10)]).unwrap();
    database.drop_owner_table();
    drop(database);
    assert_eq!(numbers(&path), [1]);
    Database::open(&path).unwrap().claim().unwrap().write(&[put(2, 10)]).unwrap();
    assert_eq!(numbers(&path), [1, 2]);
}
