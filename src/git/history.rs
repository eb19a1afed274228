//! The history of some paths: every commit that changed one of them, the newest first.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufRead};
use std::os::unix::ffi::OsStringExt as _;

use super::error::GitError;
use super::limit::{self, End, Limit};
use super::repository::Repository;
use super::revision::Mode;
use crate::model::Commit;

/// The references that belong to history: neither notes, nor what was put aside, replaced or is being searched.
pub(super) const TIPS: [&str; 6] = [
    "--exclude=refs/notes/*",
    "--exclude=refs/stash",
    "--exclude=refs/original/*",
    "--exclude=refs/replace/*",
    "--exclude=refs/bisect/*",
    "--all",
];

/// The part of history that is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// All that a reference, the checked out commit or one of the tips leads to.
    Kept,
    /// What only reflogs lead to besides, the stash among them.
    Dropped,
}
/// How many paths git is asked for; where there are more, their directories are.
const PATHS: usize = 64;
/// Where more files than this were added and removed, git compares none of them.
const RENAMED: usize = 400;
/// The mode of a directory.
const DIRECTORY: &str = "040000";
/// The mode of what is not there.
const NOTHING: &str = "000000";

/// One commit, and what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: Commit,
    /// How many parents it has. What a merge took as it is from one of them is no change of its own.
    pub parents: usize,
    /// What it changed, by path.
    pub changes: Vec<Changed>,
}

/// What a commit put at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The path from the work tree's uppermost directory.
    pub path: Vec<u8>,
    /// What it is from then on; `None` where it was taken away.
    pub mode: Option<Mode>,
    /// Its object's id.
    pub object: String,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Whether it is a directory, and `object` its tree.
    pub is_directory: bool,
}

impl Repository {
    /// Walks through a part of history, the newest first, and gives each commit that touches one of `paths` (or something
    /// below one) to `take`; merges too that only bring others' changes together.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn history(
        &self,
        part: Walk,
        paths: &BTreeSet<Vec<u8>>,
        tips: &[String],
        limit: &Limit<'_>,
        take: &mut dyn FnMut(Step),
    ) -> Result<End, GitError> {
        let mut git = self.git();
        git.args(["-c", "log.follow=false", "log"]);
        if part == Walk::Dropped {
            git.args(["--reflog", "--not"]);
        }
        git.args(TIPS).args(tips);
        git.args([
            "--ignore-submodules=none",
            "--no-relative",
            "--full-history",
            "-c",
            "-t",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "-z",
            "--root",
        ]);
        git.args(["--no-ext-diff", "--no-textconv", "--no-color", "--encoding=UTF-8"]);
        git.arg("--format=%H%x00%P%x00%an%x00%aI%x00%s").arg("--");
        git.args(few(paths).into_iter().map(OsString::from_vec));
        limit::run(git, &[], limit, &mut |from| {
            let mut step = None;
            while let Some(token) = token(from)? {
                match token.strip_prefix(b"\n").unwrap_or(&token) {
                    [] => {}
                    raw @ [b':', ..] => {
                        let path = self::token(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                        let changed = changed(raw, path).ok_or(io::ErrorKind::InvalidData)?;
                        step.as_mut().ok_or(io::ErrorKind::InvalidData).map(|step: &mut Step| {
                            step.changes.push(changed);
                        })?;
                    }
                    id => step.replace(begun(id, from)?).into_iter().for_each(&mut *take),
                }
            }
            step.take().into_iter().for_each(&mut *take);
            Ok(())
        })
    }

    /// One commit by its id; `None` where it is not here.
    #[must_use]
    pub fn commit(&self, id: &str, limit: &Limit<'_>) -> Option<Commit> {
        let mut git = self.git();
        git.args(["log", "-1", "-z", "--no-color", "--encoding=UTF-8"]);
        git.args(["--format=%H%x00%P%x00%an%x00%aI%x00%s", "--end-of-options", id, "--"]);
        let mut step = None;
        let end = limit::run(git, &[], limit, &mut |from| {
            if let Some(id) = token(from)? {
                step = Some(begun(&id, from)?);
            }
            Ok(())
        });
        step.filter(|_| end.is_ok()).map(|step| step.commit)
    }

    /// The commit that last touched one of these lines (from 1, both counted) of the file at `path` in the work tree: an inner
    /// `None` where one of them is not committed. `None` where git cannot tell.
    #[must_use]
    pub fn last_touch(
        &self,
        path: &[u8],
        lines: (usize, usize),
        limit: &Limit<'_>,
    ) -> Option<Option<Commit>> {
        let mut git = self.git();
        git.args(["blame", "--porcelain", "--no-textconv"])
            .arg(format!("-L{},{}", lines.0, lines.1))
            .arg("--");
        git.arg(OsString::from_vec(path.to_vec()));
        let mut ids = BTreeSet::new();
        let end = limit::run(git, &[], limit, &mut |from| {
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line)? > 0 {
                let text = String::from_utf8_lossy(&line);
                let mut words = text.split_ascii_whitespace();
                let is_id = |word: &&str| word.len() >= 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
                let id = words.next().filter(is_id).filter(|_| !line.starts_with(b"\t"));
                ids.extend(id.filter(|_| words.next().is_some()).map(str::to_owned));
                line.clear();
            }
            Ok(())
        });
        if end.is_err() || ids.iter().any(|id| id.bytes().all(|b| b == b'0')) {
            return end.is_ok().then_some(None);
        }
        self.newest(&ids, limit).map(Some)
    }

    /// Of these commits the one that comes after the others; of unrelated ones the latest.
    fn newest(&self, ids: &BTreeSet<String>, limit: &Limit<'_>) -> Option<Commit> {
        let mut git = self.git();
        git.args(["rev-list", "--topo-order", "--max-count=1", "--end-of-options"]).args(ids).arg("--");
        let mut first = String::new();
        limit::run(git, &[], limit, &mut |from| from.read_line(&mut first).map(drop)).ok()?;
        self.commit(first.trim(), limit)
    }

    /// The renames of each of these commits, as git sees them: commit, old path, new path.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn renames(&self, commits: &BTreeSet<String>, limit: &Limit<'_>) -> Result<(Renames, End), GitError> {
        let mut git = self.git();
        git.args([
            "diff-tree",
            "--stdin",
            "-M",
            &format!("-l{RENAMED}"),
            "-r",
            "--raw",
            "--no-abbrev",
            "-z",
            "-m",
        ]);
        git.args(["--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--no-relative"]);
        let input: String = commits.iter().map(|id| format!("{id}\n")).collect();
        let mut renames = Renames::default();
        let (mut added, mut removed) = (0_usize, 0_usize);
        let end = limit::run(git, input.as_bytes(), limit, &mut |from| {
            let mut commit = String::new();
            while let Some(token) = token(from)? {
                match token.as_slice() {
                    [] => {}
                    [b':', raw @ ..] => {
                        let old = self::token(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                        let status = raw.rsplit(|&b| b == b' ').next().and_then(|word| word.first().copied());
                        added += usize::from(status == Some(b'A'));
                        removed += usize::from(status == Some(b'D'));
                        if matches!(status, Some(b'R' | b'C')) {
                            let new = self::token(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                            renames.renamed.push(Renamed { commit: commit.clone(), old, new });
                        } else if raw.starts_with(b"120000") || raw.starts_with(b"160000") {
                            renames.others.push((commit.clone(), old));
                        }
                        if added.saturating_mul(removed) > RENAMED * RENAMED {
                            renames.skipped.insert(commit.clone());
                        }
                    }
                    id => {
                        (added, removed) = (0, 0);
                        let id = String::from_utf8_lossy(id);
                        id.split(' ').next().unwrap_or_default().trim().clone_into(&mut commit);
                    }
                }
            }
            Ok(())
        })?;
        Ok((renames, end))
    }
}

/// What commits did to names.
#[derive(Debug, Clone, Default)]
pub struct Renames {
    /// What was renamed.
    pub renamed: Vec<Renamed>,
    /// Links and submodules that a commit took away or made something else, by the commit's id.
    pub others: Vec<(String, Vec<u8>)>,
    /// Commits that added and removed too many files for git to compare them.
    pub skipped: BTreeSet<String>,
}

/// A file that a commit gave another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The commit's id.
    pub commit: String,
    /// The path before.
    pub old: Vec<u8>,
    /// The path after.
    pub new: Vec<u8>,
}

/// The paths to ask for: these, or where they are many, directories above them.
fn few(paths: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let mut paths = paths.clone();
    while paths.len() > PATHS {
        let deepest = paths.iter().map(|path| depth(path)).max().unwrap_or_default();
        let shorter = |path: Vec<u8>| {
            if depth(&path) < deepest {
                return path;
            }
            path.iter().rposition(|&b| b == b'/').map_or_else(Vec::new, |cut| path[..cut].to_vec())
        };
        paths = paths.into_iter().map(shorter).collect();
    }
    paths.into_iter().map(|path| if path.is_empty() { b".".to_vec() } else { path }).collect()
}

fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|&&b| b == b'/').count() }
}

/// What stands before the next NUL; `None` at the end.
fn token(from: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut token = Vec::new();
    from.read_until(0, &mut token)?;
    let whole = token.pop();
    match whole {
        None => Ok(None),
        Some(0) => Ok(Some(token)),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A commit of which the id has been read.
fn begun(id: &[u8], from: &mut dyn BufRead) -> io::Result<Step> {
    let mut text = || {
        let token = token(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&token).into_owned())
    };
    let parents = text()?;
    let (author, date, subject) = (text()?, text()?, text()?);
    let commit = Commit { id: String::from_utf8_lossy(id).into_owned(), author, date, subject };
    Ok(Step { commit, parents: parents.split_whitespace().count(), changes: Vec::new() })
}

/// One record: `:MODE MODE ID ID STATUS`, or of a merge one colon, mode and id for each parent before the last ones.
fn changed(raw: &[u8], path: Vec<u8>) -> Option<Changed> {
    let text = std::str::from_utf8(raw).ok()?;
    let parents = text.bytes().take_while(|&b| b == b':').count();
    let words: Vec<&str> = text[parents..].split(' ').collect();
    let [mode, object, status] = [parents, 2 * parents + 1, 2 * parents + 2].map(|at| words.get(at).copied());
    let was_directory = || words[..parents].contains(&DIRECTORY);
    let is_directory = match mode? {
        NOTHING => was_directory(),
        mode => mode == DIRECTORY,
    };
    let mode = mode.filter(|mode| *mode != NOTHING).map(Mode::of);
    let is_new = status?.bytes().all(|b| b == b'A');
    Some(Changed { path, mode, object: object?.to_owned(), is_new, is_directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_merges_are_read_too() {
        let one = changed(b":000000 120000 00 ab A", b"x".to_vec()).unwrap();
        assert_eq!((one.mode, one.object.as_str(), one.is_new), (Some(Mode::Link), "ab", true));
        let merge = changed(b"::100644 100755 100644 aa bb cc MM", b"x".to_vec()).unwrap();
        assert_eq!((merge.mode, merge.object.as_str(), merge.is_new), (Some(Mode::File), "cc", false));
        let gone = changed(b":100644 000000 aa 00 D", b"x".to_vec()).unwrap();
        assert_eq!(gone.mode, None);
        assert_eq!(changed(b":100644", b"x".to_vec()), None);
    }

    #[test]
    fn many_paths_become_few() {
        let paths: BTreeSet<Vec<u8>> = (0..200).map(|n| format!("a/b{}/{n}", n % 3).into_bytes()).collect();
        assert_eq!(few(&paths), [&b"a/b0"[..], b"a/b1", b"a/b2"].map(<[u8]>::to_vec).into());
        let paths: BTreeSet<Vec<u8>> = (0..200).map(|n| format!("{n}").into_bytes()).collect();
        assert_eq!(few(&paths), [b".".to_vec()].into());
    }
}
