//! `runner bench`: submits many runs, measures them, and writes a report.

mod args;
mod display;
mod finished;
mod own_worker;
mod prepare;
mod request;

use tokio_util::sync::CancellationToken;

use self::{display::ProgressDisplay, own_worker::OwnWorker, prepare::Prepared};
use super::{
    Exit,
    connection::{CommandRenderer, EngineChoice, choose_engine, client_config, render_command},
    output::{Program, init_logging, print_message, print_warning},
    signals::Signals,
};
use crate::{
    bench::{self, BenchmarkInfo, BenchmarkResult},
    hatchet::client::Client,
};

pub(super) use args::Args;
pub(super) use request::Request;

/// Runs the benchmark, and starts and stops a worker for it if requested.
///
/// Runs on a worker thread of the runtime, as the client's watcher does. On the main thread, each outcome that the
/// watcher sends would wake another thread.
pub(super) async fn run(request: Request) -> Result<(), Exit> {
    match tokio::spawn(run_on_worker_thread(request)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(interrupted_early()),
        },
    }
}

async fn run_on_worker_thread(request: Request) -> Result<(), Exit> {
    init_logging(&request.sources, Program::Runner)?;
    for warning in &request.warnings {
        print_warning(warning);
    }
    let choice = choose_engine(request.embedded, &request.sources)?;
    let mut signals = Signals::listen()?;
    let mut worker = None;
    if request.with_worker {
        worker = tokio::select! {
            started = OwnWorker::start(&request, &choice) => Some(started?),
            () = signals.next() => return Err(interrupted_early()),
        };
    }
    let result = measure(request, &choice, &mut signals, worker.as_mut()).await;
    if let Some(worker) = worker {
        worker.stop().await;
    }
    result
}

fn interrupted_early() -> Exit {
    Exit::interrupted("interrupted before anything was submitted")
}

async fn measure(
    request: Request,
    choice: &EngineChoice,
    signals: &mut Signals,
    worker: Option<&mut OwnWorker>,
) -> Result<(), Exit> {
    let config = client_config(choice, &request.sources)?;
    let mut display = ProgressDisplay::new(request.quiet);
    display.message(&format!("uses the {} at {}", choice.description(), config.host_port));
    let client = Client::new(config)?;
    let commands = CommandRenderer::new(request.embedded, &request.sources);
    let prepared = tokio::select! {
        prepared = prepare::prepare(&client, &request, &commands, &mut display) => prepared?,
        () = signals.next() => return Err(interrupted_early()),
    };
    let Prepared { plan, engine_version, warnings } = prepared;
    let path = request.folder.path().to_owned();
    let (open, quiet) = (request.open, request.quiet);
    let info = BenchmarkInfo {
        engine: if matches!(choice, EngineChoice::Embedded(_)) { "embedded" } else { "Hatchet" }.to_owned(),
        engine_version,
        command: command_line(),
        executions: request.verify_dedupe.then(|| own_worker::executions_file(&path)),
        before: request.before.clone(),
        warnings,
    };
    display.message(&format!("key prefix {}, report in {}", request.prefix, path.display()));
    let stop = CancellationToken::new();
    let running = bench::run(&client, plan, info, request.folder, &stop, &mut display);
    let result = run_until_stopped(running, &stop, signals, worker).await?;
    drop(display);
    let finished = finished::FinishedBenchmark {
        result: &result,
        prefix: &request.prefix,
        folder: &path,
        before: request.before.as_ref(),
        format: request.format,
        commands: &commands,
        quiet,
        open,
    };
    finished.print().await?;
    finished.exit()
}

/// Awaits the benchmark. The first signal or the end of the worker stops it, after which it writes its report. A second
/// signal abandons it.
async fn run_until_stopped(
    running: impl Future<Output = BenchmarkResult>,
    stop: &CancellationToken,
    signals: &mut Signals,
    worker: Option<&mut OwnWorker>,
) -> Result<BenchmarkResult, Exit> {
    tokio::pin!(running);
    let worker_ended = async {
        match worker {
            Some(worker) => worker.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = &mut running => return Ok(result),
        () = signals.next() => {
            print_message("interrupted: no more runs are submitted and the report is written; a second signal exits immediately");
        }
        status = worker_ended => {
            print_message(&format!(
                "the worker of this benchmark ended ({status}): no more runs are submitted; see worker.log"
            ));
        }
    }
    stop.cancel();
    tokio::select! {
        result = &mut running => Ok(result),
        () = signals.next() => Err(Exit::interrupted("interrupted again: the report is not written")),
    }
}

/// Returns the command line. The program is `runner` without its path, which would describe the machine.
fn command_line() -> String {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    render_command(std::iter::once("runner").chain(args.iter().map(String::as_str)))
}
