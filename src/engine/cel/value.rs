//! Values. Cloning is cheap: texts and containers are borrowed from the expression or the input, or shared.

use std::{ops::Deref, rc::Rc};

use serde_json::Value as Json;

/// A value of the language.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    Timestamp(jiff::Timestamp),
    Duration(jiff::SignedDuration),
    /// A type, by its name.
    Type(&'static str),
}

/// A text: a part of the input, or the result of an operation.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

/// A list: a part of the input, or the result of an operation.
#[derive(Debug, Clone)]
pub(crate) enum List<'a> {
    Json(&'a [Json]),
    Shared(Rc<Vec<Value<'a>>>),
}

/// A map. A map literal has few entries and is searched sequentially.
#[derive(Debug, Clone)]
pub(crate) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>),
    Shared(Rc<Vec<(Value<'a>, Value<'a>)>>),
}

/// The names of the types. Types are values too.
pub(super) const TYPES: [&str; 9] = ["bool", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

impl<'a> Value<'a> {
    /// Converts a JSON value, whose numbers are all doubles.
    pub(crate) fn from_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => Self::Double(n.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(list) => Self::List(List::Json(list)),
            Json::Object(map) => Self::Map(Map::Json(map)),
        }
    }

    pub(in crate::engine) fn text(text: String) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    pub(super) fn list(values: Vec<Value<'a>>) -> Self {
        Self::List(List::Shared(Rc::new(values)))
    }

    /// Returns CEL's name of the value's type, such as `int`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(list) => list.len(),
            Self::Shared(list) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(list) => list.get(index).map(Value::from_json),
            Self::Shared(list) => list.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Shared(entries) => entries.len(),
        }
    }

    /// The entries in their original order.
    pub(super) fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Self::Json(map) => {
                map.iter().map(|(key, value)| (Value::Text(Text::Borrowed(key)), Value::from_json(value))).collect()
            }
            Self::Shared(entries) => entries.to_vec(),
        }
    }
}
