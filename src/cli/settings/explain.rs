//! `--explain-config`: each setting, and where it came from.

use serde_json::{Map, Value};

use crate::{
    cli::{
        Exit,
        connection::engine::{self, Choice, When},
        output::{self, Format},
    },
    hatchet::client::{ClientConfig, Source, Sources, token_claims},
};

/// A setting: its variables, the first that is set wins, and its default in words.
pub(in crate::cli) struct Setting {
    pub(in crate::cli) variables: &'static [&'static str],
    pub(in crate::cli) default: Option<String>,
}

/// One that has no default.
const fn bare(variables: &'static [&'static str]) -> Setting {
    Setting { variables, default: None }
}

/// Prints the settings that both binaries have and those of this one, then what is set and not read, and what cannot be
/// read. Fails, after that, where they cannot be used.
pub(in crate::cli) fn print(
    format: Format,
    flag: Option<When>,
    sources: &Sources,
    own: &[Setting],
) -> Result<(), Exit> {
    let choice = engine::choose(flag, sources);
    let config = choice.as_ref().ok().and_then(|choice| engine::runner_config(choice, sources).ok());
    let said = match &choice {
        Ok(Choice::Token(said) | Choice::Embedded(said)) if !said.is_empty() => Some(said.clone()),
        Ok(_) | Err(_) => None,
    };
    line(format, "engine", said.as_deref(), "")?;
    let embedded = matches!(choice, Ok(Choice::Embedded(_)));
    let shared = shared();
    for setting in shared.iter().chain(own) {
        let (name, value, source) = resolve(setting, sources, config.as_ref(), embedded);
        line(format, name, value.map(|value| redacted(name, &value)).as_deref(), &source)?;
    }
    for (name, source) in sources.names() {
        let known = shared.iter().chain(own).any(|setting| setting.variables.contains(&name));
        // A .env file is for both binaries.
        let workers = name.starts_with("HATCHET_WORKER_") || name.starts_with("HATCHET_CLIENT_WORKER_");
        if !known && (!workers || !own.is_empty()) {
            line(format, name, None, &format!("{source}, and not read by this program"))?;
        }
    }
    for warning in sources.warnings() {
        line(format, "ignored", None, warning)?;
    }
    match choice? {
        choice @ Choice::Token(_) => engine::runner_config(&choice, sources).map(drop),
        // Its engine may not have been started yet.
        Choice::Embedded(_) => Ok(()),
    }
}

fn shared() -> Vec<Setting> {
    let default = |variables, default: &str| Setting { variables, default: Some(default.to_owned()) };
    let bytes = crate::hatchet::wire::DEFAULT_MAX_MESSAGE.to_string();
    vec![
        bare(&["HATCHET_CLIENT_TOKEN"]),
        bare(&["HATCHET_CLIENT_HOST_PORT"]),
        bare(&["HATCHET_CLIENT_SERVER_URL", "HATCHET_CLIENT_API_URL"]),
        bare(&["HATCHET_CLIENT_TENANT_ID"]),
        bare(&["HATCHET_CLIENT_NAMESPACE"]),
        default(&["HATCHET_CLIENT_TLS_STRATEGY"], "tls"),
        bare(&["HATCHET_CLIENT_TLS_ROOT_CA_FILE"]),
        bare(&["HATCHET_CLIENT_TLS_CERT_FILE"]),
        bare(&["HATCHET_CLIENT_TLS_KEY_FILE"]),
        bare(&["HATCHET_CLIENT_TLS_SERVER_NAME"]),
        bare(&["HTTPS_PROXY", "https_proxy"]),
        bare(&["HTTP_PROXY", "http_proxy"]),
        bare(&["ALL_PROXY", "all_proxy"]),
        bare(&["NO_PROXY", "no_proxy"]),
        default(&["HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH"], &bytes),
        default(&["HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"], &bytes),
        default(&["RUST_LOG", "HATCHET_CLIENT_LOG_LEVEL"], "info"),
        default(&["HATCHET_CLIENT_LOG_FORMAT"], "human on a terminal, else json"),
        bare(&["HATCHET_EMBEDDED"]),
        default(&["HATCHET_EMBEDDED_DIR"], ".hatchet"),
        default(&["HATCHET_EMBEDDED_EPHEMERAL"], "false"),
    ]
}

/// The variable that counts, its value, and where that came from.
fn resolve(
    setting: &Setting,
    sources: &Sources,
    config: Option<&ClientConfig>,
    embedded: bool,
) -> (&'static str, Option<String>, String) {
    let first = setting.variables[0];
    // The embedded engine's handshake beats the variables.
    let of_the_engine = match first {
        "HATCHET_CLIENT_TOKEN" => Some(config.map(|config| config.token.expose().to_owned())),
        "HATCHET_CLIENT_HOST_PORT" => Some(config.map(|config| config.host_port.clone())),
        "HATCHET_CLIENT_SERVER_URL" => Some(config.and_then(|config| config.server_url.clone())),
        "HATCHET_CLIENT_TENANT_ID" => Some(config.map(|config| config.tenant.to_string())),
        "HATCHET_CLIENT_TLS_STRATEGY" if embedded => Some(Some("none".to_owned())),
        _ => None,
    };
    if let (true, Some(value)) = (embedded, &of_the_engine) {
        let from =
            if config.is_some() { Source::Handshake.to_string() } else { "the engine, when it starts".to_owned() };
        return (first, value.clone(), from);
    }
    if setting.variables.contains(&"RUST_LOG")
        && let Some(value) = std::env::var("RUST_LOG").ok().filter(|value| !value.trim().is_empty())
    {
        return ("RUST_LOG", Some(value), Source::Environment.to_string());
    }
    for variable in setting.variables {
        if let Some((value, source)) = sources.get(variable) {
            return (variable, Some(value.to_owned()), source.to_string());
        }
    }
    let name = if first == "RUST_LOG" { setting.variables[1] } else { first };
    match of_the_engine.flatten().or_else(|| claimed(first, sources)) {
        Some(value) => (name, Some(value), Source::Token.to_string()),
        None if setting.default.is_none() => (name, None, "not set".to_owned()),
        None => (name, setting.default.clone(), Source::Default.to_string()),
    }
}

/// What the token says, where the settings as a whole cannot be used.
fn claimed(variable: &str, sources: &Sources) -> Option<String> {
    let (token, source) = sources.get("HATCHET_CLIENT_TOKEN")?;
    let claims = token_claims(token, source).ok()?;
    match variable {
        "HATCHET_CLIENT_HOST_PORT" => claims.grpc_broadcast_address,
        "HATCHET_CLIENT_SERVER_URL" => claims.server_url,
        "HATCHET_CLIENT_TENANT_ID" => Some(claims.sub),
        _ => None,
    }
}

/// The value without what is secret in it.
fn redacted(name: &str, value: &str) -> String {
    if name == "HATCHET_CLIENT_TOKEN" {
        return format!("[redacted, {} characters]", value.chars().count());
    }
    // Of a database a password can also stand among the parameters.
    if let Some(at) = value.to_ascii_lowercase().find("password=") {
        let begin = at + "password=".len();
        let end = value[begin..].find(['&', ' ']).map_or(value.len(), |length| begin + length);
        return redacted(name, &format!("{}[redacted]{}", &value[..at], &value[end..]));
    }
    // An address may carry one before its host, without a scheme too.
    let is_address = ["_URL", "_HOST_PORT", "_PROXY"].iter().any(|end| name.to_ascii_uppercase().ends_with(end));
    let begin = match value.find("://") {
        Some(scheme) => scheme + 3,
        None if is_address => 0,
        None => return value.to_owned(),
    };
    match value.rfind('@') {
        Some(at) if begin <= at => format!("{}[redacted]{}", &value[..begin], &value[at..]),
        Some(_) | None => value.to_owned(),
    }
}

fn line(format: Format, name: &str, value: Option<&str>, source: &str) -> Result<(), Exit> {
    match format {
        Format::Human => output::data(format!("{name:<46} {:<40} {source}", value.unwrap_or("–")).trim_end()),
        Format::Json => {
            let mut fields = Map::new();
            fields.insert("name".to_owned(), name.into());
            fields.insert("value".to_owned(), value.map_or(Value::Null, Value::from));
            fields.insert("source".to_owned(), source.into());
            output::event("setting", fields)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_stay_secret() {
        assert_eq!(redacted("HATCHET_CLIENT_TOKEN", "eyabc"), "[redacted, 5 characters]");
        assert_eq!(redacted("HATCHET_CLIENT_SERVER_URL", "http://me:pass@host/x"), "http://[redacted]@host/x");
        assert_eq!(redacted("HATCHET_CLIENT_SERVER_URL", "http://host/x"), "http://host/x");
        assert_eq!(redacted("HATCHET_CLIENT_SERVER_URL", "me:p@ss@host"), "[redacted]@host");
        assert_eq!(redacted("HATCHET_EMBEDDED_DIR", "/data/me@work"), "/data/me@work");
        let database = "HATCHET_CLIENT_EMBEDDED_DATABASE_URL";
        assert_eq!(redacted(database, "host=h Password=p@ss user=u"), "host=h [redacted] user=u");
        assert_eq!(redacted(database, "postgres://h/d?password=p&x=1"), "postgres://h/d?[redacted]&x=1");
        assert_eq!(redacted("HTTPS_PROXY", "me:pass@host:1"), "[redacted]@host:1");
    }
}
