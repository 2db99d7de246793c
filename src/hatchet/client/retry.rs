//! How long to wait before the next try.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{ClientError, ErrorKind};

/// Tries of a unary call, as in the official SDKs.
const TRIES: usize = 5;

/// Endless waits: from `first`, doubling up to `cap`, each with jitter.
pub(crate) fn forever(first: Duration, cap: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default().with_min_delay(first).with_max_delay(cap).with_jitter().without_max_times().build()
}

/// Makes a call up to five times while `again` says that its failure may pass.
pub(crate) async fn retrying<T, F>(
    again: fn(&ClientError) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut waits = forever(Duration::from_millis(100), Duration::from_secs(3)).take(TRIES - 1);
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) => match waits.next().filter(|_| again(&error)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
        }
    }
}

/// For calls that change nothing, or the same thing twice.
pub(crate) fn if_temporary(error: &ClientError) -> bool {
    error.is_temporary()
}

/// For calls that must not happen twice: only where the engine certainly did not act.
pub(crate) fn if_not_done(error: &ClientError) -> bool {
    (error.never_sent() && error.is_temporary()) || matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::Doubted)
}
