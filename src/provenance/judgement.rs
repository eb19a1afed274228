//! What is said of content that was found: before or after the baseline's commit, and what lies between.

use super::record::above;
use super::search::{Search, Sought, is_content};
use super::tree::Standing;
use crate::git::{Mode, PARTIAL};
use crate::model::{Commit, Kind, Origin, Provenance, Value};

/// Which commit the baseline's state of a subject is of.
pub(super) enum Base {
    /// This one.
    Commit(Commit),
    /// One before every commit that has anything there: the baseline has nothing.
    BeforeAll,
    /// None that is known.
    Unknown,
}

impl Base {
    pub(super) fn commit(&self) -> Option<&Commit> {
        if let Self::Commit(commit) = self { Some(commit) } else { None }
    }
}

impl Search<'_> {
    /// Judges one finding.
    pub(super) fn judgement(&mut self, sought: &Sought) -> Provenance {
        if self.graph.is_empty() && self.gap().is_none() {
            return Provenance::unknown("the repository has no commit yet");
        }
        match (sought.kind, sought.is_module) {
            (Kind::Missing, _) => self.absence(sought),
            (_, true) => self.module(sought),
            (_, false) => self.file(sought),
        }
    }

    /// Of the commits with what the baseline has, the one that it is taken for: the newest at or before the anchor (or
    /// what is checked out, where there is none), else the newest.
    pub(super) fn base_among(&self, steps: &[usize]) -> Base {
        let commit = |step: &usize| self.record.commits[*step].clone();
        let anchored = self
            .base
            .as_ref()
            .and_then(|anchor| steps.iter().find(|step| self.is_at_or_before(**step, &anchor.id)));
        anchored.or(steps.first()).map_or(Base::Unknown, |step| Base::Commit(commit(step)))
    }

    fn is_at_or_before(&self, step: usize, commit: &str) -> bool {
        self.ancestors.is_ancestor(&self.record.commits[step].id, commit) == Some(true)
    }

    /// The anchor, where it has what the baseline has; `steps` are commits that made that. A merge that takes one side
    /// changes nothing, and yet what was before it on that side is before what is after it.
    fn anchor_with(&self, sought: &Sought, steps: &[usize]) -> Option<Base> {
        let anchor = self.base.as_ref().filter(|anchor| self.has_one_of(sought, steps, &anchor.id))?;
        Some(Base::Commit(anchor.clone()))
    }

    /// Whether `commit` has what one of `steps` made.
    fn has_one_of(&self, sought: &Sought, steps: &[usize], commit: &str) -> bool {
        let Standing::Object(there) = self.trees.standing(commit, &sought.path) else { return false };
        let is_there = |(step, object): (usize, &str)| object == there && steps.contains(&step);
        if sought.is_module {
            return self.states(sought).into_iter().any(is_there);
        }
        self.touches(&sought.path).iter().any(|(_, touch)| is_there((touch.step, &touch.object)))
    }

    /// Judges content that the commits `seen` made, beside what `expected` made; `None` where there is none.
    pub(super) fn placed(
        &self,
        sought: &Sought,
        (expected, seen): (&[usize], &[usize]),
        all: &[usize],
    ) -> Option<Provenance> {
        let near = self.base_of(sought, expected);
        let far = self.anchor_with(sought, expected);
        let base = far.as_ref().unwrap_or(&near);
        let mut commit = &self.record.commits[self.pick(seen, base)?];
        let is_related =
            |commit: &Commit| matches!(self.relation(&commit.id, base), Origin::Stale | Origin::Ahead);
        if let Some(head) = self.head.as_ref().filter(|_| !is_related(commit))
            && is_related(head)
            && self.has_one_of(sought, seen, &head.id)
        {
            commit = head;
        }
        // The commit that made it says more than the one that only has it, wherever both agree.
        let same = self.relation(&commit.id, &near) == self.relation(&commit.id, base);
        Some(self.found(commit, if same { &near } else { base }, all))
    }

    /// The base of a subject that the baseline does not have.
    pub(super) fn base_of_absence(&self, path: &[u8]) -> Base {
        let Some(base) = &self.base else { return Base::Unknown };
        match self.trees.standing(&base.id, path) {
            Standing::Nothing => Base::Commit(base.clone()),
            // The commit has it and the baseline does not: the baseline is of a time before it was added.
            Standing::Object(_) => Base::BeforeAll,
            Standing::Unknown => Base::Unknown,
        }
    }

    /// Where `commit` stands beside the baseline's.
    pub(super) fn relation(&self, commit: &str, base: &Base) -> Origin {
        let base = match base {
            Base::Commit(base) => &base.id,
            Base::BeforeAll => return Origin::Ahead,
            Base::Unknown => return Origin::Unknown,
        };
        let before = self.ancestors.is_ancestor(commit, base);
        let after = self.ancestors.is_ancestor(base, commit);
        match (before, after) {
            (Some(true), _) => Origin::Stale,
            (_, Some(true)) => Origin::Ahead,
            (Some(false), Some(false)) => Origin::Diverged,
            _ => Origin::Unknown,
        }
    }

    /// Of the commits with what the host holds (the newest first), the one to name: the newest that is before or after
    /// the baseline's, else the newest.
    pub(super) fn pick(&self, steps: &[usize], base: &Base) -> Option<usize> {
        let is_related = |step: &&usize| {
            let relation = self.relation(&self.record.commits[**step].id, base);
            matches!(relation, Origin::Stale | Origin::Ahead)
        };
        // What lies on a branch that nobody merged comes last.
        let is_here =
            |step: &&usize| self.head.as_ref().is_some_and(|head| self.is_at_or_before(**step, &head.id));
        let first = steps.iter().find(|step| is_related(step) && is_here(step));
        first.or_else(|| steps.iter().find(is_related)).or(steps.first()).copied()
    }

    /// What is said of content that is of `commit`; `steps` are all commits of the subject.
    pub(super) fn found(&self, commit: &Commit, base: &Base, steps: &[usize]) -> Provenance {
        let origin = self.relation(&commit.id, base);
        let mut provenance = Provenance {
            commit: Some(commit.clone()),
            baseline: base.commit().cloned(),
            unsearched: self.lost_anchor().or_else(|| self.begins_with(&commit.id)),
            ..Provenance::of(origin)
        };
        let (from, to) = match (origin, base.commit()) {
            (Origin::Stale, Some(base)) => (&commit.id, &base.id),
            (Origin::Ahead, Some(base)) => (&base.id, &commit.id),
            (Origin::Unknown, _) => {
                let why = if matches!(base, Base::Unknown) {
                    Some("no commit was found that holds what the baseline has".to_owned())
                } else {
                    None
                };
                provenance.unsearched = self.gap().or(why);
                return provenance;
            }
            _ => return provenance,
        };
        let is_in = |step: &usize, commit: &str| {
            self.ancestors.is_ancestor(&self.record.commits[*step].id, commit) == Some(true)
        };
        let is_beginning = |step: &usize| self.begins_with(&self.record.commits[*step].id).is_some();
        let is_between = |step: &usize| is_in(step, to) && !is_in(step, from) && !is_beginning(step);
        let between: Vec<usize> = steps.iter().copied().filter(is_between).collect();
        provenance.distance = between.len();
        let listed = between.iter().take(Provenance::LISTED);
        provenance.between = listed.map(|step| self.record.commits[*step].clone()).collect();
        provenance
    }

    /// What is said of content that was found nowhere.
    pub(super) fn found_nowhere(&self, sought: &Sought, files: &[(Vec<u8>, &Value)]) -> Provenance {
        let paths: Vec<Vec<u8>> = files.iter().map(|(path, _)| path.clone()).collect();
        let behind = || {
            let why = "a link is on the way to it, and only where that leads today was searched";
            sought.is_behind_link.then(|| why.to_owned())
        };
        let gap = self.gap().or_else(|| self.gap_of(&paths)).or_else(behind);
        if let Some(gap) = gap.or_else(|| self.beyond.trouble.clone()) {
            return Provenance::unknown(gap);
        }
        let lost =
            files.iter().filter(|(_, value)| **value != Value::Absent).map(|(path, _)| path.as_slice());
        match self.untracked(lost) {
            Some(why) => Provenance { unsearched: Some(why.to_owned()), ..Provenance::of(Origin::Untracked) },
            None => Provenance::of(Origin::Edited),
        }
    }

    /// Why the content of one of these files may have been missed.
    pub(super) fn gap_of(&self, files: &[Vec<u8>]) -> Option<String> {
        for file in files {
            if let Some(why) = self.record.gaps.get(file) {
                return Some((*why).to_owned());
            }
            let unreadable = |object: &str| self.digests.is_unreadable(object);
            let touches = self.touches(file);
            if touches.iter().any(|(_, touch)| is_content(touch) && unreadable(&touch.object)) {
                let damaged =
                    "an object of its history is missing or damaged; look at the repository with: git fsck";
                return Some(if self.repository.is_partial() { PARTIAL } else { damaged }.to_owned());
            }
            let is_gitlink = |dir: &[u8]| self.record.at(dir).iter().any(|t| t.mode == Some(Mode::Submodule));
            if above(file).any(is_gitlink) {
                return Some("a part of it is or was another repository, a submodule".to_owned());
            }
            let attributes = self.attributes_of(file);
            if attributes.has_filter || attributes.has_keyword || attributes.has_encoding {
                return Some("a filter of the repository changes its content at checkout".to_owned());
            }
            if attributes.is_substituted && !self.archives_searched.contains(file) {
                return Some("it may be of an archive of a commit that was not looked into".to_owned());
            }
        }
        None
    }

    /// What the baseline of a subject is of: `steps` are the commits with what it has.
    pub(super) fn base_of(&self, sought: &Sought, steps: &[usize]) -> Base {
        if sought.expected == Value::Absent {
            return self.base_of_absence(&self.key(sought));
        }
        // What a filter made of it is found in no commit: then the baseline is what its commit has.
        if steps.is_empty() && self.is_of_filter(sought) {
            let all = if sought.is_module {
                self.steps_of_module(sought)
            } else {
                self.steps_of_file(&sought.path)
            };
            return self.base_among(&all);
        }
        self.base_among(steps)
    }
}
