//! Validation of an input by the JSON Schema that a workflow is registered with.
//!
//! Checks what a person mistypes: missing fields, fields of another type, and unknown fields, at the top level of the
//! input. The task itself validates the input completely.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::task_registry::{did_you_mean, near};

/// Checks an input. Returns warnings about fields that the schema does not have.
///
/// # Errors
///
/// Returns the rule that the input violates.
pub(super) fn check(root: &Value, input: &Map<String, Value>) -> Result<Vec<String>, String> {
    let missing: Vec<&str> = required(root).filter(|name| !input.contains_key(*name)).collect();
    if let Some(field) = missing.first() {
        let others =
            if missing.len() > 1 { format!(" (missing are `{}`)", missing.join("`, `")) } else { String::new() };
        return Err(format!("the required field `{field}` is missing{others}"));
    }
    let properties: BTreeMap<&str, &Value> = properties(root).collect();
    for (name, value) in input {
        if let Some(property) = properties.get(name.as_str()) {
            let types = types_of(root, property);
            if !types.is_empty() && !types.iter().any(|kind| has_type(value, kind)) {
                return Err(format!("field `{name}` is {}, but must be {}", type_name(value), types.join(" or ")));
            }
        }
    }
    if properties.is_empty() || allows_others(root) {
        return Ok(Vec::new());
    }
    let known: Vec<String> = properties.keys().map(|name| (*name).to_owned()).collect();
    let unknown = input.keys().filter(|name| !properties.contains_key(name.as_str()));
    Ok(unknown
        .map(|name| {
            let suggestion = did_you_mean(&near(name, &known));
            let suggestion = suggestion.trim_end_matches(['.', ' ']);
            format!("the field `{}`, which the schema of the task does not have{suggestion}", name.escape_debug())
        })
        .collect())
}

/// The schemas that describe the fields together: the root, and the definition that the root refers to.
fn parts(root: &Value) -> impl Iterator<Item = &Value> {
    let referred = definition(root, root).filter(|_| root.get("$ref").is_some());
    std::iter::once(root).chain(referred)
}

fn required(root: &Value) -> impl Iterator<Item = &str> {
    parts(root).flat_map(|part| part["required"].as_array().into_iter().flatten().filter_map(Value::as_str))
}

/// The fields with their schemas. Those of the root replace those of the definition.
fn properties(root: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let is_replaced = |part: &Value, name: &str| !std::ptr::eq(part, root) && root["properties"].get(name).is_some();
    parts(root).flat_map(move |part| {
        let properties = part["properties"].as_object().into_iter().flatten();
        let properties = properties.filter(move |(name, _)| !is_replaced(part, name));
        properties.map(|(name, property)| (name.as_str(), property))
    })
}

/// The fields of a schema, each with its types and whether it is required.
pub(super) fn fields(root: &Value) -> Vec<(String, String, bool)> {
    let is_required = |name: &str| required(root).any(|required| required == name);
    properties(root)
        .map(|(name, property)| {
            let types = types_of(root, property);
            let types = if types.is_empty() { "any".to_owned() } else { types.join(" or ") };
            (name.to_owned(), types, is_required(name))
        })
        .collect()
}

/// The types that a property allows. Empty if it allows any, or if its schema combines others in a way that is not
/// evaluated here: a definition that refers to another one, and an alternative that has alternatives, are not followed.
fn types_of<'a>(root: &'a Value, property: &'a Value) -> Vec<&'a str> {
    let Some(schema) = definition(root, property) else { return Vec::new() };
    let types = own_types(schema);
    if !types.is_empty() {
        return types;
    }
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let types: Vec<Vec<&str>> =
        alternatives.map(|one| definition(root, one).map_or_else(Vec::new, own_types)).collect();
    if types.iter().any(Vec::is_empty) { Vec::new() } else { types.concat() }
}

/// The schema itself, or the definition that it refers to. `None` if there is no such definition, or if it refers to
/// another one.
fn definition<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let Some(reference) = schema["$ref"].as_str() else { return Some(schema) };
    root.pointer(reference.strip_prefix('#')?).filter(|definition| definition.get("$ref").is_none())
}

/// The types that a schema names itself.
fn own_types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
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

/// Whether the schema allows fields that are not among its properties.
fn allows_others(root: &Value) -> bool {
    let allows = |part: &Value| part["additionalProperties"].is_object() || part["additionalProperties"] == true;
    combines_others(root) || parts(root).any(allows)
}

/// Whether the schema has rules for its fields that are not evaluated here.
pub(super) fn combines_others(root: &Value) -> bool {
    let keywords = ["allOf", "anyOf", "oneOf", "patternProperties"];
    let combines = |part: &Value| keywords.iter().any(|keyword| part.get(keyword).is_some());
    definition(root, root).is_none() || parts(root).any(combines)
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
    fn fields_of_referenced_schema_are_checked() {
        let schema = json!({ "$ref": "#/$defs/Input", "$defs": { "Input": schema() } });
        assert!(check_json(&schema, json!({})).unwrap_err().contains("`name` is missing"));
        assert_eq!(fields(&schema)[0], ("name".to_owned(), "string".to_owned(), true));
        // The members beside the reference count too.
        let mut extended = schema.clone();
        extended["properties"] = json!({ "extra": { "type": "integer" }, "name": { "type": "boolean" } });
        extended["required"] = json!(["extra"]);
        assert!(check_json(&extended, json!({ "name": true })).unwrap_err().contains("`extra` is missing"));
        assert_eq!(check_json(&extended, json!({ "name": true, "extra": 1 })), Ok(Vec::new()));
        assert!(check_json(&extended, json!({ "name": "a", "extra": 1 })).unwrap_err().contains("must be boolean"));
        // A definition that is an alias of another one is not followed.
        let alias = json!({ "$ref": "#/$defs/A", "$defs": { "A": { "$ref": "#/$defs/A" } } });
        assert_eq!(check_json(&alias, json!({ "x": 1 })), Ok(Vec::new()));
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
    fn schema_that_refers_to_itself_allows_any_type() {
        let schema = json!({
            "properties": { "direct": { "$ref": "#/$defs/A" }, "mutual": { "$ref": "#/$defs/B" }, "root": { "$ref": "#" } },
            "$defs": {
                "A": { "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "string" }] },
                "B": { "anyOf": [{ "$ref": "#/$defs/C" }, { "type": "string" }] },
                "C": { "anyOf": [{ "$ref": "#/$defs/B" }, { "type": "integer" }] },
            },
            "anyOf": [{ "$ref": "#" }],
        });
        assert_eq!(check_json(&schema, json!({ "direct": 1, "mutual": [], "root": null })), Ok(Vec::new()));
        assert!(fields(&schema).iter().all(|(_, types, _)| types == "any"));
    }

    #[test]
    fn fields_have_types_and_requirement() {
        let fields = fields(&schema());
        assert_eq!(fields[0], ("name".to_owned(), "string".to_owned(), true));
        assert_eq!(fields[3], ("size".to_owned(), "number or null".to_owned(), false));
        assert_eq!(fields[5].1, "any");
    }
}
