//! The runner's binary; see [`hatchet_quickstart::cli::runner`].

fn main() -> std::process::ExitCode {
    hatchet_quickstart::cli::runner::main()
}
