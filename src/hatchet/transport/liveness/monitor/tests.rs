use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use futures_util::FutureExt as _;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A connection to a peer that responds to probes.
struct Peer {
    activity: Activity,
    monitor: Monitor,
    probes: Arc<AtomicU64>,
    /// Milliseconds until the response to a probe; [`u64::MAX`] for a dead peer.
    response_delay: Arc<AtomicU64>,
    has_responded: Arc<AtomicBool>,
}

impl Peer {
    /// A peer whose first bytes were received.
    fn new(response_delay: u64) -> Self {
        let peer = Self {
            activity: Activity::default(),
            monitor: Monitor::default(),
            probes: Arc::default(),
            response_delay: Arc::new(AtomicU64::new(response_delay)),
            has_responded: Arc::new(AtomicBool::new(true)),
        };
        peer.activity.set_connected();
        peer.activity.add_received(27);
        peer
    }

    fn die(&self) {
        self.response_delay.store(u64::MAX, Ordering::Relaxed);
    }

    /// Waits until the monitor declares the connection dead. Returns the time since the last byte.
    async fn wait_until_dead(&mut self) -> Duration {
        let (activity, probes, response_delay) =
            (self.activity.clone(), self.probes.clone(), self.response_delay.clone());
        let has_responded = self.has_responded.clone();
        let probe = move || {
            probes.fetch_add(1, Ordering::Relaxed);
            let (activity, delay) = (activity.clone(), response_delay.load(Ordering::Relaxed));
            async move {
                activity.add_sent(250);
                sleep(Duration::from_millis(delay)).await;
                activity.add_received(30);
            }
            .boxed()
        };
        self.monitor.wait_until_dead(&self.activity, || has_responded.load(Ordering::Relaxed), probe).await
    }

    async fn stays_alive_for(&mut self, time: Duration) {
        assert!(timeout(time, self.wait_until_dead()).await.is_err(), "it is alive");
    }

    fn take_probes(&self) -> u64 {
        self.probes.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn dead_connection_is_detected_within_two_seconds() {
    for uptime in [Duration::ZERO, SECOND / 3, SECOND * 5, SECOND * 600] {
        let mut peer = Peer::new(5);
        let _call = peer.activity.begin_call();
        peer.stays_alive_for(uptime).await;
        peer.die();
        let last_byte = peer.activity.last_received();
        peer.wait_until_dead().await;
        assert!(last_byte.elapsed() <= PROBE_AFTER + MIN_PROBE_TIMEOUT, "{uptime:?}: {:?}", last_byte.elapsed());
    }
    assert!(PROBE_AFTER + MIN_PROBE_TIMEOUT < SECOND * 2);
}

/// Receives a byte every 0.1 s.
async fn steady_traffic(activity: Activity) {
    loop {
        sleep(SECOND / 10).await;
        activity.add_received(1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_dead_connection_under_traffic_is_detected_within_two_seconds() {
    let mut peer = Peer::new(5);
    let _call = peer.activity.begin_call();
    for number in 0..5 {
        // A connection that is replaced before the response to its first probe does not measure the timeout.
        peer.response_delay.store(500, Ordering::Relaxed);
        peer.stays_alive_for(SECOND / 10).await;
        peer.response_delay.store(5, Ordering::Relaxed);
        peer.activity.add_received(1);
        let traffic = steady_traffic(peer.activity.clone());
        tokio::select! {
            () = peer.stays_alive_for(SECOND * 10) => {}
            () = traffic => unreachable!(),
        }
        peer.die();
        let last_byte = peer.activity.last_received();
        peer.wait_until_dead().await;
        assert!(last_byte.elapsed() < SECOND * 2, "connection {number}: {:?}", last_byte.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn connection_without_room_for_a_probe_stays_alive() {
    let Peer { activity, mut monitor, .. } = Peer::new(5);
    let _call = activity.begin_call();
    // At the peer's limit of concurrent streams, HTTP/2 does not send the probe until another stream ends.
    let probe = || std::future::pending().boxed();
    assert!(timeout(SECOND * 60, monitor.wait_until_dead(&activity, || true, probe)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn silent_connection_is_probed_once_a_second() {
    let mut peer = Peer::new(5);
    let _call = peer.activity.begin_call();
    peer.stays_alive_for(SECOND * 60).await;
    assert!((58..=60).contains(&peer.take_probes()));
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_not_probed() {
    let mut peer = Peer::new(u64::MAX);
    peer.stays_alive_for(SECOND * 60).await;
    drop(peer.activity.begin_call());
    peer.stays_alive_for(SECOND * 60).await;
    assert_eq!(peer.take_probes(), 0);
    let _call = peer.activity.begin_call();
    let started = Instant::now();
    peer.wait_until_dead().await;
    assert!(started.elapsed() < SECOND * 2, "silence counts from the call");
}

#[tokio::test(start_paused = true)]
async fn received_bytes_replace_probes() {
    let mut peer = Peer::new(u64::MAX);
    let _call = peer.activity.begin_call();
    let activity = peer.activity.clone();
    let large_response = async {
        for _ in 0..600 {
            sleep(SECOND / 10).await;
            activity.add_received(25_000);
        }
    };
    tokio::select! {
        _ = peer.wait_until_dead() => panic!("it is alive"),
        () = large_response => {}
    }
    assert_eq!(peer.take_probes(), 0);
}

#[tokio::test(start_paused = true)]
async fn slow_engine_is_given_more_time() {
    let mut peer = Peer::new(2_000);
    let _call = peer.activity.begin_call();
    peer.wait_until_dead().await;
    peer.wait_until_dead().await;
    peer.stays_alive_for(SECOND * 600).await;
}

#[tokio::test(start_paused = true)]
async fn upload_is_given_the_time_of_a_slow_link() {
    let mut peer = Peer::new(u64::MAX);
    let _call = peer.activity.begin_call();
    let activity = peer.activity.clone();
    let upload = async {
        for _ in 0..10 {
            // The maximum of flow control, and then nothing until the peer has read half of it.
            activity.add_sent(1_000_000);
            sleep(SECOND * 2 + SECOND / 2).await;
            activity.add_received(13);
        }
    };
    tokio::select! {
        _ = peer.wait_until_dead() => panic!("it is alive"),
        () = upload => {}
    }
}

#[tokio::test(start_paused = true)]
async fn upload_on_dead_connection_ends() {
    let mut peer = Peer::new(u64::MAX);
    let _call = peer.activity.begin_call();
    let (activity, started) = (peer.activity.clone(), Instant::now());
    let upload = async {
        // Until the buffer is full.
        for _ in 0..10 {
            sleep(SECOND / 10).await;
            activity.add_sent(100_000);
        }
        std::future::pending().await
    };
    tokio::select! {
        _ = peer.wait_until_dead() => {}
        () = upload => unreachable!(),
    }
    assert!(started.elapsed() < SECOND * 6, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn new_connection_without_a_byte_is_dead() {
    let mut peer = Peer::new(u64::MAX);
    let _call = peer.activity.begin_call();
    peer.activity.set_dialing();
    peer.stays_alive_for(SECOND * 60).await;
    for number in 0..MAX_SHORT_ATTEMPTS + 2 {
        peer.activity.set_connected();
        let started = Instant::now();
        peer.wait_until_dead().await;
        let expected = if number < MAX_SHORT_ATTEMPTS { FIRST_BYTE_TIMEOUT } else { MAX_PROBE_TIMEOUT };
        assert!((expected..expected + SECOND / 100).contains(&started.elapsed()), "{number}: {:?}", started.elapsed());
    }
    assert_eq!(peer.take_probes(), 0);
    peer.activity.set_connected();
    peer.activity.add_received(27);
    peer.wait_until_dead().await;
    assert_eq!(peer.monitor.silent_connections, 0);
}

#[tokio::test(start_paused = true)]
async fn engine_without_any_response_is_dead_only_without_a_byte() {
    let mut peer = Peer::new(u64::MAX);
    peer.has_responded.store(false, Ordering::Relaxed);
    let _call = peer.activity.begin_call();
    peer.stays_alive_for(SECOND * 60).await;
    peer.activity.set_connected();
    let started = Instant::now();
    peer.wait_until_dead().await;
    assert_eq!(started.elapsed().as_secs(), MAX_PROBE_TIMEOUT.as_secs());
    assert_eq!(peer.take_probes(), 0);
}

#[tokio::test(start_paused = true)]
async fn first_byte_of_slow_link_sets_probe_timeout() {
    let mut peer = Peer::new(900);
    let _call = peer.activity.begin_call();
    peer.activity.set_connected();
    let activity = peer.activity.clone();
    let settings = async {
        sleep(SECOND * 9 / 10).await;
        activity.add_received(27);
    };
    tokio::join!(peer.stays_alive_for(SECOND * 60), settings);
}

#[tokio::test(start_paused = true)]
async fn failing_probes_are_spaced() {
    let mut peer = Peer::new(5);
    let _call = peer.activity.begin_call();
    let activity = peer.activity.clone();
    let probes = AtomicU64::new(0);
    let fails_immediately = || {
        probes.fetch_add(1, Ordering::Relaxed);
        std::future::ready(()).boxed()
    };
    assert!(timeout(SECOND * 10, peer.monitor.wait_until_dead(&activity, || true, fails_immediately)).await.is_err());
    assert!((9..=10).contains(&probes.into_inner()));
}

#[tokio::test(start_paused = true)]
async fn suspended_monitor_measures_again() {
    let mut peer = Peer::new(u64::MAX);
    let _call = peer.activity.begin_call();
    peer.stays_alive_for(PROBE_AFTER).await;
    let activity = peer.activity.clone();
    let suspension = async {
        sleep(MIN_PROBE_TIMEOUT / 2).await;
        // Advances the clock without letting the monitor run.
        advance(SECOND * 30).await;
        sleep(MIN_PROBE_TIMEOUT / 2).await;
        activity.add_received(30);
        sleep(PROBE_AFTER).await;
    };
    tokio::select! {
        _ = peer.wait_until_dead() => panic!("the monitor was suspended, not the peer"),
        () = suspension => {}
    }
}
