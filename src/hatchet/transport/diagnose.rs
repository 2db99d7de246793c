//! Diagnosis of an address: the protocol of its server, and the setting that contradicts it.
//!
//! The error of a call that cannot connect rarely shows the reason. The first bytes of a response identify the
//! protocol, and thereby the setting to change.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    config::{ClientConfig, Tls},
    dial::{ConnectError, io_source, open},
    error::root_cause,
};
use crate::hatchet::{
    system::out_of_files,
    wire::{readable_duration, readable_seconds},
};

/// The response of an address to the start of an HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// No connection: refused, timed out, or no such host. Contains the cause.
    NoConnection(String),
    /// No connection for a local cause: the proxy does not connect, or this process may not open more files. Contains
    /// the whole error text.
    Blocked(String),
    /// HTTP/2 without TLS, as from an engine without TLS.
    Plaintext,
    /// The peer responded with a TLS record.
    Tls,
    /// The peer responded with neither TLS nor HTTP/2.
    UnknownProtocol,
    /// The connection was accepted, and no byte was received. Contains the action of the server that ended the wait, such
    /// as `closed it`.
    Silent(String),
}

/// HTTP/2's connection preface with empty settings. A plaintext engine responds with its own SETTINGS frame, a TLS
/// server with an alert.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// Timeout of connecting, and again of the wait for the first bytes.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to the gRPC address, through the proxy that calls use, and reads the first bytes of the response. Takes at
/// most 6 s, through a proxy 7 s.
pub(crate) async fn probe_address(config: &ClientConfig) -> ProbeResult {
    let route = match config.route() {
        Ok(route) => route,
        Err(e) => return ProbeResult::Blocked(e.to_string()),
    };
    // The tunnel through a proxy has a shorter timeout, whose error names the proxy.
    let connect_timeout = if route.proxy.is_some() { TIMEOUT * 2 } else { TIMEOUT };
    let mut stream = match timeout(connect_timeout, open(&route)).await {
        Err(_) => {
            return ProbeResult::NoConnection(format!("no response within {}", readable_duration(connect_timeout)));
        }
        Ok(Err(ConnectError::Proxy(message))) => return ProbeResult::Blocked(message),
        Ok(Err(e)) => {
            return match io_source(&e).and_then(out_of_files) {
                Some(cause) => ProbeResult::Blocked(format!("connecting to {} failed: {cause}", config.host_port)),
                None => ProbeResult::NoConnection(root_cause(&e)),
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
        Ok(Err(e)) => ProbeResult::Silent(format!("broke it ({e})")),
        Err(_) => ProbeResult::Silent(format!("sent nothing for {}", readable_duration(TIMEOUT))),
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

/// Probes the address and explains in one line the fault of the address or of the TLS setting. `None` if there is none.
pub(crate) async fn diagnose(config: &ClientConfig) -> Option<String> {
    explain_probe(&probe_address(config).await, config)
}

/// Explains in one line how the result of a probe contradicts the settings. `None` if it does not.
pub(crate) fn explain_probe(result: &ProbeResult, config: &ClientConfig) -> Option<String> {
    let address = &config.host_port;
    match (result, &config.tls) {
        (ProbeResult::NoConnection(cause), _) => Some(format!(
            "no server responds at {address} ({cause}). Start the engine, or set HATCHET_CLIENT_HOST_PORT to its address"
        )),
        (ProbeResult::Blocked(message), _) => Some(message.clone()),
        (ProbeResult::Plaintext, Tls::On { .. }) => Some(format!(
            "the server at {address} uses plaintext and this client uses TLS. Set HATCHET_CLIENT_TLS_STRATEGY=none"
        )),
        (ProbeResult::Tls, Tls::None) => Some(format!(
            "the server at {address} uses TLS and this client uses plaintext. Set HATCHET_CLIENT_TLS_STRATEGY=tls"
        )),
        (ProbeResult::UnknownProtocol, _) => Some(format!(
            "the server at {address} does not use gRPC. Set HATCHET_CLIENT_HOST_PORT to the engine's gRPC port, which differs \
             from its REST port"
        )),
        (ProbeResult::Silent(end), Tls::None) => Some(format!(
            "the server at {address} accepted the connection and {end}. If it is an engine that starts or stops, wait. If \
             it uses TLS, set HATCHET_CLIENT_TLS_STRATEGY=tls. Otherwise set HATCHET_CLIENT_HOST_PORT to the engine's gRPC \
             port"
        )),
        // Some TLS servers close the connection when the first bytes are not TLS.
        (ProbeResult::Silent(_) | ProbeResult::Tls, Tls::On { .. }) | (ProbeResult::Plaintext, Tls::None) => None,
    }
}

/// Explains in one line that a call had no response for `elapsed`, at an address whose probe shows no fault.
pub(crate) fn explain_no_response(config: &ClientConfig, elapsed: Duration) -> String {
    format!(
        "the server at {} has not responded to a call for {}. If it is an engine, see its log. Otherwise set \
         HATCHET_CLIENT_HOST_PORT to the engine's gRPC port",
        config.host_port,
        readable_seconds(elapsed)
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
