//! Load generation: submits the runs on schedule and waits for their ends.

pub(in crate::bench) mod outage;
pub(in crate::bench) mod progress;
pub(in crate::bench) mod schedule;
pub(in crate::bench) mod session;
pub(in crate::bench) mod slots;
