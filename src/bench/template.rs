//! Templates of inputs, which contain the run's index.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Placeholder for the run's index.
const INDEX: &str = "{index}";
/// Placeholder for the run's index as text, even if it is the whole string.
const INDEX_TEXT: &str = "{index:text}";

/// A JSON object with placeholders for a run's index. The keys of each object are distinct.
///
/// A string that consists of `{index}` alone becomes a number. Elsewhere in strings, `{index}` becomes digits.
/// `{index:text}` always becomes digits. Object keys are left unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    object: Value,
    /// Whether the object has a placeholder.
    varies: bool,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// Returns a line with the reason if the text is not a JSON object.
    pub fn parse(json: &str) -> Result<Self, String> {
        match serde_json::from_str(json).map(|Distinct(value)| value) {
            Ok(object @ Value::Object(_)) => Ok(Self { varies: has_placeholder(&object), object }),
            Ok(_) => Err("not a JSON object".to_owned()),
            Err(e) => Err(format!("not JSON: {e}")),
        }
    }

    /// Renders the input of a run.
    pub fn render(&self, index: usize) -> Value {
        if self.varies { render(&self.object, index) } else { self.object.clone() }
    }

    /// The template as JSON, placeholders included.
    pub fn text(&self) -> String {
        self.object.to_string()
    }
}

/// A JSON value whose objects have distinct keys. [`Value`] would take the last value of a key that occurs twice.
struct Distinct(Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctVisitor).map(Self)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Distinct(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Distinct(value))) = entries.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{}` occurs twice", key.escape_debug())));
            }
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(INDEX) || text.contains(INDEX_TEXT),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(fields) => fields.values().any(has_placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn render(value: &Value, index: usize) -> Value {
    match value {
        Value::String(text) if text == INDEX => index.into(),
        Value::String(text) => {
            let digits = index.to_string();
            text.replace(INDEX, &digits).replace(INDEX_TEXT, &digits).into()
        }
        Value::Array(items) => items.iter().map(|value| render(value, index)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), render(value, index))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_replaces_placeholders_in_strings() {
        let template =
            Template::parse(r#"{"name":"run {index} of {x}","n":"{index}","deep":[{"k":"{index}!"}],"s":1}"#);
        let expected = serde_json::json!({"name":"run 7 of {x}","n":7,"deep":[{"k":"7!"}],"s":1});
        assert_eq!(template.unwrap().render(7), expected);
    }

    #[test]
    fn index_text_placeholder_stays_a_string() {
        let template = Template::parse(r#"{"id":"{index:text}","both":"{index}-{index:text}"}"#).unwrap();
        assert_eq!(template.render(7), serde_json::json!({"id":"7","both":"7-7"}));
    }

    #[test]
    fn text_other_than_a_json_object_is_refused() {
        assert!(Template::parse("{").unwrap_err().contains("not JSON"));
        assert!(Template::parse("[1]").unwrap_err().contains("object"));
        assert!(Template::parse(r#"{"n":{index}}"#).is_err());
    }

    #[test]
    fn repeated_key_is_rejected() {
        let error = Template::parse(r#"{"a":[null,true,-1,1.5,{"n":1,"n":2}]}"#).unwrap_err();
        assert!(error.contains("the key `n` occurs twice"), "{error}");
        let distinct = r#"{"a":[null,true,-1,1.5,{"n":1},{"n":2}]}"#;
        assert_eq!(Template::parse(distinct).unwrap().text(), distinct);
    }
}
