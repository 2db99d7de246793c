//! The generated protocol code, which is checked in so that a build needs neither `protoc` nor a generator.

use std::path::Path;

const PROTO_FILES: [&str; 7] = [
    "dispatcher/dispatcher.proto",
    "events/events.proto",
    "workflows/workflows.proto",
    "v1/dispatcher.proto",
    "v1/workflows.proto",
    "v1/shared/condition.proto",
    "v1/shared/trigger.proto",
];

/// Generated file by package, and the file that is checked in.
const GENERATED_FILES: [(&str, &str); 2] = [("_.rs", "hatchet.rs"), ("v1.rs", "v1.rs")];

/// Set by `make proto`: writes the generated code instead of comparing it.
const UPDATE: &str = "HATCHET_UPDATE_GENERATED";

#[test]
fn generated_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    // A single call compiles all files: a second call would overwrite the module of the types without a package.
    let descriptors = protox::compile(PROTO_FILES, [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .build_transport(true)
        // Generated comments would be parsed as doctests.
        .disable_comments(["."])
        .out_dir(folder.path())
        .compile_fds(descriptors)
        .unwrap();
    for (generated, checked_in) in GENERATED_FILES {
        let generated = std::fs::read_to_string(folder.path().join(generated)).unwrap();
        let path = root.join("src/hatchet/wire/generated").join(checked_in);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, generated).unwrap();
        } else {
            let is_same = std::fs::read_to_string(&path).unwrap() == generated;
            assert!(is_same, "{} differs from what proto/ generates: run `make proto` and commit it", path.display());
        }
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(
        files,
        GENERATED_FILES.len(),
        "proto/ has a new package: add its file to GENERATED_FILES and to wire::proto"
    );
}
