//! Idempotency expressions: CEL over a run's input and metadata that yields a key.

/// A compiled expression.
#[cfg(feature = "cel")]
#[derive(Debug)]
pub(crate) struct Expression {
    text: String,
    program: cel::Program,
}

/// Without the feature `cel` there is none: a workflow that declares one is refused.
#[cfg(not(feature = "cel"))]
#[derive(Debug)]
pub(crate) enum Expression {}

#[cfg(feature = "cel")]
impl Expression {
    /// Compiles, or says why not, in one line.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let program = cel::Program::compile(text).map_err(|e| one_line(&e.to_string()))?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// As it was written.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The key for a run. As with a real engine, numbers are floats whatever they look like.
    pub(crate) fn key(&self, input: &str, metadata: &str) -> Result<String, String> {
        let mut context = cel::Context::default();
        context.add_variable_from_value("input", parse(input)?);
        context.add_variable_from_value("additional_metadata", parse(metadata)?);
        match self.program.execute(&context) {
            Ok(cel::Value::String(key)) => Ok(key.to_string()),
            Ok(other) => Err(self.failed(&format!("it yields {:?}, not a string", other.type_of()))),
            Err(e) => Err(self.failed(&one_line(&e.to_string()))),
        }
    }

    fn failed(&self, why: &str) -> String {
        format!("the idempotency expression `{}` has no key for this run: {why}", self.text)
    }
}

#[cfg(not(feature = "cel"))]
impl Expression {
    /// Never: expressions need the feature.
    pub(crate) fn compile(_text: &str) -> Result<Self, String> {
        Err("this engine was built without the cargo feature `cel`, which idempotency expressions need".into())
    }

    /// Never called: there is no value of this type.
    pub(crate) fn key(&self, _input: &str, _metadata: &str) -> Result<String, String> {
        match *self {}
    }
}

#[cfg(feature = "cel")]
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "cel")]
fn parse(json: &str) -> Result<cel::Value, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| one_line(&e.to_string()))?;
    Ok(convert(value))
}

#[cfg(feature = "cel")]
fn convert(json: serde_json::Value) -> cel::Value {
    use std::collections::HashMap;
    match json {
        serde_json::Value::Null => cel::Value::Null,
        serde_json::Value::Bool(b) => b.into(),
        serde_json::Value::Number(n) => cel::Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(s) => s.into(),
        serde_json::Value::Array(all) => all.into_iter().map(convert).collect::<Vec<_>>().into(),
        serde_json::Value::Object(all) => {
            all.into_iter().map(|(k, v)| (k, convert(v))).collect::<HashMap<String, cel::Value>>().into()
        }
    }
}

#[cfg(all(test, feature = "cel"))]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_has_none() {
        let key = |text: &str, input: &str| Expression::compile(text).unwrap().key(input, r#"{"m":"x"}"#);
        assert_eq!(key("input.id", r#"{"id":"a"}"#), Ok("a".into()));
        assert_eq!(key("'w:' + string(input.n)", r#"{"n":5}"#), Ok("w:5".into()));
        assert_eq!(key("has(additional_metadata.m) ? additional_metadata.m : ''", "{}"), Ok("x".into()));
        for (text, input) in [("input.id", "{}"), ("input.id", r#"{"id":5}"#), ("input.id", "null"), ("nope", "{}")] {
            let error = key(text, input).unwrap_err();
            assert!(error.contains(text) && !error.contains('\n'), "{error}");
        }
        assert!(Expression::compile("input.").is_err());
    }
}
