//! What the engine, the client and the worker need of the operating system, and that is no protocol.

mod handshake;
mod host;
pub(crate) mod log_throttle;
pub(crate) mod os_error;
pub mod private_file;

pub use handshake::Handshake;
pub use host::HostNames;
