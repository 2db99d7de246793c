//! The HTML report in a headless browser.

use std::process::Command;

use super::{Workspace, bench};
use crate::support::browser;

#[test]
#[ignore = "needs a browser: `make test-browser`"]
fn report_renders_without_errors_or_requests() {
    let Some(browser) = browser() else { return };
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let args = ["--runs", "200", "--out", "out"];
    bench(&workspace, &[&args[..], &["--key-prefix", "p"]].concat()).expect(0);
    for (name, size, dark) in [("light", "1120,2400", false), ("dark", "1120,2400", true), ("phone", "500,4200", false)]
    {
        let (picture, log) = (workspace.path(&format!("{name}.png")), workspace.path(&format!("{name}.json")));
        let mut command = Command::new(&browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", workspace.path(&format!("profile-{name}")).display()))
            .arg(format!("--window-size={size}"))
            .arg(format!("--log-net-log={}", log.display()))
            .arg(format!("--screenshot={}", picture.display()));
        if dark {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        command.arg(format!("file://{}", workspace.path("out/report.html").display()));
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        assert!(!errors.contains("CONSOLE"), "{errors}");
        assert!(picture.metadata().unwrap().len() > 20_000, "{name}: the screenshot is blank");
        // The browser's own requests have another initiator.
        let log = std::fs::read_to_string(log).unwrap();
        let from_page = log.split("\"initiator\":\"").skip(1).filter(|rest| rest.starts_with("file://"));
        assert_eq!(from_page.count(), 0, "the page sent a request");
        println!("{name}: rendered, no console error, no request");
    }
}
