//! What can be seen without a connection: the token and the addresses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    super::{
        Exit,
        connection::engine::{self as connect, Choice},
    },
    checklist::Report,
};
use crate::hatchet::{
    client::{ClientConfig, Source, Sources, token_claims},
    wire::Claims,
};

/// A token that ends within this time is worth a word.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The settings, if they can be used.
pub(super) fn check(report: &mut Report, choice: &Choice, sources: &Sources) -> Result<Option<ClientConfig>, Exit> {
    if let (Choice::Token(_), Some((token, source))) = (choice, sources.get("HATCHET_CLIENT_TOKEN")) {
        match token_claims(token, source) {
            Ok(claims) => report.fine("token", &describe(&claims, source))?,
            Err(error) => {
                report.wrong("token", &error.to_string())?;
                return Ok(None);
            }
        }
    }
    match connect::runner_config(choice, sources) {
        Ok(config) => {
            if let Choice::Embedded(_) = choice
                && let Ok(claims) = token_claims(config.token.expose(), &config.token_source)
            {
                report.fine("token", &describe(&claims, &config.token_source))?;
            }
            let rest = config.server_url.as_deref().unwrap_or("unknown");
            let named = |variable: &str| sources.get(variable).map(|(_, source)| source.clone());
            let from = match choice {
                Choice::Embedded(_) => Source::Handshake,
                Choice::Token(_) => named("HATCHET_CLIENT_HOST_PORT").unwrap_or(Source::Token),
            };
            report.fine("address", &format!("{} (from {from}), REST {rest}", config.host_port))?;
            Ok(Some(config))
        }
        Err(exit) => {
            let token = matches!(choice, Choice::Token(said) if said.is_empty());
            report.wrong(if token { "token" } else { "address" }, exit.message())?;
            Ok(None)
        }
    }
}

fn describe(claims: &Claims, source: &Source) -> String {
    let until = match claims.exp {
        None => "no expiry".to_owned(),
        Some(exp) => {
            let at = prost_types::Timestamp { seconds: i64::try_from(exp).unwrap_or(i64::MAX), nanos: 0 };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_secs(exp).saturating_sub(now);
            let soon = if left < SOON { "; that is soon: make a new one in time" } else { "" };
            format!("expires {at}{soon}")
        }
    };
    format!("from {source}, tenant {}, {until}", claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_ends_soon_is_mentioned() {
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
        assert!(describe(&claims(None), &Source::Environment).contains("no expiry"));
        assert!(describe(&claims(Some(now + 3600)), &Source::Environment).contains("soon"));
        assert!(!describe(&claims(Some(now + 90 * 24 * 3600)), &Source::Environment).contains("soon"));
    }
}
