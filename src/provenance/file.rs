//! Where the content of a single file comes from.

use super::search::{Search, Sought};
use crate::model::{Origin, Provenance};

impl Search<'_> {
    /// Judges a file that is there and should be another, or should not be there.
    pub(super) fn file(&self, sought: &Sought) -> Provenance {
        let expected = self.matches(&sought.path, &sought.expected);
        let seen = self.matches(&sought.path, &sought.actual);
        self.placed(sought, (&expected, &seen), &self.steps_of_file(&sought.path)).unwrap_or_else(|| {
            let base = self.base_of(sought, &expected);
            let nowhere = || self.found_nowhere(sought, &[(sought.path.clone(), &sought.actual)]);
            let judged = self.beyond(&sought.path, &sought.actual).unwrap_or_else(nowhere);
            let is_lost = matches!(judged.origin, Origin::Edited | Origin::Untracked);
            Provenance { edited: sought.stat.filter(|_| is_lost), baseline: base.commit().cloned(), ..judged }
        })
    }

    /// The commits that touch a file, the newest first.
    pub(super) fn steps_of_file(&self, path: &[u8]) -> Vec<usize> {
        let mut steps: Vec<usize> = self.touches(path).iter().map(|(_, touch)| touch.step).collect();
        steps.dedup();
        steps
    }
}
