//! `runner open`.

use serde_json::json;

use crate::cli::{
    Exit,
    dashboard::Dashboard,
    output::{OutputFormat, print_line},
    runner::context::{Context, no_rest_address},
};

/// Prints the link of the engine's dashboard, and opens it in a browser unless `print_only`. Without a browser the link
/// is still printed, so that is no failure.
pub(super) async fn open(context: &Context<'_>, print_only: bool) -> Result<(), Exit> {
    let config = context.client.config();
    let dashboard = Dashboard::of(&config).ok_or_else(|| no_rest_address("opening the dashboard"))?;
    if context.format == OutputFormat::Json {
        return print_line(json!({ "url": dashboard.link() }));
    }
    print_line(dashboard.link())?;
    if !print_only && let Err(reason) = dashboard.open(config.engine_folder.as_deref()).await {
        context.message(&format!("no browser was opened: {reason}"));
    }
    Ok(())
}
