//! The input of the runs that a schedule or a cron starts.

use serde_json::value::RawValue;

use super::by_name::checked_input;
use crate::cli::{
    Exit,
    output::print_warning,
    runner::{command_args::InputArgs, context::Context, input::InputText},
};

/// Validates the input of a task: by its type if it is part of this program, by its registered schema otherwise.
pub(super) async fn validated_input(
    context: &Context<'_>,
    task_name: &str,
    args: &InputArgs,
) -> Result<Box<RawValue>, Exit> {
    let given = InputText::read(args.input_json.clone(), args.input_file.as_deref())?;
    let input = given.unwrap_or_else(|| InputText::default_of(task_name));
    match context.tasks.find(task_name) {
        Ok(task) => {
            let (complete, warnings) = input.complete(&task)?;
            warnings.iter().for_each(|warning| print_warning(warning));
            Ok(complete)
        }
        Err(_) => checked_input(context, task_name, &input).await,
    }
}
