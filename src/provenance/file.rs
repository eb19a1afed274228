//! Where the content of a single file comes from.

use super::guise::Guise;
use super::own::Kept;
use super::search::{Search, Sought};
use crate::git::Ends;
use crate::model::{Origin, Provenance, Value};

impl Search<'_> {
    /// Judges a file that is there and should be another, or should not be there.
    pub(super) fn file(&self, sought: &Sought) -> Provenance {
        let all = self.steps_of_file(&sought.path);
        let is_new = sought.expected == Value::Absent;
        if let Some(own) = self.own_file(sought, Kept::AsCheckedOutHere) {
            return own;
        }
        // In one form on both sides before others.
        for guise in [Guise::STORED, Guise::LinkText].into_iter().chain(Ends::ALL.map(Guise::CheckedOut)) {
            let of = |value| self.matches_where(&sought.path, value, |it| it == guise || it == Guise::Link);
            let (expected, seen) = (of(&sought.expected), of(&sought.actual));
            if (is_new || !expected.is_empty())
                && let Some(provenance) = self.placed(sought, (&expected, &seen), &all)
            {
                return provenance;
            }
        }
        if let Some(own) = self.own_file(sought, Kept::Anyhow) {
            return own;
        }
        let expected = self.matches(&sought.path, &sought.expected);
        let seen = self.matches(&sought.path, &sought.actual);
        if let Some(provenance) = self.placed(sought, (&expected, &seen), &all) {
            return Provenance { forms: self.forms_apart(sought).into_iter().collect(), ..provenance };
        }
        let base = self.base_of(sought, &expected);
        let nowhere = || self.found_nowhere(sought, &[(sought.path.clone(), &sought.actual)]);
        let judged = self.beyond(&sought.path, &sought.actual).unwrap_or_else(nowhere);
        let is_lost = matches!(judged.origin, Origin::Edited | Origin::Untracked);
        Provenance { edited: sought.stat.filter(|_| is_lost), baseline: base.commit().cloned(), ..judged }
    }

    /// The commits that touch a file, the newest first.
    pub(super) fn steps_of_file(&self, path: &[u8]) -> Vec<usize> {
        let mut steps: Vec<usize> = self.touches(path).iter().map(|(_, touch)| touch.step).collect();
        steps.dedup();
        steps
    }
}
