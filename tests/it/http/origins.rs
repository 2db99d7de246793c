//! Requests that a browser sends for a web page of another origin.

use std::net::{Ipv4Addr, SocketAddr};

use hatchet_quickstart::engine::{Engine, EngineOptions};
use serde_json::{Value, json};

use crate::support::{Embedded, Response, Target, page_as, post_as};

/// A refusal of a request by its origin.
const OTHER_ORIGIN: &str = "a web page of another origin may not change data";

/// The header by which a browser reports whether the page and the engine have the same origin.
const SITE: &str = "Sec-Fetch-Site";

/// An engine with a workflow, and the request that triggers it.
struct Trigger {
    target: Target,
    address: SocketAddr,
    bearer: String,
    call: String,
    body: String,
}

impl Trigger {
    async fn new() -> Self {
        let target = Target::embedded(Embedded::start().await);
        let workflow = target.workflow("triggered").await;
        Self {
            address: target.embedded_address(),
            bearer: format!("Bearer {}", target.token),
            call: format!("POST /api/v1/stable/tenants/{}/workflow-runs/trigger", target.tenant),
            body: json!({ "workflowName": workflow.name, "input": {} }).to_string(),
            target,
        }
    }

    fn post(&self, headers: &[(&str, &str)]) -> Response {
        post_as(self.address, &self.call, headers, &self.body)
    }

    /// Posts with a valid token.
    fn post_authorized(&self, headers: &[(&str, &str)]) -> Response {
        self.post(&[headers, &[("Authorization", &self.bearer)]].concat())
    }

    async fn count_runs(&self) -> usize {
        let list = format!("/api/v1/stable/tenants/{}/workflow-runs?since=1970-01-01T00:00:00Z", self.target.tenant);
        self.target.rest.get(&list).await.1["rows"].as_array().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn change_from_another_origin_is_refused() {
    let trigger = Trigger::new().await;
    let address = trigger.address;
    let (own, by_name) = (format!("http://{address}"), format!("http://localhost:{}", address.port()));
    for headers in [
        &[("Origin", "http://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "")],
        &[("Origin", "http://localhost:1")],
        &[("Origin", &format!("{own}.evil.example"))],
        &[("Origin", &format!("http://evil.example/{address}"))],
        &[("Origin", &address.to_string())],
        &[("Origin", &format!("ftp://{address}"))],
        // The same engine by another name is another origin.
        &[("Origin", &by_name)],
        &[("Origin", &own), ("Origin", "http://evil.example")],
        &[(SITE, "cross-site")],
        &[(SITE, "same-site")],
        &[(SITE, "same-origin"), (SITE, "cross-site")],
        &[("Origin", &own), (SITE, "cross-site")],
        // Without a token, the origin is refused first.
        &[("Origin", "http://evil.example"), ("Authorization", "Bearer nonsense")],
    ] {
        let response = trigger.post_authorized(headers);
        assert_eq!(response.status, 403, "{headers:?}: {}", response.body);
        let refusal: Value = serde_json::from_str(&response.body).unwrap();
        assert!(refusal["message"].as_str().unwrap().contains(OTHER_ORIGIN), "{headers:?}: {refusal}");
    }
    assert_eq!(trigger.count_runs().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_from_another_origin_is_refused() {
    let Trigger { target: _target, address, bearer, .. } = Trigger::new().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/", "/api/v1/workers/x", "/Dispatcher/Heartbeat", "/nothing"] {
            let headers = [("Origin", "http://evil.example"), ("Authorization", &bearer)];
            let response = page_as(address, &format!("{method} {path}"), &headers);
            assert!(
                response.status == 403 && response.body.contains(OTHER_ORIGIN),
                "{method} {path}: {}",
                response.body
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_origin_needs_a_valid_host_and_token() {
    let trigger = Trigger::new().await;
    // DNS rebinding: the browser takes the engine for a host of the page.
    let response =
        trigger.post_authorized(&[("Host", "evil.example"), ("Origin", "http://evil.example"), (SITE, "same-origin")]);
    assert!(response.status == 403 && response.body.contains("Host header"), "{}", response.body);
    let own = format!("http://{}", trigger.address);
    let response = trigger.post(&[("Origin", &own), (SITE, "same-origin")]);
    assert!(response.status == 403 && response.body.contains("invalid auth token"), "{}", response.body);
    assert_eq!(trigger.count_runs().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_from_own_origin_is_accepted() {
    let trigger = Trigger::new().await;
    let address = trigger.address;
    let (own, proxied) = (format!("http://{address}"), format!("https://{address}"));
    let (name, name_origin) = (format!("localhost:{}", address.port()), format!("http://localhost:{}", address.port()));
    let accepted: [&[(&str, &str)]; 7] = [
        &[],
        &[("Origin", &own)],
        &[("Origin", &own), (SITE, "same-origin")],
        &[("Host", &name), ("Origin", &name_origin), (SITE, "same-origin")],
        // A proxy in front of the engine terminates TLS, or changes the host, too.
        &[("Origin", &proxied)],
        &[("Origin", "https://proxy.example"), (SITE, "same-origin")],
        &[(SITE, "none")],
    ];
    for headers in accepted {
        let response = trigger.post_authorized(headers);
        assert_eq!(response.status, 200, "{headers:?}: {}", response.body);
        assert!(!response.head.to_lowercase().contains("access-control"), "{}", response.head);
    }
    assert_eq!(trigger.count_runs().await, accepted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_have_no_cors_headers() {
    let engine = Embedded::start().await;
    let handshake = engine.handshake();
    let address = handshake.grpc_address.parse().unwrap();
    let path = format!("/api/v1/tenants/{}", handshake.tenant_id);
    let bearer = format!("Bearer {}", handshake.token);
    let headers = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    let preflight = [("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "authorization")];
    // A browser sends the preflight without the token, and the request only after a response that allows it.
    let response = page_as(address, &format!("OPTIONS {path}"), &[headers, preflight].concat());
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(!response.head.to_lowercase().contains("access-control"), "{}", response.head);
    for method in ["GET", "HEAD", "OPTIONS"] {
        let headers = [&headers[..], &[("Authorization", &bearer)]].concat();
        let response = page_as(address, &format!("{method} {path}"), &headers);
        assert!([200, 405].contains(&response.status), "{method}: {}", response.body);
        assert!(!response.head.to_lowercase().contains("access-control"), "{}", response.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_on_all_addresses_accepts_its_own_origin_by_address() {
    let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let engine = Engine::start(EngineOptions { bind, ..EngineOptions::default() }).await.unwrap();
    let handshake = engine.handshake().clone();
    let address = handshake.grpc_address.parse().unwrap();
    let bearer = format!("Bearer {}", handshake.token);
    let cancel = format!("POST /api/v1/stable/tenants/{}/tasks/cancel", handshake.tenant_id);
    for (host, origin, status) in [
        ("10.1.2.3:8080", "http://10.1.2.3:8080", 200),
        ("[fd00::1]:8080", "http://[fd00::1]:8080", 200),
        ("10.1.2.3", "http://10.1.2.3", 200),
        ("10.1.2.3:8080", "http://10.1.2.4:8080", 403),
        ("10.1.2.3:8080", "http://10.1.2.3", 403),
        ("evil.example", "http://evil.example", 403),
    ] {
        let headers = [("Host", host), ("Origin", origin), ("Authorization", &bearer)];
        let response = post_as(address, &cancel, &headers, r#"{"externalIds":[]}"#);
        assert_eq!(response.status, status, "{origin} at {host}: {}", response.body);
    }
    engine.stop().await;
}
