//! A disk that is full temporarily.

use std::process::Command;

use hatchet_quickstart::hatchet::wire::{
    MAY_TAKE_EFFECT,
    proto::v1::{CreateTaskOpts, CreateWorkflowVersionRequest, GetRunDetailsRequest, TriggerWorkflowRequest},
};
use tonic::{Code, Status};

use crate::process::{Program, Workspace};
use crate::support::{Target, eventually, within_timeout};

/// Limits the size of files that a process writes.
fn limit_file_size(process: &Program, bytes: &str) {
    let set = Command::new("prlimit").args(["--pid", &process.id().to_string(), &format!("--fsize={bytes}:")]).status();
    assert!(set.unwrap().success());
}

async fn trigger(target: &Target) -> Result<String, Status> {
    let input = format!(r#"{{"pad":"{}"}}"#, "x".repeat(4000));
    let request = TriggerWorkflowRequest { name: "t".into(), input, ..Default::default() };
    Ok(target.workflows().trigger_workflow(request).await?.into_inner().workflow_run_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_triggers_until_space_is_free() {
    let workspace = Workspace::new();
    let worker = env!("CARGO_BIN_EXE_worker");
    let engine = Program::start(&mut workspace.command(worker, &["--engine-only"]));
    engine.err.until("an engine that serves", |line| line.starts_with("engine at "));
    let target = Target::at(&workspace.handshake());
    let task = CreateTaskOpts { readable_id: "t".into(), action: "t:t".into(), ..Default::default() };
    let definition = CreateWorkflowVersionRequest { name: "t".into(), tasks: vec![task], ..Default::default() };
    target.admin().put_workflow(definition).await.unwrap();

    let log = workspace.path(".hatchet/engine.db-wal");
    limit_file_size(&engine, &(std::fs::metadata(log).unwrap().len() + 300_000).to_string());
    let mut runs = Vec::new();
    let refused = loop {
        match within_timeout("a trigger returns", trigger(&target)).await {
            Ok(run) => runs.push(run),
            Err(status) => break status,
        }
    };
    assert!(!runs.is_empty() && runs.len() < 200, "{}", runs.len());
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.metadata().get(MAY_TAKE_EFFECT).unwrap(), "true", "a client searches for its run: {refused:?}");
    for part in ["cannot store changes", ".hatchet/engine.db", "Free some space", "may take effect later"] {
        assert!(refused.message().contains(part), "no `{part}` in: {}", refused.message());
    }
    engine.err.wait_for("No change is acknowledged until it can be written again");
    // Further triggers are refused immediately and have no effect.
    let refused = trigger(&target).await.unwrap_err();
    assert!(refused.message().contains("was not executed"), "{refused:?}");
    assert_eq!(refused.metadata().get(MAY_TAKE_EFFECT).unwrap(), "false", "{refused:?}");
    let (status, body) = target.rest.get(&format!("/api/v1/stable/workflow-runs/{}", runs[0])).await;
    assert_eq!(status, 503, "{body}");
    let parts = ["cannot serve at the moment", ".hatchet/engine.db", "Free some space"];
    workspace.runner(&["--task-name", "externally-triggered-task"]).expect_error(5, &parts);

    limit_file_size(&engine, "unlimited");
    engine.err.wait_for("is written again");
    runs.push(eventually("the engine accepts runs again", async || trigger(&target).await.ok()).await);
    engine.kill();
    let engine = workspace.engine();
    let target = Target::at(&workspace.handshake());
    for run in runs {
        let request = GetRunDetailsRequest { external_id: run.clone() };
        target.admin().get_run_details(request).await.unwrap_or_else(|e| panic!("{run}: {e}"));
    }
    engine.stop().expect(0);
}
