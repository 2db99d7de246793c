//! References to the declared tasks of a workflow.

use std::{cell::RefCell, fmt, marker::PhantomData, rc::Rc};

use super::{
    condition::{Action, Condition, OrGroup},
    erased::{FlowTask, ParentLink},
};
use crate::hatchet::task::{TaskOptions, options::impl_task_options};

/// The tasks of a declaration, which the handles share.
pub(super) type Tasks = Rc<RefCell<Vec<FlowTask>>>;

/// Makes the lifetime of a declaration invariant, so that the handles of two declarations have different types.
pub(super) type Brand<'f> = PhantomData<fn(&'f ()) -> &'f ()>;

/// A declared task of a workflow with output type `O`, as a parent of other tasks. Has a method for each option of the
/// task. Cheap to clone.
pub struct Handle<'f, O> {
    position: Position,
    /// In lower case, as engines know it.
    name: String,
    is_optional: bool,
    brand: Brand<'f>,
    output: PhantomData<fn() -> O>,
}

/// The declared on-failure or on-success task of a workflow. Has a method for each option of the task.
#[derive(Debug)]
pub struct Hook<'f> {
    position: Position,
    brand: Brand<'f>,
}

/// The position of a task in its declaration.
#[derive(Clone)]
struct Position {
    tasks: Tasks,
    index: usize,
}

impl Position {
    fn change(&self, change: impl FnOnce(&mut FlowTask)) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(self.index) {
            change(task);
        }
    }
}

impl<'f, O> Handle<'f, O> {
    pub(super) fn new(tasks: &Tasks, task: FlowTask) -> Self {
        let name = task.name();
        let index = tasks.borrow().len();
        tasks.borrow_mut().push(task);
        let position = Position { tasks: tasks.clone(), index };
        Self { position, name, is_optional: false, brand: PhantomData, output: PhantomData }
    }

    /// Returns the task's name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a handle whose output is `None` if the task was skipped. Needed for a parent that may be skipped while
    /// another parent runs.
    pub fn optional(&self) -> Handle<'f, Option<O>> {
        let Self { position, name, .. } = self.clone();
        Handle { position, name, is_optional: true, brand: PhantomData, output: PhantomData }
    }

    /// Waits for a condition before the task starts, in addition to its parents. Several calls add several conditions,
    /// which must all hold; [`Condition::or`](super::Condition::or) combines alternatives in one call.
    ///
    /// ```
    /// # use hatchet_quickstart::{hatchet::task::{event, sleep}, prelude::*};
    /// # use std::time::Duration;
    /// # type Json = serde_json::Map<String, serde_json::Value>;
    /// # let _ = Stub::<Json, Json>::new("w").output_of("gift").workflow(|flow| {
    /// flow.task("gift", |input, _ctx| async move { Ok(input) })
    ///     .wait_for(sleep(Duration::from_secs(10)).or(event("gift:ok").filter("input.amount > 10")))
    /// # });
    /// ```
    ///
    /// While all tasks without parents wait, engine v0.104.7 lists the run over REST, but does not find it over gRPC.
    /// [`RunRef::result`](crate::hatchet::client::RunRef::result) then waits for as long as the run is listed. If the
    /// address of the REST API is not set, it fails after 10 s: start such a workflow with a task that does not wait.
    pub fn wait_for(self, condition: impl Into<OrGroup>) -> Self {
        self.condition(Action::Wait, condition.into())
    }

    /// Skips the task if a condition holds. Several calls add several conditions, which must all hold.
    ///
    /// A task whose parents were all skipped is skipped, too, unless it has a condition on a parent's output to skip
    /// it.
    pub fn skip_if(self, condition: impl Into<OrGroup>) -> Self {
        self.condition(Action::Skip, condition.into())
    }

    /// Cancels the task if a condition holds, and with it the tasks that depend on it. Several calls add several
    /// conditions, which must all hold.
    pub fn cancel_if(self, condition: impl Into<OrGroup>) -> Self {
        self.condition(Action::Cancel, condition.into())
    }

    impl_task_options!();

    pub(super) fn link(&self) -> ParentLink {
        ParentLink { name: self.name.clone(), is_optional: self.is_optional }
    }

    fn condition(self, action: Action, group: OrGroup) -> Self {
        self.position.change(|task| task.conditions.push((action, group)));
        self
    }

    fn with_task_options(self, change: impl FnOnce(&mut TaskOptions)) -> Self {
        self.position.change(|task| change(task.task.options_mut()));
        self
    }
}

/// Returns the condition that the CEL expression is true for the output of a parent, as in
/// `parent_output(&charge, "output.total < 100")`. The task must be a parent of the task with the condition.
///
/// As a condition to wait, it replaces the condition that this parent has completed: if the expression is false, the
/// task never starts on its account.
pub fn parent_output<O>(parent: &Handle<'_, O>, expression: impl Into<String>) -> Condition {
    Condition::of_output(parent.name(), expression.into())
}

impl Hook<'_> {
    pub(super) fn new<O>(handle: Handle<'_, O>) -> Self {
        Self { position: handle.position, brand: PhantomData }
    }

    impl_task_options!();

    fn with_task_options(self, change: impl FnOnce(&mut TaskOptions)) -> Self {
        self.position.change(|task| change(task.task.options_mut()));
        self
    }
}

impl<O> Clone for Handle<'_, O> {
    fn clone(&self) -> Self {
        Self { position: self.position.clone(), name: self.name.clone(), ..*self }
    }
}

impl<O> fmt::Debug for Handle<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.name).finish()
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Position").field(&self.index).finish()
    }
}
