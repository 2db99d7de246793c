//! A headless Chromium, driven with the DevTools protocol over two pipes. A message is JSON, terminated by a zero byte.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the path of the browser: `BROWSER`, or one of the usual names on `PATH`.
pub fn browser() -> Option<PathBuf> {
    let configured = std::env::var_os("BROWSER").map(PathBuf::from).filter(|path| path.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = || std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|p| p.is_file());
    let browser = configured.or_else(found);
    if browser.is_none() {
        println!("skipped: no browser; install chromium, or set BROWSER to its path");
    }
    browser
}

/// A browser process with one tab.
pub struct Tab {
    browser: Child,
    requests: File,
    responses: Receiver<Value>,
    count: u64,
    session: String,
    /// Events received so far.
    events: VecDeque<Value>,
}

impl Drop for Tab {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

impl Tab {
    /// Starts the browser with its files in `folder`.
    pub fn open(program: &Path, folder: &Path) -> Self {
        let (requests, responses) = (folder.join("requests"), folder.join("responses"));
        assert!(Command::new("mkfifo").args([&requests, &responses]).status().unwrap().success());
        let browser = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<requests 4>responses"#])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .args(["--remote-debugging-pipe", "--user-data-dir=profile", "about:blank"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let requests = File::options().write(true).open(requests).unwrap();
        let pipe = BufReader::new(File::open(responses).unwrap());
        let (sender, responses) = channel();
        std::thread::spawn(move || {
            for message in pipe.split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut tab = Self { browser, requests, responses, count: 0, session: String::new(), events: VecDeque::new() };
        let target = tab.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = tab.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        tab.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    /// Calls a method and returns its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method and returns its result, or the error of the browser.
    fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.requests.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut response = self.responses.recv_timeout(TIMEOUT).unwrap_or_else(|e| panic!("{method}: {e}"));
            if response["id"] == self.count {
                return match response.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(response["result"].take()),
                };
            }
            self.events.push_back(response);
        }
    }

    /// Evaluates an expression in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true. The page may load again in the meantime: the browser then ends an evaluation
    /// with an error, and the next call sees the new document.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let outcome = self.evaluate(expression);
            match &outcome {
                Ok(value) if *value == true => return,
                Err(error) if !is_navigation(error) => panic!("{expression}: {error}"),
                Ok(_) | Err(_) => {}
            }
            if Instant::now() >= deadline {
                let text = self.evaluate("document.body?.innerText ?? null");
                panic!("not within {TIMEOUT:?}: {expression}: {outcome:?}; text of the page: {text:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut response = self.try_call("Runtime.evaluate", params)?;
        match response.get_mut("exceptionDetails") {
            Some(exception) => Err(exception.take()),
            None => Ok(response["result"]["value"].take()),
        }
    }

    /// Writes a screenshot of the whole page.
    pub fn picture(&mut self, file: &Path, width: u32, dark: bool) {
        self.picture_of(file, (width, None), dark);
    }

    /// Writes a screenshot of the upper part of the page with this height, or of the whole page.
    pub fn picture_of(&mut self, file: &Path, (width, height): (u32, Option<u32>), dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media);
        let size =
            json!({ "width": width, "height": height.unwrap_or(900), "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let shot = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": height.is_none() }));
        std::fs::write(file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Returns script errors, console errors and blocked requests so far.
    pub fn errors(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| is_error(event)).collect()
    }

    /// Removes the errors so far, which the test has caused.
    pub fn forget_errors(&mut self) {
        self.events.retain(|event| !is_error(event));
    }

    /// Returns the addresses requested so far.
    pub fn requests(&self) -> Vec<&str> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }
}

/// Returns whether the browser ended an evaluation because the page was replaced.
fn is_navigation(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    ["navigated or closed", "context was destroyed", "Cannot find context", "Cannot find default execution context"]
        .iter()
        .any(|part| message.contains(part))
}

fn is_error(event: &Value) -> bool {
    match event["method"].as_str() {
        Some("Runtime.exceptionThrown") => true,
        Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
        Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
        _ => false,
    }
}
