//! Validation of an input by the JSON Schema that a workflow is registered with.
//!
//! Checks what a person mistypes: missing fields, fields of another type, and unknown fields, at the top level of the
//! input. The task itself validates the input completely.

use serde_json::{Map, Value};

use crate::cli::task_registry::{did_you_mean, near};

/// Checks an input. Returns warnings about fields that the schema does not have.
///
/// # Errors
///
/// Returns the rule that the input violates.
pub(super) fn check(schema: &Value, input: &Map<String, Value>) -> Result<Vec<String>, String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<&str> = required.filter(|name| !input.contains_key(*name)).collect();
    if let Some(field) = missing.first() {
        let others =
            if missing.len() > 1 { format!(" (missing are `{}`)", missing.join("`, `")) } else { String::new() };
        return Err(format!("the required field `{field}` is missing{others}"));
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(Vec::new()) };
    for (name, value) in input {
        if let Some(property) = properties.get(name) {
            let types = types_of(schema, property);
            if !types.is_empty() && !types.iter().any(|of| has_type(value, of)) {
                return Err(format!("field `{name}` is {}, but must be {}", type_name(value), types.join(" or ")));
            }
        }
    }
    if allows_others(schema) {
        return Ok(Vec::new());
    }
    let known: Vec<String> = properties.keys().cloned().collect();
    let unknown = input.keys().filter(|name| !properties.contains_key(*name));
    Ok(unknown
        .map(|name| {
            let suggestion = did_you_mean(&near(name, &known));
            let suggestion = suggestion.trim_end_matches(['.', ' ']);
            format!("the field `{}`, which the schema of the task does not have{suggestion}", name.escape_debug())
        })
        .collect())
}

/// The fields of a schema, each with its types and whether it is required.
pub(super) fn fields(schema: &Value) -> Vec<(String, String, bool)> {
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, property)| {
            let types = types_of(schema, property);
            let types = if types.is_empty() { "any".to_owned() } else { types.join(" or ") };
            (name.clone(), types, is_required(name))
        })
        .collect()
}

/// The types that a property allows. Empty if it allows any, or if its schema combines others in a way that is not
/// evaluated here.
fn types_of<'a>(root: &'a Value, property: &'a Value) -> Vec<&'a str> {
    if let Some(definition) = property["$ref"].as_str().and_then(|at| root.pointer(at.strip_prefix('#')?)) {
        // A definition that refers to another one is not followed.
        return if definition.get("$ref").is_some() { Vec::new() } else { types_of(root, definition) };
    }
    match &property["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => alternatives(root, property),
    }
}

/// The types of an `anyOf` of simple types, such as that of an optional field.
fn alternatives<'a>(root: &'a Value, property: &'a Value) -> Vec<&'a str> {
    let Some(schemas) = property["anyOf"].as_array() else { return Vec::new() };
    let mut all = Vec::new();
    for schema in schemas {
        let is_simple = schema.get("anyOf").is_none();
        let types = if is_simple { types_of(root, schema) } else { Vec::new() };
        if types.is_empty() {
            return Vec::new();
        }
        all.extend(types);
    }
    all
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        // A number without fraction is an integer, such as `1.0`.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
    }
}

/// Whether the schema describes fields beyond its properties.
fn allows_others(schema: &Value) -> bool {
    let combines = ["allOf", "anyOf", "oneOf", "$ref", "patternProperties"];
    let additional = &schema["additionalProperties"];
    combines.iter().any(|keyword| schema.get(keyword).is_some()) || additional.is_object() || *additional == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "name": { "type": "string" },
                "count": { "type": "integer" },
                "note": { "type": ["string", "null"] },
                "size": { "anyOf": [{ "type": "number" }, { "type": "null" }] },
                "color": { "$ref": "#/$defs/Color" },
                "any": true,
            },
            "required": ["name"],
            "$defs": { "Color": { "type": "string", "enum": ["red"] } },
        })
    }

    fn check_json(schema: &Value, input: Value) -> Result<Vec<String>, String> {
        check(schema, input.as_object().unwrap())
    }

    #[test]
    fn violated_rule_names_the_field() {
        for (input, error) in [
            (json!({}), "the required field `name` is missing"),
            (json!({ "name": 7 }), "field `name` is integer, but must be string"),
            (json!({ "name": "x", "count": 1.5 }), "field `count` is number, but must be integer"),
            (json!({ "name": "x", "note": [] }), "field `note` is array, but must be string or null"),
            (json!({ "name": "x", "size": "s" }), "field `size` is string, but must be number or null"),
            (json!({ "name": "x", "color": 1 }), "field `color` is integer, but must be string"),
        ] {
            assert_eq!(check_json(&schema(), input), Err(error.to_owned()));
        }
    }

    #[test]
    fn valid_input_passes() {
        let input = json!({ "name": "x", "count": 2.0, "note": null, "size": 1, "color": "red", "any": [1] });
        assert_eq!(check_json(&schema(), input), Ok(Vec::new()));
        // A schema without properties, such as that of a map, allows any field.
        for any in [json!({}), json!(true), json!({ "type": "object", "additionalProperties": true })] {
            assert_eq!(check_json(&any, json!({ "x": 1 })), Ok(Vec::new()));
        }
    }

    #[test]
    fn unknown_field_is_a_warning() {
        let warnings = check_json(&schema(), json!({ "name": "x", "coutn": 1 })).unwrap();
        assert_eq!(warnings, ["the field `coutn`, which the schema of the task does not have; did you mean `count`?"]);
        let mut open = schema();
        open["additionalProperties"] = json!(true);
        assert_eq!(check_json(&open, json!({ "name": "x", "coutn": 1 })), Ok(Vec::new()));
    }

    #[test]
    fn fields_have_types_and_requirement() {
        let fields = fields(&schema());
        assert_eq!(fields[0], ("name".to_owned(), "string".to_owned(), true));
        assert_eq!(fields[3], ("size".to_owned(), "number or null".to_owned(), false));
        assert_eq!(fields[5].1, "any");
    }
}
