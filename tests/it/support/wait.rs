//! Waits for a state, with a timeout.

use std::{fmt::Debug, future::Future, time::Duration};

/// Timeout of a wait. A real engine polls an idle queue at intervals of up to 45 s.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Awaits `work` and panics with `what` after [`TIMEOUT`].
pub async fn within_timeout<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {TIMEOUT:?}: {what}"),
    }
}

/// Calls `query` every 25 ms until it returns `Some`.
pub async fn eventually<T>(what: &str, mut query: impl AsyncFnMut() -> Option<T>) -> T {
    within_timeout(what, async {
        loop {
            if let Some(value) = query().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await
}

/// Measures up to three times, and returns the first good result; panics with `what` and the three bad ones. For a
/// property that holds on a machine with free capacity: tests that run at the same time can delay any thread.
pub async fn one_of_three<T, E: Debug>(what: &str, measure: impl AsyncFn() -> Result<T, E>) -> T {
    let mut bad = Vec::new();
    while bad.len() < 3 {
        match measure().await {
            Ok(good) => return good,
            Err(result) => bad.push(result),
        }
    }
    panic!("not in three measurements: {what}: {bad:?}");
}

/// The blocking form of [`eventually`], which calls `query` every 5 ms.
#[track_caller]
pub fn until<T>(what: &str, mut query: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = query() {
            return value;
        }
        assert!(std::time::Instant::now() < deadline, "not within {TIMEOUT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
