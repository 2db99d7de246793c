//! HTTP proxies, which the proxy variables and `NO_PROXY` select.

use std::{fmt, net::IpAddr};

use percent_encoding::percent_decode_str;
use tonic::codegen::http::Uri;

use super::{
    super::error::ClientError,
    address::{format_authority, is_loopback, split_authority},
    invalid::{invalid_setting, redacted_url},
    sources::Sources,
};

/// Variables that name the proxy for connections with TLS, in order of precedence.
const TLS_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Variables that name the proxy for connections without TLS, in order of precedence.
const PLAINTEXT_VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// Variables that list the hosts to reach without a proxy.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxies of the environment. They are not used for loopback addresses and for hosts that `NO_PROXY` lists.
///
/// gRPC and REST both use a tunnel (`CONNECT`), with TLS and without. So a proxy can read no more of a connection than
/// any other device on the path.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    tls: Option<ProxyVariable>,
    plaintext: Option<ProxyVariable>,
    no_proxy: String,
}

/// A variable and the URL that is its value.
#[derive(Clone, PartialEq, Eq)]
struct ProxyVariable {
    name: &'static str,
    url: String,
}

impl fmt::Debug for Proxies {
    /// Shows only the variables, since URLs may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries([&self.tls, &self.plaintext].into_iter().flatten().map(|variable| variable.name))
            .finish()
    }
}

impl Proxies {
    /// Reads the proxy variables.
    pub(super) fn from_sources(sources: &Sources) -> Self {
        let read_first = |names: [&'static str; 4]| {
            let (name, url) = names.into_iter().find_map(|name| Some((name, sources.value(name)?)))?;
            Some(ProxyVariable { name, url: url.to_owned() })
        };
        let no_proxy = NO_PROXY_VARIABLES.into_iter().find_map(|name| sources.value(name)).unwrap_or_default();
        Self {
            tls: read_first(TLS_VARIABLES),
            plaintext: read_first(PLAINTEXT_VARIABLES),
            no_proxy: no_proxy.to_owned(),
        }
    }

    /// Selects the proxy for connections to a host. `None` for a direct connection. Fails if the URL is not the URL of
    /// an HTTP proxy.
    pub(super) fn find(&self, host: &str, port: u16, tls: bool) -> Result<Option<Proxy>, ClientError> {
        match if tls { &self.tls } else { &self.plaintext } {
            Some(variable) if !is_loopback(host) && !is_listed(&self.no_proxy, host, port) => {
                Proxy::parse(variable, host).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }
}

/// Whether a `NO_PROXY` list contains a host: by its name, its domain (with or without a leading dot), its address or
/// its network, each with or without a port. `*` matches all hosts.
fn is_listed(list: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" || contains_address(&entry, &host) {
                return true;
            }
            let entry = match entry.rsplit_once(':') {
                Some((name, number)) if number.parse() == Ok(port) => name,
                Some(_) => return false,
                None => &entry,
            };
            let domain = entry.trim_start_matches("*.").trim_start_matches('.');
            contains_address(domain, &host)
                || host == domain
                || host.strip_suffix(domain).is_some_and(|rest| !domain.is_empty() && rest.ends_with('.'))
        },
    )
}

/// Whether an entry is the address `host`, or a network that contains it, such as `10.0.0.0/8`.
fn contains_address(entry: &str, host: &str) -> bool {
    let (network, length) = match entry.split_once('/') {
        None => (entry, None),
        Some((network, length)) => match length.parse::<u32>() {
            Ok(length) => (network, Some(length)),
            Err(_) => return false,
        },
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let (Ok(network), Ok(host)) = (network.parse().map(bits), host.parse().map(bits)) else { return false };
    let shift = network.1 - length.unwrap_or(network.1).min(network.1);
    // A network of length 0 shifts all bits out, which `checked_shr` refuses.
    network.1 == host.1 && network.0.checked_shr(shift).unwrap_or(0) == host.0.checked_shr(shift).unwrap_or(0)
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::hatchet::transport) struct Proxy {
    /// The variable that names it.
    pub(in crate::hatchet::transport) variable: &'static str,
    pub(in crate::hatchet::transport) host: String,
    pub(in crate::hatchet::transport) port: u16,
    /// `user:password`.
    pub(in crate::hatchet::transport) credentials: Option<String>,
}

impl Proxy {
    /// Parses `[http://][user:password@]host[:port]`. The default port is 80. `target` is the host to connect to, for
    /// the error text.
    fn parse(variable: &ProxyVariable, target: &str) -> Result<Self, ClientError> {
        let ProxyVariable { name, url } = variable;
        let invalid = |reason: &str| {
            let rule = format!(
                "{reason}set it to http://host:port, or add \"{target}\" to NO_PROXY to connect without a proxy"
            );
            invalid_setting(name, &redacted_url(url), rule)
        };
        let rest = match url.split_once("://") {
            None => url.as_str(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(invalid(&format!("{scheme} proxies are not supported; ")));
            }
        };
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let invalid_url = || invalid("");
        let uri: Uri = format!("http://{address}").parse().map_err(|_| invalid_url())?;
        let (host, port) =
            uri.authority().and_then(|authority| split_authority(authority.as_str(), 80)).ok_or_else(invalid_url)?;
        let credentials = credentials.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        Ok(Self { variable: name, host: host.to_owned(), port, credentials })
    }
}

impl fmt::Display for Proxy {
    /// Omits the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{} (from {})", format_authority(&self.host, self.port), self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::error::ErrorKind, *};

    fn proxies(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::from_sources(&Sources::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn proxy_variable_depends_on_tls() {
        let found = |pairs: &[(&str, &str)], tls| {
            proxies(pairs).find("engine", 7070, tls).unwrap().map(|proxy| proxy.to_string())
        };
        let both = [("HTTP_PROXY", "plain:1"), ("https_proxy", "http://secure:2/"), ("ALL_PROXY", "all")];
        assert_eq!(found(&both, false).unwrap(), "http://plain:1 (from HTTP_PROXY)");
        assert_eq!(found(&both, true).unwrap(), "http://secure:2 (from https_proxy)");
        assert_eq!(found(&[("all_proxy", "HTTP://[::1]")], true).unwrap(), "http://[::1]:80 (from all_proxy)");
        assert_eq!(found(&[("HTTP_PROXY", "plain:1")], true), None);
        assert_eq!(
            found(&[("HTTPS_PROXY", " "), ("https_proxy", "x")], true).unwrap(),
            "http://x:80 (from https_proxy)"
        );
    }

    #[test]
    fn loopback_host_uses_no_proxy() {
        let proxies = proxies(&[("HTTP_PROXY", "socks5://x"), ("HTTPS_PROXY", "x")]);
        for host in ["127.0.0.1", "localhost", "::1", "a.localhost"] {
            assert_eq!(proxies.find(host, 1, true).unwrap(), None);
            assert_eq!(proxies.find(host, 1, false).unwrap(), None);
        }
    }

    #[test]
    fn no_proxy_matches_hosts_domains_addresses_and_networks() {
        for (list, host, listed) in [
            ("*", "engine", true),
            ("a,engine", "Engine", true),
            ("a engine", "engine", true),
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", true),
            (".example.com", "a.b.example.com", true),
            (".example.com", "example.com", true),
            ("*.example.com", "a.example.com", true),
            ("example.com", "badexample.com", false),
            ("a.example.com", "example.com", false),
            ("engine:7070", "engine", true),
            ("engine:7071", "engine", false),
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5:7070", "10.0.0.5", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/8", "fd00::1", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/x", "10.0.0.0", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::1", "fd00::1", true),
            ("[fd00::1]:7070", "fd00::1", true),
            ("[fd00::1]:7071", "fd00::1", false),
            ("", "engine", false),
            (",.,", "engine", false),
        ] {
            assert_eq!(is_listed(list, host, 7070), listed, "{list} {host}");
            let proxies = proxies(&[("HTTPS_PROXY", "x"), ("no_proxy", list)]);
            assert_eq!(proxies.find(host, 7070, true).unwrap().is_none(), listed, "{list} {host}");
        }
    }

    #[test]
    fn invalid_proxy_error_names_variable_and_hides_password() {
        for url in
            ["socks5://me:secret@host:1080", "https://me:secret@host", "http://me:secret@", "me:secret@a b:1", "h:x"]
        {
            let error = proxies(&[("ALL_PROXY", url)]).find("engine", 7070, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let message = error.to_string();
            assert!(message.contains("ALL_PROXY") && message.contains("add \"engine\" to NO_PROXY"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        let proxies = proxies(&[("ALL_PROXY", "http://me:sec%40ret@host:1")]);
        let proxy = proxies.find("engine", 7070, true).unwrap().unwrap();
        assert_eq!(proxy.credentials.as_deref(), Some("me:sec@ret"));
        assert!(!format!("{proxy} {proxy:?} {proxies:?}").contains("ret"));
    }
}
