//! `runner doctor`: checks each step between this machine and a finished run. Each failure names its correction.
//!
//! The order is settings, folder, token, address, TCP, TLS, authentication, version, REST, clock, workers. After a
//! failed check, the checks that depend on it are not made.

mod checklist;
mod engine;
mod folder;
mod settings;
mod version;

use self::checklist::Checklist;
use super::{
    Exit,
    connection::{CommandRenderer, ConnectionArgs, EngineChoice, choose_engine, long_help},
    exit,
    output::{OutputFormat, Program, init_logging},
    task_registry::TaskRegistry,
};

const EXAMPLES: &str = "Examples:
  runner doctor                check the engine of HATCHET_CLIENT_TOKEN
  runner doctor -e             check the embedded engine
  runner doctor -e -o json     print a JSON object for each check";

/// Check the settings, the connection to the engine, and its workers
#[derive(Debug, clap::Args)]
#[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
pub(super) struct Args {
    /// Format of results
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    output: OutputFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Makes all checks. Fails if any check fails.
pub(super) async fn run(args: Args, tasks: TaskRegistry) -> Result<(), Exit> {
    let sources = args.connection.sources();
    init_logging(&sources, Program::Runner)?;
    let mut checklist = Checklist::new(args.output);
    for warning in sources.warnings() {
        checklist.skip("settings", &format!("{warning}: it is ignored"))?;
    }
    'checks: {
        let choice = match choose_engine(args.connection.embedded, &sources) {
            Ok(choice) => choice,
            Err(exit) => {
                checklist.fail_setting("engine", exit.message())?;
                break 'checks;
            }
        };
        match &choice {
            EngineChoice::None => checklist.skip("engine", "no engine is chosen")?,
            EngineChoice::Token(description) | EngineChoice::Embedded(description) => {
                checklist.pass("engine", description)?;
            }
        }
        if !folder::check(&mut checklist, &choice, &sources)? {
            break 'checks;
        }
        let Some(config) = settings::check(&mut checklist, &choice, &sources)? else { break 'checks };
        let Some(client) = engine::check_connection(&mut checklist, config).await? else { break 'checks };
        let commands = CommandRenderer::new(args.connection.embedded, &sources);
        engine::check_rest(&mut checklist, &client, &commands, &tasks).await?;
    }
    checklist.finish()
}
