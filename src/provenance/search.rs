//! The search as a whole: what is sought, and everything that is read for it before anything is judged.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::thread::Builder;

use super::digests::Digests;
use super::guise::{Guise, Guises, Through};
use super::record::{Record, Touch};
use super::tree::Trees;
use super::{Trace, is_module};
use crate::git::{Ancestors, Attributes, End, Form, GitError, Graph, Limit, Mode, PARTIAL, Repository};
use crate::host::{MANIFESTS, manifest_among};
use crate::model::{Commit, Digest, Finding, Glob, Kind, Part, Stat, Value, joined, short_id};

/// How often older names are looked for.
const RENAMES: usize = 8;
/// The share of the time that walking through the history may take; the rest is for reading what was found.
const WALK: f64 = 0.6;

/// One finding, as far as its provenance goes.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    /// The path from the uppermost directory.
    pub(super) path: Vec<u8>,
    /// The same without following any link.
    pub(super) named: Vec<u8>,
    /// Whether a link is on the way to it.
    pub(super) is_behind_link: bool,
    /// Whether a link of what is checked out, on the way to it, is a file here.
    pub(super) is_behind_file: bool,
    pub(super) is_module: bool,
    pub(super) kind: Kind,
    pub(super) expected: Value,
    pub(super) actual: Value,
    pub(super) parts: Vec<Part>,
    pub(super) stat: Option<Stat>,
}

impl Sought {
    pub(super) fn of(finding: &Finding, path: Vec<u8>) -> Self {
        Self {
            named: path.clone(),
            path,
            is_behind_link: false,
            is_behind_file: false,
            is_module: is_module(finding),
            kind: finding.kind,
            expected: finding.expected.clone(),
            actual: finding.actual.clone(),
            parts: finding.parts.clone(),
            stat: finding.stat,
        }
    }

    /// The path of a file in it.
    pub(super) fn inner(&self, path: &[u8]) -> Vec<u8> {
        joined(&self.path, path)
    }

    /// Each single file, what the baseline has of it, and what the host has.
    pub(super) fn files(&self) -> Vec<(Vec<u8>, &Value, &Value)> {
        if self.is_module {
            let parts = self.parts.iter();
            return parts.map(|part| (self.inner(&part.path), &part.expected, &part.actual)).collect();
        }
        vec![(self.path.clone(), &self.expected, &self.actual)]
    }
}

/// Which commit the baseline is of, as far as somebody said so.
pub(super) enum Anchor {
    /// Nobody did; this one is checked out, if any is.
    Nobody(Option<String>),
    /// This one.
    Named(String),
    /// One that is not here.
    Lost(String),
}

/// What is known of the repository before its history is read.
pub(super) struct Setting {
    pub(super) anchor: Anchor,
    pub(super) is_shallow: bool,
    /// What is checked out.
    pub(super) head: Option<String>,
    pub(super) tips: Vec<String>,
}

/// Reads the history of all that is sought, and who is whose ancestor, at the same time; `head` is what is checked out.
pub(super) fn read(
    repository: &Repository,
    sought: &[Sought],
    ask: &Trace<'_>,
    head: Option<String>,
    limit: Limit<'_>,
) -> Result<(Record, Graph, Setting), GitError> {
    let mut tips: Vec<String> = head.iter().cloned().collect();
    let anchor = match &ask.anchor {
        None => Anchor::Nobody(head.clone()),
        Some(name) => repository.resolve(name).map_or_else(
            |_| Anchor::Lost(name.clone()),
            |found| {
                tips.push(found.commit.clone());
                Anchor::Named(found.commit)
            },
        ),
    };
    let paths: BTreeSet<Vec<u8>> = sought.iter().map(|sought| sought.path.clone()).collect();
    let walk = limit.part(WALK);
    let is_shallow = repository.is_shallow();
    let beginnings = if is_shallow { repository.shallow_commits() } else { HashSet::new() };
    let mut record = Record::beginning_with(beginnings);
    let graph = std::thread::scope(|scope| {
        let other = Builder::new().spawn_scoped(scope, || repository.graph(&tips, &walk));
        record.read(repository, &paths, &tips, &walk)?;
        match other.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(graph)) => graph,
            _ => repository.graph(&tips, &walk),
        }
    })?;
    Ok((record, graph, Setting { anchor, is_shallow, head, tips }))
}

/// What is known beyond the history of the paths themselves.
#[derive(Default)]
pub(super) struct Beyond {
    /// What commits put at files that only reflogs lead to.
    pub(super) dropped: Record,
    /// The other path at which what is checked out has what is at a path now.
    pub(super) copies: HashMap<Vec<u8>, Vec<u8>>,
    /// Files that git does not track, with the reason why nothing is known of them.
    pub(super) untracked: HashMap<Vec<u8>, String>,
    /// Why it is not known what git tracks.
    pub(super) trouble: Option<String>,
}

/// Everything that judgements are made from.
pub(super) struct Search<'a> {
    pub(super) repository: &'a Repository,
    pub(super) limit: Limit<'a>,
    pub(super) graph: &'a Graph,
    pub(super) ancestors: Ancestors<'a>,
    pub(super) setting: Setting,
    pub(super) record: Record,
    pub(super) digests: Digests,
    pub(super) trees: Trees,
    pub(super) exclude: &'a [Glob],
    pub(super) attributes: HashMap<Vec<u8>, Attributes>,
    pub(super) guises: Guises,
    /// What links lead to in the commits that are asked first, by the path of the link.
    pub(super) through: HashMap<Vec<u8>, Through>,
    /// Files that no archive of any commit can have otherwise than it was found.
    pub(super) archives_searched: BTreeSet<Vec<u8>>,
    /// The newest commit at which a finding with content was found.
    pub(super) witness: Option<Commit>,
    /// The anchor as a commit, or what is checked out.
    pub(super) base: Option<Commit>,
    /// What is checked out, as a commit.
    pub(super) head: Option<Commit>,
    /// Whether there may be older names that were not looked for.
    has_more_names: bool,
    /// What is known of content that was not found.
    pub(super) beyond: Beyond,
    /// Whether a module was not found in the forms that its files have here.
    pub(super) has_lost_modules: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        graph: &'a Graph,
        record: Record,
        setting: Setting,
        ask: &Trace<'a>,
        limit: Limit<'a>,
    ) -> Self {
        let base = match &setting.anchor {
            Anchor::Named(id) | Anchor::Nobody(Some(id)) => repository.commit(id, &limit),
            Anchor::Nobody(None) | Anchor::Lost(_) => None,
        };
        let head = setting.head.as_deref().and_then(|head| repository.commit(head, &limit));
        Self {
            repository,
            limit,
            graph,
            ancestors: Ancestors::new(graph, !setting.is_shallow),
            setting,
            record,
            digests: Digests::new(ask.cache.as_deref()),
            trees: Trees::default(),
            exclude: ask.exclude,
            attributes: HashMap::new(),
            guises: Guises::default(),
            through: HashMap::new(),
            archives_searched: BTreeSet::new(),
            witness: None,
            base,
            head,
            has_more_names: false,
            beyond: Beyond::default(),
            has_lost_modules: false,
        }
    }

    /// Reads all that judging `sought` needs.
    pub(super) fn prepare(&mut self, sought: &[Sought]) {
        self.look_at_base(sought);
        self.look_at_attributes(sought);
        self.learn(sought);
        self.has_more_names = true;
        for _ in 0..RENAMES {
            let lost = self.lost(sought);
            if lost.is_empty() || self.limit.is_over() || !self.widen(&lost, sought) {
                self.has_more_names = false;
                break;
            }
            self.learn(sought);
        }
        self.look_through_links(sought);
        let lost = self.lost(sought);
        self.look_again(&lost);
        if self.look_into_archives(sought) {
            self.learn_modules(sought);
        }
        self.look_beyond(sought);
        self.look_at_witness(sought);
    }

    /// Reads what was only remembered of files of which something was not found.
    fn look_again(&mut self, lost: &BTreeSet<Vec<u8>>) {
        let blobs = self.blobs_at(lost);
        let blobs: Vec<&str> = blobs.iter().map(String::as_str).collect();
        self.digests.learn(self.repository, &blobs, Form::Stored, &|_| true, &self.limit);
    }

    /// What stood at these files.
    pub(super) fn blobs_at(&self, files: &BTreeSet<Vec<u8>>) -> BTreeSet<String> {
        let touches = files.iter().flat_map(|path| self.touches(path));
        touches.filter(|(_, touch)| is_content(touch)).map(|(_, touch)| touch.object.clone()).collect()
    }

    /// Reads the blobs that stood where something differs, and the trees of modules.
    fn learn(&mut self, sought: &[Sought]) {
        let mut wanted: HashSet<Digest> = HashSet::new();
        let mut blobs: Vec<(usize, String)> = Vec::new();
        for (path, expected, actual) in sought.iter().flat_map(Sought::files) {
            wanted.extend([expected, actual].into_iter().filter_map(digest_of));
            let touches = self.touches(&path);
            let content = touches.iter().filter(|(_, touch)| is_content(touch));
            blobs.extend(content.map(|(_, touch)| (touch.step, touch.object.clone())));
        }
        // The newest first, of all that is sought: what is cut short is the oldest.
        blobs.sort_by_key(|(step, ..)| *step);
        let blobs: Vec<&str> = blobs.iter().map(|(_, blob)| blob.as_str()).collect();
        let wanted = |digest| wanted.contains(&digest);
        self.digests.learn(self.repository, &blobs, Form::Stored, &wanted, &self.limit);
        self.learn_modules(sought);
    }

    /// What is there wherever the subject is: the file, or the manifest of a module, the older one where the history has that
    /// alone.
    pub(super) fn key(&self, sought: &Sought) -> Vec<u8> {
        if !sought.is_module {
            return sought.path.clone();
        }
        let manifest = manifest_among(|name| !self.record.at(&sought.inner(name)).is_empty());
        sought.inner(manifest.unwrap_or(MANIFESTS[0]))
    }

    /// The files of which the one content or the other was not found.
    fn lost(&self, sought: &[Sought]) -> BTreeSet<Vec<u8>> {
        let is_lost =
            |path: &[u8], value: &Value| *value != Value::Absent && self.matches(path, value).is_empty();
        let mut lost = BTreeSet::new();
        for one in sought {
            if self.limit.is_over() {
                break;
            }
            for (path, expected, actual) in one.files() {
                if is_lost(&path, expected) || is_lost(&path, actual) {
                    lost.insert(path);
                }
            }
            if one.is_module && !self.is_whole(one) {
                lost.insert(self.key(one));
            }
        }
        lost
    }

    /// Looks for older names of what was not found, and for its other forms. `true` when that might find more.
    fn widen(&mut self, lost: &BTreeSet<Vec<u8>>, sought: &[Sought]) -> bool {
        let lost_modules = sought.iter().filter(|one| one.is_module && lost.contains(&self.key(one)));
        let inner: BTreeSet<Vec<u8>> = lost_modules.flat_map(|one| self.files_ever(one)).collect();
        self.has_lost_modules |= !inner.is_empty();
        let is_first = self.learn_attributes(&lost.iter().chain(&inner).cloned().collect());
        let followed = self.record.follow(self.repository, lost, &self.setting.tips, &self.limit);
        let has_forms = self.learn_forms(lost);
        is_first || has_forms || followed.unwrap_or_default()
    }

    /// What commits put at a file, under its names of then, the newest first.
    pub(super) fn touches(&self, path: &[u8]) -> Vec<(Vec<u8>, &Touch)> {
        let mut all = Vec::new();
        let names = self.record.names(path);
        for name in &names {
            let of_then = |touch: &&Touch| self.is_within(touch.step, name.within.as_deref());
            let touches = self.record.at(&name.path).iter().filter(of_then);
            all.extend(touches.map(|touch| (name.path.clone(), touch)));
        }
        all.sort_by_cached_key(|(_, touch)| self.age(touch.step));
        all
    }

    /// Whether a commit lies before the one that took a name away.
    pub(super) fn is_within(&self, step: usize, within: Option<&str>) -> bool {
        let id = &self.record.commits[step].id;
        within.is_none_or(|renamed| id != renamed && self.ancestors.is_ancestor(id, renamed) == Some(true))
    }

    /// A number that is smaller for newer commits.
    pub(super) fn age(&self, step: usize) -> usize {
        self.graph.rank(&self.record.commits[step].id).unwrap_or(usize::MAX)
    }

    /// The commits that put `value` at a file in whatever form, the newest first.
    pub(super) fn matches(&self, path: &[u8], value: &Value) -> Vec<usize> {
        self.matches_where(path, value, |_| true)
    }

    /// The same in a form that `is_it` takes.
    pub(super) fn matches_where(
        &self,
        path: &[u8],
        value: &Value,
        is_it: impl Fn(Guise) -> bool,
    ) -> Vec<usize> {
        let touches = self.touches(path).into_iter();
        let holds = |touch: &Touch| self.guises(path, touch, value).into_iter().any(&is_it);
        touches.filter(|(_, touch)| holds(touch)).map(|(_, touch)| touch.step).collect()
    }

    /// The forms in which what a commit put at a file is `value`.
    pub(super) fn guises(&self, path: &[u8], touch: &Touch, value: &Value) -> Vec<Guise> {
        let is_link = touch.mode == Some(Mode::Link);
        if is_content(touch) { self.guises_of(path, (&touch.object, is_link), value) } else { Vec::new() }
    }

    /// The forms in which a blob at a path, or a link, is `value`.
    pub(super) fn guises_of(&self, path: &[u8], (blob, is_link): (&str, bool), value: &Value) -> Vec<Guise> {
        let has = |digest: &Digest, form| self.digests.get(blob, form) == Some(*digest);
        match (value, is_link) {
            (Value::Link(digest), true) if has(digest, Form::Stored) => vec![Guise::Link],
            (Value::Digest(digest), true) if has(digest, Form::Stored) => vec![Guise::LinkText],
            (Value::Digest(digest), false) => {
                let bytes = [Form::Stored].into_iter().chain(Form::OTHERS);
                let bytes = bytes.filter(|form| has(digest, *form)).map(Guise::Bytes);
                let others = self.guises.of(blob, path).iter().filter(|(_, known)| known == digest);
                bytes.chain(others.map(|(guise, _)| *guise)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the repository says of how a path is written, as far as it was asked.
    pub(super) fn attributes_of(&self, path: &[u8]) -> Attributes {
        self.attributes.get(path).copied().unwrap_or_default()
    }

    /// Why something that was not found may all the same be of a commit; `None` where everything was searched.
    pub(super) fn gap(&self) -> Option<String> {
        let mut gaps = Vec::new();
        gaps.extend(self.lost_anchor());
        if self.setting.is_shallow {
            gaps.push("this clone is shallow: only a part of the history is here".to_owned());
        }
        let ends = [&self.record.end, &self.graph.end];
        if let Some(End::Failed(said)) = ends.iter().find(|end| matches!(end, End::Failed(_))) {
            gaps.push(if self.repository.is_partial() {
                PARTIAL.to_owned()
            } else {
                format!(
                    "git could not read the whole history ({said}); look at the repository with: git fsck"
                )
            });
        }
        if ends.contains(&&End::Cut) || self.digests.was_cut || self.trees.was_cut {
            gaps.push(self.how_far());
        }
        if self.has_more_names {
            gaps.push("it was renamed too often to follow all its names".to_owned());
        }
        (!gaps.is_empty()).then(|| gaps.join("; "))
    }

    /// That the commit of the baseline is not here.
    pub(super) fn lost_anchor(&self) -> Option<String> {
        let Anchor::Lost(name) = &self.setting.anchor else { return None };
        Some(format!("the baseline's commit {} is not in this repository any more", short_id(name)))
    }

    /// That a commit has what an earlier one may have made, which is not here.
    pub(super) fn begins_with(&self, commit: &str) -> Option<String> {
        let may_be_older = || {
            format!(
                "this clone is shallow and begins with {}: an earlier commit may have made it",
                short_id(commit)
            )
        };
        self.record.begins_with(commit).then(may_be_older)
    }

    /// How far the search came.
    pub(super) fn how_far(&self) -> String {
        let oldest = self.record.commits.iter().max_by_key(|commit| self.graph.number(&commit.id));
        let Some(oldest) = oldest.filter(|_| self.record.end == End::Cut) else {
            return "there was not enough time to read everything".to_owned();
        };
        let (count, date) = (self.graph.as_new_as(&oldest.id), oldest.date.get(..10).unwrap_or_default());
        format!("there was not enough time: searched {count} commits back to {date}")
    }
}

fn digest_of(value: &Value) -> Option<Digest> {
    match value {
        Value::Digest(digest) | Value::Link(digest) => Some(*digest),
        _ => None,
    }
}

/// Whether a commit put a file or a link there.
pub(super) fn is_content(touch: &Touch) -> bool {
    matches!(touch.mode, Some(Mode::File | Mode::Link))
}
