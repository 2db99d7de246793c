//! Assignments of attempts, as messages to workers.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::{
    engine::state::{Origin, Phase, Run, State, Task, workflows::TaskSpec},
    hatchet::wire::{
        RunId, TenantId,
        proto::{ActionType, AssignedAction},
    },
};

/// Creates the assignment of an attempt; `None` if the task does not exist.
pub(super) fn start(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = action(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::StartStepRun.into();
    action.action_payload = TaskInput::new(state, id, run, spec).to_json();
    Some(action)
}

/// Creates the request to stop an attempt: an assignment of another type, without a payload.
pub(super) fn stop(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = action(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::CancelStepRun.into();
    Some(action)
}

/// The payload of a task. It refers to the stored texts, so that a large payload can be written without the state's
/// lock.
pub(crate) struct TaskInput {
    input: Arc<str>,
    /// Outputs by task name.
    parents: Vec<(Arc<str>, Arc<str>)>,
    /// Errors by task name, for an on-failure task.
    errors: Option<Vec<(Arc<str>, Arc<str>)>>,
    /// Data of the conditions that started the task, by their keys.
    triggers: Vec<(Arc<str>, Arc<str>)>,
    /// Payload of the event filter that the run was triggered through.
    filter_payload: Option<Arc<str>>,
}

impl TaskInput {
    /// The payload of an assignment. As in a real engine, it has the outputs of all completed tasks of the run, not
    /// only of the task's parents.
    pub(crate) fn new(state: &State, id: RunId, run: &Run, spec: TaskSpec<'_>) -> Self {
        Self::with_outputs_of(0..run.tasks.len(), state, id, run, spec)
    }

    /// The payload as REST shows it. As in a real engine, it has the outputs of the task's parents only, and none for
    /// an on-failure task.
    pub(crate) fn for_display(state: &State, id: RunId, run: &Run, spec: TaskSpec<'_>) -> Self {
        if spec.definition.on_failure {
            let shown = Self::new(state, id, run, spec);
            return Self { parents: Vec::new(), ..shown };
        }
        Self::with_outputs_of(spec.definition.parents.iter().copied(), state, id, run, spec)
    }

    /// Creates a payload with the outputs of the completed tasks and the errors of the failed tasks among these tasks.
    fn with_outputs_of(
        tasks: impl Iterator<Item = usize>,
        state: &State,
        id: RunId,
        run: &Run,
        spec: TaskSpec<'_>,
    ) -> Self {
        let definition = spec.definition;
        let (mut parents, mut errors) = (Vec::new(), Vec::new());
        for index in tasks {
            let (Some(spec), Some(task)) =
                (run.version.task(index), run.tasks.get(index).and_then(|id| state.task(*id)))
            else {
                continue;
            };
            let name = &spec.definition.name;
            match &task.phase {
                Phase::Completed(output) => parents.push((name.clone(), output.clone())),
                Phase::Failed(error) => errors.push((name.clone(), error.clone())),
                Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff => {}
                Phase::Running(_) | Phase::Cancelled(_) => {}
            }
        }
        let triggers = definition.conditions.as_ref().map(|_| state.condition_data(id)).unwrap_or_default();
        // As in a real engine, only tasks without parents have the payload.
        let filter_payload = match &run.origin {
            Origin::Event { filter: Some(filter), .. } if definition.parents.is_empty() && !definition.on_failure => {
                Some(filter.payload.clone())
            }
            Origin::Event { .. } | Origin::Call | Origin::Schedule(_) | Origin::Cron => None,
        };
        let errors = definition.on_failure.then_some(errors);
        Self { input: run.input.clone(), parents, errors, triggers, filter_payload }
    }

    /// The payload as JSON. The input and the outputs are copied as they are, never parsed.
    pub(crate) fn to_json(&self) -> String {
        let members = self.parents.iter().chain(&self.triggers).chain(self.errors.iter().flatten());
        let filter_payload = self.filter_payload.as_deref().unwrap_or("null");
        let length: usize = members.map(|(name, text)| name.len() + text.len() + 8).sum();
        let mut text = String::with_capacity(128 + self.input.len() + filter_payload.len() + length);
        text.push_str(r#"{"input":"#);
        text.push_str(&self.input);
        text.push_str(r#","triggered_by":"manual","parents":"#);
        // An output that is not an object is replaced by an empty one, as SDKs read objects.
        let outputs = self.parents.iter().map(|(name, output)| (&**name, object(output).unwrap_or("{}").into()));
        add_object(&mut text, outputs);
        text.push_str(r#","triggers":{"filter_payload":"#);
        text.push_str(filter_payload);
        add_members(&mut text, true, self.triggers.iter().map(|(key, data)| (&**key, (&**data).into())));
        text.push_str(r#"},"user_data":null,"overrides":null"#);
        if let Some(errors) = &self.errors {
            text.push_str(r#","step_run_errors":"#);
            add_object(
                &mut text,
                errors.iter().map(|(name, error)| (&**name, Value::from(&**error).to_string().into())),
            );
        }
        text.push('}');
        text
    }
}

/// Appends a JSON object of names and JSON texts, which are copied as they are.
fn add_object<'a>(json: &mut String, members: impl Iterator<Item = (&'a str, Cow<'a, str>)>) {
    json.push('{');
    add_members(json, false, members);
    json.push('}');
}

/// Appends members of a JSON object, which is not empty with `follows`.
fn add_members<'a>(json: &mut String, mut follows: bool, members: impl Iterator<Item = (&'a str, Cow<'a, str>)>) {
    for (name, value) in members {
        if std::mem::replace(&mut follows, true) {
            json.push(',');
        }
        json.push_str(&Value::from(name).to_string());
        json.push(':');
        json.push_str(&value);
    }
}

/// The JSON text if it is an object.
fn object(json: &str) -> Option<&str> {
    let text = json.trim_ascii();
    text.starts_with('{').then_some(text)
}

fn parts(state: &State, id: RunId) -> Option<(&Task, &Run, TaskSpec<'_>)> {
    let task = state.task(id)?;
    Some((task, state.run(task.run)?.1, state.spec(id)?))
}

/// The fields that assignments and stops share.
fn action(tenant: TenantId, id: RunId, attempt: i32, task: &Task, run: &Run, spec: TaskSpec<'_>) -> AssignedAction {
    let parent = run.parent.as_ref();
    let event = match &run.origin {
        Origin::Event { id, key, .. } => Some((id.to_string(), key.to_string())),
        Origin::Call | Origin::Schedule(_) | Origin::Cron => None,
    };
    let (event_id, event_key) = event.unzip();
    let (task_run, task_id, name) = (id.to_string(), spec.id.to_string(), spec.definition.name.to_string());
    AssignedAction {
        tenant_id: tenant.to_string(),
        workflow_run_id: task.run.to_string(),
        job_id: task_id.clone(),
        job_name: name.clone(),
        job_run_id: task_run.clone(),
        task_id,
        task_run_external_id: task_run,
        action_id: spec.definition.action.to_string(),
        task_name: name,
        retry_count: attempt,
        additional_metadata: Some(run.metadata.to_string()),
        child_workflow_index: parent.and_then(|parent| parent.index),
        child_workflow_key: parent.and_then(|parent| parent.key.as_ref()).map(|key| key.to_string()),
        parent_workflow_run_id: parent.map(|parent| parent.task.to_string()),
        priority: run.priority,
        triggering_event_external_id: event_id,
        triggering_event_key: event_key,
        workflow_id: Some(run.version.workflow_id.to_string()),
        workflow_version_id: Some(run.version.id.to_string()),
        task_inserted_at: Some(run.created.to_wire()),
        ..AssignedAction::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_one_json_object() {
        let payload = TaskInput {
            input: "null".into(),
            parents: vec![("a".into(), " {\"v\": 1}".into()), ("b".into(), "[2]".into())],
            errors: Some(vec![("c".into(), "no\n\"way\"".into())]),
            filter_payload: None,
            triggers: vec![("slept".into(), r#"{"sleep_duration":"1s"}"#.into())],
        };
        let sent: Value = serde_json::from_str(&payload.to_json()).unwrap();
        assert_eq!(sent["parents"], serde_json::json!({"a": {"v": 1}, "b": {}}));
        assert_eq!(sent["step_run_errors"]["c"], "no\n\"way\"");
        assert_eq!(sent["triggers"]["slept"]["sleep_duration"], "1s");
        assert!(sent["input"].is_null() && sent["triggers"]["filter_payload"].is_null());
    }
}
