//! `externally-triggered-task` greets a person. The pattern for work that awaits: network, timers, channels.

use hatchet_quickstart::prelude::*;

/// The task's name and types, shared by the worker and its callers.
pub const STUB: Stub<Input, Output> = Stub::new("externally-triggered-task");

/// The person to greet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Input {
    /// Name of the person.
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

/// Returns the task, to register it with a worker.
pub fn task() -> Task<Input, Output> {
    STUB.task(run).description("Greets a person, and streams the greeting in chunks.")
}

/// Writes a log line, streams the greeting in three chunks, and returns it.
async fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
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

    #[tokio::test]
    async fn greeting_is_logged_streamed_and_returned() {
        let run = task().test().run(Input { name: "Ada".into() }).await;
        assert_eq!(run.result.unwrap().message, "Hello, Ada!");
        assert_eq!(run.chunks.concat(), "Hello, Ada!");
        assert_eq!(run.logs[0].message, "greeting Ada");
    }
}
