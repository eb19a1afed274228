//! What lies on the disk below a directory, to be compared before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below `dir` by its path relative to it; nothing when there is no such directory.
pub(crate) fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in all_below(dir) {
        if path.is_file() {
            files.insert(path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
    files
}

/// Temporary names below `dir` that should be gone.
pub(crate) fn temporaries(dir: &Path) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".driftlock"))
    };
    all_below(dir).into_iter().filter(is_ours).collect()
}

/// The runs of a project by name, oldest first.
pub(crate) fn runs(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("audit/runtime")) else { return Vec::new() };
    let dirs = entries.map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = dirs.map(|dir| dir.file_name().into_string().unwrap()).collect();
    names.sort_by_key(|name| (name[..15].to_owned(), name.len(), name.clone()));
    names
}

/// Copies a tree as `cp -a` does; `from` itself may be a link.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(status.unwrap().success(), "cp {} {}", from.display(), to.display());
}

fn all_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
            all.push(entry.path());
        }
    }
    all
}
