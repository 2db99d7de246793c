//! The handle of a running engine.

use std::{io, sync::Arc, thread};

use tokio::sync::oneshot;

use super::{
    data_folder::{DataFolder, Identity},
    listen::{bind, bind_again, client_address},
    serving::{self, Startup},
};
use crate::{
    engine::{
        driver::Driver,
        error::EngineError,
        http::Tokens,
        options::{EngineOptions, Rest},
        state::Timestamp,
    },
    hatchet::system::{Handshake, HostNames},
};

/// A running engine. Dropping it stops the engine without waiting for its end.
#[derive(Debug)]
pub struct Engine {
    handshake: Handshake,
    in_process_handshake: Handshake,
    /// Dropped to stop the engine.
    stop: Option<oneshot::Sender<()>>,
    /// Closed when the thread has ended.
    end: Option<oneshot::Receiver<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine on its own thread. When this returns, the engine accepts calls, and its handshake file is
    /// written if it has a folder.
    pub async fn start(options: EngineOptions) -> Result<Self, EngineError> {
        Self::start_with_driver(options).await.map(|(engine, _)| engine)
    }

    /// Starts an engine like [`Engine::start`], and also returns its driver.
    pub(in crate::engine) async fn start_with_driver(
        options: EngineOptions,
    ) -> Result<(Self, Arc<Driver>), EngineError> {
        let folder = options.folder.as_deref().map(DataFolder::acquire).transpose()?;
        let mut identity = match &folder {
            Some(folder) => folder.identity()?,
            None => Identity::new()?,
        };
        let (listener, address) = bind_again(options.bind, identity.port)?;
        let (rest_listener, rest_address) = match options.rest {
            Rest::At(rest) => bind(rest).map(|(listener, address)| (Some(listener), address))?,
            Rest::Shared | Rest::Off => (None, address),
        };
        identity.port = Some(address.port());
        if let Some(folder) = &folder {
            folder.save_identity(&identity)?;
        }
        let grpc_address = client_address(address).to_string();
        let server_url = format!("http://{}", client_address(rest_address));
        let tokens = Tokens::new(&identity.key, identity.tenant, &grpc_address, &server_url, Timestamp::now());
        let serves_rest = options.rest != Rest::Off;
        let handshake = Handshake {
            token: tokens.current().to_owned(),
            tenant_id: identity.tenant.to_string(),
            grpc_address,
            // The token has the address even without REST: otherwise the Python SDK would use a public default.
            api_url: if serves_rest { server_url } else { String::new() },
        };
        let in_process_handshake = Handshake { token: tokens.in_process().to_owned(), ..handshake.clone() };
        let startup = Startup {
            options,
            folder,
            tenant: identity.tenant,
            tokens,
            host_names: HostNames::of(address.ip()),
            serves_rest,
            listeners: [Some(listener), rest_listener].into_iter().flatten().collect(),
            handshake: handshake.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let thread = spawn(startup, ready, stopped, ended)?;
        let driver = match is_ready.await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(EngineError::system("starting the engine", io::Error::other("its thread has ended"))),
        };
        let engine = Self { handshake, in_process_handshake, stop: Some(stop), end: Some(end), thread: Some(thread) };
        Ok((engine, driver))
    }

    /// The engine's addresses and the token for its clients, as in its handshake file.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The engine's addresses and a token for clients in this process only. When an engine starts again on the folder,
    /// it queues the tasks of a worker with this token immediately, since that worker has ended with the process.
    pub fn in_process_handshake(&self) -> &Handshake {
        &self.in_process_handshake
    }

    /// Waits until the engine has ended without a call of [`stop`](Self::stop), which happens only if it can no longer
    /// serve. Cancel safe.
    pub async fn ended(&mut self) {
        if let Some(end) = &mut self.end {
            // An error means that the thread has panicked, so the engine has ended too.
            let _ = end.await;
            self.end = None;
        }
    }

    /// Stops the engine: closes all streams, lets other calls end, persists the last changes, removes the handshake
    /// file, releases the folder and ends the thread.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.ended().await;
        if let Some(thread) = self.thread.take() {
            // The thread has nothing left to do, so this does not block.
            if thread.join().is_err() {
                tracing::error!("the engine's thread panicked");
            }
        }
    }
}

/// Runs the engine on its own thread. `end` completes when all resources are released.
fn spawn(
    startup: Startup,
    ready: oneshot::Sender<Result<Arc<Driver>, EngineError>>,
    stopped: oneshot::Receiver<()>,
    ended: oneshot::Sender<()>,
) -> Result<thread::JoinHandle<()>, EngineError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| EngineError::system("starting the engine's runtime", e))?;
    let body = move || {
        runtime.block_on(serving::serve(startup, ready, stopped));
        // Aborts calls that have not ended.
        drop(runtime);
        // The receiver is gone if the handle was dropped.
        let _ = ended.send(());
    };
    thread::Builder::new()
        .name("hatchet-engine".to_owned())
        .spawn(body)
        .map_err(|e| EngineError::system("starting the engine's thread", e))
}
