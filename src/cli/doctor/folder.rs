//! The embedded engine's folder.

use std::path::Path;

use super::{
    super::{
        Exit,
        connection::engine::{self as connect, Choice},
    },
    checklist::Report,
};
use crate::hatchet::client::{Sources, engine_folder};

/// Whether what depends on it can go on.
pub(super) fn check(report: &mut Report, choice: &Choice, sources: &Sources) -> Result<bool, Exit> {
    let folder = &engine_folder(sources);
    let shown = folder.display();
    let found = match connect::find(folder) {
        Ok(found) => found,
        Err(exit) if *choice == Choice::Token(String::new()) || matches!(choice, Choice::Embedded(_)) => {
            report.broken("folder", exit.message())?;
            return Ok(false);
        }
        Err(exit) => {
            report.skipped("folder", &format!("not in use; {}", exit.message()))?;
            return Ok(true);
        }
    };
    match (choice, found) {
        (Choice::Token(_), None) => report.skipped("folder", "no embedded engine runs here, and none is asked for")?,
        (Choice::Token(_), Some(handshake)) => {
            let at = handshake.grpc_address;
            report
                .skipped("folder", &format!("an embedded engine runs in {shown} at {at}; --embedded would use it"))?;
        }
        (Choice::Embedded(_), None) => {
            report.broken("folder", &connect::not_running(folder, sources))?;
            return Ok(false);
        }
        (Choice::Embedded(_), Some(handshake)) => match exposed(folder) {
            Some(why) => report.broken("folder", &why)?,
            None => report
                .fine("folder", &format!("{shown}, its engine at {}, {}", handshake.grpc_address, kept(folder)))?,
        },
    }
    Ok(true)
}

/// What the engine keeps.
fn kept(folder: &Path) -> String {
    // The names that SQLite gives.
    let sizes = ["engine.db", "engine.db-wal"].map(|name| std::fs::metadata(folder.join(name)).map(|file| file.len()));
    match sizes {
        [Err(_), _] => "which keeps nothing over restarts".to_owned(),
        [Ok(file), log] => {
            format!("which keeps {:.1} MiB over restarts", (file + log.unwrap_or(0)) as f64 / f64::from(1 << 20))
        }
    }
}

/// Why others could read the token in the folder, if they could.
#[cfg(unix)]
fn exposed(folder: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    for path in [folder.to_owned(), folder.join("handshake.json"), folder.join("engine.db")] {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if found.file_type().is_symlink() {
            return Some(format!(
                "{} is a symbolic link: put a real one there, or name its target with --embedded-dir",
                path.display()
            ));
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let shown = path.display();
            return Some(format!(
                "others may use {shown} (mode {mode:o}), which has what the engine keeps: chmod go= {shown}"
            ));
        }
    }
    None
}

#[cfg(not(unix))]
fn exposed(_folder: &Path) -> Option<String> {
    None
}
