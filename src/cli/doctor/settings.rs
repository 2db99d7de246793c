//! Checks the token and the addresses, without a connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::checklist::Checklist;
use crate::{
    cli::{
        Exit,
        connection::{EngineChoice, client_config},
    },
    hatchet::{
        client::{ClientConfig, Source, Sources, token_claims},
        wire::Claims,
    },
};

/// Remaining validity below which a token is reported to expire soon: 7 days.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Checks the settings. Returns them if they are valid.
pub(super) fn check(
    checklist: &mut Checklist,
    choice: &EngineChoice,
    sources: &Sources,
) -> Result<Option<ClientConfig>, Exit> {
    if let (EngineChoice::Token(_), Some((token, source))) = (choice, sources.get("HATCHET_CLIENT_TOKEN")) {
        match token_claims(token, source) {
            Ok(claims) => checklist.pass("token", &describe_token(&claims, source))?,
            Err(error) => {
                checklist.fail_setting("token", &error.to_string())?;
                return Ok(None);
            }
        }
    }
    match client_config(choice, sources) {
        Ok(config) => {
            if let EngineChoice::Embedded(_) = choice
                && let Ok(claims) = token_claims(config.token.expose(), &config.token_source)
            {
                checklist.pass("token", &describe_token(&claims, &config.token_source))?;
            }
            let rest = config.server_url.as_deref().unwrap_or("unknown");
            let source_of = |variable: &str| sources.get(variable).map(|(_, source)| source.clone());
            let source = match choice {
                EngineChoice::Embedded(_) => Source::Handshake,
                EngineChoice::Token(_) | EngineChoice::None => {
                    source_of("HATCHET_CLIENT_HOST_PORT").unwrap_or(Source::Token)
                }
            };
            checklist.pass("address", &format!("{} (from {source}), REST {rest}", config.host_port))?;
            Ok(Some(config))
        }
        Err(exit) => {
            let check = if *choice == EngineChoice::None { "token" } else { "address" };
            checklist.fail_setting(check, exit.message())?;
            Ok(None)
        }
    }
}

fn describe_token(claims: &Claims, source: &Source) -> String {
    let expiry = match claims.exp {
        None => "no expiry".to_owned(),
        Some(exp) => {
            let time = prost_types::Timestamp { seconds: i64::try_from(exp).unwrap_or(i64::MAX), nanos: 0 };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let remaining = Duration::from_secs(exp).saturating_sub(now);
            let soon = if remaining < EXPIRES_SOON { ", which is soon: create a new token in time" } else { "" };
            format!("expires {time}{soon}")
        }
    };
    format!("from {source}, tenant {}, {expiry}", claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_that_expires_soon_is_reported() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = |exp| Claims {
            sub: "t".to_owned(),
            grpc_broadcast_address: None,
            server_url: None,
            aud: None,
            iss: None,
            iat: None,
            exp,
            token_id: None,
        };
        assert!(describe_token(&claims(None), &Source::Environment).contains("no expiry"));
        assert!(describe_token(&claims(Some(now + 3600)), &Source::Environment).contains("soon"));
        assert!(!describe_token(&claims(Some(now + 90 * 24 * 3600)), &Source::Environment).contains("soon"));
    }
}
