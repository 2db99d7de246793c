//! What really speaks at an address. A call that cannot connect says little; a few bytes say what to set.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    config::{ClientConfig, Tls},
    dial::{ConnectError, io_source, root_cause},
};
use crate::hatchet::system::out_of_files;

/// What answered at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// Nothing: refused, no such host, or silent. In words.
    Nothing(String),
    /// No connection could be opened, for a reason on this side: the proxy on the way there does not connect, or this
    /// process may open no more files. In words, with what to do.
    Blocked(String),
    /// HTTP/2 without TLS, as an engine without TLS.
    Plaintext,
    /// TLS.
    Tls,
    /// Something, but neither.
    Other,
    /// A connection was taken, and then nothing came. How it ended, in words.
    Silent(String),
}

/// HTTP/2's opening by a client, with empty settings: a plaintext engine answers with its own settings frame, a TLS
/// server with an alert.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const PATIENCE: Duration = Duration::from_secs(3);

/// Connects to the gRPC address, by the proxy that its calls take, and looks at the first bytes of the answer. Takes 6 s
/// at most, by a proxy 7 s.
pub async fn probe(config: &ClientConfig) -> Spoken {
    let route = match config.route() {
        Ok(route) => route,
        Err(e) => return Spoken::Blocked(e.to_string()),
    };
    // A proxy has a limit of its own, and names itself.
    let limit = if route.proxy().is_some() { PATIENCE * 2 } else { PATIENCE };
    let mut stream = match timeout(limit, route.open()).await {
        Err(_) => return Spoken::Nothing("no answer".to_owned()),
        Ok(Err(ConnectError::Proxy(why))) => return Spoken::Blocked(why),
        Ok(Err(e)) => {
            return match io_source(&e).and_then(out_of_files) {
                Some(why) => Spoken::Blocked(format!("no connection to {} can be opened: {why}", config.host_port)),
                None => Spoken::Nothing(root_cause(&e)),
            };
        }
        Ok(Ok(stream)) => stream,
    };
    let mut answer = [0_u8; 9];
    let exchange = async {
        stream.write_all(OPENING).await?;
        stream.read(&mut answer).await
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(0)) => Spoken::Silent("closed it".to_owned()),
        Ok(Ok(read)) => classify(&answer[..read]),
        Ok(Err(e)) => Spoken::Silent(format!("broke it: {e}")),
        Err(_) => Spoken::Silent(format!("said nothing for {PATIENCE:?}")),
    }
}

fn classify(answer: &[u8]) -> Spoken {
    match answer {
        // A TLS record: alert (21) or handshake (22), version 3.x.
        [21 | 22, 3, ..] => Spoken::Tls,
        // An HTTP/2 frame of type SETTINGS.
        [_, _, _, 4, ..] => Spoken::Plaintext,
        _ => Spoken::Other,
    }
}

/// In one line what is wrong with the address or the TLS setting, if the wire shows it.
pub async fn diagnose(config: &ClientConfig) -> Option<String> {
    judge(&probe(config).await, config)
}

/// In one line what does not fit the settings about what answered at their address.
pub fn judge(spoken: &Spoken, config: &ClientConfig) -> Option<String> {
    let address = &config.host_port;
    match (spoken, &config.tls) {
        (Spoken::Nothing(why), _) => Some(format!(
            "nothing answers at {address} ({why}): start the engine, or set HATCHET_CLIENT_HOST_PORT to where it is"
        )),
        (Spoken::Blocked(why), _) => Some(why.clone()),
        (Spoken::Plaintext, Tls::On { .. }) => {
            Some(format!("{address} speaks plaintext and we speak TLS: set HATCHET_CLIENT_TLS_STRATEGY=none"))
        }
        (Spoken::Tls, Tls::None) => {
            Some(format!("{address} speaks TLS and we speak plaintext: set HATCHET_CLIENT_TLS_STRATEGY=tls"))
        }
        (Spoken::Other, _) => Some(format!(
            "{address} answers, but not as a Hatchet engine: set HATCHET_CLIENT_HOST_PORT to its gRPC port (the REST port is another)"
        )),
        (Spoken::Silent(how), Tls::None) => Some(format!(
            "{address} took the connection and {how}: an engine that is just ending or starting, one with TLS \
             (HATCHET_CLIENT_TLS_STRATEGY=tls), or none at all (HATCHET_CLIENT_HOST_PORT is its gRPC port)"
        )),
        // Some TLS servers just close on what is no hello.
        (Spoken::Silent(_) | Spoken::Tls, Tls::On { .. }) | (Spoken::Plaintext, Tls::None) => None,
    }
}

/// In one line what to look for where the wire shows nothing wrong, and yet a call had no answer for so long.
pub fn unanswered(config: &ClientConfig, silent_for: Duration) -> String {
    format!(
        "{} has not answered a call for {silent_for:?}: an engine that hangs (look at its log), or none at all \
         (HATCHET_CLIENT_HOST_PORT is its gRPC port)",
        config.host_port
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        assert_eq!(classify(&[21, 3, 3, 0, 2, 2, 10]), Spoken::Tls);
        assert_eq!(classify(&[0, 0, 18, 4, 0, 0, 0, 0, 0]), Spoken::Plaintext);
        assert_eq!(classify(b"HTTP/1.1 "), Spoken::Other);
        assert_eq!(classify(b"x"), Spoken::Other);
    }
}
