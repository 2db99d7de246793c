//! The banner of a worker, printed when it is registered. Its last line lists the tasks, or the health server if it has
//! one.

use std::net::SocketAddr;

use super::request::Request;
use crate::{
    cli::{
        connection::{EngineChoice, render_command},
        dashboard::Dashboard,
        output::print_message,
    },
    hatchet::{
        client::{ClientConfig, Source},
        task::ErasedWorkflow,
        worker::{RegisteredWorker, Registration},
    },
};

/// Prints the banner to stderr.
pub(super) fn print(
    workflows: &[ErasedWorkflow],
    config: &ClientConfig,
    registration: &Registration,
    dashboard: Option<&str>,
    health: Option<SocketAddr>,
) {
    let names: Vec<&str> = workflows.iter().flat_map(ErasedWorkflow::names).collect();
    let namespace = if config.namespace.is_empty() { "none" } else { &config.namespace };
    let mut lines = vec![
        ("version", env!("HATCHET_QUICKSTART_VERSION").to_owned()),
        ("engine", format!("{} {}", config.host_port, registration.engine_version)),
        ("tls", config.tls.as_str().to_owned()),
        ("namespace", namespace.to_owned()),
    ];
    lines.extend(dashboard.map(|dashboard| ("dashboard", dashboard.to_owned())));
    let describe = |worker: &RegisteredWorker| format!("{} {}, {} slot(s)", worker.name, worker.id, worker.slots);
    lines.extend(registration.workers.iter().map(|registered| ("worker", describe(registered))));
    lines.push(("tasks", names.join(", ")));
    lines.extend(health.map(|address| ("health", format!("http://{address}/livez, /readyz, /health, /metrics"))));
    print_message("hatchet-quickstart worker, listening");
    for (name, value) in lines {
        print_message(&format!("  {name:<10}{value}"));
    }
}

/// Describes the dashboard of an engine. Its link contains the engine's token, so it is shown to a person on a terminal
/// only: log collectors read everything else.
pub(super) fn describe_dashboard(dashboard: &Dashboard, request: &Request) -> String {
    if !dashboard.has_secret_link() || request.may_show_secrets {
        return dashboard.link();
    }
    let embedded = matches!(request.choice, EngineChoice::Embedded(_)).then_some("--embedded");
    let folder = match request.sources.get("HATCHET_EMBEDDED_DIR") {
        Some((folder, Source::Flag(flag))) => vec![*flag, folder],
        Some(_) | None => Vec::new(),
    };
    let open = render_command(["runner", "open"].into_iter().chain(embedded).chain(folder));
    format!("{} (open it with `{open}`)", dashboard.address())
}
