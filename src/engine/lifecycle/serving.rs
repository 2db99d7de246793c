//! The engine's thread: loads the state, announces the engine, and serves until it is stopped.

use std::{net::TcpListener, sync::Arc, time::Duration};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::data_folder::DataFolder;
#[cfg(feature = "durable")]
use crate::engine::{driver::open, persistence::store::Store};
use crate::{
    engine::{
        driver::{Driver, SystemClock},
        error::EngineError,
        http::{self, Service, Tokens},
        options::EngineOptions,
        state::{ClockReading, State},
    },
    hatchet::{
        system::{Handshake, HostNames},
        wire::{TenantId, readable_duration},
    },
};

/// Time for calls to end after a stop. Streams are closed before.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The values that [`Engine::start`](super::Engine::start) passes to the thread.
pub(super) struct Startup {
    pub(super) options: EngineOptions,
    pub(super) folder: Option<DataFolder>,
    pub(super) tenant: TenantId,
    pub(super) tokens: Tokens,
    pub(super) host_names: HostNames,
    pub(super) serves_rest: bool,
    pub(super) listeners: Vec<TcpListener>,
    /// The content of the handshake file.
    pub(super) handshake: Handshake,
}

/// The exclusive resources of an engine. Fields are dropped in order: the file is closed before the lock is released.
struct Resources {
    store: Option<Store>,
    folder: Option<DataFolder>,
}

/// Without the cargo feature `durable` there is no store.
#[cfg(not(feature = "durable"))]
enum Store {}

/// Serves until `stopped` completes or the engine can no longer serve. Sends the driver, or the error of
/// the start, on `ready`.
pub(super) async fn serve(
    startup: Startup,
    ready: oneshot::Sender<Result<Arc<Driver>, EngineError>>,
    stopped: oneshot::Receiver<()>,
) {
    match start(startup) {
        // If the receiver is gone, the start was cancelled.
        Ok(started) => match ready.send(Ok(started.service.driver.clone())) {
            Ok(()) => started.run(stopped).await,
            Err(_) => started.resources.withdraw(),
        },
        Err(error) => drop(ready.send(Err(error))),
    }
}

/// An engine whose port is bound and whose handshake file is written. It responds to calls as soon as it runs.
struct Started {
    listeners: Vec<tokio::net::TcpListener>,
    service: Service,
    resources: Resources,
}

/// Loads the state and announces the engine. On an error, everything is released before this returns, so that another
/// start finds the folder and the port free.
fn start(startup: Startup) -> Result<Started, EngineError> {
    let Startup { options, folder, tenant, tokens, host_names, serves_rest, listeners, handshake } = startup;
    let clock = SystemClock::start();
    let (state, store) = load(&options, folder.as_ref(), clock.now())?;
    let resources = Resources { store, folder };
    let driver = Driver::new(state, clock, tenant, options.max_message);
    let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std);
    let listeners = listeners.collect::<Result<_, _>>().map_err(|e| EngineError::system("listening", e))?;
    if let Some(folder) = &resources.folder {
        folder.announce(&handshake)?;
    }
    Ok(Started { listeners, service: Service { driver, tokens, host_names, serves_rest }, resources })
}

/// Loads the state from the folder, with the store that persists its changes. Without a store, creates a new state.
fn load(
    options: &EngineOptions,
    folder: Option<&DataFolder>,
    now: ClockReading,
) -> Result<(State, Option<Store>), EngineError> {
    #[cfg(feature = "durable")]
    if let Some(folder) = folder.filter(|_| !options.ephemeral) {
        let (state, store) = open::open(folder.path(), options, now)?;
        return Ok((state, Some(store)));
    }
    #[cfg(not(feature = "durable"))]
    if folder.is_some() && !options.ephemeral {
        let _ = now;
        tracing::warn!("a restart loses all data: this build lacks the cargo feature `durable`");
    }
    Ok((State::new(options.timings.clone(), options.retention(), Box::new(Uuid::new_v4)), None))
}

impl Started {
    async fn run(self, stopped: oneshot::Receiver<()>) {
        let Self { listeners, service, resources } = self;
        let driver = service.driver.clone();
        let (stop_serving, serving_stopped) = oneshot::channel::<()>();
        let serving = http::serve(listeners, service, async {
            // An error means that the sender was dropped, which is the signal.
            let _ = serving_stopped.await;
        });
        let persisting = persist(&driver, resources.store.as_ref());
        tokio::pin!(serving, persisting);
        let mut persisting_ended = resources.store.is_none();
        tokio::select! {
            outcome = &mut serving => tracing::error!("the engine has stopped serving: {outcome:?}"),
            () = driver.run_timers() => {}
            () = driver.release_memory() => {}
            () = &mut persisting => persisting_ended = true,
            _ = stopped => {
                driver.close_streams();
                drop(stop_serving);
                tokio::select! {
                    result = tokio::time::timeout(STOP_TIMEOUT, serving) => if result.is_err() {
                        tracing::debug!("calls in progress were aborted {} after the stop", readable_duration(STOP_TIMEOUT));
                    },
                    () = &mut persisting => persisting_ended = true,
                }
            }
        }
        if !persisting_ended {
            stop_persisting(&driver);
            persisting.await;
        }
        resources.withdraw();
    }
}

impl Resources {
    /// Removes the handshake file.
    fn withdraw(&self) {
        if let Some(folder) = &self.folder {
            folder.withdraw();
        }
    }
}

/// Writes changes to the store. Without a store it never completes.
async fn persist(driver: &Arc<Driver>, store: Option<&Store>) {
    match store {
        #[cfg(feature = "durable")]
        Some(store) => driver.persist(store).await,
        #[cfg(not(feature = "durable"))]
        Some(never) => {
            let _ = driver;
            match *never {}
        }
        None => std::future::pending().await,
    }
}

/// Makes [`persist`] complete once all changes are written.
fn stop_persisting(driver: &Arc<Driver>) {
    #[cfg(feature = "durable")]
    driver.finish_persisting();
    #[cfg(not(feature = "durable"))]
    let _ = driver;
}

#[cfg(test)]
#[cfg(feature = "durable")]
mod tests {
    use std::{path::Path, sync::Arc};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::engine::persistence::{
        row::{Row, RowChange, RowKey, Table},
        store,
    };

    fn resources(path: &Path) -> Resources {
        let folder = DataFolder::acquire(path).unwrap();
        let store = store::open(&path.join("engine.db"), |_, _| Ok(())).unwrap();
        Resources { store: Some(store), folder: Some(folder) }
    }

    #[test]
    fn file_is_closed_before_the_lock_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let resources = resources(dir.path());
        // This write is still in progress when the resources are dropped. SQLite removes its log when it closes the
        // file.
        let text: Arc<str> = "x".repeat(8 << 20).into();
        let row = |number| {
            RowChange::Put(
                Table::Runs,
                RowKey::Number(number),
                Row { head: vec![1], texts: [Some(text.clone()), None] },
            )
        };
        let written = resources.store.as_ref().unwrap().write((1..8).map(row).collect()).now_or_never();
        assert!(written.is_none(), "the write is in progress");
        let path = dir.path().to_owned();
        let next = std::thread::spawn(move || {
            let folder = std::iter::repeat_with(|| DataFolder::acquire(&path)).find_map(Result::ok);
            (folder.is_some(), path.join("engine.db-wal").exists())
        });
        drop(resources);
        assert_eq!(next.join().unwrap(), (true, false));
    }
}
