//! One event of `driftlock.event/1`: a finding that came, changed or went, as a line of JSON.

#[cfg(test)]
#[path = "../../tests/unit/event_schema.rs"]
mod event_schema;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::inbox::HintSource;
use crate::control::clock;
use crate::model::{Category, Finding, Kind, Part, Severity, SubjectKind, Value, Who, escaped, shown_json};
use crate::section::{INSIDE, find};

/// The name of the format.
pub(crate) const SCHEMA: &str = "driftlock.event/1";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Happened {
    /// A subject drifts that did not.
    #[serde(rename = "drift.detected")]
    Detected,
    /// A subject that drifts has changed again.
    #[serde(rename = "drift.changed")]
    Changed,
    /// A subject drifts no more.
    #[serde(rename = "drift.resolved")]
    Resolved,
    /// A subject, or a whole check, cannot be looked at.
    #[serde(rename = "drift.unreadable")]
    Unreadable,
    /// Somebody answers for drift now.
    #[serde(rename = "drift.acknowledged")]
    Acknowledged,
    /// Drift was repaired, and a look held that.
    #[serde(rename = "drift.remediated")]
    Remediated,
    /// A repair did not help, or may not be tried: a person is needed.
    #[serde(rename = "drift.escalated")]
    Escalated,
    /// Watching began.
    #[serde(rename = "watch.started")]
    Started,
    /// Something may have been missed, and everything is looked at again.
    #[serde(rename = "watch.gap")]
    Gap,
}

impl Happened {
    /// The name of the event.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Detected => "drift.detected",
            Self::Changed => "drift.changed",
            Self::Resolved => "drift.resolved",
            Self::Unreadable => "drift.unreadable",
            Self::Acknowledged => "drift.acknowledged",
            Self::Remediated => "drift.remediated",
            Self::Escalated => "drift.escalated",
            Self::Started => "watch.started",
            Self::Gap => "watch.gap",
        }
    }
}

/// What led to the look that an event comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EventEvidence {
    /// The paths of the machine that the system named, at most eight of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
    /// Why a subject, or a check, could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The change in whose window drift lies, so that it counts as approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approved: Option<String>,
    /// By whose hand the files changed, a claim for each of at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) who: Vec<Who>,
    /// Who repaired: a person, or the policy that had it done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// What was carried out, a line a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<String>,
    /// Where lies what was replaced, from the project's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<String>,
}

/// One event. A key that is not known of an event is left out.
#[expect(clippy::struct_field_names, reason = "the keys of the format")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Event {
    /// `driftlock.event/1`.
    pub(crate) schema: String,
    /// `UUIDv7`, the same wherever the event is sent, however often.
    pub(crate) id: String,
    /// Its number in the journal, without gaps.
    pub(crate) seq: u64,
    /// What happened.
    pub(crate) event: Happened,
    /// The container where there is one, else the target; `local` for the project's own tree.
    pub(crate) ci_id: String,
    /// The type of that: `container`, or what is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ci_type: Option<String>,
    /// The target; absent for the project's own tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// What kind of trouble it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<Category>,
    /// How much it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<Severity>,
    /// The check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<String>,
    /// The subject; absent where a whole check could not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The kind of difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    /// The first part that differs: a file of a module, an attribute, a fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<String>,
    /// What the baseline has of that part, or of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) desired_value: Option<String>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actual_value: Option<String>,
    /// What was there when it was last looked at, where that differed, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous_value: Option<String>,
    /// The difference in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) diff: Option<String>,
    /// When it was seen: RFC 3339, in UTC, to the millisecond.
    pub(crate) detected_at: String,
    /// The same in seconds since 1970.
    pub(crate) detected_at_unix: i64,
    /// When the file was written, as the machine tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed_at: Option<String>,
    /// The same in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed_at_unix: Option<i64>,
    /// The identity of the finding: the same drift has the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// The policy that set the severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// What led to the look.
    pub(crate) trigger: HintSource,
    /// How many hints of one burst it comes from.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) count: u32,
    /// What else is known of why it was looked at.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(crate) evidence: EventEvidence,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(count: &u32) -> bool {
    *count <= 1
}

fn is_nothing(evidence: &EventEvidence) -> bool {
    *evidence == EventEvidence::default()
}

/// The place and moment of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The target; `None` is the project's own tree.
    pub(crate) target: Option<&'a str>,
    /// What led to the look.
    pub(crate) trigger: HintSource,
}

impl Event {
    /// An event of a place, with nothing said of a subject; its number is given by the journal.
    pub(crate) fn new(event: Happened, scene: Scene<'_>) -> Self {
        let (detected_at, detected_at_unix) = clock::utc();
        Self {
            schema: SCHEMA.to_owned(),
            id: Uuid::now_v7().to_string(),
            seq: 0,
            event,
            ci_id: scene.target.unwrap_or("local").to_owned(),
            ci_type: None,
            target: scene.target.map(str::to_owned),
            category: None,
            severity: None,
            check: None,
            subject: None,
            kind: None,
            field: None,
            fields: Vec::new(),
            desired_value: None,
            actual_value: None,
            previous_value: None,
            diff: None,
            detected_at,
            detected_at_unix,
            changed_at: None,
            changed_at_unix: None,
            fingerprint: None,
            policy: None,
            trigger: scene.trigger,
            count: 1,
            evidence: EventEvidence::default(),
        }
    }

    /// Says which finding of a check it is about.
    pub(crate) fn about(mut self, check: &str, finding: &Finding) -> Self {
        self.check = Some(check.to_owned());
        self.subject = Some(text(&finding.subject.key));
        if let Some(name) = container_of(finding) {
            (self.ci_id, self.ci_type) = (text(name), Some("container".to_owned()));
        }
        self.kind = Some(finding.kind);
        self.fingerprint = Some(finding.fingerprint(check).to_string());
        self.diff.clone_from(&finding.diff);
        self.evidence.reason = finding.reason.as_deref().map(|why| text(why.as_bytes()));
        self.evidence.who.clone_from(&finding.who);
        self.evidence.approved = finding.approved().map(|change| text(change.as_bytes()));
        self.fields = fields(finding);
        self.field = self.fields.first().cloned();
        let part = finding.parts.first();
        let (expected, actual) = match part {
            Some(part) => (&part.expected, &part.actual),
            None => (&finding.expected, &finding.actual),
        };
        (self.desired_value, self.actual_value) = (shown(expected), shown(actual));
        if let Some(attribute) = finding.attributes.first() {
            let text =
                |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.desired_value = attribute.old.as_ref().map(text);
            self.actual_value = attribute.new.as_ref().map(text);
        } else if let (Some(field), None) = (&self.field, part)
            && let (Some(before), Some(now)) = (&finding.baseline_entry, &finding.entry)
        {
            self.desired_value = before.get(field).cloned();
            self.actual_value = now.get(field).cloned();
        }
        if part.is_some_and(|part| self.diff.is_none() && part.diff.is_some()) {
            self.diff = part.and_then(|part| part.diff.clone());
        }
        let newest = finding.parts.iter().filter_map(|part| part.stat).chain(finding.stat);
        self.changed_at_unix = newest.filter(crate::model::Stat::is_told).map(|stat| stat.mtime).max();
        self.changed_at = self.changed_at_unix.and_then(clock::utc_text);
        self
    }

    /// The event as one line, with its end.
    pub(crate) fn line(&self) -> String {
        let mut line = shown_json(serde_json::to_string(self).unwrap_or_default());
        line.push('\n');
        line
    }

    /// The event as one line for a terminal: moment, event, severity, subject, what changed.
    pub(crate) fn in_words(&self) -> String {
        let at = self.detected_at.get(11..23).unwrap_or_default();
        let subject = self.subject.as_deref().map(|it| format!("/{it}")).unwrap_or_default();
        let words = [
            Some(format!("{at} {:<18}", self.event.word())),
            self.severity.map(|severity| format!("{:<8}", severity.word())),
            self.check.as_ref().map(|check| format!("{check}{subject}")),
            self.kind.filter(|_| self.event != Happened::Resolved).map(|kind| kind.word().to_owned()),
            self.change(),
            self.evidence.reason.as_ref().map(|why| format!("({why})")),
        ];
        escaped(words.into_iter().flatten().collect::<Vec<_>>().join(" ").as_bytes())
    }

    /// What changed, in a few words.
    pub(super) fn change(&self) -> Option<String> {
        match (&self.field, &self.diff) {
            (Some(field), Some(diff)) if !diff.contains(field.as_str()) => Some(format!("{field} {diff}")),
            (_, Some(diff)) => Some(diff.clone()),
            (field, None) => field.clone(),
        }
    }
}

/// The container that a finding is of.
fn container_of(finding: &Finding) -> Option<&[u8]> {
    let section = finding.subject.source.section()?;
    let key = finding.subject.key.as_slice();
    if section == INSIDE {
        return key.split(|&b| b == b':').next();
    }
    (find(section)?.meta().kind == SubjectKind::Container).then_some(key)
}

/// The names of what differs in a finding.
fn fields(finding: &Finding) -> Vec<String> {
    let parts = finding.parts.iter().map(|part: &Part| text(&part.path));
    let attributes = finding.attributes.iter().map(|attribute| attribute.path.clone());
    let mut all: Vec<String> = parts.chain(attributes).collect();
    if let (true, Some(before), Some(now)) = (all.is_empty(), &finding.baseline_entry, &finding.entry) {
        let names = before.keys().chain(now.keys());
        all.extend(names.filter(|name| before.get(*name) != now.get(*name)).cloned());
        all.sort();
        all.dedup();
    }
    all
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Digest(digest) => Some(format!("sha256:{digest}")),
        other => other.text(),
    }
}

/// A name as JSON can hold it: bytes that are no UTF-8 are escaped.
fn text(name: &[u8]) -> String {
    std::str::from_utf8(name).map_or_else(|_| escaped(name), str::to_owned)
}
