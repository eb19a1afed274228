//! What git knows of the files on the disk, and of the user.

use std::path::Path;

use super::limit::ask_soon;
use super::{Repository, said};

/// The commit a work tree stands on.
#[derive(Debug, Clone)]
pub struct WorkTree {
    /// The commit's full id.
    pub commit: String,
    /// Whether the files that were asked for differ from it on the disk.
    pub dirty: bool,
    /// The repository.
    pub repository: Repository,
}

/// Asks git about the work tree around `root`; `None` where there is none, no commit yet, or no git. `wanted` are
/// the names of the files below `dir` that count, `there` those of them that are on the disk.
#[must_use]
pub fn work_tree(root: &Path, dir: &str, wanted: &[String], there: &[&String]) -> Option<WorkTree> {
    let repository = Repository::around(root).ok()?;
    let head = repository.resolve("HEAD").ok()?;
    let mut committed = head.held(dir, wanted).ok()?;
    committed.sort();
    let mut on_disk = Vec::new();
    if !there.is_empty() {
        // As they are: a filter of the repository's configuration would be a program to run.
        let files = there.iter().map(|name| root.join(dir).join(name));
        let mut git = repository.git();
        git.args(["hash-object", "--no-filters", "--"]).args(files);
        let output = ask_soon(git).ok()?;
        let text = said(&output.stdout);
        on_disk.extend(there.iter().map(|name| (*name).clone()).zip(text.lines().map(str::to_owned)));
        on_disk.sort();
    }
    let dirty = committed != on_disk || on_disk.len() != there.len();
    Some(WorkTree { dirty, commit: head.commit, repository })
}

/// Who git would say makes a commit here: `Name <address>`; `None` where nobody is configured.
#[must_use]
pub fn identity(root: &Path) -> Option<String> {
    let ask = |key: &str| {
        let mut git = super::command::git(root, false);
        git.args(["config", "--get", key]);
        let output = ask_soon(git).ok()?;
        let text = said(&output.stdout).trim().to_owned();
        (output.code == Some(0) && !text.is_empty()).then_some(text)
    };
    let name = ask("user.name")?;
    Some(ask("user.email").map_or_else(|| name.clone(), |address| format!("{name} <{address}>")))
}
