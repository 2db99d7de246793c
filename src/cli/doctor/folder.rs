//! Checks the embedded engine's folder.

use std::path::Path;

use super::checklist::Checklist;
use crate::{
    cli::{
        Exit,
        connection::{EngineChoice, find_handshake, not_running},
        dashboard::REDIRECT_FILE,
    },
    hatchet::client::{Sources, embedded_folder},
};

/// Checks the folder. Returns whether the later checks can be made.
pub(super) fn check(checklist: &mut Checklist, choice: &EngineChoice, sources: &Sources) -> Result<bool, Exit> {
    let folder = &embedded_folder(sources);
    let path = folder.display();
    let found = match (find_handshake(folder), choice) {
        (Ok(found), _) => found,
        (Err(exit), EngineChoice::Embedded(_) | EngineChoice::None) => {
            checklist.fail("folder", exit.message())?;
            return Ok(false);
        }
        (Err(exit), EngineChoice::Token(_)) => {
            checklist.skip("folder", &format!("not in use; {}", exit.message()))?;
            return Ok(true);
        }
    };
    match (choice, found) {
        (EngineChoice::Token(_) | EngineChoice::None, None) => {
            checklist.skip("folder", "no embedded engine runs here or is requested")?;
        }
        (EngineChoice::Token(_) | EngineChoice::None, Some(handshake)) => {
            let address = handshake.grpc_address;
            checklist
                .skip("folder", &format!("an embedded engine runs in {path} at {address}; use it with --embedded"))?;
        }
        (EngineChoice::Embedded(_), None) => {
            checklist.fail("folder", &not_running(folder, sources))?;
            return Ok(false);
        }
        (EngineChoice::Embedded(_), Some(handshake)) => match exposure(folder) {
            Some(problem) => checklist.fail("folder", &problem)?,
            None => {
                let (address, data) = (handshake.grpc_address, data_size(folder));
                checklist.pass("folder", &format!("{path}, its engine at {address}, {data}"))?;
            }
        },
    }
    Ok(true)
}

/// Returns the size of the engine's persistent data as text.
fn data_size(folder: &Path) -> String {
    // SQLite's database and write-ahead log.
    let sizes = ["engine.db", "engine.db-wal"].map(|name| std::fs::metadata(folder.join(name)).map(|file| file.len()));
    match sizes {
        [Err(_), _] => "without persistent data".to_owned(),
        [Ok(file), log] => {
            format!("{:.1} MiB of persistent data", (file + log.unwrap_or(0)) as f64 / f64::from(1 << 20))
        }
    }
}

/// The reason why other users may be able to read the token, the signing key or the data in the folder. `None` if they
/// cannot.
#[cfg(unix)]
fn exposure(folder: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let files = ["handshake.json", "engine.json", "engine.db", REDIRECT_FILE].map(|name| folder.join(name));
    for path in std::iter::once(folder.to_owned()).chain(files) {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if found.file_type().is_symlink() {
            return Some(format!(
                "{} is a symbolic link: replace it with its target, or name the target with --embedded-dir",
                path.display()
            ));
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Some(format!(
                "other users may read the engine's secrets or data in {path} (mode {mode:o}): run `chmod go= {path}`"
            ));
        }
    }
    None
}

#[cfg(not(unix))]
fn exposure(_folder: &Path) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;

    #[test]
    fn each_file_with_a_secret_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        for name in ["handshake.json", "engine.json", "engine.db", "open.html"] {
            let file = folder.path().join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
            let problem = exposure(folder.path()).unwrap();
            assert!(problem.contains(&format!("{name} (mode 640)")), "{problem}");
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(exposure(folder.path()), None);
        }
    }
}
