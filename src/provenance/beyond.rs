//! What is said of content that no branch or tag has at its path: it was put aside, it stands at another path, or git does not
//! track the path and cannot know.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::record::{Record, Touch};
use super::search::{Search, Sought, is_content};
use super::tree::Standing;
use super::undo_source::from_root;
use crate::git::{End, Form, Index, Mode, Object};
use crate::model::{Commit, Digest, FileOrigin, Kind, Origin, Provenance, Stat, Value};

/// The share of the time that is left which reading what is checked out may take.
const READING: f64 = 0.5;

/// A file whose content was not found in the history of its path.
struct Lost<'a> {
    path: Vec<u8>,
    value: &'a Value,
    stat: Option<Stat>,
    /// Whether git tracks the module it was added to.
    is_added: bool,
}

impl Search<'_> {
    /// Looks further for what was not found.
    pub(super) fn look_beyond(&mut self, sought: &[Sought]) {
        let lost = self.lost_content(sought);
        if lost.is_empty() {
            return;
        }
        if self.limit.is_over() {
            self.trees.was_cut = true;
            return;
        }
        self.learn_tracking(sought, &lost);
        self.learn_dropped(&lost);
        self.learn_copies(&lost);
    }

    fn lost_content<'s>(&self, sought: &'s [Sought]) -> Vec<Lost<'s>> {
        let mut lost = Vec::new();
        for one in sought.iter().filter(|one| one.actual != Value::Absent) {
            let lost_at = |path: Vec<u8>, value: &'s Value, stat, is_added| {
                let is_lost = matches!(value, Value::Digest(_) | Value::Link(_))
                    && self.matches(&path, value).is_empty();
                is_lost.then_some(Lost { path, value, stat, is_added })
            };
            if one.is_module {
                let parts = one.parts.iter().filter(|part| part.kind != Kind::Unreadable);
                let is_added = |kind| one.kind == Kind::Modified && kind == Kind::Unexpected;
                lost.extend(parts.filter_map(|part| {
                    lost_at(one.inner(&part.path), &part.actual, part.stat, is_added(part.kind))
                }));
            } else {
                lost.extend(lost_at(one.path.clone(), &one.actual, one.stat, false));
            }
        }
        lost
    }

    /// Asks which of these files git tracks: in the index, in what is checked out, or in the baseline's commit.
    fn learn_tracking(&mut self, sought: &[Sought], lost: &[Lost<'_>]) {
        let index = match self.repository.index() {
            Ok(index) => index,
            Err(error) => return self.beyond.trouble = Some(error.to_string()),
        };
        let modules: Vec<(Vec<u8>, Vec<u8>)> =
            sought.iter().filter(|one| one.is_module).map(|one| (one.path.clone(), self.key(one))).collect();
        let paths = lost.iter().map(|lost| &lost.path).chain(modules.iter().map(|(_, manifest)| manifest));
        let commits = || [&self.head, &self.base].into_iter().flatten();
        let asked: Vec<(String, Vec<u8>)> =
            paths.flat_map(|path| commits().map(|commit| (commit.id.clone(), path.clone()))).collect();
        self.trees.stand(self.repository, &asked, &self.limit);
        let is_tracked = |path: &[u8]| {
            let is_in = |commit: &Commit| self.trees.standing(&commit.id, path) != Standing::Nothing;
            index.lists(path) || commits().any(is_in)
        };
        let is_in_module =
            |path: &[u8], dir: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        let is_of_tracked = |path: &[u8]| {
            modules.iter().any(|(dir, manifest)| is_in_module(path, dir) && is_tracked(manifest))
        };
        let unlisted: Vec<&Lost<'_>> = lost.iter().filter(|lost| !is_tracked(&lost.path)).collect();
        let asked: Vec<&[u8]> = unlisted.iter().map(|lost| lost.path.as_slice()).collect();
        let ignored = index.ignored(&asked).unwrap_or_default();
        let is_strange = !asked.is_empty() && self.is_strange(&index);
        let mut untracked = HashMap::new();
        for lost in unlisted {
            let is_ignored = ignored.contains(&lost.path);
            if lost.is_added && !is_ignored && is_of_tracked(&lost.path) {
                continue;
            }
            let reason = if is_strange {
                "the git repository around this project holds no file of it"
            } else if is_ignored {
                "git ignores it"
            } else if self.touches(&lost.path).is_empty() {
                "git does not track it"
            } else {
                "git does not track it any more"
            };
            untracked.insert(lost.path.clone(), format!("{reason}, so no commit tells who wrote it"));
        }
        self.beyond.untracked = untracked;
    }

    /// Whether the repository has nothing at all of the project.
    fn is_strange(&self, index: &Index) -> bool {
        let head = self.head.as_ref().map(|head| self.repository.at(&head.id));
        let is_in_head = || head.is_some_and(|head| head.list(b"").is_ok_and(|listed| !listed.is_empty()));
        !index.lists_below(self.repository.prefix()) && !is_in_head()
    }

    /// Reads what only reflogs lead to. In a shallow clone that may be a release all the same: a fetch of one commit makes a
    /// beginning of its own.
    fn learn_dropped(&mut self, lost: &[Lost<'_>]) {
        let names = lost.iter().flat_map(|lost| self.record.names(&lost.path)).map(|name| name.path);
        let paths: BTreeSet<Vec<u8>> = names.collect();
        match Record::of_dropped(self.repository, &paths, &self.setting.tips, &self.limit) {
            Ok(dropped) => {
                self.trees.was_cut |= dropped.end == End::Cut;
                self.beyond.dropped = dropped;
            }
            Err(_) => return,
        }
        let touches = paths.iter().flat_map(|path| self.beyond.dropped.at(path));
        let blobs: Vec<&str> =
            touches.filter(|touch| is_content(touch)).map(|touch| touch.object.as_str()).collect();
        for form in [Form::Stored, Form::CarriageReturns] {
            self.digests.learn(self.repository, &blobs, form, &|_| true, &self.limit);
        }
    }

    /// Looks for the same content at other paths of what is checked out. What is empty is the same everywhere, and says nothing.
    fn learn_copies(&mut self, lost: &[Lost<'_>]) {
        let Some(head) = self.head.as_ref().map(|head| self.repository.at(&head.id)) else { return };
        let empty = Digest::of(b"");
        let wanted: Vec<(&Lost<'_>, Digest)> = lost
            .iter()
            .filter_map(|lost| match lost.value {
                Value::Digest(digest) if *digest != empty => Some((lost, *digest)),
                _ => None,
            })
            .collect();
        let Ok(listed) = (if wanted.is_empty() { Ok(Vec::new()) } else { head.list_all() }) else { return };
        let mut by_object: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for listed in listed.iter().filter(|listed| listed.mode == Mode::File) {
            by_object.entry(&listed.object).or_default().push(&listed.path);
        }
        let objects = self.of_size(by_object.keys().copied().collect(), &wanted);
        let (was_cut, limit) = (self.digests.was_cut, self.limit.part(READING));
        self.digests.learn(
            self.repository,
            &objects,
            Form::Stored,
            &|digest| wanted.iter().any(|it| it.1 == digest),
            &limit,
        );
        // Whether another path has it decides nothing: what was not read of that is no gap.
        self.digests.was_cut = was_cut;
        let mut copies = HashMap::new();
        for (lost, digest) in wanted {
            let same = objects.iter().filter(|object| self.digests.get(object, Form::Stored) == Some(digest));
            let paths = same.flat_map(|object| by_object.get(object).into_iter().flatten());
            let nearest =
                paths.filter(|path| **path != lost.path).max_by_key(|path| nearness(path, &lost.path));
            copies.extend(nearest.map(|path| (lost.path.clone(), path.to_vec())));
        }
        self.beyond.copies = copies;
    }

    /// Those of these objects whose size is one that is wanted, where the host told the sizes of all that is wanted.
    fn of_size<'o>(&self, objects: Vec<&'o str>, wanted: &[(&Lost<'_>, Digest)]) -> Vec<&'o str> {
        let told = wanted.iter().map(|(lost, _)| lost.stat.filter(Stat::is_told).map(|stat| stat.size));
        let Some(sizes) = told.collect::<Option<HashSet<u64>>>() else { return objects };
        let names: Vec<Vec<u8>> = objects.iter().map(|object| object.as_bytes().to_vec()).collect();
        let Ok((found, _)) = self.repository.look_up(&names, &self.limit) else { return Vec::new() };
        let is_wanted = |found: Option<Object>| found.is_some_and(|object| sizes.contains(&object.size));
        objects
            .into_iter()
            .zip(found)
            .filter_map(|(object, found)| is_wanted(found).then_some(object))
            .collect()
    }

    /// The newest commit that only a reflog leads to and that put `value` at a file.
    fn dropped(&self, path: &[u8], value: &Value) -> Option<&Commit> {
        let digest_in = |touch: &Touch, form| self.digests.get(&touch.object, form);
        let is_held = |touch: &&Touch| match (value, touch.mode) {
            (Value::Digest(digest), Some(Mode::File)) => [Form::Stored, Form::CarriageReturns]
                .iter()
                .any(|form| digest_in(touch, *form) == Some(*digest)),
            (Value::Link(digest), Some(Mode::Link)) => digest_in(touch, Form::Stored) == Some(*digest),
            _ => false,
        };
        let names = self.record.names(path);
        let touch = names.iter().find_map(|name| self.beyond.dropped.at(&name.path).iter().find(is_held))?;
        self.beyond.dropped.commits.get(touch.step)
    }

    /// What is said of a file whose content no commit of its path has; `None` where there is nothing but that to say.
    pub(super) fn beyond(&self, path: &[u8], value: &Value) -> Option<Provenance> {
        if let Some(commit) = self.dropped(path, value) {
            let origin = if self.setting.is_shallow { Origin::Unknown } else { Origin::Unreleased };
            let unsearched = self.gap();
            return Some(Provenance { commit: Some(commit.clone()), unsearched, ..Provenance::of(origin) });
        }
        let copy = self.beyond.copies.get(path)?;
        let held_as = Some(from_root(self.repository.prefix(), copy));
        Some(Provenance {
            commit: self.head.clone(),
            held_as,
            unsearched: self.gap(),
            ..Provenance::of(Origin::Copied)
        })
    }

    /// The same of a file of a module.
    pub(super) fn beyond_in_module(&self, inner: &[u8], path: &[u8], value: &Value) -> Option<FileOrigin> {
        let Provenance { origin, commit, held_as, .. } = self.beyond(path, value)?;
        let origin = if origin == Origin::Unknown { Origin::Diverged } else { origin };
        Some(FileOrigin { path: inner.to_vec(), origin, commit, held_as })
    }

    /// Why git cannot know of a change of one of these files, where that is so of all of them.
    pub(super) fn untracked<'p>(&self, paths: impl Iterator<Item = &'p [u8]>) -> Option<&str> {
        let reasons: Option<Vec<&String>> = paths.map(|path| self.beyond.untracked.get(path)).collect();
        reasons?.first().map(|reason| reason.as_str())
    }
}

/// A measure of how close one path is to another: the same name first, then directories in common, then the order of bytes.
fn nearness(path: &[u8], other: &[u8]) -> (bool, usize, std::cmp::Reverse<Vec<u8>>) {
    let name = |path: &[u8]| path.rsplit(|&b| b == b'/').next().map(<[u8]>::to_vec);
    let dirs = |path: &[u8]| path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let common = dirs(path).into_iter().zip(dirs(other)).take_while(|(one, two)| one == two).count();
    (name(path) == name(other), common, std::cmp::Reverse(path.to_vec()))
}
