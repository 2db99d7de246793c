//! Returns memory to the operating system after a load has ended.
//!
//! glibc's allocator keeps pages that were freed between allocations that are still in use. After a load with large
//! payloads that is most of the process: 620 MB stayed resident where 270 MB were in use, and 302 MB after a release
//! (800 queued payloads of 1 MB, then cancelled). The allocators of other platforms return freed pages
//! automatically.

use std::time::Duration;

use super::core::Driver;

/// Time between two checks of the state's size: 5 s.
const INTERVAL: Duration = Duration::from_secs(5);

/// Bytes that must have been freed since the last release: 64 MiB. A release of fewer costs more than it gains.
const MIN_FREED_BYTES: usize = 64 << 20;

impl Driver {
    /// Releases free memory whenever the state has shrunk by [`MIN_FREED_BYTES`]. Runs until it is dropped.
    pub(crate) async fn release_memory(&self) {
        let mut peak = Peak::default();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let held = self.lock().state.held_bytes();
            // It fails only if the runtime ends, and this future with it.
            if peak.has_fallen_to(held) && tokio::task::spawn_blocking(release_free_memory).await.is_err() {
                return;
            }
        }
    }
}

/// The largest number of bytes held since the last release.
#[derive(Debug, Default)]
struct Peak(usize);

impl Peak {
    /// Whether [`MIN_FREED_BYTES`] bytes have been freed since the last release. If so, the peak restarts at `held`.
    fn has_fallen_to(&mut self, held: usize) -> bool {
        let is_due = self.0.saturating_sub(held) >= MIN_FREED_BYTES;
        self.0 = if is_due { held } else { self.0.max(held) };
        is_due
    }
}

/// Returns all free whole pages. Takes about 10 ms for a gigabyte and blocks the allocations of other threads during
/// that time, so it must not be called during a load.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn release_free_memory() {
    #[allow(unsafe_code)]
    mod glibc {
        unsafe extern "C" {
            // Takes the arenas' locks itself and may be called from any thread.
            pub(super) safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
    }
    glibc::malloc_trim(0);
}

/// Does nothing: other allocators return free pages automatically.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn release_free_memory() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_due_once_after_each_load() {
        let mut peak = Peak::default();
        for (held, is_due) in [
            (0, false),
            (MIN_FREED_BYTES, false),
            (3 * MIN_FREED_BYTES, false),
            (2 * MIN_FREED_BYTES + 1, false),
            (2 * MIN_FREED_BYTES, true),
            (2 * MIN_FREED_BYTES, false),
            (MIN_FREED_BYTES, true),
            (1, false),
            (0, true),
            (MIN_FREED_BYTES - 1, false),
            (0, false),
        ] {
            assert_eq!(peak.has_fallen_to(held), is_due, "{held}");
        }
    }
}
