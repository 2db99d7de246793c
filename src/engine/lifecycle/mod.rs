//! Starting, stopping and finding engines.

mod announcement;
pub(super) mod data_folder;
mod engine;

pub use announcement::Announcement;
pub use data_folder::find;
pub use engine::Engine;
