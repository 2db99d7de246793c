//! A client for the REST API of an engine.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tonic::codegen::http::{Method, Request};

use super::eventually;

pub struct Rest {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
}

impl Rest {
    pub fn new(base: &str, token: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// A client of the same engine with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { client: self.client.clone(), base: self.base.clone(), token: token.to_owned() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns status and body; a body that is not JSON becomes null.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, None).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Repeats a request until its status is 200 and its body satisfies `accepts`: the REST store of a real engine is
    /// updated with a delay.
    pub async fn get_until(&self, path: &str, what: &str, accepts: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let (status, body) = self.get(path).await;
            (status == 200 && accepts(&body)).then_some(body)
        })
        .await
    }
}
