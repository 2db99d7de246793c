//! Serves as a sidecar: `worker -handshake-file FILE …` runs the engine alone, as the official SDKs start their
//! sidecar.
//!
//! Only the flags and `RUST_LOG` are read: the other variables of its environment are settings of the SDK that has
//! started it.

use std::{
    ffi::OsString,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;

use crate::{
    cli::{
        Exit,
        connection::wait_for_handshake,
        output::{Program, init_logging},
        runtime,
        signals::Signals,
    },
    engine::{Engine, EngineErrorKind, EngineOptions, Rest},
    hatchet::{
        client::{Source, Sources},
        system::{Handshake, private_file},
    },
};

/// Serves the engine alone, with the flags of Hatchet's embedded sidecar, for official SDKs that start the program in
/// HATCHET_CLIENT_EMBEDDED_BINARY_PATH. It ends with its stdin or by SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "worker", disable_version_flag = true)]
struct Args {
    /// File to write when the engine serves: JSON with token, tenant and addresses
    #[arg(long, value_name = "FILE")]
    handshake_file: PathBuf,
    /// Folder in whose subfolder `hatchet-quickstart` the engine's data is stored [default: .hatchet itself]
    #[arg(long, value_name = "DIR")]
    postgres_data_dir: Option<PathBuf>,
    /// Port of the gRPC services on 127.0.0.1; 0 for the previous port or any free port [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    grpc_port: u16,
    /// Port of the REST API; 0 for that of the gRPC services [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    api_port: u16,
    /// Do not serve the REST API
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = clap::ArgAction::Set, hide_default_value = true)]
    no_api: bool,
    /// Accepted without effect: there are no migrations
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = clap::ArgAction::Set, hide_default_value = true)]
    no_migrations: bool,
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`, to stderr [default: warn]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Refused: this engine uses no Postgres
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Refused: this engine uses no RabbitMQ
    #[arg(long, value_name = "URL")]
    rabbitmq_url: Option<String>,
}

/// A validated command of the sidecar.
struct Request {
    handshake_file: PathBuf,
    folder: PathBuf,
    options: EngineOptions,
    /// Whether an engine of another process on the folder may be announced instead: only if no port is given.
    may_join: bool,
}

/// Maximum number of threads for blocking code: name resolution and files.
const BLOCKING_THREADS: usize = 16;

/// Interval of attempts to start while another process runs an engine on the folder: 1 s.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The arguments of a sidecar, with two dashes each, as the parser expects them. `None` without `-handshake-file`.
pub(in crate::cli) fn sidecar_args(args: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let args: Vec<OsString> = args.collect();
    let is_sidecar = args.iter().skip(1).filter_map(|arg| arg.to_str()).any(|arg| {
        let name = arg.trim_start_matches('-');
        arg != name && (name == "handshake-file" || name.starts_with("handshake-file="))
    });
    is_sidecar.then(|| args.into_iter().map(with_two_dashes).collect())
}

fn with_two_dashes(arg: OsString) -> OsString {
    match arg.to_str().map(str::as_bytes) {
        Some([b'-', letter, _, ..]) if letter.is_ascii_alphabetic() => {
            let mut argument = OsString::from("-");
            argument.push(&arg);
            argument
        }
        Some(_) | None => arg,
    }
}

/// Validates the arguments and serves as a sidecar. Returns the exit code.
pub(in crate::cli) fn main(args: Vec<OsString>) -> ExitCode {
    match Request::from_args(Args::parse_from(args)) {
        Ok(request) => runtime::run(BLOCKING_THREADS, serve(request)),
        Err(exit) => exit.report(),
    }
}

impl Request {
    /// Validates the arguments and initializes logging.
    fn from_args(args: Args) -> Result<Self, Exit> {
        // The values are not printed: they may contain passwords.
        for (flag, value, store) in
            [("-database-url", args.database_url, "Postgres"), ("-rabbitmq-url", args.rabbitmq_url, "RabbitMQ")]
        {
            if value.is_some_and(|value| !value.is_empty()) {
                return Err(Exit::usage(format!(
                    "{flag}: this engine uses no {store}: omit the flag, or use Hatchet's own sidecar"
                )));
            }
        }
        if args.grpc_port != 0 && args.grpc_port == args.api_port {
            return Err(Exit::usage(format!("-grpc-port and -api-port are both {}: omit -api-port", args.api_port)));
        }
        let level = args.log_level.as_deref().unwrap_or("warn");
        // Names of Hatchet's sidecar for other levels.
        let level = match level {
            "fatal" | "panic" => "error",
            "disabled" => "off",
            other => other,
        };
        let mut settings = Sources::default();
        settings.set("HATCHET_CLIENT_LOG_LEVEL", level, Source::Flag("-log-level"));
        init_logging(&settings, Program::Worker)?;
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = match args.postgres_data_dir {
            // Hatchet's own sidecar stores its Postgres data in the folder itself.
            Some(folder) => folder.join("hatchet-quickstart"),
            // A worker that starts this program as its sidecar has locked .hatchet and waits for the file in it.
            None if is_in(&args.handshake_file, Path::new(".hatchet")) => PathBuf::from(".hatchet/sidecar"),
            None => PathBuf::from(".hatchet"),
        };
        let options = EngineOptions {
            bind: loopback(args.grpc_port),
            rest: match (args.no_api, args.api_port) {
                (true, _) => Rest::Off,
                (false, 0) => Rest::Shared,
                (false, port) => Rest::At(loopback(port)),
            },
            folder: Some(folder.clone()),
            ..EngineOptions::default()
        };
        let may_join = options.bind.port() == 0 && options.rest == Rest::Shared;
        Ok(Self { handshake_file: args.handshake_file, folder, options, may_join })
    }
}

/// Whether a file is in a folder, with symbolic links resolved. `false` if either folder does not exist.
fn is_in(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(parent), Ok(folder)) => parent.starts_with(folder),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Serves until a signal or the end of stdin.
///
/// While another process runs an engine on the same folder, announces that engine. When that engine ends, starts an
/// engine with its address and key, so that the announced handshake stays valid.
async fn serve(request: Request) -> Result<(), Exit> {
    let mut signals = Signals::listen()?;
    signals.include_stdin_end();
    let mut announced: Option<Handshake> = None;
    loop {
        let mut engine = match Engine::start(request.options.clone()).await {
            Ok(engine) => engine,
            Err(error) if error.kind() == EngineErrorKind::FolderInUse && request.may_join => {
                if announced.is_none() {
                    let handshake = wait_for_handshake(&request.folder).await?;
                    tracing::info!(
                        "another process runs an engine on {}: announcing that engine",
                        request.folder.display()
                    );
                    write_handshake(&request.handshake_file, &handshake)?;
                    announced = Some(handshake);
                }
                tokio::select! {
                    () = signals.next() => return Ok(()),
                    () = tokio::time::sleep(POLL_INTERVAL) => continue,
                }
            }
            Err(error) => return Err(Exit::unreachable(error.to_string())),
        };
        let ours = engine.handshake().clone();
        let outcome = match &announced {
            None => write_handshake(&request.handshake_file, &ours),
            Some(other) if other.tenant_id == ours.tenant_id && other.grpc_address == ours.grpc_address => Ok(()),
            Some(other) => {
                Err(Exit::unreachable(format!("the engine of another process at {} has ended", other.grpc_address)))
            }
        };
        if let Err(exit) = outcome {
            engine.stop().await;
            return Err(exit);
        }
        tracing::info!("serving at {}", ours.grpc_address);
        let outcome = tokio::select! {
            () = signals.next() => Ok(()),
            () = engine.ended() => Err(Exit::unreachable("the engine ended unexpectedly: see the log above")),
        };
        engine.stop().await;
        return outcome;
    }
}

/// Writes the handshake file atomically.
fn write_handshake(file: &Path, handshake: &Handshake) -> Result<(), Exit> {
    let failed = |e: io::Error| Exit::usage(format!("-handshake-file: writing {} failed: {e}", file.display()));
    let (folder, name) = match (file.parent(), file.file_name()) {
        (Some(folder), Some(name)) => (folder, name),
        _ => return Err(failed(io::ErrorKind::IsADirectory.into())),
    };
    let draft = folder.join(format!("{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    private_file::replace(file, &draft, &serde_json::json!(handshake).to_string()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Option<Vec<OsString>> {
        sidecar_args(line.split(' ').map(OsString::from))
    }

    fn request(line: &str) -> Result<Request, Exit> {
        Request::from_args(Args::try_parse_from(args(line).unwrap()).unwrap())
    }

    #[test]
    fn flags_may_have_one_dash_or_two() {
        assert!(args("worker --embedded -h").is_none() && args("worker handshake-file").is_none());
        for line in ["worker -handshake-file f", "worker --handshake-file f", "worker -no-api -handshake-file=f"] {
            assert!(request(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn flags_of_the_sdks_are_accepted() {
        let parsed =
            request("worker -handshake-file f -postgres-data-dir d -grpc-port 7 -api-port 8 -no-migrations").unwrap();
        assert_eq!((parsed.options.bind.port(), parsed.options.rest), (7, Rest::At(([127, 0, 0, 1], 8).into())));
        assert!(parsed.folder.starts_with("d") && !parsed.may_join);
        assert_eq!(request("worker -handshake-file f -no-api").unwrap().options.rest, Rest::Off);
        assert_eq!(request("worker -handshake-file f -no-api=false").unwrap().options.rest, Rest::Shared);
        assert!(request("worker -handshake-file f -database-url=").is_ok(), "an empty value is not set");
    }

    #[test]
    fn file_is_in_a_folder_by_its_resolved_path() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data");
        let file = folder.join("inner/../handshake.json");
        assert!(!is_in(&file, &folder), "neither exists");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        assert!(is_in(&file, &folder) && is_in(&folder.join("inner/f"), &temp.path().join("./data/")));
        assert!(!is_in(&temp.path().join("data-too"), &folder) && !is_in(&folder, &folder));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&folder, temp.path().join("link")).unwrap();
            assert!(is_in(&temp.path().join("link/f"), &folder) && is_in(&file, &temp.path().join("link")));
        }
        assert!(is_in(Path::new("f"), Path::new(".")));
    }

    #[test]
    fn unsupported_flag_is_refused_without_its_value() {
        for (line, part) in [
            ("worker -handshake-file f -database-url postgres://u:secret@h/d", "-database-url: this engine uses no"),
            ("worker -handshake-file f -rabbitmq-url amqp://u:secret@h", "-rabbitmq-url: this engine uses no"),
            ("worker -handshake-file f -grpc-port 7 -api-port 7", "both 7"),
        ] {
            let error = request(line).err().map(|exit| exit.message().to_owned()).unwrap();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
