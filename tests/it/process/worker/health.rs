//! The health server of the worker.

use std::net::{SocketAddr, TcpListener};

use crate::process::{Program, Workspace};
use crate::support::page;

/// The address in the worker's log.
fn health_address(worker: &Program) -> SocketAddr {
    let line = worker.err.wait_for("serves health and metrics at http://");
    let (_, address) = line.split_once("http://").unwrap();
    address.trim_end_matches(|c: char| !c.is_ascii_digit()).split('"').next().unwrap().parse().unwrap()
}

#[test]
fn health_port_flag_enables_the_server() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--health-port", "0"]);
    let address = health_address(&worker);
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    worker.err.wait_for(&format!("  health    http://{address}/livez, /readyz, /health, /metrics"));
    assert_eq!(page(address, "/readyz").0, 200);
    workspace.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    let line = "hatchet_worker_attempts_total{task=\"externally-triggered-task\",outcome=\"completed\"} 1\n";
    assert!(page(address, "/metrics").1.contains(line));
    assert_eq!(page(address, "/elsewhere").0, 404);
    worker.stop().expect(0);
}

#[test]
fn health_server_is_off_by_default() {
    let workspace = Workspace::new();
    let output = workspace.worker(&["--embedded"]).stop().expect(0);
    assert!(!output.stderr.iter().any(|line| line.contains("health")), "{output:#?}");
}

#[test]
fn used_port_and_invalid_settings_are_exit_2() {
    let workspace = Workspace::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let run = |settings: &[(&str, &str)]| {
        let mut command = workspace.worker_command(&["--embedded"]);
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
fn bind_address_none_binds_all_addresses() {
    let workspace = Workspace::new();
    for value in ["None", "none"] {
        let mut command = workspace.worker_command(&["--embedded"]);
        command.envs([
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_ENABLED", "t"),
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_PORT", "0"),
            ("HATCHET_CLIENT_WORKER_HEALTHCHECK_BIND_ADDRESS", value),
        ]);
        let worker = Program::start(&mut command);
        worker.err.until("the banner", |line| line.starts_with("  tasks "));
        let address = health_address(&worker);
        assert!(address.ip().is_unspecified(), "{address}");
        assert_eq!(page(SocketAddr::from(([127, 0, 0, 1], address.port())), "/readyz").0, 200);
        worker.stop().expect(0);
    }
}
