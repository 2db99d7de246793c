//! Reads text up to a size limit, so that an endless source cannot exhaust the memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a file of at most `limit` bytes. Waits for the writer of a FIFO, such as a process substitution.
pub(in crate::cli) fn read_file(path: &Path, limit: usize) -> io::Result<String> {
    read_text(File::open(path)?, limit)
}

/// Reads a source of at most `limit` bytes.
pub(in crate::cli) fn read_text(source: impl Read, limit: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_source_is_read_to_the_limit() {
        let error = read_text(io::repeat(b'x'), 1000).unwrap_err();
        assert!(error.to_string().contains("larger than 1000 bytes"), "{error}");
        assert_eq!(read_text(io::repeat(b'x').take(1000), 1000).unwrap().len(), 1000);
    }

    #[test]
    fn limit_inside_a_character_is_reported_as_too_large() {
        // Each character has four bytes.
        let error = read_text("𝄞".repeat(100).as_bytes(), 6).unwrap_err();
        assert!(error.to_string().contains("larger than 6 bytes"), "{error}");
    }
}
