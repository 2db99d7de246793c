//! The client token: a JWT whose claims contain the tenant and the addresses of the engine.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The claims of a client token. Tokens that no engine created may lack the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The tenant's UUID.
    pub sub: String,
    /// `host:port` of the engine's gRPC services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_broadcast_address: Option<String>,
    /// Base URL of the engine's REST API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// Audience of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Issuer of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Time of issue, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Time of expiry, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Id of the token, which an engine needs to revoke it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
}

/// A text that is not a Hatchet client token. The message never contains the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadToken {
    /// It does not have three parts.
    #[error("it has {0} dot-separated parts, but a JWT has 3")]
    Parts(usize),
    /// Its second part is not base64url.
    #[error("its second part is not base64url")]
    Base64,
    /// Its second part does not contain the claims.
    #[error("its claims are invalid: {0}")]
    Claims(String),
}

impl Claims {
    /// Reads the claims without verifying the signature, like every Hatchet client. The engine verifies it.
    pub fn read_unverified(token: &str) -> Result<Self, BadToken> {
        let parts: Vec<&str> = token.split('.').collect();
        let [_, claims, _] = parts[..] else { return Err(BadToken::Parts(parts.len())) };
        let json = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).map_err(|_| BadToken::Base64)?;
        serde_json::from_slice(&json).map_err(|e| BadToken::Claims(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> String {
        format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn unknown_claims_are_ignored() {
        let claims = Claims::read_unverified(&token(r#"{"sub":"t","server_url":"http://x","new":1}"#)).unwrap();
        assert_eq!((claims.sub.as_str(), claims.server_url.as_deref()), ("t", Some("http://x")));
    }

    #[test]
    fn malformed_token_error_names_the_fault() {
        assert_eq!(Claims::read_unverified("abc"), Err(BadToken::Parts(1)));
        assert_eq!(Claims::read_unverified("a.!.c"), Err(BadToken::Base64));
        assert!(matches!(Claims::read_unverified(&token("{}")), Err(BadToken::Claims(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = Claims::read_unverified(&text);
        }
    }
}
