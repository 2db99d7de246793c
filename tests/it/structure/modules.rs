//! The table of dependencies between the modules of the crate.

use std::collections::BTreeSet;

use super::{
    assert_only_known,
    paths::references,
    source::{File, files},
};

/// Each module with the modules that it may use. A module may always use itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("hatchet::wire", &[]),
    ("hatchet::system", &[]),
    ("hatchet::transport", &["hatchet::wire", "hatchet::system"]),
    ("hatchet::task", &["hatchet::wire", "hatchet::system"]),
    ("hatchet::client", &["hatchet::transport", "hatchet::task", "hatchet::wire", "hatchet::system"]),
    (
        "hatchet::worker",
        &["hatchet::client", "hatchet::transport", "hatchet::task", "hatchet::wire", "hatchet::system"],
    ),
    (
        "hatchet::testing",
        &[
            "hatchet::client",
            "hatchet::worker",
            "hatchet::transport",
            "hatchet::task",
            "hatchet::wire",
            "hatchet::system",
            "engine",
        ],
    ),
    // The module itself, with its re-exports.
    (
        "hatchet",
        &[
            "hatchet::wire",
            "hatchet::system",
            "hatchet::transport",
            "hatchet::task",
            "hatchet::client",
            "hatchet::worker",
            "hatchet::testing",
        ],
    ),
    // The two halves meet on the wire only.
    ("engine", &["hatchet::wire", "hatchet::system"]),
    ("bench", &["hatchet::client", "hatchet::task", "hatchet::wire", "hatchet::system"]),
    ("tasks", &["hatchet::task", "prelude"]),
    ("cli", &["*"]),
    // The crate's root: re-exports and the prelude.
    ("prelude", &["*"]),
    ("", &["*"]),
    ("guide", &[]),
];

/// Uses that break the table: `<file> uses <module>`.
const KNOWN_USES: &[&str] = &[];

/// The modules outside of `hatchet::wire` that name generated protobuf types. All others use the types of `wire`.
const NAMES_GENERATED_TYPES: &[&str] = &[
    // Clients of the gRPC services.
    "hatchet::transport",
    "hatchet::client",
    "hatchet::worker",
    // Implements the services.
    "engine::grpc",
    // Converts requests into types of the state.
    "engine::validate",
    // Encodes assignments, to limit their size before they are queued.
    "engine::driver",
];

/// Each crate, or path in a crate, with the only modules that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("rusqlite", &["engine"]),
    ("tonic::transport", &["hatchet::transport", "engine"]),
    ("tonic", &["hatchet::wire", "hatchet::transport", "hatchet::client", "hatchet::worker", "engine"]),
];

/// Uses that break [`ONLY_IN`]: `<file> uses <path>`.
const KNOWN_CRATES: &[&str] = &[];

/// The row of the table for a module: `engine` for `engine::rest`, `hatchet::client` for `hatchet::client::stream`.
fn row(module: &[String]) -> String {
    let depth = if module.first().is_some_and(|first| first == "hatchet") { 2 } else { 1 };
    module[..module.len().min(depth)].join("::")
}

#[test]
fn modules_use_only_allowed_modules() {
    let files = files();
    let (references, _) = references(&files);
    let mut found = BTreeSet::new();
    for reference in references {
        let (user, used) = (row(&files[reference.file].module), row(&reference.named));
        let allowed = MAY_USE.iter().find(|(module, _)| *module == user);
        let allowed = allowed.unwrap_or_else(|| panic!("{user} has no row in the table: add one")).1;
        if user != used && !allowed.contains(&used.as_str()) && !allowed.contains(&"*") {
            found.insert(format!(
                "{} uses {}",
                name(&files[reference.file]),
                used_path(&reference.named, &reference.written)
            ));
        }
    }
    assert_only_known("each module uses only the modules of its row in the table", found, KNOWN_USES);
}

/// The module and the item, so that an exception allows only that.
fn used_path(module: &[String], written: &str) -> String {
    format!("{}::{}", module.join("::"), written.rsplit("::").next().unwrap_or_default())
}

#[test]
fn crates_are_named_only_in_their_modules() {
    let files = files();
    let (_, externals) = references(&files);
    let mut found = BTreeSet::new();
    for external in externals {
        let user = row(&files[external.file].module);
        for (path, modules) in ONLY_IN {
            let is_named = external.written == *path || external.written.starts_with(&format!("{path}::"));
            if is_named && !modules.contains(&user.as_str()) {
                found.insert(format!("{} uses {path}", name(&files[external.file])));
            }
        }
    }
    assert_only_known("each crate is used only in its modules", found, KNOWN_CRATES);
}

#[test]
fn generated_types_are_named_only_in_their_modules() {
    let files = files();
    let (references, _) = references(&files);
    let mut found = BTreeSet::new();
    for reference in references {
        let file = &files[reference.file];
        let user = file.module[..file.module.len().min(2)].join("::");
        let is_generated = reference.named.join("::").starts_with("hatchet::wire::proto");
        if is_generated && user != "hatchet::wire" && !NAMES_GENERATED_TYPES.contains(&user.as_str()) {
            found.insert(format!("{} uses {}", name(file), reference.written));
        }
    }
    assert_only_known("generated types are named only in the modules that exchange messages", found, &[]);
}

fn name(file: &File) -> String {
    file.path.display().to_string()
}
