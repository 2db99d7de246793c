//! Checks of a workflow before it is registered.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    condition::{Action, ConditionKind},
    erased::{DeclaredFlow, ErasedWorkflow, FlowTask, Role},
};
use crate::hatchet::task::{InvalidTask, validate::Subject};

impl ErasedWorkflow {
    /// Checks names and options against the limits of an engine, and the tasks of a workflow against each other, as a
    /// worker does before it registers the workflow.
    ///
    /// # Errors
    ///
    /// [`InvalidTask`] with the first field that an engine would refuse.
    pub fn validate(&self) -> Result<(), InvalidTask> {
        match self.flow() {
            Ok(flow) => flow.validate(),
            Err(task) => task.validate(),
        }
    }

    /// The subject of an error about the workflow.
    fn subject(&self) -> Subject {
        match self.flow() {
            Ok(flow) => Subject::workflow(&flow.name),
            Err(task) => Subject::task(task.name()),
        }
    }
}

/// Checks each workflow of a worker, and that no two workflows share a name. Engines ignore the case of names.
pub(in crate::hatchet) fn validate_all(workflows: &[ErasedWorkflow]) -> Result<(), InvalidTask> {
    let mut seen = BTreeSet::new();
    for workflow in workflows {
        workflow.validate()?;
        for name in workflow.names() {
            if !seen.insert(name.to_lowercase()) {
                let subject = workflow.subject();
                let rule = "another task has this name (case does not count): rename one";
                return subject.invalid("name", &name, rule);
            }
        }
    }
    Ok(())
}

impl DeclaredFlow {
    fn validate(&self) -> Result<(), InvalidTask> {
        let subject = Subject::workflow(&self.name);
        subject.check_name(&self.name)?;
        subject.check_workflow_options(&self.options)?;
        if !self.tasks.iter().any(|task| task.role == Role::Task) {
            return subject.invalid("tasks", &"", "declare at least one");
        }
        let mut names = BTreeSet::new();
        for task in &self.tasks {
            let subject = Subject::task(task.task.qualified_name());
            subject.check_name(task.task.name())?;
            if !names.insert(task.name()) {
                let rule = "another task of the workflow has this name (case does not count): rename one";
                return subject.invalid("name", &task.task.name(), rule);
            }
            subject.check_task_options(task.task.options())?;
            check_conditions(&subject, task)?;
        }
        self.check_skipped_parents()?;
        self.check_output(&subject)
    }

    /// Refuses a required parent that may be skipped while another parent runs: the body would miss its output.
    fn check_skipped_parents(&self) -> Result<(), InvalidTask> {
        let mut may_skip: BTreeMap<String, bool> = BTreeMap::new();
        for task in &self.tasks {
            let is_skipped_alone = task.skips_by_parent() || task.parents.len() > 1;
            let skipped = |name: &str| may_skip.get(name).copied().unwrap_or(false);
            if let Some(link) = task.parents.iter().find(|link| !link.is_optional && skipped(&link.name))
                && is_skipped_alone
            {
                let rule = "the parent may be skipped while the task runs: pass `handle.optional()`";
                return Subject::task(task.task.qualified_name()).invalid("parent", &link.name, rule);
            }
            let has_skip = task.conditions.iter().any(|(action, _)| *action == Action::Skip);
            let follows_parents = !task.parents.is_empty()
                && !task.skips_by_parent()
                && task.parents.iter().all(|link| skipped(&link.name));
            may_skip.insert(task.name(), has_skip || follows_parents);
        }
        Ok(())
    }

    /// Checks that the declaration and the stub agree about the task whose output is the result.
    fn check_output(&self, subject: &Subject) -> Result<(), InvalidTask> {
        match &self.output {
            (None, None) => Ok(()),
            (Some(declared), Some(stub)) if declared == stub => Ok(()),
            (Some(_), stub) => subject.invalid(
                "output task",
                &stub.as_deref().unwrap_or_default(),
                "name the task that the declaration returns with `Stub::output_of`",
            ),
            (None, Some(stub)) => subject.invalid(
                "output task",
                stub,
                "declare the workflow with `Stub::workflow`, or remove `output_of`",
            ),
        }
    }
}

fn check_conditions(subject: &Subject, task: &FlowTask) -> Result<(), InvalidTask> {
    for condition in task.conditions.iter().flat_map(|(_, group)| group.conditions()) {
        match condition {
            ConditionKind::Sleep(duration) => subject.check_duration("sleep", *duration)?,
            ConditionKind::Event { key, filter, scope, since } => {
                subject.check_text("event", key, "use a key that is not empty")?;
                let cel = "use a CEL expression whose result is a boolean";
                filter.iter().try_for_each(|filter| subject.check_text("event filter", filter, cel))?;
                let text = "use a text that is not empty";
                scope.iter().try_for_each(|scope| subject.check_text("event scope", scope, text))?;
                if since.is_some() && scope.is_none() {
                    return subject.invalid("event scope", &"", "required with `since`");
                }
            }
            ConditionKind::ParentOutput { task: parent, expression } => {
                if !task.parents.iter().any(|link| link.name == *parent) {
                    let rule = "a condition on an output needs the task as a parent: pass it to `parents`";
                    return subject.invalid("parent output", parent, rule);
                }
                let cel = "use a CEL expression whose result is a boolean";
                subject.check_text("parent output expression", expression, cel)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::validate_all;
    use crate::hatchet::task::{Flow, Handle, Stub, Task, TaskError, event, parent_output, sleep};

    fn named(name: &str) -> Task<Json, Json> {
        Stub::from_name(name).blocking_task(|input, _| Ok(input))
    }

    type Json = serde_json::Map<String, serde_json::Value>;

    const STUB: Stub<Json, Json> = Stub::new("w").output_of("z");

    async fn body(input: Json, _ctx: crate::hatchet::task::Context) -> Result<Json, TaskError> {
        Ok(input)
    }

    async fn child(input: Json, _: (Json, Json), _ctx: crate::hatchet::task::Context) -> Result<Json, TaskError> {
        Ok(input)
    }

    /// Returns the error of a workflow that consists of the declared tasks and the task `z`.
    fn error(declare: impl for<'f> FnOnce(&Flow<'f, Json>, Handle<'f, Json>)) -> String {
        let flow = STUB.workflow(|flow| {
            let z = flow.task("z", body);
            declare(flow, z.clone());
            z
        });
        flow.erase().validate().unwrap_err().to_string()
    }

    #[test]
    fn invalid_task_of_a_workflow_is_refused_with_its_field() {
        let cases = [
            (error(|flow, _| drop(flow.task("a b", body))), "task \"w:a b\": invalid name \"a b\""),
            (error(|flow, _| drop(flow.task("Z", body))), "task \"w:Z\": invalid name \"Z\": another task"),
            (error(|flow, _| drop(flow.task("a", body).slots(0))), "task \"w:a\": invalid slots \"0\""),
            (error(|flow, _| drop(flow.task("a", body).wait_for(sleep(Duration::ZERO)))), "invalid sleep"),
            (error(|flow, _| drop(flow.task("a", body).skip_if(event("")))), "invalid event \"\""),
            (error(|flow, _| drop(flow.task("a", body).skip_if(event("k").filter(" ")))), "invalid event filter"),
            (error(|flow, _| drop(flow.task("a", body).skip_if(event("k").scope("")))), "invalid event scope"),
            (
                error(|flow, _| drop(flow.task("a", body).wait_for(event("k").since(SystemTime::now())))),
                "invalid event scope \"\": required",
            ),
            (
                error(|flow, z| drop(flow.task("a", body).cancel_if(parent_output(&z, "true")))),
                "invalid parent output \"z\"",
            ),
            (
                error(|flow, _| {
                    let _ = (flow.on_success(body), flow.on_success(body));
                }),
                "task \"w:on-success\": invalid name",
            ),
        ];
        for (error, expected) in cases {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn required_parent_that_may_be_skipped_is_refused() {
        let invalid = error(|flow, z| {
            let a = flow.task("a", body).skip_if(event("k"));
            let follows = flow.parents(&a).task("follows", |input, _: Json, _| async move { Ok(input) });
            flow.parents((&z, &follows)).task("both", child);
        });
        assert!(invalid.contains("task \"w:both\": invalid parent \"follows\""), "{invalid}");
        let valid = STUB.workflow(|flow| {
            let a = flow.task("a", body).skip_if(event("k"));
            let b = flow.task("b", body);
            flow.parents((&a.optional(), &b)).task("z", |input, _: (Option<Json>, Json), _| async move { Ok(input) })
        });
        assert_eq!(valid.erase().validate(), Ok(()));
    }

    #[test]
    fn stub_and_declaration_agree_about_the_output() {
        let other = Stub::<Json, Json>::new("w").workflow(|flow| flow.task("z", body)).erase();
        assert_eq!(other.validate().unwrap_err().field(), "output task");
        let all = STUB.workflow_of_all(|flow| drop(flow.task("z", body))).erase();
        assert_eq!(all.validate().unwrap_err().field(), "output task");
        let none = Stub::<Json, Json>::new("w").workflow_of_all(|_| ()).erase();
        assert_eq!(none.validate().unwrap_err().field(), "tasks");
    }

    #[test]
    fn duplicate_name_is_refused_regardless_of_case() {
        let duplicate = validate_all(&[named("a").into(), named("b").alias("A").into()]).unwrap_err();
        assert_eq!(
            duplicate.to_string(),
            "task \"b\": invalid name \"A\": another task has this name (case does not count): rename one"
        );
    }
}
