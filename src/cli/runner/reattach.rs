//! Commands that attach to a run again, for messages of a command that ends before its run.

use std::sync::OnceLock;

use super::request::FollowMode;
use crate::{
    cli::connection::CommandRenderer,
    hatchet::{
        client::TRIGGER_KEY,
        wire::{RunId, TriggerId},
    },
};

/// The progress of a trigger, and the commands that continue from there.
pub(super) struct Reattach {
    pub(super) commands: CommandRenderer,
    /// The trigger's id and mode. Set before the trigger is sent.
    trigger: OnceLock<(TriggerId, FollowMode)>,
    /// The run. Set when its id is known.
    run: OnceLock<RunId>,
}

impl Reattach {
    pub(super) fn new(commands: CommandRenderer) -> Self {
        Self { commands, trigger: OnceLock::new(), run: OnceLock::new() }
    }

    /// Records the run. Returns the command that attaches to it.
    pub(super) fn by_run(&self, run: RunId) -> String {
        self.attach_command(*self.run.get_or_init(|| run))
    }

    /// Records the trigger before it is sent. Returns the command that finds its run.
    pub(super) fn by_trigger(&self, trigger: TriggerId, mode: FollowMode) -> String {
        let (trigger, mode) = *self.trigger.get_or_init(|| (trigger, mode));
        self.find_command(trigger, mode)
    }

    /// The message for an interrupted command.
    pub(super) fn interrupted(&self) -> String {
        match (self.run.get(), self.trigger.get()) {
            (Some(run), _) => {
                format!("interrupted; run {run} continues: attach to it again with `{}`", self.attach_command(*run))
            }
            (None, Some((trigger, mode))) => format!(
                "interrupted, and it is not known whether a run was started: search for it with `{}`",
                self.find_command(*trigger, *mode)
            ),
            (None, None) => "interrupted".to_owned(),
        }
    }

    fn attach_command(&self, run: RunId) -> String {
        self.commands.render(&["runner", "--run-id", &run.to_string()])
    }

    fn find_command(&self, trigger: TriggerId, mode: FollowMode) -> String {
        let pair = format!("{TRIGGER_KEY}={trigger}");
        let no_wait = (mode == FollowMode::NoWait).then_some("--no-wait");
        let args: Vec<&str> = ["runner", "--find", &pair].into_iter().chain(no_wait).collect();
        self.commands.render(&args)
    }
}
