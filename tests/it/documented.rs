//! The output that an example documents.

/// The `text` block in an example's documentation.
pub fn documented_output(source: &str) -> String {
    let documentation = source.lines().map_while(|line| line.strip_prefix("//!"));
    let documentation = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let mut block = documentation.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```");
    let mut text = String::new();
    for line in block.by_ref() {
        text.push_str(line);
        text.push('\n');
    }
    text
}
