//! Operating system services that the client, the worker and the engine share. They are independent of Hatchet's
//! protocol.
//!
//! | module | contents |
//! |---|---|
//! | `connections` | a TCP listener with a bounded number of connections |
//! | `handshake` | the file by which an engine on this machine announces its address and token |
//! | `host` | validation of the `Host` header |
//! | `private_file` | files that only their owner can read and write |
//! | `os_error` | texts of system errors with their remedy |
//! | `log_throttle` | log lines for events that a peer can cause at any rate |

mod connections;
mod handshake;
mod host;
mod log_throttle;
mod os_error;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine writes private files"))]
pub(crate) mod private_file;

#[cfg(feature = "engine")]
pub(crate) use connections::{ConnectionHandle, LimitedConnection};
pub(crate) use connections::{ConnectionLimits, LimitedListener};
pub use handshake::{FindError, Handshake};
#[cfg(feature = "engine")]
pub(crate) use handshake::{HANDSHAKE_FILE, LOCK_FILE};
pub(crate) use host::HostNames;
pub(crate) use os_error::{OsError, out_of_files, with_advice};
