//! Warnings about the validity of a benchmark's metrics.

use std::time::Duration;

use super::model::Summary;
use crate::hatchet::wire::readable_duration;

/// Number of samples below which the 99.9th percentile is the maximum.
const MIN_SAMPLES_P999: usize = 1_000;
/// Number of samples below which the 99th percentile is the maximum.
const MIN_SAMPLES_P99: usize = 100;
/// Maximum share of all cores that the benchmark itself may use without a warning.
const MAX_OVERHEAD: f64 = 0.25;

/// Observations that the summary does not contain.
pub(super) struct Observations {
    pub(super) clock_jumps: usize,
    /// Recovered runs that count as started here.
    pub(super) recovered: usize,
    pub(super) outages: usize,
    pub(super) outage_time: Duration,
    /// Finished runs without times from the engine.
    pub(super) without_times: usize,
    /// Runs that started before they were due, by the engine's clock.
    pub(super) started_before_due: usize,
}

/// Returns the warnings, as sentences.
pub(super) fn warnings(summary: &Summary, observed: &Observations) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(incomplete(summary));
    warnings.extend(few_samples(summary));
    warnings.extend(other_load(summary));
    warnings.push(submission_mode(summary.settings.rate));
    warnings.extend(inaccurate_times(observed));
    warnings
}

fn incomplete(summary: &Summary) -> Option<String> {
    let all = summary.all();
    let finished = all.completed + all.failed + all.cancelled;
    match summary.state.as_str() {
        "interrupted" => Some(format!("The benchmark was interrupted: {finished} of {} runs finished.", all.total)),
        "timed out" => {
            Some(format!("The benchmark reached its time limit: {finished} of {} runs finished.", all.total))
        }
        _ => None,
    }
}

fn few_samples(summary: &Summary) -> Option<String> {
    match summary.latency.total.as_ref().map_or(0, |total| total.n) {
        0 => Some("The benchmark started no run, so it has no times.".to_owned()),
        n if n < MIN_SAMPLES_P99 => {
            Some(format!("{n} runs are too few for the 99th percentile, which is the slowest run."))
        }
        n if n < MIN_SAMPLES_P999 => {
            Some(format!("{n} runs are too few for the 99.9th percentile, which is the slowest run."))
        }
        _ => None,
    }
}

/// Warnings about other load on the machine.
fn other_load(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let machine = &summary.environment.machine;
    if let Some(load) = machine.load_before.filter(|load| *load > machine.cores as f64 * 0.5) {
        warnings.push(format!(
            "The machine was busy before the start (load {load:.1} on {} cores). Repeat the benchmark on an idle \
             machine.",
            machine.cores
        ));
    }
    if !summary.environment.optimized {
        warnings.push("This program was built without optimization. Measure with `make PROFILE=release …`.".to_owned());
    }
    if summary.environment.engine == "embedded" {
        warnings.push("Engine, worker and benchmark shared one machine and slowed each other down.".to_owned());
    }
    let used_cores = summary.overhead.cpu_s.map(|cpu| cpu / summary.seconds.max(0.01));
    if let Some(used) = used_cores.filter(|used| used / machine.cores as f64 > MAX_OVERHEAD) {
        warnings.push(format!(
            "The benchmark itself used {:.0} % of a core, which the engine and the workers did not have.",
            used * 100.0
        ));
    }
    warnings
}

fn submission_mode(rate: Option<f64>) -> String {
    match rate {
        Some(rate) => format!(
            "Runs were submitted at {rate} runs/s on a fixed schedule, and times count from when a run was due, so \
             coordinated omission is avoided."
        ),
        None => {
            "Runs were submitted as fast as they were accepted. Queueing times were measured with a full queue and do not \
                 predict the times at a lower rate (coordinated omission is not avoided; use `--rate`)."
                .to_owned()
        }
    }
}

fn inaccurate_times(observed: &Observations) -> Vec<String> {
    let mut warnings = Vec::new();
    if observed.without_times > 0 {
        warnings.push(format!(
            "The engine listed no times for {} finished runs, which are missing from queueing, running and slots.",
            observed.without_times
        ));
    }
    if observed.started_before_due > 0 {
        warnings.push(format!(
            "{} runs started before they were due: the engine's clock differs from the local clock, and queueing and \
             notifying times are wrong by the difference.",
            observed.started_before_due
        ));
    }
    if observed.clock_jumps > 0 {
        warnings.push(format!(
            "The clock jumped {} times. Times of the engine are wrong by the size of the jumps.",
            observed.clock_jumps
        ));
    }
    if observed.outages > 0 {
        warnings.push(format!(
            "The engine did not respond {} times, for {} in total.",
            observed.outages,
            readable_duration(observed.outage_time)
        ));
    }
    if observed.recovered > 0 {
        warnings.push(format!(
            "{} runs were found after the response to their submission was lost. They count as started, and their \
             times of acceptance are too late.",
            observed.recovered
        ));
    }
    warnings
}
