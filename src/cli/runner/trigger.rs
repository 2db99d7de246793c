//! Triggers a run and follows it.
//!
//! The trigger is sent only after the engine has responded to another call. Until then, a failure or a timeout proves
//! that no run was started; afterwards, a missing response leaves that open.

use super::{
    context::{Context, explain_error},
    display::RunDisplay,
    follow,
    request::{FollowMode, NamedTask},
    stream,
};
use crate::{
    cli::Exit,
    hatchet::{
        client::{ErrorKind, TriggerOptions},
        task::Stub,
        wire::TriggerId,
    },
};

/// Consequence of an engine that has not responded before the trigger was sent.
const NOT_STARTED: &str = "and no run was started";

/// Triggers a run and follows it in this mode.
pub(super) async fn trigger(
    context: &Context<'_>,
    task: &NamedTask,
    input: &serde_json::value::RawValue,
    options: &TriggerOptions,
    mode: FollowMode,
) -> Result<(), Exit> {
    let Context { client, deadline, reattach, .. } = *context;
    let trigger = TriggerId::random();
    let options = TriggerOptions { trigger_id: Some(trigger), deadline: deadline.instant(), ..options.clone() };
    context.require(NOT_STARTED, client.ensure_reachable(&task.name, deadline.instant())).await?;
    let events = match mode {
        FollowMode::Stream => {
            let subscription = async { Ok(stream::subscribe(client, trigger).await) };
            Some(context.require(NOT_STARTED, subscription).await?)
        }
        FollowMode::Wait | FollowMode::NoWait => None,
    };
    let find = reattach.by_trigger(trigger, mode);
    let consequence = format!("and it is not known whether a run was started: search for it with `{find}`");
    let stub = Stub::<_, serde_json::Value>::from_name(&task.name);
    let call = client.run_no_wait(&stub, &input).options(options).into_future();
    let run = match deadline.require(client, &reattach.commands, &consequence, call).await? {
        Ok(run) => run,
        Err(error) if matches!(error.kind(), ErrorKind::Unconfirmed(_)) => {
            return Err(Exit::unconfirmed(format!("{error}: search again with `{find}`")));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Exit::not_registered(error.to_string())),
        Err(error) => return Err(explain_error(client, error, deadline).await),
    };
    let mut display = RunDisplay::new(context, Some(task.clone()), run.id());
    display.show_triggered(&run, &task.name, mode == FollowMode::NoWait)?;
    context.show_address(run.id());
    match (mode, events) {
        (FollowMode::NoWait, _) => Ok(()),
        (_, Some(events)) => stream::stream(&run, events, &mut display, deadline).await,
        (_, None) => follow::follow(&run, &mut display, deadline).await,
    }
}
