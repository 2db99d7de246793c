//! Fixtures of the tests: the engine under test, a worker on gRPC stubs, stream readers, waits.

#[cfg(unix)]
mod browser;
mod embedded;
mod http;
mod rest;
mod stream_reader;
mod target;
mod wait;
mod worker;
mod workflow;

#[cfg(unix)]
pub use browser::{Tab, browser};
pub use embedded::Embedded;
pub use http::{Response, open_page, page, page_as, post_as};
pub use rest::Rest;
pub use stream_reader::StreamReader;
pub use target::{AuthenticatedChannel, Dispatcher, Target};
pub use wait::{TIMEOUT, eventually, one_of_three, until, within_timeout};
pub use worker::{ControlWorker, RawWorker};
pub use workflow::{Workflow, only_task};

use std::sync::atomic::{AtomicU16, Ordering};

use hatchet_quickstart::hatchet::{
    client::{RunFilter, RunSummary},
    task::Stub,
};

/// Asserts that a call failed with this code, and that its message contains this text.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, tonic::Status>, code: tonic::Code, text: &str) {
    let status = result.expect_err("the call succeeded");
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(text), "`{}` does not contain `{text}`", status.message());
}

/// A loopback address on which nothing listens: that of the discard service. A port that another test may be given would
/// not stay closed.
pub const CLOSED: &str = "127.0.0.1:9";

/// A free loopback port, for a program that cannot bind port 0. It is below the ports that the system chooses, so no other
/// test is given it in the meantime.
pub fn free_port() -> u16 {
    static USED: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin at different ports.
    let first = 10_000 + 10 * u16::try_from(std::process::id() % 2_000).unwrap();
    loop {
        let port = first + USED.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Returns all runs in the engine's list over REST.
pub async fn all_runs(client: &hatchet_quickstart::hatchet::client::Client) -> Vec<RunSummary> {
    let mut pages = client.rest().unwrap().runs(&RunFilter::since(std::time::UNIX_EPOCH));
    let mut all = Vec::new();
    while let Some(rows) = pages.next().await.unwrap() {
        all.extend(rows);
    }
    all
}

/// Creates a stub by name, with any input type and JSON as its output.
pub fn named<I>(name: &str) -> Stub<I, serde_json::Value> {
    Stub::from_name(name)
}
