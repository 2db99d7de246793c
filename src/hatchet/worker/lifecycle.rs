//! The supervisor of everything between the worker and the engine, on its own thread.

use std::{mem, slice, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Drained, LinkState, RunningWorker, Worker,
    attempt::{CpuPool, Shared},
    drain,
    health::{self, Stats},
    session::{self, Ended, Links, Registration, first_registration, register, registrations},
    watchdog,
};
use crate::hatchet::{
    client::Client,
    system::OsError,
    task::{CancelReason, Kind},
    transport::{Backoff, ClientError, DEFAULT_TIMEOUT, ErrorKind, RegistrationTimeout},
    wire::{WorkerId, proto},
};

/// Waits between tries: short at first, so that a blip costs little, and never long, so that an outage's end is seen.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(20);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// What broke sooner than this, and had brought no work, did not hold: the waits after it grow. So they do where
/// heartbeats are taken and every stream is cut at once, as by a proxy that cannot stream, and where each registration is
/// forgotten.
const STORM: Duration = Duration::from_secs(2);
const UNSUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn start(mut worker: Worker) -> Result<RunningWorker, ClientError> {
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        ClientError::new(ErrorKind::Config, format!("{what} cannot be started: {e}"))
    };
    let bodies = tokio::runtime::Handle::try_current().map_err(|e| failed("a worker", &e))?;
    let cpu = if worker.tasks.iter().any(|task| task.kind() == Kind::Cpu) {
        Some(CpuPool::new(worker.options.cpu_threads).map_err(|e| failed("the CPU pool", &e))?)
    } else {
        None
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed("the link's runtime", &OsError(&e)))?;
    let (state_sender, state) = watch::channel(LinkState::Connecting(None));
    let stats = Arc::new(Stats::new(&worker.tasks, &worker.options, state.clone()));
    let counted = stats.clone();
    let health = worker.health.take();
    let (result_sender, result) = oneshot::channel();
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let tokens = (stop.clone(), abandon.clone());
    std::thread::Builder::new()
        .name("hatchet-link".to_owned())
        .spawn(move || {
            let (stop, abandon) = tokens;
            let result = runtime.block_on(async {
                tokio::select! {
                    result = run(worker, counted.clone(), bodies, cpu, &state_sender, &stop) => result,
                    error = serve_health(health, counted) => Err(error),
                    () = abandon.cancelled() => Ok(Drained::default()),
                }
            });
            state_sender.send_replace(LinkState::Stopped);
            // A failed send: nobody waits for the end.
            let _ = result_sender.send(result);
        })
        .map_err(|e| failed("the link's thread", &OsError(&e)))?;
    Ok(RunningWorker { state, stats, stop, abandon, result: Some(result) })
}

/// Ends only where it cannot go on; a worker whose health cannot be seen would be taken for dead.
async fn serve_health(listener: Option<std::net::TcpListener>, stats: Arc<Stats>) -> ClientError {
    let Some(listener) = listener else { return std::future::pending().await };
    let why = match health::serve(listener, stats).await {
        Ok(()) => "it ended".to_owned(),
        Err(e) => OsError(&e).to_string(),
    };
    ClientError::new(ErrorKind::Config, format!("health and metrics cannot be served: {why}"))
}

async fn run(
    worker: Worker,
    stats: Arc<Stats>,
    bodies: tokio::runtime::Handle,
    cpu: Option<CpuPool>,
    state: &watch::Sender<LinkState>,
    stop: &CancellationToken,
) -> Result<Drained, ClientError> {
    let client = Client::new(worker.config.clone())?;
    let shared = Arc::new(Shared::new(client, &worker.tasks, &worker.options, stats, bodies, cpu)?);
    let _cut = CutOnDrop(shared.clone());
    let registrations = registrations(&worker);
    let registered = tokio::select! {
        registered = first_registration(&shared.client, &registrations, worker.options.wait_for_engine, state) => registered?,
        () = stop.cancelled() => return Ok(Drained::default()),
    };
    shared.stats.registrations.add(registered.workers.len() as u64);
    let links = Links::new(registered, state.clone(), shared.stats.clone());
    let intake_closed = CancellationToken::new();
    let mut kept: FuturesUnordered<_> = registrations
        .iter()
        .enumerate()
        .map(|(number, registration)| keep(&shared, registration, number, &links, &intake_closed))
        .collect();
    let drained = async {
        stop.cancelled().await;
        links.drain();
        drain::run(&shared, &links, &intake_closed, worker.options.grace).await
    };
    let drained = tokio::select! {
        Some(refused) = kept.next() => return Err(refused),
        drained = drained => drained,
        never = watchdog::run(shared.clone()) => match never {},
    };
    // Unsubscribing alone would leave the streams assigning; they end with this function, right after.
    join_all(links.workers().iter().map(|worker| unsubscribe(&shared, worker.id))).await;
    Ok(drained)
}

/// Tells the engine that a worker leaves. One try, since the engine notices it without.
async fn unsubscribe(shared: &Shared, worker: WorkerId) {
    let mut stub = shared.client.connection().dispatcher();
    let call = stub.unsubscribe(proto::WorkerUnsubscribeRequest { worker_id: worker.to_string() });
    if let Ok(Err(status)) = timeout(UNSUBSCRIBE_TIMEOUT, call).await {
        tracing::debug!(%worker, %status, "unsubscribing failed");
    }
}

/// Tells what still runs on threads that the worker is gone, whatever way it went.
struct CutOnDrop(Arc<Shared>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.table.cancel_all(CancelReason::Shutdown);
    }
}

/// Keeps one registration listening: reopens its stream, and registers it anew if the engine has forgotten it. Returns
/// only an error that another try does not mend.
async fn keep(
    shared: &Arc<Shared>,
    registration: &Registration,
    number: usize,
    links: &Links,
    intake_closed: &CancellationToken,
) -> ClientError {
    let name = registration.name();
    let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut since = Instant::now();
    loop {
        let opened = Instant::now();
        let wait = match session::run(shared, links, number, intake_closed).await {
            Ended::Closed => std::future::pending().await,
            // A new registration would be given work, since only the old one is paused.
            Ended::Forgotten if links.is_draining() => std::future::pending().await,
            Ended::Refused(error) => return error,
            Ended::Lost { why, signs } => {
                tracing::warn!(name, "lost the engine, and tries again: {why}");
                links.lost(number, Some(why));
                // A stream that has brought work is worth having again at once, however short it was.
                let held = if signs.work { Duration::MAX } else { opened.elapsed() };
                waits.next_delay_after(if signs.heartbeat { held } else { Duration::ZERO }, STORM)
            }
            Ended::Forgotten => {
                tracing::warn!(name, "the engine does not know this worker any more: it registers again");
                links.lost(number, None);
                let timeout = RegistrationTimeout::start(Duration::ZERO);
                let registered = tokio::select! {
                    biased;
                    // A worker that registers now would not be among those that the drain has paused.
                    () = links.draining() => std::future::pending().await,
                    registered = register(&shared.client, slice::from_ref(registration), DEFAULT_TIMEOUT, &timeout) => registered,
                };
                match registered {
                    Ok(registered) => {
                        for worker in registered.workers {
                            shared.stats.registrations.add(1);
                            tracing::info!(name, worker = %worker.id, "registered again");
                            links.registered(number, worker);
                        }
                        let kept = mem::replace(&mut since, Instant::now()).elapsed();
                        before_listening(&mut waits, kept)
                    }
                    Err(error) if error.kind() == ErrorKind::Unauthenticated => return error,
                    Err(error) => {
                        tracing::warn!(name, "could not register again, and tries on: {error}");
                        waits.next_delay()
                    }
                }
            }
        };
        sleep(wait).await;
    }
}

/// The wait between a registration and its stream, where the one before it was kept for so long. An engine that
/// forgets a worker at once is not to be stormed with new ones.
fn before_listening(waits: &mut Backoff, kept: Duration) -> Duration {
    if kept > STORM {
        waits.reset();
        return Duration::ZERO;
    }
    waits.next_delay()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_that_are_forgotten_at_once_are_spaced() {
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        assert_eq!(before_listening(&mut waits, STORM * 2), Duration::ZERO, "an engine that was restarted");
        let spaced: Vec<Duration> = (0..10).map(|_| before_listening(&mut waits, Duration::ZERO)).collect();
        assert!(spaced[0] >= FIRST_WAIT && spaced[6..].iter().all(|wait| *wait >= LONGEST_WAIT), "{spaced:?}");
        assert_eq!(before_listening(&mut waits, STORM * 2), Duration::ZERO, "the storm is over");
        assert!(before_listening(&mut waits, Duration::ZERO) <= FIRST_WAIT * 2, "and the next one begins anew");
    }
}
