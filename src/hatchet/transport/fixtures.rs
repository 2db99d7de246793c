//! Fixtures for unit tests.

use super::{ClientConfig, Sources};
use crate::hatchet::system::Handshake;

/// Returns settings for an engine at this address, without a REST API and with a token that is never verified.
pub(in crate::hatchet) fn config(address: String) -> ClientConfig {
    let claims = "eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ";
    let handshake = Handshake {
        token: format!("eyJhbGciOiJFUzI1NiJ9.{claims}.c2ln"),
        tenant_id: "707d0855-80ab-4e1f-a156-f1c4546cbf52".to_owned(),
        grpc_address: address,
        api_url: String::new(),
    };
    ClientConfig::from_handshake(&handshake, &Sources::default()).unwrap()
}
