//! Declaration, pause and deletion of workflows.

mod declare;
mod pause;
