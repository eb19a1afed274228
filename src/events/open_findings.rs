//! The findings that are open, as the journal tells them, and the events of their coming, changing and going.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::event::{Event, Happened, Scene};
use super::journal::{self, JournalPosition};
use crate::atomic::{read_file, replace_file};
use crate::check;
use crate::model::{CheckResult, Digest, Finding, Kind};
use crate::store::state;

/// The file of what is open in a place.
const FILE: &str = "open";

/// A finding by its check and subject; without a subject it is a check that could not be carried out.
type Key = (String, Option<String>);

/// The open findings of a place, each as the last event of it tells.
#[derive(Debug, Default)]
pub(crate) struct OpenFindings {
    target: Option<String>,
    open: BTreeMap<Key, Event>,
    /// The first event of each, which the journal may not hold any more.
    first: BTreeMap<Key, FirstEvent>,
    /// What a repair of it came to since the last look that saw a change.
    tried: BTreeMap<Key, Event>,
    /// Where in the journal the last event of it is.
    position: JournalPosition,
}

/// The event that opened a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstEvent {
    /// Its id.
    pub(crate) id: String,
    /// When the finding was seen first: RFC 3339.
    pub(crate) detected_at: String,
    /// The same in seconds since 1970.
    pub(crate) detected_at_unix: i64,
}

impl FirstEvent {
    fn of(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            detected_at: event.detected_at.clone(),
            detected_at_unix: event.detected_at_unix,
        }
    }
}

/// What is written of them.
#[derive(Default, Serialize, Deserialize)]
struct OpenFile {
    position: JournalPosition,
    open: Vec<Event>,
    /// The first event of each that is open, in their order; files of earlier releases have none.
    #[serde(default)]
    first: Vec<FirstEvent>,
    /// What repairs of those that are open came to.
    #[serde(default)]
    tried: Vec<Event>,
}

impl OpenFindings {
    /// Reads what was open in a place: as it was written last, and what the journal tells since.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(root: &Path, target: Option<&str>) -> io::Result<Self> {
        let written = match read_file(&state::file(root, FILE, target)) {
            // One that is no such file tells nothing; the journal does.
            Ok(bytes) => serde_json::from_slice::<OpenFile>(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => OpenFile::default(),
            Err(error) => return Err(error),
        };
        let mut all =
            Self { target: target.map(str::to_owned), position: written.position, ..Self::default() };
        for (event, first) in written.open.iter().zip(written.first) {
            all.first.extend(key_of(event).map(|key| (key, first)));
        }
        all.note(&written.open);
        all.note(&written.tried);
        let since = journal::read_on(&journal::directory(root), &mut all.position)?;
        all.note(&since);
        Ok(all)
    }

    /// Writes what is open, so that the journal up to now need not be kept for it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        let (open, first) = self.last_events().map(|(last, first, _)| (last.clone(), first)).unzip();
        let tried = self.tried.values().cloned().collect();
        let written = OpenFile { position: self.position.clone(), open, first, tried };
        let bytes = serde_json::to_vec(&written).map_err(io::Error::from)?;
        replace_file(&state::file(root, FILE, self.target.as_deref()), &bytes)
    }

    /// The last event of each open finding, what is known of its first, and what a repair of it came to since.
    pub(crate) fn last_events(&self) -> impl Iterator<Item = (&Event, FirstEvent, Option<&Event>)> {
        self.open.iter().map(|(key, last)| {
            let first = self.first.get(key).cloned();
            (last, first.unwrap_or_else(|| FirstEvent::of(last)), self.tried.get(key))
        })
    }

    /// The target that they are of.
    pub(crate) fn target(&self) -> Option<&String> {
        self.target.as_ref()
    }

    /// Notes events that were recorded up to a place in the journal.
    pub(crate) fn note_up_to(&mut self, events: &[Event], position: Option<JournalPosition>) {
        self.note(events);
        self.position = position.unwrap_or_else(|| self.position.clone());
    }

    fn note(&mut self, events: &[Event]) {
        for event in events.iter().filter(|event| event.target == self.target) {
            let Some(key) = key_of(event) else { continue };
            // What was tried of a finding changes nothing of what a look has seen.
            if matches!(event.event, Happened::Remediated | Happened::Escalated) {
                if self.open.contains_key(&key) {
                    self.tried.insert(key, event.clone());
                }
                continue;
            }
            self.tried.remove(&key);
            if event.event == Happened::Resolved {
                self.open.remove(&key);
                self.first.remove(&key);
            } else {
                self.first.entry(key.clone()).or_insert_with(|| FirstEvent::of(event));
                self.open.insert(key, event.clone());
            }
        }
    }

    /// The events that lead from what is open to what a look has found; of checks that `covers` does not have, nothing is said.
    pub(crate) fn events(
        &self,
        checks: &[CheckResult],
        scene: Scene<'_>,
        covers: &dyn Fn(&str) -> bool,
        judge: &dyn Fn(&mut Event),
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut met = BTreeSet::new();
        for check in checks {
            if !check.errors.is_empty() {
                let key = (check.id.to_owned(), None);
                events.extend(self.of_error(check, &key, scene));
                met.insert(key);
            }
            for finding in &check.findings {
                let event = of_finding(check, finding, scene);
                let key = (check.id.to_owned(), event.subject.clone());
                events.extend(transition(self.open.get(&key), event, finding));
                met.insert(key);
            }
        }
        // What could not be looked at is as it was.
        let is_unknown = |(id, subject): &Key| {
            let its = checks.iter().find(|check| check.id == id);
            let is_unseen =
                |check: &CheckResult| !check.is_idle && (!check.errors.is_empty() || check.skip.is_some());
            subject.is_some() && its.is_some_and(is_unseen)
        };
        let its = self.open.iter().filter(|((id, _), _)| covers(id));
        let over = its.filter(|(key, _)| !met.contains(*key) && !is_unknown(key));
        events.extend(over.map(|(_, last)| resolved(last, scene)));
        events.iter_mut().for_each(judge);
        events
    }

    fn of_error(&self, check: &CheckResult, key: &Key, scene: Scene<'_>) -> Option<Event> {
        let mut event = Event::new(Happened::Unreadable, scene);
        event.check = Some(check.id.to_owned());
        event.kind = Some(Kind::Unreadable);
        event.category = check::meta(check.id).map(|meta| meta.category);
        event.evidence.reason = Some(check.errors.join("; "));
        event.fingerprint = Some(Digest::of(check.errors.join("\n").as_bytes()).to_string());
        let before = self.open.get(key);
        before.is_none_or(|before| before.fingerprint != event.fingerprint).then_some(event)
    }
}

/// The finding that an event is of; one of the watcher itself is of none.
fn key_of(event: &Event) -> Option<Key> {
    Some((event.check.clone()?, event.subject.clone()))
}

fn of_finding(check: &CheckResult, finding: &Finding, scene: Scene<'_>) -> Event {
    let mut event = Event::new(Happened::Detected, scene).about(check.id, finding);
    let of_check = check::meta(check.id).map(|meta| meta.category);
    event.category = finding.category.or(of_check);
    event
}

/// The event of a finding that is there; `None` where it is as it was.
fn transition(before: Option<&Event>, mut event: Event, finding: &Finding) -> Option<Event> {
    let is_acknowledged = finding.acknowledged().is_some();
    let was_acknowledged = before.is_some_and(|before| before.event == Happened::Acknowledged);
    let is_same = before.is_some_and(|before| before.fingerprint == event.fingerprint);
    let is_approved_as_before =
        before.is_some_and(|before| before.evidence.approved == event.evidence.approved);
    if is_same && is_acknowledged == was_acknowledged && is_approved_as_before {
        return None;
    }
    event.event = match before {
        _ if is_acknowledged => Happened::Acknowledged,
        _ if !finding.kind.is_drift() => Happened::Unreadable,
        None => Happened::Detected,
        Some(_) => Happened::Changed,
    };
    event.previous_value = before.filter(|_| !is_same).and_then(|before| before.actual_value.clone());
    Some(event)
}

/// The event of a finding that is over, of which this is the last event.
fn resolved(last: &Event, scene: Scene<'_>) -> Event {
    let mut event = Event::new(Happened::Resolved, scene);
    event.check.clone_from(&last.check);
    event.subject.clone_from(&last.subject);
    (event.kind, event.category) = (last.kind, last.category);
    event.field.clone_from(&last.field);
    event.ci_id.clone_from(&last.ci_id);
    event.ci_type.clone_from(&last.ci_type);
    event.fingerprint.clone_from(&last.fingerprint);
    event.previous_value.clone_from(&last.actual_value);
    event
}
