//! Lists: their rows and pages.

mod pages;
mod row;

pub use self::row::ResourceMetadata;
pub(super) use self::{
    pages::Pages,
    row::{Row, Rows, null_is_default},
};
