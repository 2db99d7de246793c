//! Excerpts of texts for error messages.

/// Longest excerpt, in characters.
const MAX_CHARS: usize = 100;

/// The beginning of a text that an error message quotes. A whole text could exceed the size of a response header, which
/// carries a gRPC error, and would break the client's connection.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
