//! Doubtful data, in words.

use std::time::Duration;

use super::Summary;

/// Fewer samples than this say nothing of the 99.9th percentile: it would be the greatest of them.
const FOR_P999: usize = 1_000;
/// And of the 99th.
const FOR_P99: usize = 100;
/// The benchmark's own share of all cores from which it disturbs what it measures.
const OWN_SHARE: f64 = 0.25;

/// What is not in the summary.
pub(in crate::bench) struct Facts {
    pub(in crate::bench) clock_jumps: usize,
    pub(in crate::bench) answered_late: usize,
    pub(in crate::bench) outages: usize,
    pub(in crate::bench) outage: Duration,
    /// Ended runs without times of the engine.
    pub(in crate::bench) without_times: usize,
    pub(in crate::bench) started_before_due: usize,
}

pub(in crate::bench) fn of(summary: &Summary, facts: &Facts) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut say = |doubt: String| doubts.push(doubt);
    let all = summary.all();
    match summary.state.as_str() {
        "interrupted" => say(format!("It was interrupted: {} of {} runs ended.", ended(summary), all.total)),
        "timed out" => {
            say(format!("Its time was over: {} of {} runs ended.", ended(summary), all.total));
        }
        _ => {}
    }
    match summary.latency.total.as_ref().map_or(0, |total| total.n) {
        0 => say("No run was started here, so there are no times.".to_owned()),
        n if n < FOR_P99 => say(format!("{n} runs are too few for the 99th percentile: it is the slowest run.")),
        n if n < FOR_P999 => say(format!("{n} runs are too few for the 99.9th percentile: it is the slowest run.")),
        _ => {}
    }
    let machine = &summary.place.machine;
    if let Some(load) = machine.load_before.filter(|load| *load > machine.cores as f64 * 0.5) {
        say(format!(
            "The machine was busy before the start (load {load:.1} on {} cores): repeat on a quiet one.",
            machine.cores
        ));
    }
    if !summary.place.optimised {
        say("This program was built without optimisation: `make PROFILE=release …` measures the real one.".to_owned());
    }
    if summary.place.engine == "embedded" {
        say("Engine, worker and benchmark shared one machine, and slowed each other down.".to_owned());
    }
    if let Some(cpu) = summary.own.cpu_s
        && cpu / summary.seconds.max(0.01) / machine.cores as f64 > OWN_SHARE
    {
        let share = cpu / summary.seconds.max(0.01) * 100.0;
        say(format!("The benchmark itself took {share:.0} % of a core, which is missing elsewhere."));
    }
    say(match summary.settings.rate {
        Some(rate) => format!(
            "Submitted at {rate} runs/s by the clock, and each run's times count from when it was due, so coordinated \
             omission is avoided."
        ),
        None => "Submitted as fast as accepted: times in the queue are those of a full queue, and say nothing of the \
                 same tasks at a lower rate (coordinated omission is not avoided; `--rate` avoids it)."
            .to_owned(),
    });
    if facts.without_times > 0 {
        say(format!(
            "Of {} ended runs the engine gave no times: they are missing from queueing, running and slots.",
            facts.without_times
        ));
    }
    if facts.started_before_due > 0 {
        say(format!(
            "{} runs started before they were due: the engine's clock and this one differ, so queueing and telling are \
             wrong by as much.",
            facts.started_before_due
        ));
    }
    if facts.clock_jumps > 0 {
        say(format!("The clock jumped {} times: times of the engine are wrong by as much.", facts.clock_jumps));
    }
    if facts.outages > 0 {
        say(format!(
            "The engine did not answer {} times, for {:.0} s in all.",
            facts.outages,
            facts.outage.as_secs_f64()
        ));
    }
    if facts.answered_late > 0 {
        say(format!(
            "{} runs count as started that were found after the answer to their submission was lost: their times of \
             acceptance are too late.",
            facts.answered_late
        ));
    }
    doubts
}

fn ended(summary: &Summary) -> usize {
    let all = summary.all();
    all.completed + all.failed + all.cancelled
}
