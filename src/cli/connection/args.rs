//! Flags of both programs, for settings that the official SDKs read from the environment.

use crate::{
    cli::exit,
    hatchet::client::{ENV_FILES, Source, Sources},
};

/// Condition for using the embedded engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum EmbeddedMode {
    /// Always, even if a token is set
    Always,
    /// If no token is set
    Auto,
    /// Never
    Never,
}

const LOGS: &str = "Logs";

/// Flags about the connection and the logs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct ConnectionArgs {
    /// Use the engine that is part of this program: `always` (the default value), `auto` (if no token is set) or
    /// `never` [env: HATCHET_EMBEDDED=1]
    #[arg(short, long, global = true, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(in crate::cli) embedded: Option<EmbeddedMode>,
    /// Folder of the embedded engine, for its handshake file and its data [env: HATCHET_EMBEDDED_DIR] [default:
    /// .hatchet]
    #[arg(long, global = true, value_name = "DIR")]
    embedded_dir: Option<String>,
    /// Start the embedded engine without persistence: its data is lost when it ends [env:
    /// HATCHET_EMBEDDED_EPHEMERAL=1]
    #[arg(long, global = true)]
    embedded_ephemeral: bool,
    /// Address of the engine's gRPC services [env: HATCHET_CLIENT_HOST_PORT] [default: the token's]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    host_port: Option<String>,
    /// Base URL of the engine's REST API [env: HATCHET_CLIENT_SERVER_URL] [default: the token's]
    #[arg(long, global = true, value_name = "URL")]
    server_url: Option<String>,
    /// Prefix of workflow and worker names [env: HATCHET_CLIENT_NAMESPACE]
    #[arg(long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// `tls`, `mtls` or `none` [env: HATCHET_CLIENT_TLS_STRATEGY] [default: tls]
    #[arg(long, global = true, value_name = "STRATEGY")]
    tls_strategy: Option<String>,
    /// `off`, `error`, `warn`, `info`, `debug` or `trace` [env: HATCHET_CLIENT_LOG_LEVEL, RUST_LOG] [default: info]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = LOGS)]
    log_level: Option<String>,
    /// Shorthand for --log-level debug
    #[arg(short, long, global = true, conflicts_with = "log_level", help_heading = LOGS)]
    verbose: bool,
    /// Format of the logs on stderr: `human` or `json` [env: HATCHET_CLIENT_LOG_FORMAT] [default: human; for a worker
    /// whose stderr is no terminal, json]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = LOGS)]
    log_format: Option<String>,
}

impl ConnectionArgs {
    /// Reads the settings of the environment and of `.env` files. These flags take precedence over them.
    pub(in crate::cli) fn sources(&self) -> Sources {
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
        set("HATCHET_CLIENT_LOG_LEVEL", "--verbose", &self.verbose.then(|| "debug".to_owned()));
        set("HATCHET_CLIENT_LOG_FORMAT", "--log-format", &self.log_format);
        sources
    }
}

/// The end of `--help`: examples, the settings, then the exit codes.
pub(in crate::cli) fn long_help(examples: &str) -> String {
    format!("{examples}\n\n{}\n\n{}", settings_help(), exit::CODES)
}

/// The paragraph about settings.
fn settings_help() -> String {
    format!(
        "Settings are read from the environment and, with lower precedence, from {} in the current folder, under the \
         names that the official SDKs use: HATCHET_CLIENT_TOKEN, …_TLS_ROOT_CA_FILE, …_TLS_CERT_FILE, …_TLS_KEY_FILE, \
         …_TLS_SERVER_NAME, …_GRPC_MAX_RECV_MESSAGE_LENGTH, …_GRPC_MAX_SEND_MESSAGE_LENGTH and those named above. A \
         flag takes precedence over the environment. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are read from the \
         environment only.",
        ENV_FILES.join(", ")
    )
}
