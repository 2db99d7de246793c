//! The worker's binary; see [`hatchet_quickstart::cli::worker`].

#[path = "../tasks/mod.rs"]
mod tasks;

fn main() -> std::process::ExitCode {
    hatchet_quickstart::cli::worker::main(tasks::all())
}
