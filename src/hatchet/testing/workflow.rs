//! One attempt of a task of a workflow.

use serde_json::value::{RawValue, to_raw_value};

use super::body::{BodyTest, TestedBody, on_thread};
use crate::hatchet::{
    task::{
        AttemptInput, Body, CancelReason, Context, ErasedTask, Outcome, Payload, Role, RunInfo, TaskError, Workflow,
    },
    wire::Failure,
};

/// A task of a workflow under test, with the stated results of other tasks of its run.
#[derive(Debug)]
pub struct WorkflowTask {
    task: ErasedTask,
    /// Names of the parents, in lower case.
    parents: Vec<String>,
    /// Names of the tasks whose failures the on-failure task receives. Empty for other tasks.
    can_fail: Vec<String>,
    results: AttemptInput,
}

impl<I: Payload, O> Workflow<I, O> {
    /// Prepares an attempt of a task of the workflow without an engine, as [`Task::test`](crate::hatchet::task::Task::test)
    /// does. `T` is the output type of the task. The tests of the hooks have the names `on-failure` and `on-success`.
    ///
    /// State the outputs of the parents with [`BodyTest::parent_output`]. A parent without a stated output counts as
    /// skipped.
    ///
    /// ```
    /// use hatchet_quickstart::prelude::*;
    ///
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Order { total: u32 }
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Reserved { warehouse: String }
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Receipt { text: String }
    ///
    /// const FULFILL: Stub<Order, Receipt> = Stub::new("fulfill").output_of("receipt");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let fulfill = FULFILL.workflow(|flow| {
    ///     let reserved = flow.task("reserve", |_order, _ctx| async move { Ok(Reserved { warehouse: "north".into() }) });
    ///     flow.parents(&reserved).task("receipt", |order, reserved, _ctx| async move {
    ///         Ok(Receipt { text: format!("{} from {}", order.total, reserved.warehouse) })
    ///     })
    /// });
    /// let test = fulfill.test::<Receipt>("receipt").parent_output("reserve", &Reserved { warehouse: "south".into() });
    /// assert_eq!(test.run(Order { total: 7 }).await.result.unwrap().text, "7 from south");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the workflow has no task of this name.
    #[track_caller]
    pub fn test<T: Payload>(&self, task: &str) -> BodyTest<I, T, WorkflowTask> {
        let name = task.to_lowercase();
        let Some(found) = self.tasks().iter().find(|task| task.name() == name) else {
            let names: Vec<String> = self.tasks().iter().map(|task| task.name()).collect();
            panic!("the workflow {} has no task {task}, only {}", self.name(), names.join(", "));
        };
        let info = RunInfo {
            run_id: uuid::Uuid::new_v4().to_string(),
            workflow_run_id: uuid::Uuid::new_v4().to_string(),
            task_name: name,
            max_attempts: found.task.options().retries.saturating_add(1),
            worker_id: uuid::Uuid::new_v4().to_string(),
            ..RunInfo::default()
        };
        let others = self.tasks().iter().filter(|other| found.role == Role::OnFailure && other.role != Role::OnFailure);
        let body = WorkflowTask {
            task: found.task.clone(),
            can_fail: others.map(|other| other.name()).collect(),
            parents: found.parents.iter().map(|parent| parent.name.clone()).collect(),
            results: AttemptInput::default(),
        };
        BodyTest::new(body, info)
    }
}

/// The results of other tasks of the run.
impl<I: Payload, O: Payload> BodyTest<I, O, WorkflowTask> {
    /// States the output of a parent of the task.
    ///
    /// # Panics
    ///
    /// Panics if the task has no parent of this name, or if the output cannot be written as JSON.
    #[track_caller]
    pub fn parent_output(mut self, parent: &str, output: &impl Payload) -> Self {
        let name = parent.to_lowercase();
        if !self.body.parents.contains(&name) {
            let (task, parents) = (self.body.task.qualified_name(), self.body.parents.join(", "));
            panic!("the task {task} has no parent {parent}, only [{parents}]");
        }
        let json: Box<RawValue> = match to_raw_value(output) {
            // A unit type, which is an empty object on the wire.
            Ok(json) if json.get() == "null" => to_raw_value(&serde_json::json!({})).unwrap_or(json),
            Ok(json) => json,
            Err(error) => panic!("the output of the parent {parent} cannot be written as JSON: {error}"),
        };
        self.body.results.parents.insert(name, json);
        self
    }

    /// States the error of a failed task of the run, for the on-failure task: a text such as `Card: declined`.
    ///
    /// # Panics
    ///
    /// Panics if the workflow has no other task of this name, or if the task under test is not the on-failure task.
    #[track_caller]
    pub fn failure(mut self, task: &str, error: &str) -> Self {
        let name = task.to_lowercase();
        if !self.body.can_fail.contains(&name) {
            let (tested, can_fail) = (self.body.task.qualified_name(), self.body.can_fail.join(", "));
            panic!("the task {tested} receives no failure of {task}, only of [{can_fail}]");
        }
        self.body.results.errors.insert(name, error.to_owned());
        self
    }
}

impl<I: Payload, O: Payload> TestedBody<I, O> for WorkflowTask {
    async fn run_body(self, input: I, ctx: Context) -> Result<O, TaskError> {
        let input = serde_json::to_string(&input)
            .map_err(|error| TaskError::fatal(format!("the input cannot be written as JSON: {error}")))?;
        let input = AttemptInput { input, ..self.results };
        let attempt = ctx.clone();
        let outcome = match self.task.body() {
            Body::Async(body) => ctx.clone().scope(async { body(input, ctx).await }).await,
            Body::Blocking(body) | Body::Cpu(body) => {
                let body = body.clone();
                on_thread(move || ctx.clone().sync_scope(|| body(input, ctx))).await
            }
        };
        match outcome {
            Outcome::Completed(json) => serde_json::from_str(&json).or_else(|bad| {
                // A unit output is an empty object.
                let unit = if json == "{}" { serde_json::from_str("null") } else { Err(bad) };
                unit.map_err(|error| {
                    TaskError::fatal(format!("the output is of another type than the test's: {error}"))
                })
            }),
            Outcome::Failed { error, may_retry, retry_after } => {
                let message = Failure::parse(&error).message.into_owned();
                Err(match retry_after {
                    _ if !may_retry => TaskError::fatal(message),
                    Some(delay) => TaskError::retry_after(message, delay),
                    None => TaskError::new(message),
                })
            }
            Outcome::Cancelled => {
                let reason = attempt.check_cancelled().err();
                Err(reason.unwrap_or_else(|| TaskError::cancelled(CancelReason::Requested)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::hatchet::task::{Handle, Retry, Stub};

    type Json = Map<String, Value>;

    fn object(value: Value) -> Json {
        serde_json::from_value(value).unwrap()
    }

    fn workflow() -> Workflow<Json, Json> {
        Stub::<Json, Json>::new("w").output_of("sum").workflow(|flow| {
            let a: Handle<Json> = flow.task("a", |input, _| async move { Ok(input) }).retries(2);
            let b: Handle<Json> =
                flow.blocking_task("B", |_, _| Err(TaskError::retry_after("later", Duration::from_secs(3))));
            flow.on_failure(|_, failures, ctx| async move {
                failures.iter().for_each(|failure| ctx.log(failure.to_string()));
                Ok(())
            });
            flow.parents((&a, &b.optional())).task("sum", |input: Json, (a, b): (Json, Option<Json>), ctx| async move {
                ctx.log(format!("attempt {}", ctx.attempt_number()));
                Ok(object(json!({ "sum": [input["n"], a["n"], b.map(|b| b["n"].clone())] })))
            })
        })
    }

    #[tokio::test]
    async fn body_gets_stated_outputs_and_a_skipped_parent() {
        let (workflow, input) = (workflow(), object(json!({ "n": 1 })));
        let a = object(json!({ "n": 2 }));
        let test = workflow.test::<Json>("sum").parent_output("a", &a).retry_count(1);
        let run = test.run(input.clone()).await;
        assert_eq!((run.result.unwrap()["sum"].clone(), &*run.logs[0].message), (json!([1, 2, null]), "attempt 2"));
        let test = workflow.test::<Json>("Sum").parent_output("a", &a).parent_output("b", &object(json!({ "n": 3 })));
        assert_eq!(test.run(input.clone()).await.result.unwrap()["sum"], json!([1, 2, 3]));
        let skipped = workflow.test::<Json>("sum").run(input).await.result.unwrap_err();
        assert_eq!(skipped.to_string(), "parent `a` was skipped: declare it with `optional`");
    }

    #[tokio::test]
    async fn body_error_keeps_retry_and_reaches_failure_hook() {
        let workflow = workflow();
        let error = workflow.test::<Json>("b").run(Json::new()).await.result.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.retry()), ("later", Retry::After(Duration::from_secs(3))));
        let run = workflow.test::<()>("on-failure").failure("a", "Card: declined").run(Json::new()).await;
        assert!(run.result.is_ok() && run.logs[0].message.contains("declined"), "{run:?}");
    }

    #[test]
    #[should_panic(expected = "the workflow w has no task c, only a, b, on-failure, sum")]
    fn unknown_task_fails_the_test() {
        let _ = workflow().test::<Json>("c");
    }

    #[test]
    #[should_panic(expected = "the task sum has no parent sum, only [a, b]")]
    fn unknown_parent_fails_the_test() {
        let _ = workflow().test::<Json>("sum").parent_output("sum", &Json::new());
    }

    #[test]
    #[should_panic(expected = "the task on-failure receives no failure of on-failure, only of [a, b, sum]")]
    fn failure_of_no_other_task_fails_the_test() {
        let _ = workflow().test::<()>("on-failure").failure("A", "x").failure("on-failure", "x");
    }

    #[test]
    #[should_panic(expected = "the task sum receives no failure of a, only of []")]
    fn failure_for_ordinary_task_fails_the_test() {
        let _ = workflow().test::<Json>("sum").failure("a", "x");
    }
}
