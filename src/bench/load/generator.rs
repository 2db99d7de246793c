//! The loop of a benchmark, from the first submission to the last finish.
//!
//! A single loop drives all calls; nothing is spawned. Each iteration submits the batches that are due. Then it waits
//! for the first of: the stop signal, the time limit, a tick, a response to a submission, the next due batch, or the
//! finish of a run.
//!
//! A submission is repeated if the run certainly did not start, or if its task is keyed, so that the engine recognizes
//! the second submission as a duplicate. After any other lost response the run is `Unanswered`. The REST list may
//! recover it afterwards.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    outage::OutageTracker,
    progress::ProgressCounter,
    schedule::{Batch, Schedule},
    slots::{slots_by_pool, slots_of},
    submit::{Pass, TriggerResult, did_not_start, submit},
};
use crate::{
    bench::{
        keys::run_key,
        observer::Observer,
        plan::LoadPlan,
        record::{Acceptance, EndReason, Micros, Recording, ReportFolder, RunRecords, SecondPass, SlotsByPool},
    },
    hatchet::{
        client::{Client, ClientError, ErrorKind, Outcomes, RunOutcome, WorkerSummary},
        wire::RunId,
    },
};

/// Run records are flushed to disk every 100 ms.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Progress is reported after this number of flushes: every second.
const FLUSHES_PER_REPORT: u32 = 10;
/// Time after the end of the loop for calls in flight to return the runs that they started: 3 s.
const CALLS_GRACE: Duration = Duration::from_secs(3);
/// Timeout of a final request for the workers' slots, for benchmarks that end before the first request: 2 s.
const SLOTS_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of consecutive internal errors of the engine after which submissions are not repeated.
const MAX_ENGINE_FAILURES: u32 = 20;
/// Change of the difference between wall clock and monotonic clock in a second that counts as a clock jump: 50 ms.
const CLOCK_JUMP: f64 = 0.05;

type Call = Pin<Box<dyn Future<Output = (Batch, Pass, Vec<TriggerResult>)> + Send>>;
type WorkersRequest = Pin<Box<dyn Future<Output = Result<Vec<WorkerSummary>, ClientError>> + Send>>;

/// A running benchmark.
pub(in crate::bench) struct LoadGenerator {
    client: Client,
    plan: Arc<LoadPlan>,
    started: Instant,
    started_wall: SystemTime,
    runs: RunRecords,
    slots: SlotsByPool,
    outages: OutageTracker,
    second_pass: Option<SecondPass>,
    schedule: Schedule,
    pass: Pass,
    /// The outcomes of accepted runs, by position.
    outcomes: Outcomes,
    calls: FuturesUnordered<Call>,
    counter: ProgressCounter,
    engine_failures: u32,
    clock_jumps: usize,
    /// Wall clock minus monotonic clock at the last report, in seconds.
    clock_offset: f64,
    write_error_reported: bool,
}

impl LoadGenerator {
    pub(in crate::bench) fn new(client: Client, plan: Arc<LoadPlan>) -> Self {
        Self {
            started: Instant::now(),
            started_wall: SystemTime::now(),
            runs: RunRecords::new(&plan),
            slots: SlotsByPool::new(),
            outages: OutageTracker::default(),
            second_pass: None,
            schedule: Schedule::new(&plan),
            pass: Pass::First,
            outcomes: Outcomes::new(client.clone()),
            calls: FuturesUnordered::new(),
            counter: ProgressCounter::new(&plan),
            engine_failures: 0,
            clock_jumps: 0,
            clock_offset: 0.0,
            write_error_reported: false,
            client,
            plan,
        }
    }

    fn now(&self) -> Micros {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Submits all runs and waits until all have finished, the time limit passes, or `stop` is cancelled.
    pub(in crate::bench) async fn run(
        mut self,
        folder: &mut ReportFolder,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Recording {
        let deadline = sleep(self.plan.timeout);
        tokio::pin!(deadline);
        let mut tick = interval(FLUSH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ticks, mut workers_request) = (0_u32, None::<WorkersRequest>);
        let end = loop {
            self.submit_due();
            if self.schedule.is_empty() && self.calls.is_empty() {
                if self.plan.verify_dedupe && self.pass == Pass::First {
                    self.begin_second_pass();
                    continue;
                }
                if self.outcomes.is_empty() {
                    break EndReason::Completed;
                }
            }
            let due = self.schedule.next_due(self.now(), self.calls.len());
            let due = due.map(|micros| self.started + Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
            tokio::select! {
                // Rare events come first, so that frequent events cannot starve them.
                biased;
                () = stop.cancelled() => break EndReason::Interrupted,
                () = &mut deadline => break EndReason::TimedOut,
                _ = tick.tick() => {
                    folder.flush();
                    ticks += 1;
                    if ticks.is_multiple_of(FLUSHES_PER_REPORT) {
                        self.report(folder, observer);
                        workers_request = workers_request.or_else(|| self.request_workers());
                    }
                }
                workers = async { workers_request.as_mut()?.await.ok() }, if workers_request.is_some() => {
                    workers_request = None;
                    self.record_slots(workers);
                }
                Some((batch, pass, items)) = self.calls.next() => self.record_batch(batch, pass, items, folder),
                () = async { sleep_until(due.unwrap_or(self.started).into()).await }, if due.is_some() => {}
                Some((position, outcome)) = self.outcomes.next(), if !self.outcomes.is_empty() => {
                    self.run_finished(position, outcome, folder);
                }
            }
        };
        self.wind_down(end, workers_request, folder, observer).await
    }

    /// Collects the responses to calls in flight, since runs without them would have no record.
    async fn wind_down(
        mut self,
        end: EndReason,
        workers_request: Option<WorkersRequest>,
        folder: &mut ReportFolder,
        observer: &mut dyn Observer,
    ) -> Recording {
        let deadline = tokio::time::Instant::now() + CALLS_GRACE;
        while let Ok(Some((batch, pass, items))) = tokio::time::timeout_at(deadline, self.calls.next()).await {
            self.record_batch(batch, pass, items, folder);
        }
        self.runs.mark_unanswered("the engine did not respond to the submission before the benchmark ended");
        if self.slots.is_empty()
            && let Some(request) = workers_request.or_else(|| self.request_workers())
        {
            self.record_slots(tokio::time::timeout(SLOTS_TIMEOUT, request).await.ok().and_then(Result::ok));
        }
        folder.flush();
        self.report(folder, observer);
        Recording {
            end,
            started: self.started_wall,
            duration: self.now(),
            runs: self.runs,
            slots: self.slots,
            clock_jumps: self.clock_jumps,
            outages: self.outages.count,
            outage_time: self.outages.total,
            second_pass: self.second_pass,
        }
    }

    fn submit_due(&mut self) {
        loop {
            let now = self.now();
            let Some(batch) = self.schedule.next_batch(now, self.calls.len()) else { return };
            if self.pass == Pass::First {
                for (index, due) in batch.indexes.iter().zip(&batch.due) {
                    let position = self.runs.position(batch.task, *index);
                    let run = &mut self.runs.all[position];
                    run.due = *due;
                    run.submitted.get_or_insert(now);
                }
            }
            let deadline = self.started.checked_add(self.plan.timeout).map(Into::into);
            self.calls.push(Box::pin(submit(self.client.clone(), self.plan.clone(), batch, self.pass, deadline)));
        }
    }

    /// Schedules every run a second time, without a rate.
    fn begin_second_pass(&mut self) {
        self.pass = Pass::Second;
        self.second_pass = Some(SecondPass::default());
        self.schedule = Schedule::new(&LoadPlan { rate: None, ..LoadPlan::clone(&self.plan) });
    }

    fn record_batch(&mut self, batch: Batch, pass: Pass, items: Vec<TriggerResult>, folder: &mut ReportFolder) {
        let (now, keyed) = (self.now(), self.plan.tasks[batch.task].keyed);
        let mut retry = Batch { task: batch.task, indexes: Vec::new(), due: Vec::new() };
        let mut last_error = None;
        for ((index, due), item) in batch.indexes.into_iter().zip(batch.due).zip(items) {
            let position = self.runs.position(batch.task, index);
            match item {
                Err(error) if error.is_temporary() && self.may_resend(&error, keyed) => {
                    self.record_resend(position, &error, pass);
                    retry.indexes.push(index);
                    retry.due.push(due);
                    last_error = Some(error);
                }
                item if pass == Pass::First => self.record_run(position, item, now, folder),
                item => self.record_second_pass(position, &item),
            }
        }
        match last_error {
            Some(error) => {
                self.engine_failures += u32::from(error.kind() == ErrorKind::Engine);
                self.outages.submission_failed(&error);
                self.schedule.retry(retry, now);
            }
            None => {
                self.engine_failures = 0;
                self.outages.submission_responded();
            }
        }
    }

    /// Whether a failed submission may be repeated: the run certainly did not start, or the engine would recognize it
    /// by its key.
    fn may_resend(&self, error: &ClientError, keyed: bool) -> bool {
        self.engine_failures < MAX_ENGINE_FAILURES && (keyed || did_not_start(error))
    }

    /// Records the error of a submission that is repeated. The report shows it if no repetition gets a response.
    fn record_resend(&mut self, position: usize, error: &ClientError, pass: Pass) {
        if pass == Pass::First && self.runs.all[position].acceptance == Acceptance::Pending {
            let run = &mut self.runs.all[position];
            if did_not_start(error) {
                run.submitted = None;
            } else {
                run.acceptance = Acceptance::Unanswered;
            }
        }
        if pass == Pass::First {
            self.runs.record_error(position, &error.to_string());
        }
    }

    fn record_run(&mut self, position: usize, item: TriggerResult, now: Micros, folder: &mut ReportFolder) {
        let (task, _) = self.runs.task_and_index(position);
        let run = &mut self.runs.all[position];
        let progress = &mut self.counter.progress.tasks[task];
        run.accepted = Some(now);
        run.error = None;
        let id = match item {
            Ok(handle) => {
                run.acceptance = Acceptance::Started;
                run.recovered = handle.was_recovered();
                handle.id()
            }
            Err(error) => match error.kind() {
                ErrorKind::Duplicate(Some(id)) => {
                    if run.acceptance == Acceptance::Unanswered {
                        // The key may belong to an earlier submission of this run, which its creation time shows.
                        run.acceptance = Acceptance::Started;
                        run.recovered = true;
                    } else {
                        run.acceptance = Acceptance::Duplicate;
                        progress.duplicates += 1;
                    }
                    id
                }
                kind => {
                    // A refusal does not show whether an earlier submission without a response started the run.
                    let is_unanswered = run.acceptance == Acceptance::Unanswered
                        || !did_not_start(&error)
                        || matches!(kind, ErrorKind::Duplicate(_) | ErrorKind::Unconfirmed(_));
                    if is_unanswered {
                        run.acceptance = Acceptance::Unanswered;
                        progress.unaccounted += 1;
                    } else {
                        run.acceptance = Acceptance::Refused;
                        progress.refused += 1;
                    }
                    self.runs.record_error(position, &error.to_string());
                    folder.write_run(&self.runs.to_json(&self.plan, position));
                    return;
                }
            },
        };
        run.id = Some(id);
        progress.accepted += 1;
        self.outcomes.add(position, id);
    }

    /// Records the response to the second submission of a run.
    fn record_second_pass(&mut self, position: usize, item: &TriggerResult) {
        let Some(second_pass) = &mut self.second_pass else { return };
        let (first, (task, index)) = (self.runs.all[position].id, self.runs.task_and_index(position));
        let key = run_key(&self.plan.prefix, &self.plan.tasks[task].name, index);
        let is_first = |id: RunId| Some(id) == first;
        let violation = match item {
            Ok(run) => format!("{key} was started again as run {}", run.id()),
            Err(error) => match error.kind() {
                ErrorKind::Duplicate(Some(id)) if is_first(id) => {
                    second_pass.refused += 1;
                    return;
                }
                ErrorKind::Duplicate(_) => format!("{key} belongs to another run: {error}"),
                _ => format!("submitting {key} again failed: {error}"),
            },
        };
        second_pass.violations.push(violation);
    }

    fn run_finished(&mut self, position: usize, outcome: Result<RunOutcome, ClientError>, folder: &mut ReportFolder) {
        let (now, (task, _)) = (self.now(), self.runs.task_and_index(position));
        let run = &mut self.runs.all[position];
        match outcome {
            Ok(outcome) => {
                (run.status, run.seen, run.error) = (Some(outcome.status), Some(now), None);
                let micros = (run.acceptance == Acceptance::Started).then(|| now - run.due);
                self.counter.run_finished(task, outcome.status, micros);
                if let Some(error) = outcome.error {
                    self.runs.record_error(position, &error);
                }
            }
            Err(error) => {
                self.counter.progress.tasks[task].unaccounted += 1;
                self.runs.record_error(position, &error.to_string());
            }
        }
        folder.write_run(&self.runs.to_json(&self.plan, position));
    }

    /// Reports progress, outages, clock jumps and write errors. Called every second.
    fn report(&mut self, folder: &ReportFolder, observer: &mut dyn Observer) {
        if let Some(error) = folder.write_error().filter(|_| !self.write_error_reported) {
            self.write_error_reported = true;
            observer.note(&format!("{error}. The benchmark continues, and writes all run records again at its end"));
        }
        let wall = self.started_wall.elapsed().map_or_else(|e| -e.duration().as_secs_f64(), |d| d.as_secs_f64());
        let offset = wall - self.started.elapsed().as_secs_f64();
        self.clock_jumps += usize::from((offset - self.clock_offset).abs() > CLOCK_JUMP);
        self.clock_offset = offset;
        let outage = self.outcomes.outage();
        if let Some(note) = self.outages.update(outage.as_ref().map(|(silent, reason)| (*silent, reason))) {
            observer.note(&note);
        }
        observer.progress(self.counter.update());
    }

    fn request_workers(&self) -> Option<WorkersRequest> {
        let rest = self.client.rest()?.clone();
        Some(Box::pin(async move { rest.workers().await }))
    }

    fn record_slots(&mut self, workers: Option<Vec<WorkerSummary>>) {
        let Some(workers) = workers else { return };
        let config = self.client.config();
        self.counter.progress.slots = Some(slots_of(&config, &self.plan.tasks, &workers));
        for (pool, slots) in slots_by_pool(&config, &self.plan, &workers) {
            let max = self.slots.entry(pool).or_default();
            max.used = max.used.max(slots.used);
            max.total = max.total.max(slots.total);
        }
    }
}
