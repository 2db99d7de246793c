//! Validates concurrency rules of a workflow or task.

use crate::{
    engine::{
        state::{
            concurrency::{ConcurrencyRule, LimitStrategy},
            expression::TaskExpression,
        },
        validate::error::Invalid,
    },
    hatchet::wire::proto::v1::{Concurrency, ConcurrencyLimitStrategy, CreateWorkflowVersionRequest},
};

/// The declaration that contains a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    /// A workflow of several tasks, whose runs are the members.
    Runs,
    /// A workflow of one task, whose attempts are the members.
    OnlyTask,
    Task {
        /// Position in the definition, for errors.
        path: &'a str,
        name: &'a str,
    },
}

/// Validates the rules of a workflow, in the order of their declaration.
pub(super) fn validate_workflow_rules(content: &CreateWorkflowVersionRequest) -> Result<Vec<ConcurrencyRule>, Invalid> {
    let is_single = content.tasks.len() == 1 && content.on_failure_task.is_none();
    let owner = if is_single { Owner::OnlyTask } else { Owner::Runs };
    validate_rules(content.concurrency.iter().chain(&content.concurrency_arr), owner)
}

/// Validates rules, in the order of their declaration.
pub(super) fn validate_rules<'a>(
    declared: impl Iterator<Item = &'a Concurrency>,
    owner: Owner<'_>,
) -> Result<Vec<ConcurrencyRule>, Invalid> {
    declared.enumerate().map(|(index, declared)| validate_rule(index, declared, owner)).collect()
}

fn validate_rule(index: usize, declared: &Concurrency, owner: Owner<'_>) -> Result<ConcurrencyRule, Invalid> {
    let field = |name: &str| match owner {
        Owner::Task { path, .. } => format!("{path}.Concurrency[{index}].{name}"),
        Owner::Runs | Owner::OnlyTask => format!("Concurrency[{index}].{name}"),
    };
    if declared.expression.is_empty() {
        let task = match owner {
            Owner::Task { name, .. } => format!(" (step {name})"),
            Owner::Runs | Owner::OnlyTask => String::new(),
        };
        return Err(Invalid::new(format!("CEL expression is required for concurrency{task}")));
    }
    let compile = |name: &str, text: &str| {
        TaskExpression::compile(text)
            .map_err(|e| Invalid::definition(&field(name), &format!("Invalid CEL expression: {e}")))
    };
    let name = declared.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let tenant_name = match (declared.is_tenant_scoped.unwrap_or_default(), name, owner) {
        (false, ..) => None,
        (true, Some(name), Owner::OnlyTask | Owner::Task { .. }) => Some(name.into()),
        (true, Some(_), Owner::Runs) => {
            let reason = "a workflow of several tasks cannot declare a tenant-scoped rule: declare it on its tasks";
            return Err(Invalid::definition(&field("IsTenantScoped"), reason));
        }
        (true, None, _) => {
            return Err(Invalid::definition(&field("Name"), "a tenant-scoped rule needs a name"));
        }
    };
    let max_runs_expression = declared.max_runs_expression.as_deref().filter(|text| !text.is_empty());
    Ok(ConcurrencyRule {
        key: compile("Expression", &declared.expression)?,
        max_runs: declared.max_runs.unwrap_or(1),
        max_runs_expression: max_runs_expression.map(|text| compile("MaxRunsExpression", text)).transpose()?,
        strategy: validate_strategy(declared.limit_strategy)
            .map_err(|e| Invalid::definition(&field("LimitStrategy"), &e))?,
        tenant_name,
    })
}

fn validate_strategy(declared: Option<i32>) -> Result<LimitStrategy, String> {
    use ConcurrencyLimitStrategy as Declared;
    let refused = |name: &str| {
        format!(
            "got '{name}': use one of CANCEL_IN_PROGRESS GROUP_ROUND_ROBIN CANCEL_NEWEST CANCEL_QUEUED_EXCEPT_NEWEST \
             CANCEL_QUEUED_EXCEPT_OLDEST"
        )
    };
    match declared.map(|number| Declared::try_from(number).map_err(|_| number)) {
        None | Some(Ok(Declared::CancelInProgress)) => Ok(LimitStrategy::CancelInProgress),
        Some(Ok(Declared::GroupRoundRobin)) => Ok(LimitStrategy::GroupRoundRobin),
        Some(Ok(Declared::CancelNewest)) => Ok(LimitStrategy::CancelNewest),
        Some(Ok(Declared::CancelQueuedExceptNewest)) => Ok(LimitStrategy::CancelQueuedExceptNewest),
        Some(Ok(Declared::CancelQueuedExceptOldest)) => Ok(LimitStrategy::CancelQueuedExceptOldest),
        Some(Ok(deprecated @ (Declared::DropNewest | Declared::QueueNewest))) => Err(refused(deprecated.as_str_name())),
        Some(Err(number)) => Err(refused(&number.to_string())),
    }
}

#[cfg(all(test, feature = "cel"))]
mod tests {
    use super::*;

    fn declared(change: impl FnOnce(&mut Concurrency)) -> Concurrency {
        let mut declared = Concurrency { expression: "input.k".to_owned(), ..Default::default() };
        change(&mut declared);
        declared
    }

    fn rule_of(owner: Owner<'_>, change: impl FnOnce(&mut Concurrency)) -> Result<ConcurrencyRule, String> {
        validate_rule(0, &declared(change), owner).map_err(Invalid::into_message)
    }

    #[test]
    fn rule_without_limit_and_strategy_has_protocol_defaults() {
        let rule = rule_of(Owner::OnlyTask, |_| ()).unwrap();
        assert_eq!((rule.max_runs, rule.strategy), (1, LimitStrategy::CancelInProgress));
        let named = |c: &mut Concurrency| c.name = Some("unscoped".into());
        assert_eq!(rule_of(Owner::OnlyTask, named).unwrap().tenant_name, None, "a name alone shares nothing");
    }

    #[test]
    fn error_names_the_field_of_a_rule() {
        let task = Owner::Task { path: "Tasks[1]", name: "t" };
        type Change = fn(&mut Concurrency);
        let invalid: [(&str, Owner<'_>, Change); 9] = [
            ("CEL expression is required for concurrency (step t)", task, |c| c.expression.clear()),
            ("CEL expression is required for concurrency", Owner::Runs, |c| c.expression.clear()),
            ("Tasks[1].Concurrency[0].Expression", task, |c| c.expression = "input.".into()),
            ("Opts.Concurrency[0].Expression", Owner::Runs, |c| c.expression = "nope".into()),
            ("Concurrency[0].MaxRunsExpression", task, |c| c.max_runs_expression = Some("1 +".into())),
            ("Concurrency[0].LimitStrategy': got 'DROP_NEWEST'", task, |c| c.limit_strategy = Some(1)),
            ("Concurrency[0].LimitStrategy': got '9'", task, |c| c.limit_strategy = Some(9)),
            ("Concurrency[0].Name", task, |c| c.is_tenant_scoped = Some(true)),
            ("Concurrency[0].IsTenantScoped", Owner::Runs, |c| {
                (c.is_tenant_scoped, c.name) = (Some(true), Some("n".into()));
            }),
        ];
        for (text, owner, change) in invalid {
            let error = rule_of(owner, change).unwrap_err();
            assert!(error.contains(text) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
