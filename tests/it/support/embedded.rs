//! The embedded engine as a target.

use hatchet_quickstart::hatchet::wire::Handshake;

pub struct Embedded {}

impl Embedded {
    pub async fn start() -> Self {
        panic!("this build has no embedded engine: set HATCHET_TEST_TARGET=real")
    }

    pub fn handshake(&self) -> Handshake {
        unreachable!()
    }
}
