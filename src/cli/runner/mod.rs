//! `runner`: triggers a task by name, then follows its status or streams its events.

mod follow;
mod list;
mod queued;
mod request;
mod screen;
mod stream;

use std::{process::ExitCode, sync::OnceLock, time::SystemTime};

use self::{
    request::{Action, Command, Mode, Plan},
    screen::Screen,
};
use super::{
    Exit, bench,
    connection::{command::ConnectionWords, engine as connect},
    deadline::Deadline,
    doctor,
    output::{self, Format, logging},
    signals::Signals,
};
use crate::hatchet::{
    client::{Client, ClientError, ErrorKind, RunDetails, RunRef, TRIGGER_KEY, TriggerOptions, diagnose},
    task::{ErasedTask, Stub},
    wire::{RunId, RunStatus, TriggerId},
};

/// How far back runs are looked for by their metadata: longer than an engine keeps them by default.
const LOOK_BACK: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// A cancelled run ends within some 50 ms; where it has not by then, the cancellation is sent again.
const CANCEL_AGAIN: std::time::Duration = std::time::Duration::from_secs(3);

/// The binary's `main`.
pub fn main() -> ExitCode {
    let mut args = request::parse(std::env::args_os()).unwrap_or_else(|e| e.exit());
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
    let plan = match request::check(args) {
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
    let (connect::Choice::Token(said) | connect::Choice::Embedded(said)) = &choice;
    output::complain(&format!("uses the {said} at {}", config.host_port));
    let client = Client::new(config)?;
    let words = ConnectionWords::new(plan.embedded, &plan.sources);
    let attach = Attach { words, trigger: OnceLock::new(), run: OnceLock::new() };
    tokio::select! {
        biased;
        result = act(&plan, &client, &attach) => result,
        () = signals.next() => Err(Exit::interrupted(attach.interrupted())),
    }
}

/// The commands that come back to the run of this one.
struct Attach {
    words: ConnectionWords,
    /// The trigger's id and its mode, once the engine may have received it.
    trigger: OnceLock<(TriggerId, Mode)>,
    /// The run, once there is one.
    run: OnceLock<RunId>,
}

impl Attach {
    /// Attaches to a run.
    fn by_id(&self, run: &RunRef) -> String {
        // Each command is about one run.
        self.run_id(*self.run.get_or_init(|| run.id()))
    }

    fn run_id(&self, run: RunId) -> String {
        self.words.command(&["runner", "--run-id", &run.to_string()])
    }

    /// Looks for the run of a trigger that is not answered.
    fn by_trigger(&self, trigger: TriggerId, mode: Mode) -> String {
        let (trigger, mode) = *self.trigger.get_or_init(|| (trigger, mode));
        self.find(trigger, mode)
    }

    fn find(&self, trigger: TriggerId, mode: Mode) -> String {
        let pair = format!("{TRIGGER_KEY}={trigger}");
        let no_wait = (mode == Mode::NoWait).then_some("--no-wait");
        let words: Vec<&str> = ["runner", "--find", &pair].into_iter().chain(no_wait).collect();
        self.words.command(&words)
    }

    fn interrupted(&self) -> String {
        match (self.run.get(), self.trigger.get()) {
            (Some(run), _) => {
                format!("interrupted; run {run} goes on: attach to it again with `{}`", self.run_id(*run))
            }
            (None, Some((trigger, mode))) => format!(
                "interrupted, and not known whether a run was started: look for it with `{}`",
                self.find(*trigger, *mode)
            ),
            (None, None) => "interrupted".to_owned(),
        }
    }
}

/// A task, and that of its names by which a run of it was triggered.
#[derive(Debug, Clone)]
struct Triggered {
    task: ErasedTask,
    name: String,
}

async fn act(plan: &Plan, client: &Client, attach: &Attach) -> Result<(), Exit> {
    let deadline = Deadline::after(plan.timeout);
    match &plan.action {
        Action::List { task } => list::print(task.as_ref(), plan.format),
        Action::Trigger { task, name, input, options, mode } => {
            trigger(plan.format, deadline, client, attach, task, name, input, options, *mode).await
        }
        Action::Attach { run, mode } => to_given(plan.format, deadline, attach, &client.run_ref(*run), *mode).await,
        Action::Find { key, value, mode } => {
            let search = client.find_runs(key, value, SystemTime::now() - LOOK_BACK);
            let left_open = "and whether there is such a run is not known";
            let runs = answered(client, deadline, attach, search, left_open).await?;
            match runs.as_slice() {
                [run] if *mode == Mode::NoWait => screen::found(plan.format, run),
                [run] => to_given(plan.format, deadline, attach, run, *mode).await,
                [] => Err(Exit::unconfirmed(format!(
                    "the engine lists no run with the metadata {key}={value}: not known whether one was started; an \
                     engine that was away may need a minute"
                ))),
                many => {
                    let ids: Vec<String> = many.iter().take(10).map(|run| run.id().to_string()).collect();
                    let count = many.len();
                    let ids = ids.join(" ");
                    Err(Exit::usage(format!("--find: {count} runs have {key}={value}: name one with --run-id: {ids}")))
                }
            }
        }
        Action::CancelWhere { metadata } => cancel_where(plan.format, deadline, client, attach, metadata).await,
        Action::Cancel { run } => cancel(plan.format, deadline, attach, &client.run_ref(*run)).await,
    }
}

/// The answer to a call that must be answered before the deadline.
async fn answered<T>(
    client: &Client,
    deadline: Deadline,
    attach: &Attach,
    call: impl Future<Output = Result<T, ClientError>>,
    left_open: &str,
) -> Result<T, Exit> {
    match deadline.answered(client, &attach.words, left_open, call).await? {
        Ok(answer) => Ok(answer),
        Err(error) => Err(explain(client, error, deadline).await),
    }
}

/// The task of a run that was made earlier, if it is one of ours.
fn task_of(details: &RunDetails) -> Option<Triggered> {
    let name = &details.tasks.first()?.name;
    Some(Triggered { task: crate::tasks::find(name).ok()?, name: name.clone() })
}

/// Attaches to a run that was made earlier.
async fn to_given(format: Format, deadline: Deadline, attach: &Attach, run: &RunRef, mode: Mode) -> Result<(), Exit> {
    let details = match deadline.before(run.details()).await {
        Some(Ok(details)) => Some(details),
        // The wait ends at once, with its own word.
        None => None,
        Some(Err(error)) => return Err(explain(run.client(), error, deadline).await),
    };
    let mut screen = Screen::new(format, details.as_ref().and_then(task_of), attach.by_id(run), attach.words.clone());
    match (mode, details) {
        (Mode::Stream, Some(details)) => stream::attach(run, &details, &mut screen, deadline).await,
        (Mode::Stream | Mode::Wait | Mode::NoWait, _) => follow::to_the_end(run, &mut screen, deadline).await,
    }
}

#[expect(clippy::too_many_arguments, reason = "the fields of one variant")]
async fn trigger(
    format: Format,
    deadline: Deadline,
    client: &Client,
    attach: &Attach,
    task: &ErasedTask,
    name: &str,
    input: &serde_json::value::RawValue,
    options: &TriggerOptions,
    mode: Mode,
) -> Result<(), Exit> {
    let trigger = TriggerId::random();
    let options = TriggerOptions { trigger_id: Some(trigger), ..options.clone() };
    let events = match mode {
        Mode::Stream => {
            let subscribed = stream::subscribe(client, trigger);
            Some(answered(client, deadline, attach, subscribed, "and no run was started").await?)
        }
        Mode::Wait | Mode::NoWait => None,
    };
    let find = attach.by_trigger(trigger, mode);
    let left_open = format!("and whether a run was started is not known, which `{find}` finds out");
    let stub = Stub::<_, serde_json::Value>::from_name(name);
    let call = client.run_no_wait(&stub, &input).options(options).into_future();
    let run = match deadline.answered(client, &attach.words, &left_open, call).await? {
        Ok(run) => run,
        Err(error) if matches!(error.kind(), ErrorKind::Unconfirmed(_)) => {
            return Err(Exit::unconfirmed(format!("{error}: look again with `{find}`")));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Exit::not_registered(error.to_string())),
        Err(error) => return Err(explain(client, error, deadline).await),
    };
    let triggered = Triggered { task: task.clone(), name: name.to_owned() };
    let mut screen = Screen::new(format, Some(triggered), attach.by_id(&run), attach.words.clone());
    screen.triggered(&run, name, mode == Mode::NoWait)?;
    match (mode, events) {
        (Mode::NoWait, _) => Ok(()),
        (_, Some(events)) => stream::to_the_end(&run, events, &mut screen, deadline).await,
        (_, None) => follow::to_the_end(&run, &mut screen, deadline).await,
    }
}

async fn cancel(format: Format, deadline: Deadline, attach: &Attach, run: &RunRef) -> Result<(), Exit> {
    let before = answered(run.client(), deadline, attach, run.details(), "and nothing was cancelled").await?;
    let mut screen = Screen::new(format, task_of(&before), attach.by_id(run), attach.words.clone());
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
    attach: &Attach,
    metadata: &[(String, String)],
) -> Result<(), Exit> {
    let pairs: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let open = answered(client, deadline, attach, client.open_runs(&pairs), "and nothing was cancelled").await?;
    let mut cancelled = 0;
    for batch in open.chunks(Client::CANCEL_BATCH) {
        let left_open = format!("and whether {} of {} runs were cancelled is not known", batch.len(), open.len());
        let runs = answered(client, deadline, attach, client.cancel_many(batch), &left_open).await?;
        screen::cancelled(format, &runs)?;
        cancelled += runs.len();
    }
    screen::cancelled_in_all(format, cancelled, &attach.words)
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
