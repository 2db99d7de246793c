//! Tests of a task that starts a child and is retried: its body alone, then with an engine whose time the test moves
//! forward, so that a delay of an hour takes milliseconds. In your code, write `#[tokio::test]` functions.
//!
//! Prints:
//!
//! ```text
//! body: Ok("Hello, Ada!"), child: {"name":"Ada"} with key "greeting"
//! engine: 1 attempt now, 2 attempts an hour later
//! triggered: a greeting of Ada
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::{hatchet::testing::TestEngine, prelude::*};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Person {
    name: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

const WELCOME: Stub<Person, Text> = Stub::new("welcome");
const GREET: Stub<Person, Text> = Stub::new("greet");
const HOUR: Duration = Duration::from_secs(3_600);

async fn welcome(person: Person, ctx: Context) -> Result<Text, TaskError> {
    Ok(ctx.run(&GREET, &person).key("greeting").await?)
}

fn ada() -> Person {
    Person { name: "Ada".to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The body alone: the test states the output of the child.
    let greeting = |person: Person| Text { text: format!("Hello, {}!", person.name) };
    let run = WELCOME.task(welcome).test().child(&GREET, greeting).run(ada()).await;
    let child = &run.children[0];
    println!(
        "body: {:?}, child: {} with key {:?}",
        run.result.map(|output| output.text),
        child.input,
        child.key.as_deref().unwrap_or_default()
    );

    // With an engine: the first attempt fails, and the second starts an hour later.
    let mut engine = TestEngine::start().await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let greet = GREET.task(move |person: Person, ctx: Context| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if ctx.retry_count() == 0 {
                return Err(TaskError::new("not yet"));
            }
            Ok(Text { text: format!("Hello, {}!", person.name) })
        }
    });
    engine.work([WELCOME.task(welcome).execution_timeout(2 * HOUR), greet.retries(1).backoff(1_000.0, HOUR)]).await;
    let run = engine.client().run_no_wait(&WELCOME, &ada()).await?;
    engine.settle().await;
    let now = attempts.load(Ordering::Relaxed);
    engine.advance(HOUR).await;
    run.result().await?;
    println!("engine: {now} attempt now, {} attempts an hour later", attempts.load(Ordering::Relaxed));

    engine.assert_triggered(&GREET, |person| person.name == "Ada");
    println!("triggered: a greeting of Ada");
    engine.stop().await;
    Ok(())
}
