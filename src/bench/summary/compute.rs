//! From the single runs to the figures.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use prost_types::Timestamp;

use super::{
    Dedupe, ErrorGroup, Latency, Outcomes, Own, Place, Series, Settings, Slots, Summary, TaskSettings, Throughput,
    Verification, machine,
    stats::{self, Percentiles},
    warnings::{self, Facts},
};
use crate::{
    bench::{
        keys::KEY_TTL,
        load::session::{Ending, Session},
        plan::{Plan, TaskPlan},
        record::run::{Accepted, Micros, Run},
    },
    hatchet::wire::RunStatus,
};

/// Steps of the course, at most.
const STEPS: usize = 60;
/// A step is a whole number of these.
const STEP: Micros = 10_000;
/// Error texts that are shown.
const ERRORS: usize = 20;

/// What is known beside the session when it has ended.
pub(in crate::bench) struct Known {
    pub(in crate::bench) place: Place,
    pub(in crate::bench) ending: Ending,
    pub(in crate::bench) own_cpu: Option<Duration>,
    pub(in crate::bench) verified: Option<Verification>,
    /// Runs whose answer was lost, and that are not known to be older.
    pub(in crate::bench) answered_late: usize,
    /// Doubts from before and after.
    pub(in crate::bench) doubts: Vec<String>,
}

pub(in crate::bench) fn summary(session: &Session, plan: &Plan, known: Known) -> Summary {
    let runs = &session.runs.all;
    let last_seen = runs.iter().filter_map(|run| run.seen).max();
    let outcomes: BTreeMap<String, Outcomes> =
        plan.tasks.iter().enumerate().map(|(task, t)| (t.name.clone(), count(session.runs.of_task(task)))).collect();
    let by_task = plan.tasks.iter().enumerate();
    let latency_by_task = by_task.map(|(task, t)| (t.name.clone(), latency(session.runs.of_task(task)))).collect();
    let ended = runs.iter().filter(|run| run.end.is_some()).count();
    let started = runs.iter().filter(|run| run.accepted_as == Accepted::Started).count();
    let duplicates = runs.iter().filter(|run| run.accepted_as == Accepted::Duplicate).count();
    let until = Timestamp { nanos: 0, ..Timestamp::from(session.begun_wall + oldest_key(runs)) }.to_string();
    let dedupe = Dedupe {
        on: plan.keyed(),
        until: plan.keyed().then_some(until),
        started,
        duplicates,
        verified: known.verified,
    };
    let (series, slots) = course(session, plan);
    let mut summary = Summary {
        prefix: plan.prefix.clone(),
        state: match known.ending {
            Ending::Complete => "complete",
            Ending::Interrupted => "interrupted",
            Ending::TimedOut => "timed out",
        }
        .to_owned(),
        began: Timestamp::from(session.begun_wall).to_string(),
        seconds: seconds(last_seen.unwrap_or_else(|| session.now())),
        place: known.place,
        settings: settings(plan),
        outcomes,
        dedupe,
        throughput: throughput(runs),
        latency: latency(runs),
        latency_by_task,
        slots,
        errors: errors(session),
        own: Own {
            cpu_s: known.own_cpu.map(|cpu| cpu.as_secs_f64()),
            cpu_us_per_run: known.own_cpu.filter(|_| ended > 0).map(|cpu| cpu.as_secs_f64() * 1e6 / ended as f64),
            memory: machine::own_peak_memory(),
        },
        doubts: known.doubts,
        series,
    };
    let facts = Facts {
        clock_jumps: session.clock_jumps,
        answered_late: known.answered_late,
        outages: session.outages.count,
        outage: session.outages.total,
        without_times: runs.iter().filter(|run| run.end.is_some() && run.finished.is_none()).count(),
        started_before_due: own(runs).filter(|run| run.started.is_some_and(|at| at < run.due - 5_000)).count(),
    };
    let found = warnings::of(&summary, &facts);
    summary.doubts.extend(found);
    summary
}

/// When the first key is free again, after the start: those of duplicates are older than this benchmark.
fn oldest_key(runs: &[Run]) -> Duration {
    let taken = |run: &Run| run.created.or_else(|| (run.accepted_as == Accepted::Started).then_some(run.due));
    let oldest = runs.iter().filter_map(taken).min().unwrap_or(0);
    let ttl = i64::try_from(KEY_TTL.as_micros()).unwrap_or(i64::MAX);
    Duration::from_micros(u64::try_from(ttl + oldest).unwrap_or(0))
}

fn settings(plan: &Plan) -> Settings {
    let task = |task: &TaskPlan| TaskSettings {
        name: task.name.clone(),
        workflow: task.workflow.clone(),
        input: task.input.text(),
    };
    Settings {
        tasks: plan.tasks.iter().map(task).collect(),
        runs: plan.runs,
        batch: plan.batch,
        rate: plan.rate,
        timeout_s: plan.timeout.as_secs_f64(),
    }
}

/// The runs that were started here: those of an earlier benchmark have times of their own.
fn own(runs: &[Run]) -> impl Iterator<Item = &Run> {
    runs.iter().filter(|run| run.accepted_as == Accepted::Started)
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn count(runs: &[Run]) -> Outcomes {
    let mut outcomes = Outcomes { total: runs.len(), ..Outcomes::default() };
    for run in runs {
        outcomes.duplicates += usize::from(run.accepted_as == Accepted::Duplicate);
        let place = match (run.accepted_as, run.end) {
            (_, Some(RunStatus::Completed)) => &mut outcomes.completed,
            (_, Some(RunStatus::Cancelled)) => &mut outcomes.cancelled,
            (_, Some(_)) => &mut outcomes.failed,
            (Accepted::Refused, None) => &mut outcomes.refused,
            (Accepted::Started | Accepted::Duplicate, None) => &mut outcomes.unaccounted,
            (Accepted::Unanswered, None) => &mut outcomes.unconfirmed,
            (Accepted::NotSubmitted, None) => &mut outcomes.not_submitted,
        };
        *place += 1;
    }
    outcomes
}

fn latency(runs: &[Run]) -> Latency {
    let of = |time: fn(&Run) -> Option<Micros>| Percentiles::of(own(runs).filter_map(time).collect());
    Latency {
        accepting: of(|run| Some(run.accepted? - run.due)),
        queueing: of(|run| Some(run.started? - run.due)),
        running: of(|run| Some(run.finished? - run.started?)),
        telling: of(|run| Some(run.seen? - run.finished?)),
        total: of(|run| Some(run.seen? - run.due)),
    }
}

fn throughput(runs: &[Run]) -> Throughput {
    let first = own(runs).filter_map(|run| run.submitted).min();
    let rate = |time: fn(&Run) -> Option<Micros>| {
        let last = own(runs).filter_map(time).max()?;
        let n = own(runs).filter(|run| time(run).is_some()).count();
        Some(n as f64 / seconds((last - first?).max(1)))
    };
    Throughput { accepted: rate(|run| run.accepted), ended: rate(|run| run.seen) }
}

fn errors(session: &Session) -> Vec<ErrorGroup> {
    let mut groups: HashMap<usize, ErrorGroup> = HashMap::new();
    for run in &session.runs.all {
        let Some(error) = run.error else { continue };
        let new = || ErrorGroup {
            text: session.runs.errors[error].clone(),
            runs: 0,
            example: run.id.map(|id| id.to_string()),
        };
        groups.entry(error).or_insert_with(new).runs += 1;
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.text.cmp(&b.text)));
    groups.truncate(ERRORS);
    groups
}

/// The course in steps, and what the slots were used for.
fn course(session: &Session, plan: &Plan) -> (Series, Slots) {
    let runs = &session.runs.all;
    let end = own(runs).filter_map(|run| run.seen.max(run.accepted)).max().unwrap_or(0);
    let step = ((end / STEPS as Micros) / STEP + 1) * STEP;
    let steps = usize::try_from(end / step).unwrap_or(0) + 1;
    let intervals = |runs: &[Run]| -> Vec<(Micros, Micros)> {
        own(runs).filter_map(|run| Some((run.started?, run.finished?))).collect()
    };
    let per_second = |time: fn(&Run) -> Option<Micros>| -> Vec<f64> {
        let counts = stats::per_step(own(runs).filter_map(time), step, steps);
        counts.into_iter().map(|count| count as f64 / seconds(step)).collect()
    };
    let busy = intervals(runs);
    let series = Series {
        step_ms: step as f64 / 1e3,
        accepted: per_second(|run| run.accepted),
        ended: per_second(|run| run.seen),
        in_use: if busy.is_empty() { Vec::new() } else { stats::in_use(busy.iter().copied(), step, steps) },
    };
    let limits: BTreeMap<String, i64> =
        session.slots.iter().map(|(pool, slots)| ((*pool).to_owned(), slots.1)).collect();
    // Each pool of slots is a machine of its own, and the slowest decides.
    let mut needed: BTreeMap<&str, Micros> = BTreeMap::new();
    let mut longest = 0;
    for (task, t) in plan.tasks.iter().enumerate() {
        for (from, to) in intervals(session.runs.of_task(task)) {
            *needed.entry(t.slot_pool).or_default() += to - from;
            longest = longest.max(to - from);
        }
    }
    let ideal = needed.iter().filter_map(|(kind, sum)| {
        let limit = limits.get(*kind).copied().filter(|limit| *limit > 0)?;
        Some(sum / limit)
    });
    let slots = Slots {
        ideal_s: ideal.max().map(|ideal| seconds(ideal.max(longest))),
        taken_s: busy.iter().map(|b| b.0).min().zip(busy.iter().map(|b| b.1).max()).map(|(a, b)| seconds(b - a)),
        peak: peak(&busy),
        limits,
    };
    (series, slots)
}

/// Most intervals that overlap at a time.
fn peak(intervals: &[(Micros, Micros)]) -> Option<f64> {
    let mut changes: Vec<(Micros, i64)> = intervals.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
    // An end at the same moment comes first: its slot is free for what begins there.
    changes.sort_unstable();
    let mut now = 0;
    let all = changes.into_iter().map(|(_, change)| {
        now += change;
        now
    });
    all.max().map(|most| most as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(accepted_as: Accepted, end: Option<RunStatus>) -> Run {
        Run { accepted_as, end, ..Run::default() }
    }

    #[test]
    fn every_run_is_counted_once() {
        let runs = [
            run(Accepted::Started, Some(RunStatus::Completed)),
            run(Accepted::Duplicate, Some(RunStatus::Failed)),
            run(Accepted::Started, Some(RunStatus::Cancelled)),
            run(Accepted::Refused, None),
            run(Accepted::Started, None),
            run(Accepted::Unanswered, None),
            run(Accepted::NotSubmitted, None),
        ];
        let o = count(&runs);
        assert_eq!((o.total, o.duplicates), (7, 1));
        let counts = [o.completed, o.failed, o.cancelled, o.refused, o.unaccounted, o.unconfirmed, o.not_submitted];
        assert_eq!(counts, [1; 7]);
    }

    #[test]
    fn times_are_counted_from_when_a_run_was_due() {
        let late = Run {
            accepted_as: Accepted::Started,
            due: 1_000,
            submitted: Some(50_000),
            accepted: Some(60_000),
            started: Some(61_000),
            finished: Some(71_000),
            seen: Some(72_000),
            ..Run::default()
        };
        let earlier = Run { accepted_as: Accepted::Duplicate, ..late.clone() };
        let latency = latency(&[late, earlier]);
        let p50 = |p: &Option<Percentiles>| p.as_ref().map(|p| (p.n, p.p50));
        assert_eq!(p50(&latency.accepting), Some((1, 59.0)));
        assert_eq!(p50(&latency.queueing), Some((1, 60.0)));
        assert_eq!(p50(&latency.running), Some((1, 10.0)));
        assert_eq!(p50(&latency.telling), Some((1, 1.0)));
        assert_eq!(p50(&latency.total), Some((1, 71.0)));
    }

    #[test]
    fn an_end_frees_its_slot_for_a_start_at_the_same_time() {
        assert_eq!(peak(&[(0, 10), (10, 20), (5, 12)]), Some(2.0));
        assert_eq!(peak(&[]), None);
    }
}
