//! Inputs that differ from run to run.

use serde_json::Value;

/// What stands for the run's index.
const INDEX: &str = "{index}";
/// What stands for its digits, also where they are the whole text.
const DIGITS: &str = "{index:text}";

/// A JSON object in which `{index}` stands for a run's index: inside a text it becomes digits, and a text that is
/// nothing else becomes a number. `{index:text}` becomes digits everywhere. Keys stay as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    object: Value,
    varies: bool,
}

impl Template {
    /// Reads a template, or says in one line why it is none.
    pub fn parse(json: &str) -> Result<Self, String> {
        match serde_json::from_str(json) {
            Ok(object @ Value::Object(_)) => Ok(Self { varies: holds_index(&object), object }),
            Ok(_) => Err("not a JSON object".to_owned()),
            Err(e) => Err(format!("not JSON: {e}")),
        }
    }

    /// The input of one run.
    pub fn render(&self, index: usize) -> Value {
        if self.varies { render(&self.object, index) } else { self.object.clone() }
    }

    /// As it was written.
    pub fn text(&self) -> String {
        self.object.to_string()
    }
}

fn holds_index(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(INDEX) || text.contains(DIGITS),
        Value::Array(all) => all.iter().any(holds_index),
        Value::Object(all) => all.values().any(holds_index),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn render(value: &Value, index: usize) -> Value {
    match value {
        Value::String(text) if text == INDEX => index.into(),
        Value::String(text) => {
            let digits = index.to_string();
            text.replace(INDEX, &digits).replace(DIGITS, &digits).into()
        }
        Value::Array(all) => all.iter().map(|value| render(value, index)).collect(),
        Value::Object(all) => {
            Value::Object(all.iter().map(|(key, value)| (key.clone(), render(value, index))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_goes_into_texts() {
        let template =
            Template::parse(r#"{"name":"run {index} of {x}","n":"{index}","deep":[{"k":"{index}!"}],"s":1}"#);
        let expected = serde_json::json!({"name":"run 7 of {x}","n":7,"deep":[{"k":"7!"}],"s":1});
        assert_eq!(template.unwrap().render(7), expected);
    }

    #[test]
    fn digits_stay_a_text() {
        let template = Template::parse(r#"{"id":"{index:text}","both":"{index}-{index:text}"}"#).unwrap();
        assert_eq!(template.render(7), serde_json::json!({"id":"7","both":"7-7"}));
    }

    #[test]
    fn what_is_no_template() {
        assert!(Template::parse("{").unwrap_err().contains("not JSON"));
        assert!(Template::parse("[1]").unwrap_err().contains("object"));
        assert!(Template::parse(r#"{"n":{index}}"#).is_err());
    }
}
