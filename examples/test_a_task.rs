//! Tests a task's body without an engine: its output, log lines, chunks and errors, and its behavior in a retry and
//! after a cancellation. In your code, write `#[tokio::test]` functions, as in `src/tasks`.
//!
//! Prints:
//!
//! ```text
//! output: 42 parts, log: ["attempt 1 for team a"], chunks: ["42"]
//! retry: log: ["attempt 3 for team b"]
//! error: invalid digit found in string, may be retried
//! fatal error: the text is empty, is never retried
//! cancelled: stopped because the engine requested it
//! ```

use hatchet_quickstart::prelude::*;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Input {
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Output {
    parts: u32,
}

const COUNT_PARTS: Stub<Input, Output> = Stub::new("count-parts");

fn count_parts() -> Task<Input, Output> {
    COUNT_PARTS.task(|input: Input, ctx: Context| async move {
        ctx.check_cancelled()?;
        ctx.log(format!(
            "attempt {} for team {}",
            ctx.attempt_number(),
            ctx.additional_metadata()["team"].as_str().unwrap_or("?")
        ));
        if input.text.is_empty() {
            return Err(TaskError::fatal("the text is empty"));
        }
        ctx.put_stream(input.text.as_str()).await;
        Ok(Output { parts: input.text.parse()? })
    })
}

fn input(text: &str) -> Input {
    Input { text: text.to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), TaskError> {
    let task = count_parts();

    let run = task.test().metadata("team", "a").run(input("42")).await;
    let logs: Vec<&str> = run.logs.iter().map(|line| line.message.as_str()).collect();
    println!("output: {} parts, log: {logs:?}, chunks: {:?}", run.result?.parts, run.chunks);

    let run = task.test().metadata("team", "b").retry_count(2).run(input("1")).await;
    println!("retry: log: {:?}", run.logs.iter().map(|line| &line.message).collect::<Vec<_>>());

    for text in ["x", ""] {
        let run = task.test().metadata("team", "a").run(input(text)).await;
        match run.result.map_err(|error| (error.retry(), error)) {
            Err((Retry::Allowed, error)) => println!("error: {error}, may be retried"),
            Err((Retry::Never, error)) => println!("fatal error: {error}, is never retried"),
            other => println!("unexpected: {:?}", other.map(|output| output.parts)),
        }
    }

    let run = task.test().cancelled(CancelReason::Requested).run(input("42")).await;
    if let Err(Retry::Cancelled(reason)) = run.result.map_err(|error| error.retry()) {
        println!("cancelled: stopped because {reason}");
    }
    Ok(())
}
