//! Words into calls, results into words: the only place where client, worker, engine and tasks are put together.

mod bench;
mod connection;
mod deadline;
mod doctor;
mod exit;
mod online_workers;
mod output;
pub mod runner;
mod settings;
#[cfg(feature = "engine")]
mod sidecar;
mod signals;
pub mod worker;

pub use exit::Exit;

use std::{io, process::ExitCode, time::Duration};

use crate::hatchet::{
    client::{ENV_FILES, Source, Sources},
    system::{OsError, out_of_files},
    wire::parse_duration,
};

/// Runs a command to its end on a runtime of its own and gives its exit code, after its failure was printed.
///
/// `blocking_threads` bounds the threads for blocking bodies.
pub fn run(blocking_threads: usize, command: impl Future<Output = Result<(), Exit>>) -> ExitCode {
    if let Err(e) = spare_descriptors() {
        return Exit::usage(format!("cannot start: {}", OsError(&e))).report();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(blocking_threads).build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(async {
                signals::outlive_size_limits().map_err(no_signals)?;
                command.await
            });
            // A body that ignores its cancellation may hold a thread for ever.
            runtime.shutdown_background();
            result
        }
        Err(e) => Err(Exit::usage(format!("the runtime cannot be started: {}", OsError(&e)))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}

/// File descriptors that are free at the start: a worker with the embedded engine and its first connections holds about
/// two dozen.
const DESCRIPTORS: usize = 32;

/// Fails where so few file descriptors are free that what follows would fail half-way, and some of it by a panic (tokio's
/// signals).
fn spare_descriptors() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let stderr = io::stderr();
        let spare = (0..DESCRIPTORS).map(|_| stderr.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>();
        if let Err(e) = spare
            && out_of_files(&e).is_some()
        {
            return Err(e);
        }
    }
    Ok(())
}

fn no_signals(error: io::Error) -> Exit {
    Exit::usage(format!("signals cannot be listened for: {}", OsError(&error)))
}

/// Flags that both binaries have, for what the official SDKs read from the environment.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
struct ConnectionFlags {
    /// Use the engine that comes with this program: `always` (also without a value), `auto` (only where no token is
    /// set) or `never` [env: HATCHET_EMBEDDED=1]
    #[arg(long, global = true, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    embedded: Option<connection::engine::When>,
    /// Folder of the embedded engine: its handshake file, and what it keeps over restarts [env: HATCHET_EMBEDDED_DIR]
    /// [default: .hatchet]
    #[arg(long, global = true, value_name = "DIR")]
    embedded_dir: Option<String>,
    /// An embedded engine that is started keeps nothing over restarts [env: HATCHET_EMBEDDED_EPHEMERAL=1]
    #[arg(long, global = true)]
    embedded_ephemeral: bool,
    /// Address of the engine's gRPC services [env: HATCHET_CLIENT_HOST_PORT] [default: the token's]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    host_port: Option<String>,
    /// Base URL of the engine's REST part [env: HATCHET_CLIENT_SERVER_URL] [default: the token's]
    #[arg(long, global = true, value_name = "URL")]
    server_url: Option<String>,
    /// Prefix of workflow and worker names [env: HATCHET_CLIENT_NAMESPACE]
    #[arg(long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// `tls`, `mtls` or `none` [env: HATCHET_CLIENT_TLS_STRATEGY] [default: tls]
    #[arg(long, global = true, value_name = "STRATEGY")]
    tls_strategy: Option<String>,
    /// `off`, `error`, `warn`, `info`, `debug` or `trace` [env: HATCHET_CLIENT_LOG_LEVEL, RUST_LOG] [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// `human` or `json`, on stderr [env: HATCHET_CLIENT_LOG_FORMAT] [default: human on a terminal, else json]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConnectionFlags {
    /// The settings, with these flags over them.
    fn sources(&self) -> Sources {
        let mut sources = Sources::read(std::path::Path::new("."));
        let mut set = |name, flag, value: &Option<String>| {
            if let Some(value) = value {
                sources.set(name, value.clone(), Source::Flag(flag));
            }
        };
        set("HATCHET_EMBEDDED_DIR", "--embedded-dir", &self.embedded_dir);
        set("HATCHET_EMBEDDED_EPHEMERAL", "--embedded-ephemeral", &self.embedded_ephemeral.then(|| "1".to_owned()));
        set("HATCHET_CLIENT_HOST_PORT", "--host-port", &self.host_port);
        set("HATCHET_CLIENT_SERVER_URL", "--server-url", &self.server_url);
        set("HATCHET_CLIENT_NAMESPACE", "--namespace", &self.namespace);
        set("HATCHET_CLIENT_TLS_STRATEGY", "--tls-strategy", &self.tls_strategy);
        set("HATCHET_CLIENT_LOG_LEVEL", "--log-level", &self.log_level);
        set("HATCHET_CLIENT_LOG_FORMAT", "--log-format", &self.log_format);
        sources
    }
}

/// A duration in an argument or variable: Hatchet's grammar.
fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

/// What the help says below the flags, in both binaries.
fn settings_help() -> String {
    format!(
        "Every setting is read from the environment and, below it, from {} in the current folder, under the names that \
         the official SDKs use: HATCHET_CLIENT_TOKEN, …_TLS_ROOT_CA_FILE, …_TLS_CERT_FILE, …_TLS_KEY_FILE, \
         …_TLS_SERVER_NAME, …_GRPC_MAX_RECV_MESSAGE_LENGTH, …_GRPC_MAX_SEND_MESSAGE_LENGTH and those named above. A \
         flag wins over the environment. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are read from the environment \
         alone.",
        ENV_FILES.join(", ")
    )
}
