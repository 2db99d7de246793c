//! Services of the operating system that the client, the worker and the engine share. Nothing here is part of
//! Hatchet's protocol.
//!
//! | module | contents |
//! |---|---|
//! | `connections` | a TCP listener with a bounded number of connections |
//! | `handshake` | the file by which an engine on this machine announces its address and token |
//! | `host` | validation of the `Host` header |
//! | [`private_file`] | files that only their owner can read or has written |
//! | `os_error` | texts of system errors that name the remedy |
//! | `log_throttle` | log lines for events that a peer can cause at any rate |

mod connections;
mod handshake;
mod host;
mod log_throttle;
mod os_error;
pub mod private_file;

#[cfg(feature = "engine")]
pub(crate) use connections::{ConnectionHandle, LimitedConnection};
pub(crate) use connections::{ConnectionLimits, LimitedListener};
pub use handshake::{FindError, HANDSHAKE_FILE, Handshake, LOCK_FILE};
pub use host::HostNames;
pub(crate) use os_error::{OsError, out_of_files, with_advice};
