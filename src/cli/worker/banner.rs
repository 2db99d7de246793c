//! The banner of a worker, printed when it is registered. Its last line lists the tasks, or the health server if it has
//! one.

use std::net::SocketAddr;

use crate::{
    cli::output::print_message,
    hatchet::{
        client::ClientConfig,
        task::ErasedTask,
        worker::{RegisteredWorker, Registration},
    },
};

/// Prints the banner to stderr.
pub(super) fn print(
    tasks: &[ErasedTask],
    config: &ClientConfig,
    registration: &Registration,
    health: Option<SocketAddr>,
) {
    let names: Vec<&str> = tasks.iter().flat_map(ErasedTask::names).collect();
    let namespace = if config.namespace.is_empty() { "none" } else { &config.namespace };
    let mut lines = vec![
        ("version", env!("HATCHET_QUICKSTART_VERSION").to_owned()),
        ("engine", format!("{} {}", config.host_port, registration.engine_version)),
        ("tls", config.tls.as_str().to_owned()),
        ("namespace", namespace.to_owned()),
    ];
    let worker = |worker: &RegisteredWorker| format!("{} {}, {} slot(s)", worker.name, worker.id, worker.slots);
    lines.extend(registration.workers.iter().map(|registered| ("worker", worker(registered))));
    lines.push(("tasks", names.join(", ")));
    lines.extend(health.map(|address| ("health", format!("http://{address}/livez, /readyz, /health, /metrics"))));
    print_message("hatchet-quickstart worker, listening");
    for (name, value) in lines {
        print_message(&format!("  {name:<10}{value}"));
    }
}
