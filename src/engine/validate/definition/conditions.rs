//! Validates the conditions of a task.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use crate::{
    engine::{
        state::{
            conditions::{ConditionAction, Conditions, ParentCondition, Rule, WaitCondition, WaitKind},
            predicate::Predicate,
        },
        validate::error::Invalid,
    },
    hatchet::wire::{
        excerpt, parse_duration,
        proto::v1::{Action, BaseMatchCondition, CreateWorkflowVersionRequest, TaskConditions},
    },
};

/// Validates the conditions of a task; `None` if it has none. SDKs send an empty message for a task without conditions.
///
/// `path` is the position of the task in the definition, `parents` has the names and indexes of its parents. The fields
/// in errors are numbered as in a real engine: events first, then sleeps, then parents.
pub(super) fn validate_conditions(
    path: &str,
    declared: Option<&TaskConditions>,
    parents: &[(&str, usize)],
) -> Result<Option<Arc<Conditions>>, Invalid> {
    let Some(declared) = declared else { return Ok(None) };
    let mut fields = Fields { path, next: 0, groups: HashMap::new(), count: 0 };
    let mut conditions = Conditions::default();
    for event in &declared.user_event_conditions {
        let field = fields.next();
        let (base, rule) = fields.rule(&field, event.base.as_ref())?;
        let data_key = data_key(&field, base)?;
        if event.user_event_key.is_empty() {
            return Err(Invalid::definition(&format!("{field}.EventKey"), "the key of the event is empty"));
        }
        let kind = WaitKind::Event { key: event.user_event_key.as_str().into(), predicate: predicate(&field, base)? };
        conditions.waits.push(WaitCondition { rule, data_key, kind });
    }
    for sleep in &declared.sleep_conditions {
        let field = fields.next();
        let (base, rule) = fields.rule(&field, sleep.base.as_ref())?;
        let data_key = data_key(&field, base)?;
        let duration = parse_duration(&sleep.sleep_for)
            .map_err(|e| Invalid::definition(&format!("{field}.SleepDuration"), &e.to_string()))?;
        let kind = WaitKind::Sleep { duration, text: sleep.sleep_for.as_str().into() };
        conditions.waits.push(WaitCondition { rule, data_key, kind });
    }
    for parent in &declared.parent_override_conditions {
        let field = fields.next();
        let (base, rule) = fields.rule(&field, parent.base.as_ref())?;
        let name = parent.parent_readable_id.as_str();
        let Some((_, parent)) = parents.iter().find(|(known, _)| *known == name) else {
            let reason = format!("`{}` is not a parent of the task", excerpt(name));
            return Err(Invalid::definition(&format!("{field}.ParentReadableId"), &reason));
        };
        conditions.parents.push(ParentCondition { rule, parent: *parent, predicate: predicate(&field, base)? });
    }
    let is_empty = conditions.parents.is_empty() && conditions.waits.is_empty();
    Ok((!is_empty).then(|| Arc::new(conditions)))
}

/// Replaces the ids of groups with their numbers in the workflow, and the data keys of parents with their names. SDKs
/// generate both at every start, and the declaration must stay the same version. A condition without a group gets one
/// of its own.
pub(super) fn normalize(content: &mut CreateWorkflowVersionRequest) {
    let (mut groups, mut count) = (HashMap::<String, u128>::new(), 0);
    let mut number = |base: Option<&mut BaseMatchCondition>| {
        let Some(base) = base else { return };
        // An invalid id stays, for its error.
        let id = match base.or_group_id.parse::<Uuid>() {
            Ok(id) if !id.is_nil() => Some(id.to_string()),
            Ok(_) => None,
            Err(_) if base.or_group_id.is_empty() => None,
            Err(_) => return,
        };
        count += 1;
        let group = id.map_or(count, |id| *groups.entry(id).or_insert(count));
        base.or_group_id = Uuid::from_u128(group).to_string();
    };
    for conditions in content.tasks.iter_mut().filter_map(|task| task.conditions.as_mut()) {
        conditions.user_event_conditions.iter_mut().for_each(|event| number(event.base.as_mut()));
        conditions.sleep_conditions.iter_mut().for_each(|sleep| number(sleep.base.as_mut()));
        for parent in &mut conditions.parent_override_conditions {
            if let Some(base) = &mut parent.base {
                base.readable_data_key.clone_from(&parent.parent_readable_id);
            }
            number(parent.base.as_mut());
        }
    }
}

/// Numbers the conditions and the groups of a task.
struct Fields<'a> {
    path: &'a str,
    next: usize,
    groups: HashMap<Uuid, usize>,
    count: usize,
}

impl Fields<'_> {
    /// Returns the name of the next condition, for errors, and counts it.
    fn next(&mut self) -> String {
        self.next += 1;
        format!("{}.TriggerConditions[{}]", self.path, self.next - 1)
    }

    /// Reads the action and the group of a condition. A condition without a group is a group of its own.
    fn rule<'b>(
        &mut self,
        field: &str,
        base: Option<&'b BaseMatchCondition>,
    ) -> Result<(&'b BaseMatchCondition, Rule), Invalid> {
        let base = base.ok_or_else(|| Invalid::definition(field, "the condition has no base"))?;
        let action = match Action::try_from(base.action) {
            Ok(Action::Queue) => ConditionAction::Wait,
            Ok(Action::Skip) => ConditionAction::Skip,
            Ok(Action::Cancel) => ConditionAction::Cancel,
            Ok(Action::Create) | Err(_) => {
                let reason = "a condition of a task must have the action QUEUE, SKIP or CANCEL";
                return Err(Invalid::definition(&format!("{field}.Action"), reason));
            }
        };
        let id = match base.or_group_id.as_str() {
            "" => Uuid::nil(),
            text => text.parse().map_err(|_| {
                Invalid::definition(&format!("{field}.OrGroupId"), &format!("`{}` is not a UUID", excerpt(text)))
            })?,
        };
        let new = self.count;
        let group = if id.is_nil() { new } else { *self.groups.entry(id).or_insert(new) };
        self.count += usize::from(group == new);
        Ok((base, Rule { action, group }))
    }
}

fn data_key(field: &str, base: &BaseMatchCondition) -> Result<Arc<str>, Invalid> {
    if base.readable_data_key.is_empty() {
        return Err(Invalid::definition(&format!("{field}.ReadableDataKey"), "the key of the data is empty"));
    }
    Ok(base.readable_data_key.as_str().into())
}

fn predicate(field: &str, base: &BaseMatchCondition) -> Result<Predicate, Invalid> {
    Predicate::compile(&base.expression).map_err(|e| Invalid::definition(&format!("{field}.Expression"), &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::wire::proto::v1::{
        CreateTaskOpts, ParentOverrideMatchCondition, SleepMatchCondition, UserEventMatchCondition,
    };

    fn base(action: Action, group: &str, expression: &str) -> Option<BaseMatchCondition> {
        Some(BaseMatchCondition {
            readable_data_key: "k".into(),
            action: action.into(),
            or_group_id: group.into(),
            expression: expression.into(),
        })
    }

    fn sample() -> TaskConditions {
        let group = Uuid::from_u128(1).to_string();
        TaskConditions {
            user_event_conditions: vec![UserEventMatchCondition {
                base: base(Action::Queue, &group, "input.n > 1"),
                user_event_key: "e".into(),
                ..Default::default()
            }],
            sleep_conditions: vec![SleepMatchCondition {
                base: base(Action::Queue, &group, ""),
                sleep_for: "1m30s".into(),
            }],
            parent_override_conditions: vec![ParentOverrideMatchCondition {
                base: base(Action::Skip, "", "output.v > 1"),
                parent_readable_id: "a".into(),
            }],
        }
    }

    fn validated(change: impl FnOnce(&mut TaskConditions)) -> Result<Option<Arc<Conditions>>, String> {
        let mut declared = sample();
        change(&mut declared);
        validate_conditions("Tasks[1]", Some(&declared), &[("b", 0), ("a", 3)]).map_err(Invalid::into_message)
    }

    #[cfg(feature = "cel")]
    #[test]
    fn conditions_with_one_group_id_share_a_group() {
        let valid = validated(|_| ()).unwrap().unwrap();
        let wait = Rule { action: ConditionAction::Wait, group: 0 };
        assert_eq!(valid.waits.iter().map(|wait| wait.rule).collect::<Vec<_>>(), [wait, wait]);
        assert_eq!((valid.parents[0].rule.group, valid.parents[0].parent), (1, 3));
        assert!(validate_conditions("", Some(&TaskConditions::default()), &[]).unwrap().is_none(), "SDKs send it");
    }

    #[test]
    fn generated_ids_do_not_change_a_declaration() {
        let declared = |change: fn(&mut TaskConditions)| {
            let mut conditions = sample();
            change(&mut conditions);
            let task = CreateTaskOpts { conditions: Some(conditions), ..Default::default() };
            let mut content = CreateWorkflowVersionRequest { tasks: vec![task.clone(), task], ..Default::default() };
            normalize(&mut content);
            let once = content.clone();
            normalize(&mut content);
            assert_eq!(content, once);
            content
        };
        let same = declared(|conditions| {
            let group = Uuid::from_u128(99).to_string();
            conditions.user_event_conditions[0].base.as_mut().unwrap().or_group_id.clone_from(&group);
            conditions.sleep_conditions[0].base.as_mut().unwrap().or_group_id = group;
            conditions.parent_override_conditions[0].base.as_mut().unwrap().readable_data_key = "now".into();
        });
        assert_eq!(declared(|_| ()), same);
        let other = declared(|conditions| {
            conditions.sleep_conditions[0].base.as_mut().unwrap().or_group_id = Uuid::from_u128(7).to_string();
        });
        assert_ne!(other, same);
    }

    #[cfg(feature = "cel")]
    #[test]
    fn error_names_the_invalid_condition() {
        type Change = fn(&mut TaskConditions);
        let invalid: [(&str, Change); 9] = [
            ("TriggerConditions[0].EventKey", |c| c.user_event_conditions[0].user_event_key.clear()),
            ("TriggerConditions[0].Expression", |c| c.user_event_conditions[0].base = base(Action::Queue, "", "a >")),
            ("TriggerConditions[0]", |c| c.user_event_conditions[0].base = None),
            ("TriggerConditions[1].SleepDuration", |c| c.sleep_conditions[0].sleep_for = "1d".into()),
            ("TriggerConditions[1].SleepDuration", |c| c.sleep_conditions[0].sleep_for.clear()),
            ("TriggerConditions[1].Action", |c| c.sleep_conditions[0].base = base(Action::Create, "", "")),
            ("TriggerConditions[1].OrGroupId", |c| c.sleep_conditions[0].base = base(Action::Queue, "g", "")),
            ("TriggerConditions[1].ReadableDataKey", |c| {
                c.sleep_conditions[0].base = Some(BaseMatchCondition { action: 1, ..Default::default() });
            }),
            ("TriggerConditions[2].ParentReadableId", |c| {
                c.parent_override_conditions[0].parent_readable_id = "other".into();
            }),
        ];
        for (field, change) in invalid {
            let error = validated(change).unwrap_err();
            assert!(error.contains(&format!("Tasks[1].{field}'")), "{field}: {error}");
        }
    }
}
