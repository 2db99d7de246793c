//! One attempt of a task, from its assignment to the report of its outcome.

mod body;
mod cpu_pool;
mod dispatch;
mod execute;
mod recent;
mod report;
mod table;

pub(super) use cpu_pool::CpuPool;
pub(super) use dispatch::{Shared, action};
#[cfg(test)]
pub(super) use table::Running;
pub(super) use table::{Outstanding, Table};
