//! The project's figures, each with a limit that is measured in the same run.
//!
//! `cargo bench --bench figures` measures all figures; `cargo bench --bench figures -- 1 5` measures figures 1 and 5. A
//! missed target is printed but is not an error, since machines differ. Most figures are ratios for the same reason.
//! Three figures need a real engine and are measured on request only: see [`real`].

mod bare;
mod depth;
#[cfg(feature = "durable")]
mod durable;
mod fixture;
mod lists;
mod load;
mod many;
mod process;
mod real;
mod shapes;
mod size;
mod slow_link;
mod table;
#[path = "../../src/tasks/mod.rs"]
#[allow(unused_imports, reason = "a program without a test harness omits the bodies of unit tests")]
mod tasks;

use std::{num::NonZeroUsize, process::ExitCode};

use anyhow::Result;

use table::Table;

/// Threads for blocking code, as in the worker binary: 100 slots, and 16 for name resolution and files.
const BLOCKING_THREADS: usize = 116;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    let result = match first.as_deref() {
        Some(real::WORKER) => run(real::no_op_worker()),
        first => {
            let wanted: Vec<u32> =
                first.into_iter().map(str::to_owned).chain(arguments).flat_map(|n| n.parse()).collect();
            run(measure(&wanted))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on a runtime with the settings of the worker binary.
fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Measures the figures with these numbers, or all without numbers, and prints each when it is ready.
async fn measure(wanted: &[u32]) -> Result<()> {
    let on = |number: u32| wanted.is_empty() || wanted.contains(&number);
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let table = Table::begin(cores)?;
    // Processes first, before this process has loaded the machine.
    if on(5) {
        table.print(&process::start_to_registered().await?)?;
    }
    if on(6) {
        table.print(&process::idle_memory_embedded().await?)?;
    }
    if on(1) {
        table.print(&load::sequential().await?)?;
    }
    if on(2) {
        table.print(&load::bulk().await?)?;
    }
    if on(18) {
        table.print(&load::messages().await?)?;
    }
    if on(3) {
        table.print(&load::sleeps().await?)?;
    }
    if on(4) {
        table.print(&load::cpu(cores).await?)?;
    }
    if on(9) {
        table.print(&slow_link::measure().await?)?;
    }
    if [10, 11, 12].into_iter().any(on) {
        for figure in many::measure_overhead().await? {
            table.print(&figure)?;
        }
    }
    if on(13) {
        table.print(&many::bulk_trigger().await?)?;
    }
    measure_shapes(&on, &table).await?;
    if on(17) {
        table.print(&depth::measure().await?)?;
    }
    if on(24) {
        table.print(&depth::measure_limits().await?)?;
    }
    if on(20) {
        table.print(&lists::measure().await?)?;
    }
    #[cfg(feature = "durable")]
    measure_durable(&on, &table).await?;
    for (number, measured) in real::figures(&on).await? {
        match measured {
            Some(figure) => table.print(&figure)?,
            None => table.skip(number, real::REQUIREMENT)?,
        }
    }
    table.end(&size::facts())
}

async fn measure_shapes(on: &impl Fn(u32) -> bool, table: &Table) -> Result<()> {
    if on(21) {
        table.print(&shapes::chain().await?)?;
    }
    if on(22) {
        table.print(&shapes::children().await?)?;
    }
    if on(23) {
        table.print(&shapes::events().await?)?;
    }
    Ok(())
}

#[cfg(feature = "durable")]
async fn measure_durable(on: &impl Fn(u32) -> bool, table: &Table) -> Result<()> {
    if on(14) {
        table.print(&durable::throughput().await?)?;
    }
    if on(15) {
        table.print(&durable::start().await?)?;
    }
    if on(16) {
        table.print(&durable::queued_memory().await?)?;
    }
    Ok(())
}
