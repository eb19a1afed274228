//! What git knows of the files on the disk, and of the user.

use std::path::Path;

use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::command;
use super::error::GitError;
use super::limit::{ask_soon, ask_soon_about, said};
use super::repository::Repository;
use crate::control::Environment;

/// The commit a work tree stands on.
#[derive(Debug, Clone)]
pub struct WorkTree {
    /// The commit's full id.
    pub commit: String,
    /// Whether the files that were asked for differ from it.
    pub dirty: bool,
    /// The repository, where it belongs to somebody else.
    pub foreign: Option<Repository>,
}

/// Asks git once about the work tree around `root`; `None` where there is none, or no commit yet. `files` are
/// the names below `dir` that count, each with its content, where there is one that could be read.
///
/// # Errors
/// When there is no git, or it does not read the repository.
pub fn work_tree<'a, E>(
    root: &Path,
    dir: &str,
    files: impl Iterator<Item = (&'a str, Option<Result<&'a [u8], E>>)>,
) -> Result<Option<WorkTree>, GitError> {
    let files: Vec<_> = files.collect();
    let mut names = "HEAD^{commit}\n".to_owned();
    names.extend(files.iter().map(|(name, _)| format!("HEAD:./{dir}/{name}\n")));
    let (ids, foreign) = match ids(root, &names) {
        Err(GitError::NoRepository { .. }) => return Ok(None),
        other => other?,
    };
    let mut ids = ids.into_iter();
    let Some(commit) = ids.next().flatten() else { return Ok(None) };
    let is_as_committed = files.iter().zip(ids).all(|((_, there), id)| match (there, id) {
        (None, None) => true,
        (Some(Ok(bytes)), Some(id)) => blob_id(bytes, id.len()) == id,
        _ => false,
    });
    Ok(Some(WorkTree { commit, dirty: !is_as_committed, foreign }))
}

/// The ids of the objects that `names` lead to, one in a line, seen from `root`; and the repository, where it belongs to
/// somebody else.
fn ids(root: &Path, names: &str) -> Result<(Vec<Option<String>>, Option<Repository>), GitError> {
    let ask = |trusted: bool| {
        let mut git = command::git(root, trusted);
        git.args(["cat-file", "--batch-check=%(objectname)"]);
        ask_soon_about(git, names.as_bytes())
    };
    let mut answer = ask(false)?;
    let mut foreign = None;
    if answer.code != Some(0) {
        foreign = Some(Repository::around(root)?).filter(|repository| repository.foreign_owner().is_some());
        answer = ask(foreign.is_some())?;
    }
    let text = said(&answer.stdout);
    let is_id = |line: &&str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
    let ids: Vec<_> = text.lines().map(|line| Some(line).filter(is_id).map(str::to_owned)).collect();
    if answer.code != Some(0) || ids.len() != names.lines().count() {
        return Err(GitError::Refused { what: "name its objects", reason: answer.said });
    }
    Ok((ids, foreign))
}

/// The id that git gives a file as it is, in as many hexadecimal digits as its repository's ids have: 40 of SHA-1, 64 of
/// SHA-256, over `blob`, a space, the length in decimal, a zero byte and the content (gitformat-loose-object(5)).
fn blob_id(content: &[u8], digits: usize) -> String {
    let head = format!("blob {}\0", content.len());
    if digits == 64 {
        let digest = Sha256::new().chain_update(head).chain_update(content).finalize();
        return HEXLOWER.encode(&digest);
    }
    HEXLOWER.encode(&Sha1::new().chain_update(head).chain_update(content).finalize())
}

/// Beginnings of the variables that hold settings of git: git(1), `GIT_CONFIG_COUNT`. The last is that of `git -c`.
const CONFIGURATION: [&str; 4] =
    ["GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_CONFIG_PARAMETERS"];

/// Whom git would name if a commit were made here, by all of its rules: `Name <address>`, or the name that it was told
/// where it has no address; `None` where it would refuse, or, unless it `may_guess`, make them up from the account and the
/// machine.
#[must_use]
pub fn identity(root: &Path, environment: &Environment, may_guess: bool) -> Option<String> {
    let ask = |address: Option<&str>| {
        let mut git = command::git(root, false);
        // A date that git cannot read would be its only answer.
        git.env_remove("GIT_COMMITTER_DATE");
        git.envs(CONFIGURATION.into_iter().flat_map(|beginning| environment.beginning(beginning)));
        if let Some(address) = address {
            git.env("GIT_COMMITTER_EMAIL", address);
        }
        if address.is_some() || !may_guess {
            git.args(["-c", "user.useConfigOnly=true"]);
        }
        git.args(["var", "GIT_COMMITTER_IDENT"]);
        let output = ask_soon(git).ok().filter(|output| output.code == Some(0))?;
        // Behind the address stand the time and the zone.
        let text = said(&output.stdout);
        let (name, rest) = text.split_once(" <")?;
        let (address, _) = rest.split_once('>')?;
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), address.to_owned()))
    };
    match ask(None) {
        Some((name, address)) if address.is_empty() => Some(name),
        Some((name, address)) => Some(format!("{name} <{address}>")),
        None => ask(Some("nobody@localhost")).map(|(name, _)| name),
    }
}
