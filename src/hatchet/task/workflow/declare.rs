//! Declares the tasks of a workflow.

use std::{fmt, marker::PhantomData, sync::Arc};

use super::{
    erased::{FlowTask, ParentLink, Role},
    failure::TaskFailure,
    handle::{Brand, Handle, Hook, Tasks},
    parents::Parents,
};
use crate::hatchet::task::{
    AttemptInput, Context, ErasedTask, Payload, TaskError, TypedBody,
    erased::{DecodeFn, decode_input, erase},
};

/// The declaration of a workflow with input type `I`. Passed to the closure of
/// [`Stub::workflow`](crate::hatchet::task::Stub::workflow).
pub struct Flow<'f, I> {
    tasks: Tasks,
    brand: Brand<'f>,
    input: PhantomData<fn(I)>,
}

/// The parents of a task that is about to be declared. Returned by [`Flow::parents`].
#[must_use = "parents have an effect only on a task"]
pub struct WithParents<'w, 'f, I, P> {
    flow: &'w Flow<'f, I>,
    parents: P,
}

impl<'f, I: Payload> Flow<'f, I> {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { tasks, brand: PhantomData, input: PhantomData }
    }

    /// Declares a task without parents and with an async body. Its name consists of ASCII letters, digits, `.`, `-` and
    /// `_`, and is unique in the workflow without regard to case.
    pub fn task<O: Payload, Fut>(
        &self,
        name: &str,
        body: impl Fn(I, Context) -> Fut + Send + Sync + 'static,
    ) -> Handle<'f, O>
    where
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        let body = TypedBody::Async(Arc::new(move |input, ctx| Box::pin(body(input, ctx))));
        self.declare(name, Role::Task, body, Arc::new(decode_input::<I>), Vec::new())
    }

    /// Declares a task without parents whose body may block its thread, like
    /// [`Stub::blocking_task`](crate::hatchet::task::Stub::blocking_task).
    pub fn blocking_task<O: Payload>(
        &self,
        name: &str,
        body: impl Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    ) -> Handle<'f, O> {
        self.declare(name, Role::Task, TypedBody::Blocking(Arc::new(body)), Arc::new(decode_input::<I>), Vec::new())
    }

    /// Declares a task without parents whose body computes, like
    /// [`Stub::cpu_task`](crate::hatchet::task::Stub::cpu_task).
    pub fn cpu_task<O: Payload>(
        &self,
        name: &str,
        body: impl Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    ) -> Handle<'f, O> {
        self.declare(name, Role::Task, TypedBody::Cpu(Arc::new(body)), Arc::new(decode_input::<I>), Vec::new())
    }

    /// Sets the parents of the task that is declared next: `&Handle<A>`, or a tuple of them. The task starts when all
    /// parents have completed, and its body receives their outputs, an `A` or a tuple, as the second argument.
    ///
    /// If a parent fails or is cancelled, the task is cancelled.
    pub fn parents<P: Parents<'f>>(&self, parents: P) -> WithParents<'_, 'f, I, P> {
        WithParents { flow: self, parents }
    }

    /// Declares the task `on-failure`, which runs after all other tasks have finished if at least one of them has
    /// failed. Its body receives the failures. The run fails even if this task completes.
    pub fn on_failure<O: Payload, Fut>(
        &self,
        body: impl Fn(I, Vec<TaskFailure>, Context) -> Fut + Send + Sync + 'static,
    ) -> Hook<'f>
    where
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        let body = TypedBody::Async(Arc::new(move |(input, failures), ctx| Box::pin(body(input, failures, ctx))));
        let decode: DecodeFn<(I, Vec<TaskFailure>)> =
            Arc::new(|input: &AttemptInput| Ok((decode_input(input)?, TaskFailure::read_all(&input.errors))));
        Hook::new(self.declare::<_, O>("on-failure", Role::OnFailure, body, decode, Vec::new()))
    }

    /// Declares the task `on-success`, which runs after all other tasks have completed.
    pub fn on_success<O: Payload, Fut>(&self, body: impl Fn(I, Context) -> Fut + Send + Sync + 'static) -> Hook<'f>
    where
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        let body = TypedBody::Async(Arc::new(move |input, ctx| Box::pin(body(input, ctx))));
        let decode = Arc::new(decode_input::<I>);
        Hook::new(self.declare::<_, O>("on-success", Role::OnSuccess, body, decode, Vec::new()))
    }

    fn declare<T: Send + 'static, O: Payload>(
        &self,
        name: &str,
        role: Role,
        body: TypedBody<T, O>,
        decode: DecodeFn<T>,
        parents: Vec<ParentLink>,
    ) -> Handle<'f, O> {
        let task = ErasedTask::of_workflow::<I, O>(name.to_owned(), erase(body, decode));
        Handle::new(&self.tasks, FlowTask { role, task, parents, conditions: Vec::new() })
    }
}

impl<'f, I: Payload, P: Parents<'f>> WithParents<'_, 'f, I, P> {
    /// Declares a task with an async body, like [`Flow::task`].
    pub fn task<O: Payload, Fut>(
        self,
        name: &str,
        body: impl Fn(I, P::Outputs, Context) -> Fut + Send + Sync + 'static,
    ) -> Handle<'f, O>
    where
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        self.declare(name, TypedBody::Async(Arc::new(move |(input, outputs), ctx| Box::pin(body(input, outputs, ctx)))))
    }

    /// Declares a task whose body may block its thread, like [`Flow::blocking_task`].
    pub fn blocking_task<O: Payload>(
        self,
        name: &str,
        body: impl Fn(I, P::Outputs, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    ) -> Handle<'f, O> {
        self.declare(name, TypedBody::Blocking(Arc::new(move |(input, outputs), ctx| body(input, outputs, ctx))))
    }

    /// Declares a task whose body computes, like [`Flow::cpu_task`].
    pub fn cpu_task<O: Payload>(
        self,
        name: &str,
        body: impl Fn(I, P::Outputs, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    ) -> Handle<'f, O> {
        self.declare(name, TypedBody::Cpu(Arc::new(move |(input, outputs), ctx| body(input, outputs, ctx))))
    }

    fn declare<O: Payload>(self, name: &str, body: TypedBody<(I, P::Outputs), O>) -> Handle<'f, O> {
        let read = self.parents.reader().0;
        let decode: DecodeFn<(I, P::Outputs)> = Arc::new(move |input| Ok((decode_input(input)?, read(input)?)));
        self.flow.declare(name, Role::Task, body, decode, self.parents.links())
    }
}

impl<I> fmt::Debug for Flow<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("tasks", &self.tasks.borrow().len()).finish_non_exhaustive()
    }
}

impl<I, P> fmt::Debug for WithParents<'_, '_, I, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithParents").field("flow", self.flow).finish_non_exhaustive()
    }
}
