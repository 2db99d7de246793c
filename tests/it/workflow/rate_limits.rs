//! Limits of runs per time window.

use std::time::{Duration, Instant};

use hatchet_quickstart::{
    hatchet::{
        task::{RateLimit, Window},
        wire::proto::{PutRateLimitRequest, RateLimitDuration},
    },
    prelude::*,
};

use super::fixture::{Keyed, N, Rig, keyed};
use crate::support::{Target, within_timeout};

fn now_body(_: Keyed, _: Context) -> Result<N, TaskError> {
    Ok(N { n: 1 })
}

#[tokio::test]
async fn static_limit_delays_runs_over_it() {
    let target = Target::start().await;
    let key = target.name("api");
    let request = PutRateLimitRequest { key: key.clone(), limit: 2, duration: RateLimitDuration::Second.into() };
    target.workflows().put_rate_limit(request).await.unwrap();
    let stub = Stub::<Keyed, N>::from_name(target.name("static"));
    let task = stub.blocking_task(now_body).rate_limit(RateLimit::of(key));
    let rig = Rig::start(target, vec![task.into()]).await;
    let begun = Instant::now();
    let outputs = within_timeout("the runs end", async { rig.client.run_many(&stub, ["a"; 6].map(keyed)).await }).await;
    assert!(outputs.iter().all(Result::is_ok), "{outputs:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    rig.stop().await;
}

#[tokio::test]
async fn dynamic_limit_applies_to_each_key() {
    let target = Target::start().await;
    let stub = Stub::<Keyed, N>::from_name(target.name("dynamic"));
    let limit = RateLimit::per(format!("'{}' + input.key", target.name("user-")), 1, Window::Minute).units("1");
    let task = stub.blocking_task(now_body).rate_limit(limit);
    let rig = Rig::start(target, vec![task.into()]).await;
    let first = within_timeout("the runs end", async { rig.client.run_many(&stub, ["a", "b"].map(keyed)).await }).await;
    assert!(first.iter().all(Result::is_ok), "{first:?}");
    let over = rig.client.run_no_wait(&stub, &keyed("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!over.details().await.unwrap().done);
    over.cancel().await.unwrap();
    rig.stop().await;
}
