//! gRPC stubs of an engine, for figures without this crate's client.

use anyhow::Result;
use hatchet_quickstart::hatchet::system::Handshake;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// A connection that adds the token to each call.
pub(crate) type Link = InterceptedService<Channel, Bearer>;

/// Adds the token to each call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects to an engine.
pub(crate) async fn connect(engine: &Handshake) -> Result<Link> {
    let bearer = Bearer(format!("bearer {}", engine.token).parse()?);
    let endpoint = Endpoint::from_shared(format!("http://{}", engine.grpc_address))?.tcp_nodelay(true);
    Ok(InterceptedService::new(endpoint.connect().await?, bearer))
}
