//! The order of leaving: stop intake, let what runs end, cut what does not, report all of it.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    RegisteredWorker,
    attempt::{Outstanding, Shared, Table},
    session::Links,
};
use crate::hatchet::{task::CancelReason, wire::format_duration};

/// Pausing goes over REST, which may be out of reach.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(3);
/// What was assigned before the pause arrives within some tens of milliseconds.
const SETTLE: Duration = Duration::from_millis(400);
/// After the grace, bodies have this long to end and outcomes to be reported, over the grace of a cancellation.
const LINGER: Duration = Duration::from_secs(4);
/// A worker without a stream is taken for dead after 30 s, and what it runs is given to another: the cut has to come
/// before.
const UNHEARD_GRACE: Duration = Duration::from_secs(20);

/// Names in one log line.
const NAMED: usize = 20;

/// The first of these names, and how many more there are.
pub(crate) fn some_of(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What a drain came to. Each attempt is named as `task (run id)`.
///
/// A body that was cut either ended and was reported, or is in one of the other lists as well. The engine gives what is in
/// those to another worker, 30 s after the last heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// Bodies that were cancelled when the grace was over.
    pub cut: Vec<String>,
    /// Bodies that ignored that and still ran at the end.
    pub left: Vec<String>,
    /// Attempts whose body had ended, and whose outcome the engine had not acknowledged at the end.
    pub unreported: Vec<String>,
}

pub(super) async fn run(
    shared: &Arc<Shared>,
    links: &Links,
    intake_closed: &CancellationToken,
    grace: Duration,
) -> Drained {
    let begun = Instant::now();
    stop_intake(shared, &links.workers(), intake_closed).await;
    let grace = if intake_closed.is_cancelled() && grace > UNHEARD_GRACE + begun.elapsed() {
        tracing::warn!(
            "the grace of {} is cut to {}: the engine gives what runs to another worker after 30 s without a stream",
            format_duration(grace),
            format_duration(UNHEARD_GRACE)
        );
        UNHEARD_GRACE + begun.elapsed()
    } else {
        grace
    };
    if timeout(grace.saturating_sub(begun.elapsed()), settled(&shared.table)).await.is_ok() || shared.table.busy() == 0
    {
        return Drained::default();
    }
    let Outstanding { bodies: cut, reports } = shared.table.outstanding();
    let (grace, linger) = (format_duration(grace), shared.cancel_grace.saturating_add(LINGER));
    if !cut.is_empty() {
        tracing::warn!("the grace of {grace} is over: cancels {}", some_of(&cut));
    }
    if !reports.is_empty() {
        tracing::warn!(
            "the grace of {grace} is over, and the engine has not acknowledged the outcome of {}: offers it for {} more",
            some_of(&reports),
            format_duration(linger)
        );
    }
    shared.table.cancel_all(CancelReason::Shutdown);
    // What is left when that is over is named by the caller.
    let _ = timeout(linger, shared.table.idle()).await;
    let Outstanding { bodies: left, reports: unreported } = shared.table.outstanding();
    Drained { cut, left, unreported }
}

/// Pauses the workers, so that the engine assigns nothing more while results and cancels still flow. If one cannot be
/// paused, all streams are closed, which stops assignment as well, but then cancels do not arrive, and heartbeats
/// without a stream are refused, so that 30 s are left.
async fn stop_intake(shared: &Arc<Shared>, workers: &[RegisteredWorker], intake_closed: &CancellationToken) {
    let why = match shared.client.rest() {
        None => "the REST address is not known: set HATCHET_CLIENT_SERVER_URL".to_owned(),
        Some(rest) => {
            match timeout(PAUSE_TIMEOUT, try_join_all(workers.iter().map(|worker| rest.pause_worker(worker.id, true))))
                .await
            {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer for {PAUSE_TIMEOUT:?}"),
            }
        }
    };
    tracing::warn!("the worker cannot be paused ({why}); it closes its stream instead");
    intake_closed.cancel();
}

/// Waits until no attempt is left and none has come for a while. An engine may have chosen this worker just before it
/// took the pause: an assignment that found the stream gone would wait 30 s for another worker.
async fn settled(table: &Table) {
    loop {
        table.idle().await;
        sleep(SETTLE).await;
        if table.busy() == 0 {
            return;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::{sync::watch, task::yield_now, time::advance};

    use super::{
        super::{LinkState, Registered, WorkerOptions, attempt::Running, health::Stats},
        *,
    };
    use crate::hatchet::{
        client::Client,
        system::Handshake,
        transport::{ClientConfig, Sources},
        wire::{RunId, WorkerId},
    };

    #[test]
    fn long_list_of_names_is_cut() {
        let names: Vec<String> = (1..=NAMED + 2).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&names[..2]), "1, 2");
        assert!(some_of(&names).ends_with(", 19, 20 and 2 more"), "{}", some_of(&names));
        assert_eq!(some_of(&[""; 0]), "");
    }

    /// Lets all that is ready run.
    async fn breathe() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_assigned_just_before_the_pause_is_run() {
        let table = Arc::new(Table::default());
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { settled(&table).await }
        });
        breathe().await;
        assert!(!waiting.is_finished(), "idle, and something may be on its way");
        advance(SETTLE - Duration::from_millis(1)).await;
        breathe().await;
        // Here it comes.
        let late = (RunId::random(), 0);
        assert!(table.add(late, Running::new("late".to_owned())));
        advance(Duration::from_secs(600)).await;
        breathe().await;
        assert!(!waiting.is_finished(), "it runs");
        table.remove(late);
        breathe().await;
        assert!(!waiting.is_finished(), "and another one may come");
        advance(SETTLE).await;
        breathe().await;
        assert!(waiting.is_finished());
    }

    /// The settings of an engine at this address that has no REST part, with a token that nobody checks.
    pub(in super::super) fn config(address: String) -> ClientConfig {
        let claims = "eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ";
        let handshake = Handshake {
            token: format!("eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln"),
            tenant_id: "707d0855-80ab-4e1f-a156-f1c4546cbf52".to_owned(),
            grpc_address: address,
            api_url: String::new(),
        };
        ClientConfig::from_handshake(&handshake, &Sources::default()).unwrap()
    }

    /// What the attempts of a worker share that knows no REST address.
    fn without_rest() -> Arc<Shared> {
        // Nothing is asked there.
        let client = Client::new(config("127.0.0.1:9".to_owned())).unwrap();
        assert!(client.rest().is_none());
        let options = WorkerOptions::default();
        let stats = Arc::new(Stats::new(&[], &options, watch::channel(LinkState::Draining).1));
        let bodies = tokio::runtime::Handle::current();
        Arc::new(Shared::new(client, &[], &options, stats, bodies, None).unwrap())
    }

    /// Links of a process with one worker, which drains.
    fn links(shared: &Shared) -> Links {
        let worker = RegisteredWorker { id: WorkerId::random(), name: "w".to_owned(), slots: 1 };
        let registered = Registered { workers: vec![worker], engine_version: String::new() };
        Links::new(registered, watch::Sender::new(LinkState::Draining), shared.stats.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn outstanding_report_is_told_from_running_body() {
        let shared = without_rest();
        let [deaf, polite, reporting] = ["deaf", "polite", "reporting"].map(|task| {
            let (key, running) = ((RunId::random(), 0), Running::new(task.to_owned()));
            assert!(shared.table.add(key, running.clone()));
            (key, running, format!("{task} ({})", key.0))
        });
        reporting.1.end();
        let links = links(&shared);
        let drained = tokio::spawn({
            let shared = shared.clone();
            async move { run(&shared, &links, &CancellationToken::new(), Duration::from_secs(1)).await }
        });
        polite.1.canceller.cancelled().await;
        // It ends, and the engine does not take its outcome.
        polite.1.end();
        let drained = drained.await.unwrap();
        assert_eq!(drained.cut, [deaf.2.clone(), polite.2.clone()]);
        assert_eq!(drained.left, [deaf.2]);
        assert_eq!(drained.unreported, [polite.2, reporting.2]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_rest_what_runs_is_cut_before_the_engine_gives_it_away() {
        for (grace, cut_after) in [(UNHEARD_GRACE * 10, UNHEARD_GRACE), (UNHEARD_GRACE / 2, UNHEARD_GRACE / 2)] {
            let shared = without_rest();
            let running = Running::new("long".to_owned());
            let key = (RunId::random(), 0);
            assert!(shared.table.add(key, running.clone()));
            let links = links(&shared);
            let (begun, intake_closed) = (Instant::now(), CancellationToken::new());
            let drained = tokio::spawn({
                let (shared, intake_closed) = (shared.clone(), intake_closed.clone());
                async move { run(&shared, &links, &intake_closed, grace).await }
            });
            assert_eq!(running.canceller.cancelled().await, CancelReason::Shutdown);
            assert!(intake_closed.is_cancelled(), "the stream is closed");
            assert_eq!(begun.elapsed(), cut_after);
            shared.table.remove(key);
            let drained = drained.await.unwrap();
            assert_eq!((drained.cut, drained.left), (vec![format!("long ({})", key.0)], Vec::new()));
        }
    }
}
