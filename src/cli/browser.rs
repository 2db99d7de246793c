//! Opens the user's browser, for `runner bench --open` and `runner open`.

use std::{ffi::OsStr, io::ErrorKind, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::hatchet::system::OsError;

/// The program that opens a file or an address with the user's default application.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

/// Time in which the opener reports a failure: 3 s. It may run for as long as the browser.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a file or an address in the user's browser, which continues after the end of this process. Other users of the
/// machine can read the name or address in the arguments of the started processes.
///
/// # Errors
///
/// Returns the reason, and the advice.
pub(super) async fn open(target: impl AsRef<OsStr>, advice: &str) -> Result<(), String> {
    let mut command = Command::new(OPENER);
    command.arg(target).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C in this terminal must not reach the browser.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        ErrorKind::NotFound => format!("{OPENER} is not installed. {advice}"),
        _ => format!("starting {OPENER} failed: {}. {advice}", OsError(&e)),
    })?;
    match timeout(FAILURE_TIMEOUT, child.wait()).await {
        Ok(Ok(status)) if !status.success() => Err(format!("{OPENER} found no browser ({status}). {advice}")),
        Ok(Ok(_)) | Err(_) => Ok(()),
        Ok(Err(e)) => Err(format!("waiting for {OPENER} failed: {}. {advice}", OsError(&e))),
    }
}
