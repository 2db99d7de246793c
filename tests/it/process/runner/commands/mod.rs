//! The runner's commands about an engine: `run`, `runs`, `workers`, `workflows`, `events`, `cron`, `scheduled`, `open`.

mod by_name;
mod open;
mod resources;
mod runs;
mod triggers;

use std::sync::Arc;

use hatchet_quickstart::{
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::Stub,
        worker::{RunningWorker, Worker},
    },
    prelude::*,
};
use tokio::sync::Notify;

use crate::process::{Program, ProgramOutput, Workspace};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Report {
    title: String,
    #[serde(default)]
    pages: u32,
}

/// An engine with a worker of another program: the task `report`, which the runner does not know. It fails for the
/// title `fail`, waits for `release` for the title `held`, and is started by the event `report:due`.
struct OtherProgram {
    workspace: Workspace,
    /// `None` after its stop.
    worker: Option<RunningWorker>,
    release: Arc<Notify>,
    _engine: Program,
}

impl OtherProgram {
    async fn start() -> Self {
        let workspace = Workspace::new();
        let engine = workspace.engine();
        let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
        let release = Arc::new(Notify::new());
        let released = release.clone();
        let report = Stub::new("report").task(move |report: Report, context: Context| {
            let released = released.clone();
            async move {
                context.log(format!("writing {}", report.title));
                match report.title.as_str() {
                    "fail" => return Err(TaskError::fatal("no paper")),
                    "held" => released.notified().await,
                    _ => return Ok(report),
                }
                context.log("released");
                Ok(report)
            }
        });
        let report = report.on_event("report:due").description("Writes a report.");
        let mut worker = Worker::new(&Client::new(config).unwrap()).register(report).start().unwrap();
        worker.listening().await.unwrap();
        Self { workspace, worker: Some(worker), release, _engine: engine }
    }

    fn runner(&self, args: &[&str]) -> ProgramOutput {
        self.workspace.runner(args)
    }
}
