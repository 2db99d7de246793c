//! Fields of an input that its task ignores.
//!
//! A field is unknown if the schema of the input does not name it, and its value makes no difference: the input type
//! reads the same value with other JSON in its place. The second test finds fields that no schema names: aliases, and
//! the keys of flattened maps. So a field that the task reads causes no warning.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use crate::hatchet::task::ErasedTask;

/// Largest input that is searched: 256 KiB.
const MAX_INPUT: usize = 256 << 10;
/// Maximum number of fields without a name in the schema that are tested.
const MAX_TESTED: usize = 20;
/// Maximum number of known fields in a message.
const MAX_LISTED: usize = 8;
/// Similarity from 0 to 1 below which two names are unrelated.
const MIN_SIMILARITY: f64 = 0.75;

/// A field that the task ignores. Its text names it and the nearest known field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct UnknownField {
    /// The path of the field, such as `customer.name` or `items[0].id`.
    path: String,
    known: Vec<String>,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, known } = self;
        write!(f, "the unknown field `{}`, which is ignored", path.escape_debug())?;
        let name = path.rsplit('.').next().unwrap_or(path);
        let similarity = |known: &String| strsim::jaro_winkler(&normalized(name), &normalized(known));
        match known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b))) {
            None => Ok(()),
            Some(nearest) if similarity(nearest) >= MIN_SIMILARITY => {
                write!(f, "; did you mean `{}{nearest}`?", path.strip_suffix(name).unwrap_or_default())
            }
            Some(_) => {
                let listed: Vec<&str> = known.iter().take(MAX_LISTED).map(String::as_str).collect();
                let ellipsis = if known.len() > MAX_LISTED { ", …" } else { "" };
                write!(f, "; the known fields are `{}`{ellipsis}", listed.join("`, `"))
            }
        }
    }
}

/// A name without case and separators, which often differ between languages.
fn normalized(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Finds the unknown fields of a valid input, in their order.
pub(in crate::cli) fn unknown_fields(task: &ErasedTask, json: &str) -> Vec<UnknownField> {
    let Some(input) =
        Some(json).filter(|json| json.len() <= MAX_INPUT).and_then(|json| serde_json::from_str(json).ok())
    else {
        return Vec::new();
    };
    let mut search = Search { task, input: &input, tested: 0, found: Vec::new() };
    search.visit(&input, &[task.input_schema()], "", "");
    search.found
}

struct Search<'a> {
    task: &'a ErasedTask,
    input: &'a Value,
    tested: usize,
    found: Vec<UnknownField>,
}

impl<'a> Search<'a> {
    /// Searches a value with these schemas. `pointer` is its JSON pointer, `path` its path in warnings.
    fn visit(&mut self, value: &'a Value, schemas: &[&'a Value], pointer: &str, path: &str) {
        let schemas = resolve(self.task.input_schema(), schemas);
        match value {
            Value::Array(items) => {
                let item_schemas: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
                for (index, item) in items.iter().enumerate().filter(|_| !item_schemas.is_empty()) {
                    self.visit(item, &item_schemas, &format!("{pointer}/{index}"), &format!("{path}[{index}]"));
                }
            }
            Value::Object(fields) => self.visit_fields(fields, &schemas, pointer, path),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn visit_fields(
        &mut self,
        fields: &'a serde_json::Map<String, Value>,
        schemas: &[&'a Value],
        pointer: &str,
        path: &str,
    ) {
        let is_free = |schema: &&Value| schema["type"] != "object" && !schema["properties"].is_object();
        if schemas.iter().all(is_free) {
            return;
        }
        let mut known: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (name, property) in schemas.iter().filter_map(|schema| schema["properties"].as_object()).flatten() {
            known.entry(name).or_default().push(property);
        }
        for (name, value) in fields {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let Some(schemas) = known.get(name.as_str()) {
                self.visit(value, schemas, &pointer, &field);
            } else if self.is_ignored(&pointer) {
                let known = known.keys().map(|name| (*name).to_owned()).collect();
                self.found.push(UnknownField { path: field, known });
            } else {
                let value_schemas: Vec<&Value> =
                    schemas.iter().filter_map(|schema| schema.get("additionalProperties")).collect();
                self.visit(value, &value_schemas, &pointer, &field);
            }
        }
    }

    /// Whether the task reads the same input with other values at this place.
    fn is_ignored(&mut self, pointer: &str) -> bool {
        if self.tested == MAX_TESTED {
            return false;
        }
        self.tested += 1;
        let read = |input: &Value| -> Option<Value> {
            serde_json::from_str(&self.task.complete_input(&input.to_string()).ok()?).ok()
        };
        let Some(unchanged) = read(self.input) else { return false };
        // No type reads both as the same value, unless it ignores them.
        [Value::Null, json!([[[0]]])].into_iter().all(|other| {
            let mut changed = self.input.clone();
            let Some(place) = changed.pointer_mut(pointer) else { return false };
            *place = other;
            read(&changed).as_ref() == Some(&unchanged)
        })
    }
}

/// Returns these schemas, and the schemas that they refer to or combine.
fn resolve<'a>(root: &'a Value, schemas: &[&'a Value]) -> Vec<&'a Value> {
    let mut resolved: Vec<&Value> = Vec::new();
    let mut next: Vec<&Value> = schemas.to_vec();
    while let Some(schema) = next.pop() {
        // A schema may refer to itself.
        if resolved.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        resolved.push(schema);
        let reference = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
        next.extend(reference);
        for keyword in ["allOf", "anyOf", "oneOf"] {
            next.extend(schema[keyword].as_array().into_iter().flatten());
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;
    use crate::{hatchet::task::Payload, prelude::*};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Order {
        customer: Customer,
        #[serde(default)]
        items: Vec<Item>,
        #[serde(default)]
        shipping: Option<Shipping>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default, alias = "couponCode")]
        coupon: Option<String>,
        #[serde(default)]
        labels: HashMap<String, String>,
        #[serde(default)]
        any: Value,
        #[serde(default)]
        part: Option<Box<Order>>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Customer {
        first_name: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Item {
        #[serde(default)]
        count: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Shipping {
        Post { street: String },
        Pickup { shop: u32 },
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Open {
        #[serde(default)]
        id: u32,
        #[serde(flatten)]
        others: BTreeMap<String, Item>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Flat {
        #[serde(flatten)]
        customer: Customer,
        #[serde(default)]
        id: u32,
    }

    fn found<I: Payload>(input: &Value) -> Vec<String> {
        let task = Stub::<I, ()>::new("t").blocking_task(|_: I, _| Ok(())).erase();
        let input = input.to_string();
        task.complete_input(&input).unwrap();
        unknown_fields(&task, &input).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_field_error_has_path_and_nearest_name() {
        let input = json!({
            "customer": { "first_name": "Ada", "firstName": "Ada" },
            "items": [{ "count": 1 }, { "cuont": 2 }],
            "shipping": { "kind": "post", "street": "x", "sreet": "y" },
            "part": { "customer": { "first_name": "Eve" }, "part": { "customer": { "first_name": "Eve", "x": 1 } } },
            "itmes": [],
            "zzz": null,
        });
        let known = "`any`, `coupon`, `customer`, `items`, `labels`, `note`, `part`, `shipping`";
        assert_eq!(
            found::<Order>(&input),
            [
                "the unknown field `customer.firstName`, which is ignored; did you mean `customer.first_name`?",
                "the unknown field `items[1].cuont`, which is ignored; did you mean `items[1].count`?",
                "the unknown field `shipping.sreet`, which is ignored; did you mean `shipping.street`?",
                "the unknown field `part.part.customer.x`, which is ignored; the known fields are `first_name`",
                "the unknown field `itmes`, which is ignored; did you mean `items`?",
                &format!("the unknown field `zzz`, which is ignored; the known fields are {known}"),
            ]
        );
    }

    #[test]
    fn fields_that_the_task_reads_cause_no_warning() {
        let none: [String; 0] = [];
        let input = json!({
            "customer": { "first_name": "Ada" }, "note": "n", "couponCode": "c", "labels": { "k": "v" },
            "any": { "x": { "y": 1 } }, "shipping": { "kind": "pickup", "shop": 1 }, "part": null,
        });
        assert_eq!(found::<Order>(&input), none);
        assert_eq!(found::<Flat>(&json!({ "first_name": "Ada", "id": 1 })), none);
        assert_eq!(found::<Value>(&json!({ "x": 1 })), none);
        assert_eq!(found::<BTreeMap<String, Value>>(&json!({ "x": { "y": 1 } })), none);
        assert_eq!(found::<Open>(&json!({ "id": 1, "other": { "count": 1 } })), none);
    }

    #[test]
    fn fields_beside_a_flattened_type_are_searched() {
        let unknown = found::<Open>(&json!({ "id": 1, "other": { "cuont": 1 } }));
        assert_eq!(unknown, ["the unknown field `other.cuont`, which is ignored; did you mean `other.count`?"]);
        let unknown = found::<Flat>(&json!({ "first_name": "Ada", "idd": 1 }));
        assert_eq!(unknown, ["the unknown field `idd`, which is ignored; did you mean `id`?"]);
    }

    #[test]
    fn number_of_tests_is_limited() {
        let fields: serde_json::Map<String, Value> = (0..100).map(|n| (format!("x{n}"), Value::Null)).collect();
        assert_eq!(found::<Item>(&Value::Object(fields)).len(), MAX_TESTED);
    }
}
