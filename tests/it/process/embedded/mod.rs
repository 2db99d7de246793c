//! The embedded engine: its folder, several processes on one engine, and sidecars.

#[cfg(all(target_os = "linux", feature = "durable"))]
mod disk;
mod folder;
mod official_sidecar;
mod sharing;
mod sidecar;
