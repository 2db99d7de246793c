//! The settings of the worker's health and metrics, and the socket that they are served on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use super::Exit;
use crate::hatchet::{
    client::{Source, Sources},
    os_error::explain,
};

pub(super) const ENABLED: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED";
pub(super) const PORT: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT";
pub(super) const BIND_ADDRESS: &str = "HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS";
/// The official SDKs' port.
pub(super) const DEFAULT_PORT: u16 = 8001;
/// The Python SDK binds to all addresses; what is not asked for should not be open to others.
pub(super) const DEFAULT_BIND_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Flags of the worker.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthFlags {
    /// Serve /livez, /readyz, /health and /metrics over HTTP [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED=1]
    #[arg(long, conflicts_with = "engine_only")]
    health: bool,
    /// Port for them, 0 for any; turns them on [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT] [default: 8001]
    #[arg(long, value_name = "PORT", conflicts_with = "engine_only")]
    health_port: Option<String>,
    /// Address for them, such as 0.0.0.0; turns them on [env: HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS]
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "engine_only")]
    health_bind: Option<String>,
}

impl HealthFlags {
    /// Puts the flags over the variables.
    pub(super) fn set(&self, sources: &mut Sources) {
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

/// Where to serve, if at all.
pub(super) fn address(sources: &Sources) -> Result<Option<SocketAddr>, Exit> {
    if !sources.flag(ENABLED).map_err(Exit::usage)? {
        return Ok(None);
    }
    let port = match sources.value(PORT) {
        None => DEFAULT_PORT,
        Some(text) => {
            text.parse().map_err(|_| Exit::usage(format!("{PORT} is `{text}`: set it to a number from 0 to 65535")))?
        }
    };
    let address = match sources.value(BIND_ADDRESS) {
        None | Some("localhost") => DEFAULT_BIND_ADDRESS,
        Some(text) => text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
            Exit::usage(format!("{BIND_ADDRESS} is `{text}`: set it to an IP address, such as 127.0.0.1 or 0.0.0.0"))
        })?,
    };
    Ok(Some(SocketAddr::new(address, port)))
}

/// The socket, with the port that it has in truth.
pub(super) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Exit> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        let real = listener.local_addr()?;
        Ok((listener, real))
    };
    listen().map_err(|e: std::io::Error| {
        let advice = format!("set {PORT} (--health-port) or {BIND_ADDRESS} (--health-bind) to what is free here");
        Exit::usage(format!("health and metrics cannot be served at {address}: {}", explain(&e, &advice)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_unless_asked_for_and_then_on_loopback() {
        let of = |pairs: &[(&str, &str)]| {
            address(&Sources::from_pairs(pairs.iter().copied())).map_err(|e| e.message().to_owned())
        };
        assert_eq!(of(&[(PORT, "9")]), Ok(None));
        assert_eq!(of(&[(ENABLED, "true")]), Ok(Some(SocketAddr::from(([127, 0, 0, 1], 8001)))));
        let open = [(ENABLED, "1"), (PORT, "9"), (BIND_ADDRESS, "0.0.0.0")];
        assert_eq!(of(&open), Ok(Some(SocketAddr::from(([0, 0, 0, 0], 9)))));
        assert_eq!(of(&[(ENABLED, "1"), (BIND_ADDRESS, "[::1]")]).unwrap().unwrap().to_string(), "[::1]:8001");
        for (name, value) in [(ENABLED, "perhaps"), (PORT, "66000"), (BIND_ADDRESS, "everywhere")] {
            let error = of(&[(ENABLED, "1"), (name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
