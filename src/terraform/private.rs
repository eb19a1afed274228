//! Directories of a look: the private one for the plan, which holds secrets, and the one that stays between runs.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::atomic::DraftDir;

/// The mode of directories that nobody else may look into.
const PRIVATE: u32 = 0o700;
/// The mode of directories that others may go through, and see nothing of.
const PASSABLE: u32 = 0o711;
/// What no copy has: git's own files, and what driftlock keeps.
const LEFT_OUT: [&str; 4] = [".git", ".terraform", "audit/runtime", "audit/state"];

/// Makes a directory that nobody else may look into, with those above it; one that is there becomes private.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    if let Some(above) = dir.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let meta = std::fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no directory of this user"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(PRIVATE))?;
    }
    Ok(())
}

/// A private directory for one plan, removed with everything in it when it is dropped; one that a killed run left
/// behind goes first.
pub(super) fn draft(within: &Path) -> io::Result<DraftDir> {
    make(within)?;
    let draft = DraftDir::new_in(within)?;
    std::fs::set_permissions(draft.path(), Permissions::from_mode(PRIVATE))?;
    Ok(draft)
}

/// Makes a directory at `tree` in which everything of `dir` and of the directories above it, up to `root`, is a link to
/// where it lies, and gives the place of `dir` in it: what a program writes there does not get into `dir`.
pub(super) fn mirror(root: &Path, dir: &Path, tree: &Path) -> io::Result<PathBuf> {
    let base = if dir.starts_with(root) { root } else { dir.parent().unwrap_or(dir) };
    let below = dir.strip_prefix(base).unwrap_or(Path::new(""));
    let (mut from, mut to) = (base.to_owned(), tree.to_owned());
    DirBuilder::new().mode(PRIVATE).create(&to)?;
    for next in below.components() {
        link_all(&from, &to, &|name| name == next.as_os_str())?;
        (from, to) = (from.join(next), to.join(next));
        DirBuilder::new().mode(PRIVATE).create(&to)?;
    }
    link_all(&from, &to, &|name| name == ".terraform")?;
    Ok(to)
}

fn link_all(from: &Path, to: &Path, is_left_out: &dyn Fn(&OsStr) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        if !is_left_out(&name) {
            std::os::unix::fs::symlink(from.join(&name), to.join(&name))?;
        }
    }
    Ok(())
}

/// A directory for one plan that another account works in, removed with everything in it when it is dropped: that account may go
/// through it, and writes only into what is given to it there.
pub(super) fn draft_for_another(within: &Path) -> io::Result<DraftDir> {
    make(within)?;
    std::fs::set_permissions(within, Permissions::from_mode(PASSABLE))?;
    let draft = DraftDir::new_in(within)?;
    std::fs::set_permissions(draft.path(), Permissions::from_mode(PASSABLE))?;
    Ok(draft)
}

/// Copies a project to `tree`, links as links; what git keeps of it and what driftlock writes is left out.
pub(super) fn copy(root: &Path, tree: &Path) -> io::Result<()> {
    DirBuilder::new().mode(PRIVATE).create(tree)?;
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let (from, to) = (entry.path(), tree.join(entry.file_name()));
        if LEFT_OUT.iter().any(|name| from.ends_with(name)) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&from, &to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Makes an empty file that nobody else may read; who opens it to write keeps its mode.
pub(super) fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The directory for temporary files of this user.
pub(super) fn below_temporary(environment: &crate::control::Environment) -> PathBuf {
    let dir = environment.non_empty("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    dir.join(format!("driftlock-terraform-{}", rustix::process::geteuid().as_raw()))
}

/// That of what another account works in.
pub(super) fn below_temporary_for_another(environment: &crate::control::Environment) -> PathBuf {
    below_temporary(environment).with_extension("as")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_needs_is_private_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let within = dir.path().join("state/terraform/prod");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        std::fs::create_dir_all(&within).unwrap();
        std::fs::set_permissions(&within, Permissions::from_mode(0o755)).unwrap();
        let first = draft(&within).unwrap();
        file(&first.path().join("plan")).unwrap();
        assert_eq!(
            (mode(&within), mode(first.path()), mode(&first.path().join("plan"))),
            (0o700, 0o700, 0o600)
        );
        let second = draft(&within).unwrap();
        assert!(first.path().exists(), "one that is in use stays");
        drop((first, second));
        assert_eq!(std::fs::read_dir(&within).unwrap().count(), 0);
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        assert!(make(&dir.path().join("link")).is_err(), "a link may lead to somebody else");
    }
}
