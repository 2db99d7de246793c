//! HTTP requests to the REST API, and their errors.

use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::codegen::http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::RestClient;
use crate::hatchet::transport::{
    ClientConfig, ClientError, ConnectError, Dialer, ErrorKind, HttpError, Protocol, ServerUrl, SharedTls, USER_AGENT,
    exchange, root_cause, untrusted_certificate,
};

/// Maximum number of characters of an unexpected response that an error quotes.
const MAX_QUOTE: usize = 300;

impl RestClient {
    /// Makes a call and deserializes the response.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let (call, response) = self.send(method, path, query, body).await?;
        let (status, body) = (response.status(), response.body().as_ref());
        let error = |kind, cause: String| {
            let error = ClientError::new(kind, format!("{call} failed: {cause}"));
            self.connection.record_failure(&error);
            Err(error)
        };
        if let Some(location) = response.headers().get(header::LOCATION).filter(|_| status.is_redirection()) {
            let cause = format!(
                "{status} to {}, which is not followed. Set HATCHET_CLIENT_SERVER_URL to the address of Hatchet's REST API",
                quote(location.as_bytes())
            );
            return error(ErrorKind::Engine, cause);
        }
        if !status.is_success() {
            return error(kind_of(status), explain(status, body));
        }
        // An empty body means `null`.
        let body = if body.is_empty() { b"null".as_slice() } else { body };
        serde_json::from_slice(body).or_else(|e| error(ErrorKind::Engine, format!("invalid response: {e}")))
    }

    /// Makes a call. Returns its method and URL, for errors, and the response.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<(String, Response<Bytes>), ClientError> {
        let (config, tls) = self.connection.config_and_tls();
        config.check_rest_is_private()?;
        let url = ServerUrl::parse(config.server_url.as_deref().unwrap_or_default())?;
        let call = format!("{method} {url}{path}");
        let dialer = dialer(&config, &url, &tls)?;
        let request = request(&config, &url, method, &with_query(path, query), body)
            .map_err(|e| ClientError::new(ErrorKind::Config, format!("{call} failed: {e}")))?;
        match exchange(&dialer, request).await {
            Ok(response) => Ok((call, response)),
            Err(e) => {
                let error = failed(&call, &e);
                self.connection.record_failure(&error);
                Err(error)
            }
        }
    }
}

fn dialer(config: &ClientConfig, url: &ServerUrl, tls: &SharedTls) -> Result<Dialer, ClientError> {
    let secured = if url.tls { Some(tls.get(&config.tls)?) } else { None };
    // The setting names the certificate of the gRPC address. REST has the same certificate if it is the same host.
    let server_name = config.tls.server_name().filter(|_| url.host.eq_ignore_ascii_case(config.host()));
    Dialer::new(config.route_to(url)?, secured, server_name, Protocol::Http1)
}

fn request(
    config: &ClientConfig,
    url: &ServerUrl,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Request<Full<Bytes>>, tonic::codegen::http::Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", config.token.expose()))?;
    bearer.set_sensitive(true);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", url.path))
        .header(header::HOST, &url.authority)
        .header(header::AUTHORIZATION, bearer)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    let body = match body {
        None => Bytes::new(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string().into()
        }
    };
    request.body(Full::new(body))
}

/// Formats a time for the API, in RFC 3339.
pub(super) fn rfc3339(time: SystemTime) -> String {
    prost_types::Timestamp::from(time).to_string()
}

/// Encodes a text as one segment of a path.
pub(super) fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value.as_str()))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn failed(call: &str, error: &HttpError) -> ClientError {
    let remedy = "Check HATCHET_CLIENT_SERVER_URL";
    let (kind, cause) = match error {
        HttpError::Timeout => (ErrorKind::TimedOut, format!("{error}. {remedy}")),
        HttpError::TooLarge => (ErrorKind::Engine, format!("{error}. {remedy}")),
        // The text contains the remedy.
        HttpError::Connect(ConnectError::Proxy(text)) => (ErrorKind::Unreachable, text.clone()),
        HttpError::Connect(_) | HttpError::Broken(_) => match untrusted_certificate(error) {
            Some(cause) => (ErrorKind::Tls, cause),
            None => (ErrorKind::Unreachable, format!("{}. {remedy}", root_cause(error))),
        },
    };
    ClientError::new(kind, format!("{call} failed: {cause}"))
}

/// The cause of an error response: its status, and the descriptions in a body of Hatchet's form,
/// `{"errors":[{"description": …}]}` or `{"message": …}`. Quotes any other body.
fn explain(status: StatusCode, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = json["errors"].as_array().into_iter().flatten().filter_map(|error| error["description"].as_str());
    let mut descriptions: Vec<&str> = texts.collect();
    if descriptions.is_empty() {
        descriptions.extend(json["message"].as_str());
    }
    let text = if descriptions.is_empty() { quote(body) } else { quote(descriptions.join("; ").as_bytes()) };
    if text.is_empty() { format!("{status}, without a reason") } else { format!("{status}: {text}") }
}

/// The start of a text from the network.
fn quote(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().chars().take(MAX_QUOTE).collect()
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthenticated,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Exhausted,
        other if other.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Engine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_response_is_explained_by_its_descriptions() {
        let explain = |body: &str| explain(StatusCode::BAD_REQUEST, body.as_bytes());
        for (body, expected) in [
            (r#"{"errors":[{"description":"no disk","code":1},{"description":"no memory"}]}"#, "no disk; no memory"),
            (r#"{"message":"missing filter"}"#, "missing filter"),
            (r#"{"errors":[]}"#, r#"{"errors":[]}"#),
            ("<html>", "<html>"),
        ] {
            assert_eq!(explain(body), format!("400 Bad Request: {expected}"));
        }
        assert_eq!(explain(" "), "400 Bad Request, without a reason");
    }
}
