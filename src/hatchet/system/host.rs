//! Validates the `Host` header, which prevents DNS rebinding. Without that, a web page whose domain name was changed to
//! resolve to this machine could let the browser send requests here and read the responses.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

/// The host names that an HTTP server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine listens on other addresses"))]
pub(crate) enum HostNames {
    /// `localhost`, names below it, 127.0.0.0/8 and `[::1]`.
    Loopback,
    /// The names of [`Self::Loopback`] and any IP address, for a server that listens on more than the loopback
    /// interface. Other domain names are excluded, since their owners can let them resolve to any address.
    Addresses,
}

impl HostNames {
    /// The host names of a server that is bound to this address.
    #[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine listens on other addresses"))]
    pub(crate) fn of(bound: IpAddr) -> Self {
        if bound.is_loopback() { Self::Loopback } else { Self::Addresses }
    }

    /// Whether the request contains an accepted host name, and no other host name. HTTP/2 has the name in the URI,
    /// HTTP/1 in the header. A request with two headers does not match, since programs differ in the header that they
    /// use.
    pub(crate) fn match_request(self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let authority = uri.authority().map(|authority| authority.as_str());
        let host = host.map(|host| host.to_str().unwrap_or_default());
        let mut names = [authority, host].into_iter().flatten().peekable();
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
    fn only_loopback_names_are_contained() {
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
    fn request_matches_only_if_each_of_its_names_does() {
        let matches = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            HostNames::Loopback.match_request(&Uri::from_static(uri), &headers)
        };
        assert!(
            matches("/", &["localhost"]) && matches("http://localhost/", &[]) && matches("http://[::1]/", &["[::1]"])
        );
        assert!(!matches("/", &[]) && !matches("http://evil.example/", &["localhost"]));
        assert!(!matches("/", &["localhost", "evil.example"]) && !matches("/", &["localhost", "localhost"]));
    }
}
