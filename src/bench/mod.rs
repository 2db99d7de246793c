//! Many runs at once, measured: submit, follow to the end, report. It knows the client only.

mod keys;
mod load;
mod plan;
mod record;
mod report;
mod summary;
mod template;

pub use keys::{KEY_PREFIX, KEY_TTL, KEYED, RUN_KEY, check_prefix, prefix_now, run_key};
pub use load::{
    progress::{Observer, Progress, TaskProgress},
    session::Ending,
    slots::serves,
};
pub use plan::{Plan, TaskPlan};
pub use record::folder::Journal;
pub use report::{Figure, figures};
pub use summary::Summary;
pub use template::Template;

use std::{path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

use self::{
    load::session::Session,
    record::{executions, folder, run::Accepted, times},
    report::Drawn,
    summary::{
        Place,
        compute::{self, Known},
        machine::{self, Machine},
    },
};
use crate::hatchet::client::Client;

/// What the benchmark cannot know by itself.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// `embedded` or `Hatchet`.
    pub engine: String,
    /// As the engine says.
    pub engine_version: String,
    /// The command line.
    pub command: String,
    /// The file where the tasks count their executions.
    pub executions: Option<PathBuf>,
    /// An earlier benchmark to compare with.
    pub before: Option<Summary>,
    /// What is doubtful already.
    pub doubts: Vec<String>,
}

/// A benchmark that has ended.
#[derive(Debug)]
pub struct Report {
    /// Its figures.
    pub summary: Summary,
    /// How the waiting ended.
    pub ending: Ending,
    /// What of the report could not be written, a line each.
    pub unwritten: Vec<String>,
}

/// Runs a benchmark to its end and writes its report, whatever became of it.
pub async fn run(
    client: &Client,
    plan: Plan,
    setting: Setting,
    mut journal: Journal,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Report {
    journal.begin();
    let plan = Arc::new(plan);
    let mut machine = Machine::look();
    let cpu_before = machine::own_cpu();
    let mut session = Session::new(client.clone(), plan.clone());
    let ending = session.run(&mut journal, stop, observer).await;
    let own_cpu = machine::own_cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    machine.load_after = machine::load();

    let mut doubts = setting.doubts;
    if let Err(why) = fill_times(client, &plan, &mut session).await {
        observer.note(&format!("when runs started and finished is not known: {why}"));
        doubts.push(format!("When runs started and finished is not known: {why}."));
    }
    let answered_late = session.runs.tell_late_ones();
    let file = setting.executions.as_deref();
    let verified = session.verified.take().map(|verified| executions::verification(&plan, verified, file));
    let place = Place {
        engine: setting.engine,
        engine_version: setting.engine_version,
        address: client.config().host_port.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        optimised: !cfg!(debug_assertions),
        command: setting.command,
        machine,
    };
    if let Some(before) = &setting.before
        && (before.settings.runs, before.settings.rate) != (plan.runs, plan.rate)
    {
        doubts.push("It is compared with a benchmark of another number of runs, or another rate.".to_owned());
    }
    let summary = compute::summary(&session, &plan, Known { place, ending, own_cpu, verified, answered_late, doubts });
    let unwritten = write(&mut journal, &session, &plan, &summary, setting.before.as_ref());
    Report { summary, ending, unwritten }
}

async fn fill_times(client: &Client, plan: &Plan, session: &mut Session) -> Result<(), String> {
    let rest = client.rest().ok_or("the REST address is not known (set HATCHET_CLIENT_SERVER_URL)")?;
    // Runs that stand for duplicates are as old as a key can be.
    let old = session.runs.all.iter().any(|run| run.late || run.accepted_as == Accepted::Duplicate);
    let back = if old { KEY_TTL + MARGIN } else { MARGIN };
    let (begun, since) = (session.begun_wall, session.begun_wall - back);
    times::fill(rest, plan, &mut session.runs, begun, since).await.map_err(|e| e.to_string())
}

/// The engine's clock may be behind ours.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Writes all files, each whether or not another could be.
fn write(
    journal: &mut Journal,
    session: &Session,
    plan: &Plan,
    summary: &Summary,
    before: Option<&Summary>,
) -> Vec<String> {
    let mut unwritten = Vec::new();
    let runs = &session.runs;
    let drawn = Drawn::of(runs.all.iter().filter(|run| run.accepted_as == Accepted::Started));
    let json = serde_json::to_string_pretty(summary).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    for (name, text) in [
        (folder::SUMMARY, json),
        ("report.md", report::markdown(summary, before)),
        ("report.html", report::page(summary, before, &drawn)),
    ] {
        if let Err(e) = journal.write(name, &text) {
            unwritten.push(format!("{} cannot be written: {e}", journal.folder().join(name).display()));
        }
    }
    let submitted = |place: &usize| runs.all[*place].accepted_as != Accepted::NotSubmitted;
    let lines = (0..runs.all.len()).filter(submitted).map(|place| runs.line(plan, place));
    unwritten.extend(journal.rewrite(lines).err());
    unwritten
}
