//! Tests of tasks: their bodies alone, or on an engine whose time the test moves forward (`TestEngine`).
//!
//! A body runs without an engine, with a context whose log, stream and child runs are collected.
//!
//! ```
//! use hatchet_quickstart::prelude::*;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Input { text: String }
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Output { number: i64 }
//!
//! const PARSE: Stub<Input, Output> = Stub::new("parse");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let parse = PARSE.task(|input: Input, ctx: Context| async move {
//!     ctx.log(format!("attempt {}", ctx.attempt_number()));
//!     Ok(Output { number: input.text.parse()? })
//! });
//! let run = parse.test().retry_count(2).run(Input { text: "7".into() }).await;
//! assert_eq!(run.result.unwrap().number, 7);
//! assert_eq!(run.logs[0].message, "attempt 3");
//! # }
//! ```

mod body;
mod children;
#[cfg(feature = "testing")]
mod engine;
mod workflow;

pub use body::{BodyTest, LogLine, TestRun};
pub use children::TestChild;
#[cfg(feature = "testing")]
pub use engine::TestEngine;
pub use workflow::WorkflowTask;
