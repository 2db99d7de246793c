//! The input of a run, from the command line, a file or stdin.

use std::path::Path;

use serde_json::value::RawValue;

use crate::{
    cli::{
        Exit,
        settings::{read_file, read_text, unknown_fields},
    },
    hatchet::{task::ErasedTask, wire::check_object},
};

/// Maximum size of an input: 64 MiB, far more than the default limit of a message to an engine (4 MiB).
const MAX_INPUT: usize = 64 << 20;

/// A JSON object, and the flag that it comes from, for errors.
pub(super) struct InputText {
    pub(super) source: String,
    pub(super) json: String,
}

impl InputText {
    /// Reads the input of `--input-json` or `--input-file`. `None` without both.
    pub(super) fn read(json: Option<String>, file: Option<&str>) -> Result<Option<Self>, Exit> {
        let (source, json) = match (json, file) {
            (Some(json), _) => ("--input-json".to_owned(), json),
            (None, Some("-")) => {
                let text = read_text(std::io::stdin(), MAX_INPUT)
                    .map_err(|e| Exit::usage(format!("--input-file -: reading stdin failed: {e}")))?;
                ("--input-file -".to_owned(), text)
            }
            (None, Some(file)) => {
                let text = read_file(Path::new(file), MAX_INPUT)
                    .map_err(|e| Exit::usage(format!("--input-file: reading {file} failed: {e}")))?;
                (format!("--input-file {file}"), text)
            }
            (None, None) => return Ok(None),
        };
        // Editors on Windows write a byte order mark.
        let json = json.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(json);
        check_object(&json).map_err(|e| Exit::usage(format!("{source} is {e}")))?;
        Ok(Some(Self { source, json }))
    }

    /// The empty object, whose missing fields have the defaults of the task.
    pub(super) fn default_of(name: &str) -> Self {
        Self { source: format!("the default input of {name}"), json: "{}".to_owned() }
    }

    /// Completes the input of a task of the application. It is validated by the task's input type, so that an invalid
    /// field is named before anything is sent. Also returns warnings about fields that the task ignores.
    pub(super) fn complete(&self, task: &ErasedTask) -> Result<(Box<RawValue>, Vec<String>), Exit> {
        let Self { source, json } = self;
        let complete = task.complete_input(json).map_err(|e| {
            let schema = "see the schema with `runner --list-tasks`";
            Exit::usage(format!("{source} does not fit {}: {e}: {schema}", task.name()))
        })?;
        let warnings = unknown_fields(task, json).iter().map(|field| format!("{source} has {field}")).collect();
        Ok((raw(source, complete)?, warnings))
    }

    /// The input as it was given.
    pub(super) fn unchanged(&self) -> Result<Box<RawValue>, Exit> {
        raw(&self.source, self.json.clone())
    }
}

fn raw(source: &str, json: String) -> Result<Box<RawValue>, Exit> {
    RawValue::from_string(json).map_err(|e| Exit::usage(format!("writing {source} as JSON failed: {e}")))
}
