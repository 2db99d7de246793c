//! Answers with payloads: the parts of a JSON object, of which payloads are written as they are stored.
//!
//! A payload may have megabytes. So a view that is made under the state's lock takes only a handle of it, and the text
//! is copied into the answer afterwards, without being parsed. A list is a stream: the rows are made and written a few
//! at a time, when the reader takes them, so that an answer of any size neither fills the memory nor keeps other calls
//! waiting.

use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Instant};

use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::page::Page;
use crate::engine::{
    driver::Driver,
    driver::assignment,
    persistence::barrier::NotDurable,
    state::{ClockReading, State},
};

/// The longest time for which rows of a list are made under the lock in one go, unless a single row takes longer.
const LOCKED_MILLIS: u128 = 5;

/// Bytes that are written in one go. Another call may be served after them.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// A JSON object. The names of its members are unique.
#[derive(Default)]
pub(super) struct View(Vec<(Cow<'static, str>, Part)>);

enum Part {
    Value(Value),
    Payload(Payload),
    Views(Vec<View>),
    View(View),
}

/// A stored text.
pub(super) enum Payload {
    /// JSON. REST shows an object, and for anything else an empty one.
    Json(Arc<str>),
    /// The input of a run, shown with all that its task is sent around it.
    Envelope(Arc<str>),
    /// JSON objects by their names.
    Members(Vec<(Arc<str>, Arc<str>)>),
    /// Any text, as a JSON string.
    Text(Arc<str>),
}

impl View {
    /// The members of a JSON object.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Object(members) => {
                Self(members.into_iter().map(|(name, value)| (name.into(), Part::Value(value))).collect())
            }
            _ => Self::default(),
        }
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name.into(), Part::Value(value.into())));
    }

    pub(super) fn payload(&mut self, name: &'static str, payload: Payload) {
        self.0.push((name.into(), Part::Payload(payload)));
    }

    pub(super) fn views(&mut self, name: &'static str, views: Vec<Self>) {
        self.0.push((name.into(), Part::Views(views)));
    }

    pub(super) fn view(&mut self, name: &'static str, view: Self) {
        self.0.push((name.into(), Part::View(view)));
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.push(b'{');
        for (at, (name, part)) in self.0.iter().enumerate() {
            if at > 0 {
                to.push(b',');
            }
            write_json(to, &**name);
            to.push(b':');
            match part {
                Part::Value(value) => write_json(to, value),
                Part::Payload(payload) => payload.write(to),
                Part::View(view) => view.write(to),
                Part::Views(views) => {
                    to.push(b'[');
                    for (at, view) in views.iter().enumerate() {
                        if at > 0 {
                            to.push(b',');
                        }
                        view.write(to);
                    }
                    to.push(b']');
                }
            }
        }
        to.push(b'}');
    }
}

impl Payload {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Json(text) => to.extend_from_slice(object(text).as_bytes()),
            Self::Envelope(input) => to.extend_from_slice(assignment::payload(input, "", None).as_bytes()),
            Self::Members(members) => {
                to.push(b'{');
                for (at, (name, text)) in members.iter().enumerate() {
                    if at > 0 {
                        to.push(b',');
                    }
                    write_json(to, &**name);
                    to.push(b':');
                    to.extend_from_slice(object(text).as_bytes());
                }
                to.push(b'}');
            }
            Self::Text(text) => write_json(to, &**text),
        }
    }
}

/// The text of a JSON object, or that of an empty one. What is stored is JSON: it was checked when it came in.
fn object(json: &str) -> &str {
    if json.trim_start().starts_with('{') { json } else { "{}" }
}

fn write_json(to: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Into memory it fails only for a map whose keys are no texts, which none here is.
    if serde_json::to_writer(&mut *to, value).is_err() {
        to.extend_from_slice(b"null");
    }
}

impl IntoResponse for View {
    fn into_response(self) -> Response {
        let mut text = Vec::new();
        self.write(&mut text);
        ([(CONTENT_TYPE, "application/json")], text).into_response()
    }
}

/// A page of a list.
pub(super) struct Listing(Body);

impl IntoResponse for Listing {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl Listing {
    /// Those of these rows that are on the page, each made from its key. A row that is gone when its turn comes is left
    /// out. An answer of one piece has its length in its head.
    pub(super) async fn new<K: Send + 'static>(
        driver: &Arc<Driver>,
        page: &Page,
        mut keys: Vec<K>,
        view: impl FnMut(&Driver, &State, ClockReading, &K) -> Option<View> + Send + 'static,
    ) -> Result<Self, NotDurable> {
        let total = keys.len();
        let keys: Vec<K> = keys.drain(page.range(total)).collect();
        let rows = Rows {
            driver: driver.clone(),
            keys: keys.into_iter(),
            view,
            made: VecDeque::new(),
            end: json!({ "pagination": page.place(total) }),
            stage: Stage::First,
        };
        let Some((first, rows)) = rows.next().await? else { return Ok(Self(Body::empty())) };
        Ok(Self(match rows.stage {
            Stage::Ended => Body::from(first),
            Stage::First | Stage::More => {
                let first = stream::once(async { Ok(first) });
                Body::from_stream(first.chain(stream::try_unfold(rows, Rows::next)))
            }
        }))
    }
}

/// A list that is being written.
struct Rows<K, F> {
    driver: Arc<Driver>,
    keys: std::vec::IntoIter<K>,
    view: F,
    made: VecDeque<View>,
    /// What follows the rows.
    end: Value,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No row was written.
    First,
    More,
    Ended,
}

impl<K, F: FnMut(&Driver, &State, ClockReading, &K) -> Option<View>> Rows<K, F> {
    /// The next piece of the text.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, NotDurable> {
        if self.stage == Stage::Ended {
            return Ok(None);
        }
        let mut text = if self.stage == Stage::First { br#"{"rows":["#.to_vec() } else { Vec::new() };
        while text.len() < WRITTEN_AT_ONCE {
            // Those that were to come next may all be gone.
            while self.made.is_empty() && self.keys.len() > 0 {
                self.make().await?;
            }
            let Some(row) = self.made.pop_front() else {
                self.stage = Stage::Ended;
                text.push(b']');
                if let Value::Object(end) = &self.end {
                    for (name, value) in end {
                        text.push(b',');
                        write_json(&mut text, name);
                        text.push(b':');
                        write_json(&mut text, value);
                    }
                }
                text.push(b'}');
                return Ok(Some((text.into(), self)));
            };
            if self.stage == Stage::More {
                text.push(b',');
            }
            self.stage = Stage::More;
            row.write(&mut text);
        }
        // A reader that takes everything at once is not to keep others waiting.
        tokio::task::yield_now().await;
        Ok(Some((text.into(), self)))
    }

    /// Makes some rows under the lock.
    async fn make(&mut self) -> Result<(), NotDurable> {
        let Self { driver, keys, view, made, .. } = self;
        driver
            .with(|state, now| {
                let begun = Instant::now();
                for key in keys {
                    made.extend(view(driver, state, now, &key));
                    if begun.elapsed().as_millis() >= LOCKED_MILLIS {
                        break;
                    }
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(view: &View) -> Value {
        let mut text = Vec::new();
        view.write(&mut text);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn payloads_are_written_as_they_are_stored() {
        let mut view = View::of(json!({ "a": 1, "b": { "c": [] } }));
        view.payload("input", Payload::Json(r#"{"z":1.0,  "a":2}"#.into()));
        view.payload("output", Payload::Json("[1]".into()));
        view.payload("sent", Payload::Envelope(r#"{"x":1}"#.into()));
        view.payload("text", Payload::Text("a \"quoted\" line\n".into()));
        let members = [("one", r#"{"n":1}"#), ("two", "3")].map(|(name, text)| (name.into(), text.into()));
        view.payload("members", Payload::Members(members.into()));
        view.set("name", "n");
        let child = View::of(json!({ "child": true }));
        view.views("children", vec![child, View::default()]);
        view.view("only", View::default());
        let shown = written(&view);
        assert_eq!(shown["input"], json!({ "z": 1.0, "a": 2 }));
        assert_eq!((&shown["output"], &shown["sent"]["input"]), (&json!({}), &json!({ "x": 1 })));
        assert_eq!(shown["text"], "a \"quoted\" line\n");
        assert_eq!(shown["members"], json!({ "one": { "n": 1 }, "two": {} }));
        assert_eq!((&shown["children"], &shown["only"]), (&json!([{ "child": true }, {}]), &json!({})));
        assert_eq!((&shown["name"], &shown["b"]), (&json!("n"), &json!({ "c": [] })));
    }
}
