//! `run` of a task that is not part of this program.

use serde_json::{Map, Value, value::RawValue};

use super::{registered, schema};
use crate::{
    cli::{
        Exit,
        output::print_warning,
        runner::{
            context::Context,
            input::InputText,
            request::{FollowMode, NamedTask},
            trigger,
        },
    },
    hatchet::client::TriggerOptions,
};

/// Triggers a task by the name that it is registered with, and follows its run.
pub(in crate::cli::runner) async fn trigger_by_name(
    context: &Context<'_>,
    name: &str,
    input: &InputText,
    options: &TriggerOptions,
    mode: FollowMode,
) -> Result<(), Exit> {
    let input = checked_input(context, name, input).await?;
    let task = NamedTask { task: None, name: name.to_owned() };
    trigger::trigger(context, &task, &input, options, mode).await
}

/// Validates the input of a workflow by the schema that it is registered with, and prints warnings.
pub(super) async fn checked_input(context: &Context<'_>, name: &str, input: &InputText) -> Result<Box<RawValue>, Exit> {
    let id = registered::find_id(context, name).await?;
    let call = context.rest("reading a workflow")?.input_schema(id);
    if let Some(schema) = context.require("and the input was not validated", call).await? {
        let object: Map<String, Value> = serde_json::from_str(&input.json)
            .map_err(|e| Exit::usage(format!("{} is not a JSON object: {e}", input.source)))?;
        let warnings = schema::check(&schema, &object).map_err(|rule| {
            let get = context.reattach.commands.render(&["runner", "workflows", "get", name]);
            Exit::usage(format!("{} does not fit {name}: {rule}: see its fields with `{get}`", input.source))
        })?;
        warnings.iter().for_each(|field| print_warning(&format!("{} has {field}", input.source)));
    }
    input.unchanged()
}
