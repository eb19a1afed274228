//! States: what a baseline accepts and what a host shows, in one shape.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Reason, Unreadable, Views};

/// One section's subjects, keyed by place: the repository path of a file or module, a container's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Entries by place.
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

/// What a count of things left out counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Whole subjects.
    Subjects,
    /// Files inside subjects; an excluded directory counts once.
    Files,
}

/// Something that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What is counted.
    pub unit: Unit,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
    /// What brings it into the comparison, where nobody chose to leave it out.
    pub remedy: Option<String>,
}

/// What was seen of one section on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Subjects that could be looked at.
    pub state: State,
    /// Subjects that could not, by place.
    pub unreadable: BTreeMap<Vec<u8>, Unreadable>,
    /// What went wrong with the section as a whole, such as a pattern that matched nothing.
    pub problems: Vec<String>,
    /// Subjects that were not looked at on purpose, with the reason; the entry of one in `state` is the baseline's.
    pub assumed: BTreeMap<Vec<u8>, Reason>,
    /// What was left out on purpose.
    pub left_out: Vec<LeftOut>,
    /// What was seen and lock files cannot hold: subject, path in it, and why.
    pub strange: Vec<(Vec<u8>, Vec<u8>, &'static str)>,
    /// What containers have mounted.
    pub views: Box<Views>,
}

impl Observation {
    /// Puts what was seen of some places in place of what was seen of them before; what is told of the section as a whole
    /// stays.
    pub fn take_over(&mut self, newer: Self, places: &BTreeSet<Vec<u8>>) {
        self.state.entries.retain(|place, _| !places.contains(place));
        self.unreadable.retain(|place, _| !places.contains(place));
        self.assumed.retain(|place, _| !places.contains(place));
        self.strange.retain(|(place, ..)| !places.contains(place));
        self.state.entries.extend(newer.state.entries);
        self.unreadable.extend(newer.unreadable);
        self.assumed.extend(newer.assumed);
        self.strange.extend(newer.strange);
        self.strange.sort();
    }
}

/// How looking at a section went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It was looked at.
    Seen(Observation),
    /// It is turned off or there is nothing of it: no check runs.
    Off(String),
    /// It is on but cannot be compared here, with the reason.
    Skipped(String),
    /// It could not be looked at at all, with the reason.
    Failed(String),
}
