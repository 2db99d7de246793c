//! Reads text from files and standard input, up to a limit: a source without end must not fill the memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The text of a file of at most `limit` bytes. Waits for the writer where it is a FIFO, as of a process substitution.
pub(in crate::cli) fn read_file(path: &Path, limit: usize) -> io::Result<String> {
    read(File::open(path)?, limit)
}

/// The text of a source of at most `limit` bytes.
pub(in crate::cli) fn read(source: impl Read, limit: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_without_end_is_read_to_the_limit() {
        let error = read(io::repeat(b'x'), 1000).unwrap_err();
        assert!(error.to_string().contains("larger than 1000 bytes"), "{error}");
        assert_eq!(read(io::repeat(b'x').take(1000), 1000).unwrap().len(), 1000);
    }

    #[test]
    fn text_that_is_cut_inside_a_character_is_still_too_large() {
        // Four bytes to a character, and the limit in the middle of one.
        let error = read("𝄞".repeat(100).as_bytes(), 6).unwrap_err();
        assert!(error.to_string().contains("larger than 6 bytes"), "{error}");
    }
}
