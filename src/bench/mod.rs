//! Many runs at once, measured: submit, follow to the end, report. It knows the client only.

mod keys;
mod plan;
mod run;
mod stats;
mod template;

pub use keys::{KEY_PREFIX, KEY_TTL, KEYED, RUN_KEY, check_prefix, prefix_now, run_key};
pub use plan::{Plan, TaskPlan};
pub use template::Template;
