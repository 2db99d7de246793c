//! The REST part of an engine, in a few calls.

use reqwest::Method;
use serde_json::Value;

use super::eventually;

pub struct Rest {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Rest {
    pub fn new(base: &str, token: &str) -> Self {
        // Whichever test comes first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// A client of the same engine with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { client: self.client.clone(), base: self.base.clone(), token: token.to_owned() }
    }

    /// The status and the body; a body that is not JSON is given as null.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, None).await
    }

    /// Asks until the answer is a 200 that satisfies `good`: a real engine's REST store lags behind.
    pub async fn get_until(&self, path: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let (status, body) = self.get(path).await;
            (status == 200 && good(&body)).then_some(body)
        })
        .await
    }
}
