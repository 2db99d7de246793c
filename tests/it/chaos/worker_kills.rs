//! Workers are killed with SIGKILL while they execute tasks.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use hatchet_quickstart::engine::Timings;
use hatchet_quickstart::hatchet::client::RunRef;

use super::{
    child_worker::{self, Line},
    fixture::{Count, TestEngine, completed, trigger_many},
    table::{Row, long, real},
};
use crate::{process::Program, support::eventually};

const SLOTS: usize = 10;
/// Milliseconds before the kill in which an attempt may have finished without being reported.
const REPORTING: u64 = 2_000;

struct Size {
    kills: usize,
    tasks: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_repeats_only_attempts_in_flight() {
    let size = match (long(), real()) {
        (false, _) => Size { kills: 2, tasks: 60 },
        (true, false) => Size { kills: 20, tasks: 5_000 },
        (true, true) => Size { kills: 6, tasks: 900 },
    };
    let mut row = Row::new(format!("worker killed with -9, {} times among {} tasks", size.kills, size.tasks));
    let engine = if long() || real() {
        TestEngine::start().await
    } else {
        // Detects a lost worker sooner than after the default of 30 s.
        TestEngine::embedded(Timings { worker_lease: Duration::from_secs(8), ..Timings::default() }).await
    };
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let (client, mut killed, mut runs) = (engine.client(), HashMap::new(), Vec::<RunRef>::new());
    let mut workers: Vec<Program> = (0..2).map(|_| child_worker::spawn(&engine.config, &ledger, SLOTS)).collect();
    for _ in 0..size.kills {
        runs.extend(trigger_many(&client, "count", &Count { ms: 50 }, size.tasks / size.kills).await);
        let target = workers.remove(0);
        eventually("the worker to kill executes tasks", async || {
            let started = child_worker::read(&ledger).iter().filter(|line| line.process == target.id()).count();
            (started >= SLOTS).then_some(())
        })
        .await;
        killed.insert(target.id(), child_worker::now());
        target.kill();
        workers.push(child_worker::spawn(&engine.config, &ledger, SLOTS));
    }
    stream::iter(&runs).for_each_concurrent(50, async |run| drop(completed(run).await)).await;
    let repeats = check(&child_worker::read(&ledger), &killed, runs.len());
    assert!(repeats <= size.kills * SLOTS, "{repeats} repeats");
    row.add(format!("all runs completed; {repeats} repeats, all of attempts in flight at a kill"));
}

/// Asserts that each run was executed, no attempt twice, and repeated only if the previous worker was killed. Returns
/// the number of executions beyond one for each run.
fn check(lines: &[Line], killed: &HashMap<u32, u64>, runs: usize) -> usize {
    let mut started: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in lines.iter().filter(|line| !line.is_end) {
        started.entry(&line.run).or_default().push(line);
    }
    assert_eq!(started.len(), runs, "every run was executed");
    let ends: HashMap<(&str, u32), &Line> =
        lines.iter().filter(|line| line.is_end).map(|line| ((line.run.as_str(), line.attempt), line)).collect();
    let mut repeats = 0;
    for executions in started.values_mut() {
        let attempts: HashSet<u32> = executions.iter().map(|line| line.attempt).collect();
        assert_eq!(attempts.len(), executions.len(), "an attempt was executed twice: {executions:?}");
        executions.sort_by_key(|line| line.attempt);
        executions.pop();
        for earlier in executions {
            repeats += 1;
            let died = killed.get(&earlier.process).unwrap_or_else(|| panic!("its worker was not killed: {earlier:?}"));
            if let Some(end) = ends.get(&(earlier.run.as_str(), earlier.attempt)) {
                assert!(end.at + REPORTING > *died, "the attempt had finished long before the kill: {end:?}, {died}");
            }
        }
    }
    repeats
}
