//! Random histories against the rules that must hold at every moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::engine::state::model::{Needs, Phase};

#[derive(Debug, Clone)]
enum Op {
    Trigger {
        flow: usize,
        priority: i32,
    },
    Complete(usize),
    Fail(usize, bool),
    Stale(usize),
    Cancel(usize),
    CancelTask(usize),
    ReplayTask(usize),
    Replay(usize),
    Release(usize),
    Chunk(usize, i64),
    Register {
        slots: i64,
        cpu: i64,
    },
    Open(usize, bool),
    Close(usize),
    Beat(usize),
    Pause(usize, bool),
    Goodbye(usize),
    Pass(u64),
    /// What has changed is kept; without it, the next restart does that.
    Keep,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0usize..64;
    prop_oneof![
        6 => (0usize..4, 1i32..=3).prop_map(|(flow, priority)| Op::Trigger { flow, priority }),
        6 => at.clone().prop_map(Op::Complete),
        3 => (at.clone(), any::<bool>()).prop_map(|(at, may)| Op::Fail(at, may)),
        1 => at.clone().prop_map(Op::Stale),
        1 => at.clone().prop_map(Op::Cancel),
        1 => at.clone().prop_map(Op::CancelTask),
        1 => at.clone().prop_map(Op::ReplayTask),
        1 => at.clone().prop_map(Op::Replay),
        1 => at.clone().prop_map(Op::Release),
        1 => (at.clone(), 0i64..4).prop_map(|(at, index)| Op::Chunk(at, index)),
        1 => (0i64..4, 0i64..3).prop_map(|(slots, cpu)| Op::Register { slots, cpu }),
        2 => (at.clone(), prop::bool::weighted(0.2)).prop_map(|(at, beats)| Op::Open(at, beats)),
        1 => at.clone().prop_map(Op::Close),
        6 => at.clone().prop_map(Op::Beat),
        1 => (at.clone(), any::<bool>()).prop_map(|(at, paused)| Op::Pause(at, paused)),
        1 => at.prop_map(Op::Goodbye),
        1 => Just(Op::Keep),
        1 => Just(Op::Restart),
        3 => prop_oneof![0u64..500, 500u64..6000, 20_000u64..400_000].prop_map(Op::Pass),
    ]
}

const FLOWS: [&str; 4] = ["plain", "retried", "cpu", "dag"];

struct Random {
    world: World,
    disk: restart::Disk,
    runs: Vec<RunId>,
    workers: Vec<WorkerId>,
    streams: Vec<StreamId>,
    ends: HashMap<RunId, (RunStatus, Vec<(Stage, i32)>)>,
    /// The model of the turns: when each workflow was served last.
    turns: HashMap<usize, u64>,
    served: u64,
}

/// A task that waits in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waits {
    flow: usize,
    needs: Needs,
    priority: i32,
    /// Its place among those of its priority.
    since: u64,
}

impl Waits {
    /// Whether it fits wherever the other one does.
    fn needs_no_more_than(&self, other: &Self) -> bool {
        self.needs.iter().all(|(kind, units)| other.needs.iter().any(|(of, more)| of == kind && units <= more))
    }
}

impl Random {
    fn new() -> Self {
        let mut world = World::new();
        world.state.note_changes();
        world.declare("plain", |t| t.timeout.0 = Duration::from_secs(7));
        world.declare("retried", |t| {
            t.retries = 2;
            t.backoff = backoff(2.0, 60);
            t.schedule_timeout = Duration::from_secs(20);
        });
        world.declare("cpu", |t| t.needs = vec![("cpu".into(), 2), ("default".into(), 1)]);
        let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
        let retried = TaskDefinition { retries: 1, ..World::task("b", &[0]) };
        let cpu = TaskDefinition { needs: vec![("cpu".into(), 1)], ..World::task("c", &[0]) };
        let tasks = vec![World::task("a", &[]), retried, cpu, World::task("d", &[1, 2]), World::task("e", &[]), rescue];
        world.declare_all("dag", tasks, |_| ());
        Self {
            turns: HashMap::new(),
            served: 0,
            world,
            disk: restart::Disk::default(),
            runs: Vec::new(),
            workers: Vec::new(),
            streams: Vec::new(),
            ends: HashMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let pick = |list: &Vec<RunId>, at: usize| list.get(at % list.len().max(1)).copied();
        let worker = |at: usize| self.workers.get(at % self.workers.len().max(1)).copied();
        let world = &mut self.world;
        match *op {
            Op::Trigger { flow, priority } => {
                let run = world.trigger_with(FLOWS[flow], |item| item.priority = Some(priority));
                self.runs.push(run);
            }
            Op::Complete(at) | Op::Fail(at, _) | Op::Stale(at) => {
                // Mostly those that run: the others are the table's business.
                let all = self.runs.iter().flat_map(|run| world.state.run(*run).unwrap().1.tasks.clone());
                let running: Vec<RunId> = all.filter(|task| world.status(*task).0 == RunStatus::Running).collect();
                let Some(run) = pick(&running, at) else { return };
                let attempt = world.status(run).1;
                match *op {
                    Op::Complete(_) => world.complete(run, attempt),
                    Op::Stale(_) => world.complete(run, attempt - 1),
                    _ => world.report(run, attempt, failed("boom", matches!(op, Op::Fail(_, true)))),
                }
            }
            Op::Cancel(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    world.event(|state, now| state.cancel(run, now));
                }
            }
            Op::CancelTask(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    let task = pick(&world.state.run(run).unwrap().1.tasks.clone(), at / 7).unwrap();
                    world.event(|state, now| state.cancel(task, now));
                }
            }
            Op::Replay(at) | Op::ReplayTask(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    let one = pick(&world.state.run(run).unwrap().1.tasks.clone(), at / 7).unwrap();
                    let id = if matches!(op, Op::Replay(_)) { run } else { one };
                    world.event(|state, now| state.replay(id, now));
                    self.ends.remove(&run);
                }
            }
            Op::Release(at) => {
                if let Some(run) = pick(&self.runs, at).map(|run| world.part(run, 0)) {
                    world.event(|state, now| state.release_slot(run, now));
                }
            }
            Op::Chunk(at, index) => {
                if let Some(run) = pick(&self.runs, at).map(|run| world.part(run, 0)) {
                    world.event(|state, now| state.put_chunk(run, "c".into(), Some(index), now));
                }
            }
            Op::Register { slots, cpu } => {
                self.workers.push(world.register(&FLOWS, &[("default", slots), ("cpu", cpu)]));
            }
            Op::Open(at, beats) => {
                if let Some(id) = worker(at)
                    && let Ok(stream) = world.event(|state, now| state.open_stream(id, beats, now))
                {
                    self.streams.push(stream);
                }
            }
            Op::Close(at) => {
                if !self.streams.is_empty() {
                    let stream = self.streams.swap_remove(at % self.streams.len());
                    world.event(|state, now| state.close_stream(stream, now));
                }
            }
            Op::Beat(at) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, now| state.heartbeat(id, now));
                }
            }
            Op::Pause(at, paused) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, now| state.pause(id, paused, now));
                }
            }
            Op::Goodbye(at) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, _| state.unsubscribe(id));
                }
            }
            Op::Keep => self.disk.keep(&mut world.state, world.now),
            Op::Restart => {
                world.restart(&mut self.disk);
                self.streams.clear();
            }
            Op::Pass(millis) => world.pass(Duration::from_millis(millis)),
        }
    }

    /// Tasks that wait in the queue.
    fn queued(&self) -> BTreeMap<RunId, Waits> {
        let state = &self.world.state;
        let queued = state.tasks.iter().filter_map(|(id, task)| {
            let Phase::Queued((priority, since)) = task.phase else { return None };
            let needs = state.spec(*id).unwrap().needs.clone();
            Some((*id, Waits { flow: self.flow(*id), needs, priority: priority.0, since }))
        });
        queued.collect()
    }

    fn flow(&self, task: RunId) -> usize {
        let name = &self.world.state.run(task).unwrap().1.version.workflow;
        FLOWS.iter().position(|flow| *flow == &**name).unwrap()
    }

    fn turn(&self, flow: usize) -> u64 {
        self.turns.get(&flow).copied().unwrap_or(0)
    }

    fn stand(&self, run: RunId) -> (RunStatus, Vec<(Stage, i32)>) {
        let (status, stages) = self.world.stand(run);
        let attempts = (0..stages.len()).map(|at| self.world.status(self.world.part(run, at)).1);
        (status, stages.into_iter().zip(attempts).collect())
    }

    /// What the tasks of a run must be to each other.
    fn check_parents(&self, run: RunId) {
        let state = &self.world.state;
        let (_, run) = state.run(run).unwrap();
        let stage = |at: usize| state.task(run.tasks[at]).unwrap().phase.stage();
        let open = (0..run.tasks.len()).filter(|at| !stage(*at).is_final()).count();
        assert_eq!((run.open, run.finished.is_some()), (open, open == 0));
        for (at, spec) in run.version.tasks.iter().enumerate() {
            let others_ended = (0..at).all(|other| stage(other).is_final());
            let failed = (0..at).any(|other| stage(other) == Stage::Failed);
            let completed = spec.parents.iter().all(|parent| stage(*parent) == Stage::Completed);
            let lost =
                spec.parents.iter().any(|parent| stage(*parent).is_final() && stage(*parent) != Stage::Completed);
            match stage(at) {
                Stage::Waiting if spec.on_failure => assert!(!others_ended, "it has nothing to wait for"),
                Stage::Waiting => assert!(!completed && !lost, "it has nothing to wait for"),
                Stage::Queued | Stage::BackOff | Stage::Running if spec.on_failure => assert!(others_ended && failed),
                Stage::Queued | Stage::BackOff | Stage::Running | Stage::Failed => assert!(completed, "too early"),
                Stage::Completed | Stage::Cancelled => {}
            }
        }
    }

    fn check(&mut self, op: &Op, before: &BTreeMap<RunId, Waits>) {
        let queued = self.queued();
        self.check_turns(op, before, &queued);
        let open = self.runs.iter().filter(|run| !self.ends.contains_key(*run));
        open.for_each(|run| self.check_parents(*run));
        let (state, now) = (&self.world.state, self.world.now);
        let time_passed = matches!(op, Op::Pass(_) | Op::Restart);
        let open = state.tasks.values().filter(|t| t.finished.is_none() && t.phase.stage() != Stage::Waiting).count();
        let gaps = state.tasks.values().filter(|t| t.chunks.as_ref().is_some_and(|chunks| chunks.waits())).count();
        assert_eq!(state.clock.len(), open + gaps + state.workers.len(), "no deadline is lost or left behind");
        let is_due = state.next_deadline().wait(now).is_some_and(|wait| wait.is_zero());
        assert!(!is_due || !time_passed, "all that was due is done");

        for (id, worker) in state.workers() {
            let mut used: BTreeMap<&str, i64> = BTreeMap::new();
            for task in worker.running.values() {
                let Phase::Running(running) = &state.tasks[task].phase else { panic!("{task} does not run") };
                assert_eq!(running.worker, id);
                if running.holds {
                    for (kind, units) in state.spec(*task).unwrap().needs.iter() {
                        *used.entry(kind).or_default() += units;
                    }
                }
            }
            for slot in &worker.slots {
                assert_eq!(slot.used, used.get(&*slot.kind).copied().unwrap_or(0));
                assert!(slot.used <= slot.limit, "more than its slots");
            }
            let ready = !worker.paused
                && !worker.gone
                && !worker.streams.is_empty()
                && (!worker.beating.is_empty()
                    || worker.heartbeat.is_some() && now.since(worker.sign) < Duration::from_secs(5));
            for id in queued.keys().filter(|_| ready) {
                let spec = state.spec(*id).unwrap();
                assert!(worker.room(&spec.needs).is_none(), "{id} waits although a worker has room");
            }
        }
        let running = state.tasks.values().filter(|t| matches!(t.phase, Phase::Running(_))).count();
        assert_eq!(running, state.workers().map(|(_, w)| w.running.len()).sum::<usize>(), "each on one worker");

        let mut seen = BTreeSet::new();
        for effect in &self.world.done {
            match effect {
                Effect::Start { stream, task, attempt } => {
                    assert!(seen.insert((*task, *attempt)), "an attempt is sent once");
                    if time_passed {
                        continue;
                    }
                    let worker = &state.workers[&state.streams[stream]];
                    assert!(!worker.paused && !worker.gone && worker.streams.last() == Some(stream));
                    let fresh = worker.heartbeat.is_some() && now.since(worker.sign) < Duration::from_secs(5);
                    assert!(fresh || !worker.beating.is_empty());
                }
                Effect::RunFinished { run, status } => {
                    let stand = self.stand(*run);
                    assert_eq!(stand.0, *status);
                    assert!(self.ends.insert(*run, stand).is_none(), "{run} ended twice");
                }
                Effect::Stop { .. } | Effect::Step { .. } => {}
            }
        }
        for (run, end) in &self.ends {
            assert_eq!(self.stand(*run), *end, "what has ended stays so");
        }
        let ended = self.runs.iter().filter(|r| self.world.stand(**r).0.is_final()).count();
        assert_eq!(ended, self.ends.len(), "every end was told");
    }

    /// Who waited before and still does came after what was started: within a workflow by priority and place, between
    /// workflows by their turns.
    fn check_turns(&mut self, op: &Op, before: &BTreeMap<RunId, Waits>, queued: &BTreeMap<RunId, Waits>) {
        let started: Vec<RunId> = self
            .world
            .done
            .iter()
            .filter_map(|effect| match effect {
                Effect::Start { task, .. } => Some(*task),
                Effect::Stop { .. } | Effect::Step { .. } | Effect::RunFinished { .. } => None,
            })
            .collect();
        for task in started {
            let flow = self.flow(task);
            if let Some(mine) = before.get(&task).filter(|_| !matches!(op, Op::Pass(_))) {
                let still = before.iter().filter(|(id, was)| queued.get(*id) == Some(*was)).map(|(_, was)| was);
                for other in still.filter(|other| other.needs_no_more_than(mine)) {
                    if other.flow == flow {
                        let (mine, other) = ((-mine.priority, mine.since), (-other.priority, other.since));
                        assert!(mine < other, "a lower priority or a later one went first");
                    } else {
                        assert!(self.turn(flow) <= self.turn(other.flow), "it was another workflow's turn");
                    }
                }
            }
            self.served += 1;
            self.turns.insert(flow, self.served);
        }
    }

    /// A good worker comes: everything ends.
    fn heal(&mut self) {
        let worker = self.world.register(&FLOWS, &[("default", 1000), ("cpu", 1000)]);
        self.world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
        for _ in 0..50 {
            let all = self.runs.iter().flat_map(|run| self.world.state.run(*run).unwrap().1.tasks.clone());
            for task in all.collect::<Vec<_>>() {
                let (status, attempt) = self.world.status(task);
                if status == RunStatus::Running {
                    self.world.complete(task, attempt);
                }
            }
            self.world.seconds(10);
        }
        for run in &self.runs {
            assert!(self.world.stand(*run).0.is_final(), "{run} never ended");
        }
    }
}

/// Of 100 to 400 steps each: some 21,000 steps, and with `make chaos` some 1,050,000.
fn histories() -> u32 {
    if std::env::var("HATCHET_CHAOS").as_deref() == Ok("1") { 4200 } else { 85 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 2000, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_in_every_history(ops in prop::collection::vec(op(), 100..400)) {
        let mut random = Random::new();
        for op in &ops {
            let before = random.queued();
            random.world.done.clear();
            random.apply(op);
            random.check(op, &before);
        }
        random.heal();
    }
}
