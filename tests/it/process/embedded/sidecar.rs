//! `worker -handshake-file …`, a replacement of Hatchet's embedded sidecar.

use std::process::{Command, Stdio};

use hatchet_quickstart::hatchet::system::Handshake;

use crate::process::{Program, Workspace};
use crate::support::{Rest, free_port, until};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// A command whose stdin stays open until the program is dropped.
fn sidecar_command(workspace: &Workspace, args: &[&str]) -> Command {
    let mut command = workspace.worker_command(&[&["-handshake-file", "h.json"], args].concat());
    command.stdin(Stdio::piped());
    command
}

fn start_sidecar(workspace: &Workspace, args: &[&str]) -> (Program, Handshake) {
    let sidecar = Program::start(&mut sidecar_command(workspace, args));
    let handshake = wait_for_handshake(workspace);
    (sidecar, handshake)
}

/// Waits for the handshake file, as an SDK does.
fn wait_for_handshake(workspace: &Workspace) -> Handshake {
    until("a handshake file", || serde_json::from_str(&std::fs::read_to_string(workspace.path("h.json")).ok()?).ok())
}

/// HTTP status of a request for the tenant.
fn tenant_status(base: &str, handshake: &Handshake) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rest = Rest::new(base, &handshake.token);
    runtime.block_on(rest.get(&format!("/api/v1/tenants/{}", handshake.tenant_id))).0
}

#[test]
fn sidecar_serves_until_its_stdin_ends() {
    use std::os::unix::fs::PermissionsExt as _;
    let workspace = Workspace::new();
    let (mut sidecar, handshake) = start_sidecar(&workspace, &["-log-level", "info"]);
    assert_eq!(std::fs::metadata(workspace.path("h.json")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(handshake.api_url, format!("http://{}", handshake.grpc_address));
    // A worker on the same folder uses the sidecar's engine.
    let worker = workspace.worker(&["--embedded"]);
    worker.err.wait_for("joins the engine of another process");
    workspace.runner(&HELLO).expect(0);
    worker.stop().expect(0);
    sidecar.close_stdin();
    sidecar.wait().expect(0).expect_stderr("serving at");
    assert!(!workspace.path(".hatchet/handshake.json").exists(), "the sidecar has stopped its engine");
}

#[test]
fn signal_ends_the_sidecar() {
    let workspace = Workspace::new();
    start_sidecar(&workspace, &[]).0.stop().expect(0);
}

#[test]
fn settings_of_the_sdk_are_ignored() {
    let workspace = Workspace::new();
    workspace.write(".env", "HATCHET_CLIENT_LOG_LEVEL=nonsense\n");
    std::fs::hard_link(env!("CARGO_BIN_EXE_worker"), workspace.path("other")).unwrap();
    let mut command = sidecar_command(&workspace, &[]);
    command
        .env("HATCHET_CLIENT_EMBEDDED_BINARY_PATH", workspace.path("other"))
        .env("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "postgres://nobody@127.0.0.1/none")
        .env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "nonsense")
        .env("HATCHET_EMBEDDED_DIR", "elsewhere")
        .env("HATCHET_EMBEDDED_HANDSHAKE", "{}")
        .env("HATCHET_CLIENT_TOKEN", "ey");
    let sidecar = Program::start(&mut command);
    let handshake = wait_for_handshake(&workspace);
    assert_eq!(tenant_status(&handshake.api_url, &handshake), 200);
    assert!(workspace.path(".hatchet/handshake.json").exists() && !workspace.path("elsewhere").exists());
    #[cfg(target_os = "linux")]
    assert!(sidecar.children().is_empty());
    sidecar.stop().expect(0);
}

#[test]
fn flags_set_ports_and_folder() {
    let workspace = Workspace::new();
    let (grpc, api) = (free_port(), free_port());
    let args = ["-grpc-port", &grpc.to_string(), "-api-port", &api.to_string(), "-postgres-data-dir", "data"];
    let (sidecar, handshake) = start_sidecar(&workspace, &args);
    assert_eq!(handshake.grpc_address, format!("127.0.0.1:{grpc}"));
    assert_eq!(handshake.api_url, format!("http://127.0.0.1:{api}"));
    assert_eq!(tenant_status(&handshake.api_url, &handshake), 200);
    assert!(workspace.path("data/hatchet-quickstart/handshake.json").exists() && !workspace.path(".hatchet").exists());
    sidecar.stop().expect(0);
}

#[test]
fn no_api_serves_grpc_only() {
    let workspace = Workspace::new();
    let (sidecar, handshake) = start_sidecar(&workspace, &["-no-api"]);
    assert_eq!(handshake.api_url, "");
    assert_eq!(tenant_status(&format!("http://{}", handshake.grpc_address), &handshake), 404);
    let worker = workspace.worker(&["--embedded"]);
    workspace.runner(&HELLO).expect(0);
    worker.stop().expect(0);
    sidecar.stop().expect(0);
}

#[test]
fn engine_of_another_process_is_announced_and_replaced() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let (sidecar, handshake) = start_sidecar(&workspace, &["-log-level", "info"]);
    assert_eq!(handshake.grpc_address, workspace.handshake().grpc_address);
    engine.stop().expect(0);
    sidecar.err.wait_for(&format!("serving at {}", handshake.grpc_address));
    assert_eq!(tenant_status(&handshake.api_url, &handshake), 200, "the announced token stays valid");
    sidecar.stop().expect(0);
}

#[test]
fn port_with_an_engine_of_another_process_is_exit_5() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let mut command = sidecar_command(&workspace, &["-grpc-port", &free_port().to_string()]);
    Program::start(&mut command).wait().expect_error(5, &["another process runs an engine on .hatchet"]);
    engine.stop().expect(0);
}

#[test]
fn invalid_flag_is_one_error_line() {
    let workspace = Workspace::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (args, code, parts) in [
        (&["-database-url", "postgres://u:geheim@h/d"][..], 2, &["-database-url", "no Postgres"][..]),
        (&["-rabbitmq-url", "amqp://u:geheim@h"], 2, &["-rabbitmq-url", "no RabbitMQ"]),
        (&["-grpc-port", &port], 5, &["listening on 127.0.0.1:", "address in use"]),
        (&["-api-port", &port], 5, &["listening on 127.0.0.1:", "address in use"]),
        (&["-log-level", "loud"], 2, &["\"loud\"", "from -log-level"]),
    ] {
        let output = Program::start(&mut sidecar_command(&workspace, args)).wait().expect_error(code, parts);
        assert!(!output.stderr.concat().contains("geheim"), "{output:?}");
        assert!(!workspace.path("h.json").exists());
    }
    for args in [&["-grpc-port", "65536"][..], &["-unheard-of"]] {
        Program::start(&mut sidecar_command(&workspace, args)).wait().expect(2);
    }
    let mut command = workspace.worker_command(&["-handshake-file", "none/h.json"]);
    Program::start(&mut command).wait().expect_error(2, &["-handshake-file: writing none/h.json failed"]);
    assert!(!workspace.path(".hatchet/handshake.json").exists(), "the engine has stopped");
}

#[test]
fn handshake_file_in_used_folder_starts_new_engine() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let other = workspace.handshake();
    std::os::unix::fs::symlink(workspace.path(""), workspace.path("link")).unwrap();
    let path = workspace.path(".hatchet/h.json");
    for file in [".hatchet/h.json", "./.hatchet/h.json", path.to_str().unwrap(), "link/.hatchet/h.json"] {
        let mut command = workspace.worker_command(&["-handshake-file", file]);
        let sidecar = Program::start(command.stdin(Stdio::piped()));
        let read = || serde_json::from_str(&std::fs::read_to_string(&path).ok()?).ok();
        let own: Handshake = until("a handshake file", read);
        assert_ne!(own.grpc_address, other.grpc_address, "{file}");
        sidecar.stop().expect(0);
        std::fs::remove_file(&path).unwrap();
    }
    engine.stop().expect(0);
}
