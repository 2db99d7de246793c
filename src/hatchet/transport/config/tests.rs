use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn token(extra: &str) -> String {
    let claims = format!(
        r#"{{"sub":"707d0855-80ab-4e1f-a156-f1c4546cbf52","grpc_broadcast_address":"engine:7070","server_url":"http://engine:8888/"{extra}}}"#
    );
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn config(pairs: &[(&str, &str)]) -> Result<ClientConfig, String> {
    let token = token("");
    let mut sources = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", token.as_str())]);
    for (name, value) in pairs {
        sources.set(name, *value, Source::Environment);
    }
    ClientConfig::from_sources(&sources).map_err(|e| e.to_string())
}

#[test]
fn variables_override_addresses_of_token() {
    let default = config(&[]).unwrap();
    assert_eq!(
        (default.host_port.as_str(), default.server_url.as_deref()),
        ("engine:7070", Some("http://engine:8888"))
    );
    assert_eq!(default.tls.as_str(), "tls");
    let overridden = config(&[
        ("HATCHET_CLIENT_HOST_PORT", "https://other:1/"),
        ("HATCHET_CLIENT_API_URL", "other:2"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "NONE"),
        ("HATCHET_CLIENT_NAMESPACE", "Team"),
    ])
    .unwrap();
    assert_eq!((overridden.host_port.as_str(), overridden.server_url.as_deref()), ("other:1", Some("http://other:2")));
    assert_eq!(overridden.namespaced("task"), "team_task");
    assert_eq!(overridden.namespaced("team_task"), "team_task");
}

#[test]
fn invalid_setting_error_names_variable() {
    for (name, value) in [
        ("HATCHET_CLIENT_TOKEN", "abc"),
        ("HATCHET_CLIENT_TOKEN", "eyabc"),
        ("HATCHET_CLIENT_TOKEN", "ey.%.x"),
        ("HATCHET_CLIENT_TENANT_ID", "x"),
        ("HATCHET_CLIENT_HOST_PORT", "localhost"),
        ("HATCHET_CLIENT_HOST_PORT", "7077"),
        ("HATCHET_CLIENT_HOST_PORT", ":7077"),
        ("HATCHET_CLIENT_HOST_PORT", "::1:7077"),
        ("HATCHET_CLIENT_SERVER_URL", "ftp://x"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "ssl"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "mtls"),
        ("HATCHET_CLIENT_NAMESPACE", "a b"),
        ("HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH", "4MB"),
        ("HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH", "0"),
        ("HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH", "-2"),
    ] {
        let message = config(&[(name, value)]).unwrap_err();
        assert!(message.contains(name), "{name}={value}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

/// Values that the official SDKs accept for each variable, in all their spellings.
#[test]
fn values_of_official_sdks_are_accepted() {
    type Shown = fn(&ClientConfig) -> String;
    let host_port: Shown = |config| config.host_port.clone();
    let url: Shown = |config| config.server_url.clone().unwrap_or_default();
    let tenant: Shown = |config| config.tenant.to_string();
    let namespace: Shown = |config| config.namespace.clone();
    let strategy: Shown = |config| config.tls.as_str().to_owned();
    let received: Shown = |config| config.max_recv_message.to_string();
    let own = "707d0855-80ab-4e1f-a156-f1c4546cbf52";
    for (name, value, shown, expected) in [
        ("HATCHET_CLIENT_HOST_PORT", "engine:1", host_port, "engine:1"),
        ("HATCHET_CLIENT_HOST_PORT", " engine:1 ", host_port, "engine:1"),
        ("HATCHET_CLIENT_HOST_PORT", "https://engine:1", host_port, "engine:1"),
        ("HATCHET_CLIENT_HOST_PORT", "dns:///engine:1", host_port, "engine:1"),
        ("HATCHET_CLIENT_HOST_PORT", "[::1]:1", host_port, "[::1]:1"),
        ("HATCHET_CLIENT_HOST_PORT", "", host_port, "engine:7070"),
        ("HATCHET_CLIENT_SERVER_URL", "https://engine/", url, "https://engine"),
        ("HATCHET_CLIENT_SERVER_URL", " ", url, "http://engine:8888"),
        ("HATCHET_CLIENT_API_URL", "http://engine:1", url, "http://engine:1"),
        ("HATCHET_CLIENT_TENANT_ID", "", tenant, own),
        ("HATCHET_CLIENT_TENANT_ID", "00000000-0000-0000-0000-000000000000", tenant, own),
        ("HATCHET_CLIENT_NAMESPACE", "Team", namespace, "team_"),
        ("HATCHET_CLIENT_NAMESPACE", "team_", namespace, "team_"),
        ("HATCHET_CLIENT_NAMESPACE", "", namespace, ""),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none", strategy, "none"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "None", strategy, "none"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "TLS", strategy, "tls"),
        ("HATCHET_CLIENT_TLS_STRATEGY", " ", strategy, "tls"),
        ("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", "4_194_305", received, "4194305"),
        ("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", " +5.0 ", received, "5"),
        ("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", "-1", received, "4294967295"),
        ("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", "", received, "4194304"),
    ] {
        let config = config(&[(name, value)]).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
        assert_eq!(shown(&config), expected, "{name}={value}");
    }
}

#[test]
fn expired_token_error_names_expiry() {
    let token = token(r#","exp":1000000000"#);
    let sources = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", token.as_str())]);
    let message = ClientConfig::from_sources(&sources).unwrap_err().to_string();
    assert!(message.contains("expired at 2001-09-09T01:46:40Z"), "{message}");
}

#[test]
fn token_is_redacted_in_debug_output() {
    let debug = format!("{:?}", config(&[]).unwrap());
    assert!(debug.contains("[redacted]") && !debug.contains("eyJ"), "{debug}");
}

#[test]
fn loopback_is_recognized_by_address() {
    for (address, loopback) in [
        ("127.8.0.1:1", true),
        ("[::1]:1", true),
        ("LocalHost:1", true),
        ("a.localhost:1", true),
        ("0.0.0.0:1", false),
        ("engine:1", false),
        ("localhost.example:1", false),
    ] {
        let config = config(&[("HATCHET_CLIENT_HOST_PORT", address)]).unwrap();
        assert_eq!(config.is_loopback(), loopback, "{address}");
    }
}

proptest! {
    #[test]
    fn parsing_of_addresses_never_panics(text in ".*") {
        if let Ok(address) = parse_host_port(&text) {
            prop_assert_eq!(parse_host_port(&address).unwrap(), address);
        }
        let _ = parse_namespace(&text);
        let _ = ServerUrl::normalized(&text);
    }
}
