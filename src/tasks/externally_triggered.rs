//! `externally-triggered-task`: greets whom the input names. The pattern for work that awaits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hatchet::task::{Context, Task, TaskError};

/// The name on the wire.
pub const NAME: &str = "externally-triggered-task";

/// Whom to greet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Input {
    /// A name.
    pub name: String,
}

impl Default for Input {
    fn default() -> Self {
        Self { name: "World".to_owned() }
    }
}

/// The greeting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// `Hello, <name>!`
    pub message: String,
}

/// The task, for a worker.
pub fn task() -> Task {
    Task::new_async(NAME, run).description("Greets whom the input names, and streams the greeting in chunks.")
}

/// Greets: into the run's log, as a stream of three chunks, and as the output.
pub async fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
    ctx.log(format!("greeting {}", input.name));
    let chunks = ["Hello, ", &input.name, "!"];
    for chunk in chunks {
        ctx.put_stream(chunk).await;
    }
    Ok(Output { message: chunks.concat() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::{Emission, RunInfo};

    #[tokio::test]
    async fn greets_logs_and_streams() {
        let (ctx, _canceller, mut emissions) = Context::new(RunInfo::default());
        let output = run(Input { name: "Ada".into() }, ctx).await.unwrap();
        assert_eq!(output.message, "Hello, Ada!");
        let mut streamed = String::new();
        let mut lines = 0;
        while let Some(emission) = emissions.recv().await {
            match emission {
                Emission::Chunk(chunk) => streamed += &chunk,
                Emission::Log { .. } => lines += 1,
            }
        }
        assert_eq!((streamed.as_str(), lines), ("Hello, Ada!", 1));
    }
}
