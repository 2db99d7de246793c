//! Starting, stopping and finding engines.
//!
//! An engine runs on a thread of its own with a single-threaded runtime, so that nothing else in the process can block
//! it. With a data folder, a start takes these steps, and a stop undoes them in the opposite order:
//!
//! ```text
//! lock the folder -> read key and tenant -> bind the port -> load the state -> announce -> serve
//! ```
//!
//! The lock is held by the operating system, so that it ends with the process, however that ends. Exactly one process
//! therefore has an engine in a folder, and others find that engine by its handshake file.
//!
//! | file | contents |
//! |---|---|
//! | `engine` | the handle of a running engine: start and stop |
//! | `serving` | the engine's thread: serves until it is stopped |
//! | `listen` | binds the addresses |
//! | `data_folder` | the lock, the identity and the handshake file in the folder |
//! | `announcement` | a folder held for an engine of another program |

mod announcement;
pub(super) mod data_folder;
mod engine;
mod listen;
mod serving;

pub use announcement::Announcement;
pub use data_folder::find;
pub use engine::Engine;
