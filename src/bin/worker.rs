//! The worker's binary; see [`hatchet_quickstart::cli::worker`].

fn main() -> std::process::ExitCode {
    hatchet_quickstart::cli::worker::main()
}
