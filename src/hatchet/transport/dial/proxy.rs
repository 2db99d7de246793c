//! HTTP proxies, as the environment names them.
//!
//! Both protocols go through a tunnel (`CONNECT`), with TLS and without, so that a proxy sees no more of a connection
//! than the network does.

use std::{fmt, net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::codegen::http::Uri;

use super::{
    super::{
        config::Sources,
        error::{ClientError, ErrorKind},
    },
    ConnectError, authority, is_loopback, root_cause, split_authority, tcp,
};

/// Names of the proxy for connections with TLS. Of several that are set the first counts.
const SECURE: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Names of the proxy for connections without TLS.
const PLAIN: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// Names of the list of hosts that are reached without a proxy.
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// All variables that name proxies, each group by its spelling in either case.
pub(in crate::hatchet) const VARIABLES: [[&str; 2]; 4] =
    [[SECURE[0], SECURE[1]], [PLAIN[0], PLAIN[1]], [SECURE[2], SECURE[3]], EXCEPT];

/// For a tunnel: less than a connection as a whole has, so that the error names the proxy.
const TIMEOUT: Duration = Duration::from_secs(4);
/// A proxy's answer to `CONNECT` that is longer is none.
const MAX_HEAD: usize = 16 << 10;

/// The proxies of the environment. They are not used for this machine's own addresses (loopback), nor for hosts that
/// `NO_PROXY` lists.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    secure: Option<Named>,
    plain: Option<Named>,
    except: String,
}

/// A URL, and the variable that it is from.
#[derive(Clone, PartialEq, Eq)]
struct Named {
    variable: &'static str,
    url: String,
}

impl fmt::Debug for Proxies {
    /// The variables only: URLs may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries([&self.secure, &self.plain].into_iter().flatten().map(|named| named.variable)).finish()
    }
}

impl Proxies {
    /// The proxies that the settings name.
    pub(in crate::hatchet) fn from_sources(sources: &Sources) -> Self {
        let first = |names: [&'static str; 4]| {
            let set = names.into_iter().find_map(|variable| Some((variable, sources.value(variable)?)))?;
            Some(Named { variable: set.0, url: set.1.to_owned() })
        };
        let except = EXCEPT.into_iter().find_map(|name| sources.value(name)).unwrap_or_default();
        Self { secure: first(SECURE), plain: first(PLAIN), except: except.to_owned() }
    }

    /// The proxy for connections to a host, if one is to be used.
    pub(in crate::hatchet) fn find(&self, host: &str, port: u16, tls: bool) -> Result<Option<Proxy>, ClientError> {
        match if tls { &self.secure } else { &self.plain } {
            Some(named) if !is_loopback(host) && !is_excepted(&self.except, host, port) => {
                Proxy::parse(named, host).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }
}

/// Whether a `NO_PROXY` list has a host: by its name, by a domain that it is in (with or without a dot in front), by
/// its address or a network that it is in, each with or without a port; `*` is all hosts.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" || has_address(&entry, &host) {
                return true;
            }
            let entry = match entry.rsplit_once(':') {
                Some((name, number)) if number.parse() == Ok(port) => name,
                Some(_) => return false,
                None => &entry,
            };
            let domain = entry.trim_start_matches("*.").trim_start_matches('.');
            has_address(domain, &host)
                || host == domain
                || host.strip_suffix(domain).is_some_and(|rest| !domain.is_empty() && rest.ends_with('.'))
        },
    )
}

/// Whether an entry is the address `host`, or a network that it is in, such as `10.0.0.0/8`.
fn has_address(entry: &str, host: &str) -> bool {
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
    // All bits are shifted out of a network of length 0.
    network.1 == host.1 && network.0.checked_shr(shift).unwrap_or(0) == host.0.checked_shr(shift).unwrap_or(0)
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::hatchet) struct Proxy {
    variable: &'static str,
    host: String,
    port: u16,
    /// `user:password`.
    credentials: Option<String>,
}

impl fmt::Display for Proxy {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{} (from {})", authority(&self.host, self.port), self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Proxy {
    /// `[http://][user:password@]host[:port]`; port 80 by default.
    fn parse(named: &Named, target: &str) -> Result<Self, ClientError> {
        let variable = named.variable;
        let bad = |what: &str| {
            let message = format!(
                "{variable} {what}: set it to http://host:port, or add `{target}` to NO_PROXY to connect without a proxy"
            );
            ClientError::new(ErrorKind::Config, message)
        };
        let rest = match named.url.split_once("://") {
            None => named.url.as_str(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(bad(&format!("names a `{scheme}` proxy, of which only http is supported")));
            }
        };
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let bad_url = || bad("is not the URL of a proxy");
        let uri: Uri = format!("http://{address}").parse().map_err(|_| bad_url())?;
        let (host, port) = uri.authority().and_then(|at| split_authority(at.as_str(), 80)).ok_or_else(bad_url)?;
        let credentials = credentials.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        Ok(Self { variable, host: host.to_owned(), port, credentials })
    }

    /// A connection through the proxy to a server.
    pub(in crate::hatchet) async fn tunnel(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let target = authority(host, port);
        let tunnel = timeout(TIMEOUT, self.open(&target)).await;
        tunnel.unwrap_or_else(|_| Err(format!("no answer for {TIMEOUT:?}"))).map_err(|why| {
            ConnectError::Proxy(format!(
                "the proxy {self} does not connect to {target}: {why}: correct {}, or add `{host}` to NO_PROXY to connect \
                 without it",
                self.variable
            ))
        })
    }

    async fn open(&self, target: &str) -> Result<TcpStream, String> {
        let mut stream = tcp(&self.host, self.port).await.map_err(|e| root_cause(&e))?;
        let head = self.connect(&mut stream, target).await.map_err(|e| e.to_string())?;
        let status = head.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
        match status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..)) {
            Some(accepted) if accepted.starts_with('2') => Ok(stream),
            Some(refused) if refused.starts_with("407") => Err(format!(
                "it wants {} user and password (407), as in http://user:password@host:port",
                if self.credentials.is_some() { "another" } else { "a" }
            )),
            Some(refused) => Err(format!("it answered {}", refused.chars().take(100).collect::<String>())),
            None => Err("it does not answer as an HTTP proxy".to_owned()),
        }
    }

    /// Asks for the tunnel; gives the head of the answer.
    async fn connect(&self, stream: &mut TcpStream, target: &str) -> std::io::Result<Vec<u8>> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials));
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await?;
        // Byte by byte: the server's own bytes may follow at once, and belong to whoever reads the connection next.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            head.push(stream.read_u8().await?);
        }
        if !head.ends_with(b"\r\n\r\n") {
            let why = format!("the head of its answer is longer than {MAX_HEAD} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::from_sources(&Sources::from_pairs(pairs.iter().copied()))
    }

    #[tokio::test]
    async fn endless_head_is_no_tunnel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // It ends when the other side has seen enough.
            let mut answer = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
            while stream.write_all(&answer).await.is_ok() {
                answer = vec![b'x'; 1024];
            }
        });
        let proxy = proxies(&[("HTTP_PROXY", &address)]).find("engine.example", 7070, false).unwrap().unwrap();
        let error = proxy.tunnel("engine.example", 7070).await.unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        answering.await.unwrap();
    }

    #[test]
    fn variables_are_chosen_by_tls() {
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
    fn loopback_has_no_proxy() {
        let proxies = proxies(&[("HTTP_PROXY", "socks5://x"), ("HTTPS_PROXY", "x")]);
        for host in ["127.0.0.1", "localhost", "::1", "a.localhost"] {
            assert_eq!(proxies.find(host, 1, true).unwrap(), None);
            assert_eq!(proxies.find(host, 1, false).unwrap(), None);
        }
    }

    #[test]
    fn no_proxy_lists_hosts_domains_addresses_and_networks() {
        for (list, host, excepted) in [
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
            assert_eq!(is_excepted(list, host, 7070), excepted, "{list} {host}");
            let proxies = proxies(&[("HTTPS_PROXY", "x"), ("no_proxy", list)]);
            assert_eq!(proxies.find(host, 7070, true).unwrap().is_none(), excepted, "{list} {host}");
        }
    }

    #[test]
    fn unusable_proxy_names_its_variable_and_hides_its_password() {
        for url in
            ["socks5://me:secret@host:1080", "https://me:secret@host", "http://me:secret@", "me:secret@a b:1", "h:x"]
        {
            let error = proxies(&[("ALL_PROXY", url)]).find("engine", 7070, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let said = error.to_string();
            assert!(said.contains("ALL_PROXY") && said.contains("add `engine` to NO_PROXY"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let proxies = proxies(&[("ALL_PROXY", "http://me:sec%40ret@host:1")]);
        let proxy = proxies.find("engine", 7070, true).unwrap().unwrap();
        assert_eq!(proxy.credentials.as_deref(), Some("me:sec@ret"));
        assert!(!format!("{proxy} {proxy:?} {proxies:?}").contains("ret"));
    }
}
