//! Runs each example and compares its output with its documentation.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The `text` block in an example's documentation.
fn documented_output(source: &str) -> String {
    let documentation = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start);
    let mut block = documentation.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```");
    let mut text = String::new();
    for line in block.by_ref() {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn examples_print_their_documented_output() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    // `cargo test` builds the examples next to the binaries.
    let built = Path::new(env!("CARGO_BIN_EXE_runner")).with_file_name("examples");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The folder also contains an image for the README.
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let documented = documented_output(&source);
        assert!(!documented.is_empty(), "{} does not document its output", path.display());
        let child = Command::new(built.join(path.file_stem().unwrap()))
            .env("HATCHET_CLIENT_TOKEN", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} is not built: {e}", path.display()));
        programs.push((path, documented, child));
    }
    assert!(programs.len() >= 3, "examples are missing");
    for (path, documented, child) in programs {
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), documented, "{}", path.display());
        assert!(output.status.success(), "{}", path.display());
    }
}
