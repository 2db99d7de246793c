//! Parses hosts and ports.

use std::net::IpAddr;

use super::{super::error::ClientError, invalid::invalid_setting};

/// Formats `host:port`, with an IPv6 address in brackets.
pub(in crate::hatchet::transport) fn format_authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Splits `host[:port]`, and removes the brackets of an IPv6 address. `None` if there is no host or the port is
/// invalid.
pub(super) fn split_authority(text: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port != 0)?),
        Some(_) | None => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

/// Parses the setting `HATCHET_CLIENT_HOST_PORT`. Removes a scheme and a trailing slash, and requires a port.
pub(super) fn parse_host_port(text: &str) -> Result<String, ClientError> {
    let invalid = || invalid_setting("HATCHET_CLIENT_HOST_PORT", text, "set it to host:port, such as localhost:7070");
    // gRPC also accepts dns:///host:port.
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_matches('/');
    let (host, port) = bare.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    // Without brackets, the last group of an IPv6 address would be read as the port.
    let unbracketed = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || port == 0 || unbracketed || host.contains(['/', ' ', '@']) {
        return Err(invalid());
    }
    Ok(format!("{host}:{port}"))
}

/// Whether a host is this machine. Only compares the name or address, without resolving it.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse::<IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address| address.to_canonical().is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognized_by_name_or_address() {
        for host in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "LocalHost", "localhost.", "a.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "128.0.0.1", "engine", "localhost.example", "notlocalhost", "::2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
