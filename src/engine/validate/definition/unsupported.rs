//! Refuses features of Hatchet's workflow definitions that this engine does not support.

use crate::{
    engine::validate::error::Invalid,
    hatchet::wire::{excerpt, proto::v1},
};

/// Refuses a definition that uses unsupported features. The error names all of them.
pub(super) fn check(content: &v1::CreateWorkflowVersionRequest) -> Result<(), Invalid> {
    let features = used_features(content);
    if features.is_empty() {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "workflow `{}` uses {}: not supported by this embedded engine. Use a real Hatchet, which supports it (set \
         HATCHET_CLIENT_TOKEN), or declare the workflow without it",
        excerpt(&content.name),
        features.join(", ")
    )))
}

fn used_features(content: &v1::CreateWorkflowVersionRequest) -> Vec<&'static str> {
    let task_uses =
        |uses: fn(&v1::CreateTaskOpts) -> bool| content.tasks.iter().chain(&content.on_failure_task).any(uses);
    [(task_uses(|task| task.is_durable), "durable tasks"), (task_uses(|task| task.batch.is_some()), "batch tasks")]
        .into_iter()
        .filter_map(|(used, feature)| used.then_some(feature))
        .collect()
}
