//! The base URL of the REST API.

use std::fmt;

use tonic::codegen::http::Uri;

use super::{
    super::error::ClientError,
    address::split_authority,
    invalid::{invalid_setting, redacted_url},
};

/// The parts of a REST base URL. A user and password are ignored, since the token authenticates each request.
pub(in crate::hatchet) struct ServerUrl {
    pub(in crate::hatchet) tls: bool,
    /// Name or address, without brackets.
    pub(in crate::hatchet) host: String,
    pub(in crate::hatchet) port: u16,
    /// `host[:port]`, as written.
    pub(in crate::hatchet) authority: String,
    /// The path, without a trailing slash.
    pub(in crate::hatchet) path: String,
}

impl ServerUrl {
    /// Normalizes a setting to a URL without a trailing slash. The default scheme is `http://`.
    pub(in crate::hatchet) fn normalized(text: &str) -> Result<String, ClientError> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        Self::parse(&url).map(|url| url.to_string())
    }

    /// Parses a URL with a scheme.
    pub(in crate::hatchet) fn parse(text: &str) -> Result<Self, ClientError> {
        let invalid = || {
            let rule = "set it to a URL without a query, such as https://cloud.onhatchet.run";
            invalid_setting("HATCHET_CLIENT_SERVER_URL", &redacted_url(text), rule)
        };
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(invalid()),
        };
        let (Some(authority), None) = (uri.authority(), uri.query()) else { return Err(invalid()) };
        let authority = authority.as_str().rsplit('@').next().unwrap_or_default();
        let (host, port) = split_authority(authority, if tls { 443 } else { 80 }).ok_or_else(invalid)?;
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        for (text, normal, tls, host, port) in [
            ("https://cloud.onhatchet.run", "https://cloud.onhatchet.run", true, "cloud.onhatchet.run", 443),
            ("HTTP://Host:8080/base/", "http://Host:8080/base", false, "Host", 8080),
            ("host", "http://host", false, "host", 80),
            ("[::1]:8888", "http://[::1]:8888", false, "::1", 8888),
            ("http://me:secret@host/x", "http://host/x", false, "host", 80),
        ] {
            let normalized = ServerUrl::normalized(text).unwrap();
            let url = ServerUrl::parse(&normalized).unwrap();
            assert_eq!(
                (normalized.as_str(), url.tls, url.host.as_str(), url.port),
                (normal, tls, host, port),
                "{text}"
            );
        }
        for text in ["", "ftp://x", "http://", "http://host:x", "http://host:99999", "http://host:0", "http://host?a=b"]
        {
            let message = ServerUrl::normalized(text).err().unwrap_or_else(|| panic!("{text}")).to_string();
            assert!(message.contains("HATCHET_CLIENT_SERVER_URL"), "{message}");
        }
        for text in ["ftp://me:secret@host", "http://host/x?token=secret", "host?token=secret"] {
            assert!(!ServerUrl::normalized(text).unwrap_err().to_string().contains("secret"), "{text}");
        }
    }
}
