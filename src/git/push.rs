//! Committing one file to a branch of another repository: without a work tree, without what is configured, and never by force.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use super::bare::{BareRepository, Remote, ask_about};
use super::error::GitError;
use super::limit::{self, Limit};
use super::revision::Mode;

/// The name and the address of whoever commits: those of the agent.
const COMMITTER: (&str, &str) = ("driftlock serve", "driftlock@localhost");
/// The mode of a file that is new.
const PLAIN: &str = "100644";
/// The size of a larger file, in bytes, which is not read.
const LARGEST_FILE: u64 = 64 << 20;
/// The index of a commit that is being made, in the repository's directory.
const INDEX: &str = "commit.index";

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedFile {
    /// Its mode, as git writes it.
    mode: String,
    /// Its bytes, as they are stored.
    pub(crate) bytes: Vec<u8>,
}

/// A change of one file, to be committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileChange<'a> {
    /// The file, from the top of the repository.
    pub(crate) path: &'a Path,
    /// The file before; `None` where it is new.
    pub(crate) before: Option<&'a CommittedFile>,
    /// What is in it afterwards.
    pub(crate) bytes: &'a [u8],
    /// The message of the commit.
    pub(crate) message: &'a str,
}

impl BareRepository {
    /// Finds objects in another repository of this machine, too, so that these are not fetched.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub(crate) fn borrow_from(&self, other: &Path) -> Result<(), GitError> {
        let line = [other.join("objects").as_os_str().as_bytes(), b"\n"].concat();
        let failed = |error: std::io::Error| GitError::Refused {
            what: "borrow objects",
            reason: crate::model::in_words(&error),
        };
        let dir = self.dir().join("objects/info");
        std::fs::create_dir_all(&dir).map_err(failed)?;
        std::fs::write(dir.join("alternates"), line).map_err(failed)
    }

    /// The commits that branches of another repository are at, by their names; one that it has not is left out.
    ///
    /// # Errors
    /// When the other side does not answer, or refuses, or the time is over.
    pub(crate) fn remote_branches(
        &self,
        from: &Remote,
        names: &[&str],
        limit: &Limit<'_>,
    ) -> Result<BTreeMap<String, String>, GitError> {
        let mut git = self.git_to(from);
        git.args(["ls-remote", "--quiet", "--"]).arg(&from.url);
        git.args(names.iter().map(|name| format!("refs/heads/{name}")));
        let said = ask_about("ask for branches", git, &[], limit)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let pairs = said.lines().filter_map(|line| line.split_once("\trefs/heads/"));
        let wanted = pairs.filter(|(_, name)| names.contains(name));
        Ok(wanted.map(|(commit, name)| (name.to_owned(), commit.to_owned())).collect())
    }

    /// Fetches one branch, and nothing else.
    ///
    /// # Errors
    /// As [`BareRepository::remote_branches`].
    pub(crate) fn fetch_branch(
        &self,
        from: &Remote,
        branch: &str,
        limit: &Limit<'_>,
    ) -> Result<(), GitError> {
        let mut git = self.git_to(from);
        git.args(["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules"]);
        git.args(["--no-auto-maintenance", "--force", "--"]).arg(&from.url);
        git.arg(format!("+refs/heads/{branch}:refs/heads/{branch}"));
        ask_about("fetch", git, &[], limit).map(drop)
    }

    /// A file of a commit; `None` where there is none.
    ///
    /// # Errors
    /// When it is a link, a directory or too large, or git does not answer in time.
    pub(crate) fn committed_file(
        &self,
        commit: &str,
        path: &Path,
        limit: &Limit<'_>,
    ) -> Result<Option<CommittedFile>, GitError> {
        let refused = |reason: &str| {
            let reason = format!("{} {reason}", crate::model::printable_path(path));
            Err(GitError::Refused { what: "read a file of a commit", reason })
        };
        let mut git = self.git();
        git.args(["ls-tree", "-z", "-l", "--full-tree", commit, "--"]).arg(path);
        let listed = ask_about("list a file of a commit", git, &[], limit)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let Some((about, _)) = listed.split_once('\t') else { return Ok(None) };
        let words: Vec<&str> = about.split_whitespace().collect();
        let [mode, "blob", object, size] = words.as_slice() else { return refused("is no file") };
        if Mode::of(mode) != Mode::File {
            return refused("is a link, and nothing is written through one");
        }
        if size.parse::<u64>().is_ok_and(|size| size > LARGEST_FILE) {
            return refused("is too large");
        }
        let mut git = self.git();
        git.args(["cat-file", "blob", object]);
        let bytes = ask_about("read a file of a commit", git, &[], limit)?;
        Ok(Some(CommittedFile { mode: (*mode).to_owned(), bytes }))
    }

    /// Makes a commit after another one in which one file is changed, and nothing else; gives its id.
    ///
    /// # Errors
    /// When git cannot write it, or does not answer in time.
    pub(crate) fn commit_file(
        &self,
        parent: &str,
        change: FileChange<'_>,
        limit: &Limit<'_>,
    ) -> Result<String, GitError> {
        let index = self.dir().join(INDEX);
        let _ = std::fs::remove_file(&index);
        let ask = |what, args: &[OsString], input: &[u8]| {
            let mut git = self.git();
            let (name, address) = COMMITTER;
            for role in ["AUTHOR", "COMMITTER"] {
                git.env(format!("GIT_{role}_NAME"), name).env(format!("GIT_{role}_EMAIL"), address);
            }
            git.env("GIT_INDEX_FILE", &index).args(args);
            let said = ask_about(what, git, input, limit)?;
            Ok::<_, GitError>(String::from_utf8_lossy(&said).trim().to_owned())
        };
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // Without a path no filter is applied.
        let object =
            ask("store a file", &words(&["hash-object", "-w", "--no-filters", "--stdin"]), change.bytes)?;
        ask("read a commit", &words(&["read-tree", "--empty"]), &[])?;
        ask("read a commit", &words(&["read-tree", parent]), &[])?;
        let mode = change.before.map_or(PLAIN, |before| &before.mode);
        let mut entry = OsString::from(format!("{mode},{object},"));
        entry.push(change.path);
        let put = [words(&["update-index", "--add", "--cacheinfo"]), vec![entry]].concat();
        ask("put a file into a commit", &put, &[])?;
        let tree = ask("write a commit", &words(&["write-tree"]), &[])?;
        let commit = words(&["commit-tree", "--no-gpg-sign", &tree, "-p", parent, "-F", "-"]);
        ask("write a commit", &commit, change.message.as_bytes())
    }

    /// Has a branch of another repository go on to a commit, which comes after what it is at: otherwise it is refused there.
    ///
    /// # Errors
    /// When the other side does not answer, or refuses, or the time is over.
    pub(crate) fn push(
        &self,
        to: &Remote,
        commit: &str,
        branch: &str,
        limit: &Limit<'_>,
    ) -> Result<(), GitError> {
        let mut git = self.git_to(to);
        git.args(["push", "--quiet", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed"]);
        git.args(["--recurse-submodules=no", "--"]).arg(&to.url);
        git.arg(format!("{commit}:refs/heads/{branch}"));
        let answer = limit::ask(git, &[], &|| limit.is_over())?;
        if answer.code == Some(0) {
            return Ok(());
        }
        Err(GitError::Refused { what: "push", reason: why_refused(&answer.stdout, &answer.said) })
    }

    fn git_to(&self, remote: &Remote) -> Command {
        let mut git = self.git();
        remote.allow(&mut git);
        git
    }
}

/// The reason for which a push was refused: what the line of the branch says, with what the other side said of its own.
fn why_refused(listed: &[u8], said: &str) -> String {
    let listed = String::from_utf8_lossy(listed);
    let of_branch = listed.lines().find_map(|line| line.strip_prefix("!\t")?.split('\t').nth(1));
    // Git's own last line says no more than the line of the branch.
    let of_server = Some(said.trim_start_matches("remote:").trim());
    let of_server =
        of_server.filter(|said| !said.is_empty() && !said.starts_with("failed to push some refs"));
    match (of_branch, of_server) {
        (Some(branch), Some(server)) => format!("{branch}: {server}"),
        (Some(branch), None) => branch.to_owned(),
        (None, _) if said.is_empty() => "it gave no reason".to_owned(),
        (None, _) => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_the_branch_and_that_of_the_server() {
        let listed =
            b"To ssh://h/x\n!\tabc:refs/heads/acks\t[remote rejected] (pre-receive hook declined)\nDone\n";
        let refused = "[remote rejected] (pre-receive hook declined)";
        assert_eq!(why_refused(listed, "remote: not on Fridays  "), format!("{refused}: not on Fridays"));
        assert_eq!(why_refused(listed, "failed to push some refs"), refused);
        assert_eq!(why_refused(b"", "Permission denied (publickey)."), "Permission denied (publickey).");
        assert_eq!(why_refused(b"", ""), "it gave no reason");
    }
}
