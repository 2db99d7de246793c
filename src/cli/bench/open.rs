//! `runner bench --open`: opens the report in a browser.

use std::{io::ErrorKind, path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::hatchet::system::OsError;

/// The program that opens a file with the user's default application.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

/// Time in which the opener reports a failure: 3 s. It may run for as long as the browser.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a file in the user's browser, which continues after the end of this process.
///
/// # Errors
///
/// Returns the reason, and what to do.
pub(super) async fn open(file: &Path) -> Result<(), String> {
    let advice = format!("Open {} in a browser", file.display());
    let mut command = Command::new(OPENER);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
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
