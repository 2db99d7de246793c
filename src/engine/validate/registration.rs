//! Validates registrations of workers.

use std::collections::{BTreeMap, HashMap};

use super::{
    error::Invalid,
    field::{is_name, not_a_name},
};
use crate::{
    engine::{
        persistence::records::{Label, Runtime},
        state::Registration,
    },
    hatchet::wire::{
        ActionId, SLOT_TYPE,
        proto::{RuntimeInfo, Sdks, WorkerLabels, WorkerRegisterRequest},
    },
};

/// Slots of a worker that declares none, as in a real engine.
const DEFAULT_SLOTS: i64 = 100;

/// Validates a registration. `in_process` marks a worker in the engine's own process.
pub(crate) fn validate_registration(from: WorkerRegisterRequest, in_process: bool) -> Result<Registration, Invalid> {
    if !is_name(&from.worker_name) {
        return Err(Invalid::registration("Name", &not_a_name(&from.worker_name)));
    }
    if let Some(language) = from.runtime_info.as_ref().and_then(|info| info.language) {
        check_language(language)?;
    }
    Ok(Registration {
        actions: validate_actions(&from.actions)?,
        slots: validate_slots(from.slots, from.slot_config)?,
        name: from.worker_name,
        labels: convert_labels(from.labels).collect(),
        runtime: from.runtime_info.map(convert_runtime),
        in_process,
    })
}

/// Converts the labels of a worker.
pub(crate) fn convert_labels(
    labels: impl IntoIterator<Item = (String, WorkerLabels)>,
) -> impl Iterator<Item = (String, Label)> {
    labels.into_iter().map(|(key, label)| (key, Label { text: label.str_value, number: label.int_value }))
}

fn convert_runtime(info: RuntimeInfo) -> Runtime {
    let RuntimeInfo { sdk_version, language, language_version, os, extra } = info;
    Runtime { sdk_version, language, language_version, os, extra }
}

fn validate_actions(texts: &[String]) -> Result<Vec<String>, Invalid> {
    let action = |(index, text): (usize, &String)| {
        let action = text.parse::<ActionId>().map_err(|_| {
            Invalid::registration(
                &format!("Actions[{index}]"),
                "Invalid action ID. Action IDs must be in the format <integrationId>:<verb>",
            )
        })?;
        Ok(action.as_str().to_owned())
    };
    texts.iter().enumerate().map(action).collect()
}

fn check_language(language: i32) -> Result<(), Invalid> {
    match Sdks::try_from(language) {
        Ok(Sdks::Go | Sdks::Python | Sdks::Typescript | Sdks::Ruby) => Ok(()),
        Ok(Sdks::Unknown) | Err(_) => Err(Invalid::registration(
            "RuntimeInfo.Language",
            &format!("{language} is not between 1 and 4: leave it unset"),
        )),
    }
}

/// Returns the name that REST shows for an SDK's language.
pub(crate) fn language_name(language: i32) -> Option<&'static str> {
    match Sdks::try_from(language).ok()? {
        Sdks::Go => Some("GOLANG"),
        Sdks::Python => Some("PYTHON"),
        Sdks::Typescript => Some("TYPESCRIPT"),
        Sdks::Ruby => Some("RUBY"),
        Sdks::Unknown => None,
    }
}

/// Validates the slots, and sorts them by the names of their types.
fn validate_slots(count: Option<i32>, by_type: HashMap<String, i32>) -> Result<Vec<(String, i64)>, Invalid> {
    match count {
        Some(_) if !by_type.is_empty() => {
            Err(Invalid::new("either slot_config or slots (deprecated) must be provided, not both"))
        }
        Some(count) => Ok(vec![(SLOT_TYPE.to_owned(), count.into())]),
        None if by_type.is_empty() => Ok(vec![(SLOT_TYPE.to_owned(), DEFAULT_SLOTS)]),
        None => {
            let sorted: BTreeMap<_, _> = by_type.into_iter().collect();
            Ok(sorted.into_iter().map(|(kind, units)| (kind, units.into())).collect())
        }
    }
}
