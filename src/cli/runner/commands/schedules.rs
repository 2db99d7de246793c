//! `runner scheduled …`.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{registered, template::validated_input};
use crate::{
    cli::{
        Exit,
        output::{OutputFormat, Table, print_event, print_line, relative_time},
        runner::{
            command_args::{CreateSchedule, ScheduledCommand},
            context::Context,
        },
    },
    hatchet::{
        client::{ErrorKind, ScheduleFilter, ScheduledRun},
        task::Stub,
        wire::ScheduleId,
    },
};

/// Performs a command.
pub(super) async fn execute(command: ScheduledCommand, context: &Context<'_>) -> Result<(), Exit> {
    match command {
        ScheduledCommand::List { workflow, .. } => list(context, workflow).await,
        ScheduledCommand::Create(args) => create(context, args).await,
        ScheduledCommand::Delete { schedule, .. } => delete(context, schedule).await,
    }
}

async fn list(context: &Context<'_>, workflow: Option<String>) -> Result<(), Exit> {
    let rest = context.rest("listing scheduled runs")?;
    let mut filter = ScheduleFilter::default();
    if let Some(name) = workflow {
        filter = filter.workflow(registered::find_id(context, &name).await?);
    }
    let schedules = context.require("and the scheduled runs were not listed", rest.schedules(&filter)).await?;
    if context.format == OutputFormat::Json {
        return schedules.iter().try_for_each(print_json);
    }
    let mut table = Table::new(["ID", "START", "~TASK", "~TIME", "CREATED"]);
    for schedule in &schedules {
        table.row([
            schedule.metadata.id.as_str().into(),
            relative_time(Some(&schedule.trigger_at)).into(),
            schedule.workflow_name.as_str().into(),
            schedule.trigger_at.as_str().into(),
            relative_time(schedule.metadata.created_at.as_deref()).into(),
        ]);
    }
    table.print()?;
    if schedules.is_empty() {
        let create = context.reattach.commands.render(&["runner", "scheduled", "create"]);
        context.message(&format!("no run is scheduled; schedule one with `{create}`"));
    }
    Ok(())
}

fn print_json(schedule: &ScheduledRun) -> Result<(), Exit> {
    print_line(json!({
        "schedule_id": schedule.metadata.id,
        "task": schedule.workflow_name,
        "trigger_at": schedule.trigger_at,
        "input": schedule.input,
        "metadata": schedule.additional_metadata,
        "priority": schedule.priority,
        "run_id": schedule.workflow_run_id,
        "created_at": schedule.metadata.created_at,
    }))
}

async fn create(context: &Context<'_>, args: CreateSchedule) -> Result<(), Exit> {
    let input = validated_input(context, &args.task_name, &args.input).await?;
    // The error of an unknown task is the same on all engines.
    registered::find_id(context, &args.task_name).await?;
    let stub = Stub::<_, Value>::from_name(&args.task_name);
    let schedule = context.client.schedule(&stub, &input);
    let mut call = match (args.at, args.delay) {
        (Some(time), _) => schedule.at(time),
        (None, delay) => schedule.after(delay.unwrap_or_default()),
    };
    for (key, value) in args.input.metadata {
        call = call.metadata(&key, value);
    }
    if let Some(priority) = args.input.priority {
        call = call.priority(priority);
    }
    if args.at.is_some_and(|time| time < SystemTime::now()) {
        context.message("the time is in the past: the run starts immediately");
    }
    let consequence = "and it is not known whether the run was scheduled";
    let id = context.require(consequence, call.into_future()).await?.id();
    match context.format {
        OutputFormat::Json => print_event("created", json!({ "schedule_id": id.to_string() })),
        OutputFormat::Human => print_line(id),
    }
}

async fn delete(context: &Context<'_>, id: ScheduleId) -> Result<(), Exit> {
    let rest = context.rest("deleting a scheduled run")?;
    let found = async {
        match rest.schedule(id).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    };
    if !context.require("and nothing was deleted", found).await? {
        let list = context.reattach.commands.render(&["runner", "scheduled", "list"]);
        return Err(Exit::usage(format!("no scheduled run has the id {id}: list them with `{list}`")));
    }
    let call = rest.delete_schedule(id);
    context.require("and it is not known whether the scheduled run was deleted", call).await?;
    match context.format {
        OutputFormat::Json => print_event("deleted", json!({ "schedule_id": id.to_string() })),
        OutputFormat::Human => {
            context.message(&format!("scheduled run {id} is deleted"));
            Ok(())
        }
    }
}
