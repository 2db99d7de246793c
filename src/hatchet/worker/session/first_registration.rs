//! The first registration, where the engine may not be up yet, or never.

use std::{future::pending, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::registration::{Registration, register};
use crate::hatchet::{
    client::Client,
    transport::{
        Backoff, ClientError, DEFAULT_TIMEOUT, ErrorKind, ProbeResult, RegistrationTimeout, diagnose, explain_probe,
        explain_unanswered, probe_address,
    },
    worker::{
        LinkState, Registered,
        lifecycle::{FIRST_WAIT, LONGEST_WAIT},
    },
};

/// Each call has this long without a sign of life at least, however little patience the options leave: a real engine
/// under load was seen to need seconds.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// But an engine's side of a connection is opened by its transport, whatever the engine does: where this long has
/// brought nothing, a second connection is made to see whether anybody is there.
const OPENING: Duration = Duration::from_secs(1);

/// Registers for the first time. An engine that does not answer is waited for only as long as `wait_for_engine`, and
/// what is wrong with the address or TLS is found out and said. One that answers that it failed is asked again for at
/// least [`RegistrationTimeout::MIN`].
pub(in crate::hatchet::worker) async fn first_registration(
    client: &Client,
    registrations: &[Registration],
    wait_for_engine: Duration,
    state: &watch::Sender<LinkState>,
) -> Result<Registered, ClientError> {
    let begun = Instant::now();
    let left = || wait_for_engine.saturating_sub(begun.elapsed());
    let timeout = RegistrationTimeout::start(wait_for_engine);
    let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let error = match once(client, registrations, left(), &timeout).await {
            Ok(registered) => return Ok(registered),
            Err(error) => error,
        };
        if !error.is_temporary() || left().is_zero() {
            return Err(error);
        }
        state.send_replace(LinkState::Connecting(Some(error.to_string())));
        sleep(waits.next_delay().min(left())).await;
    }
}

/// One try, with this much of the options' patience left.
async fn once(
    client: &Client,
    registrations: &[Registration],
    left: Duration,
    timeout: &RegistrationTimeout,
) -> Result<Registered, ClientError> {
    // Whole seconds, for people to read.
    let patience = Duration::from_secs(left.clamp(FIRST_ANSWER, DEFAULT_TIMEOUT).as_secs());
    let registered = tokio::select! {
        biased;
        registered = register(client, registrations, patience, timeout) => registered,
        nobody = nobody(client, left) => return Err(nobody),
    };
    let error = match registered {
        Ok(registered) => return Ok(registered),
        Err(error) => error,
    };
    let why = match error.kind() {
        ErrorKind::Unreachable => diagnose(&client.config()).await,
        ErrorKind::TimedOut => {
            Some(diagnose(&client.config()).await.unwrap_or_else(|| explain_unanswered(&client.config(), patience)))
        }
        _ => None,
    };
    Err(match why {
        Some(why) => ClientError::new(error.kind(), why),
        None => error,
    })
}

/// Ends when there is nothing to wait for any more: no patience is left, and whoever has the address has said nothing
/// at all, neither on the connection of the call that is under way nor on a second one.
async fn nobody(client: &Client, left: Duration) -> ClientError {
    let (begun, before) = (Instant::now(), client.connection().bytes_received());
    let look = async {
        sleep(OPENING).await;
        probe_address(&client.config()).await
    };
    let (spoken, ()) = tokio::join!(look, sleep(left));
    if client.connection().bytes_received() != before {
        return pending().await;
    }
    match spoken {
        ProbeResult::NoAnswer(_) | ProbeResult::Blocked(_) | ProbeResult::Silent(_) => {
            let config = client.config();
            let silent_for = Duration::from_secs(begun.elapsed().as_secs());
            let why = explain_probe(&spoken, &config).unwrap_or_else(|| explain_unanswered(&config, silent_for));
            ClientError::new(ErrorKind::TimedOut, why)
        }
        // The call finds out what it is.
        ProbeResult::Plaintext | ProbeResult::Tls | ProbeResult::UnknownProtocol => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;
    use crate::hatchet::{
        transport::{ClientConfig, Tls},
        worker::drain::tests::config,
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// What a registration ends with, and after how long, at the address of this listener.
    async fn ended(listener: &TcpListener, tls: Tls, wait_for_engine: Duration) -> (String, Duration) {
        let config = ClientConfig { tls, ..config(listener.local_addr().unwrap().to_string()) };
        let (client, begun) = (Client::new(config).unwrap(), Instant::now());
        let state = watch::Sender::new(LinkState::Connecting(None));
        let error = first_registration(&client, &[], wait_for_engine, &state).await;
        (error.unwrap_err().to_string(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up_when_the_patience_is_over() {
        // The system takes its connections, and nobody reads them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The look begins after 1 s, and takes 3.
        for (wait, after) in [(Duration::ZERO, SECOND * 4), (SECOND * 2, SECOND * 4), (SECOND * 7, SECOND * 7)] {
            let (said, took) = ended(&listener, Tls::None, wait).await;
            assert!(said.contains("took the connection and said nothing for 3s"), "{said}");
            assert!((after..after + SECOND / 2).contains(&took), "{wait:?}: {took:?}");
        }
        // And where it might be one that does not answer what is no TLS.
        let tls = Tls::On { root_ca: None, server_name: None, identity: None };
        let (said, took) = ended(&listener, tls, SECOND * 2).await;
        assert!(said.contains("has not answered a call for 4s: an engine that hangs"), "{said}");
        assert!((SECOND * 4..SECOND * 9 / 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_opens_has_the_time_of_a_slow_engine() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let opens = async {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // HTTP/2's settings, and never another word.
                stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
                open.push(stream);
            }
        };
        let (said, took) = tokio::select! {
            ended = ended(&listener, Tls::None, SECOND * 2) => ended,
            () = opens => unreachable!(),
        };
        assert!(said.contains("has not answered a call for 10s: an engine that hangs"), "{said}");
        assert!((FIRST_ANSWER..FIRST_ANSWER + SECOND / 2).contains(&took), "{took:?}");
    }
}
