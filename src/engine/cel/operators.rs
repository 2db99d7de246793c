//! Operators on values. Values of different types are equal only if both are numbers.

use std::cmp::Ordering;

use super::{
    budget::Budget,
    fault::Fault,
    time,
    tree::Operator,
    value::{List, Map, Value},
};

type Outcome<'a> = Result<Value<'a>, Fault>;

pub(super) fn not<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Bool(b) => Ok(Value::Bool(!b)),
        other => Err(Fault::Error(format!("`!` does not take {}", other.type_name()))),
    }
}

pub(super) fn negate<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(n) => n.checked_neg().map(Value::Int).ok_or_else(|| overflow(Operator::Subtract)),
        Value::Double(n) => Ok(Value::Double(-n)),
        Value::Duration(d) => d.checked_neg().map(Value::Duration).ok_or_else(|| overflow(Operator::Subtract)),
        other => Err(Fault::Error(format!("`-` does not take {}", other.type_name()))),
    }
}

/// Applies an operator between two values.
pub(super) fn apply<'a>(operator: Operator, left: Value<'a>, right: Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    budget.spend(1)?;
    match operator {
        Operator::Equal => Ok(Value::Bool(equal(&left, &right, budget)?)),
        Operator::NotEqual => Ok(Value::Bool(!equal(&left, &right, budget)?)),
        Operator::Less => Ok(Value::Bool(compare(operator, &left, &right, budget)? == Some(Ordering::Less))),
        Operator::LessOrEqual => {
            let order = compare(operator, &left, &right, budget)?;
            Ok(Value::Bool(matches!(order, Some(Ordering::Less | Ordering::Equal))))
        }
        Operator::Greater => Ok(Value::Bool(compare(operator, &left, &right, budget)? == Some(Ordering::Greater))),
        Operator::GreaterOrEqual => {
            let order = compare(operator, &left, &right, budget)?;
            Ok(Value::Bool(matches!(order, Some(Ordering::Greater | Ordering::Equal))))
        }
        Operator::In => contains(&left, &right, budget),
        Operator::Add => add(left, right, budget),
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
            arithmetic(operator, &left, &right)
        }
    }
}

fn no_overload(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Fault {
    let hint = match (left, right) {
        (Value::Int(_) | Value::Uint(_), Value::Double(_)) | (Value::Double(_), Value::Int(_) | Value::Uint(_)) => {
            ": numbers of the input are doubles, write 1.0 or use int()"
        }
        _ => "",
    };
    let (left, right) = (left.type_name(), right.type_name());
    Fault::Error(format!("`{}` does not take {left} and {right}{hint}", operator.sign()))
}

fn overflow(operator: Operator) -> Fault {
    Fault::Error(format!("the result of `{}` is out of range", operator.sign()))
}

/// Whether two values are equal. Costs one unit for each pair of elements.
fn equal(left: &Value<'_>, right: &Value<'_>, budget: &mut Budget) -> Result<bool, Fault> {
    budget.spend(1)?;
    match (left, right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) if a.len() == b.len() => {
            budget.spend_text(a.len())?;
            Ok(**a == **b)
        }
        (Value::Type(a), Value::Type(b)) => Ok(a == b),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a == b),
        (Value::Duration(a), Value::Duration(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(&a, &b, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
            budget.spend_elements(a.len())?;
            for (key, value) in a.entries() {
                match get(b, &key, budget)? {
                    Some(other) if equal(&value, &other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(numbers(left, right) == Some(Some(Ordering::Equal))),
    }
}

/// Compares two numbers of any types. `None` if a value is not a number, `Some(None)` if a number is NaN.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    // An integer compared with a double is converted to a double, as in cel-go.
    Some(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Double(a), Value::Uint(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        (Value::Uint(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        _ => return None,
    })
}

fn compare(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Fault> {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Some(a.cmp(b))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        (Value::Text(a), Value::Text(b)) => {
            budget.spend_text(a.len().min(b.len()))?;
            Ok(Some((**a).cmp(&**b)))
        }
        _ => numbers(left, right).ok_or_else(|| no_overload(operator, left, right)),
    }
}

fn contains<'a>(value: &Value<'a>, container: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    match container {
        Value::List(list) => {
            for element in list.iter() {
                if equal(value, &element, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        Value::Map(map) => Ok(Value::Bool(get(map, value, budget)?.is_some())),
        other => Err(no_overload(Operator::In, value, other)),
    }
}

fn add<'a>(left: Value<'a>, right: Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    match (&left, &right) {
        (Value::Text(a), Value::Text(b)) => {
            budget.spend_text(a.len() + b.len())?;
            Ok(Value::text([&**a, &**b].concat()))
        }
        (Value::List(a), Value::List(b)) => {
            budget.spend_elements(a.len() + b.len())?;
            Ok(Value::list(a.iter().chain(b.iter()).collect()))
        }
        _ => arithmetic(Operator::Add, &left, &right),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => integers(operator, *b == 0, |operator| match operator {
            Operator::Add => a.checked_add(*b),
            Operator::Subtract => a.checked_sub(*b),
            Operator::Multiply => a.checked_mul(*b),
            Operator::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        })
        .map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => integers(operator, *b == 0, |operator| match operator {
            Operator::Add => a.checked_add(*b),
            Operator::Subtract => a.checked_sub(*b),
            Operator::Multiply => a.checked_mul(*b),
            Operator::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        })
        .map(Value::Uint),
        (Value::Double(a), Value::Double(b)) => match operator {
            Operator::Add => Ok(Value::Double(a + b)),
            Operator::Subtract => Ok(Value::Double(a - b)),
            Operator::Multiply => Ok(Value::Double(a * b)),
            Operator::Divide => Ok(Value::Double(a / b)),
            _ => Err(no_overload(operator, left, right)),
        },
        _ => {
            let result = match operator {
                Operator::Add => time::add(left, right),
                Operator::Subtract => time::subtract(left, right),
                _ => None,
            };
            result.ok_or_else(|| no_overload(operator, left, right))?.ok_or_else(|| overflow(operator))
        }
    }
}

fn integers<N>(operator: Operator, by_zero: bool, result: impl FnOnce(Operator) -> Option<N>) -> Result<N, Fault> {
    if by_zero && matches!(operator, Operator::Divide | Operator::Remainder) {
        return Err(Fault::Error("division by zero".to_owned()));
    }
    result(operator).ok_or_else(|| overflow(operator))
}

/// The element of a list at an index, or the value of a map's key.
pub(super) fn index<'a>(container: &Value<'a>, key: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    match container {
        Value::List(list) => element(list, key),
        Value::Map(map) => get(map, key, budget)?.ok_or_else(|| Fault::Error("no such key".to_owned())),
        other => Err(Fault::Error(format!("{} has no elements", other.type_name()))),
    }
}

fn element<'a>(list: &List<'a>, key: &Value<'a>) -> Outcome<'a> {
    let index = match key {
        Value::Int(n) => usize::try_from(*n).ok(),
        Value::Uint(n) => usize::try_from(*n).ok(),
        // The cast saturates only at numbers beyond the length of any list.
        Value::Double(n) if n.fract() == 0.0 && *n >= 0.0 => Some(*n as usize),
        Value::Double(_) => None,
        other => return Err(Fault::Error(format!("{} cannot be an index of a list", other.type_name()))),
    };
    index
        .and_then(|index| list.get(index))
        .ok_or_else(|| Fault::Error(format!("the index is out of range: the list has {} elements", list.len())))
}

/// Returns a field of a map; `None` if the map does not have it.
pub(super) fn field<'a>(map: &Map<'a>, name: &'a str, budget: &mut Budget) -> Result<Option<Value<'a>>, Fault> {
    get(map, &Value::Text(super::value::Text::Borrowed(name)), budget)
}

fn get<'a>(map: &Map<'a>, key: &Value<'_>, budget: &mut Budget) -> Result<Option<Value<'a>>, Fault> {
    match (map, key) {
        (Map::Json(map), Value::Text(key)) => {
            budget.spend_text(key.len())?;
            Ok(map.get(&**key).map(Value::from_json))
        }
        (Map::Json(_), _) => Ok(None),
        (Map::Shared(entries), key) => entry(entries, key, budget),
    }
}

/// The value of a key in a map literal.
pub(super) fn entry<'a>(
    entries: &[(Value<'a>, Value<'a>)],
    key: &Value<'_>,
    budget: &mut Budget,
) -> Result<Option<Value<'a>>, Fault> {
    for (known, value) in entries {
        if equal(known, key, budget)? {
            return Ok(Some(value.clone()));
        }
    }
    Ok(None)
}
