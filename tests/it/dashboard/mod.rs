//! The engine's page: what is served to whom, and in a headless browser what it shows.

mod browser;

use std::future::poll_fn;

use tonic::{
    codegen::{
        Service as _,
        http::{Method, Request},
    },
    transport::Endpoint,
};

use crate::support::{Embedded, page_as};

/// An engine, and `GET`s to it by a socket alone.
async fn engine() -> (Embedded, std::net::SocketAddr) {
    let engine = Embedded::start().await;
    let address = engine.handshake().grpc_address.parse().unwrap();
    (engine, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_all_and_holds_nothing() {
    let (engine, address) = engine().await;
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let answer = page_as(address, path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains(&format!("content-type: {kind}; charset=utf-8")), "{}", answer.head);
        assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
        let handshake = engine.handshake();
        assert!(!answer.body.contains(&handshake.token) && !answer.body.contains(&handshake.tenant_id));
    }
    assert_eq!(page_as(address, "/page", &[]).status, 403, "all else needs the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_origins_get_nothing() {
    let (engine, address) = engine().await;
    let handshake = engine.handshake();
    let bearer = format!("Bearer {}", handshake.token);
    let tenant = format!("/api/v1/tenants/{}", handshake.tenant_id);
    for path in ["/", "/page.js", &tenant] {
        for host in ["evil.example", "evil.example:80", "10.1.2.3", "localhost.evil.example", ""] {
            let answer = page_as(address, path, &[("Host", host), ("Authorization", &bearer)]);
            assert_eq!(answer.status, 403, "{path} as {host}: {}", answer.body);
            assert!(answer.body.contains("Host header"), "{}", answer.body);
        }
        let port = address.port();
        for host in ["localhost".to_owned(), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let answer = page_as(address, path, &[("Host", &host), ("Authorization", &bearer)]);
            assert_eq!(answer.status, 200, "{path} as {host}: {}", answer.body);
        }
    }
    for second in ["evil.example", "localhost"] {
        let answer = page_as(address, "/", &[("Host", "localhost"), ("Host", second), ("Authorization", &bearer)]);
        assert_eq!(answer.status, 403, "with a second Host header, {second}: {}", answer.body);
    }
    // What only calls itself gRPC is looked at like all else.
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpcx"] {
        for path in [tenant.clone(), format!("POST {tenant}"), "POST /Dispatcher/Heartbeat".to_owned()] {
            let words = [("Host", "evil.example"), ("Content-Type", kind), ("Authorization", &bearer)];
            let answer = page_as(address, &path, &words);
            assert_eq!(answer.status, 403, "{path} as {kind}: {}", answer.body);
            assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
        }
    }
    // Another origin may send what it likes: it is not allowed to read the answer.
    let words = [("Host", "localhost"), ("Origin", "http://evil.example"), ("Authorization", &bearer)];
    let answer = page_as(address, &tenant, &words);
    assert!(!answer.head.to_lowercase().contains("access-control"), "{}", answer.head);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_only_a_call_of_grpc_goes_by_any_name() {
    let (engine, address) = engine().await;
    let bearer = format!("Bearer {}", engine.handshake().token);
    let tenant = format!("/api/v1/tenants/{}", engine.handshake().tenant_id);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.origin("http://evil.example".parse().unwrap()).connect().await.unwrap();
    let ask = async |method: Method, path: &str, kind: &str| {
        let mut channel = channel.clone();
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("authorization", &bearer).body(tonic::body::Body::empty()).unwrap();
        poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        channel.call(request).await.unwrap().status().as_u16()
    };
    for kind in ["application/json", "application/grpc-web", "application/grpcx"] {
        assert_eq!(ask(Method::POST, "/Dispatcher/GetVersion", kind).await, 403, "{kind}");
    }
    assert_eq!(ask(Method::GET, &tenant, "application/grpc").await, 403);
    for kind in ["application/grpc", "application/grpc+proto"] {
        assert_eq!(ask(Method::POST, "/Dispatcher/GetVersion", kind).await, 200, "{kind}");
    }
}
