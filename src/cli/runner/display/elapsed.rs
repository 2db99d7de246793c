//! The time since the start, as a line at the end of the terminal that is updated while the runner waits.

use std::{
    convert::Infallible,
    fmt::Display,
    time::{Duration, Instant},
};

use crate::{cli::output::draw_rows, hatchet::wire::readable_duration};

/// Interval at which the line is updated: 200 ms.
const INTERVAL: Duration = Duration::from_millis(200);

/// The line. Dropping it erases it.
#[derive(Debug)]
pub(in crate::cli::runner) struct ElapsedLine;

impl ElapsedLine {
    /// Updates the line until the call is dropped. `label` follows the time.
    pub(in crate::cli::runner) async fn update(&self, started: Instant, label: &impl Display) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let seconds = started.elapsed().as_secs();
            // Short runs end without the line.
            if seconds > 0 {
                draw_rows(vec![format!("{:>9}  {label}", readable_duration(Duration::from_secs(seconds)))]);
            }
        }
    }
}

impl Drop for ElapsedLine {
    fn drop(&mut self) {
        draw_rows(Vec::new());
    }
}
