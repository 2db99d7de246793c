//! `runner doctor`: checks everything between this machine and a finished run, and says how to correct what is wrong.
//!
//! The checks are made in order: settings, folder, token, address, TCP, TLS, authentication, version, REST, clock,
//! workers. A failed check ends those that depend on it.

mod checklist;
mod engine;
mod folder;
mod settings;
mod version;

use self::checklist::Checklist;
use super::{
    Exit,
    connection::{CommandRenderer, ConnectionArgs, EngineChoice, choose_engine},
    output::{OutputFormat, init_logging},
};

/// Check the settings, the connection to the engine, and its workers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Format of results
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    output: OutputFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Makes all checks. Fails if one fails.
pub(super) async fn run(args: Args) -> Result<(), Exit> {
    let sources = args.connection.sources();
    init_logging(&sources)?;
    let mut checklist = Checklist::new(args.output);
    for warning in sources.warnings() {
        checklist.skipped("settings", &format!("{warning}: it is ignored"))?;
    }
    'checks: {
        let choice = match choose_engine(args.connection.embedded, &sources) {
            Ok(choice) => choice,
            Err(exit) => {
                checklist.invalid_setting("engine", exit.message())?;
                break 'checks;
            }
        };
        match &choice {
            EngineChoice::None => checklist.skipped("engine", "none is chosen")?,
            EngineChoice::Token(description) | EngineChoice::Embedded(description) => {
                checklist.passed("engine", description)?;
            }
        }
        if !folder::check(&mut checklist, &choice, &sources)? {
            break 'checks;
        }
        let Some(config) = settings::check(&mut checklist, &choice, &sources)? else { break 'checks };
        let Some(client) = engine::check_connection(&mut checklist, config).await? else { break 'checks };
        let commands = CommandRenderer::new(args.connection.embedded, &sources);
        engine::check_rest(&mut checklist, &client, &commands).await?;
    }
    checklist.finish()
}
