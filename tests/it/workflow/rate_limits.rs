//! Limits of runs per time window.

use std::time::{Duration, Instant};

use hatchet_quickstart::{
    hatchet::{
        task::{RateLimit, Window},
        wire::proto::{PutRateLimitRequest, RateLimitDuration},
    },
    prelude::*,
};

use super::fixture::{Fixture, Keyed, N, keyed};
use crate::support::{Target, within_timeout};

fn return_one(_: Keyed, _: Context) -> Result<N, TaskError> {
    Ok(N { n: 1 })
}

#[tokio::test]
async fn static_limit_delays_excess_runs() {
    let target = Target::start().await;
    let key = target.name("api");
    let request = PutRateLimitRequest { key: key.clone(), limit: 2, duration: RateLimitDuration::Second.into() };
    target.workflows().put_rate_limit(request).await.unwrap();
    let stub = Stub::<Keyed, N>::from_name(target.name("static"));
    let task = stub.blocking_task(return_one).rate_limit(RateLimit::of(key));
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let started = Instant::now();
    let outputs =
        within_timeout("the runs finish", async { fixture.client.run_many(&stub, ["a"; 6].map(keyed)).await }).await;
    assert!(outputs.iter().all(Result::is_ok), "{outputs:?}");
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    fixture.stop().await;
}

#[tokio::test]
async fn dynamic_limit_applies_to_each_key() {
    let target = Target::start().await;
    let stub = Stub::<Keyed, N>::from_name(target.name("dynamic"));
    let limit = RateLimit::per(format!("'{}' + input.key", target.name("user-")), 1, Window::Minute).units("1");
    let task = stub.blocking_task(return_one).rate_limit(limit);
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let first =
        within_timeout("the runs finish", async { fixture.client.run_many(&stub, ["a", "b"].map(keyed)).await }).await;
    assert!(first.iter().all(Result::is_ok), "{first:?}");
    let over = fixture.client.run_no_wait(&stub, &keyed("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!over.details().await.unwrap().done);
    over.cancel().await.unwrap();
    fixture.stop().await;
}
