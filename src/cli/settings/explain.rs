//! `--explain-config`: prints each setting with its value and source.

use serde_json::json;

use super::redact::redact;
use crate::{
    cli::{
        Exit,
        connection::{EmbeddedMode, EngineChoice, choose_engine, client_config},
        output::{OutputFormat, Program, print_event, print_line},
    },
    hatchet::client::{ClientConfig, Source, Sources, token_claims},
};

/// A setting of `--explain-config`.
pub(in crate::cli) struct Setting {
    /// Its environment variables. The first that is set takes precedence.
    pub(in crate::cli) variables: &'static [&'static str],
    /// Its default as text.
    pub(in crate::cli) default: Option<String>,
}

/// Creates a setting that has no fixed default.
const fn without_default(variables: &'static [&'static str]) -> Setting {
    Setting { variables, default: None }
}

/// Prints the settings of both programs, the settings of this program alone (`own`), settings that it does not read,
/// and lines of files that cannot be read.
///
/// # Errors
///
/// If the settings are invalid. The error is returned after all settings are printed.
pub(in crate::cli) fn explain_config(
    program: Program,
    format: OutputFormat,
    flag: Option<EmbeddedMode>,
    sources: &Sources,
    own: &[Setting],
) -> Result<(), Exit> {
    let choice = choose_engine(flag, sources);
    let config = choice.as_ref().ok().and_then(|choice| client_config(choice, sources).ok());
    let engine = choice.as_ref().map(EngineChoice::description).unwrap_or_default();
    print(format, "engine", (!engine.is_empty()).then_some(engine), "")?;
    let is_embedded = matches!(choice, Ok(EngineChoice::Embedded(_)));
    let shared = shared_settings(program);
    for setting in shared.iter().chain(own) {
        let (name, value, source) = resolve(setting, sources, config.as_ref(), is_embedded);
        print(format, name, value.map(|value| redact(name, &value)).as_deref(), &source)?;
    }
    for (name, source) in sources.names() {
        let is_known = shared.iter().chain(own).any(|setting| setting.variables.contains(&name));
        // A .env file serves both programs: the runner does not list settings of the worker.
        let is_workers = name.starts_with("HATCHET_WORKER_") || name.starts_with("HATCHET_CLIENT_WORKER_");
        if !is_known && (!is_workers || program == Program::Worker) {
            print(format, name, None, &format!("{source}, and not read by this program"))?;
        }
    }
    for warning in sources.warnings() {
        print(format, "ignored", None, warning)?;
    }
    match choice? {
        choice @ (EngineChoice::Token(_) | EngineChoice::None) => client_config(&choice, sources).map(drop),
        // The embedded engine need not run yet.
        EngineChoice::Embedded(_) => Ok(()),
    }
}

/// The settings of both programs, with the defaults of this program.
fn shared_settings(program: Program) -> Vec<Setting> {
    let with_default = |variables, default: &str| Setting { variables, default: Some(default.to_owned()) };
    let bytes = crate::hatchet::wire::DEFAULT_MAX_MESSAGE.to_string();
    vec![
        without_default(&["HATCHET_CLIENT_TOKEN"]),
        without_default(&["HATCHET_CLIENT_HOST_PORT"]),
        without_default(&["HATCHET_CLIENT_SERVER_URL", "HATCHET_CLIENT_API_URL"]),
        without_default(&["HATCHET_CLIENT_TENANT_ID"]),
        without_default(&["HATCHET_CLIENT_NAMESPACE"]),
        with_default(&["HATCHET_CLIENT_TLS_STRATEGY"], "tls"),
        without_default(&["HATCHET_CLIENT_TLS_ROOT_CA_FILE"]),
        without_default(&["HATCHET_CLIENT_TLS_CERT_FILE"]),
        without_default(&["HATCHET_CLIENT_TLS_KEY_FILE"]),
        without_default(&["HATCHET_CLIENT_TLS_SERVER_NAME"]),
        without_default(&["HTTPS_PROXY", "https_proxy"]),
        without_default(&["HTTP_PROXY", "http_proxy"]),
        without_default(&["ALL_PROXY", "all_proxy"]),
        without_default(&["NO_PROXY", "no_proxy"]),
        with_default(&["HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH"], &bytes),
        with_default(&["HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"], &bytes),
        with_default(&["RUST_LOG", "HATCHET_CLIENT_LOG_LEVEL"], "info"),
        with_default(&["HATCHET_CLIENT_LOG_FORMAT"], program.default_log_format()),
        without_default(&["HATCHET_EMBEDDED"]),
        with_default(&["HATCHET_EMBEDDED_DIR"], ".hatchet"),
        with_default(&["HATCHET_EMBEDDED_EPHEMERAL"], "false"),
    ]
}

/// Returns the variable of a setting, its value and its source. In order of precedence, the source is the embedded
/// engine's handshake, a variable, the token's claims, or the default.
fn resolve(
    setting: &Setting,
    sources: &Sources,
    config: Option<&ClientConfig>,
    is_embedded: bool,
) -> (&'static str, Option<String>, String) {
    let first = setting.variables[0];
    let from_engine = match first {
        "HATCHET_CLIENT_TOKEN" => Some(config.map(|config| config.token.expose().to_owned())),
        "HATCHET_CLIENT_HOST_PORT" => Some(config.map(|config| config.host_port.clone())),
        "HATCHET_CLIENT_SERVER_URL" => Some(config.and_then(|config| config.server_url.clone())),
        "HATCHET_CLIENT_TENANT_ID" => Some(config.map(|config| config.tenant.to_string())),
        "HATCHET_CLIENT_TLS_STRATEGY" if is_embedded => Some(Some("none".to_owned())),
        _ => None,
    };
    if let (true, Some(value)) = (is_embedded, &from_engine) {
        let source =
            if config.is_some() { Source::Handshake.to_string() } else { "the engine, when it starts".to_owned() };
        return (first, value.clone(), source);
    }
    if setting.variables.contains(&"RUST_LOG")
        && let Some(value) = std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty())
    {
        return ("RUST_LOG", Some(value), Source::Environment.to_string());
    }
    for variable in setting.variables {
        if let Some((value, source)) = sources.get(variable)
            && !(first == "HATCHET_CLIENT_TENANT_ID" && value == uuid::Uuid::nil().to_string())
        {
            return (variable, Some(value.to_owned()), source.to_string());
        }
    }
    let name = if first == "RUST_LOG" { setting.variables[1] } else { first };
    match from_engine.flatten().or_else(|| token_claim(first, sources)) {
        Some(value) => (name, Some(value), Source::Token.to_string()),
        None if setting.default.is_none() => (name, None, "not set".to_owned()),
        None => (name, setting.default.clone(), Source::Default.to_string()),
    }
}

/// The token's claim for a variable. It does not depend on the validity of the other settings.
fn token_claim(variable: &str, sources: &Sources) -> Option<String> {
    let (token, source) = sources.get("HATCHET_CLIENT_TOKEN")?;
    let claims = token_claims(token, source).ok()?;
    match variable {
        "HATCHET_CLIENT_HOST_PORT" => claims.grpc_broadcast_address,
        "HATCHET_CLIENT_SERVER_URL" => claims.server_url,
        "HATCHET_CLIENT_TENANT_ID" => Some(claims.sub),
        _ => None,
    }
}

fn print(format: OutputFormat, name: &str, value: Option<&str>, source: &str) -> Result<(), Exit> {
    match format {
        OutputFormat::Human => print_line(format!("{name:<46} {:<40} {source}", value.unwrap_or("–")).trim_end()),
        OutputFormat::Json => print_event("setting", json!({ "name": name, "value": value, "source": source })),
    }
}
