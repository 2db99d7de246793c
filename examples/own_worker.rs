//! A worker of your own: a task and a workflow with the command line of the quickstart's worker. It runs until it is
//! stopped:
//!
//! ```sh
//! cargo run --example own_worker -- --embedded
//! ```
//!
//! Without `--embedded`, it needs the token of an engine.

use std::process::ExitCode;

use hatchet_quickstart::{hatchet::task::ErasedWorkflow, prelude::*};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Words {
    words: usize,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Report {
    title: String,
}

const WORD_COUNT: Stub<Text, Words> = Stub::new("word-count");
const REPORT: Stub<Text, Report> = Stub::new("report").output_of("title");

async fn word_count(input: Text, _ctx: Context) -> Result<Words, TaskError> {
    Ok(Words { words: input.text.split_whitespace().count() })
}

fn report() -> Workflow<Text, Report> {
    REPORT.workflow(|flow| {
        let counted = flow.task("count", word_count);
        flow.parents(&counted).task("title", |_text, counted, _ctx| async move {
            Ok(Report { title: format!("a text of {} words", counted.words) })
        })
    })
}

/// Returns all tasks and workflows of this program.
fn all() -> Vec<ErasedWorkflow> {
    vec![WORD_COUNT.task(word_count).into(), report().into()]
}

fn main() -> ExitCode {
    hatchet_quickstart::cli::worker::main(all())
}
