//! `runner cron …`.

use serde_json::{Value, json};

use super::{registered, template::validated_input};
use crate::{
    cli::{
        Exit,
        output::{Cell, OutputFormat, Style, Table, print_event, print_line, relative_time},
        runner::{
            command_args::{CreateCron, CronCommand},
            context::Context,
        },
    },
    hatchet::{
        client::{Cron, CronFilter},
        task::Stub,
        wire::CronId,
    },
};

/// Performs a command.
pub(super) async fn execute(command: CronCommand, context: &Context<'_>) -> Result<(), Exit> {
    match command {
        CronCommand::List { workflow, .. } => list(context, workflow).await,
        CronCommand::Create(args) => create(context, args).await,
        CronCommand::Delete { cron, .. } => {
            require_cron(context, cron).await?;
            let call = context.rest("deleting a cron")?.delete_cron(cron);
            context.require("and it is not known whether the cron was deleted", call).await?;
            show_changed(context, "deleted", cron)
        }
        CronCommand::Enable { cron, .. } => enable(context, cron, true).await,
        CronCommand::Disable { cron, .. } => enable(context, cron, false).await,
    }
}

async fn list(context: &Context<'_>, workflow: Option<String>) -> Result<(), Exit> {
    let rest = context.rest("listing crons")?;
    let mut filter = CronFilter::default();
    if let Some(name) = workflow {
        filter = filter.workflow(registered::find_id(context, &name).await?);
    }
    let crons = context.require("and the crons were not listed", rest.crons(&filter)).await?;
    if context.format == OutputFormat::Json {
        return crons.iter().try_for_each(print_json);
    }
    let mut table = Table::new(["ID", "EXPRESSION", "STATE", "~TASK", "~NAME", "CREATED"]);
    for cron in &crons {
        let state =
            if cron.enabled { Cell::styled("enabled", Style::Green) } else { Cell::styled("disabled", Style::Yellow) };
        table.row([
            cron.metadata.id.as_str().into(),
            cron.expression.as_str().into(),
            state,
            cron.workflow_name.as_str().into(),
            cron.name.as_str().into(),
            relative_time(cron.metadata.created_at.as_deref()).into(),
        ]);
    }
    table.print()?;
    if crons.is_empty() {
        let create = context.reattach.commands.render(&["runner", "cron", "create"]);
        context.message(&format!("no cron exists; create one with `{create}`"));
    }
    Ok(())
}

fn print_json(cron: &Cron) -> Result<(), Exit> {
    print_line(json!({
        "cron_id": cron.metadata.id,
        "name": cron.name,
        "expression": cron.expression,
        "enabled": cron.enabled,
        "task": cron.workflow_name,
        "input": cron.input,
        "metadata": cron.additional_metadata,
        "priority": cron.priority,
        "created_at": cron.metadata.created_at,
    }))
}

async fn create(context: &Context<'_>, args: CreateCron) -> Result<(), Exit> {
    let input = validated_input(context, &args.task_name, &args.input).await?;
    // The error of an unknown task is the same on all engines.
    registered::find_id(context, &args.task_name).await?;
    let stub = Stub::<_, Value>::from_name(&args.task_name);
    let mut call = context.client.cron(&stub, &args.name, &args.expression, &input);
    for (key, value) in args.input.metadata {
        call = call.metadata(&key, value);
    }
    if let Some(priority) = args.input.priority {
        call = call.priority(priority);
    }
    let consequence = "and it is not known whether the cron was created";
    let cron = context.require(consequence, call.into_future()).await?;
    show_changed(context, "created", cron.id())
}

async fn enable(context: &Context<'_>, id: CronId, enabled: bool) -> Result<(), Exit> {
    require_cron(context, id).await?;
    let call = context.rest("changing a cron")?.set_cron_enabled(id, enabled);
    context.require("and it is not known whether the cron was changed", call).await?;
    show_changed(context, if enabled { "enabled" } else { "disabled" }, id)
}

/// Fails if the engine does not list a cron. A real engine responds with an internal error to a change of an unknown cron.
async fn require_cron(context: &Context<'_>, id: CronId) -> Result<(), Exit> {
    let (rest, filter) = (context.rest("finding a cron")?, CronFilter::default());
    let crons = context.require("and nothing was changed", rest.crons(&filter)).await?;
    if crons.iter().any(|cron| cron.metadata.id.parse() == Ok(id)) {
        return Ok(());
    }
    let list = context.reattach.commands.render(&["runner", "cron", "list"]);
    Err(Exit::usage(format!("no cron has the id {id}: list the crons with `{list}`")))
}

/// Shows a change. In the human format, the id of a new cron is data, and other changes are messages.
fn show_changed(context: &Context<'_>, change: &str, id: CronId) -> Result<(), Exit> {
    match context.format {
        OutputFormat::Json => print_event(change, json!({ "cron_id": id.to_string() })),
        OutputFormat::Human if change == "created" => print_line(id),
        OutputFormat::Human => {
            context.message(&format!("cron {id} is {change}"));
            Ok(())
        }
    }
}
