//! Health and metrics of the worker binary.

use std::net::{SocketAddr, TcpListener};

use super::{Place, Program};
use crate::support::page;

/// Where a worker said that it serves.
fn address(worker: &Program) -> SocketAddr {
    let said = worker.err.until_said("serves health and metrics at http://");
    let (_, address) = said.split_once("http://").unwrap();
    address.trim_end_matches(|c: char| !c.is_ascii_digit()).split('"').next().unwrap().parse().unwrap()
}

#[test]
fn on_by_a_flag_with_its_real_port() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--health-port", "0"]);
    let at = address(&worker);
    assert!(at.ip().is_loopback() && at.port() != 0, "{at}");
    worker.err.until_said(&format!("  health    http://{at}/livez, /readyz, /health, /metrics"));
    assert_eq!(page(at, "/readyz").0, 200);
    place.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    let line = "hatchet_worker_attempts_total{task=\"externally-triggered-task\",outcome=\"completed\"} 1\n";
    assert!(page(at, "/metrics").1.contains(line));
    assert_eq!(page(at, "/elsewhere").0, 404);
    worker.stop().expect(0);
}

#[test]
fn off_unless_asked_for() {
    let place = Place::new();
    let ended = place.worker(&["--embedded"]).stop().expect(0);
    assert!(!ended.stderr.iter().any(|line| line.contains("health")), "{ended:#?}");
}

#[test]
fn a_port_that_is_taken_and_settings_that_are_wrong() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = |settings: &[(&str, &str)]| {
        let mut command = place.worker_command(&["--embedded"]);
        command.env("HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED", "1").envs(settings.iter().copied());
        Program::start(&mut command).wait()
    };
    let parts = [port.as_str(), "HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT", "--health-port"];
    run(&[("HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT", &port)]).expect_error(2, &parts);
    for (name, value) in [
        ("HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT", "eighty"),
        ("HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS", "everywhere"),
    ] {
        run(&[(name, value)]).expect_error(2, &[name, value]);
    }
}

#[test]
fn bind_address_none_is_all_addresses() {
    let place = Place::new();
    for word in ["None", "none"] {
        let mut command = place.worker_command(&["--embedded"]);
        command.envs([
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED", "t"),
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT", "0"),
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS", word),
        ]);
        let worker = Program::start(&mut command);
        worker.err.until("the banner", |line| line.starts_with("  tasks "));
        let at = address(&worker);
        assert!(at.ip().is_unspecified(), "{at}");
        assert_eq!(page(SocketAddr::from(([127, 0, 0, 1], at.port())), "/readyz").0, 200);
        worker.stop().expect(0);
    }
}
