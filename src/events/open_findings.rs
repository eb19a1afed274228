//! The findings that are open, as the journal tells them, and the events of their coming, changing and going.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::STATE;
use super::event::{Event, Happened, Scene};
use super::journal::{self, Position};
use crate::atomic::{read_file, replace_file};
use crate::check;
use crate::model::{Category, CheckResult, Digest, Finding, Kind, Severity};

/// The file below the directory of the state.
const FILE: &str = "open.json";

/// A finding by its target, check and subject; without a subject it is a check that could not be carried out.
pub(crate) type Key = (Option<String>, String, Option<String>);

/// What is known of an open finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFinding {
    /// Its identity.
    fingerprint: Option<String>,
    /// What was there.
    actual_value: Option<String>,
    /// What became of it last.
    event: Happened,
    kind: Option<Kind>,
    category: Option<Category>,
    severity: Option<Severity>,
    field: Option<String>,
    ci_id: String,
    ci_type: Option<String>,
}

/// The open findings of all places of a project.
#[derive(Debug, Default)]
pub(crate) struct OpenFindings {
    open: BTreeMap<Key, OpenFinding>,
    /// The number of the newest event in it.
    seq: u64,
}

/// What is written of them.
#[derive(Serialize, Deserialize)]
struct Written {
    seq: u64,
    open: Vec<(Key, OpenFinding)>,
}

/// How an event is judged: its category and severity, and the policy that says so.
pub(crate) type Judge<'a> = &'a dyn Fn(&mut Event);

impl OpenFindings {
    /// Reads what was open: as it was written last, and what the journal tells since.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let written = match read_file(&file(root)) {
            Ok(bytes) => serde_json::from_slice::<Written>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // One that is no such file tells nothing; the journal does.
        let written = written.unwrap_or(Written { seq: 0, open: Vec::new() });
        let mut open = Self { open: written.open.into_iter().collect(), seq: written.seq };
        for event in journal::read_on(&journal::directory(root), &mut Position::default())? {
            if event.seq > open.seq {
                open.note(&event);
            }
        }
        Ok(open)
    }

    /// Writes what is open, so that the journal up to now need not be kept for it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        let open = self.open.iter().map(|(key, open)| (key.clone(), open.clone())).collect();
        let bytes = serde_json::to_vec(&Written { seq: self.seq, open }).map_err(io::Error::from)?;
        replace_file(&file(root), &bytes)
    }

    /// Notes an event that was recorded.
    pub(crate) fn note(&mut self, event: &Event) {
        self.seq = self.seq.max(event.seq);
        let Some(check) = &event.check else { return };
        let key = (event.target.clone(), check.clone(), event.subject.clone());
        if event.event == Happened::Resolved {
            self.open.remove(&key);
            return;
        }
        self.open.insert(
            key,
            OpenFinding {
                fingerprint: event.fingerprint.clone(),
                actual_value: event.actual_value.clone(),
                event: event.event,
                kind: event.kind,
                category: event.category,
                severity: event.severity,
                field: event.field.clone(),
                ci_id: event.ci_id.clone(),
                ci_type: event.ci_type.clone(),
            },
        );
    }

    /// The events that lead from what is open to what a look has found; of checks that `covers` does not have, nothing is said.
    pub(crate) fn events(
        &self,
        checks: &[CheckResult],
        scene: Scene<'_>,
        covers: &dyn Fn(&str) -> bool,
        judge: Judge<'_>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut met = BTreeSet::new();
        let target = scene.target.map(str::to_owned);
        for check in checks {
            if !check.errors.is_empty() {
                let key = (target.clone(), check.id.to_owned(), None);
                events.extend(self.of_error(check, &key, scene));
                met.insert(key);
            }
            for finding in &check.findings {
                let event = of_finding(check, finding, scene);
                let key = (target.clone(), check.id.to_owned(), event.subject.clone());
                events.extend(transition(self.open.get(&key), event, finding));
                met.insert(key);
            }
        }
        // What could not be looked at is as it was.
        let is_unknown = |(_, id, subject): &Key| {
            let its = checks.iter().find(|check| check.id == id);
            subject.is_some() && its.is_some_and(|check| !check.errors.is_empty() || check.skip.is_some())
        };
        let its = self.open.iter().filter(|((of, id, _), _)| *of == target && covers(id));
        let over = its.filter(|(key, _)| !met.contains(*key) && !is_unknown(key));
        events.extend(over.map(|(key, open)| resolved(key, open, scene)));
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

fn of_finding(check: &CheckResult, finding: &Finding, scene: Scene<'_>) -> Event {
    let mut event = Event::new(Happened::Detected, scene).about(check.id, finding);
    let of_check = check::meta(check.id).map(|meta| meta.category);
    event.category = finding.category.or(of_check);
    event
}

/// The event of a finding that is there; `None` where it is as it was.
fn transition(before: Option<&OpenFinding>, mut event: Event, finding: &Finding) -> Option<Event> {
    let is_acknowledged = finding.acknowledged().is_some();
    let was_acknowledged = before.is_some_and(|before| before.event == Happened::Acknowledged);
    let is_same = before.is_some_and(|before| before.fingerprint == event.fingerprint);
    if is_same && is_acknowledged == was_acknowledged {
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

fn file(root: &Path) -> PathBuf {
    root.join(STATE).join(FILE)
}

/// The event of a finding that is over.
fn resolved(key: &Key, open: &OpenFinding, scene: Scene<'_>) -> Event {
    let mut event = Event::new(Happened::Resolved, scene);
    event.check = Some(key.1.clone());
    event.subject.clone_from(&key.2);
    event.kind = open.kind;
    event.category = open.category;
    event.field.clone_from(&open.field);
    event.ci_id.clone_from(&open.ci_id);
    event.ci_type.clone_from(&open.ci_type);
    event.fingerprint.clone_from(&open.fingerprint);
    event.previous_value.clone_from(&open.actual_value);
    event
}
