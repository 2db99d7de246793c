//! Opens the state of an engine with a data folder.

use std::path::Path;

use uuid::Uuid;

use crate::engine::{
    error::EngineError,
    options::EngineOptions,
    persistence::store::{self, OpenError, Store},
    state::{ClockReading, Restore, State, Validate, ValidateFilter},
    validate::{definition::validate_stored_definition, event_filter::validate_stored_filter},
};

/// Name of the database in the data folder.
pub(crate) const DATABASE: &str = "engine.db";

/// Restores the state from a data folder, and opens its store for later changes. A damaged database is renamed, never
/// overwritten, and the engine starts with an empty state.
pub(crate) fn open(folder: &Path, options: &EngineOptions, now: ClockReading) -> Result<(State, Store), EngineError> {
    let path = folder.join(DATABASE);
    let failed = |error| to_engine_error(&path, error);
    match restore(&path, options, now) {
        Err(OpenError::Damaged(reason)) => {
            let aside = store::move_aside(&path).map_err(|e| EngineError::folder("renaming", &path, e))?;
            tracing::error!(
                "{} is damaged ({reason}): it was renamed to {}, and the engine starts with an empty state",
                path.display(),
                aside.display()
            );
            restore(&path, options, now).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

fn restore(path: &Path, options: &EngineOptions, now: ClockReading) -> Result<(State, Store), OpenError> {
    let timings = options.timings.clone();
    let validate = Box::new(move |content| validate_stored_definition(content, &timings).map_err(|e| e.into_message()));
    let ids = Box::new(Uuid::new_v4);
    let validate: (Validate, ValidateFilter) = (validate, validate_stored_filter);
    let mut restore = Restore::new(options.timings.clone(), options.retention(), ids, validate, now);
    let store = store::open(path, |table, row| restore.put(table, row))?;
    Ok((restore.finish()?, store))
}

fn to_engine_error(path: &Path, error: OpenError) -> EngineError {
    match error {
        OpenError::Io(e) => EngineError::folder("opening", path, e),
        OpenError::Sqlite(e) => {
            let advice = store::advice(&e).unwrap_or("Choose another folder, or use --embedded-ephemeral");
            EngineError::file(path, &e.to_string(), advice)
        }
        OpenError::Newer { found, known } => EngineError::file(
            path,
            &format!("a newer version of this engine has written it (format {found}; this version reads {known})"),
            "Use that version, or choose another folder",
        ),
        OpenError::Damaged(reason) => EngineError::file(path, &reason, "Choose another folder"),
    }
}
