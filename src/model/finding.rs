//! Findings: one difference each, between what was accepted and what is there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Category, Digest, Leaf, Obstacle, Provenance, Stat, Versions, Waiver, Who, escaped};

/// How many of a finding's parts are named where it is told in a few words.
const NAMED: usize = 2;

/// The name of a section: `compose`, `addons`, `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub &'static str);

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Origin of a subject: what names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectSource {
    /// The baseline itself: the subject is one of its lock files.
    LockFile,
    /// A section of the baseline.
    Section(SectionId),
    /// A plan of what should exist, such as Terraform's: no lock file names its subjects.
    Plan,
    /// A database, and what it has installed.
    Database,
    /// A CMDB: the subject is a configuration item, or a field of one.
    Cmdb,
}

impl SubjectSource {
    /// The section, where the subject is one of a section.
    #[must_use]
    pub fn section(self) -> Option<SectionId> {
        if let Self::Section(id) = self { Some(id) } else { None }
    }
}

/// Kind of thing that a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A single file.
    File,
    /// A directory of files that are compared one by one: a module.
    Tree,
    /// A container.
    Container,
    /// Something that is no file and no container: a row of a plan.
    Resource,
    /// A part of a machine's state beside files: a package, a service, a port, what a probe prints.
    System,
}

impl SubjectKind {
    /// Whether its content lies in files that can be read, written and shown.
    #[must_use]
    pub fn has_files(self) -> bool {
        matches!(self, Self::File | Self::Tree)
    }

    /// Whether it has a path on a disk.
    #[must_use]
    pub fn lies_on_disk(self) -> bool {
        !matches!(self, Self::Container | Self::System)
    }
}

/// One named thing that is compared. The key is bytes: file names need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// What names it.
    pub source: SubjectSource,
    /// The name as lock files and reports give it.
    pub key: Vec<u8>,
}

impl Subject {
    /// A subject of a section.
    #[must_use]
    pub fn of_section(id: SectionId, key: impl Into<Vec<u8>>) -> Self {
        Self { source: SubjectSource::Section(id), key: key.into() }
    }
}

/// A state of a subject or part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Not there, or not known.
    #[default]
    Absent,
    /// The digest of a file's or module's content.
    Digest(Digest),
    /// A symbolic link: the digest of its target text.
    Link(Digest),
    /// Plain text.
    Text(String),
    /// Several named facts.
    Structured(BTreeMap<String, String>),
    /// A secret: that it differs may be said, what it is may not.
    Redacted,
}

impl Value {
    /// The value as reports print it; `None` for [`Value::Absent`].
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Digest(digest) => Some(digest.to_string()),
            Self::Link(digest) => Some(format!("@{digest}")),
            Self::Text(text) => Some(text.clone()),
            Self::Structured(facts) => {
                Some(facts.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
            }
            Self::Redacted => Some("(redacted)".to_owned()),
        }
    }
}

impl From<Leaf> for Value {
    fn from(leaf: Leaf) -> Self {
        match leaf {
            Leaf::File(digest) => Self::Digest(digest),
            Leaf::Link(digest) => Self::Link(digest),
        }
    }
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, schemars(rename = "WireKind"))]
pub enum Kind {
    /// On both sides, and not the same.
    Modified,
    /// In the baseline, not on the host.
    Missing,
    /// On the host, not in the baseline.
    Unexpected,
    /// It could not be looked at.
    Unreadable,
}

impl Kind {
    /// Every kind, in the order of the type.
    pub const ALL: [Self; 4] = [Self::Modified, Self::Missing, Self::Unexpected, Self::Unreadable];

    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Modified => "modified",
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether this is drift rather than a failure to look.
    #[must_use]
    pub fn is_drift(self) -> bool {
        self != Self::Unreadable
    }
}

/// What changed about a modified subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its content.
    Content,
    /// A container runs an image of another name.
    Tag,
    /// A container runs another image of the same name.
    Rebuilt,
    /// A container runs and should not, or the other way round.
    State,
    /// A container was made from another configuration.
    Config,
    /// A container still uses what was at a path of the host before.
    Stale,
    /// No container of the baseline has it.
    Unused,
    /// A container started before what it has mounted changed.
    NotRestarted,
    /// A key of an environment file has lost its value.
    Emptied,
    /// A key of an environment file has a value that stands for one that nobody filled in.
    Placeholder,
    /// A key that compose files give a container now is not in it, or one that they do not give is left in it.
    NotApplied,
    /// A resource was changed beside its code, and the next apply sets it back.
    Reverted,
    /// A resource was changed beside its code, and the next apply leaves it so.
    Kept,
    /// A resource was changed beside its code, and the code wants something else again.
    Conflicting,
    /// The code wants a change that was not applied.
    Pending,
    /// Its version.
    Version,
}

impl Change {
    /// Every change, in the order of the type.
    pub const ALL: [Self; 16] = [
        Self::Content,
        Self::Tag,
        Self::Rebuilt,
        Self::State,
        Self::Config,
        Self::Stale,
        Self::Unused,
        Self::NotRestarted,
        Self::Emptied,
        Self::Placeholder,
        Self::NotApplied,
        Self::Reverted,
        Self::Kept,
        Self::Conflicting,
        Self::Pending,
        Self::Version,
    ];

    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Tag => "tag",
            Self::Rebuilt => "rebuilt",
            Self::State => "state",
            Self::Config => "config",
            Self::Stale => "stale",
            Self::Unused => "unused",
            Self::NotRestarted => "not_restarted",
            Self::Emptied => "emptied",
            Self::Placeholder => "placeholder",
            Self::NotApplied => "not_applied",
            Self::Reverted => "reverted",
            Self::Kept => "kept",
            Self::Conflicting => "conflicting",
            Self::Pending => "pending",
            Self::Version => "version",
        }
    }

    /// Whether the baseline can be changed so that it is no change any more. A container that uses what is not on the host
    /// any more differs from the host, whatever the baseline says; what the code wants is its own baseline.
    #[must_use]
    pub fn may_be_accepted(self) -> bool {
        !matches!(self, Self::Stale | Self::Unused | Self::NotRestarted | Self::NotApplied | Self::Pending)
    }
}

/// What was decided about a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Disposition {
    /// It counts.
    #[default]
    Active,
    /// Somebody answers for it, for a time: it is shown and does not count.
    Acknowledged(Waiver),
    /// It lies in a window for which drift is approved: the same, and the change is who answers.
    Approved(Waiver),
    /// It is known not to matter.
    Ignored,
}

/// One file of a module that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The path relative to the module.
    pub path: Vec<u8>,
    /// What kind of difference.
    pub kind: Kind,
    /// What the baseline has.
    pub expected: Value,
    /// What the host has.
    pub actual: Value,
    /// What the host told of it besides.
    pub stat: Option<Stat>,
    /// Which lines differ, where that was asked for.
    pub shown: Option<Box<Shown>>,
    /// Why it could not be read, or why no lock file can hold it.
    pub reason: Option<String>,
    /// What differs in it, in a few words: `+1 −0`.
    pub diff: Option<String>,
}

impl Part {
    /// Whether it is a file that no lock file can hold.
    #[must_use]
    pub fn fits_no_lock_file(&self) -> bool {
        self.kind == Kind::Unexpected && self.reason.is_some()
    }
}

/// One attribute of a resource that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireAttribute"))]
pub struct Attribute {
    /// The path: `tags.Name`, `ebs_block_device[0].size`.
    pub path: String,
    /// `reverted`, `kept`, `conflicting` or `pending`.
    pub change: String,
    /// Whether it concerns who may reach or do what.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
    /// Whether the values are withheld because they are marked as sensitive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The old value; absent where it is withheld, or elements are told.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub old: Option<serde_json::Value>,
    /// The new value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub new: Option<serde_json::Value>,
    /// The elements of a set or list that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<serde_json::Value>,
    /// The elements of a set or list that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<serde_json::Value>,
}

/// A value that is there, though it may be null.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// Where the subject lies in the repository; for most subjects the key itself.
    pub place: Vec<u8>,
    /// What kind of difference.
    pub kind: Kind,
    /// What changed, for a modified subject.
    pub change: Option<Change>,
    /// What the baseline has.
    pub expected: Value,
    /// What the host has.
    pub actual: Value,
    /// The files of a module that differ, sorted by path.
    pub parts: Vec<Part>,
    /// The attributes of a resource that differ, those that concern security first.
    pub attributes: Vec<Attribute>,
    /// The category, where it is not that of its check.
    pub category: Option<Category>,
    /// The line in the file at its place where a resource is declared, from 1.
    pub line: Option<usize>,
    /// The whole of what the host has, for a subject that is more than one value: a container.
    pub entry: Option<BTreeMap<String, String>>,
    /// The whole of what the baseline has of such a subject.
    pub baseline_entry: Option<BTreeMap<String, String>>,
    /// Which layer moved, where that is known.
    pub layer: Option<String>,
    /// Why the subject could not be looked at.
    pub reason: Option<String>,
    /// What was in the way, where the look told that; a report that is read back does not.
    pub obstacle: Option<Obstacle>,
    /// What the host told of a single file besides.
    pub stat: Option<Stat>,
    /// Where what the host has comes from, once that was looked for.
    pub provenance: Option<Box<Provenance>>,
    /// The versions in a module's manifest, where one of them is known.
    pub versions: Option<Versions>,
    /// Which lines of a single file differ, where that was asked for.
    pub shown: Option<Box<Shown>>,
    /// What differs in a single file, in a few words: `services.traefik.image: v3.1 → v3.2`.
    pub diff: Option<String>,
    /// Whether it counts.
    pub disposition: Disposition,
    /// By whose hand its files changed, a claim for each, once that was asked.
    pub who: Vec<Who>,
    /// Since when it differs, where earlier runs tell it.
    pub since: Option<Since>,
    /// Whether this run is the first that found it.
    pub is_new: bool,
    /// What has probably happened, in one sentence.
    pub cause: Option<String>,
    /// What can be done about it, and the command of each.
    pub ways_out: Vec<WayOut>,
    /// What must be known before one of these is run, or why one is not there.
    pub notes: Vec<String>,
    /// Of a container: the files and modules that it has in place of the baseline's. A report does not hold them.
    pub held: Vec<Finding>,
    /// The release, or the commit, that a container still runs.
    pub still_runs: Option<String>,
    /// Of a resource that was changed outside of its code: its id and ARN, by which records name it. A report does not hold them.
    pub resource_ids: Vec<String>,
}

impl Finding {
    /// A finding that counts, with nothing more said than what differs; its place is its name.
    #[must_use]
    pub fn new(subject: Subject, kind: Kind, expected: Value, actual: Value) -> Self {
        Self {
            place: subject.key.clone(),
            subject,
            kind,
            change: None,
            expected,
            actual,
            parts: Vec::new(),
            attributes: Vec::new(),
            category: None,
            line: None,
            entry: None,
            baseline_entry: None,
            layer: None,
            reason: None,
            obstacle: None,
            stat: None,
            provenance: None,
            versions: None,
            shown: None,
            diff: None,
            disposition: Disposition::Active,
            who: Vec::new(),
            since: None,
            is_new: false,
            cause: None,
            ways_out: Vec::new(),
            notes: Vec::new(),
            held: Vec::new(),
            resource_ids: Vec::new(),
            still_runs: None,
        }
    }

    /// Who answers for it, where it is drift that somebody answers for.
    #[must_use]
    pub fn acknowledged(&self) -> Option<&Waiver> {
        match &self.disposition {
            Disposition::Acknowledged(whose) | Disposition::Approved(whose) if self.kind.is_drift() => {
                Some(whose)
            }
            _ => None,
        }
    }

    /// The change in whose window it lies, where it is drift that counts for that reason no more.
    #[must_use]
    pub fn approved(&self) -> Option<&str> {
        match &self.disposition {
            Disposition::Approved(change) if self.kind.is_drift() => Some(&change.by),
            _ => None,
        }
    }

    /// Whether it is drift that nobody answers for.
    #[must_use]
    pub fn is_open_drift(&self) -> bool {
        self.kind.is_drift() && self.acknowledged().is_none()
    }

    /// The change itself, in a few words that a terminal may show; `None` where nothing says more than that it differs.
    #[must_use]
    pub fn changed(&self) -> Option<String> {
        if let Some(diff) = &self.diff {
            return Some(diff.clone());
        }
        if self.kind != Kind::Modified {
            return None;
        }
        if !self.attributes.is_empty() {
            return Some(self.changed_attributes());
        }
        match self.change {
            Some(Change::State) => {
                let text = |value: &Value| {
                    value.text().map_or_else(|| "nothing".to_owned(), |it| escaped(it.as_bytes()))
                };
                Some(format!("expected {}, found {}", text(&self.expected), text(&self.actual)))
            }
            Some(Change::Version | Change::Content) if matches!(self.actual, Value::Text(_)) => {
                let text = |value: &Value| Some(escaped(value.text()?.as_bytes()));
                Some(format!("{} → {}", text(&self.expected)?, text(&self.actual)?))
            }
            Some(Change::Tag) => {
                let name = |value: &Value| Some(escaped(value.text()?.as_bytes()));
                Some(format!("image: {} → {}", name(&self.expected)?, name(&self.actual)?))
            }
            _ => self.changed_parts(),
        }
    }

    fn changed_attributes(&self) -> String {
        let lines: Vec<String> = self.attributes.iter().flat_map(Attribute::lines).collect();
        let said: Vec<String> = lines.iter().take(NAMED).map(|line| escaped(line.as_bytes())).collect();
        let more = lines.len().saturating_sub(NAMED);
        said.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    }

    fn changed_parts(&self) -> Option<String> {
        let say = |part: &Part| {
            let path = escaped(&part.path);
            match (part.kind, &part.diff) {
                (Kind::Modified, Some(diff)) => format!("{path} {diff}"),
                (kind, _) => format!("{path} {}", kind.word()),
            }
        };
        let said: Vec<String> = self.parts.iter().take(NAMED).map(say).collect();
        let more = self.parts.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!said.is_empty()).then(|| said.join(", ") + &more)
    }

    /// Whether the baseline can be changed so that it is no finding any more.
    #[must_use]
    pub fn may_be_accepted(&self) -> bool {
        self.change.is_none_or(Change::may_be_accepted)
    }

    /// The finding's identity: SHA-256 over check, subject, kind and actual value (as
    /// [`Value::text`] prints it), separated by NUL. The same drift has the same one on every run.
    #[must_use]
    pub fn fingerprint(&self, check: &str) -> Digest {
        let actual = self.actual.text().unwrap_or_default();
        let fields: [&[u8]; 4] =
            [check.as_bytes(), &self.subject.key, self.kind.word().as_bytes(), actual.as_bytes()];
        Digest::of(&fields.join(&0))
    }
}

/// Since when a subject differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireSince"))]
pub struct Since {
    /// The first run of an unbroken line in which it differed.
    pub run: String,
    /// When that was, RFC 3339 with offset.
    pub started_at: String,
    /// How many runs saw it differ.
    pub runs: usize,
    /// The newest run before these in which it was as in the baseline, or null.
    pub before: Option<String>,
    /// The first of these runs that saw what is there now, or null where that is the first of all.
    pub changed: Option<String>,
    /// Whether that one is the run that is being made: its name is settled last.
    #[serde(skip)]
    pub is_this_run: bool,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireWayOut"))]
pub struct WayOut {
    /// What it does: `undo`, `accept`, `acknowledge`; else when it is the right thing.
    pub when: Cow<'static, str>,
    /// The command, as a shell takes it.
    pub command: String,
}

impl WayOut {
    /// The word of what makes the host as the baseline has it.
    pub const UNDO: &'static str = "undo";
    /// The word of what makes the baseline as the host is.
    pub const ACCEPT: &'static str = "accept";
    /// The word of what lets it stay for a time.
    pub const ACKNOWLEDGE: &'static str = "acknowledge";

    /// A command, and when it is the right one.
    #[must_use]
    pub fn new(when: &'static str, command: impl Into<String>) -> Self {
        Self { when: Cow::Borrowed(when), command: command.into() }
    }
}

/// What differs inside a file; without its secrets, unless `--show-content` asked for every line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireShown"))]
pub struct Shown {
    /// What it means, for compose files and files of settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<String>,
    /// A unified diff, or a sentence that says why there is none.
    pub lines: Vec<String>,
}
