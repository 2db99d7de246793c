//! Errors of an evaluation.

/// The reason why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// An error of the language. `&&`, `||`, `all` and `exists` can absorb it.
    Error(String),
    /// The cost limit or the deadline was reached. No operator absorbs it.
    Exhausted(String),
}

impl Fault {
    /// The reason in a single line.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Error(reason) | Self::Exhausted(reason) => reason,
        }
    }
}
