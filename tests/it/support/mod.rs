//! What the cases share: the engine under test, a raw worker, streams that are read with patience.

#[cfg(unix)]
mod browser;
mod embedded;
mod feed;
mod flow;
mod page;
mod patience;
mod rest;
mod target;
mod worker;

#[cfg(unix)]
pub use browser::{Tab, browser};
pub use embedded::Embedded;
pub use feed::Feed;
pub use flow::{Flow, only_task};
pub use page::{page, page_as};
pub use patience::{PATIENCE, eventually, in_time, until};
pub use rest::Rest;
pub use target::{Dispatcher, Link, Target};
pub use worker::{Bystander, RawWorker};

use hatchet_quickstart::hatchet::{client::RunSummary, task::Stub};

/// Asserts that a call was refused with this code, and that the message holds this text.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>, code: tonic::Code, text: &str) {
    let status = answer.expect_err("the call was not refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(text), "`{}` does not hold `{text}`", status.message());
}

/// A port of the loopback that was free a moment ago, for a program that is to be told one.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// All runs that the engine lists over REST.
pub async fn all_runs(client: &hatchet_quickstart::hatchet::client::Client) -> Vec<RunSummary> {
    let mut pages = client.rest().unwrap().runs(std::time::UNIX_EPOCH, &[], &[]);
    let mut all = Vec::new();
    while let Some(rows) = pages.next().await.unwrap() {
        all.extend(rows);
    }
    all
}

/// A stub by name, with any input and with JSON as its output.
pub fn named<I>(name: &str) -> Stub<I, serde_json::Value> {
    Stub::from_name(name)
}
