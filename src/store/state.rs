//! What watchers remember, below `audit/state`: a file of each place, and who watches it.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic::{LARGEST_TEXT, read_file_within, replace_file};
use crate::config::written_by_others;
use crate::control::waits;
use crate::error::Failure;
use crate::git::{GitError, Repository};
use crate::model::{in_words, printable_path, quoted};
use crate::store::lock::{NotNow, Turn};

/// The directory, relative to the root.
pub(crate) const PATH: &str = "audit/state";

/// The file of a place: `NAME.json`, or `NAME-TARGET.json`.
pub(crate) fn file(root: &Path, name: &str, target: Option<&str>) -> PathBuf {
    let of_target = target.map(|target| format!("-{target}")).unwrap_or_default();
    root.join(PATH).join(format!("{name}{of_target}.json"))
}

/// Reads a file that decides what may be done, where nobody else can have written it; `None` where there is none.
///
/// # Errors
/// When it cannot be read, has no sense, may be written by others, or came with the repository.
pub(crate) fn read_own<T: DeserializeOwned>(root: &Path, path: &Path) -> io::Result<Option<T>> {
    // Who may write around it could also have taken it away.
    let there = path.ancestors().find(|it| it.symlink_metadata().is_ok()).unwrap_or(root);
    if let Some(why) = of_others(root, there) {
        return Err(named(path, &format!("it counts for nothing: {why}")));
    }
    read(path)
}

/// Reads a file of the state, whoever wrote it; `None` where there is none.
///
/// # Errors
/// When it cannot be read, or has no sense.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_file_within(path, LARGEST_TEXT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &in_words(&error))),
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|error| named(path, &error.to_string()))
        }
    }
}

fn named(path: &Path, why: &str) -> io::Error {
    let name = path.file_name().map(|name| printable_path(Path::new(name))).unwrap_or_default();
    io::Error::other(format!("{name}: {why}"))
}

/// Writes such a file. Git is told to leave its directory alone.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_own<T: Serialize>(path: &Path, what: &T) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
        let ignore = dir.join(".gitignore");
        if !ignore.exists() {
            replace_file(&ignore, b"*\n")?;
        }
    }
    let mut bytes = serde_json::to_vec_pretty(what).map_err(io::Error::from)?;
    bytes.push(b'\n');
    replace_file(path, &bytes)
}

/// Why somebody else may have written a file: by its owner and mode and those of the directories above it, or since git tracks it,
/// so that it comes with a commit.
pub(crate) fn of_others(root: &Path, path: &Path) -> Option<String> {
    written_by_others(path).or_else(|| tracked(root, path))
}

fn tracked(root: &Path, path: &Path) -> Option<String> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) => return Some(in_words(&error)),
    };
    let mut seen = None;
    for around in [root, real.parent().unwrap_or(&real)] {
        let repository = match Repository::around(around) {
            Err(_) if around.ancestors().all(|it| it.join(".git").symlink_metadata().is_err()) => continue,
            Err(error) => return Some(unknown(&error)),
            Ok(repository) => repository,
        };
        let top = repository.top().canonicalize().unwrap_or_else(|_| repository.top().to_owned());
        if seen.as_ref() == Some(&top) {
            continue;
        }
        seen = Some(top.clone());
        let index = match repository.index() {
            Ok(index) => index,
            Err(error) => return Some(unknown(&error)),
        };
        // A link on the way to it could come with a commit as well, wherever it leads.
        let mut steps = [path, real.as_path()].into_iter().flat_map(Path::ancestors);
        let is_listed = |step: &&Path| {
            let inside = step.strip_prefix(&top).or_else(|_| step.strip_prefix(repository.top()));
            inside.is_ok_and(|name| index.lists(name.as_os_str().as_bytes()))
        };
        if let Some(step) = steps.find(is_listed) {
            let step = quoted(&step.to_string_lossy());
            return Some(format!(
                "git tracks it, so that a commit could say anything in it; remove it with: git rm --cached -r {step}"
            ));
        }
    }
    None
}

fn unknown(error: &GitError) -> String {
    format!("whether git tracks it is not known: {error}")
}

/// Holds a place until what it gives is dropped: two watchers would tell of everything twice.
///
/// # Errors
/// When another process watches it.
pub(crate) fn hold(root: &Path, target: Option<&str>, is_over: &dyn Fn() -> bool) -> Result<Turn, Failure> {
    let path = file(root, ".watch", target).with_extension("lock");
    Turn::wait_at(&path, waits::OTHER_WATCHER.most, "watch", is_over).map_err(|why| match why {
        NotNow::Held(holder) => {
            let place = target.map_or_else(|| "this project".to_owned(), |name| format!("target {name}"));
            let failure = Failure::new(format!("{place} is watched already: {holder}"));
            failure.hint("its events: driftlock events --follow")
        }
        NotNow::Interrupted => Failure::new(why.to_string()),
    })
}

/// Holds the state directory of an agent until what it gives is dropped: two agents would run everything twice.
///
/// # Errors
/// When another process holds it.
pub(crate) fn hold_agent(dir: &Path, is_over: &dyn Fn() -> bool) -> Result<Turn, Failure> {
    Turn::wait_at(&dir.join(".agent.lock"), waits::OTHER_WATCHER.most, "serve", is_over).map_err(|why| {
        match why {
            NotNow::Held(holder) => {
                let failure = Failure::new(format!("{} is another agent's: {holder}", printable_path(dir)));
                failure.hint("end that one, or set another state_dir in [serve]")
            }
            NotNow::Interrupted => Failure::new(why.to_string()),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let mut git = Command::new("git");
        assert!(git.arg("-C").arg(dir).args(args).status().unwrap().success());
    }

    fn why(root: &Path, path: &Path) -> String {
        read_own::<Vec<u32>>(root, path).unwrap_err().to_string()
    }

    #[test]
    fn what_others_may_write_and_what_came_with_a_commit_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let path = file(root.path(), "grants", Some("prod"));
        let read = || read_own::<Vec<u32>>(root.path(), &path).unwrap();
        let why = || why(root.path(), &path);
        assert_eq!(read(), None);
        write_own(&path, &[7]).unwrap();
        assert_eq!(read(), Some(vec![7]));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(why().contains("grants-prod.json: it counts for nothing: others may write"), "{}", why());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let dir = path.parent().unwrap();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(why().contains("others may write"));
        // Who may write it may have taken it away, too.
        std::fs::rename(&path, dir.join("away")).unwrap();
        assert!(why().contains("others may write"));
        std::fs::rename(dir.join("away"), &path).unwrap();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        git(root.path(), &["init", "--quiet"]);
        assert_eq!(read(), Some(vec![7]));
        git(root.path(), &["add", "--force", "audit/state/grants-prod.json"]);
        assert!(why().contains("git tracks it"), "{}", why());
        git(root.path(), &["rm", "--cached", "--quiet", "audit/state/grants-prod.json"]);
        assert_eq!(read(), Some(vec![7]));
        std::fs::write(&path, "{").unwrap();
        assert!(why().starts_with("grants-prod.json: "));
    }

    #[test]
    fn what_lies_behind_a_link_of_a_commit_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("audit")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join(PATH)).unwrap();
        let path = file(root.path(), "grants", None);
        std::fs::write(&path, "[7]").unwrap();
        git(root.path(), &["init", "--quiet"]);
        git(root.path(), &["add", PATH]);
        assert!(why(root.path(), &path).contains("git tracks it"), "{}", why(root.path(), &path));
    }
}
