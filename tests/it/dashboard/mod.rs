//! The dashboard: its files, its protection against other web pages, and its views in a headless browser.

mod double_click;
mod events;
mod fixture;
mod forms;
mod payloads;
mod pictures;
mod push_event;
mod recursive_schemas;
mod run;
mod runs;
mod schedules;
mod sign_in;
mod timers;
mod trigger;
mod workers;
mod workflows;

use std::future::poll_fn;

use tonic::{
    codegen::{
        Service as _,
        http::{Method, Request},
    },
    transport::Endpoint,
};

use crate::support::{Embedded, page_as};

/// Starts an engine. Returns its address, too.
async fn start_engine() -> (Embedded, std::net::SocketAddr) {
    let engine = Embedded::start().await;
    let address = engine.handshake().grpc_address.parse().unwrap();
    (engine, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_need_no_token_and_contain_no_data() {
    let (engine, address) = start_engine().await;
    let scripts = ["/main.js", "/api.js", "/parts/dialog.js", "/views/run.js"].map(|path| (path, "text/javascript"));
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css")].into_iter().chain(scripts) {
        let response = page_as(address, path, &[]);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.head.contains(&format!("content-type: {kind}; charset=utf-8")), "{}", response.head);
        assert!(response.head.contains("content-security-policy: default-src 'none'"), "{}", response.head);
        assert!(response.head.contains("x-content-type-options: nosniff"), "{}", response.head);
        let handshake = engine.handshake();
        assert!(!response.body.contains(&handshake.token) && !response.body.contains(&handshake.tenant_id));
    }
    assert_eq!(page_as(address, "/page", &[]).status, 403, "other paths need a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_origins_are_refused() {
    let (engine, address) = start_engine().await;
    let handshake = engine.handshake();
    let bearer = format!("Bearer {}", handshake.token);
    let tenant = format!("/api/v1/tenants/{}", handshake.tenant_id);
    for path in ["/", "/main.js", &tenant] {
        for host in ["evil.example", "evil.example:80", "10.1.2.3", "localhost.evil.example", ""] {
            let response = page_as(address, path, &[("Host", host), ("Authorization", &bearer)]);
            assert_eq!(response.status, 403, "{path} as {host}: {}", response.body);
            assert!(response.body.contains("Host header"), "{}", response.body);
        }
        let port = address.port();
        for host in ["localhost".to_owned(), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let response = page_as(address, path, &[("Host", &host), ("Authorization", &bearer)]);
            assert_eq!(response.status, 200, "{path} as {host}: {}", response.body);
        }
    }
    for second in ["evil.example", "localhost"] {
        let response = page_as(address, "/", &[("Host", "localhost"), ("Host", second), ("Authorization", &bearer)]);
        assert_eq!(response.status, 403, "with a second Host header, {second}: {}", response.body);
    }
    // HTTP/1 requests with a gRPC content type are validated, too.
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpcx"] {
        for path in [tenant.clone(), format!("POST {tenant}"), "POST /Dispatcher/Heartbeat".to_owned()] {
            let headers = [("Host", "evil.example"), ("Content-Type", kind), ("Authorization", &bearer)];
            let response = page_as(address, &path, &headers);
            assert_eq!(response.status, 403, "{path} as {kind}: {}", response.body);
            assert!(response.head.contains("cache-control: no-store"), "{}", response.head);
        }
    }
    // A page of another origin can send requests but is not allowed to read the responses.
    let headers = [("Host", "localhost"), ("Origin", "http://evil.example"), ("Authorization", &bearer)];
    let response = page_as(address, &tenant, &headers);
    assert!(!response.head.to_lowercase().contains("access-control"), "{}", response.head);
    assert!(response.head.contains("cache-control: no-store"), "{}", response.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_grpc_over_http2_accepts_any_host() {
    let (engine, address) = start_engine().await;
    let bearer = format!("Bearer {}", engine.handshake().token);
    let tenant = format!("/api/v1/tenants/{}", engine.handshake().tenant_id);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.origin("http://evil.example".parse().unwrap()).connect().await.unwrap();
    let request_status = async |method: Method, path: &str, kind: &str| {
        let mut channel = channel.clone();
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("authorization", &bearer).body(tonic::body::Body::empty()).unwrap();
        poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        channel.call(request).await.unwrap().status().as_u16()
    };
    for kind in ["application/json", "application/grpc-web", "application/grpcx"] {
        assert_eq!(request_status(Method::POST, "/Dispatcher/GetVersion", kind).await, 403, "{kind}");
    }
    assert_eq!(request_status(Method::GET, &tenant, "application/grpc").await, 403);
    for kind in ["application/grpc", "application/grpc+proto"] {
        assert_eq!(request_status(Method::POST, "/Dispatcher/GetVersion", kind).await, 200, "{kind}");
    }
}
