//! Starting and stopping.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::data_folder::{Folder, Identity};
#[cfg(feature = "durable")]
use crate::engine::{driver::open, persistence::store::Store};
use crate::{
    engine::{
        driver::{Driver, Time},
        error::EngineError,
        http::{self, Service, Tokens},
        options::{EngineOptions, Rest},
        state::{ClockReading, State, Timestamp},
    },
    hatchet::system::{Handshake, HostNames},
};

/// How long calls may take to end when the engine stops; streams are hung up on before.
const FAREWELL: Duration = Duration::from_secs(3);

/// Connections that may wait to be accepted, unless the system allows fewer.
#[cfg(unix)]
const WAITING_CONNECTIONS: i32 = 4096;

/// A running engine. Dropping it stops it too, without waiting for the end.
#[derive(Debug)]
pub struct Engine {
    handshake: Handshake,
    inside: Handshake,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Takes the folder, listens, and serves on a thread of its own, so that nothing else in the process can hold
    /// the engine up. When this returns, the engine answers and its handshake file is written.
    pub async fn start(options: EngineOptions) -> Result<Self, EngineError> {
        let folder = options.folder.as_deref().map(Folder::hold).transpose()?;
        let mut identity = match &folder {
            Some(folder) => folder.identity()?,
            None => Identity::new()?,
        };
        let (listener, address) = listen(options.bind, identity.port)?;
        let (rest, rest_address) = match options.rest {
            Rest::At(wanted) => bind(wanted).map(|(listener, address)| (Some(listener), address))?,
            Rest::Shared | Rest::Off => (None, address),
        };
        identity.port = Some(address.port());
        if let Some(folder) = &folder {
            folder.keep(&identity)?;
        }
        let grpc_address = reachable(address).to_string();
        let with_rest = options.rest != Rest::Off;
        let server_url = format!("http://{}", reachable(rest_address));
        let tokens = Tokens::new(&identity.key, identity.tenant, &grpc_address, &server_url, Timestamp::wall());
        // The token names an address in any case: without one the Python SDK would take a public one of its own.
        let api_url = if with_rest { server_url } else { String::new() };
        let handshake = Handshake {
            token: tokens.current().to_owned(),
            tenant_id: identity.tenant.to_string(),
            grpc_address,
            api_url,
        };
        let inside = Handshake { token: tokens.in_process().to_owned(), ..handshake.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| EngineError::system("start the engine's runtime", e))?;

        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let announced = handshake.clone();
        let listeners: Vec<_> = [Some(listener), rest].into_iter().flatten().collect();
        let body = move || {
            // Here and not before: there may be much to read.
            let time = Time::start();
            match Kept::open(&options, folder.as_ref(), time.now()) {
                Ok(Kept { state, store }) => {
                    let driver = Driver::new(state, time, identity.tenant, options.max_message);
                    let service = Service { driver, tokens, host_names: HostNames::of(address.ip()), with_rest };
                    let held = Held { store, folder };
                    runtime.block_on(run(listeners, service, held, announced, ready, stopped));
                }
                Err(error) => {
                    // Before it is told: who starts again at once finds the folder and its port free.
                    drop((listeners, folder));
                    // The receiver may be gone.
                    let _ = ready.send(Err(error));
                }
            }
            // What still hangs is dropped with the runtime; the receiver may be gone too.
            drop(runtime);
            let _ = end.send(());
        };
        let thread = thread::Builder::new()
            .name("hatchet-engine".to_owned())
            .spawn(body)
            .map_err(|e| EngineError::system("start the engine's thread", e))?;
        match is_ready.await {
            Ok(outcome) => outcome?,
            Err(_) => {
                let error = std::io::Error::other("its thread ended early");
                return Err(EngineError::system("start the engine", error));
            }
        }
        Ok(Self { handshake, inside, stop: Some(stop), ended: Some(ended), thread: Some(thread) })
    }

    /// Where it is and how to get in, as its handshake file says too.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The same for a worker in this process: when an engine starts again on the folder, what that worker ran is
    /// queued again at once, as it can only have died. Not to be handed to another process.
    pub fn own_handshake(&self) -> &Handshake {
        &self.inside
    }

    /// Waits until the engine has ended by itself, which it does only if it cannot serve any more. Can be dropped and
    /// called again.
    pub async fn ended(&mut self) {
        if let Some(ended) = &mut self.ended {
            // An error means that the thread has ended without a word, which is an end too.
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// Hangs up on all streams, takes the handshake file back, lets go of the folder and ends the thread.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(ended) = self.ended.take() {
            // An error means that the thread has ended, which is what is waited for.
            let _ = ended.await;
        }
        if let Some(thread) = self.thread.take() {
            // The signal was its last act, so this does not block.
            if thread.join().is_err() {
                tracing::error!("the engine's thread panicked");
            }
        }
    }
}

/// What the engine starts with.
struct Kept {
    state: State,
    store: Option<Store>,
}

impl Kept {
    fn open(options: &EngineOptions, folder: Option<&Folder>, now: ClockReading) -> Result<Self, EngineError> {
        #[cfg(feature = "durable")]
        if let Some(folder) = folder.filter(|_| !options.ephemeral) {
            let (state, store) = open::open(folder.path(), options, now)?;
            return Ok(Self { state, store: Some(store) });
        }
        #[cfg(not(feature = "durable"))]
        if folder.is_some() && !options.ephemeral {
            let _ = now;
            tracing::warn!("nothing is kept over a restart: this build lacks the cargo feature `durable`");
        }
        let state = State::new(options.timings.clone(), options.keep(), Box::new(Uuid::new_v4));
        Ok(Self { state, store: None })
    }
}

/// What an engine has to itself. The fields are dropped in their order: who gets the lock finds the file closed.
struct Held {
    store: Option<Store>,
    folder: Option<Folder>,
}

/// Without the cargo feature there is none.
#[cfg(not(feature = "durable"))]
enum Store {}

/// Keeps what changes; for ever where nothing is to be kept.
async fn keep(driver: &Driver, store: Option<&Store>) {
    match store {
        #[cfg(feature = "durable")]
        Some(store) => driver.keep(store).await,
        #[cfg(not(feature = "durable"))]
        Some(never) => {
            let _ = driver;
            match *never {}
        }
        None => std::future::pending().await,
    }
}

/// There will be no more changes.
fn stop_keeping(driver: &Driver) {
    #[cfg(feature = "durable")]
    driver.stop_keeping();
    #[cfg(not(feature = "durable"))]
    let _ = driver;
}

/// Takes the port kept from the last start, or the one asked for, or another one.
fn listen(wanted: SocketAddr, kept: Option<u16>) -> Result<(std::net::TcpListener, SocketAddr), EngineError> {
    if let Some(port) = kept.filter(|_| wanted.port() == 0) {
        match bind(SocketAddr::new(wanted.ip(), port)) {
            Ok(bound) => return Ok(bound),
            Err(error) => tracing::warn!("the port of the last start is not free, taking another: {error}"),
        }
    }
    bind(wanted)
}

fn bind(wanted: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), EngineError> {
    let failed = |e| EngineError::address(wanted, e);
    let listener = std::net::TcpListener::bind(wanted).map_err(failed)?;
    // Connections that wait while no more are accepted. The standard library asks for 128; calling it again changes that.
    #[cfg(unix)]
    rustix::net::listen(&listener, WAITING_CONNECTIONS).map_err(|e| failed(e.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The address to tell others: one that listens everywhere is reached on the loopback.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, bound.port())
}

async fn run(
    listeners: Vec<std::net::TcpListener>,
    service: Service,
    held: Held,
    handshake: Handshake,
    ready: oneshot::Sender<Result<(), EngineError>>,
    stopped: oneshot::Receiver<()>,
) {
    let listeners = match listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<Result<_, _>>() {
        Ok(listeners) => listeners,
        Err(e) => {
            drop(held);
            let _ = ready.send(Err(EngineError::system("listen", e)));
            return;
        }
    };
    // The listener is bound: a call that comes from here on is answered.
    if let Some(Err(e)) = held.folder.as_ref().map(|folder| folder.announce(&handshake)) {
        drop((listeners, held));
        let _ = ready.send(Err(e));
        return;
    }
    if ready.send(Ok(())).is_err() {
        // Whoever started it has gone.
        withdraw(&held.folder);
        return;
    }
    let driver = service.driver.clone();
    let (hang_up, hung_up) = oneshot::channel::<()>();
    let serving = http::serve(listeners, service, async {
        let _ = hung_up.await;
    });
    let keeping = keep(&driver, held.store.as_ref());
    tokio::pin!(serving, keeping);
    let mut keeping_is_over = held.store.is_none();
    tokio::select! {
        outcome = &mut serving => tracing::error!("the engine has stopped serving: {outcome:?}"),
        () = driver.keep_time() => {}
        () = driver.release_memory() => {}
        () = &mut keeping => keeping_is_over = true,
        _ = stopped => {
            driver.hang_up();
            drop(hang_up);
            tokio::select! {
                ended = tokio::time::timeout(FAREWELL, serving) => if ended.is_err() {
                    tracing::debug!("some calls did not end in time and were cut off");
                },
                () = &mut keeping => keeping_is_over = true,
            }
        }
    }
    if !keeping_is_over {
        stop_keeping(&driver);
        keeping.await;
    }
    withdraw(&held.folder);
}

fn withdraw(folder: &Option<Folder>) {
    if let Some(folder) = folder {
        folder.withdraw();
    }
}

#[cfg(test)]
#[cfg(feature = "durable")]
mod tests {
    use std::{path::Path, sync::Arc};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::engine::{
        persistence::row::{Change, Row, RowKey, Table},
        persistence::store,
    };

    fn held(path: &Path) -> Held {
        let folder = Folder::hold(path).unwrap();
        let store = store::open(&path.join("engine.db"), |_, _| Ok(())).unwrap();
        Held { store: Some(store), folder: Some(folder) }
    }

    #[test]
    fn who_gets_the_lock_finds_the_file_closed() {
        let dir = tempfile::tempdir().unwrap();
        let held = held(dir.path());
        // Something to write while it is let go of: SQLite removes its log when it closes the file.
        let text: Arc<str> = "x".repeat(8 << 20).into();
        let row = |number| {
            Change::Put(Table::Runs, RowKey::Number(number), Row { head: vec![1], texts: [Some(text.clone()), None] })
        };
        let written = held.store.as_ref().unwrap().write((1..8).map(row).collect()).now_or_never();
        assert!(written.is_none(), "it is still to be written");
        let path = dir.path().to_owned();
        let next = thread::spawn(move || {
            let folder = std::iter::repeat_with(|| Folder::hold(&path)).find_map(Result::ok);
            (folder.is_some(), path.join("engine.db-wal").exists())
        });
        drop(held);
        assert_eq!(next.join().unwrap(), (true, false));
    }
}
