//! `runner open`.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::{
    process::{OPENER, Program, ProgramOutput, Workspace},
    support::page_as,
};

/// Starts the command with only the programs of a folder in its `PATH`.
fn open(workspace: &Workspace, args: &[&str], variables: &[(&str, &str)], path: &Path) -> ProgramOutput {
    let mut command = workspace.runner_command(&[&["open"], args].concat());
    Program::start(command.envs(variables.iter().copied()).env("PATH", path)).wait()
}

fn opened(workspace: &Workspace) -> Option<String> {
    let opened = workspace.path("opened");
    let text = std::fs::read_to_string(&opened).ok()?;
    std::fs::remove_file(opened).unwrap();
    Some(text)
}

#[test]
fn link_is_printed_and_opened_without_the_token_in_arguments() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let handshake = workspace.handshake();
    let link = format!("{}/#token={}", handshake.api_url, handshake.token);
    let bin = workspace.write_opener("echo \"$*\" >opened");
    let shown = open(&workspace, &["--embedded"], &[], &bin).expect(0);
    assert_eq!(shown.stdout, [link.as_str()]);
    assert!(!shown.stderr.concat().contains(&handshake.token), "{shown:?}");
    assert_eq!(opened(&workspace).as_deref(), Some(".hatchet/open.html\n"), "the only argument");
    let file = workspace.path(".hatchet/open.html");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains(&format!("content=\"0; url={link}\"")), "{page}");
    let entries = std::fs::read_dir(workspace.path(".hatchet")).unwrap();
    let drafts = entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("open.html."));
    assert_eq!(drafts.count(), 0);

    // The page needs no token, and the token of the link is valid.
    let address = handshake.api_url.trim_start_matches("http://").parse().unwrap();
    assert_eq!(page_as(address, "/", &[]).status, 200);
    let bearer = format!("Bearer {}", link.split_once("#token=").unwrap().1);
    let tenant = format!("/api/v1/tenants/{}", handshake.tenant_id);
    assert_eq!(page_as(address, &tenant, &[("Authorization", &bearer)]).status, 200);

    for (args, printed) in
        [(["-e", "--print-only"], link.clone()), (["-e", "-ojson"], json!({ "url": link }).to_string())]
    {
        assert_eq!(open(&workspace, &args, &[], &bin).expect(0).stdout, [printed]);
        assert_eq!(opened(&workspace), None, "{args:?}");
    }
}

#[test]
fn missing_browser_is_a_message() {
    let workspace = Workspace::new();
    open(&workspace, &["--embedded"], &[], &workspace.path("bin")).expect_error(5, &["no embedded engine runs here"]);
    let _engine = workspace.engine();
    let message = format!("no browser was opened: {OPENER} is not installed. Open the link in a browser");
    let shown = open(&workspace, &["--embedded"], &[], &workspace.path("bin")).expect(0).expect_stderr(&message);
    assert_eq!(shown.stdout.len(), 1, "{shown:?}");
    let bin = workspace.write_opener("exit 3");
    open(&workspace, &["--embedded"], &[], &bin).expect(0).expect_stderr("found no browser (exit status: 3)");

    // Without the engine's folder there is no private place for the link.
    let token = workspace.handshake().token;
    let bin = workspace.write_opener("echo \"$*\" >opened");
    let shown = open(&workspace, &[], &[("HATCHET_CLIENT_TOKEN", &token)], &bin).expect(0);
    assert!(shown.stdout[0].ends_with(&token), "{shown:?}");
    shown.expect_stderr("other users could read the token");
    assert_eq!(opened(&workspace), None);
}

#[test]
fn dashboard_of_hatchet_is_opened_by_its_address() {
    let workspace = Workspace::new();
    let tenant = "707d0855-80ab-4e1f-a156-f1c4546cbf52";
    let claims = json!({ "sub": tenant, "server_url": "http://h:1/", "grpc_broadcast_address": "h:2" }).to_string();
    let token =
        [r#"{"alg":"ES256","kid":"a"}"#, &claims, "signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let address = format!("http://h:1/tenants/{tenant}");
    let bin = workspace.write_opener("echo \"$*\" >opened");
    let shown = open(&workspace, &[], &[("HATCHET_CLIENT_TOKEN", &token)], &bin).expect(0);
    assert_eq!((shown.stdout, opened(&workspace)), (vec![address.clone()], Some(format!("{address}\n"))));
}
