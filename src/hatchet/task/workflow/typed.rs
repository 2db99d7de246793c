//! A declared workflow with its types, and the options of its runs.

use std::{cell::RefCell, fmt, rc::Rc};

use super::{
    declare::Flow,
    erased::{ErasedWorkflow, FlowTask},
    handle::{Handle, Tasks},
};
use crate::hatchet::task::{Concurrency, Payload, Stub, WorkflowOptions, options::impl_workflow_options};

/// A workflow: tasks that run in the order of their dependencies, with one input and one output.
///
/// A [`Worker`](crate::hatchet::worker::Worker) registers the workflow, and a caller runs it by its stub, like a task.
/// Options and names are checked when the worker starts: a value that an engine would refuse is an error with the name
/// of the field.
///
/// ```
/// use hatchet_quickstart::{hatchet::task::parent_output, prelude::*};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Order { total: u32 }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Reserved { warehouse: String }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Charged { total: u32 }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Receipt { text: String }
///
/// const FULFILL: Stub<Order, Receipt> = Stub::new("fulfill").output_of("receipt");
///
/// fn fulfill() -> Workflow<Order, Receipt> {
///     FULFILL.workflow(|flow| {
///         let reserved = flow.task("reserve", |_order, _ctx| async move { Ok(Reserved { warehouse: "north".into() }) });
///         let charged = flow.task("charge", |order, _ctx| async move { Ok(Charged { total: order.total }) });
///         let gift = flow
///             .parents(&charged)
///             .task("gift", |_order, _charged, _ctx| async move { Ok(Reserved { warehouse: "gifts".into() }) })
///             .skip_if(parent_output(&charged, "output.total < 100"));
///         flow.on_failure(|_order, failures, ctx| async move {
///             failures.iter().for_each(|failure| ctx.log(failure.to_string()));
///             Ok(())
///         });
///         // The types of the arguments follow from the parents. A skipped parent is `None`.
///         flow.parents((&reserved, &charged, &gift.optional())).task(
///             "receipt",
///             |_order, (reserved, charged, gift), _ctx| async move {
///                 let gift = if gift.is_some() { " and a gift" } else { "" };
///                 Ok(Receipt { text: format!("{} from {}{gift}", charged.total, reserved.warehouse) })
///             },
///         )
///     })
/// }
/// ```
///
/// These mistakes do not compile. A parent's output of another type:
///
/// ```compile_fail,E0631
/// # use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct A {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct B {}
/// let _ = Stub::<Input, B>::new("w").output_of("b").workflow(|flow| {
///     let a = flow.task("a", |_, _| async move { Ok(A {}) });
///     flow.parents(&a).task("b", |_input, b: B, _ctx| async move { Ok(b) })
/// });
/// ```
///
/// A parent of another workflow:
///
/// ```compile_fail,E0521
/// # use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct A {}
/// let _ = Stub::<Input, A>::new("outer").output_of("a").workflow(|outer| {
///     let a = outer.task("a", |_, _| async move { Ok(A {}) });
///     let _ = Stub::<Input, A>::new("inner").output_of("b").workflow(|inner| {
///         inner.parents(&a).task("b", |_input, a, _ctx| async move { Ok(a) })
///     });
///     a
/// });
/// ```
///
/// A cycle, since a handle exists only after its task:
///
/// ```compile_fail,E0425
/// # use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct A {}
/// let _ = Stub::<Input, A>::new("w").output_of("b").workflow(|flow| {
///     let a = flow.parents(&b).task("a", |_, b, _| async move { Ok(b) });
///     let b = flow.parents(&a).task("b", |_, a, _| async move { Ok(a) });
///     b
/// });
/// ```
///
/// A result of another type than the stub's:
///
/// ```compile_fail,E0308
/// # use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct A {}
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct B {}
/// let _ = Stub::<Input, B>::new("w").output_of("a").workflow(|flow| {
///     flow.task("a", |_, _| async move { Ok(A {}) })
/// });
/// ```
#[must_use = "a workflow runs only after a worker has registered it"]
pub struct Workflow<I, O> {
    stub: Stub<I, O>,
    options: WorkflowOptions,
    tasks: Vec<FlowTask>,
    /// The task whose output is the result, in lower case.
    output: Option<String>,
}

impl<I: Payload, O: Payload> Stub<I, O> {
    /// Declares a workflow. The closure declares the tasks and returns the task whose output is the output of the run.
    /// Callers must know this task as well, so the stub names it with [`Stub::output_of`].
    pub fn workflow(&self, declare: impl for<'f> FnOnce(&Flow<'f, I>) -> Handle<'f, O>) -> Workflow<I, O> {
        let tasks: Tasks = Rc::new(RefCell::new(Vec::new()));
        let output = declare(&Flow::new(tasks.clone())).name().to_owned();
        Workflow::new(self.clone(), &tasks, Some(output))
    }

    /// Declares a workflow whose output is an object of the outputs of all tasks by name, in lower case. `O` has a
    /// field for each task of interest; an `Option` for a task that may be skipped. The compiler does not check it.
    ///
    /// ```
    /// # use hatchet_quickstart::prelude::*;
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Input {}
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Count { n: u32 }
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Counts { lines: Count, words: Count }
    ///
    /// const COUNT: Stub<Input, Counts> = Stub::new("count");
    ///
    /// let count = COUNT.workflow_of_all(|flow| {
    ///     flow.task("lines", |_input, _ctx| async move { Ok(Count { n: 1 }) });
    ///     flow.task("words", |_input, _ctx| async move { Ok(Count { n: 2 }) });
    /// });
    /// ```
    pub fn workflow_of_all(&self, declare: impl for<'f> FnOnce(&Flow<'f, I>)) -> Workflow<I, O> {
        let tasks: Tasks = Rc::new(RefCell::new(Vec::new()));
        declare(&Flow::new(tasks.clone()));
        Workflow::new(self.clone(), &tasks, None)
    }
}

impl<I: Payload, O> Workflow<I, O> {
    fn new(stub: Stub<I, O>, tasks: &Tasks, output: Option<String>) -> Self {
        Self { stub, options: WorkflowOptions::default(), tasks: tasks.take(), output }
    }

    fn with_workflow_options(mut self, change: impl FnOnce(&mut WorkflowOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Limits the number of concurrent runs of the workflow. Several calls add several limits, which all apply.
    /// Default: none.
    pub fn concurrency(self, limit: Concurrency) -> Self {
        self.with_workflow_options(|options| options.concurrency.push(limit))
    }

    impl_workflow_options!(I);

    /// Returns the workflow's name and types, with which a caller runs it.
    pub fn stub(&self) -> &Stub<I, O> {
        &self.stub
    }

    /// Returns the workflow's name, without the client's namespace.
    pub fn name(&self) -> &str {
        self.stub.name()
    }

    /// Returns the workflow's options.
    pub fn options(&self) -> &WorkflowOptions {
        &self.options
    }

    /// The tasks, in the order of their declaration.
    pub(in crate::hatchet) fn tasks(&self) -> &[FlowTask] {
        &self.tasks
    }

    /// Returns the workflow without its types, for a list of workflows of different types.
    #[must_use]
    pub fn erase(self) -> ErasedWorkflow {
        let input_schema = schemars::schema_for!(I).to_value();
        let output = (self.output, self.stub.output_task().map(str::to_lowercase));
        ErasedWorkflow::of_tasks(self.stub.name(), self.options, self.tasks, input_schema, output)
    }
}

impl<I: Payload, O> From<Workflow<I, O>> for ErasedWorkflow {
    fn from(workflow: Workflow<I, O>) -> Self {
        workflow.erase()
    }
}

impl<I, O> Clone for Workflow<I, O> {
    fn clone(&self) -> Self {
        Self {
            stub: self.stub.clone(),
            options: self.options.clone(),
            tasks: self.tasks.clone(),
            output: self.output.clone(),
        }
    }
}

impl<I, O> fmt::Debug for Workflow<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow")
            .field("name", &self.stub.name())
            .field("tasks", &self.tasks)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
