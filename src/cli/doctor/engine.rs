//! Checks that need the engine: the connection, the version, REST, the clock, and the workers.

use std::time::{Duration, SystemTime};

use super::{checklist::Checklist, version};
use crate::{
    cli::{
        Exit,
        connection::CommandRenderer,
        online_workers::{free_slots, workers_serving},
        task_registry::TaskRegistry,
    },
    hatchet::{
        client::{
            Client, ClientConfig, ErrorKind, ProbeResult, Tls, WorkerSummary, explain_no_response, explain_probe,
            probe_address,
        },
        wire::readable_duration,
    },
};

/// Clock differences up to 5 s are not reported: the `Date` header has whole seconds, and responses take time.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
/// Timeout of the call for the engine's version: 5 s.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the connection from TCP to an authenticated call. Returns a client if the engine can be used.
pub(super) async fn check_connection(checklist: &mut Checklist, config: ClientConfig) -> Result<Option<Client>, Exit> {
    if let Some(proxy) = config.proxy() {
        checklist.pass("proxy", &proxy)?;
    }
    let probed = probe_address(&config).await;
    let problem = explain_probe(&probed, &config);
    if let ProbeResult::NoConnection(reason) | ProbeResult::Blocked(reason) = &probed {
        checklist.fail("tcp", &problem.unwrap_or_else(|| reason.clone()))?;
        return Ok(None);
    }
    checklist.pass("tcp", &format!("{} accepts connections", config.host_port))?;
    if let Some(problem) = problem {
        checklist.fail("tls", &problem)?;
        return Ok(None);
    }
    // Some TLS servers close the connection of the probe without a response. Then the call below shows the problem.
    let is_silent = matches!(probed, ProbeResult::Silent(_));
    let tls = match &config.tls {
        Tls::None if config.is_loopback() => "off on both sides, on this machine".to_owned(),
        Tls::None => "off on both sides: the token and all data are sent unencrypted".to_owned(),
        Tls::On { .. } => format!("{}, and its certificate is trusted", config.tls.as_str()),
    };
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            checklist.fail_setting("tls", &error.to_string())?;
            return Ok(None);
        }
    };
    match client.engine_version_within(VERSION_TIMEOUT).await {
        Ok(version) => {
            checklist.pass("tls", &tls)?;
            checklist.pass("authentication", "the engine accepts the token")?;
            match version::check(&version) {
                (true, description) => checklist.pass("version", &description)?,
                (false, description) => checklist.fail("version", &description)?,
            }
            Ok(Some(client))
        }
        Err(error) => {
            let message = match error.kind() {
                ErrorKind::TimedOut => explain_no_response(&client.config(), VERSION_TIMEOUT),
                _ => error.to_string(),
            };
            if error.kind() == ErrorKind::Tls || is_silent {
                checklist.fail("tls", &message)?;
            } else {
                checklist.pass("tls", &tls)?;
                checklist.fail("authentication", &message)?;
            }
            Ok(None)
        }
    }
}

/// Checks REST, and over REST the clock and the workers.
pub(super) async fn check_rest(
    checklist: &mut Checklist,
    client: &Client,
    commands: &CommandRenderer,
    tasks: &TaskRegistry,
) -> Result<(), Exit> {
    let Some(rest) = client.rest() else {
        let unknown = "its address is unknown: set HATCHET_CLIENT_SERVER_URL";
        for check in ["rest", "clock", "workers"] {
            checklist.skip(check, unknown)?;
        }
        return Ok(());
    };
    let clock = async {
        let before = SystemTime::now();
        let clock = rest.clock().await;
        (before + before.elapsed().unwrap_or_default() / 2, clock)
    };
    // Concurrent calls, so that a silent address costs the timeout of one call.
    let ((middle, clock), workers) = tokio::join!(clock, rest.workers());
    let workers = match workers {
        Ok(workers) => workers,
        Err(error) => {
            let message = format!("{error} (a worker's drain and some messages need REST)");
            return match error.kind() {
                ErrorKind::Config => checklist.fail_setting("rest", &message),
                _ => checklist.fail("rest", &message),
            };
        }
    };
    checklist.pass("rest", client.config().server_url.as_deref().unwrap_or_default())?;
    match clock {
        // The header's time is truncated to a second; the middle of that second is the best estimate.
        Ok(Some(engine_time)) => match compare_clocks(middle, engine_time + Duration::from_millis(500)) {
            Ok(message) => checklist.pass("clock", &message)?,
            Err(message) => checklist.fail("clock", &message)?,
        },
        Ok(None) => checklist.skip("clock", "REST does not report its time")?,
        Err(error) => checklist.skip("clock", &error.to_string())?,
    }
    check_workers(checklist, client, commands, tasks, &workers)
}

/// Checks that a worker is online for each name of each task.
fn check_workers(
    checklist: &mut Checklist,
    client: &Client,
    commands: &CommandRenderer,
    tasks: &TaskRegistry,
    workers: &[WorkerSummary],
) -> Result<(), Exit> {
    for task in tasks.all() {
        for name in task.names() {
            let serving = workers_serving(client, name, workers);
            if serving.is_empty() {
                let start = commands.render(&["worker", "--tasks", name]);
                let message = format!("no worker is online: start one with `make run-worker` or `{start}`");
                checklist.report_workers(name, false, &message)?;
            } else {
                let free = free_slots(&serving);
                checklist.report_workers(name, true, &format!("{} online, {free} slot(s) free", serving.len()))?;
            }
        }
    }
    Ok(())
}

/// Describes the difference between both clocks. `Err` if it is larger than [`MAX_CLOCK_DIFFERENCE`].
fn compare_clocks(local: SystemTime, engine: SystemTime) -> Result<String, String> {
    let (difference, relation) = match local.duration_since(engine) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if difference <= MAX_CLOCK_DIFFERENCE {
        Ok("differs from the engine's by at most 5s".to_owned())
    } else {
        Err(format!(
            "this machine's clock is {} {relation} the engine's: set both by NTP, since tokens may expire early and \
             times are wrong",
            readable_duration(difference)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clock_difference_is_accepted() {
        let now = SystemTime::now();
        assert!(compare_clocks(now, now + Duration::from_secs(3)).is_ok());
        assert!(compare_clocks(now, now - Duration::from_secs(60)).unwrap_err().contains("1m ahead of"));
        assert!(compare_clocks(now, now + Duration::from_secs(60)).unwrap_err().contains("1m behind"));
    }
}
