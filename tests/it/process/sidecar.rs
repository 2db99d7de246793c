//! `worker -handshake-file …`: in the place of Hatchet's own embedded sidecar.

use std::process::{Command, Stdio};

use hatchet_quickstart::hatchet::system::Handshake;

use super::{Place, Program};
use crate::support::{Rest, free_port, until};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// With a stdin that stays open as long as the program is not dropped.
fn sidecar_command(place: &Place, words: &[&str]) -> Command {
    let mut command = place.worker_command(&[&["-handshake-file", "h.json"], words].concat());
    command.stdin(Stdio::piped());
    command
}

fn sidecar(place: &Place, words: &[&str]) -> (Program, Handshake) {
    let sidecar = Program::start(&mut sidecar_command(place, words));
    let handshake = handshake(place);
    (sidecar, handshake)
}

/// Waits for the file as an SDK does.
fn handshake(place: &Place) -> Handshake {
    until("a handshake file", || serde_json::from_str(&std::fs::read_to_string(place.path("h.json")).ok()?).ok())
}

/// The status of the tenant's page, asked for with the token.
fn tenant_page(base: &str, handshake: &Handshake) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rest = Rest::new(base, &handshake.token);
    runtime.block_on(rest.get(&format!("/api/v1/tenants/{}", handshake.tenant_id))).0
}

#[test]
fn it_tells_where_it_is_serves_and_ends_with_its_stdin() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let (mut sidecar, handshake) = sidecar(&place, &["-log-level", "info"]);
    assert_eq!(std::fs::metadata(place.path("h.json")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(handshake.api_url, format!("http://{}", handshake.grpc_address));
    // Where an SDK is, a worker of ours on the same folder is too.
    let worker = place.worker(&["--embedded"]);
    worker.err.until_said("joins the one of another process");
    place.runner(&HELLO).expect(0);
    worker.stop().expect(0);
    sidecar.close_stdin();
    sidecar.wait().expect(0).expect_said("serves at");
    assert!(!place.path(".hatchet/handshake.json").exists(), "an end in order");
}

#[test]
fn a_signal_ends_it_too() {
    let place = Place::new();
    sidecar(&place, &[]).0.stop().expect(0);
}

#[test]
fn it_reads_no_setting_of_the_sdk_that_started_it_and_starts_nothing() {
    let place = Place::new();
    place.write(".env", "HATCHET_CLIENT_LOG_LEVEL=nonsense\n");
    std::fs::hard_link(env!("CARGO_BIN_EXE_worker"), place.path("other")).unwrap();
    let mut command = sidecar_command(&place, &[]);
    command
        .env("HATCHET_CLIENT_EMBEDDED_BINARY_PATH", place.path("other"))
        .env("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "postgres://nobody@127.0.0.1/none")
        .env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "nonsense")
        .env("HATCHET_EMBEDDED_DIR", "elsewhere")
        .env("HATCHET_EMBEDDED_HANDSHAKE", "{}")
        .env("HATCHET_CLIENT_TOKEN", "ey");
    let sidecar = Program::start(&mut command);
    let handshake = handshake(&place);
    assert_eq!(tenant_page(&handshake.api_url, &handshake), 200);
    assert!(place.path(".hatchet/handshake.json").exists() && !place.path("elsewhere").exists());
    #[cfg(target_os = "linux")]
    assert!(sidecar.children().is_empty());
    sidecar.stop().expect(0);
}

#[test]
fn the_ports_and_the_folder_that_were_asked_for() {
    let place = Place::new();
    let (grpc, api) = (free_port(), free_port());
    let words = ["-grpc-port", &grpc.to_string(), "-api-port", &api.to_string(), "-postgres-data-dir", "data"];
    let (sidecar, handshake) = sidecar(&place, &words);
    assert_eq!(handshake.grpc_address, format!("127.0.0.1:{grpc}"));
    assert_eq!(handshake.api_url, format!("http://127.0.0.1:{api}"));
    assert_eq!(tenant_page(&handshake.api_url, &handshake), 200);
    assert!(place.path("data/hatchet-quickstart/handshake.json").exists() && !place.path(".hatchet").exists());
    sidecar.stop().expect(0);
}

#[test]
fn without_the_rest_part() {
    let place = Place::new();
    let (sidecar, handshake) = sidecar(&place, &["-no-api"]);
    assert_eq!(handshake.api_url, "");
    assert_eq!(tenant_page(&format!("http://{}", handshake.grpc_address), &handshake), 404);
    let worker = place.worker(&["--embedded"]);
    place.runner(&HELLO).expect(0);
    worker.stop().expect(0);
    sidecar.stop().expect(0);
}

#[test]
fn an_engine_of_another_process_is_handed_on_and_succeeded() {
    let place = Place::new();
    let engine = place.engine();
    let (sidecar, handshake) = sidecar(&place, &["-log-level", "info"]);
    assert_eq!(handshake.grpc_address, place.handshake().grpc_address);
    engine.stop().expect(0);
    sidecar.err.until_said(&format!("serves at {}", handshake.grpc_address));
    assert_eq!(tenant_page(&handshake.api_url, &handshake), 200, "the token that was told is good");
    sidecar.stop().expect(0);
}

#[test]
fn a_handed_on_engine_and_a_port_asked_for_do_not_go_together() {
    let place = Place::new();
    let engine = place.engine();
    let mut command = sidecar_command(&place, &["-grpc-port", &free_port().to_string()]);
    Program::start(&mut command).wait().expect_error(5, &["another process runs an engine on .hatchet"]);
    engine.stop().expect(0);
}

#[test]
fn what_it_cannot_do_it_says_in_a_line() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (words, code, parts) in [
        (&["-database-url", "postgres://u:geheim@h/d"][..], 2, &["-database-url", "no Postgres"][..]),
        (&["-rabbitmq-url", "amqp://u:geheim@h"], 2, &["-rabbitmq-url", "no RabbitMQ"]),
        (&["-grpc-port", &port], 5, &["cannot listen on 127.0.0.1:", "address in use"]),
        (&["-api-port", &port], 5, &["cannot listen on 127.0.0.1:", "address in use"]),
        (&["-log-level", "loud"], 2, &["`loud`", "from -log-level"]),
    ] {
        let ended = Program::start(&mut sidecar_command(&place, words)).wait().expect_error(code, parts);
        assert!(!ended.stderr.concat().contains("geheim"), "{ended:?}");
        assert!(!place.path("h.json").exists());
    }
    for words in [&["-grpc-port", "65536"][..], &["-unheard-of"]] {
        Program::start(&mut sidecar_command(&place, words)).wait().expect(2);
    }
    let mut command = place.worker_command(&["-handshake-file", "none/h.json"]);
    Program::start(&mut command).wait().expect_error(2, &["-handshake-file: none/h.json cannot be written"]);
    assert!(!place.path(".hatchet/handshake.json").exists(), "the engine has ended");
}

#[test]
fn whoever_holds_the_folder_and_waits_for_the_file_in_it_gets_an_engine_of_its_own() {
    let place = Place::new();
    let engine = place.engine();
    let others = place.handshake();
    std::os::unix::fs::symlink(place.path(""), place.path("link")).unwrap();
    let all = place.path(".hatchet/h.json");
    for file in [".hatchet/h.json", "./.hatchet/h.json", all.to_str().unwrap(), "link/.hatchet/h.json"] {
        let mut command = place.worker_command(&["-handshake-file", file]);
        let sidecar = Program::start(command.stdin(Stdio::piped()));
        let read = || serde_json::from_str(&std::fs::read_to_string(&all).ok()?).ok();
        let own: Handshake = until("a handshake file", read);
        assert_ne!(own.grpc_address, others.grpc_address, "{file}");
        sidecar.stop().expect(0);
        std::fs::remove_file(&all).unwrap();
    }
    engine.stop().expect(0);
}
