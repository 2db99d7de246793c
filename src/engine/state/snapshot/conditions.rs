//! Stored form of the progress of conditions.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;

use crate::{
    engine::{
        persistence::{
            records::{ConditionStageRecord, ConditionsRecord, Id, required_id},
            row::{Damaged, Row},
        },
        state::{
            conditions::{ConditionStage, ConditionState, WaitKind},
            machine::State,
            time::{ClockReading, Timestamp},
        },
    },
    hatchet::wire::RunId,
};

pub(super) fn conditions_row(task: &RunId, state: &ConditionState, now: ClockReading) -> Row {
    let stage = match state.stage {
        ConditionStage::OnParents => ConditionStageRecord::OnParents,
        ConditionStage::OnWaits => ConditionStageRecord::OnWaits,
        ConditionStage::Decided => ConditionStageRecord::Decided,
    };
    let number = |index: &usize| u32::try_from(*index).unwrap_or(u32::MAX);
    let record = ConditionsRecord {
        task: Id::of(task.uuid()),
        stage: stage.into(),
        met: state.met.iter().map(|(wait, data)| (number(wait), data.to_string())).collect(),
        sleeps: state.sleeps.iter().map(|(wait, end)| (number(wait), now.wall_time_of(*end).0)).collect(),
    };
    Row { head: record.encode_to_vec(), texts: [None, None] }
}

impl State {
    /// Restores the progress of a task's conditions, after the runs. No sleep lasts longer than declared.
    pub(super) fn restore_conditions(&mut self, record: ConditionsRecord, now: ClockReading) -> Result<(), Damaged> {
        let task: RunId = required_id(record.task, "the task")?;
        let stage = match ConditionStageRecord::try_from(record.stage) {
            Ok(ConditionStageRecord::OnParents) => ConditionStage::OnParents,
            Ok(ConditionStageRecord::OnWaits) => ConditionStage::OnWaits,
            Ok(ConditionStageRecord::Decided) => ConditionStage::Decided,
            Ok(ConditionStageRecord::Unknown) | Err(_) => {
                return Err(Damaged(format!("unknown stage of conditions {}", record.stage)));
            }
        };
        let spec = self.runs.spec(task).ok_or_else(|| Damaged(format!("there is no task {task}")))?;
        let Some(conditions) = spec.definition.conditions.clone() else {
            return Err(Damaged(format!("task {task} has no conditions")));
        };
        let met: BTreeMap<_, _> = record.met.into_iter().map(|(wait, data)| (wait as usize, data.into())).collect();
        let mut state = ConditionState::restored(stage, met);
        for (index, until) in record.sleeps {
            let declared = match conditions.waits.get(index as usize).map(|wait| &wait.kind) {
                Some(WaitKind::Sleep { duration, .. }) => *duration,
                Some(WaitKind::Event { .. }) | None => Duration::ZERO,
            };
            state.sleeps.insert(index as usize, now.plus(Timestamp(until).since(now.wall).min(declared)));
        }
        self.conditions.restore(task, state, &conditions, &mut self.timers);
        Ok(())
    }
}
