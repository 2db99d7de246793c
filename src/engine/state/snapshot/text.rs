//! Texts of stored rows.

use std::sync::{Arc, LazyLock};

use crate::engine::persistence::row::Damaged;

/// `{}`, the metadata of most runs: shared instead of allocated for each.
static EMPTY_OBJECT: LazyLock<Arc<str>> = LazyLock::new(|| "{}".into());

/// Reads a text that must be present; `what` names it in the error.
pub(super) fn required_text(text: Option<&str>, what: &str) -> Result<Arc<str>, Damaged> {
    let text = text.ok_or_else(|| Damaged(format!("{what} is missing")))?;
    Ok(if *text == **EMPTY_OBJECT { EMPTY_OBJECT.clone() } else { text.into() })
}
