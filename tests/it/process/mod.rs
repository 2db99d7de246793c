//! The built binaries, each in a folder of its own and with nothing in its environment: what they print, where, and
//! how they end.

mod address;
mod bad_input;
#[cfg(all(target_os = "linux", feature = "durable"))]
mod disk;
mod doctor;
mod drain;
mod explain;
mod folder;
mod follow;
mod health;
mod line;
mod lost_answer;
mod official;
mod place;
mod program;
mod proxy;
mod secret;
mod settings;
mod sharing;
mod sidecar;
mod tls;

pub use place::Place;
pub use program::Ended;
pub use program::Program;
