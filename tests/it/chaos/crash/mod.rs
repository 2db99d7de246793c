//! Kills the engine with SIGKILL at random moments under load: no acknowledged change is lost, and none is done twice.

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
    let place = Workspace::new();
    let mut engine = place.engine();
    let target = Arc::new(Target::at(&place.handshake()));
    let acknowledged = Arc::new(Acknowledgements::default());
    load::declare(&target).await;
    let stop = CancellationToken::new();
    let worker = RawWorker::register(&target, &acknowledged).await;
    let working = AbortOnDropHandle::new(tokio::spawn(worker.work(stop.clone())));
    let mut back = Vec::new();
    for cycle in 0..kills {
        let load = Load { target: target.clone(), acknowledged: acknowledged.clone(), cycle };
        let all = AbortOnDropHandle::new(tokio::spawn(load.until_it_fails()));
        // From before the first response to well into the load.
        tokio::time::sleep(Duration::from_millis(load::random(if cycle % 4 == 0 { 30 } else { 400 }))).await;
        engine.kill();
        within(30, "the load ends after the kill", all).await.unwrap();
        let begun = std::time::Instant::now();
        engine = place.engine();
        back.push(begun.elapsed());
        assert_eq!(place.handshake().grpc_address, target.address(), "the same address");
        acknowledged.check(&target, false).await;
        assert!(!working.is_finished(), "the worker has ended");
    }
    // All open runs end, and every acknowledged change is still there.
    eventually("every run ends", async || acknowledged.all_ended(&target).await.then_some(())).await;
    acknowledged.check(&target, true).await;
    stop.cancel();
    within(30, "the worker ends", working).await.unwrap();
    row.add(acknowledged.counts());
    row.times("engine back", &back, None);
    engine.stop().expect(0);
}
