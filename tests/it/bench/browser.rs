//! The report in a headless browser: drawn without an error, and without a request to anywhere.

use std::process::Command;

use super::{Place, bench};
use crate::support::browser;

#[test]
#[ignore = "needs a browser: `make test-browser`"]
fn the_report_is_drawn_without_error_or_request() {
    let Some(browser) = browser() else { return };
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    let words = ["--runs", "200", "--out", "out"];
    bench(&place, &[&words[..], &["--key-prefix", "p"]].concat()).expect(0);
    for (name, size, dark) in [("light", "1120,2400", false), ("dark", "1120,2400", true), ("phone", "500,4200", false)]
    {
        let (picture, log) = (place.path(&format!("{name}.png")), place.path(&format!("{name}.json")));
        let mut command = Command::new(&browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", place.path(&format!("profile-{name}")).display()))
            .arg(format!("--window-size={size}"))
            .arg(format!("--log-net-log={}", log.display()))
            .arg(format!("--screenshot={}", picture.display()));
        if dark {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        command.arg(format!("file://{}", place.path("out/report.html").display()));
        let said = command.output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "{errors}");
        assert!(!errors.contains("CONSOLE"), "{errors}");
        assert!(picture.metadata().unwrap().len() > 20_000, "{name} shows nothing");
        // The browser's own requests are not the page's.
        let log = std::fs::read_to_string(log).unwrap();
        let from_page = log.split("\"initiator\":\"").skip(1).filter(|rest| rest.starts_with("file://"));
        assert_eq!(from_page.count(), 0, "the page asked for something");
        println!("{name}: drawn, no console error, no request");
    }
}
