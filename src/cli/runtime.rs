//! The tokio runtime of a command.

use std::{io, process::ExitCode};

use super::{Exit, signals};
use crate::hatchet::system::{OsError, out_of_files};

/// Number of file descriptors that must be free at the start. A worker with the embedded engine and its first
/// connections uses about two dozen.
const MIN_DESCRIPTORS: usize = 32;

/// Runs a command, prints its error if it fails, and returns its exit code. `blocking_threads` limits the threads for
/// blocking code.
pub(super) fn run(blocking_threads: usize, command: impl Future<Output = Result<(), Exit>>) -> ExitCode {
    if let Err(e) = check_descriptors() {
        return Exit::usage(format!("starting failed: {}", OsError(&e))).report();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(blocking_threads).build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(async {
                signals::ignore_file_size_signal().map_err(signals::listen_failed)?;
                command.await
            });
            // A task body that ignores its cancellation may occupy a thread indefinitely.
            runtime.shutdown_background();
            result
        }
        Err(e) => Err(Exit::usage(format!("starting the runtime failed: {}", OsError(&e)))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}

/// Fails if fewer than [`MIN_DESCRIPTORS`] file descriptors are free. With fewer, a command would fail halfway; tokio's
/// signal handling would panic.
fn check_descriptors() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let stderr = io::stderr();
        let copies = (0..MIN_DESCRIPTORS).map(|_| stderr.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>();
        if let Err(e) = copies
            && out_of_files(&e).is_some()
        {
            return Err(e);
        }
    }
    Ok(())
}
