//! Malformed ids in every route of the REST API. `chaos` tests malformed ids in gRPC calls.

use serde_json::Value;

use crate::support::{Embedded, page_as};

/// All routes, as the source declares them.
const SOURCES: [&str; 9] = [
    include_str!("../../../src/engine/rest/metrics.rs"),
    include_str!("../../../src/engine/rest/crons.rs"),
    include_str!("../../../src/engine/rest/events.rs"),
    include_str!("../../../src/engine/rest/runs.rs"),
    include_str!("../../../src/engine/rest/schedules.rs"),
    include_str!("../../../src/engine/rest/task_events.rs"),
    include_str!("../../../src/engine/rest/tasks.rs"),
    include_str!("../../../src/engine/rest/workers.rs"),
    include_str!("../../../src/engine/rest/workflows.rs"),
];

fn routes() -> Vec<&'static str> {
    let routes = SOURCES.iter().flat_map(|source| source.split(".route(\"").skip(1));
    routes.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The route with `id` for each parameter, and with `tenant`, if given, for the tenant.
fn fill_route(route: &str, tenant: Option<&str>, id: &str) -> String {
    let fill = |part: &str| match (part, tenant) {
        ("{tenant}", Some(tenant)) => tenant.to_owned(),
        (part, _) if part.starts_with('{') => id.to_owned(),
        (part, _) => part.to_owned(),
    };
    route.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_id_returns_error_that_sdks_read() {
    let engine = Embedded::start().await;
    let handshake = engine.handshake();
    let address = handshake.grpc_address.parse().unwrap();
    let bearer = format!("Bearer {}", handshake.token);
    let routes = routes();
    assert!(routes.len() > 20, "{routes:?}");
    let long = "9".repeat(5000);
    let ids = [
        "x",
        "%00",
        "%ff%fe",
        "..%2f..%2fetc",
        "00000000-0000-0000-0000-00000000000g",
        "null",
        "%7B%7D",
        &long,
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "-1",
        "%F0%9F%AA%93",
    ];
    for route in routes.iter().filter(|route| route.contains('{')) {
        for tenant in [None, Some(handshake.tenant_id.as_str())] {
            for id in ids {
                let path = fill_route(route, tenant, id);
                for method in ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"] {
                    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
                    let response = page_as(address, &format!("{method} {path}"), &headers);
                    let has_only_the_tenant =
                        tenant.is_some() && route.matches('{').count() == 1 && route.contains("{tenant}");
                    let allowed: &[u16] = if has_only_the_tenant { &[200, 400, 404, 405] } else { &[400, 404, 405] };
                    // Routes with a workflow's name, such as `workflows/{name}/crons`, find no workflow.
                    assert!(
                        allowed.contains(&response.status),
                        "{method} {path}: {} {}",
                        response.status,
                        response.body
                    );
                    if response.status != 200 {
                        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
                        let description = body["errors"][0]["description"].as_str().unwrap_or_default();
                        assert!(!description.is_empty(), "{method} {path}: {}", response.body);
                        if response.status != 405 && path.contains("%ff%fe") {
                            assert_eq!(description, "invalid path: it is not UTF-8", "{method} {path}");
                        }
                    }
                }
            }
        }
    }
}
