//! Idempotency: the expression that computes a run's key, and the claimed keys.

mod expression;
mod keys;

pub(crate) use self::{
    expression::Expression,
    keys::{Claim, ClaimRequest, IdempotencyKeys, Lease},
};
