//! The order of leaving: stop intake, let what runs end, cut what does not, report all of it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Registered, dispatch::Shared};
use crate::hatchet::{task::CancelReason, wire::format_duration};

/// Pausing goes over REST, which may be out of reach.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(3);
/// What was assigned before the pause arrives within some tens of milliseconds.
const SETTLE: Duration = Duration::from_millis(400);
/// After the grace, what was cancelled has this long to end and to be reported, over the grace of a cancellation.
const LINGER: Duration = Duration::from_secs(4);

/// What a drain came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// What was cancelled when the grace was over, as `task (run id)`.
    pub cut: Vec<String>,
    /// What ignored that, or could not be reported: the engine gives it to another worker after 30 s.
    pub left: Vec<String>,
}

pub(super) async fn run(
    shared: &Arc<Shared>,
    registered: &watch::Receiver<Registered>,
    intake_closed: &CancellationToken,
    grace: Duration,
) -> Drained {
    let end_of_grace = Instant::now() + grace;
    stop_intake(shared, registered, intake_closed).await;
    if timeout_at(end_of_grace, settled(shared)).await.is_ok() || shared.busy() == 0 {
        return Drained::default();
    }
    let cut = shared.names();
    tracing::warn!("the grace of {} is over: cancels {}", format_duration(grace), cut.join(", "));
    shared.cancel_all(CancelReason::Shutdown);
    let left = match timeout(shared.cancel_grace + LINGER, idle(shared)).await {
        Ok(()) => Vec::new(),
        Err(_) => shared.names(),
    };
    Drained { cut, left }
}

/// Pauses the worker, so that the engine assigns nothing more while results and cancels still flow. Where that cannot
/// be done the stream is closed, which stops assignment as well, but then cancels do not arrive, and heartbeats with
/// no stream are refused, so that 30 s are left.
async fn stop_intake(
    shared: &Arc<Shared>,
    registered: &watch::Receiver<Registered>,
    intake_closed: &CancellationToken,
) {
    let worker = registered.borrow().worker;
    let why = match shared.client.rest() {
        None => "the REST address is not known: set HATCHET_CLIENT_SERVER_URL".to_owned(),
        Some(rest) => match timeout(PAUSE_TIMEOUT, rest.pause_worker(worker, true)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer for {PAUSE_TIMEOUT:?}"),
        },
    };
    tracing::warn!("the worker cannot be paused ({why}); it closes its stream instead");
    intake_closed.cancel();
}

/// Waits until no attempt is left and none has come for a while. An engine may have chosen this worker just before it
/// took the pause: an assignment that found the stream gone would wait 30 s for another worker.
async fn settled(shared: &Arc<Shared>) {
    loop {
        idle(shared).await;
        sleep(SETTLE).await;
        if shared.busy() == 0 {
            return;
        }
    }
}

/// Waits until no attempt is left.
async fn idle(shared: &Arc<Shared>) {
    loop {
        let gone = shared.gone.notified();
        tokio::pin!(gone);
        // Armed before the look, so that no end between the two is missed.
        gone.as_mut().enable();
        if shared.busy() == 0 {
            return;
        }
        gone.await;
    }
}
