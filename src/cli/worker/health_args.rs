//! Settings of the worker's health server, and its socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::{
    cli::Exit,
    hatchet::{
        client::{Source, Sources, parse_integer},
        system::with_advice,
    },
};

pub(in crate::cli) const ENABLED: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED";
pub(super) const PORT: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT";
pub(super) const BIND_ADDRESS: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS";
/// The default port of the official SDKs.
pub(super) const DEFAULT_PORT: u16 = 8001;
/// Unlike the Python SDK, which binds to all addresses, the health server is reachable from this machine only.
pub(super) const DEFAULT_BIND_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Flags of the health server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthArgs {
    /// Serve /livez, /readyz, /health and /metrics over HTTP [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED=1]
    #[arg(long, conflicts_with = "engine_only")]
    health: bool,
    /// Port of the health server, 0 for any free port; implies --health [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT]
    /// [default: 8001]
    #[arg(long, value_name = "PORT", conflicts_with = "engine_only")]
    health_port: Option<String>,
    /// Address of the health server, such as 0.0.0.0, or None for all; implies --health [env:
    /// HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "engine_only")]
    health_bind: Option<String>,
}

impl HealthArgs {
    /// Sets the flags, which take precedence over the environment.
    pub(super) fn apply(&self, sources: &mut Sources) {
        for (name, flag, value) in
            [(PORT, "--health-port", &self.health_port), (BIND_ADDRESS, "--health-bind", &self.health_bind)]
        {
            if let Some(value) = value {
                sources.set(name, value.clone(), Source::Flag(flag));
                sources.set(ENABLED, "true", Source::Flag(flag));
            }
        }
        if self.health {
            sources.set(ENABLED, "true", Source::Flag("--health"));
        }
    }
}

/// The addresses to try, in order. `None` if the health server is off.
///
/// An empty address means the default. For the Python SDK it means all addresses, but an empty variable should not
/// expose a server.
pub(super) fn read_addresses(sources: &Sources) -> Result<Option<Vec<SocketAddr>>, Exit> {
    if !sources.flag(ENABLED).map_err(Exit::usage)? {
        return Ok(None);
    }
    let port = match sources.value(PORT) {
        None => DEFAULT_PORT,
        Some(text) => parse_integer(text)
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| Exit::usage(format!("invalid {PORT} \"{text}\": set it to a number from 0 to 65535")))?,
    };
    let addresses = match sources.value(BIND_ADDRESS) {
        None => vec![DEFAULT_BIND_ADDRESS],
        Some(text) if text.eq_ignore_ascii_case("localhost") => vec![DEFAULT_BIND_ADDRESS],
        // The Python SDK's value for all addresses. A system without IPv6 binds the second address.
        Some(text) if text.eq_ignore_ascii_case("none") => {
            vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        Some(text) => vec![text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
            Exit::usage(format!(
                "invalid {BIND_ADDRESS} \"{text}\": set it to an IP address, such as 127.0.0.1 or 0.0.0.0, or to None \
                 for all"
            ))
        })?],
    };
    Ok(Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()))
}

/// Binds the first address that is free. Returns the listener and its address, with the actual port.
pub(super) fn listen(addresses: &[SocketAddr]) -> Result<(TcpListener, SocketAddr), Exit> {
    let listen = || {
        let listener = TcpListener::bind(addresses)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|e: std::io::Error| {
        let advice = format!("Set {PORT} (--health-port) or {BIND_ADDRESS} (--health-bind) to a free address");
        let addresses = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" or ");
        Exit::usage(format!("starting the health server at {addresses} failed: {}", with_advice(&e, &advice)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_server_is_off_by_default_else_on_loopback() {
        let read = |pairs: &[(&str, &str)]| match read_addresses(&Sources::from_pairs(pairs.iter().copied())) {
            Ok(None) => Ok("off".to_owned()),
            Ok(Some(addresses)) => Ok(addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")),
            Err(exit) => Err(exit.message().to_owned()),
        };
        assert_eq!(read(&[(PORT, "9")]).unwrap(), "off");
        assert_eq!(read(&[(ENABLED, "true")]).unwrap(), "127.0.0.1:8001");
        for (name, value, expected) in [
            (PORT, "9", "127.0.0.1:9"),
            (PORT, " 9_001.0 ", "127.0.0.1:9001"),
            (PORT, "0", "127.0.0.1:0"),
            (BIND_ADDRESS, "0.0.0.0", "0.0.0.0:8001"),
            (BIND_ADDRESS, "[::1]", "[::1]:8001"),
            (BIND_ADDRESS, "::", "[::]:8001"),
            (BIND_ADDRESS, "Localhost", "127.0.0.1:8001"),
            (BIND_ADDRESS, " ", "127.0.0.1:8001"),
            (BIND_ADDRESS, "None", "[::]:8001 0.0.0.0:8001"),
            (BIND_ADDRESS, "none", "[::]:8001 0.0.0.0:8001"),
        ] {
            assert_eq!(read(&[(ENABLED, "1"), (name, value)]).unwrap(), expected, "{name}={value}");
        }
        for (name, value) in [(ENABLED, "perhaps"), (PORT, "66000"), (PORT, "-1"), (BIND_ADDRESS, "everywhere")] {
            let error = read(&[(ENABLED, "1"), (name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
