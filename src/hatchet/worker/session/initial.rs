//! The initial registration of a worker process.
//!
//! Unlike a reconnect, it may fail permanently: the engine may not be running, or the address or TLS setting may be
//! wrong. So a failure is diagnosed with a second connection, and the wait is bounded:
//!
//! | peer | the registration fails |
//! |---|---|
//! | refuses connections | after [`WorkerOptions::wait_for_engine`] |
//! | has sent no byte, neither on the connection nor on a second one | after the same time, at least 4 s |
//! | has opened an HTTP/2 connection and does not respond | [`MIN_CALL_TIMEOUT`] after the call, at least |
//! | responds with a failure of its own | after [`RegistrationTimeout::MIN`], at least |
//!
//! [`WorkerOptions::wait_for_engine`]: crate::hatchet::worker::WorkerOptions::wait_for_engine

use std::{future::pending, pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    backoff::registration_backoff,
    registration::{WorkerDefinition, register},
};
use crate::hatchet::{
    client::Client,
    transport::{
        ClientError, DEFAULT_TIMEOUT, ErrorKind, ProbeResult, RegistrationTimeout, diagnose, explain_no_response,
        explain_probe, probe_address,
    },
    worker::state::{Registration, WorkerState},
};

/// Minimum timeout of each call, even if the remaining wait is shorter: a real engine under load took seconds.
const MIN_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time until a second connection is opened, which tests whether the peer sends anything. The transport of an engine
/// sends its settings immediately on a new connection, even if the engine is under load.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Registers the workers of a process, waiting up to `wait_for_engine` for an engine that does not respond.
pub(in crate::hatchet::worker) async fn register_initially(
    client: &Client,
    definitions: &[WorkerDefinition],
    wait_for_engine: Duration,
    state: &watch::Sender<WorkerState>,
) -> Result<Registration, ClientError> {
    let started = Instant::now();
    let remaining = || wait_for_engine.saturating_sub(started.elapsed());
    let timeout = RegistrationTimeout::start(wait_for_engine);
    let mut backoff = registration_backoff();
    loop {
        let error = match try_register(client, definitions, remaining(), &timeout).await {
            Ok(registration) => return Ok(registration),
            Err(error) => error,
        };
        if !error.is_temporary() || remaining().is_zero() {
            return Err(error);
        }
        state.send_replace(WorkerState::Connecting(Some(error.to_string())));
        sleep(backoff.next_delay().min(remaining())).await;
    }
}

/// Tries to register once, and replaces an unspecific error with its diagnosis.
async fn try_register(
    client: &Client,
    definitions: &[WorkerDefinition],
    remaining: Duration,
    timeout: &RegistrationTimeout,
) -> Result<Registration, ClientError> {
    // Whole seconds, since the diagnosis shows them.
    let call_timeout = Duration::from_secs(remaining.clamp(MIN_CALL_TIMEOUT, DEFAULT_TIMEOUT).as_secs());
    let mut silent_peer = pin!(wait_for_silent_peer(client, remaining));
    let registration = tokio::select! {
        biased;
        registration = register(client, definitions, call_timeout, timeout) => registration,
        error = &mut silent_peer => return Err(error),
    };
    let error = match registration {
        Ok(registration) => return Ok(registration),
        Err(error) => error,
    };
    let diagnosis = async {
        match error.kind() {
            ErrorKind::Unreachable => diagnose(&client.config()).await,
            ErrorKind::TimedOut => {
                let unanswered = || explain_no_response(&client.config(), call_timeout);
                Some(diagnose(&client.config()).await.unwrap_or_else(unanswered))
            }
            _ => None,
        }
    };
    let diagnosis = tokio::select! {
        biased;
        diagnosis = diagnosis => diagnosis,
        error = silent_peer => return Err(error),
    };
    Err(match diagnosis {
        Some(diagnosis) => ClientError::new(error.kind(), diagnosis),
        None => error,
    })
}

/// Resolves when the remaining wait has ended and the peer has sent nothing, neither on the connection of the running
/// call nor on a second one. Never resolves if the peer has sent anything: the running call then fails with a specific
/// error.
async fn wait_for_silent_peer(client: &Client, remaining: Duration) -> ClientError {
    let (started, received_before) = (Instant::now(), client.connection().bytes_received());
    let probe = async {
        sleep(PROBE_AFTER).await;
        probe_address(&client.config()).await
    };
    let (probed, ()) = tokio::join!(probe, sleep(remaining));
    if client.connection().bytes_received() != received_before {
        return pending().await;
    }
    match probed {
        ProbeResult::NoConnection(_) | ProbeResult::Blocked(_) | ProbeResult::Silent(_) => {
            let config = client.config();
            let message =
                explain_probe(&probed, &config).unwrap_or_else(|| explain_no_response(&config, started.elapsed()));
            ClientError::new(ErrorKind::TimedOut, message)
        }
        ProbeResult::Plaintext | ProbeResult::Tls | ProbeResult::UnknownProtocol => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;
    use crate::hatchet::transport::{ClientConfig, Tls, fixtures::config};

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the error of a registration at the address of this listener, and the time until it is returned.
    async fn registration_error(listener: &TcpListener, tls: Tls, wait_for_engine: Duration) -> (String, Duration) {
        let config = ClientConfig { tls, ..config(listener.local_addr().unwrap().to_string()) };
        let (client, started) = (Client::new(config).unwrap(), Instant::now());
        let state = watch::Sender::new(WorkerState::Connecting(None));
        let error = register_initially(&client, &[], wait_for_engine, &state).await;
        (error.unwrap_err().to_string(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn silent_peer_fails_the_registration_after_the_wait() {
        // The system accepts connections, and no process reads from them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The probe starts after 1 s and takes 3 s.
        for (wait, after) in [(Duration::ZERO, SECOND * 4), (SECOND * 2, SECOND * 4), (SECOND * 7, SECOND * 7)] {
            let (error, elapsed) = registration_error(&listener, Tls::None, wait).await;
            assert!(error.contains("accepted the connection and sent nothing for 3s"), "{error}");
            assert!((after..after + SECOND / 2).contains(&elapsed), "{wait:?}: {elapsed:?}");
        }
        // With TLS the probe proves nothing: a TLS server may ignore a client that does not speak TLS.
        let tls = Tls::On { root_ca: None, server_name: None, identity: None };
        let (error, elapsed) = registration_error(&listener, tls, SECOND * 2).await;
        assert!(error.contains("has not responded to a call for 4s. If it is an engine, see its log"), "{error}");
        assert!((SECOND * 4..SECOND * 9 / 2).contains(&elapsed), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn peer_that_opens_http2_gets_the_full_call_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accepting = async {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // The HTTP/2 settings frame, and nothing else.
                stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
                open.push(stream);
            }
        };
        let (error, elapsed) = tokio::select! {
            result = registration_error(&listener, Tls::None, SECOND * 2) => result,
            () = accepting => unreachable!(),
        };
        assert!(error.contains("has not responded to a call for 10s. If it is an engine, see its log"), "{error}");
        assert!((MIN_CALL_TIMEOUT..MIN_CALL_TIMEOUT + SECOND / 2).contains(&elapsed), "{elapsed:?}");
    }
}
