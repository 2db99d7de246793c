//! The built-in functions of CEL.

use regex::RegexBuilder;

use super::{
    budget::Budget,
    fault::Fault,
    time,
    value::{Text, Value},
};

type Outcome<'a> = Result<Value<'a>, Fault>;

/// Largest compiled regular expression, in bytes. It has room for some Unicode classes and compiles in about 1 ms.
const MAX_REGEX: usize = 1 << 18;

/// A built-in function of CEL that expressions may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Bool,
    Checksum,
    Contains,
    Double,
    Duration,
    Dyn,
    EndsWith,
    GetDate,
    GetDayOfMonth,
    GetDayOfWeek,
    GetDayOfYear,
    GetFullYear,
    GetHours,
    GetMilliseconds,
    GetMinutes,
    GetMonth,
    GetSeconds,
    Int,
    Matches,
    Size,
    StartsWith,
    String,
    Timestamp,
    Type,
    Uint,
}

const NAMES: [(&str, Function); 25] = [
    ("bool", Function::Bool),
    ("checksum", Function::Checksum),
    ("contains", Function::Contains),
    ("double", Function::Double),
    ("duration", Function::Duration),
    ("dyn", Function::Dyn),
    ("endsWith", Function::EndsWith),
    ("getDate", Function::GetDate),
    ("getDayOfMonth", Function::GetDayOfMonth),
    ("getDayOfWeek", Function::GetDayOfWeek),
    ("getDayOfYear", Function::GetDayOfYear),
    ("getFullYear", Function::GetFullYear),
    ("getHours", Function::GetHours),
    ("getMilliseconds", Function::GetMilliseconds),
    ("getMinutes", Function::GetMinutes),
    ("getMonth", Function::GetMonth),
    ("getSeconds", Function::GetSeconds),
    ("int", Function::Int),
    ("matches", Function::Matches),
    ("size", Function::Size),
    ("startsWith", Function::StartsWith),
    ("string", Function::String),
    ("timestamp", Function::Timestamp),
    ("type", Function::Type),
    ("uint", Function::Uint),
];

impl Function {
    /// The function that is called as `name(x)`.
    pub(super) fn global(name: &str) -> Option<Self> {
        Self::named(name).filter(|function| {
            !matches!(function, Self::Checksum | Self::Contains | Self::EndsWith | Self::StartsWith)
                && !function.is_time_field()
        })
    }

    /// The function that is called as `x.name()`.
    pub(super) fn member(name: &str) -> Option<Self> {
        Self::named(name).filter(|function| {
            use Function::{Checksum, Contains, EndsWith, Matches, Size, StartsWith};
            matches!(function, Checksum | Contains | EndsWith | Matches | Size | StartsWith) || function.is_time_field()
        })
    }

    /// Whether the function reads a field of a timestamp or duration.
    fn is_time_field(self) -> bool {
        self.name().starts_with("get")
    }

    fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// All names, for errors.
    pub(super) fn names() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }
}

/// Calls a function. A member's target is its first argument.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    budget.spend(1)?;
    match (function, arguments) {
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::Type, [value]) => Ok(Value::Type(value.type_name())),
        (Function::Size, [value]) => size(value, budget),
        (Function::Bool, [Value::Bool(b)]) => Ok(Value::Bool(*b)),
        (Function::Bool, [Value::Text(text)]) => match &**text {
            "1" | "t" | "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
            _ => Err(not_convertible(function)),
        },
        (Function::Checksum, [Value::Text(text)]) => {
            budget.spend_text(text.len().saturating_mul(16))?;
            let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
            Ok(Value::text(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => {
            budget.spend_text(text.len() + part.len())?;
            Ok(Value::Bool(text.contains(&**part)))
        }
        (Function::StartsWith, [Value::Text(text), Value::Text(part)]) => {
            budget.spend_text(part.len())?;
            Ok(Value::Bool(text.starts_with(&**part)))
        }
        (Function::EndsWith, [Value::Text(text), Value::Text(part)]) => {
            budget.spend_text(part.len())?;
            Ok(Value::Bool(text.ends_with(&**part)))
        }
        (Function::Matches, [Value::Text(text), Value::Text(pattern)]) => matches(text, pattern, budget),
        (Function::String, [value]) => string(value),
        (Function::Double, [value]) => double(value),
        (Function::Int, [value]) => int(value),
        (Function::Uint, [value]) => uint(value),
        (Function::Timestamp, [value]) => timestamp(value),
        (Function::Duration, [value]) => duration(value),
        (function, [value]) if function.is_time_field() => {
            time::field(function.name(), value).map(Value::Int).ok_or_else(|| no_overload(function, arguments))
        }
        _ => Err(no_overload(function, arguments)),
    }
}

fn no_overload(function: Function, arguments: &[Value<'_>]) -> Fault {
    let types: Vec<_> = arguments.iter().take(4).map(Value::type_name).collect();
    Fault::Error(format!("`{}` does not take ({})", function.name(), types.join(", ")))
}

fn not_convertible(function: Function) -> Fault {
    Fault::Error(format!("the argument of `{}` cannot be converted", function.name()))
}

fn size<'a>(value: &Value<'a>, budget: &mut Budget) -> Outcome<'a> {
    let size = match value {
        Value::Text(text) => {
            budget.spend_text(text.len())?;
            text.chars().count()
        }
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(no_overload(Function::Size, std::slice::from_ref(other))),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| not_convertible(Function::Size))
}

fn matches<'a>(text: &str, pattern: &str, budget: &mut Budget) -> Outcome<'a> {
    budget.spend_regex(pattern.len(), text.len())?;
    let regex = RegexBuilder::new(pattern).size_limit(MAX_REGEX).build().map_err(|e| {
        let reason = e.to_string();
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Fault::Error(format!("invalid regular expression: {}", reason.chars().take(200).collect::<String>()))
    })?;
    Ok(Value::Bool(regex.is_match(text)))
}

fn string<'a>(value: &Value<'a>) -> Outcome<'a> {
    Ok(match value {
        Value::Text(text) => Value::Text(text.clone()),
        Value::Bool(true) => Value::Text(Text::Borrowed("true")),
        Value::Bool(false) => Value::Text(Text::Borrowed("false")),
        Value::Int(n) => Value::text(n.to_string()),
        Value::Uint(n) => Value::text(n.to_string()),
        Value::Double(n) => Value::text(double_text(*n)),
        Value::Timestamp(timestamp) => Value::text(timestamp.to_string()),
        Value::Duration(duration) => Value::text(time::duration_text(*duration)),
        other => return Err(no_overload(Function::String, std::slice::from_ref(other))),
    })
}

/// A double as formatted by Go's `%g`: the fewest digits that parse to the same number, with an exponent from 1e+06 on
/// and below 0.0001. A real engine's keys have this form.
fn double_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{n:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return n.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn double<'a>(value: &Value<'a>) -> Outcome<'a> {
    Ok(Value::Double(match value {
        Value::Double(n) => *n,
        Value::Int(n) => *n as f64,
        Value::Uint(n) => *n as f64,
        Value::Text(text) => text.parse().map_err(|_| not_convertible(Function::Double))?,
        other => return Err(no_overload(Function::Double, std::slice::from_ref(other))),
    }))
}

fn int<'a>(value: &Value<'a>) -> Outcome<'a> {
    let number = match value {
        Value::Int(n) => Some(*n),
        Value::Uint(n) => i64::try_from(*n).ok(),
        Value::Timestamp(timestamp) => Some(timestamp.as_second()),
        Value::Duration(duration) => i64::try_from(duration.as_nanos()).ok(),
        // Both bounds are exact as doubles; cel-go excludes them too.
        Value::Double(n) => (*n > i64::MIN as f64 && *n < i64::MAX as f64).then_some(*n as i64),
        Value::Text(text) => text.parse().ok(),
        other => return Err(no_overload(Function::Int, std::slice::from_ref(other))),
    };
    number.map(Value::Int).ok_or_else(|| not_convertible(Function::Int))
}

/// A timestamp from a text in RFC 3339 or from Unix seconds.
fn timestamp<'a>(value: &Value<'a>) -> Outcome<'a> {
    let timestamp = match value {
        Value::Timestamp(timestamp) => Some(*timestamp),
        Value::Text(text) => text.parse().ok(),
        Value::Int(seconds) => jiff::Timestamp::from_second(*seconds).ok(),
        other => return Err(no_overload(Function::Timestamp, std::slice::from_ref(other))),
    };
    timestamp.map(Value::Timestamp).ok_or_else(|| not_convertible(Function::Timestamp))
}

fn duration<'a>(value: &Value<'a>) -> Outcome<'a> {
    let duration = match value {
        Value::Duration(duration) => Some(*duration),
        Value::Text(text) => time::parse_duration(text),
        other => return Err(no_overload(Function::Duration, std::slice::from_ref(other))),
    };
    duration.map(Value::Duration).ok_or_else(|| not_convertible(Function::Duration))
}

fn uint<'a>(value: &Value<'a>) -> Outcome<'a> {
    let number = match value {
        Value::Uint(n) => Some(*n),
        Value::Int(n) => u64::try_from(*n).ok(),
        Value::Double(n) => (*n >= 0.0 && *n < u64::MAX as f64).then_some(*n as u64),
        Value::Text(text) => text.parse().ok(),
        other => return Err(no_overload(Function::Uint, std::slice::from_ref(other))),
    };
    number.map(Value::Uint).ok_or_else(|| not_convertible(Function::Uint))
}
