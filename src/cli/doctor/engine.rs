//! What only the engine can tell.

use std::time::{Duration, SystemTime};

use super::{
    super::{Exit, connection::command::ConnectionWords, online_workers},
    checklist::Report,
    version,
};
use crate::{
    hatchet::client::{
        Client, ClientConfig, ErrorKind, ProbeResult, Tls, explain_probe, explain_unanswered, probe_address,
    },
    tasks,
};

/// The header of the engine's time has whole seconds, and answers take time; up to this a difference means nothing.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// An engine has this long to answer a call for its version.
const ANSWER: Duration = Duration::from_secs(5);

/// From the first packet to an accepted call. A client, if the engine can be worked with.
pub(super) async fn reach(report: &mut Report, config: ClientConfig) -> Result<Option<Client>, Exit> {
    if let Some(said) = config.proxy() {
        report.fine("proxy", &said)?;
    }
    let spoken = probe_address(&config).await;
    let objection = explain_probe(&spoken, &config);
    if let ProbeResult::NoAnswer(why) | ProbeResult::Blocked(why) = &spoken {
        report.broken("tcp", &objection.unwrap_or_else(|| why.clone()))?;
        return Ok(None);
    }
    report.fine("tcp", &format!("{} takes connections", config.host_port))?;
    if let Some(why) = objection {
        report.broken("tls", &why)?;
        return Ok(None);
    }
    // Some TLS servers just close on what is no hello: there the call finds out.
    let silent_tls = matches!(spoken, ProbeResult::Silent(_));
    let tls = match &config.tls {
        Tls::None if config.is_loopback() => "none on either side, on this machine".to_owned(),
        Tls::None => "none on either side: the token and all data go unencrypted".to_owned(),
        Tls::On { .. } => format!("{}, and its certificate is trusted", config.tls.as_str()),
    };
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            report.wrong("tls", &error.to_string())?;
            return Ok(None);
        }
    };
    match client.engine_version_within(ANSWER).await {
        Ok(version) => {
            report.fine("tls", &tls)?;
            report.fine("authentication", "the engine takes the token")?;
            match version::judge(&version) {
                (true, said) => report.fine("version", &said)?,
                (false, said) => report.broken("version", &said)?,
            }
            Ok(Some(client))
        }
        Err(error) => {
            let message = match error.kind() {
                ErrorKind::TimedOut => explain_unanswered(&client.config(), ANSWER),
                _ => error.to_string(),
            };
            if error.kind() == ErrorKind::Tls || silent_tls {
                report.broken("tls", &message)?;
            } else {
                report.fine("tls", &tls)?;
                report.broken("authentication", &message)?;
            }
            Ok(None)
        }
    }
}

/// What comes over REST: the clock, and the workers.
pub(super) async fn rest(report: &mut Report, client: &Client, words: &ConnectionWords) -> Result<(), Exit> {
    let Some(rest) = client.rest() else {
        let unknown = "its address is not known: set HATCHET_CLIENT_SERVER_URL";
        for check in ["rest", "clock", "workers"] {
            report.skipped(check, unknown)?;
        }
        return Ok(());
    };
    let clock = async {
        let before = SystemTime::now();
        let clock = rest.clock().await;
        (before + before.elapsed().unwrap_or_default() / 2, clock)
    };
    // Together, so that a REST address that says nothing costs the limit of one call.
    let ((middle, clock), workers) = tokio::join!(clock, rest.workers());
    let workers = match workers {
        Ok(workers) => workers,
        Err(error) => {
            let message = format!("{error} (a worker's drain and some messages are the poorer without it)");
            return match error.kind() {
                ErrorKind::Config => report.wrong("rest", &message),
                _ => report.broken("rest", &message),
            };
        }
    };
    report.fine("rest", client.config().server_url.as_deref().unwrap_or_default())?;
    match clock {
        // The header's time is cut to a second.
        Ok(Some(theirs)) => match compare(middle, theirs + Duration::from_millis(500)) {
            Ok(said) => report.fine("clock", &said)?,
            Err(said) => report.broken("clock", &said)?,
        },
        Ok(None) => report.skipped("clock", "REST does not say its time")?,
        Err(error) => report.skipped("clock", &error.to_string())?,
    }
    for task in tasks::all() {
        for name in task.names() {
            let able = online_workers::able(client, name, &workers);
            if able.is_empty() {
                let start = words.command(&["worker", "--tasks", name]);
                let message = format!("none is online: start one with `make run-worker` or `{start}`");
                report.workers(name, false, &message)?;
            } else {
                let free = online_workers::free_slots(&able);
                report.workers(name, true, &format!("{} online, {free} slot(s) free", able.len()))?;
            }
        }
    }
    Ok(())
}

fn compare(ours: SystemTime, theirs: SystemTime) -> Result<String, String> {
    let (difference, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if difference <= CLOCKS_AGREE {
        Ok("agrees with the engine's, to the second".to_owned())
    } else {
        Err(format!(
            "this machine's is {} s {word} the engine's: set both by NTP, or tokens end early and times are wrong",
            difference.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let now = SystemTime::now();
        assert!(compare(now, now + Duration::from_secs(3)).is_ok());
        assert!(compare(now, now - Duration::from_secs(60)).unwrap_err().contains("60 s ahead of"));
        assert!(compare(now, now + Duration::from_secs(60)).unwrap_err().contains("60 s behind"));
    }
}
