//! `runner doctor`: looks at everything between here and a finished run, one thing after the other, and says of what
//! is wrong how to mend it.

mod checklist;
mod engine;
mod folder;
mod settings;
mod version;

use self::checklist::Report;
use super::{
    ConnectionFlags, Exit,
    connection::{
        command::ConnectionWords,
        engine::{self as connect, Choice},
    },
    output::{Format, logging},
};

/// Checks the settings, the way to the engine, and the workers there
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How results are written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    output: Format,
    #[command(flatten)]
    connection: ConnectionFlags,
}

pub(super) async fn run(args: Args) -> Result<(), Exit> {
    let sources = args.connection.sources();
    logging::start(&sources)?;
    let mut report = Report::new(args.output);
    for warning in sources.warnings() {
        report.skipped("settings", &format!("{warning}: it is ignored"))?;
    }
    // A check whose ground is missing would only repeat what was said.
    'checks: {
        let choice = match connect::choose(args.connection.embedded, &sources) {
            Ok(choice) => choice,
            Err(exit) => {
                report.wrong("engine", exit.message())?;
                break 'checks;
            }
        };
        match &choice {
            Choice::Token(said) if said.is_empty() => report.skipped("engine", "none is chosen")?,
            Choice::Token(said) | Choice::Embedded(said) => report.fine("engine", said)?,
        }
        if !folder::check(&mut report, &choice, &sources)? {
            break 'checks;
        }
        let Some(config) = settings::check(&mut report, &choice, &sources)? else { break 'checks };
        let Some(client) = engine::reach(&mut report, config).await? else { break 'checks };
        let words = ConnectionWords::new(args.connection.embedded, &sources);
        engine::rest(&mut report, &client, &words).await?;
    }
    report.end()
}
