//! `runner events push`.

use serde_json::json;

use crate::cli::{
    Exit,
    output::{OutputFormat, print_event, print_line},
    runner::{command_args::PushEvent, context::Context, input::InputText},
};

/// Pushes an event, and prints its id.
pub(super) async fn push(context: &Context<'_>, args: PushEvent) -> Result<(), Exit> {
    let given = InputText::read(args.input.input_json, args.input.input_file.as_deref())?;
    let payload = given.unwrap_or_else(|| InputText::default_of(&args.key)).unchanged()?;
    let mut call = context.client.push_event(&args.key, &payload);
    for (key, value) in args.input.metadata {
        call = call.metadata(&key, value);
    }
    if let Some(scope) = args.scope {
        call = call.scope(scope);
    }
    if let Some(priority) = args.input.priority {
        call = call.priority(priority);
    }
    let consequence = "and it is not known whether the event was accepted";
    let event = context.require(consequence, call.into_future()).await?;
    match context.format {
        OutputFormat::Json => print_event("pushed", json!({ "event_id": event.id.to_string(), "key": args.key })),
        OutputFormat::Human => {
            print_line(event.id)?;
            let id = event.id.to_string();
            let list = context.reattach.commands.render(&["runner", "runs", "list", "--event", &id]);
            context.message(&format!("list the runs that it has started with `{list}`"));
            Ok(())
        }
    }
}
