//! The driver: runs the state machine on the clock and the network.
//!
//! To apply an event, the driver takes the lock, reads the clock, changes the state, and delivers all effects into send
//! queues before it releases the lock. The queues never block, so every stream receives events in the order in which
//! they occurred, and a slow client delays no other client. The whole engine runs on one thread; the lock is a `std`
//! mutex that is never contended and never held across an await.
//!
//! ```text
//!  handler ── with(event) ──► lock: clock → state → effects → send queues ──► streams
//!     ▲                                        │                                ▲
//!     │ response                            changes                             │
//!     └──────────── commit barrier ◄── batches written by `persist` ────────────┘
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `core` | the driver itself |
//! | `streams` | opening and closing streams |
//! | `clock` | the system's clocks |
//! | `worker_streams` | assignment streams of workers |
//! | `subscriptions` | streams of clients that wait for the results or the events of runs |
//! | `send_queue` | the bounded queue behind every stream |
//! | `assignment` | assignments as messages |
//! | `persist`, `open` | the persistence loop; opening a stored state |
//! | `virtual_time` | time that a test moves forward |
//! | `memory` | returning freed memory to the operating system |

pub(super) mod assignment;
mod clock;
mod core;
mod memory;
#[cfg(feature = "durable")]
pub(super) mod open;
#[cfg(feature = "durable")]
mod persist;
mod send_queue;
mod streams;
mod subscriptions;
#[cfg(test)]
mod tests;
#[cfg(feature = "testing")]
mod virtual_time;
mod worker_streams;

pub(crate) use self::{
    clock::SystemClock,
    core::Driver,
    send_queue::QueueReader,
    subscriptions::{
        SubscriberId,
        events::{EventFilter, RunEvent, RunEventKind},
        results::{RunResult, TaskResult},
    },
};
