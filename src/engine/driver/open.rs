//! The state of an engine with a folder: what was kept, and how it goes on being kept.

use std::path::Path;

use uuid::Uuid;

use crate::engine::{
    error::EngineError,
    options::EngineOptions,
    persistence::store::{self, OpenError, Store},
    state::{ClockReading, Loading, State},
};

/// The file in the folder.
pub(crate) const FILE: &str = "engine.db";

/// What was kept in a folder, with the store that keeps what follows. A damaged file is put aside, never overwritten,
/// and the engine starts with nothing.
pub(crate) fn open(folder: &Path, options: &EngineOptions, now: ClockReading) -> Result<(State, Store), EngineError> {
    let path = folder.join(FILE);
    let refused = |error| refused(&path, error);
    match load(&path, options, now) {
        Err(OpenError::Damaged(why)) => {
            let aside = store::put_aside(&path).map_err(|e| EngineError::folder("put aside", &path, e))?;
            tracing::error!(
                "{} is damaged ({why}): it is kept as {}, and this engine starts with nothing",
                path.display(),
                aside.display()
            );
            load(&path, options, now).map_err(refused)
        }
        other => other.map_err(refused),
    }
}

fn load(path: &Path, options: &EngineOptions, now: ClockReading) -> Result<(State, Store), OpenError> {
    let timings = options.timings.clone();
    let declare = Box::new(move |content| {
        crate::engine::validate::definition::stored_definition(content, &timings).map_err(|e| e.into_message())
    });
    let ids = Box::new(Uuid::new_v4);
    let mut loading = Loading::new(options.timings.clone(), options.retention(), ids, declare, now);
    let store = store::open(path, |table, row| loading.put(table, row))?;
    Ok((loading.finish()?, store))
}

fn refused(path: &Path, error: OpenError) -> EngineError {
    match error {
        OpenError::Io(e) => EngineError::folder("open", path, e),
        OpenError::Sqlite(e) => {
            let advice = store::advice(&e).unwrap_or("choose another folder, or keep nothing");
            EngineError::file(path, &e.to_string(), advice)
        }
        OpenError::Newer { found, known } => EngineError::file(
            path,
            &format!("a newer version of this engine has written it (format {found}; this one knows {known})"),
            "use that version, or choose another folder",
        ),
        OpenError::Damaged(why) => EngineError::file(path, &why, "choose another folder"),
    }
}
