//! A file that is changed on a branch of the repository: fetched, committed and pushed, and all of that again where others pushed
//! meanwhile.

use std::path::Path;

use super::{Cancelled, Mirror, MirrorError, REPOSITORY};
use crate::config::GitWay;
use crate::control::waits;
use crate::git::{BareRepository, FileChange, GitError, Limit, Remote};

/// The repository that commits are made in, in the mirror's directory: it is made for each attempt.
const PUSHED: &str = "push.git";
/// How often it is begun anew because others pushed meanwhile.
const ROUNDS: usize = 5;

/// What a file becomes.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The message of the commit.
    pub(crate) message: String,
}

/// Tells what the bytes of a file become; `None` stands for a file that is missing, and for no change.
pub(crate) type Changing<'a, E> = &'a dyn Fn(Option<&[u8]>) -> Result<Option<NewFile>, E>;

/// A file on a branch of a mirror's repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BranchFile<'a> {
    /// The branch; one that is missing begins at the branch of the mirror.
    pub(crate) branch: &'a str,
    /// The file, from the top of the repository.
    pub(crate) path: &'a Path,
}

impl Mirror {
    /// Commits what `change` makes of a file, and pushes that to its branch; gives the commit, or nothing where `change` wants
    /// nothing. What others push meanwhile stays, and `change` is asked again. Neither the mirror nor a run waits for it.
    ///
    /// # Errors
    /// When the server is not reached, not trusted, or refuses; and those of `change`.
    pub(crate) fn change_file<E: From<MirrorError>>(
        &self,
        file: BranchFile<'_>,
        change: Changing<'_, E>,
        cancelled: Cancelled<'_>,
    ) -> Result<Option<String>, E> {
        if self.source.way == GitWay::Here {
            return Err(MirrorError::HooksHere { url: self.url() }.into());
        }
        let remote = self.remote(cancelled)?;
        let failed = |error| self.failed(error, cancelled, waits::GIT_PUSH);
        let limit = Limit::new(waits::GIT_PUSH.most, cancelled);
        let repository = self.fresh_repository().map_err(failed)?;
        let mut round = 0;
        loop {
            round += 1;
            let tip = self.tip(&repository, &remote, file.branch, (&limit, cancelled))?;
            let before = repository.committed_file(&tip.commit, file.path, &limit).map_err(failed)?;
            let Some(new) = change(before.as_ref().map(|file| file.bytes.as_slice()))? else {
                return Ok(None);
            };
            let change = FileChange {
                path: file.path,
                before: before.as_ref(),
                bytes: &new.bytes,
                message: &new.message,
            };
            let commit = repository.commit_file(&tip.commit, change, &limit).map_err(failed)?;
            let Err(refused) = repository.push(&remote, &commit, file.branch, &limit) else {
                return Ok(Some(commit));
            };
            let is_again = !matches!(refused, GitError::Interrupted) && round < ROUNDS;
            let now = || repository.remote_branches(&remote, &[file.branch], &limit);
            if !(is_again && now().is_ok_and(|now| now.get(file.branch) != tip.of_branch.as_ref())) {
                return Err(failed(refused).into());
            }
            log::info!(branch = file.branch; "somebody else has pushed meanwhile: it is committed anew");
        }
    }

    /// The commit after which the next one of a branch comes, once it is fetched.
    fn tip(
        &self,
        repository: &BareRepository,
        remote: &Remote,
        branch: &str,
        (limit, cancelled): (&Limit<'_>, Cancelled<'_>),
    ) -> Result<Tip, MirrorError> {
        let failed = |error| self.failed(error, cancelled, waits::GIT_PUSH);
        let base = self.source.branch.as_str();
        let there = repository.remote_branches(remote, &[branch, base], limit).map_err(failed)?;
        let from = if there.contains_key(branch) { branch } else { base };
        let none = || MirrorError::NoBranch { url: self.url(), branch: from.to_owned() };
        if !there.contains_key(from) {
            return Err(none());
        }
        repository.fetch_branch(remote, from, limit).map_err(failed)?;
        let commit = repository.branch(from).map_err(failed)?.ok_or_else(none)?;
        let of_branch = (from == branch).then(|| commit.clone());
        Ok(Tip { commit, of_branch })
    }

    /// An empty repository that finds in the mirror what was fetched there.
    fn fresh_repository(&self) -> Result<BareRepository, GitError> {
        let place = self.dir.join(PUSHED);
        match std::fs::remove_dir_all(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let reason = crate::model::in_words(&error);
                return Err(GitError::Refused { what: "remove an old repository", reason });
            }
            _ => {}
        }
        let repository = BareRepository::open(&place)?;
        let mirrored = self.dir.join(REPOSITORY);
        if mirrored.exists() {
            repository.borrow_from(&mirrored)?;
        }
        Ok(repository)
    }
}

/// Where a branch is.
struct Tip {
    /// The commit that it is at, or would begin at.
    commit: String,
    /// The commit of the branch itself, where there is that branch.
    of_branch: Option<String>,
}
