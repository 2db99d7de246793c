//! The engine's client tokens: JWTs signed with HMAC-SHA256.
//!
//! The signing key is stored in the data folder, so a token stays valid when the engine restarts. Each start also signs
//! two new tokens. One is announced in the handshake file. The other is only for the engine's own process: it
//! identifies workers that end with the engine.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::{
    engine::{grpc::Caller, state::Timestamp},
    hatchet::wire::{Claims, TenantId},
};

/// Validity of a token: 100 years, which exceeds any engine's uptime. A real Hatchet's tokens expire after 90 days and
/// its users create new tokens. An embedded engine has no such procedure, and a shorter validity would not improve
/// security: a process that can read the handshake file can also read the signing key. Clients refuse a token whose
/// `exp` has passed.
const LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Time by which the clock may have been set back since a token was signed: 24 h.
const LEEWAY_SECONDS: u64 = 24 * 3600;

/// Bytes of a signing key: the length of the hash, as recommended for HMAC.
pub(crate) const KEY_BYTES: usize = 32;

/// Creates a random signing key.
pub(crate) fn new_key() -> std::io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| std::io::Error::other("the system provides no random numbers"))?;
    Ok(key)
}

/// Signs and verifies tokens of one tenant.
pub(crate) struct Tokens {
    key: hmac::Key,
    tenant: TenantId,
    current: String,
    in_process: String,
}

impl Tokens {
    /// Signs the two tokens of this start. They differ only in their ids.
    pub(crate) fn new(key: &[u8], tenant: TenantId, address: &str, url: &str, now: Timestamp) -> Self {
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
        let (current, in_process) = (token(), token());
        Self { key, tenant, current, in_process }
    }

    /// The token for clients in the engine's own process.
    pub(crate) fn in_process(&self) -> &str {
        &self.in_process
    }

    /// The token for clients in other processes.
    pub(crate) fn current(&self) -> &str {
        &self.current
    }

    /// Returns the caller that an `authorization` header authenticates: by a token of this start, regardless of the
    /// clock, or by a token of an earlier start with the same key until it expires.
    pub(super) fn authenticate(&self, header: Option<&[u8]>, now: Timestamp) -> Option<Caller> {
        let token = header.and_then(|h| std::str::from_utf8(h).ok()).and_then(bearer)?;
        for (known, caller) in [(&self.current, Caller::OtherProcess), (&self.in_process, Caller::SameProcess)] {
            if equal_in_constant_time(token.as_bytes(), known.as_bytes()) {
                return Some(caller);
            }
        }
        self.verify(token, now.0 / 1000).then_some(Caller::OtherProcess)
    }

    fn verify(&self, token: &str, now: u64) -> bool {
        let Some((signed, tag)) = token.rsplit_once('.') else { return false };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
        if hmac::verify(&self.key, signed.as_bytes(), &tag).is_err() {
            return false;
        }
        Claims::read_unverified(token).is_ok_and(|claims| {
            claims.sub == self.tenant.to_string()
                && claims.exp.is_some_and(|expiry| now < expiry)
                && claims.iat.is_some_and(|issued| issued <= now + LEEWAY_SECONDS)
        })
    }
}

fn sign(key: &hmac::Key, claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The token in a header `bearer <token>`; the scheme is case-insensitive.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Compares in a time that depends only on the lengths, so that a token cannot be guessed byte by byte.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(now: Timestamp) -> Tokens {
        Tokens::new(&[7; KEY_BYTES], uuid::Uuid::nil().into(), "127.0.0.1:1", "http://127.0.0.1:1", now)
    }

    impl Tokens {
        fn accepts(&self, header: Option<&[u8]>, now: Timestamp) -> bool {
            self.authenticate(header, now).is_some()
        }
    }

    fn header(token: &str) -> Vec<u8> {
        format!("BeArEr {token}").into_bytes()
    }

    #[test]
    fn only_own_tokens_authenticate() {
        let now = Timestamp(1_000_000_000_000);
        let tokens = tokens(now);
        let good = tokens.current().to_owned();
        assert!(good.starts_with("ey") && tokens.accepts(Some(&header(&good)), now));
        let claims = Claims::read_unverified(&good).unwrap();
        assert_eq!(claims.grpc_broadcast_address.as_deref(), Some("127.0.0.1:1"));
        let mut tampered = good.clone();
        tampered.replace_range(40..41, if &good[40..41] == "A" { "B" } else { "A" });
        for bad in ["", "x", "a.b.c", &tampered, &good[..good.len() - 1]] {
            assert!(!tokens.accepts(Some(&header(bad)), now), "{bad}");
        }
        for bad in [None, Some(&b""[..]), Some(good.as_bytes()), Some(&b"basic x"[..]), Some(&b"\xff \xff"[..])] {
            assert!(!tokens.accepts(bad, now));
        }
    }

    #[test]
    fn in_process_token_identifies_the_same_process() {
        let now = Timestamp(1_000_000_000_000);
        let (first, second) = (tokens(now), tokens(now));
        let caller = |tokens: &Tokens, token: &str| tokens.authenticate(Some(&header(token)), now);
        assert_eq!(caller(&first, first.in_process()), Some(Caller::SameProcess));
        assert_eq!(caller(&first, first.current()), Some(Caller::OtherProcess));
        assert_eq!(caller(&second, first.in_process()), Some(Caller::OtherProcess));
        assert_eq!(
            first.authenticate(Some(&header(first.in_process())), now.plus(LIFETIME)),
            Some(Caller::SameProcess)
        );
    }

    #[test]
    fn token_of_earlier_start_needs_same_key_and_tenant() {
        let now = Timestamp(1_000_000_000_000);
        let (first, second) = (tokens(now), tokens(now.plus(Duration::from_secs(5))));
        assert_ne!(first.current(), second.current());
        assert!(second.accepts(Some(&header(first.current())), now));
        let other_key = Tokens::new(&[8; KEY_BYTES], uuid::Uuid::nil().into(), "a:1", "http://a:1", now);
        assert!(!second.accepts(Some(&header(other_key.current())), now));
        let other_tenant = Tokens::new(&[7; KEY_BYTES], uuid::Uuid::max().into(), "a:1", "http://a:1", now);
        assert!(!second.accepts(Some(&header(other_tenant.current())), now));
    }

    #[test]
    fn tokens_stay_valid_during_long_uptime() {
        let start = Timestamp(1_800_000_000_000);
        let (earlier, tokens) = (tokens(start), tokens(start));
        for days in [0, 89, 90, 91, 20 * 365] {
            let now = start.plus(Duration::from_secs(days * 24 * 3600));
            for token in [tokens.current(), tokens.in_process(), earlier.current()] {
                assert!(tokens.accepts(Some(&header(token)), now), "after {days} days");
                let exp = Claims::read_unverified(token).unwrap().exp;
                assert!(exp.is_some_and(|exp| exp > now.0 / 1000), "a client would refuse it after {days} days");
            }
        }
        // The clock was set back by years: only tokens of this start are accepted.
        assert!(tokens.accepts(Some(&header(tokens.current())), Timestamp(1_000_000_000_000)));
        assert!(!tokens.accepts(Some(&header(earlier.current())), Timestamp(1_000_000_000_000)));
    }

    #[test]
    fn token_expires_at_its_expiry_claim() {
        let now = Timestamp(1_800_000_000_000);
        let tokens = tokens(now);
        let mut claims = Claims::read_unverified(tokens.current()).unwrap();
        claims.exp = Some(now.0 / 1000 + 10);
        let token = sign(&tokens.key, &serde_json::json!(claims).to_string());
        assert!(tokens.accepts(Some(&header(&token)), now.plus(Duration::from_secs(9))));
        assert!(!tokens.accepts(Some(&header(&token)), now.plus(Duration::from_secs(10))));
    }
}
