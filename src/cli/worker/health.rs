//! The settings of the worker's health and metrics, and the socket that they are served on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::{
    cli::Exit,
    hatchet::{
        client::{Source, Sources, parse_integer},
        system::with_advice,
    },
};

pub(in crate::cli) const ENABLED: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED";
pub(in crate::cli) const PORT: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT";
pub(in crate::cli) const BIND_ADDRESS: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS";
/// The official SDKs' port.
pub(in crate::cli) const DEFAULT_PORT: u16 = 8001;
/// The Python SDK binds to all addresses; what is not asked for should not be open to others.
pub(in crate::cli) const DEFAULT_BIND_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Flags of the worker.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Health")]
pub(in crate::cli) struct HealthFlags {
    /// Serve /livez, /readyz, /health and /metrics over HTTP [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED=1]
    #[arg(long, conflicts_with = "engine_only")]
    health: bool,
    /// Port for them, 0 for any; turns them on [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT] [default: 8001]
    #[arg(long, value_name = "PORT", conflicts_with = "engine_only")]
    health_port: Option<String>,
    /// Address for them, such as 0.0.0.0, or None for all; turns them on [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS]
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "engine_only")]
    health_bind: Option<String>,
}

impl HealthFlags {
    /// Puts the flags over the variables.
    pub(in crate::cli) fn set(&self, sources: &mut Sources) {
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

/// Where to serve, if at all: the first of these that can be bound.
pub(in crate::cli) fn addresses(sources: &Sources) -> Result<Option<Vec<SocketAddr>>, Exit> {
    if !sources.flag(ENABLED).map_err(Exit::usage)? {
        return Ok(None);
    }
    let port = match sources.value(PORT) {
        None => DEFAULT_PORT,
        Some(text) => parse_integer(text)
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| Exit::usage(format!("{PORT} is `{text}`: set it to a number from 0 to 65535")))?,
    };
    let addresses = match sources.value(BIND_ADDRESS) {
        None => vec![DEFAULT_BIND_ADDRESS],
        Some(text) if text.eq_ignore_ascii_case("localhost") => vec![DEFAULT_BIND_ADDRESS],
        // The Python SDK's word for all addresses: those of both families where the system has IPv6.
        Some(text) if text.eq_ignore_ascii_case("none") => {
            vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        Some(text) => vec![text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
            Exit::usage(format!(
                "{BIND_ADDRESS} is `{text}`: set it to an IP address, such as 127.0.0.1 or 0.0.0.0, or to None for all"
            ))
        })?],
    };
    Ok(Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()))
}

/// The socket, with the address that it has in truth.
pub(in crate::cli) fn listen(addresses: &[SocketAddr]) -> Result<(TcpListener, SocketAddr), Exit> {
    let listen = || {
        let listener = TcpListener::bind(addresses)?;
        let real = listener.local_addr()?;
        Ok((listener, real))
    };
    listen().map_err(|e: std::io::Error| {
        let advice = format!("set {PORT} (--health-port) or {BIND_ADDRESS} (--health-bind) to what is free here");
        let addresses = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" or ");
        Exit::usage(format!("health and metrics cannot be served at {addresses}: {}", with_advice(&e, &advice)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_unless_asked_for_and_then_on_loopback() {
        let of = |pairs: &[(&str, &str)]| match addresses(&Sources::from_pairs(pairs.iter().copied())) {
            Ok(None) => Ok("off".to_owned()),
            Ok(Some(addresses)) => Ok(addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")),
            Err(exit) => Err(exit.message().to_owned()),
        };
        assert_eq!(of(&[(PORT, "9")]).unwrap(), "off");
        assert_eq!(of(&[(ENABLED, "true")]).unwrap(), "127.0.0.1:8001");
        for (name, value, expected) in [
            (PORT, "9", "127.0.0.1:9"),
            (PORT, " 9_001.0 ", "127.0.0.1:9001"),
            (PORT, "0", "127.0.0.1:0"),
            (BIND_ADDRESS, "0.0.0.0", "0.0.0.0:8001"),
            (BIND_ADDRESS, "[::1]", "[::1]:8001"),
            (BIND_ADDRESS, "::", "[::]:8001"),
            (BIND_ADDRESS, "Localhost", "127.0.0.1:8001"),
            // What is not asked for is not opened to others; the Python SDK takes an empty value for all addresses.
            (BIND_ADDRESS, " ", "127.0.0.1:8001"),
            (BIND_ADDRESS, "None", "[::]:8001 0.0.0.0:8001"),
            (BIND_ADDRESS, "none", "[::]:8001 0.0.0.0:8001"),
        ] {
            assert_eq!(of(&[(ENABLED, "1"), (name, value)]).unwrap(), expected, "{name}={value}");
        }
        for (name, value) in [(ENABLED, "perhaps"), (PORT, "66000"), (PORT, "-1"), (BIND_ADDRESS, "everywhere")] {
            let error = of(&[(ENABLED, "1"), (name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
