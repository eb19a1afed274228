//! What is said where nothing is: a commit took it away, or the host is older than the one that added it.

use super::judgement::Base;
use super::module::Side;
use super::record::Touch;
use super::search::{Search, Sought};
use super::tree::Standing;
use crate::model::{Commit, Kind, Origin, Provenance, Value};

impl Search<'_> {
    /// Asks whether the baseline's commit has what the baseline does not have.
    pub(super) fn look_at_base(&mut self, sought: &[Sought]) {
        let Some(base) = self.base.clone() else { return };
        let unexpected = sought.iter().filter(|one| one.expected == Value::Absent);
        let mut asked: Vec<_> = unexpected.map(|one| (base.id.clone(), self.key(one))).collect();
        for commit in [Some(&base), self.head.as_ref()].into_iter().flatten() {
            asked.extend(sought.iter().map(|one| (commit.id.clone(), one.path.clone())));
            asked.extend(sought.iter().map(|one| (commit.id.clone(), one.named.clone())));
        }
        self.trees.stand(self.repository, &asked, &self.limit);
    }

    /// Finds the newest commit at which something with content was found, and asks whether it has what is missing.
    pub(super) fn look_at_witness(&mut self, sought: &[Sought]) {
        let (missing, there): (Vec<&Sought>, Vec<&Sought>) =
            sought.iter().partition(|one| one.kind == Kind::Missing);
        if missing.is_empty() {
            return;
        }
        let found = there.into_iter().filter_map(|one| {
            let provenance = if one.is_module { self.module(one) } else { self.file(one) };
            provenance.commit.and_then(|commit| Some((self.graph.rank(&commit.id)?, commit)))
        });
        self.witness = found.min_by_key(|(rank, _)| *rank).map(|(_, commit)| commit);
        if let Some(witness) = &self.witness {
            let asked: Vec<_> = missing.iter().map(|one| (witness.id.clone(), one.path.clone())).collect();
            self.trees.stand(self.repository, &asked, &self.limit);
        }
    }

    /// Judges a file or module that the baseline has and the host does not.
    pub(super) fn absence(&self, sought: &Sought) -> Provenance {
        let (steps, all) = if sought.is_module {
            (self.matches_of_module(sought, Side::Expected), self.steps_of_module(sought))
        } else {
            (self.matches(&sought.path, &sought.expected), self.steps_of_file(&sought.path))
        };
        let key = self.key(sought);
        let base = self.base_among(&steps);
        if let Some(own) = self.own_absence(sought, &base) {
            return own;
        }
        let added = self.added_before(&key, &base);
        let deleted = self.deleted_after(&key, &base);
        let witness = self
            .witness
            .as_ref()
            .filter(|witness| self.trees.standing(&witness.id, &sought.path) == Standing::Nothing);
        let mut provenance = match (witness, &deleted) {
            (Some(witness), deleted) => match (self.relation(&witness.id, &base), deleted) {
                (Origin::Ahead, Some(commit)) => self.found(commit, &base, &all),
                (Origin::Unknown, _) => self.absent(&base),
                _ => self.found(witness, &base, &all),
            },
            (None, Some(commit)) => self.found(commit, &base, &all),
            (None, None) => self.absent(&base),
        };
        if matches!(provenance.origin, Origin::Stale | Origin::Absent) {
            provenance.between = added.into_iter().collect();
        }
        provenance
    }

    fn absent(&self, base: &Base) -> Provenance {
        let baseline = if let Base::Commit(commit) = base { Some(commit.clone()) } else { None };
        Provenance { baseline, unsearched: self.gap(), ..Provenance::of(Origin::Absent) }
    }

    /// The newest commit at or before the baseline's that added a file.
    fn added_before(&self, path: &[u8], base: &Base) -> Option<Commit> {
        self.newest(path, |touch, id| {
            let Base::Commit(base) = base else { return touch.is_new };
            touch.is_new && self.ancestors.is_ancestor(id, &base.id) == Some(true)
        })
    }

    /// The newest commit after the baseline's that took a file away: one that the host may have, not one of a branch
    /// that nobody merged.
    pub(super) fn deleted_after(&self, path: &[u8], base: &Base) -> Option<Commit> {
        let Base::Commit(base) = base else { return None };
        self.newest(path, |touch, id| {
            let is_at = |new: &Option<Commit>| {
                new.as_ref().is_some_and(|new| self.ancestors.is_ancestor(id, &new.id) == Some(true))
            };
            let may_be_there = || is_at(&self.head) || is_at(&self.base) || is_at(&self.witness);
            touch.mode.is_none() && self.ancestors.is_ancestor(&base.id, id) == Some(true) && may_be_there()
        })
    }

    fn newest(&self, path: &[u8], is_it: impl Fn(&Touch, &str) -> bool) -> Option<Commit> {
        let touches = self.touches(path);
        let commit = |touch: &Touch| &self.record.commits[touch.step];
        let found = touches.iter().find(|(_, touch)| is_it(touch, &commit(touch).id));
        found.map(|(_, touch)| commit(touch).clone())
    }
}
