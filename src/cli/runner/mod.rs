//! `runner`: triggers a task by name, then follows its status or streams its events.

mod follow;
mod list;
mod plan;
mod queued;
mod screen;
mod stream;

use std::{process::ExitCode, sync::OnceLock};

use self::{
    plan::{Action, Command, Mode, Plan},
    screen::Screen,
};
use super::{
    Exit, bench, connect,
    deadline::Deadline,
    doctor, logging,
    output::{self, Format},
    signals::Signals,
};
use crate::hatchet::{
    client::{Client, ClientError, ErrorKind, RunDetails, RunHandle, TriggerOptions, diagnose},
    task::Task,
    wire::{RunId, RunStatus},
};

/// Metadata key that every run of ours has a value of its own for, so that its events can be subscribed to before it
/// exists: a subscription by run id starts late on a real engine, and loses what comes early.
const STREAM_KEY: &str = "runner_stream_id";

/// A cancelled run ends within some 50 ms; where it has not by then, the cancellation is sent again.
const CANCEL_AGAIN: std::time::Duration = std::time::Duration::from_secs(3);

/// The binary's `main`.
pub fn main() -> ExitCode {
    let mut args = plan::parse(std::env::args_os()).unwrap_or_else(|e| e.exit());
    match args.command.take() {
        Some(Command::Doctor(args)) => return super::run(4, doctor::run(args)),
        Some(Command::Bench(args)) => {
            return match bench::check(*args) {
                Ok(plan) => super::run(16, bench::run(plan)),
                Err(exit) => exit.report(),
            };
        }
        None => {}
    }
    if let Some(explained) = args.explain() {
        return explained.map_or_else(Exit::report, |()| ExitCode::SUCCESS);
    }
    let plan = match plan::check(args) {
        Ok(plan) => plan,
        Err(exit) => return exit.report(),
    };
    super::run(16, run(plan))
}

async fn run(plan: Plan) -> Result<(), Exit> {
    logging::start(&plan.sources)?;
    if let Action::List { task } = &plan.action {
        return list::print(task.as_ref(), plan.format);
    }
    let choice = connect::choose(plan.embedded, &plan.sources)?;
    let config = connect::runner_config(&choice, &plan.sources)?;
    let mut signals = Signals::listen().map_err(super::no_signals)?;
    let (said, embedded) = match &choice {
        connect::Choice::Token(said) => (said, false),
        connect::Choice::Embedded(said) => (said, true),
    };
    output::complain(&format!("uses the {said} at {}", config.host_port));
    let client = Client::new(config)?;
    let attach = Attach { embedded, run: OnceLock::new() };
    tokio::select! {
        biased;
        result = act(&plan, &client, &attach) => result,
        () = signals.next() => Err(Exit::interrupted(attach.interrupted())),
    }
}

/// How to attach to a run again, in words.
struct Attach {
    embedded: bool,
    /// The run, once there is one.
    run: OnceLock<RunId>,
}

impl Attach {
    fn command(&self, run: &RunHandle) -> String {
        // Each command is about one run.
        self.words(*self.run.get_or_init(|| run.id()))
    }

    fn words(&self, run: RunId) -> String {
        format!("runner --run-id {run}{}", if self.embedded { " --embedded" } else { "" })
    }

    fn interrupted(&self) -> String {
        match self.run.get() {
            Some(run) => {
                format!("interrupted; run {run} goes on: attach to it again with `{}`", self.words(*run))
            }
            None => "interrupted".to_owned(),
        }
    }
}

async fn act(plan: &Plan, client: &Client, attach: &Attach) -> Result<(), Exit> {
    let deadline = Deadline::after(plan.timeout);
    match &plan.action {
        Action::List { task } => list::print(task.as_ref(), plan.format),
        Action::Trigger { task, name, input, options, mode } => {
            trigger(plan.format, deadline, client, attach, task, name, input, options, *mode).await
        }
        Action::Attach { run, mode } => {
            let run = client.run(*run);
            let details = match deadline.before(run.details()).await {
                Some(Ok(details)) => Some(details),
                // The wait ends at once, with its own word.
                None => None,
                Some(Err(error)) => return Err(explain(client, error, deadline).await),
            };
            let mut screen = Screen::new(plan.format, details.as_ref().and_then(task_of), attach.command(&run));
            match (mode, details) {
                (Mode::Stream, Some(details)) => stream::attach(&run, &details, &mut screen, deadline).await,
                (Mode::Stream | Mode::Wait | Mode::NoWait, _) => follow::to_the_end(&run, &mut screen, deadline).await,
            }
        }
        Action::CancelWhere { metadata } => cancel_where(plan.format, deadline, client, metadata).await,
        Action::Cancel { run } => cancel(plan.format, deadline, attach, &client.run(*run)).await,
    }
}

/// The answer to a call that must be answered before the deadline.
async fn answered<T>(
    client: &Client,
    deadline: Deadline,
    call: impl Future<Output = Result<T, ClientError>>,
    left_open: &str,
) -> Result<T, Exit> {
    match deadline.answered(client, left_open, call).await? {
        Ok(answer) => Ok(answer),
        Err(error) => Err(explain(client, error, deadline).await),
    }
}

/// The task of a run that was made earlier, if it is one of ours.
fn task_of(details: &RunDetails) -> Option<Task> {
    details.tasks.first().and_then(|task| crate::tasks::find(&task.name).ok())
}

#[expect(clippy::too_many_arguments, reason = "the fields of one variant")]
async fn trigger(
    format: Format,
    deadline: Deadline,
    client: &Client,
    attach: &Attach,
    task: &Task,
    name: &str,
    input: &serde_json::value::RawValue,
    options: &TriggerOptions,
    mode: Mode,
) -> Result<(), Exit> {
    let mut options = options.clone();
    let stream_id = uuid::Uuid::new_v4().to_string();
    options.additional_metadata.insert(STREAM_KEY.to_owned(), stream_id.clone().into());
    let events = match mode {
        Mode::Stream => {
            let subscribed = stream::subscribe(client, stream_id);
            Some(answered(client, deadline, subscribed, "and no run was started").await?)
        }
        Mode::Wait | Mode::NoWait => None,
    };
    let left_open = "and whether a run was started is not known";
    let run = answered(client, deadline, client.trigger(name, &input, &options), left_open).await?;
    let mut screen = Screen::new(format, Some(task.clone()), attach.command(&run));
    screen.triggered(&run, name, mode == Mode::NoWait)?;
    match (mode, events) {
        (Mode::NoWait, _) => Ok(()),
        (_, Some(events)) => stream::to_the_end(&run, events, &mut screen, deadline).await,
        (_, None) => follow::to_the_end(&run, &mut screen, deadline).await,
    }
}

async fn cancel(format: Format, deadline: Deadline, attach: &Attach, run: &RunHandle) -> Result<(), Exit> {
    let before = answered(run.client(), deadline, run.details(), "and nothing was cancelled").await?;
    let mut screen = Screen::new(format, task_of(&before), attach.command(run));
    // A real engine would write CANCELLED over the outcome of a run that has ended.
    let outcome = if before.done {
        output::complain(&format!("run {} has already ended: there is nothing to cancel", run.id()));
        follow::outcome(run, &mut screen, deadline).await?
    } else {
        // A real engine was seen to lose a cancellation of a run that was just being moved, so it is asked for again.
        let insist = async {
            loop {
                run.cancel().await?;
                tokio::time::sleep(CANCEL_AGAIN).await;
            }
        };
        tokio::select! {
            outcome = follow::outcome(run, &mut screen, deadline) => outcome?,
            failed = insist => return failed,
        }
    };
    screen.result(&outcome)?;
    if outcome.status == RunStatus::Cancelled {
        Ok(())
    } else {
        Err(Exit::failed(format!("run {} ended before it was cancelled: {}", run.id(), outcome.status)))
    }
}

/// Cancels all open runs with these pairs, and prints the ids of each batch as soon as its cancellation is answered.
async fn cancel_where(
    format: Format,
    deadline: Deadline,
    client: &Client,
    metadata: &[(String, String)],
) -> Result<(), Exit> {
    let pairs: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let open = answered(client, deadline, client.open_runs(&pairs), "and nothing was cancelled").await?;
    let mut cancelled = 0;
    for batch in open.chunks(Client::CANCEL_BATCH) {
        let left_open = format!("and whether {} of {} runs were cancelled is not known", batch.len(), open.len());
        let runs = answered(client, deadline, client.cancel_many(batch), &left_open).await?;
        screen::cancelled(format, &runs)?;
        cancelled += runs.len();
    }
    screen::cancelled_in_all(format, cancelled)
}

/// A failed call, with what the wire shows about the address or TLS where that is the reason. Looking takes seconds,
/// but none beyond the deadline.
async fn explain(client: &Client, error: ClientError, deadline: Deadline) -> Exit {
    if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut)
        && let Some(Some(why)) = deadline.before(diagnose(&client.config())).await
    {
        return Exit::unreachable(why);
    }
    error.into()
}
