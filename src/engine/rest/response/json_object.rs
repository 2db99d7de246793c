//! JSON objects whose payloads are written as they are stored.
//!
//! A payload can be several megabytes. An object that is built under the state's lock therefore has only references to
//! the stored texts. They are copied into the response after the lock is released, without being parsed.

use std::{borrow::Cow, sync::Arc};

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use crate::engine::driver::assignment::TaskInput;

/// A JSON object. Its members must have different names.
#[derive(Default)]
pub(crate) struct JsonObject(Vec<(Cow<'static, str>, Member)>);

enum Member {
    Value(Value),
    Payload(Payload),
    Objects(Vec<JsonObject>),
    Object(JsonObject),
}

/// A stored text and the form in which it is written.
pub(crate) enum Payload {
    /// JSON: an object unchanged, any other value as an empty object.
    Json(Arc<str>),
    TaskInput(TaskInput),
    /// Any text, as a JSON string.
    Text(Arc<str>),
}

impl JsonObject {
    /// An object with the members of a JSON object.
    pub(crate) fn from_value(value: Value) -> Self {
        match value {
            Value::Object(members) => {
                Self(members.into_iter().map(|(name, value)| (name.into(), Member::Value(value))).collect())
            }
            _ => Self::default(),
        }
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name.into(), Member::Value(value.into())));
    }

    pub(crate) fn payload(&mut self, name: &'static str, payload: Payload) {
        self.0.push((name.into(), Member::Payload(payload)));
    }

    pub(crate) fn objects(&mut self, name: &'static str, objects: Vec<Self>) {
        self.0.push((name.into(), Member::Objects(objects)));
    }

    pub(crate) fn object(&mut self, name: &'static str, object: Self) {
        self.0.push((name.into(), Member::Object(object)));
    }

    pub(super) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, (name, member)) in self.0.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            write_json(json, &**name);
            json.push(b':');
            match member {
                Member::Value(value) => write_json(json, value),
                Member::Payload(payload) => payload.write(json),
                Member::Object(object) => object.write(json),
                Member::Objects(objects) => {
                    json.push(b'[');
                    for (index, object) in objects.iter().enumerate() {
                        if index > 0 {
                            json.push(b',');
                        }
                        object.write(json);
                    }
                    json.push(b']');
                }
            }
        }
        json.push(b'}');
    }
}

impl Payload {
    fn write(&self, json: &mut Vec<u8>) {
        match self {
            Self::Json(text) => json.extend_from_slice(object_or_empty(text).as_bytes()),
            Self::TaskInput(input) => json.extend_from_slice(input.to_json().as_bytes()),
            Self::Text(text) => write_json(json, &**text),
        }
    }
}

/// The text of a JSON object, or `{}` for another value. Stored texts were checked to be JSON when they arrived.
fn object_or_empty(json: &str) -> &str {
    if json.trim_start().starts_with('{') { json } else { "{}" }
}

pub(crate) fn write_json(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing to memory fails only for maps whose keys are not strings, which are not used here.
    if serde_json::to_writer(&mut *json, value).is_err() {
        json.extend_from_slice(b"null");
    }
}

impl IntoResponse for JsonObject {
    fn into_response(self) -> Response {
        let mut text = Vec::new();
        self.write(&mut text);
        ([(CONTENT_TYPE, "application/json")], text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(object: &JsonObject) -> Value {
        let mut text = Vec::new();
        object.write(&mut text);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn payloads_are_written_as_stored() {
        let mut object = JsonObject::from_value(json!({ "a": 1, "b": { "c": [] } }));
        object.payload("input", Payload::Json(r#"{"z":1.0,  "a":2}"#.into()));
        object.payload("output", Payload::Json("[1]".into()));
        object.payload("text", Payload::Text("a \"quoted\" line\n".into()));
        object.set("name", "n");
        let child = JsonObject::from_value(json!({ "child": true }));
        object.objects("children", vec![child, JsonObject::default()]);
        object.object("only", JsonObject::default());
        let shown = written(&object);
        assert_eq!(shown["input"], json!({ "z": 1.0, "a": 2 }));
        assert_eq!(shown["output"], json!({}));
        assert_eq!(shown["text"], "a \"quoted\" line\n");
        assert_eq!((&shown["children"], &shown["only"]), (&json!([{ "child": true }, {}]), &json!({})));
        assert_eq!((&shown["name"], &shown["b"]), (&json!("n"), &json!({ "c": [] })));
    }
}
