//! The idempotency keys that are taken.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    engine::{
        persistence::{
            row::RowKey,
            tracked::{ENTRY_BYTES, Stored, Tracked},
        },
        state::time::{ClockReading, MonotonicInstant, Timer, TimerKey, Timers},
    },
    hatchet::wire::RunId,
};

/// How long an idempotency key stays taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ttl: Duration,
    /// Whether the end of the run frees the key before `ttl` has passed.
    pub(crate) until_end: bool,
}

/// The idempotency key that a run is to take.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) key: String,
    pub(crate) lease: Lease,
}

/// A key that a run has taken.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) run: RunId,
    pub(crate) lease: Lease,
    /// Frees the key at the end of its time to live.
    pub(crate) timer: TimerKey,
}

/// All keys that are taken. As in a real engine they are one name space for all workflows.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys {
    claims: Tracked<HashMap<Arc<str>, Claim>>,
}

type MonotonicTimers = Timers<MonotonicInstant, Timer>;

impl IdempotencyKeys {
    /// Takes a key for a run, or returns the run that has it.
    pub(crate) fn claim(
        &mut self,
        request: ClaimRequest,
        run: RunId,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) -> Result<Arc<str>, RunId> {
        if let Some(taken) = self.claims.get(request.key.as_str()) {
            return Err(taken.run);
        }
        let key: Arc<str> = request.key.into();
        let timer = timers.set(now.plus(request.lease.ttl), Timer::IdempotencyKey(key.clone()));
        self.claims.insert(key.clone(), Claim { run, lease: request.lease, timer });
        Ok(key)
    }

    /// Frees a key whose timer has fired, unless it was freed and taken again in the meantime.
    pub(crate) fn expire(&mut self, key: &Arc<str>, timer: TimerKey) {
        if self.claims.get(key).is_some_and(|claim| claim.timer == timer) {
            self.claims.remove(key);
        }
    }

    /// Frees the key of a run that has ended, if the key was taken until then.
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

    /// The tracked collection, for persistence and accounting.
    pub(crate) fn tracked(&self) -> &Tracked<HashMap<Arc<str>, Claim>> {
        &self.claims
    }

    /// The tracked collection, for persistence.
    pub(crate) fn tracked_mut(&mut self) -> &mut Tracked<HashMap<Arc<str>, Claim>> {
        &mut self.claims
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
