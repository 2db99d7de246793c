//! Validates the rate limits of a task.

use std::collections::BTreeSet;

use crate::{
    engine::{
        state::{
            expression::TaskExpression,
            rate_limits::{RateRule, RateTarget, Window},
        },
        validate::error::Invalid,
    },
    hatchet::wire::proto::v1::CreateTaskRateLimit,
};

/// Validates rules, in the order of their declaration. `path` names the task, for errors.
pub(super) fn validate_rules(path: &str, declared: &[CreateTaskRateLimit]) -> Result<Vec<RateRule>, Invalid> {
    let mut seen = BTreeSet::new();
    let validate = |(index, declared): (usize, &CreateTaskRateLimit)| {
        let path = format!("{path}.RateLimits[{index}]");
        if !seen.insert(unique_key(declared)) {
            return Err(Invalid::definition(&format!("{path}.Key"), "another rule of the task has this key"));
        }
        validate_rule(&path, declared)
    };
    declared.iter().enumerate().map(validate).collect()
}

/// The part of a rule that must be unique in a task, as in a real engine: the key, and whether the rule has expressions.
fn unique_key(declared: &CreateTaskRateLimit) -> (bool, String) {
    let CreateTaskRateLimit { key, key_expr, units_expr, limit_values_expr, .. } = declared;
    (key_expr.is_some() || units_expr.is_some() || limit_values_expr.is_some(), key.clone())
}

/// Removes rules that repeat the key of an earlier rule, and returns them. Earlier versions accepted them.
#[cfg(feature = "durable")]
pub(super) fn remove_duplicates(declared: &mut Vec<CreateTaskRateLimit>) -> Vec<CreateTaskRateLimit> {
    let mut seen = BTreeSet::new();
    declared.extract_if(.., |rule| !seen.insert(unique_key(rule))).collect()
}

fn validate_rule(path: &str, declared: &CreateTaskRateLimit) -> Result<RateRule, Invalid> {
    let invalid = |field: &str, reason: &str| Invalid::definition(&format!("{path}.{field}"), reason);
    let compile = |field: &str, text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        let compiled = text.map(TaskExpression::compile).transpose();
        compiled.map_err(|e| invalid(field, &format!("Invalid CEL expression: {e}")))
    };
    if declared.key.is_empty() {
        return Err(invalid("Key", "on condition 'required'"));
    }
    let key = compile("KeyExpr", &declared.key_expr)?;
    let units = compile("UnitsExpr", &declared.units_expr)?;
    let limit = compile("LimitExpr", &declared.limit_values_expr)?;
    let fixed_units = declared.units.unwrap_or(1);
    if fixed_units < 0 {
        return Err(invalid("Units", &format!("{fixed_units} is negative")));
    }
    let window = match declared.duration {
        None => Window::default(),
        Some(number) => {
            parse_window(number).ok_or_else(|| invalid("Duration", &format!("unknown duration {number}")))?
        }
    };
    Ok(RateRule {
        key: key.map_or_else(|| RateTarget::Fixed(declared.key.as_str().into()), RateTarget::Computed),
        units: units.map_or(RateTarget::Fixed(fixed_units.into()), RateTarget::Computed),
        limit: limit.map(|limit| (limit, window)),
    })
}

/// Parses the number of a window in the protocol.
pub(crate) fn parse_window(number: i32) -> Option<Window> {
    Window::from_number(u32::try_from(number).ok()?)
}

#[cfg(all(test, feature = "durable"))]
mod tests {
    use super::*;

    #[test]
    fn repeated_rules_are_removed_and_returned() {
        let rule = |key: &str, units| CreateTaskRateLimit { key: key.into(), units: Some(units), ..Default::default() };
        let mut declared = vec![rule("a", 1), rule("b", 2), rule("a", 3)];
        assert_eq!(remove_duplicates(&mut declared), [rule("a", 3)]);
        assert_eq!(declared, [rule("a", 1), rule("b", 2)]);
    }
}
