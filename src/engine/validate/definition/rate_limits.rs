//! Rate limits of a task.

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

/// The rules in the order of their declaration. `at` names the task, for errors.
pub(super) fn validate_rules(at: &str, declared: &[CreateTaskRateLimit]) -> Result<Vec<RateRule>, Invalid> {
    declared
        .iter()
        .enumerate()
        .map(|(index, declared)| validate_rule(&format!("{at}.RateLimits[{index}]"), declared))
        .collect()
}

fn validate_rule(at: &str, declared: &CreateTaskRateLimit) -> Result<RateRule, Invalid> {
    let invalid = |field: &str, reason: &str| Invalid::definition(&format!("{at}.{field}"), reason);
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

/// A window by its number in the protocol.
pub(crate) fn parse_window(number: i32) -> Option<Window> {
    Window::from_number(u32::try_from(number).ok()?)
}
