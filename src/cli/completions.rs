//! `runner completions` and `worker completions`: print a completion script for a shell.
//!
//! The script is generated from the definition of the arguments, and contains the names of the tasks.

use clap::{
    Arg, Command,
    builder::{PossibleValuesParser, Resettable},
};
use clap_complete::Shell;

use super::{Exit, output::print_line};

/// Ids of the arguments that take task names.
const TASK_ARGUMENTS: [&str; 2] = ["task_name", "tasks"];

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(help_template = "{about}\n\nUsage: {usage}\n\nArguments:\n{positionals}{after-help}")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Prints the completion script of a program, whose arguments `program` defines. `names` are those of its tasks.
    pub(super) fn print(&self, program: Command, names: &[String]) -> Result<(), Exit> {
        let mut program = with_task_names(program, names);
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end())
    }
}

/// Adds the task names as possible values of each argument that takes task names. The parser that runs a command has no
/// such values: some of these arguments take several names, and its errors would not suggest similar names.
fn with_task_names(command: Command, names: &[String]) -> Command {
    command.mut_subcommands(|command| with_task_names(command, names)).mut_args(|argument: Arg| {
        if TASK_ARGUMENTS.contains(&argument.get_id().as_str()) {
            // A default must be a possible value, and the task that is the default may have been removed.
            argument.value_parser(PossibleValuesParser::new(names.to_vec())).default_value(Resettable::Reset)
        } else {
            argument
        }
    })
}

/// Returns the examples for the help.
pub(super) fn help(program: &str) -> String {
    format!(
        "Examples:\n  source <({program} completions bash)     in ~/.bashrc\n  source <({program} completions zsh)      \
         in ~/.zshrc\n  {program} completions fish | source      in ~/.config/fish/config.fish"
    )
}
