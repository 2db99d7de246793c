//! Excerpts for error messages.

/// Maximum length of an excerpt in characters.
const MAX_CHARS: usize = 100;

/// Returns the beginning of a text, for an error message. A gRPC error is a response header: a whole text could exceed
/// the header's maximum size and break the client's connection.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
