//! What acknowledgements make of findings: they are shown and do not count; nothing else changes.

use super::Acknowledgement;
use crate::config::ApprovedWindow;
use crate::model::{CheckResult, Disposition, Finding, Status, SubjectSource, Waiver, day, escaped, quoted};

/// How many seconds before its end an acknowledgement is spoken of: seven days.
pub const SOON: i64 = 7 * 24 * 60 * 60;

/// What acknowledgements are applied to.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The target that was looked at; `None` is the project's own tree.
    pub target: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
    /// Whether it was compared with the project's own baseline: compared with another one, what matches nothing
    /// may match again.
    pub is_own_baseline: bool,
}

/// Whether a finding can be acknowledged at all: it is drift, and not that of a missing lock file, without which
/// nothing is known.
#[must_use]
pub fn can_be(finding: &Finding) -> bool {
    finding.kind.is_drift() && finding.subject.source != SubjectSource::LockFile
}

/// For how many seconds drift that cannot be shown may be answered for: 30 days. Nobody sees whether it is still the same.
const UNSEEN: i64 = 30 * 24 * 60 * 60;

/// Whether an end (in seconds since 1970) is later than may be said now of a finding with a value that is withheld.
#[must_use]
pub fn reaches_too_far(finding: &Finding, until: i64, now: i64) -> bool {
    finding.attributes.iter().any(|attribute| attribute.sensitive) && until - now > UNSEEN
}

/// Marks the findings that somebody answers for. What has expired, soon will, or matches nothing any more is a
/// note of its check.
pub fn apply(checks: &mut [CheckResult], all: &[Acknowledgement], case: Case<'_>) {
    for check in checks {
        let of_it = |a: &&Acknowledgement| a.check == check.id && a.target.as_deref() == case.target;
        let of_it: Vec<&Acknowledgement> = all.iter().filter(of_it).collect();
        for finding in check.findings.iter_mut().filter(|finding| can_be(finding)) {
            let valid = of_it.iter().filter(|a| {
                let may_count = !a.is_over(case.now) && !reaches_too_far(finding, a.until.unix, case.now);
                may_count && is_of(a, check.id, finding)
            });
            if let Some(longest) = valid.max_by_key(|a| a.until.unix) {
                finding.disposition = Disposition::Acknowledged(longest.in_words());
            }
        }
        let notes: Vec<String> = of_it.iter().filter_map(|a| note(a, check, case)).collect();
        check.notes.extend(notes);
    }
}

fn is_of(a: &Acknowledgement, check: &str, finding: &Finding) -> bool {
    let is_same = a.subject == finding.subject.key && a.kind == finding.kind;
    can_be(finding) && is_same && a.fingerprint == finding.fingerprint(check)
}

/// What is worth saying of an acknowledgement.
fn note(a: &Acknowledgement, check: &CheckResult, case: Case<'_>) -> Option<String> {
    let name = escaped(&a.subject);
    let Some(finding) = check.findings.iter().find(|finding| is_of(a, check.id, finding)) else {
        let was_compared = matches!(check.status(), Status::Pass | Status::Fail);
        let gone = "matches nothing any more: what it was for is gone or has changed";
        return (was_compared && case.is_own_baseline).then(|| {
            format!("the acknowledgement of {name} {gone}; take it back with: {}", command(a, "remove"))
        });
    };
    let until = day(&a.until.text);
    match &finding.disposition {
        Disposition::Acknowledged(its) if *its == a.in_words() && a.until.unix - case.now <= SOON => {
            Some(format!("the acknowledgement of {name} expires on {until}"))
        }
        Disposition::Active if reaches_too_far(finding, a.until.unix, case.now) => Some(format!(
            "the acknowledgement of {name} does not count: drift of a sensitive value is answered for within 30 days; \
             shorten it with: {} --until 30d",
            command(a, "renew")
        )),
        Disposition::Active => Some(format!(
            "the acknowledgement of {name} expired on {until}; answer for it longer with: {} --until WHEN",
            command(a, "renew")
        )),
        _ => None,
    }
}

/// What changes an acknowledgement.
fn command(a: &Acknowledgement, word: &str) -> String {
    let target = a.target.as_deref().map(|name| format!(" --target {}", quoted(name))).unwrap_or_default();
    format!("driftlock ack {word} {}{target}", quoted(&format!("{}/{}", a.check, escaped(&a.subject))))
}

/// Marks drift that lies in an approved window, unless somebody answers for it already.
pub fn apply_windows(checks: &mut [CheckResult], windows: &[ApprovedWindow], now: i64) {
    for check in checks.iter_mut().filter(|_| !windows.is_empty()) {
        let id = check.id;
        for finding in check.findings.iter_mut().filter(|it| can_be(it) && it.is_open_drift()) {
            let covering = windows.iter().find(|it| it.covers(id, &finding.subject.key, now));
            let Some(window) = covering else { continue };
            finding.disposition = Disposition::Approved(Waiver {
                reason: format!("approved: {}", window.reference),
                by: window.reference.clone(),
                since: window.from.text.clone(),
                until: window.until.text.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CheckLabels, CheckMeta, Kind, Moment, Role, Subject, Value};

    const META: CheckMeta = CheckMeta {
        id: "resources",
        about: "every resource is as planned",
        role: Role::Comparison,
        source: Some(SubjectSource::Plan),
        category: crate::model::Category::Infrastructure,
        labels: CheckLabels {
            topic: "Resources",
            info: "Checking resources...",
            pass: "All resources as planned",
            drift: "Resource drift",
            unreadable: "Resource unreadable",
            noun: "resources",
            verb: "drifted",
            singular: "resource",
        },
        also_reads: &[],
        also_names: None,
        absence: "there is no plan",
        config_cause: None,
        may_be_accepted: true,
    };

    fn checked(source: SubjectSource) -> (CheckResult, Acknowledgement) {
        let subject = Subject { source, key: b"a".to_vec() };
        let finding = Finding::new(subject, Kind::Missing, Value::Absent, Value::Absent);
        let moment = |unix| Moment { text: format!("2026-01-0{unix}"), unix };
        let entry = Acknowledgement {
            check: META.id.to_owned(),
            subject: b"a".to_vec(),
            target: None,
            kind: Kind::Missing,
            fingerprint: finding.fingerprint(META.id),
            reason: "wait".to_owned(),
            by: "Ada".to_owned(),
            since: moment(1),
            until: moment(9),
        };
        (CheckResult { subjects: 1, findings: vec![finding], ..CheckResult::new(&META) }, entry)
    }

    #[test]
    fn what_no_lock_file_names_is_acknowledged_like_any_other_and_a_lock_file_never() {
        for (source, status) in [(SubjectSource::Plan, Status::Pass), (SubjectSource::LockFile, Status::Fail)]
        {
            let (check, entry) = checked(source);
            let mut checks = [check];
            apply(&mut checks, &[entry], Case { target: None, now: 2, is_own_baseline: true });
            assert_eq!(checks[0].status(), status, "{source:?}");
        }
    }
}
