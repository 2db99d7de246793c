//! Ids that are none, at every door of the REST part. The gRPC doors have `chaos::grpc_fuzz`.

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

/// The route with something else in the place of each id; `tenant` is kept as it is if it is given.
fn filled(route: &str, tenant: Option<&str>, id: &str) -> String {
    let part = |part: &str| match (part, tenant) {
        ("{tenant}", Some(tenant)) => tenant.to_owned(),
        (part, _) if part.starts_with('{') => id.to_owned(),
        (part, _) => part.to_owned(),
    };
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_unknown_ids_are_refused_in_a_form_that_sdks_read() {
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
                let path = filled(route, tenant, id);
                for method in ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"] {
                    let words = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
                    let answer = page_as(address, &format!("{method} {path}"), &words);
                    let asks_for_none =
                        tenant.is_some() && route.matches('{').count() == 1 && route.contains("{tenant}");
                    let good: &[u16] = if asks_for_none { &[200, 400, 404, 405] } else { &[400, 404, 405] };
                    // A name may be anything: `workflows/{name}/crons` and its like know none of these.
                    assert!(good.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
                    if answer.status != 200 {
                        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                        assert!(body["errors"][0]["description"].is_string(), "{method} {path}: {}", answer.body);
                    }
                }
            }
        }
    }
}
