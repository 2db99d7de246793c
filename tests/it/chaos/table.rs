//! The table of faults and results, and the form in which the fault tests run.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns whether the tests run in full, as with `make chaos`.
pub fn long() -> bool {
    std::env::var_os("HATCHET_CHAOS").is_some_and(|value| value == "1")
}

/// Returns whether a real engine is under test.
pub fn real() -> bool {
    std::env::var("HATCHET_TEST_TARGET").is_ok_and(|target| target == "real")
}

/// Returns whether a real engine is under test, and prints that the fault cannot be injected there.
pub fn not_on_a_real_engine(fault: &str) -> bool {
    if real() {
        println!("skipped on a real engine: {fault}");
    }
    real()
}

/// One fault with its results. It is printed when dropped, and again in the table.
pub struct Row {
    fault: String,
    results: Vec<String>,
}

impl Row {
    pub fn new(fault: impl Into<String>) -> Self {
        let fault = fault.into();
        if !long() {
            println!("{fault}: short form (make chaos runs the full form)");
        }
        Self { fault, results: Vec::new() }
    }

    /// Adds a result.
    pub fn add(&mut self, what: impl Display) {
        self.results.push(what.to_string());
    }

    /// Adds the median and the maximum of some times and returns the median. In the full form it asserts the bound of
    /// the median; in the short form other tests run at the same time and distort the times.
    #[track_caller]
    pub fn times(&mut self, what: &str, times: &[Duration], bound: Option<Duration>) -> Option<Duration> {
        let mut sorted = times.to_vec();
        sorted.sort();
        let (median, worst) = (sorted.get(sorted.len() / 2).copied()?, sorted.last()?);
        self.add(format!("{what}: median {:.2} s, worst {:.2} s of {}", secs(median), secs(*worst), sorted.len()));
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
        let passed = if std::thread::panicking() { "NO" } else { "yes" };
        let row = format!("| {} | {passed} | {} |", self.fault, self.results.join("; "));
        println!("{row}");
        ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }
}

/// Prints the table. Its name sorts last, so with one thread it runs after all other tests.
#[test]
fn z_summary_table() {
    if !long() {
        println!("skipped: the table of faults (make chaos prints it)");
        return;
    }
    println!("\n| fault | passed | results |\n|---|---|---|");
    for row in ROWS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{row}");
    }
}
