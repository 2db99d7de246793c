//! Atomic counters and gauges.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// A number that only increases.
#[derive(Debug, Default, Clone)]
pub(in crate::hatchet::worker) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(in crate::hatchet::worker) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of live [`GaugeGuard`]s.
#[derive(Debug, Default, Clone)]
pub(in crate::hatchet::worker) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// Increments the gauge until the guard is dropped.
    pub(in crate::hatchet::worker) fn enter(&self) -> GaugeGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self.clone())
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Decrements its gauge on drop.
#[derive(Debug)]
pub(in crate::hatchet::worker) struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a log line or stream chunk as lost on drop, unless it was marked as delivered.
pub(in crate::hatchet::worker) struct DeliveryGuard {
    lost: Option<Counter>,
}

impl DeliveryGuard {
    pub(super) fn new(lost: Counter) -> Self {
        Self { lost: Some(lost) }
    }

    pub(in crate::hatchet::worker) fn delivered(mut self) {
        self.lost = None;
    }
}

impl Drop for DeliveryGuard {
    fn drop(&mut self) {
        if let Some(lost) = &self.lost {
            lost.add(1);
        }
    }
}
