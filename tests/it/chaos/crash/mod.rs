//! Kills the engine with SIGKILL at random moments under load: no acknowledged change is lost or applied twice.

mod acknowledgements;
mod load;
mod raw_worker;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{acknowledgements::Acknowledgements, load::Load, raw_worker::RawWorker};
use super::{
    fixture::within,
    table::{Row, long, not_on_a_real_engine},
};
use crate::{
    process::Workspace,
    support::{Target, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_every_kill() {
    let kills = if long() { 200 } else { 8 };
    let fault = format!("engine killed with -9 under load, {kills} times");
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let workspace = Workspace::new();
    let mut engine = workspace.engine();
    let target = Arc::new(Target::at(&workspace.handshake()));
    let acknowledged = Arc::new(Acknowledgements::default());
    load::declare(&target).await;
    let stop = CancellationToken::new();
    let worker = RawWorker::register(&target, &acknowledged).await;
    let working = AbortOnDropHandle::new(tokio::spawn(worker.work(stop.clone())));
    let mut restarts = Vec::new();
    for cycle in 0..kills {
        let load = Load { target: target.clone(), acknowledged: acknowledged.clone(), cycle };
        let load = AbortOnDropHandle::new(tokio::spawn(load.run_until_failure()));
        // From before the first response to well into the load.
        tokio::time::sleep(Duration::from_millis(load::random(if cycle % 4 == 0 { 30 } else { 400 }))).await;
        engine.kill();
        within(30, "the load ends after the kill", load).await.unwrap();
        let started = std::time::Instant::now();
        engine = workspace.engine();
        restarts.push(started.elapsed());
        assert_eq!(workspace.handshake().grpc_address, target.address(), "the same address");
        acknowledged.check(&target, false).await;
        assert!(!working.is_finished(), "the worker has ended");
    }
    // All open runs finish, and every acknowledged change is still present.
    eventually("every run finishes", async || acknowledged.all_finished(&target).await.then_some(())).await;
    acknowledged.check(&target, true).await;
    stop.cancel();
    within(30, "the worker ends", working).await.unwrap();
    row.add(acknowledged.counts());
    row.times("engine back", &restarts, None);
    engine.stop().expect(0);
}
