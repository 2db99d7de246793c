//! Diagnosis of an address: which protocol is spoken there, and which setting does not fit.
//!
//! A call that cannot connect says little about the reason. The first bytes of a response say which setting to change.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    config::{ClientConfig, Tls},
    dial::{ConnectError, io_source, open, root_cause},
};
use crate::hatchet::system::out_of_files;

/// The response of an address to the start of an HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// No connection: refused, timed out, or no such host. Holds the reason.
    NoAnswer(String),
    /// No connection for a reason on this side: the proxy does not connect, or this process may not open more files. Holds
    /// the reason and what to do.
    Blocked(String),
    /// HTTP/2 without TLS, as from an engine without TLS.
    Plaintext,
    /// TLS.
    Tls,
    /// Another protocol.
    UnknownProtocol,
    /// The connection was accepted, and no byte was received. Holds how it ended.
    Silent(String),
}

/// HTTP/2's connection preface with empty settings. A plaintext engine answers with its own SETTINGS frame, a TLS server
/// with an alert.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// Limit for the connection and again for the first bytes.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to the gRPC address, through the proxy that calls use, and reads the first bytes of the response. Takes at
/// most 6 s, through a proxy 7 s.
pub async fn probe_address(config: &ClientConfig) -> ProbeResult {
    let route = match config.route() {
        Ok(route) => route,
        Err(e) => return ProbeResult::Blocked(e.to_string()),
    };
    // A proxy has a shorter timeout of its own, whose error names it.
    let connect_timeout = if route.proxy.is_some() { TIMEOUT * 2 } else { TIMEOUT };
    let mut stream = match timeout(connect_timeout, open(&route)).await {
        Err(_) => return ProbeResult::NoAnswer("no answer".to_owned()),
        Ok(Err(ConnectError::Proxy(why))) => return ProbeResult::Blocked(why),
        Ok(Err(e)) => {
            return match io_source(&e).and_then(out_of_files) {
                Some(why) => {
                    ProbeResult::Blocked(format!("no connection to {} can be opened: {why}", config.host_port))
                }
                None => ProbeResult::NoAnswer(root_cause(&e)),
            };
        }
        Ok(Ok(stream)) => stream,
    };
    let mut response = [0_u8; 9];
    let exchange = async {
        stream.write_all(PREFACE).await?;
        stream.read(&mut response).await
    };
    match timeout(TIMEOUT, exchange).await {
        Ok(Ok(0)) => ProbeResult::Silent("closed it".to_owned()),
        Ok(Ok(read)) => classify(&response[..read]),
        Ok(Err(e)) => ProbeResult::Silent(format!("broke it: {e}")),
        Err(_) => ProbeResult::Silent(format!("said nothing for {TIMEOUT:?}")),
    }
}

fn classify(response: &[u8]) -> ProbeResult {
    match response {
        // A TLS record: alert (21) or handshake (22), version 3.x.
        [21 | 22, 3, ..] => ProbeResult::Tls,
        // An HTTP/2 frame of type SETTINGS.
        [_, _, _, 4, ..] => ProbeResult::Plaintext,
        _ => ProbeResult::UnknownProtocol,
    }
}

/// Probes the address and explains in one line what is wrong with it or with the TLS setting. `None` if nothing is.
pub async fn diagnose(config: &ClientConfig) -> Option<String> {
    explain_probe(&probe_address(config).await, config)
}

/// Explains in one line how the result of a probe contradicts the settings. `None` if it does not.
pub fn explain_probe(result: &ProbeResult, config: &ClientConfig) -> Option<String> {
    let address = &config.host_port;
    match (result, &config.tls) {
        (ProbeResult::NoAnswer(why), _) => Some(format!(
            "nothing answers at {address} ({why}): start the engine, or set HATCHET_CLIENT_HOST_PORT to where it is"
        )),
        (ProbeResult::Blocked(why), _) => Some(why.clone()),
        (ProbeResult::Plaintext, Tls::On { .. }) => {
            Some(format!("{address} speaks plaintext and we speak TLS: set HATCHET_CLIENT_TLS_STRATEGY=none"))
        }
        (ProbeResult::Tls, Tls::None) => {
            Some(format!("{address} speaks TLS and we speak plaintext: set HATCHET_CLIENT_TLS_STRATEGY=tls"))
        }
        (ProbeResult::UnknownProtocol, _) => Some(format!(
            "{address} answers, but not as a Hatchet engine: set HATCHET_CLIENT_HOST_PORT to its gRPC port (the REST port \
             is another)"
        )),
        (ProbeResult::Silent(how), Tls::None) => Some(format!(
            "{address} took the connection and {how}: an engine that is just ending or starting, one with TLS \
             (HATCHET_CLIENT_TLS_STRATEGY=tls), or none at all (HATCHET_CLIENT_HOST_PORT is its gRPC port)"
        )),
        // Some TLS servers close the connection when the first bytes are not TLS.
        (ProbeResult::Silent(_) | ProbeResult::Tls, Tls::On { .. }) | (ProbeResult::Plaintext, Tls::None) => None,
    }
}

/// Explains in one line that a call was not answered for `elapsed`, for an address whose probe shows nothing wrong.
pub fn explain_unanswered(config: &ClientConfig, elapsed: Duration) -> String {
    format!(
        "{} has not answered a call for {elapsed:?}: an engine that hangs (look at its log), or none at all \
         (HATCHET_CLIENT_HOST_PORT is its gRPC port)",
        config.host_port
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_is_recognized_by_first_bytes() {
        assert_eq!(classify(&[21, 3, 3, 0, 2, 2, 10]), ProbeResult::Tls);
        assert_eq!(classify(&[0, 0, 18, 4, 0, 0, 0, 0, 0]), ProbeResult::Plaintext);
        assert_eq!(classify(b"HTTP/1.1 "), ProbeResult::UnknownProtocol);
        assert_eq!(classify(b"x"), ProbeResult::UnknownProtocol);
    }
}
