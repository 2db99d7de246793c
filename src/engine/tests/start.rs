//! Starting, stopping and restarting.

use super::*;

#[tokio::test]
async fn restart_keeps_tenant_port_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let options = || EngineOptions { folder: Some(dir.path().to_owned()), ..Default::default() };
    let first = Engine::start(options()).await.unwrap();
    let before = first.handshake().clone();
    assert_eq!(find(dir.path()).unwrap().as_ref(), Some(&before));
    assert_eq!(Engine::start(options()).await.unwrap_err().kind(), EngineErrorKind::FolderInUse);
    first.stop().await;
    assert_eq!(find(dir.path()).unwrap(), None);
    assert!(!dir.path().join("handshake.json").exists());

    let second = Engine::start(options()).await.unwrap();
    let after = second.handshake().clone();
    assert_eq!((&after.tenant_id, &after.grpc_address), (&before.tenant_id, &before.grpc_address));
    Client::with_token(&second, &before.token).await.declare("t", |_| ()).await.unwrap();
    let taken = second.handshake().grpc_address.clone();
    second.stop().await;

    let _listener = std::net::TcpListener::bind(taken).unwrap();
    let third = Engine::start(options()).await.unwrap();
    assert_ne!(third.handshake().grpc_address, before.grpc_address);
    assert_eq!(third.handshake().tenant_id, before.tenant_id);
    third.stop().await;
}
