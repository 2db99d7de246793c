//! The checks after each operation, and at the end.

use super::*;

impl Random {
    /// Checks the stages of a run's tasks against their dependencies.
    fn check_dependencies(&self, run: RunId) {
        let state = &self.world.state;
        let (_, run) = state.run(run).unwrap();
        let stage = |index: usize| state.task(run.tasks[index]).unwrap().phase.stage();
        let open = (0..run.tasks.len()).filter(|index| !stage(*index).is_final()).count();
        assert_eq!((run.open, run.finished.is_some()), (open, open == 0));
        for (index, spec) in run.version.definition.tasks.iter().enumerate() {
            let others_finished = (0..index).all(|other| stage(other).is_final());
            let failed = (0..index).any(|other| stage(other) == Stage::Failed);
            let completed = spec.parents.iter().all(|parent| stage(*parent) == Stage::Completed);
            let lost =
                spec.parents.iter().any(|parent| stage(*parent).is_final() && stage(*parent) != Stage::Completed);
            if let Some(conditions) = &spec.conditions {
                let ends: Vec<ParentEnd> = spec
                    .parents
                    .iter()
                    .map(|parent| match state.task(run.tasks[*parent]).unwrap().phase.output() {
                        Some(output) if is_skipped(output) => ParentEnd::Skipped,
                        Some(_) => ParentEnd::Completed,
                        None => ParentEnd::Open,
                    })
                    .collect();
                self.check_conditions(run.tasks[index], &spec.parents, conditions, &ends, lost);
                continue;
            }
            match stage(index) {
                Stage::Waiting if spec.on_failure => assert!(!others_finished, "waits without a blocker"),
                Stage::Waiting => assert!(!completed && !lost, "waits without a blocker"),
                Stage::Queued | Stage::BackOff | Stage::Running if spec.on_failure => {
                    assert!(others_finished && failed)
                }
                Stage::Queued | Stage::BackOff | Stage::Running | Stage::Failed => {
                    assert!(completed, "started before its parents completed")
                }
                Stage::Completed | Stage::Cancelled => {}
            }
        }
    }

    /// Checks the stage of a task with conditions against a decision from scratch. All predicates of these tasks hold.
    fn check_conditions(
        &self,
        task: RunId,
        parents: &[usize],
        conditions: &Conditions,
        ends: &[ParentEnd],
        is_lost: bool,
    ) {
        let state = &self.world.state;
        let progress = state.conditions.get(task).expect("a task with conditions has an entry");
        let stage = state.task(task).unwrap().phase.stage();
        let is_waiting = stage == Stage::Waiting;
        assert_eq!(is_waiting, progress.stage != ConditionStage::Decided);
        let met: Vec<bool> = conditions
            .parents
            .iter()
            .map(|condition| {
                parents.iter().zip(ends).any(|(index, end)| *index == condition.parent && *end != ParentEnd::Open)
            })
            .collect();
        let by_parents = conditions.decide_by_parents(parents, ends, &met);
        if !is_waiting {
            assert!(progress.sleeps.is_empty(), "sleeps after its decision");
            if matches!(stage, Stage::Queued | Stage::BackOff | Stage::Running | Stage::Failed) {
                assert!(matches!(by_parents, Decision::Start | Decision::BeginWaits), "started without its parents");
            }
            return;
        }
        assert!(!is_lost, "waits for a parent that was lost");
        let expected = match progress.stage {
            ConditionStage::OnParents => Decision::Undecided,
            ConditionStage::OnWaits | ConditionStage::Decided => Decision::BeginWaits,
        };
        assert_eq!(by_parents, expected);
        if progress.stage == ConditionStage::OnWaits {
            let waits: Vec<bool> = (0..conditions.waits.len()).map(|index| progress.met.contains_key(&index)).collect();
            assert_eq!(conditions.decide_by_waits(&waits, &met), Decision::Undecided);
            for (index, wait) in conditions.waits.iter().enumerate() {
                let is_sleep = matches!(wait.kind, WaitKind::Sleep { .. });
                assert_eq!(progress.sleeps.contains_key(&index), is_sleep && !waits[index], "open sleeps are timed");
            }
        }
    }

    /// Checks all invariants after an operation. `before` has the tasks that were queued before it.
    pub(super) fn check(&mut self, op: &Op, before: &BTreeMap<RunId, QueuedTask>) {
        #[cfg(feature = "cel")]
        group_model::check(&self.world.state);
        self.check_rate_limit(op);
        let queued = self.queued();
        self.check_turns(op, before, &queued);
        let open = self.runs.iter().filter(|run| !self.ends.contains_key(*run));
        open.for_each(|run| self.check_dependencies(*run));
        let (state, now) = (&self.world.state, self.world.now);
        let time_passed = matches!(op, Op::Advance(_) | Op::Restart);
        let open =
            state.runs.tasks.values().filter(|t| t.finished.is_none() && t.phase.stage() != Stage::Waiting).count();
        let gaps = state
            .runs
            .tasks
            .values()
            .filter(|t| t.chunks.as_ref().is_some_and(|chunks| chunks.timer.is_some()))
            .count();
        assert_eq!(
            state.timers.len(),
            open + gaps + state.conditions.open_timers() + state.workers().count() + state.rate_limits.timers(),
            "one timer for each open task, gap, sleeping task, worker and rate limit with waiting tasks"
        );
        let suspended = state.scheduler.suspended();
        assert_eq!(state.rate_limits.waiting().1, suspended, "a queue waits for a key exactly while it is suspended");
        let is_due = state.next_deadline().wait(now).is_some_and(|wait| wait.is_zero());
        assert!(!is_due || !time_passed, "no due timer is left");
        self.check_workers(&queued);
        self.check_effects(time_passed);
    }

    /// Checks the slots in use of each worker, and that no task waits for slots that are free.
    fn check_workers(&self, queued: &BTreeMap<RunId, QueuedTask>) {
        let (state, now) = (&self.world.state, self.world.now);
        for (id, worker) in state.workers() {
            let mut used: BTreeMap<&str, i64> = BTreeMap::new();
            for task in worker.running.values() {
                let Phase::Running(running) = &state.runs.tasks[task].phase else { panic!("{task} does not run") };
                assert_eq!(running.worker, id);
                if running.holds_slots {
                    for (kind, units) in state.spec(*task).unwrap().definition.requirements.iter() {
                        *used.entry(kind).or_default() += units;
                    }
                }
            }
            for slot in &worker.slots {
                assert_eq!(slot.used, used.get(&*slot.kind).copied().unwrap_or(0));
                assert!(slot.used <= slot.limit, "uses more than its slots");
            }
            let ready = !worker.paused
                && !worker.unsubscribed
                && !worker.streams.is_empty()
                && (!worker.heartbeat_streams.is_empty()
                    || worker.heartbeat.is_some() && now.since(worker.last_seen) < Duration::from_secs(5));
            for id in queued.keys().filter(|_| ready) {
                let spec = state.spec(*id).unwrap();
                let is_limited = &*spec.definition.action == "limited:limited" && self.lacks_units();
                assert!(
                    is_limited || !slots::fits(&worker.slots, &spec.definition.requirements),
                    "{id} waits although a worker has free slots"
                );
            }
        }
        let running = state.runs.tasks.values().filter(|t| matches!(t.phase, Phase::Running(_))).count();
        assert_eq!(
            running,
            state.workers().map(|(_, w)| w.running.len()).sum::<usize>(),
            "each task runs on one worker"
        );
    }

    /// Checks the effects of the operation: each attempt is sent once, to a worker that may get it, and each finished
    /// run is announced once, with its final status.
    fn check_effects(&mut self, time_passed: bool) {
        let (state, now) = (&self.world.state, self.world.now);
        let mut seen = BTreeSet::new();
        for effect in &self.world.effects {
            match effect {
                Effect::StartAttempt { stream, task, attempt } => {
                    assert!(seen.insert((*task, *attempt)), "an attempt was sent twice");
                    if time_passed {
                        continue;
                    }
                    let worker = state.worker(state.workers.of_stream(*stream).unwrap()).unwrap();
                    assert!(!worker.paused && !worker.unsubscribed && worker.streams.last() == Some(stream));
                    let fresh = worker.heartbeat.is_some() && now.since(worker.last_seen) < Duration::from_secs(5);
                    assert!(fresh || !worker.heartbeat_streams.is_empty());
                }
                Effect::NotifyFinished { run, status } => {
                    let statuses = self.statuses(*run);
                    assert_eq!(statuses.0, *status);
                    assert!(self.ends.insert(*run, statuses).is_none(), "{run} finished twice");
                }
                Effect::StopAttempt { .. } | Effect::NotifyTask { .. } => {}
            }
        }
        for (run, end) in &self.ends {
            assert_eq!(self.statuses(*run), *end, "a finished run changed");
        }
        let finished = self.runs.iter().filter(|r| self.world.statuses(**r).0.is_final()).count();
        assert_eq!(finished, self.ends.len(), "every end is announced");
    }

    /// Whether the rate limit has too few units for a task.
    fn lacks_units(&self) -> bool {
        self.world.state.rate_limit("rate").unwrap().at(self.world.now).0 < 2
    }

    /// Checks that no window has given more units than the limit, from the times of the assignments.
    fn check_rate_limit(&mut self, op: &Op) {
        let now = self.world.now.monotonic.0;
        for effect in &self.world.effects {
            let Effect::StartAttempt { task, .. } = effect else { continue };
            // An assignment during an advance has an unknown time.
            if matches!(op, Op::Advance(_)) {
                self.limited.clear();
            } else if self.world.state.spec(*task).is_some_and(|spec| &*spec.definition.action == "limited:limited") {
                self.limited.push(now);
            }
        }
        let limit = self.world.state.rate_limit("rate").unwrap();
        assert!((0..=limit.limit).contains(&limit.value), "{limit:?}");
        // Fixed windows: at most the units of two windows within the length of one.
        let recent = self.limited.iter().filter(|time| now - **time < 60_000).count();
        assert!(recent <= 4, "{recent} assignments of two units within a minute");
    }

    /// Checks that no queued task should have been assigned before one that was: within a workflow by priority and
    /// position, between workflows by their turns.
    fn check_turns(&mut self, op: &Op, before: &BTreeMap<RunId, QueuedTask>, queued: &BTreeMap<RunId, QueuedTask>) {
        let started: Vec<RunId> = self
            .world
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::StartAttempt { task, .. } => Some(*task),
                _ => None,
            })
            .collect();
        for task in started {
            let workflow = self.workflow(task);
            if let Some(mine) = before.get(&task).filter(|_| !matches!(op, Op::Advance(_))) {
                let still_queued = before.iter().filter(|(id, was)| queued.get(*id) == Some(*was)).map(|(_, was)| was);
                let limited = WORKFLOWS.iter().position(|name| *name == "limited");
                let comparable = still_queued.filter(|other| Some(other.workflow) != limited);
                for other in comparable.filter(|other| other.requires_at_most(mine)) {
                    if other.workflow == workflow {
                        let (mine, other) = ((-mine.priority, mine.position), (-other.priority, other.position));
                        assert!(mine < other, "a task of lower priority or later position was first");
                    } else {
                        assert!(self.turn(workflow) <= self.turn(other.workflow), "it was another workflow's turn");
                    }
                }
            }
            self.assignments += 1;
            self.turns.insert(workflow, self.assignments);
        }
    }

    /// Adds a worker that serves all actions, and checks that all runs finish.
    pub(super) fn check_that_all_runs_end(&mut self) {
        let worker = self.world.register(&WORKFLOWS, &[("default", 1000), ("cpu", 1000)]);
        self.world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
        for _ in 0..50 {
            let all = self.runs.iter().flat_map(|run| self.world.state.run(*run).unwrap().1.tasks.clone());
            for task in all.collect::<Vec<_>>() {
                let (status, attempt) = self.world.status(task);
                if status == RunStatus::Running {
                    self.world.complete(task, attempt);
                }
            }
            for key in EVENTS {
                let (key, input, metadata) = (key.into(), "{}".into(), "{}".into());
                let event = PushedEvent { key, input, metadata, priority: None, scope: None };
                self.world.event(|state, now| state.push_event(event, now));
            }
            self.world.seconds(10);
        }
        for run in &self.runs {
            assert!(self.world.statuses(*run).0.is_final(), "{run} never finished");
        }
    }
}
