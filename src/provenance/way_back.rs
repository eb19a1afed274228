//! From which commit, and how, a command writes what the baseline has of a finding: only what was computed to give the
//! baseline's bytes at that very path.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::holders::joined;
use super::is_module;
use super::places::Places;
use crate::git::{
    Checkout, End, Form, GitError, Limit, Listed, Mode, PassedOver, Repository, Revision, Treatment,
};
use crate::model::{Digest, Finding, Hasher, Holder, Kind, Value, readable};

/// How many files of a module a command names where it may name the module instead.
const FEW: usize = 1;
/// How many files that git converts are computed for one commit.
const CONVERTED: usize = 100;

/// How a commit's files get to where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `git restore` writes them into the work tree.
    Restore,
    /// `git restore` writes all that the commit has of the subject; but for them that is what is there.
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

/// A path from the uppermost directory as one from the root, which lies at `prefix`.
fn from_root(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let mut above: Vec<&[u8]> = prefix.split(|&b| b == b'/').filter(|name| !name.is_empty()).collect();
    let mut below: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    while below.len() > 1 && above.first().is_some_and(|name| *name == below[0]) {
        above.remove(0);
        below.remove(0);
    }
    std::iter::repeat_n(&b".."[..], above.len()).chain(below).collect::<Vec<_>>().join(&b'/')
}

/// Looks for the source of each finding's undo; `in_tree` says that the findings are of the project's own tree. Where
/// there is none, the reason stands in its place, with what to do instead; without a repository there is nothing to say.
#[must_use]
pub fn sources(
    root: &Path,
    findings: &[&Finding],
    in_tree: bool,
    time: Duration,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Vec<Option<Result<UndoSource, String>>> {
    let limit = Limit::new(time, cancelled);
    let refuse = |why: String| findings.iter().map(|_| Some(Err(why.clone()))).collect();
    let repository = match Repository::around(root) {
        Ok(repository) => repository.without_filters(),
        Err(GitError::NoGit { .. } | GitError::NoRepository { .. }) => return vec![None; findings.len()],
        Err(why) => return refuse(format!("{why}; {ELSEWHERE}")),
    };
    if let Some(owner) = repository.foreign_owner() {
        return refuse(format!(
            "the git repository belongs to another user (uid {owner}); run driftlock as that user to get the command"
        ));
    }
    let Ok(head) = repository.resolve("HEAD") else {
        return refuse(format!("the git repository has no commit yet; {ELSEWHERE}"));
    };
    Finder::new(root, &repository, head, in_tree, limit).find(findings).into_iter().map(Some).collect()
}

/// What helps where no commit does.
const ELSEWHERE: &str = "deploy the release again, or restore it from a backup";

/// One finding's files, as the baseline has them.
struct Wanted<'a> {
    to: Vec<u8>,
    is_module: bool,
    files: Vec<(&'a [u8], &'a Value)>,
    aside: Vec<Vec<u8>>,
    may_restore: bool,
    holders: Vec<Holder>,
}

struct Finder<'a> {
    root: &'a Path,
    repository: &'a Repository,
    head: Revision,
    committed: BTreeMap<Vec<u8>, Listed>,
    in_tree: bool,
    restores: bool,
    has_replacements: bool,
    passed_over: PassedOver,
    limit: Limit<'a>,
}

impl<'a> Finder<'a> {
    fn new(
        root: &'a Path,
        repository: &'a Repository,
        head: Revision,
        in_tree: bool,
        limit: Limit<'a>,
    ) -> Self {
        let passed_over = repository.passed_over();
        Self {
            root,
            repository,
            committed: by_path(&head),
            head,
            in_tree,
            restores: in_tree && passed_over.is_ok() && !repository.restores_otherwise(),
            has_replacements: repository.has_replacements(),
            passed_over: passed_over.unwrap_or_default(),
            limit,
        }
    }

    fn find(&self, findings: &[&Finding]) -> Vec<Result<UndoSource, String>> {
        let places = Places::new(self.root, self.repository);
        let wanted: Vec<Result<Wanted<'_>, String>> =
            findings.iter().map(|finding| self.wanted(&places, finding)).collect();
        let mut found: Vec<Option<UndoSource>> = vec![None; findings.len()];
        let mut kept: HashMap<String, bool> = HashMap::from([(self.head.commit.clone(), true)]);
        let rounds = wanted.iter().flatten().map(|one| one.holders.len()).max().unwrap_or_default();
        for round in 0..rounds {
            let mut asked: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (at, one) in wanted.iter().enumerate() {
                let holder = one.as_ref().ok().and_then(|one| one.holders.get(round));
                if let Some(holder) = holder.filter(|_| found[at].is_none()) {
                    asked.entry(&holder.commit).or_default().push(at);
                }
            }
            for (commit, group) in asked {
                let stays = *kept.entry(commit.to_owned()).or_insert_with(|| self.repository.keeps(commit));
                if !stays || self.limit.is_over() {
                    continue;
                }
                let group: Vec<(usize, &Wanted<'_>, &[u8])> = group
                    .into_iter()
                    .filter_map(|at| {
                        let one = wanted[at].as_ref().ok()?;
                        Some((at, one, one.holders[round].path.as_slice()))
                    })
                    .collect();
                for (at, source) in self.held(commit, &group) {
                    found[at] = Some(source);
                }
            }
        }
        let is_over = self.limit.is_over();
        let end = |(wanted, found): (Result<Wanted<'_>, String>, Option<UndoSource>)| {
            let wanted = wanted?;
            found.ok_or_else(|| wanted.nowhere(is_over))
        };
        wanted.into_iter().zip(found).map(end).collect()
    }

    /// The files that must be written, where nothing stands in the way of that.
    fn wanted<'f>(&self, places: &Places<'_>, finding: &'f Finding) -> Result<Wanted<'f>, String> {
        if finding.place.starts_with(b"/") {
            return Err(format!("it lies outside the project, where git has nothing; {ELSEWHERE}"));
        }
        if finding.parts.iter().any(|part| part.kind == Kind::Unreadable) {
            return Err("a part of it could not be read; see to that first".to_owned());
        }
        let to = places.find(&finding.place).map_err(|why| format!("{why}; restore it there"))?;
        self.links_are_committed(&finding.place)?;
        let is_module = is_module(finding);
        let files: Vec<(&[u8], &Value)> = if is_module {
            let parts = finding.parts.iter().filter(|part| part.expected != Value::Absent);
            parts.map(|part| (part.path.as_slice(), &part.expected)).collect()
        } else {
            vec![(&[][..], &finding.expected)]
        };
        if is_module && finding.parts.is_empty() {
            return Err(
                "the baseline does not say which of its files differ; deploy the release again".to_owned()
            );
        }
        let paths = || files.iter().map(|(inner, _)| joined(&to, inner));
        if paths().chain([finding.place.clone()]).any(|path| path.ends_with(b"\n")) {
            return Err("a name that ends in a line feed fits in no command; restore it by hand".to_owned());
        }
        let has_links = files.iter().any(|(_, value)| is_link(value));
        if has_links && !self.in_tree {
            return Err(
                "a symbolic link is among its files: deploy the release again, or restore it by hand"
                    .to_owned(),
            );
        }
        let is_below =
            |path: &[u8], dir: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        let is_directory = |(inner, _): &(&[u8], &Value)| {
            finding.parts.iter().any(|part| part.kind == Kind::Unexpected && is_below(&part.path, inner))
        };
        if !self.in_tree && files.iter().any(is_directory) {
            return Err("a directory stands in place of one of its files; see to that first".to_owned());
        }
        let aside = if self.in_tree { self.aside(&to, &files, finding)? } else { Vec::new() };
        let is_own = |(inner, _): &(&[u8], &Value)| inner.ends_with(b".gitattributes");
        let may_restore = self.restores && !(files.len() > 1 && files.iter().any(is_own));
        if has_links && !may_restore {
            return Err("a symbolic link is among its files, which git does not restore as it is configured; restore it by hand".to_owned());
        }
        let head = Holder { commit: self.head.commit.clone(), path: to.clone() };
        let known = finding.provenance.iter().flat_map(|provenance| provenance.holders.iter().cloned());
        let holders = [head.clone()].into_iter().chain(known.filter(|holder| *holder != head)).collect();
        Ok(Wanted { to, is_module, files, aside, may_restore, holders })
    }

    /// That each link on the way to a place is as what is checked out has it: a link that was switched is to be switched
    /// back, and what lies behind it now is to be left alone.
    fn links_are_committed(&self, place: &[u8]) -> Result<(), String> {
        let mut dir = self.root.to_owned();
        for name in place.split(|&b| b == b'/') {
            dir.push(OsStr::from_bytes(name));
            if !dir.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                continue;
            }
            let text = std::fs::read_link(&dir).unwrap_or_default();
            let above = dir.parent().and_then(|above| above.canonicalize().ok()).unwrap_or_default();
            let top = self.repository.top();
            let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
            let real = above.join(OsStr::from_bytes(name));
            let Ok(path) = real.strip_prefix(&top) else { continue };
            let path = path.as_os_str().as_bytes();
            if !self.is_committed_link(path, text.as_os_str().as_bytes()) {
                let shown = readable(path).0;
                return Err(format!(
                    "the link {shown} on the way to it is not the one that is committed; look at it with: git status"
                ));
            }
        }
        Ok(())
    }

    fn is_committed_link(&self, path: &[u8], text: &[u8]) -> bool {
        let Some(listed) = self.committed.get(path) else {
            let inside = [path, b"/"].concat();
            let first = self.committed.range(inside.clone()..).next();
            return first.is_none_or(|(path, _)| !path.starts_with(&inside));
        };
        let content = self.repository.objects().content(&listed.object);
        listed.mode == Mode::Link && content.is_ok_and(|content| content.as_deref() == Some(text))
    }

    /// What stands in the way of the files: directories, and what is no directory above them. It is part of the finding,
    /// and is put aside; anything else that stands there is a reason to do nothing.
    fn aside(&self, to: &[u8], files: &[(&[u8], &Value)], finding: &Finding) -> Result<Vec<Vec<u8>>, String> {
        let top = self.repository.top();
        let at = |path: &[u8]| top.join(OsStr::from_bytes(path)).symlink_metadata().ok();
        let whole = |path: &[u8]| {
            path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).collect::<Vec<_>>()
        };
        let is_blocked = |path: &[u8]| at(path).is_some_and(|meta| !meta.is_dir());
        let cuts = whole(to);
        let blocking = cuts.iter().map(|&cut| &to[..cut]).find(|path| is_blocked(path));
        let is_module = is_module(finding);
        if let Some(path) = blocking.or_else(|| (is_module && is_blocked(to)).then_some(to)) {
            return Err(format!("{} is no directory; see to that first", readable(path).0));
        }
        let mut aside: Vec<Vec<u8>> = Vec::new();
        for (inner, _) in files {
            let above = whole(inner).into_iter().map(|cut| &inner[..cut]);
            let blocking = above.into_iter().find(|path| is_blocked(&joined(to, path)));
            let is_directory = |path: &[u8]| at(&joined(to, path)).is_some_and(|meta| meta.is_dir());
            let Some(path) = blocking.or_else(|| is_directory(inner).then_some(*inner)) else {
                let meta = at(&joined(to, inner));
                if meta.is_some_and(|meta| !meta.is_file() && !meta.is_symlink()) {
                    return Err("something stands in its place that is no file; see to that first".to_owned());
                }
                continue;
            };
            if !is_module {
                return Err("a directory stands in its place; see to that first".to_owned());
            }
            if !aside.iter().any(|known| known == path) {
                aside.push(path.to_vec());
            }
        }
        Ok(aside)
    }

    /// Which of these findings a commit is a source of.
    fn held(&self, commit: &str, group: &[(usize, &Wanted<'_>, &[u8])]) -> Vec<(usize, UndoSource)> {
        let Ok(revision) = self.repository.resolve(commit) else { return Vec::new() };
        let own;
        let listed = if commit == self.head.commit {
            &self.committed
        } else {
            own = by_path(&revision);
            &own
        };
        let mut holding = Holding {
            repository: self.repository,
            revision: &revision,
            listed,
            limit: &self.limit,
            stored: HashMap::new(),
            restored: HashMap::new(),
            written: HashMap::new(),
        };
        let candidates: Vec<_> =
            group.iter().filter(|(_, one, from)| holding.lists(from, &one.files)).collect();
        let paths = |of: &dyn Fn(&Wanted<'_>, &[u8]) -> bool| -> Vec<(Vec<u8>, Digest)> {
            let all = candidates.iter().filter(|(_, one, from)| of(one, from));
            all.flat_map(|(_, one, from)| {
                one.files.iter().filter_map(|(inner, value)| Some((joined(from, inner), file(value)?)))
            })
            .collect()
        };
        holding.learn_stored(
            &candidates
                .iter()
                .flat_map(|(_, one, from)| one.files.iter().map(|(inner, _)| joined(from, inner)))
                .collect::<Vec<_>>(),
        );
        let is_passed_over =
            |path: &Vec<u8>| listed.get(path).is_none_or(|listed| self.passed_over.has(path, &listed.object));
        let restorable = |one: &Wanted<'_>, from: &[u8]| {
            let mut paths = one.files.iter().map(|(inner, _)| joined(from, inner));
            one.may_restore && from == one.to && !paths.any(|path| is_passed_over(&path))
        };
        let mut restored = paths(&restorable);
        let whole: HashMap<usize, Vec<(Vec<u8>, Digest)>> = candidates
            .iter()
            .filter(|(_, one, from)| restorable(one, from))
            .filter_map(|(at, one, _)| Some((*at, self.others(listed, one)?)))
            .collect();
        holding.learn_stored(&whole.values().flatten().map(|(path, _)| path.clone()).collect::<Vec<_>>());
        restored.extend(whole.values().flatten().cloned());
        holding.learn_restored(&restored);
        let mut sources = Vec::new();
        let mut rest = Vec::new();
        for (at, one, from) in candidates.iter().map(|it| **it) {
            if restorable(one, from) && holding.restores(from, &one.files) {
                let is_whole = whole.get(&at).is_some_and(|others| holding.restores_these(others));
                let how = if is_whole { How::RestoreAll } else { How::Restore };
                sources.push((at, self.source(commit, one, from, how)));
            } else if !one.files.iter().any(|(_, value)| is_link(value)) {
                rest.push((at, one, from));
            }
        }
        let all: Vec<(Vec<u8>, Digest)> = rest
            .iter()
            .flat_map(|(_, one, from)| {
                one.files.iter().filter_map(|(inner, value)| Some((joined(from, inner), file(value)?)))
            })
            .collect();
        let plain = holding.learn_written(&all);
        for (at, one, from) in rest {
            if !holding.writes(from, &one.files) {
                continue;
            }
            let single = one.files.first().filter(|_| one.files.len() == 1);
            let path = single.map(|(inner, _)| joined(from, inner));
            let how = if path.as_ref().is_some_and(|path| plain.contains(path)) {
                How::Stored
            } else {
                How::Checkout
            };
            let is_executable =
                path.and_then(|path| listed.get(&path)).is_some_and(|listed| listed.is_executable);
            sources.push((at, UndoSource { is_executable, ..self.source(commit, one, from, how) }));
        }
        sources
    }

    /// What a commit has of a module beside the files that are wanted, each with the digest of what is there, where all of
    /// the module may be written: nothing of it is there, or more files differ than a command names.
    fn others(&self, listed: &BTreeMap<Vec<u8>, Listed>, one: &Wanted<'_>) -> Option<Vec<(Vec<u8>, Digest)>> {
        let top = self.repository.top();
        let is_there = top.join(OsStr::from_bytes(&one.to)).symlink_metadata().is_ok();
        if !one.is_module || (is_there && one.files.len() <= FEW) {
            return None;
        }
        let inside = [&one.to, &b"/"[..]].concat();
        let wanted: HashSet<Vec<u8>> = one.files.iter().map(|(inner, _)| joined(&one.to, inner)).collect();
        let module =
            listed.range(inside.clone()..).map(|(_, it)| it).take_while(|it| it.path.starts_with(&inside));
        let others = module.filter(|it| !wanted.contains(&it.path));
        let present = others.map(|it| {
            if it.mode != Mode::File || self.passed_over.has(&it.path, "") || self.limit.is_over() {
                return None;
            }
            let path = top.join(OsStr::from_bytes(&it.path));
            let is_executable =
                path.symlink_metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0);
            Some((it.path.clone(), digest_at(&path).filter(|_| is_executable == it.is_executable)?))
        });
        present.collect()
    }

    fn source(&self, commit: &str, one: &Wanted<'_>, from: &[u8], how: How) -> UndoSource {
        UndoSource {
            commit: commit.to_owned(),
            from: from.to_vec(),
            to: from_root(self.repository.prefix(), &one.to),
            how,
            is_executable: false,
            has_replacements: self.has_replacements,
            aside: one.aside.clone(),
        }
    }
}

impl Wanted<'_> {
    fn nowhere(&self, is_over: bool) -> String {
        if is_over {
            return format!("there was not enough time to find a commit that holds it; {ELSEWHERE}");
        }
        let path = readable(&self.to).0;
        format!(
            "no commit of a branch or tag was found that gives the baseline's content at {path}; {ELSEWHERE}"
        )
    }
}

fn by_path(revision: &Revision) -> BTreeMap<Vec<u8>, Listed> {
    let listed = revision.list_all().unwrap_or_default();
    listed.into_iter().map(|listed| (listed.path.clone(), listed)).collect()
}

fn is_link(value: &Value) -> bool {
    matches!(value, Value::Link(_))
}

fn file(value: &Value) -> Option<Digest> {
    if let Value::Digest(digest) = value { Some(*digest) } else { None }
}

/// What a commit holds, and what comes out of it.
struct Holding<'a> {
    repository: &'a Repository,
    revision: &'a Revision,
    listed: &'a BTreeMap<Vec<u8>, Listed>,
    limit: &'a Limit<'a>,
    stored: HashMap<Vec<u8>, Digest>,
    restored: HashMap<Vec<u8>, Digest>,
    written: HashMap<Vec<u8>, Digest>,
}

impl Holding<'_> {
    /// Whether all of these are there, and are of their kind.
    fn lists(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| {
            let mode = self.listed.get(&joined(from, inner)).map(|listed| listed.mode);
            match value {
                Value::Digest(_) => mode == Some(Mode::File),
                Value::Link(_) => mode == Some(Mode::Link),
                _ => false,
            }
        })
    }

    fn learn_stored(&mut self, paths: &[Vec<u8>]) {
        let objects: Vec<Vec<u8>> = paths
            .iter()
            .filter_map(|path| Some(self.listed.get(path)?.object.clone().into_bytes()))
            .collect();
        let Ok((digests, End::Whole)) = self.repository.digests(&objects, Form::Stored, self.limit) else {
            return;
        };
        let known = paths.iter().zip(digests).filter_map(|(path, digest)| Some((path.clone(), digest?)));
        self.stored.extend(known);
    }

    /// Computes what `git restore` gives of these files.
    fn learn_restored(&mut self, files: &[(Vec<u8>, Digest)]) {
        let paths: Vec<&[u8]> = files.iter().map(|(path, _)| path.as_slice()).collect();
        if paths.is_empty() {
            return;
        }
        let ended = || self.limit.is_over();
        let Ok(treatments) = self.repository.treatments(&paths, &ended) else { return };
        let mut converted = 0;
        for ((path, _), treatment) in files.iter().zip(treatments) {
            let digest = match plainly(treatment) {
                Treatment::Plain => self.stored.get(path).copied(),
                Treatment::Converted if converted < CONVERTED => {
                    converted += 1;
                    self.repository.restored(&self.revision.commit, path, self.limit).ok().flatten()
                }
                _ => None,
            };
            self.restored.extend(digest.map(|digest| (path.clone(), digest)));
        }
    }

    /// Computes what a checkout in another directory gives of these files; gives those that it writes as they are stored.
    fn learn_written(&mut self, files: &[(Vec<u8>, Digest)]) -> HashSet<Vec<u8>> {
        let mut plain = HashSet::new();
        if files.is_empty() {
            return plain;
        }
        let ended = || self.limit.is_over();
        let Ok(checkout) = Checkout::of(self.revision, &ended) else { return plain };
        let paths: Vec<&[u8]> = files.iter().map(|(path, _)| path.as_slice()).collect();
        let Ok(treatments) = checkout.treatments(&paths) else { return plain };
        let mut converted = Vec::new();
        for (path, treatment) in paths.into_iter().zip(treatments) {
            match plainly(treatment) {
                Treatment::Plain => {
                    plain.insert(path.to_vec());
                    self.written.extend(self.stored.get(path).map(|digest| (path.to_vec(), *digest)));
                }
                Treatment::Converted => converted.push(path),
                _ => {}
            }
        }
        if converted.is_empty() {
            return plain;
        }
        let Ok(results) = checkout.write(&converted) else { return plain };
        for (path, _) in converted.into_iter().zip(results).filter(|(_, result)| result.is_ok()) {
            let digest = digest_at(&checkout.files().join(OsStr::from_bytes(path)));
            self.written.extend(digest.map(|digest| (path.to_vec(), digest)));
        }
        plain
    }

    fn restores(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| {
            let path = joined(from, inner);
            match value {
                Value::Link(digest) => self.stored.get(&path) == Some(digest),
                Value::Digest(digest) => self.restored.get(&path) == Some(digest),
                _ => false,
            }
        })
    }

    /// Whether `git restore` gives of these files what is there.
    fn restores_these(&self, present: &[(Vec<u8>, Digest)]) -> bool {
        present.iter().all(|(path, digest)| self.restored.get(path) == Some(digest))
    }

    fn writes(&self, from: &[u8], files: &[(&[u8], &Value)]) -> bool {
        files.iter().all(|(inner, value)| {
            file(value).is_some_and(|digest| self.written.get(&joined(from, inner)) == Some(&digest))
        })
    }
}

/// What is done with a file where Git LFS is no exception: a pointer is restored as whatever is configured says.
fn plainly(treatment: Treatment) -> Treatment {
    if let Treatment::Lfs(inner) = treatment { plainly(*inner) } else { treatment }
}

/// The SHA-256 of a regular file.
fn digest_at(path: &Path) -> Option<Digest> {
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut hasher = Hasher::default();
    let mut file = std::fs::File::open(path).ok()?;
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}
