//! Starting, stopping and finding engines.
//!
//! An engine runs on its own thread with a single-threaded runtime, so that nothing else in the process can block
//! it. With a data folder, a start takes these steps, and a stop undoes them in the opposite order:
//!
//! ```text
//! lock the folder -> read key and tenant -> bind the port -> load the state -> announce -> serve
//! ```
//!
//! The operating system holds the lock, so the lock ends with the process, even after a crash. At most one process
//! therefore has an engine in a folder, and other processes find that engine by its handshake file.
//!
//! | file | contents |
//! |---|---|
//! | `engine` | the handle of a running engine: start and stop |
//! | `serving` | the engine's thread: serves until it is stopped |
//! | `listen` | binds the addresses |
//! | `data_folder` | the lock, the identity and the handshake file in the folder |
//! | `announcement` | the announcement of another program's engine in a folder |

mod announcement;
pub(super) mod data_folder;
mod engine;
mod listen;
mod serving;

pub use announcement::Announcement;
pub use data_folder::find;
pub use engine::Engine;
