//! The child runs of a body in a test.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::hatchet::{
    task::{ChildError, ChildOutcome, ChildRequest, ChildRunner, Priority, RunInfo},
    wire::RunId,
};

/// A child run that a body has started in a test.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TestChild {
    /// The name of the child's task.
    pub task: String,
    /// The input that the body has passed.
    pub input: Value,
    /// The key, if the body has set one.
    pub key: Option<String>,
    /// The number of the call in the attempt, from 0.
    pub index: i32,
    /// The priority, if the body has set one.
    pub priority: Option<Priority>,
    /// The additional metadata that the body has set, without the inherited pairs.
    pub metadata: Map<String, Value>,
    /// Whether the child desires the worker of its parent.
    pub sticky: bool,
}

/// Returns the outcome for an input.
pub(super) type Response = Arc<dyn Fn(Value) -> ChildOutcome + Send + Sync>;

/// Records the children of a body, and returns the outcomes that the test states.
pub(super) struct RecordedChildren {
    responses: HashMap<String, Response>,
    recorded: Mutex<Recorded>,
}

#[derive(Default)]
struct Recorded {
    children: Vec<TestChild>,
    outcomes: HashMap<RunId, ChildOutcome>,
    by_key: HashMap<String, RunId>,
}

impl RecordedChildren {
    pub(super) fn new(responses: HashMap<String, Response>) -> Arc<Self> {
        Arc::new(Self { responses, recorded: Mutex::default() })
    }

    /// Returns the children that were started so far, in order.
    pub(super) fn take(&self) -> Vec<TestChild> {
        std::mem::take(&mut self.lock().children)
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, task: &str, request: ChildRequest) -> Result<RunId, ChildError> {
        let Some(response) = self.responses.get(task) else {
            let remedy = "State its output with `.child(…)`, or its failure with `.failed_child(…)`";
            return Err(ChildError::invalid(format!("the test states no outcome of the child task {task}. {remedy}")));
        };
        let input: Value = serde_json::from_str(request.input.get()).map_err(ChildError::call)?;
        if let Some(run) = request.key.as_ref().and_then(|key| self.lock().by_key.get(key).copied()) {
            return Ok(run);
        }
        let (run, outcome) = (RunId::random(), response(input.clone()));
        let ChildRequest { index, key, priority, metadata, sticky, .. } = request;
        let mut recorded = self.lock();
        recorded.outcomes.insert(run, outcome);
        if let Some(key) = &key {
            recorded.by_key.insert(key.clone(), run);
        }
        let task = task.to_owned();
        recorded.children.push(TestChild { task, input, key, index, priority, metadata, sticky });
        Ok(run)
    }
}

impl ChildRunner for RecordedChildren {
    fn start(
        &self,
        _: &RunInfo,
        task: &str,
        children: Vec<ChildRequest>,
    ) -> BoxFuture<'static, Vec<Result<RunId, ChildError>>> {
        let runs = children.into_iter().map(|request| self.record(task, request)).collect();
        Box::pin(std::future::ready(runs))
    }

    fn outcome(&self, child: RunId, _: Option<&'static str>) -> BoxFuture<'static, Result<ChildOutcome, ChildError>> {
        let outcome = self.lock().outcomes.get(&child).cloned();
        let outcome = outcome.ok_or_else(|| ChildError::invalid(format!("no child run {child} was started")));
        Box::pin(std::future::ready(outcome))
    }

    fn runtime(&self) -> Handle {
        Handle::current()
    }
}

/// Creates a response from a function of the child's input type.
pub(super) fn response<I, O, F>(task: &str, body: F) -> Response
where
    I: serde::de::DeserializeOwned,
    O: serde::Serialize,
    F: Fn(I) -> Result<O, String> + Send + Sync + 'static,
{
    let task = task.to_owned();
    Arc::new(move |input| {
        let output = serde_json::from_value(input)
            .map_err(|e| format!("BadInput: input of {task}: {e}"))
            .and_then(&body)
            .and_then(|output| serde_json::to_string(&output).map_err(|e| format!("BadOutput: output of {task}: {e}")));
        match output {
            Ok(json) => ChildOutcome::Completed(json),
            Err(error) => ChildOutcome::Failed(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hatchet::task::{ChildItem, Context, Stub, TaskError};

    type Json = Map<String, Value>;

    const CHILD: Stub<Json, Json> = Stub::new("child");
    const PARENT: Stub<Json, Json> = Stub::new("parent");

    #[tokio::test]
    async fn children_are_recorded_with_their_stated_outputs() {
        let task = PARENT.task(|input: Json, ctx: Context| async move {
            let first = ctx.run(&CHILD, &input).metadata("k", "v").await?;
            let keyed = [ChildItem::new(&first).key("same"), ChildItem::new(&input).key("same")];
            let outputs = ctx.run_many(&CHILD, keyed).priority(Priority::High).sticky().await;
            outputs.into_iter().next_back().unwrap().map_err(TaskError::from)
        });
        let output = |mut input: Json| {
            input.insert("n".to_owned(), json!(input["n"].as_i64().unwrap() + 1));
            input
        };
        let input: Json = serde_json::from_value(json!({ "n": 1 })).unwrap();
        let run = task.test().child(&CHILD, output).run(input).await;
        assert_eq!(run.result.unwrap()["n"], 3, "the second call with a key gets the first run");
        let children: Vec<_> =
            run.children.iter().map(|child| (child.index, child.key.as_deref(), &child.input["n"])).collect();
        assert_eq!(children, [(0, None, &json!(1)), (1, Some("same"), &json!(2))]);
        assert_eq!((run.children[0].metadata["k"].as_str(), run.children[0].priority), (Some("v"), None));
        assert_eq!(run.children[1].priority, Some(Priority::High));
        assert_eq!([0, 1].map(|index: usize| run.children[index].sticky), [false, true]);
    }

    #[tokio::test]
    async fn failed_and_unstated_children_are_errors() {
        let task = PARENT.blocking_task(|input: Json, ctx: Context| {
            ctx.log(ctx.block_on(ctx.run(&CHILD, &input)).unwrap_err().to_string());
            Ok(input)
        });
        let run = task.test().failed_child(&CHILD, "Stock: none").run(Json::new()).await;
        assert!(run.logs[0].message.ends_with("failed: Stock: none"), "{:?}", run.logs);
        let run = task.test().run(Json::new()).await;
        assert!(run.logs[0].message.contains("no outcome of the child task child"), "{:?}", run.logs);
        assert!(run.children.is_empty());
    }
}
