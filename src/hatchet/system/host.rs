//! Validates the `Host` header, which prevents DNS rebinding: a page whose name was made to point to this machine could
//! otherwise have a browser send requests here and read the answers as its own.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

/// The names by which an HTTP server may be addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNames {
    /// Those of the loopback: `localhost`, names below it, 127.0.0.0/8, `[::1]`.
    Loopback,
    /// Any IP address too, for a server that listens on more than the loopback. A name could be made to point anywhere.
    Addresses,
}

impl HostNames {
    /// The names of a server that is bound to this address.
    pub fn of(bound: IpAddr) -> Self {
        if bound.is_loopback() { Self::Loopback } else { Self::Addresses }
    }

    /// Whether every name that a request gives for the server is one of them, and it gives at least one. HTTP/2 has the
    /// name in the address and HTTP/1 in the header; a request with two headers is refused, since programs disagree on
    /// which one counts.
    pub fn admit(self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let named = uri.authority().map(|authority| authority.as_str());
        let host = host.map(|host| host.to_str().unwrap_or_default());
        let mut names = [named, host].into_iter().flatten().peekable();
        second.is_none() && names.peek().is_some() && names.all(|name| self.contains(name))
    }

    fn contains(self, name: &str) -> bool {
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_of_the_loopback_are_contained() {
        for name in
            ["localhost", "LOCALHOST:80", "a.localhost:1", "localhost.", "127.0.0.1:9", "127.1.2.3", "[::1]:7", "[::1]"]
        {
            assert!(HostNames::Loopback.contains(name), "{name}");
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
            assert!(!HostNames::Loopback.contains(name), "{name}");
        }
        assert!(HostNames::Addresses.contains("10.0.0.1:80") && HostNames::Addresses.contains("[fd00::1]:80"));
        assert!(!HostNames::Addresses.contains("evil.example:80"));
    }

    #[test]
    fn every_name_of_a_request_must_be_contained() {
        let admits = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            HostNames::Loopback.admit(&Uri::from_static(uri), &headers)
        };
        assert!(admits("/", &["localhost"]) && admits("http://localhost/", &[]) && admits("http://[::1]/", &["[::1]"]));
        assert!(!admits("/", &[]) && !admits("http://evil.example/", &["localhost"]));
        assert!(!admits("/", &["localhost", "evil.example"]) && !admits("/", &["localhost", "localhost"]));
    }
}
