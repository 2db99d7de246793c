//! `runner completions` and `worker completions`: print a completion script for a shell.
//!
//! The script is made from the definition of the arguments, and contains the names of the tasks.

use clap::{
    Arg, Command,
    builder::{PossibleValuesParser, Resettable},
};
use clap_complete::Shell;

use super::{Exit, output::print_line, task_registry::TaskRegistry};

/// The arguments that take names of tasks, by their ids.
const TASK_ARGUMENTS: [&str; 2] = ["task_name", "tasks"];

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(help_template = "{about}\n\nUsage: {usage}\n\nArguments:\n{positionals}{after-help}")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Prints the script for a program with this definition of its arguments.
    pub(super) fn print(&self, program: Command, tasks: &TaskRegistry) -> Result<(), Exit> {
        let mut program = with_task_names(program, tasks);
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end())
    }
}

/// Lists the names of the tasks as values of the arguments of all commands that take them. The parser of a command has no such list, since
/// some of these arguments take several names, and its error would not suggest similar names.
fn with_task_names(command: Command, tasks: &TaskRegistry) -> Command {
    command.mut_subcommands(|command| with_task_names(command, tasks)).mut_args(|argument: Arg| {
        if TASK_ARGUMENTS.contains(&argument.get_id().as_str()) {
            // A default must be a possible value, and the task that is the default may have been removed.
            argument.value_parser(PossibleValuesParser::new(tasks.names())).default_value(Resettable::Reset)
        } else {
            argument
        }
    })
}

/// The examples of the help.
pub(super) fn help(program: &str) -> String {
    format!(
        "Examples:\n  source <({program} completions bash)     in ~/.bashrc\n  source <({program} completions zsh)      \
         in ~/.zshrc\n  {program} completions fish | source      in ~/.config/fish/config.fish"
    )
}
