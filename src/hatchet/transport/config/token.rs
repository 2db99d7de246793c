//! The client token, whose `Debug` output is redacted, and the check of its claims.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{super::error::ClientError, sources::Source};
use crate::hatchet::wire::Claims;

/// A client token. Its `Debug` output is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(token.to_owned())
    }

    /// Returns the secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Reads the claims of a token. Checks its format and expiry, but not its signature, which only the engine can check.
pub(crate) fn token_claims(token: &str, source: &Source) -> Result<Claims, ClientError> {
    let invalid = |reason: &dyn fmt::Display| {
        ClientError::config(format!(
            "the token from {source} is not a Hatchet client token: {reason}. Set HATCHET_CLIENT_TOKEN to a client token, \
             which starts with `ey` and contains two dots"
        ))
    };
    if !token.starts_with("ey") {
        return Err(invalid(&"it does not start with `ey`"));
    }
    let claims = Claims::read_unverified(token).map_err(|e| invalid(&e))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(expiry) = claims.exp.filter(|expiry| *expiry <= now) {
        let expiry = prost_types::Timestamp { seconds: i64::try_from(expiry).unwrap_or(i64::MAX), nanos: 0 };
        return Err(ClientError::config(format!(
            "the token from {source} expired at {expiry}. Create a new token in Hatchet and set HATCHET_CLIENT_TOKEN to it"
        )));
    }
    Ok(claims)
}
