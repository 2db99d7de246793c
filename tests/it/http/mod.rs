//! The engine's HTTP server under floods, malformed requests, requests of other web pages, and slow readers.

mod chunk_stream;
mod flood;
mod malformed_ids;
mod origins;
mod unread_streams;

use hatchet_quickstart::{
    engine::{Engine, EngineErrorKind, EngineOptions},
    hatchet::wire::proto::{GetVersionRequest, dispatcher_client::DispatcherClient},
};
use tonic::Code;

use crate::support::{Embedded, Target, assert_refused, page_as};

#[tokio::test(flavor = "multi_thread")]
async fn token_of_another_engine_is_refused() {
    let target = Target::embedded(Embedded::start().await);
    let other = Embedded::start().await.handshake();
    let channel = target.channel_as(Some(&format!("bearer {}", other.token)));
    let mut client = DispatcherClient::new(channel);
    assert_refused(client.get_version(GetVersionRequest {}).await, Code::Unauthenticated, "invalid auth token");
    let bearer = format!("Bearer {}", other.token);
    for tenant in [&target.tenant, &other.tenant_id] {
        let path = format!("/api/v1/tenants/{tenant}");
        let response = page_as(target.embedded_address(), &path, &[("Authorization", &bearer)]);
        assert_eq!(response.status, 403, "{}", response.body);
    }
}

#[tokio::test]
async fn port_in_use_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let error = Engine::start(EngineOptions { bind, ..EngineOptions::default() }).await.unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Address);
    assert_eq!(
        error.to_string(),
        format!("listening on {bind} failed: address in use. Choose another address, or port 0")
    );
}
