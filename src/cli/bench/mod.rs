//! `runner bench`: many runs at once, measured.

mod own_worker;
mod prepare;
mod progress;
mod request;

use tokio_util::sync::CancellationToken;

use self::{own_worker::OwnWorker, progress::Screen};
use super::{
    Exit,
    connection::{
        command::{self, ConnectionWords},
        engine as connect,
    },
    output::{self, logging},
    signals::Signals,
};
use crate::{
    bench::{self, Ending, Observer as _, Report, Setting},
    hatchet::client::Client,
};

pub(super) use request::{Args, Plan, check};

/// From the plan to the exit code.
pub(super) async fn run(plan: Plan) -> Result<(), Exit> {
    logging::start(&plan.sources)?;
    let choice = connect::choose(plan.embedded, &plan.sources)?;
    let mut signals = Signals::listen().map_err(super::no_signals)?;
    let mut worker = None;
    if plan.with_worker {
        worker = tokio::select! {
            started = OwnWorker::start(&plan, &choice) => Some(started?),
            () = signals.next() => return Err(Exit::interrupted("interrupted before anything was submitted")),
        };
    }
    let result = measure(plan, &choice, &mut signals, worker.as_mut()).await;
    if let Some(worker) = worker {
        worker.stop().await;
    }
    result
}

async fn measure(
    plan: Plan,
    choice: &connect::Choice,
    signals: &mut Signals,
    worker: Option<&mut OwnWorker>,
) -> Result<(), Exit> {
    let config = connect::runner_config(choice, &plan.sources)?;
    let (said, engine) = match choice {
        connect::Choice::Token(said) => (said, "Hatchet"),
        connect::Choice::Embedded(said) => (said, "embedded"),
    };
    output::complain(&format!("uses the {said} at {}", config.host_port));
    let client = Client::new(config)?;
    let words = ConnectionWords::new(plan.embedded, &plan.sources);
    let mut screen = Screen::new(plan.tasks.iter().map(|(task, _)| task.name()), plan.runs);
    let prepared = tokio::select! {
        prepared = prepare::prepare(&client, &plan, &words, &mut screen) => prepared?,
        () = signals.next() => return Err(Exit::interrupted("interrupted before anything was submitted")),
    };
    let setting = Setting {
        engine: engine.to_owned(),
        engine_version: prepared.engine_version,
        command: command_line(),
        executions: plan.verify_dedupe.then(|| own_worker::executions(plan.journal.folder())),
        before: plan.before.clone(),
        doubts: prepared.doubts,
    };
    let folder = plan.journal.folder().to_owned();
    output::complain(&format!("key prefix {}, report in {}", plan.prefix, folder.display()));
    let (prefix, format, before) = (plan.prefix.clone(), plan.format, plan.before);
    let stop = CancellationToken::new();
    let report = {
        let running = bench::run(&client, prepared.plan, setting, plan.journal, &stop, &mut screen);
        tokio::pin!(running);
        let worker_ended = async {
            match worker {
                Some(worker) => worker.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(worker_ended);
        let first = tokio::select! {
            report = &mut running => Ok(report),
            () = signals.next() => {
                output::complain("interrupted: submits no more, and writes the report; again ends at once");
                Err(())
            }
            status = &mut worker_ended => {
                output::complain(&format!("the worker of this benchmark ended ({status}): submits no more; see worker.log"));
                Err(())
            }
        };
        match first {
            Ok(report) => report,
            Err(()) => {
                stop.cancel();
                tokio::select! {
                    report = &mut running => report,
                    () = signals.next() => return Err(Exit::interrupted("interrupted again: the report is not written")),
                }
            }
        }
    };
    screen.clear();
    conclude(&report, &mut screen, &prefix, &folder, before.as_ref(), format, &words)
}

/// Shows the figures and makes the exit code.
fn conclude(
    report: &Report,
    screen: &mut Screen,
    prefix: &str,
    folder: &std::path::Path,
    before: Option<&bench::Summary>,
    format: output::Format,
    words: &ConnectionWords,
) -> Result<(), Exit> {
    progress::result(report, before, format)?;
    for line in &report.unwritten {
        screen.note(line);
    }
    if report.unwritten.is_empty() {
        output::complain(&format!("report: {}", folder.join("report.html").display()));
    }
    let summary = &report.summary;
    let all = summary.all();
    let again = format!(
        "go on with the same command and `--key-prefix {prefix}{}`",
        if summary.dedupe.on { "" } else { "` (dedupe is off, so it starts over) and another `--out DIR" }
    );
    let open = all.unaccounted + all.unconfirmed + all.not_submitted;
    match report.ending {
        Ending::Interrupted => {
            return Err(Exit::interrupted(format!(
                "interrupted: {open} of {} runs have not ended: {again}",
                all.total
            )));
        }
        Ending::TimedOut => {
            return Err(Exit::timed_out(format!("{open} of {} runs have not ended in time: {again}", all.total)));
        }
        Ending::Complete => {}
    }
    if !report.unwritten.is_empty() {
        return Err(Exit::usage("the report is not whole: see above"));
    }
    if let Some(wrong) = summary.dedupe.verified.as_ref().and_then(|verified| verified.wrong.first()) {
        return Err(Exit::failed(format!("dedupe did not hold: {wrong}")));
    }
    if all.unconfirmed > 0 {
        let find = words.command(&["runner", "--find", &format!("{}=KEY", bench::RUN_KEY)]);
        return Err(Exit::unconfirmed(format!(
            "not known whether {} of {} runs started: `{find}` looks for one again, with its key from runs.jsonl, where \
             it is `unanswered`",
            all.unconfirmed, all.total
        )));
    }
    if summary.is_good() {
        Ok(())
    } else {
        Err(Exit::failed(format!("{} runs did not complete", all.total - all.completed)))
    }
}

fn command_line() -> String {
    // The path says more of the machine than of the command.
    let words: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    command::line(std::iter::once("runner").chain(words.iter().map(String::as_str)))
}
