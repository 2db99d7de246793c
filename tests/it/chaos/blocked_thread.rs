//! An async task body blocks its thread.

use std::time::Duration;

use super::{
    child_worker,
    table::{Row, long, not_on_a_real_engine},
};
use crate::{
    fake::{Fake, Script},
    support::one_of_three,
};

/// An engine assigns no runs to a worker whose last heartbeat is older.
const FRESH: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_continue_while_async_body_blocks_thread() {
    // Longer than `FRESH`, so that a single missing heartbeat is detected.
    let seconds = if long() { 40 } else { 6 };
    let fault = format!("an async body blocks its thread for {seconds} s");
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let (beats, longest) = one_of_three("every gap is short", async || {
        let fake = Fake::start().await;
        let folder = tempfile::tempdir().unwrap();
        // Spawned on a blocking thread because it reads the output of the child.
        let (config, ledger) = (fake.config(), folder.path().join("ledger"));
        let worker = tokio::task::spawn_blocking(move || child_worker::spawn(&config, &ledger, 10)).await.unwrap();
        fake.until_listening().await;
        let before = fake.script(|script| script.heartbeats.len());
        let run = fake.assign("blocker", &format!(r#"{{"ms":{}}}"#, seconds * 1000)).await;
        let reading = tokio::task::spawn_blocking(move || {
            let warning = worker.err.wait_for("blocks an async thread");
            (worker, warning)
        });
        let (worker, warning) = reading.await.unwrap();
        assert!(warning.contains("blocker"), "{warning}");
        // One wait for each heartbeat, because the time limit of a wait is shorter than the long form.
        let is_finished = |script: &Script| !script.finished(run).is_empty();
        while !fake.script(|script| is_finished(script)) {
            let count = fake.script(|script| script.heartbeats.len());
            let progress = |script: &Script| (script.heartbeats.len() > count || is_finished(script)).then_some(());
            fake.until("another heartbeat, or the end of the body", progress).await;
        }
        let all = fake.script(|script| script.heartbeats.clone());
        worker.kill();
        let gaps: Vec<Duration> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let longest = gaps.iter().max().copied().unwrap();
        if longest < FRESH { Ok((all.len() - before, longest)) } else { Err(gaps) }
    })
    .await;
    row.add(format!("{beats} heartbeats in that time, longest gap {longest:.2?}"));
    row.add("the watchdog logged the task's name");
}
