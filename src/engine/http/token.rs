//! The engine's own client tokens: JWTs signed with HMAC-SHA256.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::engine::state::Moment;
use crate::hatchet::wire::{Claims, TenantId};

/// How long a token says that it is good for: 100 years, so never less than the engine runs. A real Hatchet's ends after
/// 90 days, and its users make another; here there is no one to do so, and who may read the handshake file may read the
/// key beside it. The claim is there because clients refuse a token whose time is over.
const LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How far the clock may have been set back since a token was made.
const LEEWAY_SECONDS: u64 = 24 * 3600;

/// Bytes of a signing key: the length of the hash, as HMAC recommends.
pub(in crate::engine) const KEY_BYTES: usize = 32;

/// A new random signing key.
pub(in crate::engine) fn new_key() -> std::io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| std::io::Error::other("no randomness"))?;
    Ok(key)
}

/// Makes and checks tokens of one tenant.
pub(in crate::engine) struct Tokens {
    key: hmac::Key,
    tenant: TenantId,
    current: String,
    inside: String,
}

/// Who has presented a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Caller {
    /// Someone in the engine's own process, who ends with it.
    Inside,
    /// Anyone.
    Outside,
}

impl Tokens {
    /// Signs the tokens of this start: they differ in their ids alone.
    pub(in crate::engine) fn new(key: &[u8], tenant: TenantId, address: &str, url: &str, now: Moment) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let seconds = now.0 / 1000;
        let claims = || Claims {
            sub: tenant.to_string(),
            grpc_broadcast_address: Some(address.into()),
            server_url: Some(url.into()),
            aud: Some(url.into()),
            iss: Some(url.into()),
            iat: Some(seconds),
            exp: Some(seconds + LIFETIME.as_secs()),
            token_id: Some(uuid::Uuid::new_v4().to_string()),
        };
        let token = || sign(&key, &serde_json::json!(claims()).to_string());
        let (current, inside) = (token(), token());
        Self { key, tenant, current, inside }
    }

    /// The token of this start for the engine's own process, which no other may have.
    pub(in crate::engine) fn inside(&self) -> &str {
        &self.inside
    }

    /// The token of this start.
    pub(in crate::engine) fn current(&self) -> &str {
        &self.current
    }

    /// Whom an `authorization` header lets in: one with this start's tokens, wherever the clock has been set since, or
    /// with one of an earlier start with the same key, whose process has ended, for as long as it says.
    pub(in crate::engine) fn admit(&self, header: Option<&[u8]>, now: Moment) -> Option<Caller> {
        let token = header.and_then(|h| std::str::from_utf8(h).ok()).and_then(bearer)?;
        for (known, caller) in [(&self.current, Caller::Outside), (&self.inside, Caller::Inside)] {
            if same(token.as_bytes(), known.as_bytes()) {
                return Some(caller);
            }
        }
        self.verify(token, now.0 / 1000).then_some(Caller::Outside)
    }

    fn verify(&self, token: &str, now: u64) -> bool {
        let Some((signed, tag)) = token.rsplit_once('.') else { return false };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
        if hmac::verify(&self.key, signed.as_bytes(), &tag).is_err() {
            return false;
        }
        Claims::read_unverified(token).is_ok_and(|claims| {
            claims.sub == self.tenant.to_string()
                && claims.exp.is_some_and(|at| now < at)
                && claims.iat.is_some_and(|at| at <= now + LEEWAY_SECONDS)
        })
    }
}

fn sign(key: &hmac::Key, claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The token in a header `bearer <token>`, the scheme in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(now: Moment) -> Tokens {
        Tokens::new(&[7; KEY_BYTES], uuid::Uuid::nil().into(), "127.0.0.1:1", "http://127.0.0.1:1", now)
    }

    impl Tokens {
        fn admits(&self, header: Option<&[u8]>, now: Moment) -> bool {
            self.admit(header, now).is_some()
        }
    }

    fn header(token: &str) -> Vec<u8> {
        format!("BeArEr {token}").into_bytes()
    }

    #[test]
    fn only_own_tokens_are_admitted() {
        let now = Moment(1_000_000_000_000);
        let tokens = tokens(now);
        let good = tokens.current().to_owned();
        assert!(good.starts_with("ey") && tokens.admits(Some(&header(&good)), now));
        let claims = Claims::read_unverified(&good).unwrap();
        assert_eq!(claims.grpc_broadcast_address.as_deref(), Some("127.0.0.1:1"));
        let mut tampered = good.clone();
        tampered.replace_range(40..41, if &good[40..41] == "A" { "B" } else { "A" });
        for bad in ["", "x", "a.b.c", &tampered, &good[..good.len() - 1]] {
            assert!(!tokens.admits(Some(&header(bad)), now), "{bad}");
        }
        for bad in [None, Some(&b""[..]), Some(good.as_bytes()), Some(&b"basic x"[..]), Some(&b"\xff \xff"[..])] {
            assert!(!tokens.admits(bad, now));
        }
    }

    #[test]
    fn the_own_process_is_told_from_others_until_it_ends() {
        let now = Moment(1_000_000_000_000);
        let (first, second) = (tokens(now), tokens(now));
        let who = |tokens: &Tokens, token: &str| tokens.admit(Some(&header(token)), now);
        assert_eq!(who(&first, first.inside()), Some(Caller::Inside));
        assert_eq!(who(&first, first.current()), Some(Caller::Outside));
        assert_eq!(who(&second, first.inside()), Some(Caller::Outside));
        assert_eq!(first.admit(Some(&header(first.inside())), now.plus(LIFETIME)), Some(Caller::Inside));
    }

    #[test]
    fn a_token_of_an_earlier_start_is_admitted_and_one_of_another_key_is_not() {
        let now = Moment(1_000_000_000_000);
        let (first, second) = (tokens(now), tokens(now.plus(Duration::from_secs(5))));
        assert_ne!(first.current(), second.current());
        assert!(second.admits(Some(&header(first.current())), now));
        let stranger = Tokens::new(&[8; KEY_BYTES], uuid::Uuid::nil().into(), "a:1", "http://a:1", now);
        assert!(!second.admits(Some(&header(stranger.current())), now));
        let tenant = Tokens::new(&[7; KEY_BYTES], uuid::Uuid::max().into(), "a:1", "http://a:1", now);
        assert!(!second.admits(Some(&header(tenant.current())), now));
    }

    #[test]
    fn an_engine_that_runs_for_long_takes_its_own_tokens_and_so_do_its_clients() {
        let begun = Moment(1_800_000_000_000);
        let (earlier, tokens) = (tokens(begun), tokens(begun));
        for days in [0, 89, 90, 91, 20 * 365] {
            let now = begun.plus(Duration::from_secs(days * 24 * 3600));
            for token in [tokens.current(), tokens.inside(), earlier.current()] {
                assert!(tokens.admits(Some(&header(token)), now), "after {days} days");
                let exp = Claims::read_unverified(token).unwrap().exp;
                assert!(exp.is_some_and(|exp| exp > now.0 / 1000), "a client would refuse it after {days} days");
            }
        }
        // Set back by years: what is from this start is.
        assert!(tokens.admits(Some(&header(tokens.current())), Moment(1_000_000_000_000)));
        assert!(!tokens.admits(Some(&header(earlier.current())), Moment(1_000_000_000_000)));
    }

    #[test]
    fn a_token_of_an_earlier_version_ends_when_it_says() {
        let now = Moment(1_800_000_000_000);
        let tokens = tokens(now);
        let mut claims = Claims::read_unverified(tokens.current()).unwrap();
        claims.exp = Some(now.0 / 1000 + 10);
        let token = sign(&tokens.key, &serde_json::json!(claims).to_string());
        assert!(tokens.admits(Some(&header(&token)), now.plus(Duration::from_secs(9))));
        assert!(!tokens.admits(Some(&header(&token)), now.plus(Duration::from_secs(10))));
    }
}
