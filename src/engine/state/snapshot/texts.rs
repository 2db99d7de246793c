//! Texts of rows, shared where many are equal.

use std::sync::Arc;

use crate::engine::persistence::row::Damaged;

/// Allocates the texts of rows.
pub(super) struct SharedTexts {
    /// `{}`, which is the metadata of most runs: shared instead of allocated again.
    empty_object: Arc<str>,
}

impl Default for SharedTexts {
    fn default() -> Self {
        Self { empty_object: "{}".into() }
    }
}

impl SharedTexts {
    /// A text that must be present; `what` names it in the error.
    pub(super) fn required(&self, text: Option<&str>, what: &str) -> Result<Arc<str>, Damaged> {
        let text = text.ok_or_else(|| Damaged(format!("{what} is missing")))?;
        Ok(if *text == *self.empty_object { self.empty_object.clone() } else { text.into() })
    }
}
