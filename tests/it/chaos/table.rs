//! The table of faults against what held, and whether the long runs were asked for.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether the long runs were asked for, as `make chaos` does.
pub fn long() -> bool {
    std::env::var_os("HATCHET_CHAOS").is_some_and(|value| value == "1")
}

/// Whether a real engine is under test.
pub fn real() -> bool {
    std::env::var("HATCHET_TEST_TARGET").is_ok_and(|target| target == "real")
}

/// Says so where a real engine is under test and the fault cannot be made there.
pub fn not_on_a_real_engine(fault: &str) -> bool {
    if real() {
        println!("skipped on a real engine: {fault}");
    }
    real()
}

/// One fault. What it says is printed at its end, and once more in the table.
pub struct Row {
    fault: String,
    said: Vec<String>,
}

impl Row {
    pub fn of(fault: impl Into<String>) -> Self {
        let fault = fault.into();
        if !long() {
            println!("{fault}: the short form; the long one is skipped (make chaos runs it)");
        }
        Self { fault, said: Vec::new() }
    }

    /// Adds what was counted or measured.
    pub fn say(&mut self, what: impl Display) {
        self.said.push(what.to_string());
    }

    /// Adds the median and the worst of some times, and asserts the median's bound where the run is a long one: in a
    /// short one the times of a busy machine mean nothing. Gives the median.
    #[track_caller]
    pub fn times(&mut self, what: &str, times: &[Duration], bound: Option<Duration>) -> Option<Duration> {
        let mut sorted = times.to_vec();
        sorted.sort();
        let (median, worst) = (sorted.get(sorted.len() / 2).copied()?, sorted.last()?);
        self.say(format!("{what}: median {:.2} s, worst {:.2} s of {}", secs(median), secs(*worst), sorted.len()));
        if let Some(bound) = bound.filter(|_| long() && !real()) {
            assert!(median <= bound, "{what}: median {median:?}, over {bound:?}: {sorted:?}");
        }
        Some(median)
    }
}

fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}

impl Drop for Row {
    fn drop(&mut self) {
        let held = if std::thread::panicking() { "NO" } else { "yes" };
        let row = format!("| {} | {held} | {} |", self.fault, self.said.join("; "));
        println!("{row}");
        ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }
}

/// The last test by name: with one thread it runs after all others.
#[test]
fn z_summary_table() {
    if !long() {
        println!("the table of faults is skipped: make chaos prints it");
        return;
    }
    println!("\n| fault | held | counted and measured |\n|---|---|---|");
    for row in ROWS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{row}");
    }
}
