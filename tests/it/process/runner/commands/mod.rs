//! The runner's commands about an engine: `run`, `runs`, `workers`, `workflows`, `events`, `cron`, `scheduled`.

mod by_name;
mod resources;
mod runs;
mod triggers;

use hatchet_quickstart::{
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::Stub,
        worker::{RunningWorker, Worker},
    },
    prelude::*,
};

use crate::process::{Program, ProgramOutput, Workspace};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Report {
    title: String,
    #[serde(default)]
    pages: u32,
}

/// An engine with a worker of another program: the task `report`, which the runner does not know. It fails for the title
/// `fail`, and is started by the event `report:due`.
struct OtherProgram {
    workspace: Workspace,
    /// `None` after its stop.
    worker: Option<RunningWorker>,
    _engine: Program,
}

impl OtherProgram {
    async fn start() -> Self {
        let workspace = Workspace::new();
        let engine = workspace.engine();
        let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
        let report = Stub::new("report").task(|report: Report, context: Context| async move {
            context.log(format!("writing {}", report.title));
            if report.title == "fail" {
                return Err(TaskError::fatal("no paper"));
            }
            Ok(report)
        });
        let report = report.on_event("report:due").description("Writes a report.");
        let mut worker = Worker::new(&Client::new(config).unwrap()).register(report).start().unwrap();
        worker.listening().await.unwrap();
        Self { workspace, worker: Some(worker), _engine: engine }
    }

    fn runner(&self, args: &[&str]) -> ProgramOutput {
        self.workspace.runner(args)
    }
}
