//! Run records: what is known of each run, and the report folder that it is written to.

pub(in crate::bench) mod executions;
pub(in crate::bench) mod folder;
pub(in crate::bench) mod run;
pub(in crate::bench) mod times;
