//! Runs a benchmark from its plan to its report.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    keys::KEY_TTL,
    load::LoadGenerator,
    observer::Observer,
    plan::LoadPlan,
    record::{Acceptance, EndReason, Recording, ReportFolder, SUMMARY, SecondPass, Span, check_executions, fill_times},
    report::{ChartData, html, markdown},
    summary::{self, Environment, Machine, Summary, SummaryInputs, Verification},
};
use crate::hatchet::client::Client;

/// Tolerated difference between the engine's clock and the local clock when runs are listed: 10 minutes.
const CLOCK_MARGIN: Duration = Duration::from_secs(600);

/// Information from the caller for the report of a benchmark.
#[derive(Debug, Clone, Default)]
pub struct BenchmarkInfo {
    /// `embedded` or `Hatchet`.
    pub engine: String,
    /// Version that the engine reports.
    pub engine_version: String,
    /// The command line.
    pub command: String,
    /// File in which the tasks record their executions.
    pub executions: Option<PathBuf>,
    /// Summary of an earlier benchmark to compare with.
    pub before: Option<Summary>,
    /// Warnings from the preparation.
    pub warnings: Vec<String>,
}

/// The summary of a completed or stopped benchmark, with the errors of writing its report.
#[derive(Debug)]
pub struct BenchmarkResult {
    /// Metrics, settings and warnings, as written to `summary.json`.
    pub summary: Summary,
    /// The reason for its end.
    pub end: EndReason,
    /// Errors from writing the report, one line for each.
    pub write_errors: Vec<String>,
}

/// Runs a benchmark. Writes its report even if it is stopped or reaches its time limit.
pub async fn run(
    client: &Client,
    plan: LoadPlan,
    info: BenchmarkInfo,
    mut folder: ReportFolder,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> BenchmarkResult {
    folder.begin();
    let plan = Arc::new(plan);
    let mut machine = Machine::current();
    let cpu_before = summary::cpu_time();
    let mut recording = LoadGenerator::new(client.clone(), plan.clone()).run(&mut folder, stop, observer).await;
    let cpu_time = summary::cpu_time().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    machine.load_after = summary::load_average();

    let mut warnings = info.warnings;
    if let Err(error) = complete_times(client, &plan, &mut recording).await {
        observer.note(&format!("reading the start and finish times failed: {error}"));
        warnings.push(format!("Reading the start and finish times failed: {error}."));
    }
    let recovered = recording.runs.classify_recovered();
    let verification = recording.second_pass.as_ref().map(|second_pass| {
        let SecondPass { refused, .. } = *second_pass;
        let (executions, violations) = check_executions(&plan.prefix, second_pass, info.executions.as_deref());
        Verification { refused, executions, violations }
    });
    let environment = Environment {
        engine: info.engine,
        engine_version: info.engine_version,
        address: client.config().host_port.clone(),
        version: env!("HATCHET_QUICKSTART_VERSION").to_owned(),
        optimized: !cfg!(debug_assertions),
        command: info.command,
        machine,
    };
    if let Some(before) = &info.before
        && (before.settings.runs, before.settings.rate) != (plan.runs, plan.rate)
    {
        warnings.push("The compared benchmark has a different number of runs or a different rate.".to_owned());
    }
    let inputs = SummaryInputs { environment, cpu_time, verification, recovered, warnings };
    let summary = summary::compute(&recording, &plan, inputs);
    let write_errors = write_report(&mut folder, &recording, &plan, &summary, info.before.as_ref());
    BenchmarkResult { summary, end: recording.end, write_errors }
}

/// Reads the times of all runs from the engine's REST list.
async fn complete_times(client: &Client, plan: &LoadPlan, recording: &mut Recording) -> Result<(), String> {
    let rest = client.rest().ok_or("the REST address is unknown: set HATCHET_CLIENT_SERVER_URL")?;
    // A duplicate stands for a run of an earlier benchmark, which may be as old as the key may be.
    let has_older = recording.runs.all.iter().any(|run| run.recovered || run.acceptance == Acceptance::Duplicate);
    let age = if has_older { KEY_TTL + CLOCK_MARGIN } else { CLOCK_MARGIN };
    let span = Span { started: recording.started, duration: recording.duration };
    fill_times(rest, plan, &mut recording.runs, span, span.started - age).await.map_err(|e| e.to_string())
}

/// Writes all files of the report, even if one fails. Returns the errors.
fn write_report(
    folder: &mut ReportFolder,
    recording: &Recording,
    plan: &LoadPlan,
    summary: &Summary,
    before: Option<&Summary>,
) -> Vec<String> {
    let mut errors = Vec::new();
    let runs = &recording.runs;
    let data = ChartData::new(runs.all.iter().filter(|run| run.acceptance == Acceptance::Started));
    let json = serde_json::to_string_pretty(summary).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    for (name, text) in
        [(SUMMARY, json), ("report.md", markdown(summary, before)), ("report.html", html(summary, before, &data))]
    {
        if let Err(e) = folder.write(name, &text) {
            errors.push(format!("writing {} failed: {e}", folder.path().join(name).display()));
        }
    }
    let is_submitted = |position: &usize| runs.all[*position].acceptance != Acceptance::Pending;
    let records = (0..runs.all.len()).filter(is_submitted).map(|position| runs.to_json(plan, position));
    errors.extend(folder.rewrite_runs(records).err());
    errors
}
