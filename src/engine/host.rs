//! Which names of this engine are good: a page of a stranger whose name was made to point here is not one.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// By which names the REST part is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of the loopback: `localhost`, names under it, 127.0.0.0/8, `[::1]`.
    Loopback,
    /// Addresses too, of an engine that listens on more than the loopback. Other names can be made to point anywhere,
    /// also by who wants a browser on this machine to ask here.
    Addresses,
}

impl Names {
    pub(super) fn of(bound: IpAddr) -> Self {
        if bound.is_loopback() { Self::Loopback } else { Self::Addresses }
    }

    /// Whether a request names the engine by one of them.
    pub(super) fn admit(self, uri: &Uri, headers: &HeaderMap) -> bool {
        // HTTP/2 has the name in the address, HTTP/1 in a header.
        let named = uri.authority().map(|authority| authority.as_str());
        let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
        let mut names = [named, host].into_iter().flatten().peekable();
        names.peek().is_some() && names.all(|name| self.good(name))
    }

    fn good(self, name: &str) -> bool {
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(if port.is_empty() { "0" } else { "" })),
            None => name.split_once(':').unwrap_or((name, "0")),
        };
        if port.parse::<u16>().is_err() {
            return false;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.is_loopback() || self == Self::Addresses;
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        host == "localhost" || host.ends_with(".localhost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_stranger_can_have() {
        for name in
            ["localhost", "LOCALHOST:80", "a.localhost:1", "localhost.", "127.0.0.1:9", "127.1.2.3", "[::1]:7", "[::1]"]
        {
            assert!(Names::Loopback.good(name), "{name}");
        }
        for name in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "evillocalhost",
            "10.0.0.1",
            "127.0.0.1.nip.io",
            "[::2]:1",
            "localhost:x",
            "localhost:1:2",
            "[::1]x",
        ] {
            assert!(!Names::Loopback.good(name), "{name}");
        }
        assert!(Names::Addresses.good("10.0.0.1:80") && Names::Addresses.good("[fd00::1]:80"));
        assert!(!Names::Addresses.good("evil.example:80"));
    }
}
