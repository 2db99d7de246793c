//! `worker -handshake-file FILE …`: the engine and nothing else, as the official SDKs start their sidecar.
//!
//! It reads no setting but its flags and `RUST_LOG`: the variables that named this program to an SDK are in its
//! environment too.

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
    cli::{Exit, output::logging, signals::Signals, worker::embedded},
    engine::{Engine, EngineErrorKind, EngineOptions, Rest},
    hatchet::{
        client::{Source, Sources},
        system::{Handshake, private_file},
    },
};

/// The engine alone, with the flags of Hatchet's own embedded sidecar, for the official SDKs: they start the program
/// that HATCHET_CLIENT_EMBEDDED_BINARY_PATH names. It ends with its stdin, or by SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "worker", disable_version_flag = true)]
struct Args {
    /// File to write as soon as the engine serves: JSON with token, tenant and addresses
    #[arg(long, value_name = "FILE")]
    handshake_file: PathBuf,
    /// Folder to keep the engine's data in a subfolder of, `hatchet-quickstart` [default: .hatchet itself]
    #[arg(long, value_name = "DIR")]
    postgres_data_dir: Option<PathBuf>,
    /// Port of the gRPC services on 127.0.0.1; 0 for the last one, or any [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    grpc_port: u16,
    /// Port of the REST part; 0 for the gRPC services' [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    api_port: u16,
    /// No REST part
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = clap::ArgAction::Set, hide_default_value = true)]
    no_api: bool,
    /// Taken and without effect: there is no migration to skip
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

/// What was asked for, checked.
struct Plan {
    handshake_file: PathBuf,
    folder: PathBuf,
    options: EngineOptions,
    /// No port was named, so an engine that runs on the folder will do.
    anywhere: bool,
}

/// How often an engine of another process on the same folder is looked after.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The arguments for this role, if it is asked for: with two dashes each, as the parser wants them.
pub(in super::super) fn wanted(args: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let args: Vec<OsString> = args.collect();
    let asked = args.iter().skip(1).filter_map(|arg| arg.to_str()).any(|arg| {
        let name = arg.trim_start_matches('-');
        arg != name && (name == "handshake-file" || name.starts_with("handshake-file="))
    });
    asked.then(|| args.into_iter().map(with_two_dashes).collect())
}

fn with_two_dashes(arg: OsString) -> OsString {
    match arg.to_str().map(str::as_bytes) {
        Some([b'-', letter, _, ..]) if letter.is_ascii_alphabetic() => {
            let mut long = OsString::from("-");
            long.push(&arg);
            long
        }
        Some(_) | None => arg,
    }
}

/// The role's `main`.
pub(in super::super) fn main(args: Vec<OsString>) -> ExitCode {
    match plan(Args::parse_from(args)) {
        Ok(plan) => super::super::run(16, serve(plan)),
        Err(exit) => exit.report(),
    }
}

fn plan(args: Args) -> Result<Plan, Exit> {
    // Their values may hold a password.
    for (flag, value, store) in
        [("-database-url", args.database_url, "Postgres"), ("-rabbitmq-url", args.rabbitmq_url, "RabbitMQ")]
    {
        if value.is_some_and(|value| !value.is_empty()) {
            return Err(Exit::usage(format!(
                "{flag}: this engine uses no {store}: leave it out, or start Hatchet's own sidecar"
            )));
        }
    }
    if args.grpc_port != 0 && args.grpc_port == args.api_port {
        return Err(Exit::usage(format!("-grpc-port and -api-port are both {}: leave -api-port out", args.api_port)));
    }
    let level = args.log_level.as_deref().unwrap_or("warn");
    // Its own levels have three more names.
    let level = match level {
        "fatal" | "panic" => "error",
        "disabled" => "off",
        other => other,
    };
    let mut settings = Sources::default();
    settings.set("HATCHET_CLIENT_LOG_LEVEL", level, Source::Flag("-log-level"));
    logging::start(&settings)?;
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let folder = match args.postgres_data_dir {
        // Hatchet's own sidecar keeps Postgres there.
        Some(folder) => folder.join("hatchet-quickstart"),
        // A worker of ours that starts us holds this folder, and waits for the file in it.
        None if is_in(&args.handshake_file, Path::new(".hatchet")) => PathBuf::from(".hatchet/sidecar"),
        None => PathBuf::from(".hatchet"),
    };
    let options = EngineOptions {
        bind: at(args.grpc_port),
        rest: match (args.no_api, args.api_port) {
            (true, _) => Rest::Off,
            (false, 0) => Rest::Shared,
            (false, port) => Rest::At(at(port)),
        },
        folder: Some(folder.clone()),
        ..EngineOptions::default()
    };
    let anywhere = options.bind.port() == 0 && options.rest == Rest::Shared;
    Ok(Plan { handshake_file: args.handshake_file, folder, options, anywhere })
}

/// Whether a file is or would be in a folder, however either is spelled. Nothing is in a folder that is not there.
fn is_in(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(parent), Ok(folder)) => parent.starts_with(folder),
        (Ok(_) | Err(_), _) => false,
    }
}

/// Serves until it is told to stop. While another process runs an engine on the same folder, that one is handed on,
/// and when it ends this one takes its place, at its address and with its key.
async fn serve(plan: Plan) -> Result<(), Exit> {
    let mut signals = Signals::listen().map_err(super::super::no_signals)?;
    signals.and_stdin();
    let mut told: Option<Handshake> = None;
    loop {
        let mut engine = match Engine::start(plan.options.clone()).await {
            Ok(engine) => engine,
            Err(error) if error.kind() == EngineErrorKind::FolderInUse && plan.anywhere => {
                if told.is_none() {
                    let others = embedded::of_another_process(&plan.folder).await?;
                    tracing::info!("another process runs an engine on {}: it is handed on", plan.folder.display());
                    tell(&plan.handshake_file, &others)?;
                    told = Some(others);
                }
                tokio::select! {
                    () = signals.next() => return Ok(()),
                    () = tokio::time::sleep(LOOK_AGAIN) => continue,
                }
            }
            Err(error) => return Err(Exit::unreachable(error.to_string())),
        };
        let ours = engine.handshake().clone();
        let outcome = match &told {
            None => tell(&plan.handshake_file, &ours),
            Some(told) if told.tenant_id == ours.tenant_id && told.grpc_address == ours.grpc_address => Ok(()),
            Some(told) => {
                Err(Exit::unreachable(format!("the engine of another process at {} has ended", told.grpc_address)))
            }
        };
        if let Err(exit) = outcome {
            engine.stop().await;
            return Err(exit);
        }
        tracing::info!("serves at {}", ours.grpc_address);
        let outcome = tokio::select! {
            () = signals.next() => Ok(()),
            () = engine.ended() => Err(Exit::unreachable("the engine ended by itself: see the log above")),
        };
        engine.stop().await;
        return outcome;
    }
}

/// Writes the handshake file, which whoever waits for it never sees half-written.
fn tell(file: &Path, handshake: &Handshake) -> Result<(), Exit> {
    let failed = |e: io::Error| Exit::usage(format!("-handshake-file: {} cannot be written: {e}", file.display()));
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

    fn words(line: &str) -> Option<Vec<OsString>> {
        wanted(line.split(' ').map(OsString::from))
    }

    fn planned(line: &str) -> Result<Plan, Exit> {
        plan(Args::try_parse_from(words(line).unwrap()).unwrap())
    }

    #[test]
    fn one_dash_or_two_and_only_with_the_file() {
        assert!(words("worker --embedded -h").is_none() && words("worker handshake-file").is_none());
        for line in ["worker -handshake-file f", "worker --handshake-file f", "worker -no-api -handshake-file=f"] {
            assert!(planned(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_flags_as_the_sdks_give_them() {
        let plan =
            planned("worker -handshake-file f -postgres-data-dir d -grpc-port 7 -api-port 8 -no-migrations").unwrap();
        assert_eq!((plan.options.bind.port(), plan.options.rest), (7, Rest::At(([127, 0, 0, 1], 8).into())));
        assert!(plan.folder.starts_with("d") && !plan.anywhere);
        assert_eq!(planned("worker -handshake-file f -no-api").unwrap().options.rest, Rest::Off);
        assert_eq!(planned("worker -handshake-file f -no-api=false").unwrap().options.rest, Rest::Shared);
        assert!(planned("worker -handshake-file f -database-url=").is_ok(), "not set");
    }

    #[test]
    fn a_file_is_in_a_folder_however_both_are_spelled() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data");
        let file = folder.join("inner/../handshake.json");
        assert!(!is_in(&file, &folder), "neither is there");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        assert!(is_in(&file, &folder) && is_in(&folder.join("inner/f"), &place.path().join("./data/")));
        assert!(!is_in(&place.path().join("data-too"), &folder) && !is_in(&folder, &folder));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&folder, place.path().join("link")).unwrap();
            assert!(is_in(&place.path().join("link/f"), &folder) && is_in(&file, &place.path().join("link")));
        }
        assert!(is_in(Path::new("f"), Path::new(".")));
    }

    #[test]
    fn what_it_cannot_use_is_refused_and_not_shown() {
        for (line, part) in [
            ("worker -handshake-file f -database-url postgres://u:secret@h/d", "-database-url: this engine uses no"),
            ("worker -handshake-file f -rabbitmq-url amqp://u:secret@h", "-rabbitmq-url: this engine uses no"),
            ("worker -handshake-file f -grpc-port 7 -api-port 7", "both 7"),
        ] {
            let said = planned(line).err().map(|exit| exit.message().to_owned()).unwrap();
            assert!(said.contains(part) && !said.contains("secret"), "{said}");
        }
    }
}
