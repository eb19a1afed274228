//! One finding in the JSON report, written and read back.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::super::provenance::sentence;
use crate::model::{
    Attribute, Category, Change, CheckMeta, Commit, Digest, Disposition, FileOrigin, Finding, Kind, Origin,
    OtherForm, Part, Provenance, Release, Shown, Since, Stat, Subject, SubjectSource, Value, Versions,
    Waiver, WayOut, Who, readable,
};

/// One difference.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct WireFinding {
    /// What it is about; lossy where the name is not UTF-8.
    subject: String,
    /// The name's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject_bytes: Option<String>,
    /// Where the subject lies in the repository, where that is not its name: a module's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The place's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place_bytes: Option<String>,
    /// What kind of difference.
    kind: Kind,
    /// What changed, for a modified subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    /// What the baseline has; null where it has nothing.
    expected: Option<String>,
    /// What the host has; null where it has nothing, or it is not known.
    actual: Option<String>,
    /// The category, where it is not that of the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<Category>,
    /// The line in the file at `place` where a resource is declared, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The attributes of a resource that differ, those that concern security first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    /// The whole of what the host has of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<BTreeMap<String, String>>,
    /// The whole of what the baseline has of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline_entry: Option<BTreeMap<String, String>>,
    /// Which layer moved, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    /// The release, or the commit, that a container still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    still_runs: Option<String>,
    /// Why it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether this run is the first that found it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    new: bool,
    /// SHA-256 over check, subject, kind and actual.
    fingerprint: String,
    /// Who answers for it: it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Waiver>,
    /// What differs in a single file, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    /// Which lines of a single file differ, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Shown>,
    /// The files of a module that differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<WirePart>>,
    /// Where what the host holds comes from, as far as the repository's history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<WireProvenance>,
    /// The versions in a module's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest_version: Option<Versions>,
    /// By whose hand its files changed that no commit holds, a claim for each of at most five, where this machine records that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    who: Vec<Who>,
    /// Since when it differs, where earlier runs tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Since>,
    /// What has probably happened, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// What can be done about it, and the command of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ways_out: Vec<WayOut>,
    /// What must be known before one of these is run, or why there is no command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One file of a module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WirePart {
    /// The path relative to the module; lossy where it is not UTF-8.
    path: String,
    /// The path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    /// What kind of difference.
    kind: Kind,
    /// What the baseline has: a digest, `@` and a digest for a link, or null.
    expected: Option<String>,
    /// What the host has.
    actual: Option<String>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What differs in it, in a few words: how many lines came and went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    /// Which lines differ, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Shown>,
}

/// Where what a host holds comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireProvenance {
    /// `own commit`, `stale`, `ahead`, `diverged`, `edited by hand`, `unreleased`, `copied`, `untracked`, `mixed`, `absent` or
    /// `unknown`.
    verdict: String,
    /// The same in a sentence.
    words: String,
    /// The commit whose content the host holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
    /// The path from the project's root at which `commit` has it, where it is another one; lossy where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_as: Option<String>,
    /// That path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_as_bytes: Option<String>,
    /// The commit whose content the baseline has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline_commit: Option<Commit>,
    /// How many commits of the subject lie between both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distance: Option<usize>,
    /// The newest of these, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    commits: Vec<Commit>,
    /// The release that holds it, where tags tell that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    /// The forms in which the same content is written otherwise than in the baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forms: Vec<String>,
    /// What is known of each file of a module that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<WireFileOrigin>,
    /// When a file that was edited by hand, or is untracked, was written, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    /// The number of the user that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    /// What was not searched, and why; of what is untracked, why nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsearched: Option<String>,
}

/// Where one file of a module comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireFileOrigin {
    /// The path relative to the module; lossy where it is not UTF-8.
    path: String,
    /// The path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    /// The verdict.
    verdict: String,
    /// The commit whose content it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
    /// The path from the project's root at which `commit` has it, where it is another one; lossy where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_as: Option<String>,
    /// That path's bytes in base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_as_bytes: Option<String>,
}

impl WireFinding {
    pub(in crate::report) fn of(check: &str, finding: &Finding) -> Self {
        let (subject, subject_bytes) = name(&finding.subject.key);
        let elsewhere = finding.place != finding.subject.key;
        let (place, place_bytes) = name(&finding.place);
        Self {
            subject,
            subject_bytes,
            place: elsewhere.then_some(place),
            place_bytes: place_bytes.filter(|_| elsewhere),
            kind: finding.kind,
            change: finding.change.map(|change| change.word().to_owned()),
            expected: finding.expected.text(),
            actual: finding.actual.text(),
            category: finding.category,
            line: finding.line,
            attributes: finding.attributes.clone(),
            entry: finding.entry.clone(),
            baseline_entry: finding.baseline_entry.clone(),
            layer: finding.layer.clone(),
            still_runs: finding.still_runs.clone(),
            reason: finding.reason.clone(),
            new: finding.is_new,
            fingerprint: finding.fingerprint(check).to_string(),
            acknowledged: finding.acknowledged().cloned(),
            diff: finding.diff.clone(),
            content: finding.shown.as_deref().cloned(),
            files: (!finding.parts.is_empty()).then(|| finding.parts.iter().map(WirePart::of).collect()),
            provenance: finding.provenance.as_deref().map(|it| WireProvenance::of(it, finding.kind)),
            manifest_version: finding.versions.clone(),
            who: finding.who.clone(),
            since: finding.since.clone(),
            cause: finding.cause.clone(),
            ways_out: finding.ways_out.clone(),
            notes: finding.notes.clone(),
        }
    }

    /// Reads a finding of a check back. Of a value that is no digest only the text is known.
    pub(super) fn read(self, check: &CheckMeta) -> Finding {
        let key = bytes(&self.subject, self.subject_bytes.as_deref());
        let place = self.place.map(|text| bytes(&text, self.place_bytes.as_deref()));
        let other = check.also_names.filter(|_| place.is_none()).map(SubjectSource::Section);
        let source = other.or(check.source).unwrap_or(SubjectSource::LockFile);
        Finding {
            place: place.unwrap_or_else(|| key.clone()),
            change: Change::ALL.into_iter().find(|change| Some(change.word()) == self.change.as_deref()),
            parts: self.files.into_iter().flatten().map(WirePart::read).collect(),
            category: self.category,
            line: self.line,
            attributes: self.attributes,
            entry: self.entry,
            baseline_entry: self.baseline_entry,
            layer: self.layer,
            still_runs: self.still_runs,
            reason: self.reason,
            is_new: self.new,
            provenance: self.provenance.map(|it| Box::new(it.read())),
            versions: self.manifest_version,
            shown: self.content.map(Box::new),
            diff: self.diff,
            disposition: self.acknowledged.map_or(Disposition::Active, Disposition::Acknowledged),
            who: self.who,
            since: self.since,
            cause: self.cause,
            ways_out: self.ways_out,
            notes: self.notes,
            ..Finding::new(Subject { source, key }, self.kind, value(self.expected), value(self.actual))
        }
    }
}

impl WirePart {
    fn of(part: &Part) -> Self {
        let (path, path_bytes) = name(&part.path);
        Self {
            path,
            path_bytes,
            kind: part.kind,
            expected: part.expected.text(),
            actual: part.actual.text(),
            reason: part.reason.clone(),
            diff: part.diff.clone(),
            content: part.shown.as_deref().cloned(),
        }
    }

    fn read(self) -> Part {
        Part {
            path: bytes(&self.path, self.path_bytes.as_deref()),
            kind: self.kind,
            expected: value(self.expected),
            actual: value(self.actual),
            stat: None,
            shown: self.content.map(Box::new),
            diff: self.diff,
            reason: self.reason,
        }
    }
}

impl WireProvenance {
    fn of(provenance: &Provenance, kind: Kind) -> Self {
        let is_between = matches!(provenance.origin, Origin::Stale | Origin::Ahead);
        let files = provenance.files.iter().map(|file| {
            let (path, path_bytes) = name(&file.path);
            let (verdict, commit) = (file.origin.word().to_owned(), file.commit.clone());
            let (held_as, held_as_bytes) = maybe_name(file.held_as.as_deref());
            WireFileOrigin { path, path_bytes, verdict, commit, held_as, held_as_bytes }
        });
        let (held_as, held_as_bytes) = maybe_name(provenance.held_as.as_deref());
        Self {
            verdict: provenance.origin.word().to_owned(),
            words: sentence(provenance, kind),
            commit: provenance.commit.clone(),
            held_as,
            held_as_bytes,
            baseline_commit: provenance.baseline.clone(),
            distance: is_between.then_some(provenance.distance),
            commits: provenance.between.clone(),
            release: provenance.release.clone(),
            forms: provenance.forms.iter().map(|form| form.words().to_owned()).collect(),
            files: files.collect(),
            mtime: provenance.edited.map(|stat| stat.mtime),
            uid: provenance.edited.map(|stat| stat.uid),
            unsearched: provenance.unsearched.clone(),
        }
    }

    fn read(self) -> Provenance {
        let files = self.files.into_iter().map(|file| FileOrigin {
            path: bytes(&file.path, file.path_bytes.as_deref()),
            origin: origin(&file.verdict),
            commit: file.commit,
            held_as: file.held_as.map(|text| bytes(&text, file.held_as_bytes.as_deref())),
        });
        Provenance {
            commit: self.commit,
            held_as: self.held_as.map(|text| bytes(&text, self.held_as_bytes.as_deref())),
            baseline: self.baseline_commit,
            distance: self.distance.unwrap_or_default(),
            between: self.commits,
            files: files.collect(),
            edited: self.mtime.zip(self.uid).map(|(mtime, uid)| Stat { mtime, uid, ..Stat::default() }),
            unsearched: self.unsearched,
            release: self.release,
            forms: self.forms.iter().filter_map(|words| form(words)).collect(),
            ..Provenance::of(origin(&self.verdict))
        }
    }
}

fn maybe_name(path: Option<&[u8]>) -> (Option<String>, Option<String>) {
    path.map_or((None, None), |path| {
        let (text, bytes) = name(path);
        (Some(text), bytes)
    })
}

fn origin(word: &str) -> Origin {
    Origin::ALL.into_iter().find(|origin| origin.word() == word).unwrap_or(Origin::Unknown)
}

fn form(words: &str) -> Option<OtherForm> {
    OtherForm::ALL.into_iter().find(|form| form.words() == words)
}

fn value(text: Option<String>) -> Value {
    let Some(text) = text else { return Value::Absent };
    let digest = |hex: &str| Digest::parse(hex.as_bytes());
    let link = text.strip_prefix('@').and_then(digest).map(Value::Link);
    link.or_else(|| digest(&text).map(Value::Digest)).unwrap_or(Value::Text(text))
}

/// A name as text, and its bytes in base64 where it is not UTF-8.
#[must_use]
pub fn name(raw: &[u8]) -> (String, Option<String>) {
    let (text, lossy) = readable(raw);
    (text.into_owned(), lossy.then(|| BASE64.encode(raw)))
}

/// The bytes of a name that was written by [`name`].
#[must_use]
pub fn bytes(text: &str, exact: Option<&str>) -> Vec<u8> {
    let exact = exact.and_then(|code| BASE64.decode(code.as_bytes()).ok());
    exact.unwrap_or_else(|| text.as_bytes().to_vec())
}
