//! HTTP requests to the REST API, and their errors.

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

/// Characters of an unexpected response that an error quotes.
const QUOTED: usize = 300;

impl RestClient {
    /// Makes a call and deserializes its response.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let (what, answer) = self.send(method, path, query, body).await?;
        let status = answer.status();
        if let Some(to) = answer.headers().get(header::LOCATION).filter(|_| status.is_redirection()) {
            let to: String = String::from_utf8_lossy(to.as_bytes()).chars().take(QUOTED).collect();
            let message = format!(
                "{what}: {status} to {to}, which is not followed: set HATCHET_CLIENT_SERVER_URL to the address of \
                 Hatchet's REST API"
            );
            return Err(ClientError::new(ErrorKind::Engine, message));
        }
        let bytes = answer.body().as_ref();
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(bytes).chars().take(QUOTED).collect();
            return Err(ClientError::new(kind_of(status), format!("{what}: {status}: {}", said.trim())));
        }
        // An empty response stands for `null`.
        let bytes = if bytes.is_empty() { b"null".as_slice() } else { bytes };
        serde_json::from_slice(bytes)
            .map_err(|e| ClientError::new(ErrorKind::Engine, format!("{what}: the answer cannot be read: {e}")))
    }

    /// Makes a call and returns its description, for errors, and the response.
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
        let what = format!("{method} {url}{path}");
        let dialer = dialer(&config, &url, &tls)?;
        let request = request(&config, &url, method, &with_query(path, query), body)
            .map_err(|e| ClientError::new(ErrorKind::Config, format!("{what}: {e}")))?;
        match exchange(&dialer, request).await {
            Ok(answer) => Ok((what, answer)),
            Err(e) => Err(failed(&what, &e)),
        }
    }
}

fn dialer(config: &ClientConfig, url: &ServerUrl, tls: &SharedTls) -> Result<Dialer, ClientError> {
    let secured = if url.tls { Some(tls.get(&config.tls)?) } else { None };
    // The setting names the certificate of the gRPC address. REST has the same one if it is the same host.
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

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value.as_str()))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn failed(what: &str, error: &HttpError) -> ClientError {
    let check = "check HATCHET_CLIENT_SERVER_URL";
    let (kind, why) = match error {
        HttpError::Timeout => (ErrorKind::TimedOut, format!("{error}: {check}")),
        HttpError::TooLarge => (ErrorKind::Engine, format!("{error}: {check}")),
        // It says what to do.
        HttpError::Connect(ConnectError::Proxy(why)) => (ErrorKind::Unreachable, why.clone()),
        HttpError::Connect(_) | HttpError::Broken(_) => match untrusted_certificate(error) {
            Some(why) => (ErrorKind::Tls, why),
            None => (ErrorKind::Unreachable, format!("{}: {check}", root_cause(error))),
        },
    };
    ClientError::new(kind, format!("{what}: {why}"))
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
