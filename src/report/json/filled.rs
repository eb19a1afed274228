//! The wire format filled from a report, and what can be had back from it.

use std::collections::BTreeMap;

use data_encoding::BASE64;

use super::super::told::{
    WireAnswer, WireNotice, WireProvenance, WireShown, WireSince, WireSinceLast, WireVersions, WireWayOut,
};
use super::super::{details, headline};
use super::wire::{
    WireBaseline, WireCheck, WireCoverage, WireFinding, WireKind, WireLeftOut, WireOverall, WirePart,
    WirePrevious, WireReport, WireReports, WireSectionOff, WireStatus, WireSummary,
};
use super::{SCHEMA, SCHEMA_OF_SEVERAL};
use crate::model::{
    CheckResult, Digest, Entry, Finding, Leaf, LeftOut, Part, Report, SectionId, Status, TreeBuilder, Unit,
    Value, readable,
};

impl WireReports {
    pub(super) fn of(reports: &[Report]) -> Self {
        let codes: Vec<u8> = reports.iter().map(|report| report.verdict.exit.code()).collect();
        let exit_code = if codes.contains(&1) { 1 } else { codes.iter().copied().max().unwrap_or(1) };
        Self {
            schema: SCHEMA_OF_SEVERAL.to_owned(),
            overall: WireOverall::of(reports.iter().all(|report| report.verdict.overall == Status::Pass)),
            exit_code,
            reports: reports.iter().map(WireReport::of).collect(),
        }
    }
}

impl WireReport {
    /// The run before it and the digest of that one's report, where it names them.
    #[must_use]
    pub fn previous(&self) -> Option<(String, Digest)> {
        let previous = self.previous.as_ref()?;
        Some((previous.run.clone(), Digest::parse(previous.sha256.as_bytes())?))
    }

    pub(super) fn of(report: &Report) -> Self {
        let verdict = &report.verdict;
        let exit_code = verdict.exit.code();
        Self {
            timestamp: report.stamp.clone(),
            mode: report.mode.word().to_owned(),
            checks: report.checks.iter().map(WireCheck::of).collect(),
            summary: WireSummary {
                total: verdict.total,
                passed: verdict.passed,
                failed: verdict.failed,
                errors: verdict.errors,
                skipped: verdict.skipped,
                acknowledged: Some(report.acknowledged()).filter(|count| *count > 0),
            },
            overall: WireOverall::of(verdict.overall == Status::Pass),
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: report.run.clone(),
            host: report.host.clone(),
            target: report.target.clone(),
            compared: report.compared.clone(),
            partial: report.partial,
            started_at: report.started_at.clone(),
            started_at_unix: report.started_at_unix,
            duration_ms: report.duration_ms,
            baseline: WireBaseline {
                from: report.baseline.from.clone(),
                digest: report.baseline.digest.to_string(),
                commit: report.baseline.commit.clone(),
                dirty: report.baseline.dirty,
            },
            exit_code,
            headline: headline(report),
            fingerprint: report.fingerprint().to_string(),
            coverage: WireCoverage::of(report),
            since_last: report.since_last.as_ref().map(WireSinceLast::of),
            pause: report.pause.as_ref().map(WireAnswer::of_pause),
            last_success_unix: report.last_success,
            previous: report
                .previous
                .as_ref()
                .map(|it| WirePrevious { run: it.run.clone(), sha256: it.digest.to_string() }),
            notifications: report.notices.iter().map(WireNotice::of).collect(),
        }
    }
}

impl WireOverall {
    fn of(passed: bool) -> Self {
        if passed { Self::Pass } else { Self::Fail }
    }
}

impl WireCheck {
    fn of(check: &CheckResult) -> Self {
        Self {
            name: check.id.to_owned(),
            status: WireStatus::of(check.status()),
            details: details(check),
            subjects: check.subjects,
            findings: check.findings.iter().map(|finding| WireFinding::of(check.id, finding)).collect(),
            error: (!check.errors.is_empty()).then(|| check.errors.join("; ")),
            notes: check.notes.clone(),
            ways_out: WireWayOut::of_all(&check.ways_out),
        }
    }
}

impl WireStatus {
    pub(in crate::report) fn of(status: Status) -> Self {
        match status {
            Status::Pass => Self::Pass,
            Status::Fail => Self::Fail,
            Status::Error => Self::Error,
            Status::Skip => Self::Skip,
        }
    }
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
            kind: WireKind::of(finding.kind),
            change: finding.change.map(|change| change.word().to_owned()),
            expected: finding.expected.text(),
            actual: finding.actual.text(),
            entry: finding.entry.clone(),
            baseline_entry: finding.baseline_entry.clone(),
            layer: finding.layer.clone(),
            reason: finding.reason.clone(),
            fingerprint: finding.fingerprint(check).to_string(),
            acknowledged: finding.acknowledged().map(WireAnswer::of),
            content: finding.shown.as_deref().map(WireShown::of),
            files: (!finding.parts.is_empty()).then(|| finding.parts.iter().map(WirePart::of).collect()),
            provenance: finding.provenance.as_deref().map(|told| WireProvenance::of(told, finding.kind)),
            manifest_version: finding.versions.as_ref().map(WireVersions::of),
            since: finding.since.as_ref().map(WireSince::of),
            cause: finding.cause.clone(),
            ways_out: WireWayOut::of_all(&finding.ways_out),
            notes: finding.notes.clone(),
        }
    }

    /// Whether the baseline can be changed so that this is no finding any more.
    #[must_use]
    pub fn may_be_accepted(&self) -> bool {
        self.change.as_deref() != Some(crate::model::Change::Stale.word())
    }

    /// The subject's name as bytes.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        bytes(&self.subject, self.subject_bytes.as_deref())
    }

    /// The subject's state on the host, given what the baseline had; `None` where it is gone.
    #[must_use]
    pub fn entry_after(&self, before: Option<Entry>) -> Option<Entry> {
        if let Some(facts) = &self.entry {
            return Some(Entry { value: Value::Structured(facts.clone()), tree: None, stat: None });
        }
        let digest = Digest::parse(self.actual.as_ref()?.as_bytes())?;
        let tree = self.files.as_ref().map(|parts| {
            let mut leaves: BTreeMap<Vec<u8>, Leaf> = BTreeMap::new();
            let old = before.and_then(|entry| entry.tree).unwrap_or_default();
            leaves.extend(old.iter().map(|(path, leaf)| (path.to_vec(), leaf)));
            for part in parts {
                match part.leaf() {
                    Some(leaf) => drop(leaves.insert(part.path(), leaf)),
                    None => drop(leaves.remove(&part.path())),
                }
            }
            let mut builder = TreeBuilder::default();
            for (path, leaf) in leaves {
                builder.push(path, leaf, None);
            }
            builder.build()
        });
        Some(Entry { value: Value::Digest(digest), tree, stat: None })
    }

    /// The subject's place as bytes.
    #[must_use]
    pub fn place(&self) -> Vec<u8> {
        self.place.as_ref().map_or_else(|| self.key(), |text| bytes(text, self.place_bytes.as_deref()))
    }
}

impl WirePart {
    fn of(part: &Part) -> Self {
        let (path, path_bytes) = name(&part.path);
        Self {
            path,
            path_bytes,
            kind: WireKind::of(part.kind),
            expected: part.expected.text(),
            actual: part.actual.text(),
            reason: part.reason.clone(),
            content: part.shown.as_deref().map(WireShown::of),
        }
    }

    /// What stands at the path on the host.
    fn leaf(&self) -> Option<Leaf> {
        let text = self.actual.as_ref()?;
        match text.strip_prefix('@') {
            Some(hex) => Digest::parse(hex.as_bytes()).map(Leaf::Link),
            None => Digest::parse(text.as_bytes()).map(Leaf::File),
        }
    }

    /// The path as bytes.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        bytes(&self.path, self.path_bytes.as_deref())
    }
}

impl WireKind {
    /// The kind as it is written.
    #[must_use]
    pub fn of(kind: crate::model::Kind) -> Self {
        use crate::model::Kind;
        match kind {
            Kind::Modified => Self::Modified,
            Kind::Missing => Self::Missing,
            Kind::Unexpected => Self::Unexpected,
            Kind::Unreadable => Self::Unreadable,
        }
    }
}

impl WireCoverage {
    fn of(report: &Report) -> Self {
        let counted = |unit: Unit| {
            let all = report.left_out.iter().filter(|(_, left)| left.unit == unit);
            all.map(|(section, left)| WireLeftOut::of(*section, left)).collect()
        };
        let off = report.sections_off.iter();
        Self {
            sections: off
                .map(|off| WireSectionOff { section: off.section.to_string(), reason: off.reason.clone() })
                .collect(),
            subjects: counted(Unit::Subjects),
            files: counted(Unit::Files),
        }
    }
}

impl WireLeftOut {
    fn of(section: SectionId, left: &LeftOut) -> Self {
        let (reason, remedy) = (left.reason.clone(), left.remedy.clone());
        Self { section: section.to_string(), count: left.count, reason, remedy }
    }
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
