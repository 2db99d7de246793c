//! Tests of the watched runs, with simulated time.

use tokio::sync::{
    oneshot::{self, error::TryRecvError},
    watch,
};

use super::{
    super::{run_evidence::RunEvidence, sink::Progress},
    *,
};
use crate::hatchet::transport::ErrorKind;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Watched runs with a clock that the test advances.
struct Fixture {
    runs: WatchedRuns,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self::with_list(false)
    }

    fn with_list(has_list: bool) -> Self {
        let now = Instant::now();
        Self { runs: WatchedRuns::new(has_list, now), now }
    }

    fn wait(&mut self, run: RunId) -> oneshot::Receiver<WaitResult> {
        self.wait_with(run, RunEvidence::given())
    }

    fn wait_with(&mut self, run: RunId, evidence: RunEvidence) -> oneshot::Receiver<WaitResult> {
        let (sender, receiver) = oneshot::channel();
        self.runs.add(run, Waiter { evidence, sink: Sink::Outcome(sender) }, self.now);
        receiver
    }

    fn follow(&mut self, run: RunId) -> watch::Receiver<Progress> {
        let (sender, receiver) = watch::channel(Progress::default());
        self.runs.add(run, Waiter { evidence: RunEvidence::given(), sink: Sink::Progress(sender) }, self.now);
        receiver
    }

    /// Advances the clock to the next poll, starts it, and returns its run and the elapsed time.
    fn next_poll(&mut self) -> (RunId, Duration) {
        let started = self.now;
        loop {
            self.now = self.runs.next_poll().expect("a poll is scheduled").max(self.now);
            if let Some(run) = self.runs.take_poll(self.now) {
                return (run, self.now - started);
            }
        }
    }

    /// Polls a run that gRPC does not find. If the poll reads the list, it returns this response. Returns whether it
    /// did.
    fn poll_unfound(&mut self, run: RunId, list: Result<Option<RunDetails>, ClientError>) -> bool {
        assert_eq!(self.next_poll().0, run);
        let reads_list = self.runs.reads_list(run);
        if reads_list {
            self.runs.list_returned(run, list, self.now);
        } else {
            self.respond(run, Err(failure(ErrorKind::NotFound)));
        }
        reads_list
    }

    fn respond(&mut self, run: RunId, response: Result<RunDetails, ClientError>) {
        self.runs.poll_returned(run, response, self.now);
    }
}

fn details(status: RunStatus) -> RunDetails {
    RunDetails::test(status, status.is_final())
}

fn failure(kind: ErrorKind) -> ClientError {
    ClientError::new(kind, "no")
}

fn outcome(run: RunId) -> RunOutcome {
    RunOutcome { run, status: RunStatus::Completed, output: None, is_by_task: false, error: None }
}

#[test]
fn poll_replaces_lost_event() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let mut wait = fixture.wait(run);
    let intervals: Vec<u64> = (0..7)
        .map(|_| {
            let (polled, after) = fixture.next_poll();
            fixture.respond(polled, Ok(details(RunStatus::Running)));
            u64::try_from(after.as_millis()).unwrap()
        })
        .collect();
    assert_eq!(intervals, [250, 250, 500, 1_000, 2_000, 4_000, 5_000]);
    assert_eq!(wait.try_recv().unwrap_err(), TryRecvError::Empty);
    fixture.next_poll();
    fixture.respond(run, Ok(details(RunStatus::Completed)));
    assert_eq!(wait.try_recv().unwrap().unwrap().status, RunStatus::Completed);
    assert_eq!(fixture.runs.take_removed(), [run]);
    assert_eq!(fixture.runs.next_poll(), None);
}

#[test]
fn conclusive_event_ends_all_waits_without_poll() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let (mut first, mut second, follower) = (fixture.wait(run), fixture.wait(run), fixture.follow(run));
    fixture.runs.event(run, Some(outcome(run)), fixture.now);
    for wait in [&mut first, &mut second] {
        assert_eq!(wait.try_recv().unwrap().unwrap(), outcome(run));
    }
    assert!(follower.borrow().result.is_some());
    assert_eq!(fixture.runs.next_poll(), None);
}

#[test]
fn inconclusive_event_is_polled_immediately_and_again() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let mut wait = fixture.wait(run);
    fixture.runs.event(run, None, fixture.now);
    for expected in [0, 20, 40, 80] {
        assert_eq!(fixture.next_poll(), (run, MILLI * expected));
        fixture.respond(run, Ok(details(RunStatus::Running)));
    }
    fixture.next_poll();
    fixture.respond(run, Ok(details(RunStatus::Cancelled)));
    assert_eq!(wait.try_recv().unwrap().unwrap().status, RunStatus::Cancelled);
}

#[test]
fn each_run_is_polled_in_time_while_events_arrive() {
    // The seconds between two polls of a run, for a number of runs.
    for (count, period) in [(100, 20), (3_000, 30), (10_000, 100)] {
        let (mut fixture, mut polls) = (Fixture::new(), 0);
        let started = fixture.now;
        let runs: Vec<RunId> = (0..count).map(|_| RunId::random()).collect();
        let _waits: Vec<_> = runs.iter().map(|run| fixture.wait(*run)).collect();
        let mut last_polls: HashMap<RunId, Instant> = runs.iter().map(|run| (*run, started)).collect();
        while fixture.now - started < SECOND * 300 {
            let (run, _) = fixture.next_poll();
            let since = last_polls.insert(run, fixture.now).unwrap();
            // All runs become due together at first, and are polled after 25 s.
            let limit = if fixture.now - started < SECOND * 150 { period + 30 } else { period + 5 };
            assert!(fixture.now - since < SECOND * limit, "{count} runs: {:?}", fixture.now - since);
            polls += 1;
            // A short benchmark has five polls a second.
            assert!(polls <= 101 || fixture.now - started > SECOND * 20, "{count} runs");
            fixture.respond(run, Ok(details(RunStatus::Running)));
            // The event of another run.
            fixture.runs.event(RunId::random(), None, fixture.now);
        }
        assert!(last_polls.values().all(|time| fixture.now - *time < SECOND * (period + 5)), "{count} runs");
    }
}

#[test]
fn no_poll_is_due_while_every_run_is_being_polled() {
    let (mut fixture, runs) = (Fixture::new(), [RunId::random(), RunId::random()]);
    let _waits = runs.map(|run| fixture.wait(run));
    fixture.next_poll();
    fixture.next_poll();
    assert_eq!(fixture.runs.next_poll(), None);
    fixture.respond(runs[0], Err(failure(ErrorKind::Unreachable)));
    assert!(fixture.runs.next_poll().is_some());
}

#[test]
fn followed_run_is_polled_often_until_long_running() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let mut follower = fixture.follow(run);
    assert_eq!(fixture.next_poll(), (run, MILLI * 20));
    fixture.respond(run, Ok(details(RunStatus::Queued)));
    assert_eq!(follower.borrow_and_update().status, Some(RunStatus::Queued));
    for _ in 0..20 {
        fixture.next_poll();
        fixture.respond(run, Ok(details(RunStatus::Queued)));
    }
    assert!(!follower.has_changed().unwrap(), "the same status is no change");
    assert_eq!(fixture.next_poll(), (run, SECOND));
    for _ in 0..20 {
        fixture.respond(run, Ok(details(RunStatus::Running)));
        fixture.next_poll();
    }
    assert_eq!(follower.borrow_and_update().status, Some(RunStatus::Running));
    fixture.respond(run, Ok(details(RunStatus::Running)));
    assert_eq!(fixture.next_poll(), (run, MAX_INTERVAL));
}

#[test]
fn unknown_id_is_refused_after_two_seconds() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let (mut wait, started, mut polls) = (fixture.wait(run), fixture.now, 0);
    let error = loop {
        fixture.next_poll();
        fixture.respond(run, Err(failure(ErrorKind::NotFound)));
        polls += 1;
        match wait.try_recv() {
            Ok(result) => break result.unwrap_err(),
            Err(_) => assert!(polls < 10),
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(fixture.now - started >= SECOND * 2 && fixture.now - started < SECOND * 3);
    assert_eq!(fixture.runs.take_removed(), [run]);
}

#[test]
fn run_that_disappears_is_lost() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let mut wait = fixture.wait(run);
    fixture.next_poll();
    fixture.respond(run, Ok(details(RunStatus::Running)));
    for _ in 0..100 {
        fixture.next_poll();
        fixture.respond(run, Err(failure(ErrorKind::NotFound)));
        if let Ok(result) = wait.try_recv() {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::RunLost);
            return;
        }
    }
    panic!("the wait has not ended");
}

#[test]
fn listed_run_is_polled_less_until_found() {
    let (mut fixture, run) = (Fixture::with_list(true), RunId::random());
    let (mut wait, started) = (fixture.wait(run), fixture.now);
    let queued = || Ok(Some(details(RunStatus::Queued)));
    while !fixture.poll_unfound(run, queued()) {}
    assert!(fixture.now - started >= SECOND * 2 && fixture.now - started < SECOND * 3);
    let mut polls = 0;
    while fixture.now - started < SECOND * 3_600 {
        assert!(fixture.poll_unfound(run, queued()), "each poll reads the list");
        polls += 1;
    }
    assert!(polls < 130, "{polls}");
    assert!(wait.try_recv().is_err());
    fixture.next_poll();
    fixture.respond(run, Ok(details(RunStatus::Running)));
    assert!(!fixture.runs.reads_list(run));
    fixture.next_poll();
    fixture.respond(run, Ok(details(RunStatus::Completed)));
    assert_eq!(wait.try_recv().unwrap().unwrap().status, RunStatus::Completed);
}

#[test]
fn wait_for_listed_run_ends_with_the_run() {
    let unlisted: fn() -> Result<Option<RunDetails>, ClientError> = || Ok(None);
    let cancelled = || Ok(Some(details(RunStatus::Cancelled)));
    let failed = || Err(failure(ErrorKind::Unreachable));
    for (end, kind, seconds) in
        [(unlisted, Some(ErrorKind::RunLost), 10), (cancelled, None, 0), (failed, Some(ErrorKind::RunLost), 300)]
    {
        let (mut fixture, run) = (Fixture::with_list(true), RunId::random());
        let mut wait = fixture.wait(run);
        while !fixture.poll_unfound(run, Ok(Some(details(RunStatus::Queued)))) {}
        fixture.poll_unfound(run, end());
        let end_time = fixture.now;
        let result = loop {
            match wait.try_recv() {
                Ok(result) => break result,
                Err(_) => assert!(fixture.poll_unfound(run, end())),
            }
        };
        assert_eq!(result.err().map(|error| error.kind()), kind);
        assert!(fixture.now - end_time >= SECOND * seconds && fixture.now - end_time <= SECOND * (seconds + 5));
    }
}

#[test]
fn unlisted_run_is_lost_later_without_list() {
    let failed = || Err(failure(ErrorKind::Unreachable));
    let unlisted: fn() -> Result<Option<RunDetails>, ClientError> = || Ok(None);
    for (list, seconds) in [(unlisted, 10), (failed, 30)] {
        let (mut fixture, run) = (Fixture::with_list(true), RunId::random());
        let (mut wait, started) = (fixture.wait_with(run, RunEvidence::triggered()), fixture.now);
        let error = loop {
            fixture.poll_unfound(run, list());
            if let Ok(result) = wait.try_recv() {
                break result.unwrap_err();
            }
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let waited = fixture.now - started;
        assert!(waited >= SECOND * seconds && waited <= SECOND * (seconds + 6), "{waited:?}");
    }
}

#[test]
fn run_without_waiters_is_removed_at_next_poll() {
    let (mut fixture, run, other) = (Fixture::new(), RunId::random(), RunId::random());
    drop(fixture.wait(run));
    drop(fixture.follow(run));
    let _wait = fixture.wait(other);
    assert_eq!(fixture.next_poll().0, other);
    assert_eq!(fixture.runs.take_removed(), [run]);
}

#[test]
fn refused_poll_fails_its_run_and_refused_token_fails_all() {
    let mut fixture = Fixture::new();
    let runs = [RunId::random(), RunId::random(), RunId::random()];
    let [mut large, mut second, mut third] = runs.map(|run| fixture.wait(run));
    fixture.respond(runs[0], Err(failure(ErrorKind::TooLarge)));
    assert_eq!(large.try_recv().unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(second.try_recv().is_err());
    fixture.respond(runs[1], Err(failure(ErrorKind::Unauthenticated)));
    for wait in [&mut second, &mut third] {
        assert_eq!(wait.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}

#[test]
fn missing_responses_fail_only_older_waits() {
    let (mut fixture, old, new) = (Fixture::new(), RunId::random(), RunId::random());
    let mut old_wait = fixture.wait(old);
    fixture.now += SILENCE_TIMEOUT - SECOND;
    let mut new_wait = fixture.wait(new);
    fixture.respond(old, Err(failure(ErrorKind::Unreachable)));
    assert!(old_wait.try_recv().is_err());
    fixture.now += SECOND * 2;
    fixture.respond(new, Err(failure(ErrorKind::Unreachable)));
    fixture.respond(old, Err(failure(ErrorKind::Unreachable)));
    assert_eq!(old_wait.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Unreachable);
    assert!(new_wait.try_recv().is_err());
}

#[test]
fn throttled_poll_is_a_response_and_slows_down() {
    let (mut fixture, run) = (Fixture::new(), RunId::random());
    let mut wait = fixture.wait(run);
    for _ in 0..200 {
        fixture.next_poll();
        fixture.respond(run, Err(failure(ErrorKind::Exhausted)));
        assert!(fixture.runs.outage().is_none());
    }
    assert!(wait.try_recv().is_err(), "a rate limit ends no wait");
    assert!(fixture.next_poll().1 >= MAX_INTERVAL);
}

#[test]
fn broken_subscription_starts_outage_and_polls_all_runs() {
    let (mut fixture, runs) = (Fixture::new(), [RunId::random(), RunId::random()]);
    let _waits = runs.map(|run| fixture.wait(run));
    for _ in 0..20 {
        let (run, _) = fixture.next_poll();
        fixture.respond(run, Ok(details(RunStatus::Running)));
    }
    let broke = fixture.now;
    fixture.runs.subscription_broke(Some(failure(ErrorKind::Unreachable)), fixture.now);
    assert_eq!(fixture.runs.outage().unwrap().since, broke);
    let (first, _) = fixture.next_poll();
    let (second, _) = fixture.next_poll();
    assert_ne!(first, second);
    assert!(fixture.now - broke < SECOND / 2);
    // Later failures do not change the start of the outage.
    fixture.respond(first, Err(failure(ErrorKind::Unreachable)));
    assert_eq!(fixture.runs.outage().unwrap().since, broke);
    fixture.respond(second, Ok(details(RunStatus::Running)));
    assert!(fixture.runs.outage().is_none());
}
