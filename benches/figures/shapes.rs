//! The cost of a run by its origin, relative to single runs that are triggered in bulk: tasks of a workflow, children of
//! a task, and runs that an event starts.

use std::time::Instant;

use anyhow::{Result, ensure};
use hatchet_quickstart::{
    hatchet::{client::NewEvent, task::ErasedWorkflow, worker::Worker},
    prelude::*,
};
use serde_json::{Value, json};

use super::{
    fixture::{Fixture, NO_OP, NO_OP_STUB, Nothing, trigger_many},
    table::{Figure, Target, median, row},
};

const ROUNDS: usize = 5;
/// Tasks of each side in a round.
const TASKS: usize = 10_000;
/// Tasks of the workflow.
const CHAIN: usize = 10;
/// Workflows that events start.
const WORKFLOWS: usize = 100;

const CHAIN_STUB: Stub<Nothing, Nothing> = Stub::new("chain").output_of("task-9");
const PARENT_STUB: Stub<Nothing, Nothing> = Stub::new("parent");

/// Runs of a workflow of 10 tasks in a chain, per task.
pub(crate) async fn chain() -> Result<Figure> {
    let workflow = CHAIN_STUB.workflow(|flow| {
        let mut last = flow.task("task-0", async |_, _| Ok(Nothing {}));
        for number in 1..CHAIN {
            last = flow.parents(&last).task(&format!("task-{number}"), async |_, _, _| Ok(Nothing {}));
        }
        last
    });
    let (single, chained) =
        compare(workflow, async |fixture| fixture.run_many(CHAIN_STUB.name(), &json!({}), TASKS / CHAIN).await).await?;
    Ok(figure(21, "1,000 workflows of 10 tasks in a chain", Target::AtMost(1.2, " x"), &single, &chained))
}

/// The children of one run.
pub(crate) async fn children() -> Result<Figure> {
    let parent = PARENT_STUB.task(async |_, ctx| {
        for child in ctx.run_many(&NO_OP_STUB, std::iter::repeat_n(&Nothing {}, TASKS)).await {
            child?;
        }
        Ok(Nothing {})
    });
    let (single, children) = compare(parent, async |fixture| fixture.run(PARENT_STUB.name()).await).await?;
    Ok(figure(22, "10,000 children of one run", Target::AtMost(1.3, " x"), &single, &children))
}

/// The trigger of runs by events that match the wildcards of workflows. No worker executes the runs.
pub(crate) async fn events() -> Result<Figure> {
    let fixture = Fixture::start().await?;
    let workflows = (0..WORKFLOWS).map(|number| {
        let stub = Stub::<Value, Value>::from_name(event_workflow(number));
        stub.task(async |input, _| Ok(input)).on_event(format!("area-{number}:*"))
    });
    let mut worker = Worker::new(&fixture.client).register_all(workflows).start()?;
    worker.listening().await?;
    worker.stop().await?;
    let (mut bulk, mut pushed) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let started = Instant::now();
        trigger_many(&fixture.client, &event_workflow(0), &json!({}), TASKS).await?;
        bulk.push(started.elapsed().as_secs_f64());
        let events =
            (0..TASKS).map(|number| NewEvent::new(&format!("area-{}:created", number % WORKFLOWS), &json!({})));
        let started = Instant::now();
        let results = fixture.client.push_events(events).await;
        pushed.push(started.elapsed().as_secs_f64());
        ensure!(results.len() == TASKS, "{} events were pushed", results.len());
        results.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    fixture.stop().await?;
    // The first round warms up.
    Ok(figure(23, "10,000 events, 100 wildcards, trigger only", Target::AtMost(1.5, " x"), &bulk[1..], &pushed[1..]))
}

fn event_workflow(number: usize) -> String {
    format!("event-{number}")
}

/// Measures single no-op runs and a workload of as many tasks alternately. `workflow` is registered by a worker of its
/// own. Returns the seconds of each round.
async fn compare(
    workflow: impl Into<ErasedWorkflow>,
    workload: impl AsyncFn(&Fixture) -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let fixture = Fixture::start().await?;
    let mut worker = Worker::new(&fixture.client).register(workflow).start()?;
    worker.listening().await?;
    let (mut single, mut other) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let started = Instant::now();
        fixture.run_many(NO_OP, &json!({}), TASKS).await?;
        let middle = Instant::now();
        workload(&fixture).await?;
        // The first round warms up.
        if round > 0 {
            single.push((middle - started).as_secs_f64());
            other.push(middle.elapsed().as_secs_f64());
        }
    }
    worker.stop().await?;
    fixture.stop().await?;
    Ok((single, other))
}

/// The ratio of the seconds of a workload to those of single runs, by round.
fn figure(number: u32, name: &'static str, target: Target, single: &[f64], other: &[f64]) -> Figure {
    let ratios: Vec<f64> = single.iter().zip(other).map(|(single, other)| other / single).collect();
    let rate = |seconds: &[f64]| format!("{:.0}/s", TASKS as f64 / median(seconds));
    Figure {
        number,
        name,
        measured: rate(other),
        limit: format!("{} single runs", rate(single)),
        value: median(&ratios),
        target,
        notes: vec![format!("by round: {}", row(&ratios))],
    }
}
