//! Computes the summary from the recorded runs.
//!
//! Times and rates cover the runs that this benchmark started. Duplicates of runs of an earlier benchmark have that
//! benchmark's times, so they count only in the outcomes.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use prost_types::Timestamp;

use super::{
    machine::peak_memory,
    model::{
        Dedupe, Environment, ErrorGroup, Latency, OutcomeCounts, Overhead, Series, Settings, SlotUsage, Summary,
        TaskSettings, Throughput, Verification,
    },
    percentiles::Percentiles,
    series::{count_per_step, max_overlap, mean_overlap},
    warnings::{Observations, warnings},
};
use crate::{
    bench::{
        keys::KEY_TTL,
        plan::{LoadPlan, PlannedTask},
        record::{Acceptance, EndReason, Micros, Recording, RunRecord, RunRecords},
    },
    hatchet::wire::RunStatus,
};

/// Maximum number of steps of the time series.
const MAX_STEPS: usize = 60;
/// Unit of the length of a step: 10 ms.
const STEP_UNIT: Micros = 10_000;
/// Maximum number of error groups.
const MAX_ERROR_GROUPS: usize = 20;
/// Tolerated start of a run before it was due: 5 ms. An earlier start shows a clock difference.
const CLOCK_ACCURACY: Micros = 5_000;

/// The inputs of the summary in addition to the recording.
pub(in crate::bench) struct SummaryInputs {
    pub(in crate::bench) environment: Environment,
    /// CPU time that the benchmark used.
    pub(in crate::bench) cpu_time: Option<Duration>,
    pub(in crate::bench) verification: Option<Verification>,
    /// Number of recovered runs that count as started here.
    pub(in crate::bench) recovered: usize,
    /// Warnings from before and after the load.
    pub(in crate::bench) warnings: Vec<String>,
}

/// Computes the summary of a recording.
pub(in crate::bench) fn compute(recording: &Recording, plan: &LoadPlan, inputs: SummaryInputs) -> Summary {
    let runs = &recording.runs.all;
    let last_seen = runs.iter().filter_map(|run| run.seen).max();
    let intervals = running_intervals(runs);
    let mut summary = Summary {
        prefix: plan.prefix.clone(),
        state: match recording.end {
            EndReason::Completed => "complete",
            EndReason::Interrupted => "interrupted",
            EndReason::TimedOut => "timed out",
        }
        .to_owned(),
        started: Timestamp::from(recording.started).to_string(),
        // A stopped benchmark has runs that have waited until its end.
        seconds: seconds(last_seen.filter(|_| recording.end == EndReason::Completed).unwrap_or(recording.duration)),
        environment: inputs.environment,
        settings: settings(plan),
        outcomes: by_task(&recording.runs, plan, count_outcomes),
        dedupe: dedupe(recording, plan, inputs.verification),
        throughput: throughput(runs),
        latency: latency(runs),
        latency_by_task: by_task(&recording.runs, plan, latency),
        slots: slot_usage(recording, plan, &intervals),
        errors: error_groups(&recording.runs),
        overhead: overhead(runs, inputs.cpu_time),
        warnings: inputs.warnings,
        series: series(runs, &intervals),
    };
    let observed = Observations {
        clock_jumps: recording.clock_jumps,
        recovered: inputs.recovered,
        outages: recording.outages,
        outage_time: recording.outage_time,
        without_times: runs.iter().filter(|run| run.status.is_some() && run.finished.is_none()).count(),
        started_before_due: started_here(runs)
            .filter(|run| run.started.is_some_and(|started| started < run.due - CLOCK_ACCURACY))
            .count(),
    };
    let warnings = warnings(&summary, &observed);
    summary.warnings.extend(warnings);
    summary
}

fn by_task<T>(runs: &RunRecords, plan: &LoadPlan, compute: fn(&[RunRecord]) -> T) -> BTreeMap<String, T> {
    plan.tasks.iter().enumerate().map(|(index, task)| (task.name.clone(), compute(runs.of_task(index)))).collect()
}

fn settings(plan: &LoadPlan) -> Settings {
    let task_settings = |task: &PlannedTask| TaskSettings {
        name: task.name.clone(),
        workflow: task.workflow.clone(),
        input: task.input.text(),
    };
    Settings {
        tasks: plan.tasks.iter().map(task_settings).collect(),
        runs: plan.runs,
        batch: plan.batch,
        rate: plan.rate,
        timeout_s: plan.timeout.as_secs_f64(),
    }
}

fn dedupe(recording: &Recording, plan: &LoadPlan, verified: Option<Verification>) -> Dedupe {
    let runs = &recording.runs.all;
    let count = |acceptance| runs.iter().filter(|run| run.acceptance == acceptance).count();
    let expiry = Timestamp { nanos: 0, ..Timestamp::from(recording.started + first_expiry(runs)) }.to_string();
    Dedupe {
        enabled: plan.keyed(),
        first_expiry: plan.keyed().then_some(expiry),
        started: count(Acceptance::Started),
        duplicates: count(Acceptance::Duplicate),
        verified,
    }
}

/// Time from the start to the expiry of the first run key. Keys of duplicates are older than this benchmark.
fn first_expiry(runs: &[RunRecord]) -> Duration {
    let created = |run: &RunRecord| run.created.or_else(|| (run.acceptance == Acceptance::Started).then_some(run.due));
    let oldest = runs.iter().filter_map(created).min().unwrap_or(0);
    let ttl = i64::try_from(KEY_TTL.as_micros()).unwrap_or(i64::MAX);
    Duration::from_micros(u64::try_from(ttl + oldest).unwrap_or(0))
}

/// The runs that this benchmark started.
fn started_here(runs: &[RunRecord]) -> impl Iterator<Item = &RunRecord> {
    runs.iter().filter(|run| run.acceptance == Acceptance::Started)
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn count_outcomes(runs: &[RunRecord]) -> OutcomeCounts {
    let mut counts = OutcomeCounts { total: runs.len(), ..OutcomeCounts::default() };
    for run in runs {
        counts.duplicates += usize::from(run.acceptance == Acceptance::Duplicate);
        let count = match (run.acceptance, run.status) {
            (_, Some(RunStatus::Completed)) => &mut counts.completed,
            (_, Some(RunStatus::Cancelled)) => &mut counts.cancelled,
            (_, Some(_)) => &mut counts.failed,
            (Acceptance::Refused, None) => &mut counts.refused,
            (Acceptance::Started | Acceptance::Duplicate, None) => &mut counts.unaccounted,
            (Acceptance::Unanswered, None) => &mut counts.unconfirmed,
            (Acceptance::Pending, None) => &mut counts.not_submitted,
        };
        *count += 1;
    }
    counts
}

fn latency(runs: &[RunRecord]) -> Latency {
    let percentiles = |time: fn(&RunRecord) -> Option<Micros>| {
        Percentiles::from_micros(started_here(runs).filter_map(time).collect())
    };
    Latency {
        accepting: percentiles(|run| Some(run.accepted? - run.due)),
        queueing: percentiles(|run| Some(run.started? - run.due)),
        running: percentiles(|run| Some(run.finished? - run.started?)),
        notifying: percentiles(|run| Some(run.seen? - run.finished?)),
        total: percentiles(|run| Some(run.seen? - run.due)),
    }
}

fn throughput(runs: &[RunRecord]) -> Throughput {
    let first = started_here(runs).filter_map(|run| run.submitted).min();
    let rate = |time: fn(&RunRecord) -> Option<Micros>| {
        let last = started_here(runs).filter_map(time).max()?;
        let n = started_here(runs).filter(|run| time(run).is_some()).count();
        Some(n as f64 / seconds((last - first?).max(1)))
    };
    Throughput { accepted: rate(|run| run.accepted), finished: rate(|run| run.seen) }
}

fn error_groups(runs: &RunRecords) -> Vec<ErrorGroup> {
    let mut groups: HashMap<usize, ErrorGroup> = HashMap::new();
    for run in &runs.all {
        let Some(error) = run.error else { continue };
        let new = || ErrorGroup { text: runs.errors[error].clone(), runs: 0, example: run.id.map(|id| id.to_string()) };
        groups.entry(error).or_insert_with(new).runs += 1;
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.text.cmp(&b.text)));
    groups.truncate(MAX_ERROR_GROUPS);
    groups
}

fn overhead(runs: &[RunRecord], cpu_time: Option<Duration>) -> Overhead {
    let finished = runs.iter().filter(|run| run.status.is_some()).count();
    Overhead {
        cpu_s: cpu_time.map(|cpu| cpu.as_secs_f64()),
        cpu_us_per_run: cpu_time.filter(|_| finished > 0).map(|cpu| cpu.as_secs_f64() * 1e6 / finished as f64),
        memory: peak_memory(),
    }
}

/// The intervals from start to finish of the runs that this benchmark started.
fn running_intervals(runs: &[RunRecord]) -> Vec<(Micros, Micros)> {
    started_here(runs).filter_map(|run| Some((run.started?, run.finished?))).collect()
}

fn series(runs: &[RunRecord], intervals: &[(Micros, Micros)]) -> Series {
    let end = started_here(runs).filter_map(|run| run.seen.max(run.accepted)).max().unwrap_or(0);
    let step = ((end / MAX_STEPS as Micros) / STEP_UNIT + 1) * STEP_UNIT;
    let steps = usize::try_from(end / step).unwrap_or(0) + 1;
    let per_second = |time: fn(&RunRecord) -> Option<Micros>| -> Vec<f64> {
        let counts = count_per_step(started_here(runs).filter_map(time), step, steps);
        counts.into_iter().map(|count| count as f64 / seconds(step)).collect()
    };
    Series {
        step_ms: step as f64 / 1e3,
        accepted: per_second(|run| run.accepted),
        finished: per_second(|run| run.seen),
        in_use: if intervals.is_empty() { Vec::new() } else { mean_overlap(intervals.iter().copied(), step, steps) },
    }
}

/// Computes the use of slots and the ideal time. Slot pools work in parallel, so the slowest pool determines the ideal
/// time, and it is at least the time of the longest run.
fn slot_usage(recording: &Recording, plan: &LoadPlan, intervals: &[(Micros, Micros)]) -> SlotUsage {
    let limits: BTreeMap<String, i64> =
        recording.slots.iter().map(|(pool, slots)| ((*pool).to_owned(), slots.total)).collect();
    let mut needed: BTreeMap<&str, Micros> = BTreeMap::new();
    let mut longest = 0;
    for (index, task) in plan.tasks.iter().enumerate() {
        for (start, finish) in running_intervals(recording.runs.of_task(index)) {
            *needed.entry(task.slot_pool).or_default() += finish - start;
            longest = longest.max(finish - start);
        }
    }
    let ideal = needed.iter().filter_map(|(pool, time)| {
        let limit = limits.get(*pool).copied().filter(|limit| *limit > 0)?;
        Some(time / limit)
    });
    let first_start = intervals.iter().map(|interval| interval.0).min();
    let last_finish = intervals.iter().map(|interval| interval.1).max();
    SlotUsage {
        ideal_s: ideal.max().map(|ideal| seconds(ideal.max(longest))),
        running_s: needed.iter().map(|(pool, time)| ((*pool).to_owned(), seconds(*time))).collect(),
        longest_s: (longest > 0).then(|| seconds(longest)),
        taken_s: first_start.zip(last_finish).map(|(first, last)| seconds(last - first)),
        peak: max_overlap(intervals),
        limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(acceptance: Acceptance, status: Option<RunStatus>) -> RunRecord {
        RunRecord { acceptance, status, ..RunRecord::default() }
    }

    #[test]
    fn every_run_has_exactly_one_outcome() {
        let runs = [
            run(Acceptance::Started, Some(RunStatus::Completed)),
            run(Acceptance::Duplicate, Some(RunStatus::Failed)),
            run(Acceptance::Started, Some(RunStatus::Cancelled)),
            run(Acceptance::Refused, None),
            run(Acceptance::Started, None),
            run(Acceptance::Unanswered, None),
            run(Acceptance::Pending, None),
        ];
        let c = count_outcomes(&runs);
        assert_eq!((c.total, c.duplicates), (7, 1));
        let counts = [c.completed, c.failed, c.cancelled, c.refused, c.unaccounted, c.unconfirmed, c.not_submitted];
        assert_eq!(counts, [1; 7]);
    }

    #[test]
    fn latency_counts_from_due_and_excludes_duplicates() {
        let late = RunRecord {
            acceptance: Acceptance::Started,
            due: 1_000,
            submitted: Some(50_000),
            accepted: Some(60_000),
            started: Some(61_000),
            finished: Some(71_000),
            seen: Some(72_000),
            ..RunRecord::default()
        };
        let earlier = RunRecord { acceptance: Acceptance::Duplicate, ..late.clone() };
        let latency = latency(&[late, earlier]);
        let p50 = |p: &Option<Percentiles>| p.as_ref().map(|p| (p.n, p.p50));
        assert_eq!(p50(&latency.accepting), Some((1, 59.0)));
        assert_eq!(p50(&latency.queueing), Some((1, 60.0)));
        assert_eq!(p50(&latency.running), Some((1, 10.0)));
        assert_eq!(p50(&latency.notifying), Some((1, 1.0)));
        assert_eq!(p50(&latency.total), Some((1, 71.0)));
    }
}
