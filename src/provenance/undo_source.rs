//! Sources of an undo: the commit that holds what the baseline has of a finding, and how a command writes it; only what
//! was computed to give the baseline's bytes at that very path.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::holding::{Holding, Listing, by_path};
use super::places::{NoPath, Places, as_path};
use crate::git::{GitError, Limit, PassedOver, Repository, Revision};
use crate::model::{Finding, Holder, Value, joined, readable};

/// Files of a module that a command names where it may name the module instead.
const FEW: usize = 1;

/// How a commit's files get to where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `git restore` writes them into the work tree.
    Restore,
    /// `git restore` writes them, told the subject alone: it leaves all else that the commit has of the subject as it is.
    RestoreAll,
    /// The one file is written as it is stored.
    Stored,
    /// They are checked out in another directory, and copied from there.
    Checkout,
}

/// Where the baseline's files of a finding are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoSource {
    /// The commit's full id.
    pub commit: String,
    /// The subject's path in it, from the uppermost directory.
    pub from: Vec<u8>,
    /// The path in the work tree that the subject's place leads to, from the project's root; it may begin with `..`.
    pub to: Vec<u8>,
    /// How they are written.
    pub how: How,
    /// Whether a command may name the subject as a whole: git leaves all else of it as it is.
    pub takes_whole: bool,
    /// Whether the only file may be executed.
    pub is_executable: bool,
    /// Whether git must be told to leave replaced objects alone.
    pub has_replacements: bool,
    /// Paths in a module, at or above files that are wanted, where something else stands that is put aside first.
    pub aside: Vec<Vec<u8>>,
}

impl UndoSource {
    /// How many files a command names at most.
    pub const NAMED: usize = 50;
}

/// Words for where no commit helps.
const ELSEWHERE: &str = "deploy the release again, or restore it from a backup";

/// Why a finding has no source, with what to do instead.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoSource {
    /// The finding is on a path of the host's own.
    #[error("it lies outside the project, where git has nothing; {ELSEWHERE}")]
    Outside,
    /// The repository has no path for it.
    #[error("{0}; restore it there")]
    NoPath(#[from] NoPath),
    /// A link above it is another one than the commit's.
    #[error("the link {} on the way to it is not the one that is committed; look at it with: git status", readable(.0).0)]
    OtherLink(Vec<u8>),
    /// Git runs as somebody else.
    #[error(
        "the git repository belongs to another user (uid {0}); run driftlock as that user to get the command"
    )]
    Foreign(u32),
    /// Nothing was ever committed.
    #[error("the git repository has no commit yet; {ELSEWHERE}")]
    NoCommit,
    /// Git failed.
    #[error("{0}; {ELSEWHERE}")]
    Git(GitError),
    /// The time was over.
    #[error("there was not enough time to find a commit that holds it; {ELSEWHERE}")]
    TooLate,
    /// A part of a module could not be looked at.
    #[error("a part of it could not be read; see to that first")]
    Unread,
    /// The baseline has no list of a module's files.
    #[error("the baseline does not say which of its files differ; deploy the release again")]
    Unlisted,
    /// A shell drops the end of the name.
    #[error("a name that ends in a line feed fits in no command; restore it by hand")]
    LineFeed,
    /// A link belongs on a target.
    #[error("a symbolic link is among its files: deploy the release again, or restore it by hand")]
    LinkOnTarget,
    /// A link belongs into the work tree, and git would make a file of it, or leave it.
    #[error(
        "a symbolic link is among its files, which git does not restore as it is configured; restore it by hand"
    )]
    LinkNotRestored,
    /// A directory stands where a file of a module belongs on a target.
    #[error("a directory stands in place of one of its files; see to that first")]
    DirectoryOnTarget,
    /// A directory stands where the file belongs.
    #[error("a directory stands in its place; see to that first")]
    DirectoryInPlace,
    /// Neither file, link nor directory stands there.
    #[error("something stands in its place that is no file; see to that first")]
    NoFile,
    /// Something else stands where a directory belongs.
    #[error("{} is no directory; see to that first", readable(.0).0)]
    NoDirectory(Vec<u8>),
    /// No commit that stays gives the baseline's bytes.
    #[error(
        "no commit of a branch or tag was found that gives the baseline's content at {}; {ELSEWHERE}",
        readable(.0).0
    )]
    Nowhere(Vec<u8>),
}

impl From<GitError> for NoSource {
    fn from(error: GitError) -> Self {
        if matches!(error, GitError::Interrupted) { Self::TooLate } else { Self::Git(error) }
    }
}

/// Looks for the source of each finding's undo; `in_tree` says that the findings are of the project's own tree. Without
/// a repository there is neither a source nor a reason.
#[must_use]
pub fn sources(
    root: &Path,
    findings: &[&Finding],
    in_tree: bool,
    time: Duration,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Vec<Option<Result<UndoSource, NoSource>>> {
    let limit = Limit::new(time, cancelled);
    let found = match Repository::around(root) {
        Err(GitError::NoGit { .. } | GitError::NoRepository { .. }) => return vec![None; findings.len()],
        Err(why) => Err(NoSource::from(why)),
        Ok(repository) => {
            let repository = repository.without_filters();
            Finder::new(root, &repository, in_tree, limit).map(|finder| finder.find(findings))
        }
    };
    match found {
        Ok(found) => found.into_iter().map(Some).collect(),
        Err(why) => vec![Some(Err(why)); findings.len()],
    }
}

/// One finding's files, as the baseline has them.
pub(super) struct Wanted<'a> {
    pub(super) to: Vec<u8>,
    pub(super) is_module: bool,
    pub(super) files: Vec<(&'a [u8], &'a Value)>,
    pub(super) aside: Vec<Vec<u8>>,
    pub(super) may_restore: bool,
    pub(super) holders: Vec<Holder>,
}

impl Wanted<'_> {
    pub(super) fn has_links(&self) -> bool {
        self.files.iter().any(|(_, value)| matches!(value, Value::Link(_)))
    }
}

/// A finding's files beside its number and the path that a commit has of its subject.
type Candidate<'a> = (usize, &'a Wanted<'a>, &'a [u8]);

/// The search for the sources of findings.
pub(super) struct Finder<'a> {
    pub(super) root: &'a Path,
    pub(super) repository: &'a Repository,
    pub(super) in_tree: bool,
    pub(super) head: Revision,
    pub(super) committed: Listing,
    /// What git passes over; `None` where its restoring is not to be relied on.
    pub(super) passed_over: Option<PassedOver>,
    has_replacements: bool,
    pub(super) limit: Limit<'a>,
    /// Whether links of the work tree are as committed, by their path.
    pub(super) links: RefCell<BTreeMap<Vec<u8>, bool>>,
}

impl<'a> Finder<'a> {
    fn new(
        root: &'a Path,
        repository: &'a Repository,
        in_tree: bool,
        limit: Limit<'a>,
    ) -> Result<Self, NoSource> {
        if let Some(owner) = repository.foreign_owner() {
            return Err(NoSource::Foreign(owner));
        }
        let head = repository.head()?.ok_or(NoSource::NoCommit)?;
        let restores = in_tree && !repository.restores_otherwise(&limit);
        let passed_over = match restores.then(|| repository.passed_over(&limit)) {
            Some(Err(GitError::Interrupted)) => return Err(NoSource::TooLate),
            passed_over => passed_over.and_then(Result::ok),
        };
        Ok(Self {
            root,
            repository,
            in_tree,
            committed: by_path(&head)?,
            head,
            passed_over,
            has_replacements: repository.has_replacements(&limit)?,
            limit,
            links: RefCell::default(),
        })
    }

    fn find(&self, findings: &[&Finding]) -> Vec<Result<UndoSource, NoSource>> {
        let places = Places::among(self.root, self.repository, self.committed.values());
        let attributes: Vec<Vec<u8>> = findings.iter().flat_map(|finding| attributes_of(finding)).collect();
        let wanted: Vec<Result<Wanted<'_>, NoSource>> =
            findings.iter().map(|finding| self.wanted(&places, finding, &attributes)).collect();
        let mut found: Vec<Option<UndoSource>> = vec![None; findings.len()];
        let mut kept: HashMap<&str, bool> = HashMap::from([(self.head.commit.as_str(), true)]);
        let mut trouble = None;
        let rounds = wanted.iter().flatten().map(|one| one.holders.len()).max().unwrap_or_default();
        for round in 0..rounds {
            let mut asked: BTreeMap<&str, Vec<Candidate<'_>>> = BTreeMap::new();
            for (at, one) in wanted.iter().enumerate() {
                let Some((one, holder)) =
                    one.as_ref().ok().and_then(|one| Some((one, one.holders.get(round)?)))
                else {
                    continue;
                };
                if found[at].is_none() {
                    asked.entry(&holder.commit).or_default().push((at, one, &holder.path));
                }
            }
            for (commit, group) in asked {
                if self.limit.is_over()
                    || !*kept.entry(commit).or_insert_with(|| self.repository.keeps(commit, &self.limit))
                {
                    continue;
                }
                match self.held(commit, &group) {
                    Ok(sources) => sources.into_iter().for_each(|(at, source)| found[at] = Some(source)),
                    Err(error) => trouble = Some(error),
                }
            }
        }
        let is_over = self.limit.is_over();
        let why = |wanted: Wanted<'_>| match &trouble {
            _ if is_over => NoSource::TooLate,
            Some(error) => NoSource::Git(error.clone()),
            None => NoSource::Nowhere(wanted.to),
        };
        let end = |(wanted, found): (Result<_, NoSource>, Option<UndoSource>)| {
            wanted.and_then(|wanted| found.ok_or_else(|| why(wanted)))
        };
        wanted.into_iter().zip(found).map(end).collect()
    }

    /// Those of these findings that a commit is a source of.
    fn held(&self, commit: &str, group: &[Candidate<'_>]) -> Result<Vec<(usize, UndoSource)>, GitError> {
        let (own_revision, own_listing);
        let (revision, listed) = if commit == self.head.commit {
            (&self.head, &self.committed)
        } else {
            own_revision = self.repository.at(commit);
            own_listing = by_path(&own_revision)?;
            (&own_revision, &own_listing)
        };
        let mut holding = Holding::new(revision, listed, &self.limit);
        let candidates: Vec<Candidate<'_>> =
            group.iter().copied().filter(|(_, one, from)| holding.lists(from, &one.files)).collect();
        let paths = |candidates: &[Candidate<'_>]| -> Vec<Vec<u8>> {
            let files = candidates
                .iter()
                .flat_map(|(_, one, from)| one.files.iter().map(|(inner, _)| joined(from, inner)));
            files.collect()
        };
        holding.learn_stored(&paths(&candidates))?;
        let (restorable, mut rest): (Vec<Candidate<'_>>, Vec<Candidate<'_>>) =
            candidates.into_iter().partition(|(_, one, from)| self.may_restore(listed, one, from));
        holding.learn_restored(&paths(&restorable))?;
        let mut sources = Vec::new();
        for (at, one, from) in restorable {
            if holding.restores(from, &one.files) {
                let takes_whole = self.leaves_rest(listed, one);
                let how = if takes_whole && self.is_whole(one) { How::RestoreAll } else { How::Restore };
                sources.push((at, UndoSource { takes_whole, ..self.source(commit, one, from, how) }));
            } else {
                rest.push((at, one, from));
            }
        }
        rest.retain(|(_, one, _)| !one.has_links());
        holding.learn_written(&paths(&rest))?;
        for (at, one, from) in rest.into_iter().filter(|(_, one, from)| holding.writes(from, &one.files)) {
            let single = one.files.first().filter(|_| one.files.len() == 1);
            let path = single.map(|(inner, _)| joined(from, inner));
            let is_stored = path.as_ref().is_some_and(|path| holding.is_plain(path));
            let how = if is_stored { How::Stored } else { How::Checkout };
            let is_executable =
                path.and_then(|path| listed.get(&path)).is_some_and(|listed| listed.is_executable);
            sources.push((at, UndoSource { is_executable, ..self.source(commit, one, from, how) }));
        }
        Ok(sources)
    }

    /// Whether `git restore` may write a finding's files: at the path where the commit has them, and none that it passes
    /// over.
    fn may_restore(&self, listed: &Listing, one: &Wanted<'_>, from: &[u8]) -> bool {
        let Some(passed_over) = self.passed_over.as_ref().filter(|_| one.may_restore && from == one.to)
        else {
            return false;
        };
        one.files.iter().all(|(inner, _)| {
            let path = joined(from, inner);
            listed.get(&path).is_some_and(|listed| !passed_over.has(&path, &listed.object))
        })
    }

    /// Whether a command that may name a module does so, and not its files: more of them differ than it names, or nothing of
    /// the module is there.
    fn is_whole(&self, one: &Wanted<'_>) -> bool {
        let is_gone = || self.repository.top().join(as_path(&one.to)).symlink_metadata().is_err();
        one.is_module && (one.files.len() > FEW || is_gone())
    }

    /// Whether git leaves all else that the commit has of a subject as it is.
    fn leaves_rest(&self, listed: &Listing, one: &Wanted<'_>) -> bool {
        let Some(passed_over) = self.passed_over.as_ref() else { return false };
        if !one.is_module {
            return true;
        }
        let inside = [&one.to, &b"/"[..]].concat();
        let wanted: HashSet<Vec<u8>> = one.files.iter().map(|(inner, _)| joined(&one.to, inner)).collect();
        let mut module = listed.range(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside));
        module.all(|(path, entry)| wanted.contains(path) || passed_over.is_untouched(entry))
    }

    fn source(&self, commit: &str, one: &Wanted<'_>, from: &[u8], how: How) -> UndoSource {
        UndoSource {
            commit: commit.to_owned(),
            from: from.to_vec(),
            to: from_root(self.repository.prefix(), &one.to),
            how,
            takes_whole: false,
            is_executable: false,
            has_replacements: self.has_replacements,
            aside: one.aside.clone(),
        }
    }
}

/// The files of attributes that a finding's undo writes or puts aside.
fn attributes_of(finding: &Finding) -> Vec<Vec<u8>> {
    let parts = finding.parts.iter().map(|part| joined(&finding.place, &part.path));
    let all = parts.chain([finding.place.clone()]);
    all.filter(|path| path.rsplit(|&b| b == b'/').next() == Some(b".gitattributes")).collect()
}

/// A path from the uppermost directory as one from the root, which lies at `prefix`.
pub(super) fn from_root(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let mut above: Vec<&[u8]> = prefix.split(|&b| b == b'/').filter(|name| !name.is_empty()).collect();
    let mut below: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    while below.len() > 1 && above.first().is_some_and(|name| *name == below[0]) {
        above.remove(0);
        below.remove(0);
    }
    std::iter::repeat_n(&b".."[..], above.len()).chain(below).collect::<Vec<_>>().join(&b'/')
}
