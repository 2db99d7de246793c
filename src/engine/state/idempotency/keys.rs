//! The claimed idempotency keys, and their release.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    engine::{
        persistence::{
            row::RowKey,
            tracked::{ENTRY_BYTES, Stored, Tracked},
        },
        state::time::{ClockReading, MonotonicTimers, Timer, TimerKey},
    },
    hatchet::wire::RunId,
};

/// The lifetime of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ttl: Duration,
    /// Whether the end of the run frees the key before `ttl` has elapsed.
    pub(crate) until_end: bool,
}

/// The idempotency key to claim for a run.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) key: String,
    pub(crate) lease: Lease,
}

/// A key that a run has claimed.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) run: RunId,
    pub(crate) lease: Lease,
    /// Frees the key at the end of its time to live.
    pub(crate) timer: TimerKey,
}

/// All claimed keys. As in a real engine, all workflows share one namespace.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys {
    pub(in crate::engine::state) claims: Tracked<HashMap<Arc<str>, Claim>>,
}

impl IdempotencyKeys {
    /// Claims a key for a run and returns the key, or the run that has claimed it.
    pub(crate) fn claim(
        &mut self,
        request: ClaimRequest,
        run: RunId,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) -> Result<Arc<str>, RunId> {
        if let Some(claim) = self.claims.get(request.key.as_str()) {
            return Err(claim.run);
        }
        let key: Arc<str> = request.key.into();
        let timer = timers.set(now.plus(request.lease.ttl), Timer::IdempotencyKey(key.clone()));
        self.claims.insert(key.clone(), Claim { run, lease: request.lease, timer });
        Ok(key)
    }

    /// Frees a key whose timer has fired, unless it was freed and claimed again in the meantime.
    pub(crate) fn expire(&mut self, key: &Arc<str>, timer: TimerKey) {
        if self.claims.get(key).is_some_and(|claim| claim.timer == timer) {
            self.claims.remove(key);
        }
    }

    /// Frees the key of a run that has finished, if its lease is limited to the run.
    pub(crate) fn release(&mut self, key: &Arc<str>, run: RunId, timers: &mut MonotonicTimers) {
        if self.claims.get(key).is_some_and(|claim| claim.run == run && claim.lease.until_end)
            && let Some(claim) = self.claims.remove(key)
        {
            timers.cancel(Some(claim.timer));
        }
    }

    /// Restores a stored key.
    pub(crate) fn restore(&mut self, key: Arc<str>, claim: Claim) {
        self.claims.restore(key, claim);
    }
}

impl Stored<Arc<str>> for Claim {
    fn row_key(&self, key: &Arc<str>) -> RowKey {
        RowKey::Bytes(key.as_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES
    }
}
