//! The build script: sets the version of `--version`, such as `0.1.0 (21227ef)`.
//!
//! The commit is read from the files of `.git`, so that neither git nor a library is needed. It is the commit that is
//! checked out, without local changes. A source archive has no `.git`: `git archive` writes the commit into
//! [`ARCHIVE_COMMIT`]. If neither has a commit, as in a container's build context, the version has none.
//!
//! The script runs again when another commit is checked out, and not when a source file changes.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// `git archive` replaces this text with the commit: see `.gitattributes`.
const ARCHIVE_COMMIT: &str = "$Format:%H$";

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let git = git_folder(Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()));
    for file in git.iter().flat_map(|git| watched(git)) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let commit = git.as_deref().and_then(head).or_else(|| commit(ARCHIVE_COMMIT));
    let suffix = commit.map(|commit| format!(" ({})", &commit[..7])).unwrap_or_default();
    println!(
        "cargo::rustc-env=HATCHET_QUICKSTART_VERSION={}{suffix}",
        env::var("CARGO_PKG_VERSION").unwrap_or_default()
    );
}

/// The folder with `HEAD`. `.git` is that folder, or a file with its path in a work tree or a submodule.
fn git_folder(project: &Path) -> Option<PathBuf> {
    let git = project.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(project.join(text.strip_prefix("gitdir:")?.trim()))
}

/// The commit that is checked out.
fn head(git: &Path) -> Option<String> {
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(branch) = head.strip_prefix("ref:").map(str::trim) else { return commit(&head) };
    let common = common_folder(git);
    if let Ok(text) = fs::read_to_string(common.join(branch)) {
        return commit(&text);
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| commit(line.strip_suffix(branch)?.strip_suffix(' ')?))
}

/// The folder of the branches, which all work trees share.
fn common_folder(git: &Path) -> PathBuf {
    fs::read_to_string(git.join("commondir")).map_or_else(|_| git.to_owned(), |path| git.join(path.trim()))
}

/// The files that change when another commit is checked out: the log of `HEAD`, or the branches of a repository without
/// logs. Cargo would always run the script again for a file that does not exist.
fn watched(git: &Path) -> Vec<PathBuf> {
    let log = git.join("logs/HEAD");
    let common = common_folder(git);
    let files = if log.exists() { vec![log] } else { vec![common.join("refs/heads"), common.join("packed-refs")] };
    files.into_iter().chain([git.join("HEAD")]).filter(|file| file.exists()).collect()
}

/// The text without spaces, if it is the hash of a commit.
fn commit(text: &str) -> Option<String> {
    let hash = text.trim();
    (hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "21227ef4a1b2c3d4e5f60718293a4b5c6d7e8f90";

    /// Writes files below a folder.
    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn commit_is_found_in_every_layout_of_git() {
        let branch = ("project/.git/HEAD", "ref: refs/heads/main\n");
        let packed = format!("# pack-refs with: peeled\n{} refs/heads/a\n{HASH} refs/heads/main\n", "0".repeat(40));
        let layouts: [&[(&str, &str)]; 5] = [
            &[("project/.git/HEAD", HASH)],
            &[branch, ("project/.git/refs/heads/main", HASH)],
            &[branch, ("project/.git/packed-refs", &packed)],
            // A work tree.
            &[
                ("project/.git", "gitdir: ../main/.git/worktrees/project\n"),
                ("main/.git/worktrees/project/HEAD", "ref: refs/heads/main\n"),
                ("main/.git/worktrees/project/commondir", "../..\n"),
                ("main/.git/refs/heads/main", HASH),
            ],
            // A submodule.
            &[("project/.git", "gitdir: ../.git/modules/project\n"), (".git/modules/project/HEAD", HASH)],
        ];
        for layout in layouts {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), layout);
            let git = git_folder(&folder.path().join("project")).unwrap();
            assert_eq!(head(&git).as_deref(), Some(HASH), "{layout:?}");
            assert!(watched(&git).iter().all(|file| file.exists()), "{layout:?}");
        }
    }

    #[test]
    fn unknown_commit_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(git_folder(folder.path()), None);
        // A branch without commits.
        write(folder.path(), &[(".git/HEAD", "ref: refs/heads/main\n")]);
        assert_eq!(head(&git_folder(folder.path()).unwrap()), None);
        assert_eq!(commit("$Format:%H$"), None);
    }
}
