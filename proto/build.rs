//! Compiles the .proto files beside this one, with a compiler written in Rust, so that no `protoc` is needed.

const FILES: [&str; 7] = [
    "dispatcher/dispatcher.proto",
    "events/events.proto",
    "workflows/workflows.proto",
    "v1/dispatcher.proto",
    "v1/workflows.proto",
    "v1/shared/condition.proto",
    "v1/shared/trigger.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    // One call for all files: a second one would overwrite the module that holds the types without a package.
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(true)
        // Generated comments would be parsed as doctests.
        .disable_comments(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
