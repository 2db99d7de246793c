//! The runner's binary; see [`hatchet_quickstart::cli::runner`].

#[path = "../tasks/mod.rs"]
mod tasks;

fn main() -> std::process::ExitCode {
    hatchet_quickstart::cli::runner::main(tasks::all())
}
