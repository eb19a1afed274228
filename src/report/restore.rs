//! A report read back from its JSON, so that any format can be made of a run that is over.

use super::json::{WireCheck, WireFinding, WireKind, WireOverall, WirePart, WireReport, WireStatus};
use super::told::{
    WireAnswer, WireCommit, WireNotice, WireProvenance, WireShown, WireSince, WireSinceLast, WireWayOut,
};
use crate::model::{
    Acknowledged, BaselineOrigin, Change, CheckLabels, CheckMeta, CheckResult, Commit, Digest, Disposition,
    ExitCode, FileOrigin, Finding, Kind, LeftOut, Mode, Notice, Origin, Part, Pause, PreviousReport,
    Provenance, Report, SectionOff, Shown, Stat, Status, Subject, SubjectSource, Trigger, Unit, Value,
    Verdict, Versions, WayOut,
};
use crate::section::SECTIONS;

/// Finds what is fixed about a check, by its id.
pub type FindCheck<'a> = &'a dyn Fn(&str) -> Option<&'static CheckMeta>;

/// Makes a report of its wire format again. `find` knows the checks.
///
/// What the wire format does not hold is left out: several errors of one check are one, and of a value that is no
/// digest only the text is known.
///
/// # Errors
/// When it names a check, a section or a mode that this version does not know.
pub fn restore(wire: &WireReport, find: FindCheck<'_>) -> Result<Report, String> {
    let section = |name: &str| {
        let known = SECTIONS.iter().map(|section| section.id()).find(|id| id.0 == name);
        known.ok_or_else(|| format!("it names a section \"{name}\", which this version does not know"))
    };
    let mut left_out = Vec::new();
    let counted = [(&wire.coverage.subjects, Unit::Subjects), (&wire.coverage.files, Unit::Files)];
    for (left, unit) in counted.iter().flat_map(|(all, unit)| all.iter().map(|left| (left, *unit))) {
        let (count, reason, remedy) = (left.count, left.reason.clone(), left.remedy.clone());
        left_out.push((section(&left.section)?, LeftOut { unit, count, reason, remedy }));
    }
    let is_well = |check: &WireCheck| matches!(check.status, WireStatus::Pass | WireStatus::Skip);
    if wire.overall == WireOverall::Pass && !wire.checks.iter().all(is_well) {
        return Err("it contradicts itself: its verdict does not follow from its checks".to_owned());
    }
    let off = wire.coverage.sections.iter();
    let sections_off =
        off.map(|off| Ok(SectionOff { section: section(&off.section)?, reason: off.reason.clone() }));
    let mode = [Mode::Local, Mode::Server, Mode::Diff].into_iter().find(|mode| mode.word() == wire.mode);
    Ok(Report {
        stamp: wire.timestamp.clone(),
        run: wire.run.clone(),
        host: wire.host.clone(),
        target: wire.target.clone(),
        mode: mode.ok_or_else(|| format!("its mode \"{}\" is not known to this version", wire.mode))?,
        compared: wire.compared.clone(),
        trigger: Trigger::Manual,
        partial: wire.partial,
        started_at: wire.started_at.clone(),
        started_at_unix: wire.started_at_unix,
        duration_ms: wire.duration_ms,
        baseline: BaselineOrigin {
            from: wire.baseline.from.clone(),
            digest: digest(&wire.baseline.digest).ok_or("the digest of its baseline is none")?,
            commit: wire.baseline.commit.clone(),
            dirty: wire.baseline.dirty,
        },
        checks: checks(wire, find)?,
        sections_off: sections_off.collect::<Result<_, String>>()?,
        left_out,
        since_last: wire.since_last.as_ref().map(WireSinceLast::restored),
        pause: wire.pause.as_ref().map(pause),
        verdict: verdict(wire),
        last_success: wire.last_success_unix,
        previous: wire.previous().map(|(run, digest)| PreviousReport { run, digest }),
        notices: wire.notifications.iter().map(notice).collect(),
        past: Vec::new(),
        location: None,
    })
}

fn verdict(wire: &WireReport) -> Verdict {
    let summary = &wire.summary;
    let compared = wire.checks.iter().any(|check| check.subjects > 0);
    Verdict {
        total: summary.total,
        passed: summary.passed,
        failed: summary.failed,
        errors: summary.errors,
        skipped: summary.skipped,
        nothing_compared: !compared && summary.errors == 0,
        overall: if wire.overall == WireOverall::Pass { Status::Pass } else { Status::Fail },
        exit: match wire.exit_code {
            0 => ExitCode::Pass,
            2 => ExitCode::Drift,
            _ => ExitCode::Error,
        },
    }
}

fn checks(wire: &WireReport, find: FindCheck<'_>) -> Result<Vec<CheckResult>, String> {
    let mut is_told = false;
    let mut all = Vec::new();
    for check in &wire.checks {
        let meta = find(&check.name).ok_or_else(|| {
            format!("it holds a check \"{}\", which this version does not know", check.name)
        })?;
        let mut result = restored(check, meta);
        if WireStatus::of(result.status()) != check.status {
            return Err(format!(
                "it contradicts itself: the status of {} does not follow from it",
                check.name
            ));
        }
        // On a server one line stands for all that follow it.
        result.info =
            result.info.filter(|_| !is_told).map(|line| line.replace(CheckLabels::HOST, &wire.host));
        is_told |= meta.labels.opens_server_run();
        all.push(result);
    }
    Ok(all)
}

fn restored(check: &WireCheck, meta: &'static CheckMeta) -> CheckResult {
    CheckResult {
        subjects: check.subjects,
        findings: check.findings.iter().map(|wire| finding(wire, meta)).collect(),
        errors: check.error.iter().cloned().collect(),
        skip: (check.status == WireStatus::Skip).then(|| check.details.clone()),
        notes: check.notes.clone(),
        ways_out: ways(&check.ways_out),
        ..CheckResult::new(meta)
    }
}

fn finding(wire: &WireFinding, meta: &CheckMeta) -> Finding {
    let kind = kind(wire.kind);
    let source = meta.source.unwrap_or(SubjectSource::LockFile);
    let subject = Subject { source, key: wire.key() };
    Finding {
        place: wire.place(),
        change: wire.change.as_deref().and_then(change),
        parts: wire.files.iter().flatten().map(part).collect(),
        entry: wire.entry.clone(),
        baseline_entry: wire.baseline_entry.clone(),
        layer: wire.layer.clone(),
        reason: wire.reason.clone(),
        provenance: wire.provenance.as_ref().map(|told| Box::new(provenance(told))),
        versions: wire
            .manifest_version
            .as_ref()
            .map(|it| Versions { expected: it.expected.clone(), actual: it.actual.clone() }),
        shown: wire.content.as_ref().map(|it| Box::new(shown(it))),
        disposition: wire
            .acknowledged
            .as_ref()
            .map_or(Disposition::Active, |answer| Disposition::Acknowledged(acknowledged(answer))),
        since: wire.since.as_ref().map(WireSince::since),
        cause: wire.cause.clone(),
        ways_out: ways(&wire.ways_out),
        notes: wire.notes.clone(),
        ..Finding::new(subject, kind, value(wire.expected.as_deref()), value(wire.actual.as_deref()))
    }
}

fn part(wire: &WirePart) -> Part {
    Part {
        path: wire.path(),
        kind: kind(wire.kind),
        expected: value(wire.expected.as_deref()),
        actual: value(wire.actual.as_deref()),
        stat: None,
        shown: wire.content.as_ref().map(|it| Box::new(shown(it))),
        reason: wire.reason.clone(),
    }
}

fn kind(wire: WireKind) -> Kind {
    match wire {
        WireKind::Modified => Kind::Modified,
        WireKind::Missing => Kind::Missing,
        WireKind::Unexpected => Kind::Unexpected,
        WireKind::Unreadable => Kind::Unreadable,
    }
}

fn change(word: &str) -> Option<Change> {
    let all = [Change::Content, Change::Tag, Change::Rebuilt, Change::State, Change::Config, Change::Stale];
    all.into_iter().find(|change| change.word() == word)
}

fn digest(hex: &str) -> Option<Digest> {
    Digest::parse(hex.as_bytes())
}

fn value(text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Absent };
    let link = text.strip_prefix('@').and_then(digest).map(Value::Link);
    link.or_else(|| digest(text).map(Value::Digest)).unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn provenance(wire: &WireProvenance) -> Provenance {
    let files = wire.files.iter().map(|file| FileOrigin {
        path: file.path(),
        origin: origin(&file.verdict),
        commit: file.commit.as_ref().map(commit),
    });
    let edited = wire.mtime.zip(wire.uid).map(|(mtime, uid)| Stat { mtime, uid, ..Stat::default() });
    Provenance {
        commit: wire.commit.as_ref().map(commit),
        baseline: wire.baseline_commit.as_ref().map(commit),
        distance: wire.distance.unwrap_or_default(),
        between: wire.commits.iter().map(commit).collect(),
        files: files.collect(),
        edited,
        unsearched: wire.unsearched.clone(),
        ..Provenance::of(origin(&wire.verdict))
    }
}

fn origin(word: &str) -> Origin {
    let all = [Origin::Stale, Origin::Ahead, Origin::Diverged, Origin::Edited, Origin::Mixed, Origin::Absent];
    all.into_iter().find(|origin| origin.word() == word).unwrap_or(Origin::Unknown)
}

fn commit(wire: &WireCommit) -> Commit {
    let WireCommit { id, author, date, subject } = wire.clone();
    Commit { id, author, date, subject }
}

fn shown(wire: &WireShown) -> Shown {
    Shown { meaning: wire.meaning.clone(), lines: wire.lines.clone() }
}

fn acknowledged(wire: &WireAnswer) -> Acknowledged {
    let WireAnswer { reason, by, since, until } = wire.clone();
    Acknowledged { reason, by, since, until }
}

fn pause(wire: &WireAnswer) -> Pause {
    let WireAnswer { reason, by, since, until } = wire.clone();
    Pause { reason, by, since, until }
}

fn ways(wire: &[WireWayOut]) -> Vec<WayOut> {
    wire.iter().map(|way| WayOut { when: way.when.clone().into(), command: way.command.clone() }).collect()
}

fn notice(wire: &WireNotice) -> Notice {
    Notice { name: wire.name.clone(), error: wire.error.clone() }
}
