//! What is news: pure decisions over what was found and what was last told.

use serde::{Deserialize, Serialize};

use crate::model::{CheckResult, Report, Status, fingerprint};

/// A place as it was looked at: runs that look at other things are told of apart, so that they do not take turns in
/// being news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeScope {
    /// The target's name; `None` is the project's own tree.
    pub target: Option<String>,
    /// What it was compared with.
    pub baseline: String,
    /// The checks, where only some were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<String>>,
}

impl NoticeScope {
    /// The place of a report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let ids = || report.checks.iter().map(|check| check.id.to_owned()).collect();
        Self {
            target: report.target.clone(),
            baseline: report.baseline.from.clone(),
            checks: report.partial.then(ids),
        }
    }
}

/// What a run found, as far as it can be news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `PASS`, `FAIL` or `ERROR`.
    pub verdict: String,
    /// The identity of the set of findings.
    pub fingerprint: String,
}

impl Seen {
    /// What a report holds.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        Self { verdict: report.status().word().to_owned(), fingerprint: report.fingerprint().to_string() }
    }

    fn passed(&self) -> bool {
        self.verdict == Status::Pass.word()
    }
}

/// What was last told of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastNotification {
    /// What was told.
    #[serde(flatten)]
    pub seen: Seen,
    /// When, in seconds since 1970.
    pub told_at_unix: i64,
    /// When the run began that was told of.
    pub run_at_unix: i64,
    /// Since when it does not pass, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_since_unix: Option<i64>,
}

/// The verdict that stands for nobody having been told anything yet.
const NOTHING: &str = "NONE";

impl LastNotification {
    /// Nothing was told of a place so far. Recorded before the first attempt, so that whatever ends that attempt, the
    /// next run does not take its report for one that somebody was told of.
    pub(super) fn nothing(now: i64) -> Self {
        let seen = Seen { verdict: NOTHING.to_owned(), fingerprint: String::new() };
        Self { seen, told_at_unix: now, run_at_unix: now, open_since_unix: None }
    }
}

/// What is known of a place from an earlier report, where nothing was recorded of telling.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// What stands in for what was told.
    pub told: LastNotification,
    /// Whether it was given by the user and goes before what is recorded.
    pub is_given: bool,
}

impl Earlier {
    /// What an earlier report says of the place of `report`, for the notification `name`. `None` where it says
    /// nothing of it: it is about something else, or its findings were excused and nobody was told.
    #[must_use]
    pub fn of(before: &Report, report: &Report, name: &str, is_given: bool) -> Option<Self> {
        let excused = before.verdict.ending().is_excused();
        if excused || before.target != report.target || before.baseline.from != report.baseline.from {
            return None;
        }
        let seen = if before.partial || report.partial { chosen(before, report)? } else { Seen::of(before) };
        let undelivered = before.notices.iter().any(|notice| notice.name == name && notice.error.is_some());
        // Nobody was told: whatever is there now is something else than what was told before.
        let seen = if undelivered { Seen { fingerprint: String::new(), ..seen } } else { seen };
        let at = before.started_at_unix;
        let open_since = (!seen.passed()).then_some(at);
        let told = LastNotification { seen, told_at_unix: at, run_at_unix: at, open_since_unix: open_since };
        Some(Self { told, is_given })
    }
}

/// What an earlier report says of the checks that the present one has; `None` where it lacks one of them.
fn chosen(before: &Report, report: &Report) -> Option<Seen> {
    let find = |id: &str| before.checks.iter().find(|check| check.id == id);
    let checks: Option<Vec<&CheckResult>> = report.checks.iter().map(|check| find(check.id)).collect();
    let checks = checks?;
    let status = Status::worst(checks.iter().map(|check| check.status()));
    Some(Seen { verdict: status.word().to_owned(), fingerprint: fingerprint(checks).to_string() })
}

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It does not pass any more, or it is looked at for the first time and does not.
    Failing,
    /// It did not pass before, either, but with another verdict or other findings.
    Changed,
    /// It passes again; with how many seconds it did not, where that is known.
    Resolved(Option<i64>),
    /// Nothing has changed, for so many seconds where that is known, and it still does not pass.
    Reminder(Option<i64>),
    /// Nothing: the way is tried out.
    Test,
}

impl Event {
    /// The word for machines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Changed => "changed",
            Self::Resolved(_) => "resolved",
            Self::Reminder(_) => "reminder",
            Self::Test => "test",
        }
    }
}

/// What is to be done about one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Nothing,
    /// Nobody is told, but what is there counts as told from now on.
    Record(LastNotification),
    /// Somebody is told, and once that was delivered it is recorded.
    Tell(Event, LastNotification),
}

/// What is known when a decision is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// What was recorded of telling.
    pub(super) recorded: Option<&'a LastNotification>,
    /// What an earlier report says.
    pub(super) earlier: Option<&'a Earlier>,
    /// Since when the set of findings is what it is, as far as earlier reports tell.
    pub(super) unchanged_since: Option<i64>,
    /// The moment, in seconds since 1970.
    pub(super) now: i64,
    /// After how many seconds somebody is reminded.
    pub(super) remind_after: Option<i64>,
}

impl<'a> Known<'a> {
    /// What counts as told before: what the user gave, else what was recorded, else what an earlier report says.
    pub(super) fn before(&self) -> Option<&'a LastNotification> {
        let earlier = self.earlier.map(|earlier| &earlier.told);
        self.given().or(self.recorded).or(earlier).filter(|told| told.seen.verdict != NOTHING)
    }

    fn given(&self) -> Option<&'a LastNotification> {
        self.earlier.filter(|earlier| earlier.is_given).map(|earlier| &earlier.told)
    }
}

/// Decides about one report.
pub(super) fn decide(report: &Report, known: &Known<'_>) -> Decision {
    // A deploy that is under way excuses what was found.
    if report.verdict.ending().is_excused() {
        return Decision::Nothing;
    }
    let given = known.given();
    let is_recorded = given.is_none() && known.recorded.is_some();
    let (seen, now, started) = (Seen::of(report), known.now, report.started_at_unix);
    let open = |since: i64| (!seen.passed()).then_some(since);
    let told = |since: i64| LastNotification {
        seen: seen.clone(),
        told_at_unix: now,
        run_at_unix: started,
        open_since_unix: open(since),
    };
    let Some(before) = known.before() else {
        let told = told(started);
        return if seen.passed() { Decision::Record(told) } else { Decision::Tell(Event::Failing, told) };
    };
    // Of two runs at once the one that began first may come last. A run from the future is one of a wrong clock.
    if is_recorded && started < before.run_at_unix && before.run_at_unix <= now {
        return Decision::Nothing;
    }
    let since = before.open_since_unix.filter(|since| *since <= now);
    if seen != before.seen {
        let event = match (seen.passed(), before.seen.passed()) {
            (false, true) => Event::Failing,
            (true, false) => Event::Resolved(since.map(|since| now.saturating_sub(since))),
            _ => Event::Changed,
        };
        let since = if event == Event::Failing { started } else { since.unwrap_or(started) };
        return Decision::Tell(event, told(since));
    }
    if seen.passed() {
        return if is_recorded { Decision::Nothing } else { Decision::Record(told(started)) };
    }
    let is_due = match (known.remind_after, given.is_some()) {
        (None, _) => false,
        (Some(after), false) => now.saturating_sub(before.told_at_unix) >= after,
        (Some(after), true) => passes_a_multiple(known.unchanged_since, before.run_at_unix, now, after),
    };
    if is_due {
        let length = if given.is_some() { known.unchanged_since } else { since };
        return Decision::Tell(
            Event::Reminder(length.map(|since| now.saturating_sub(since))),
            told(since.unwrap_or(started)),
        );
    }
    if is_recorded && before.told_at_unix <= now {
        return Decision::Nothing;
    }
    // Not yet recorded; or told by a clock that was ahead, which would put off the reminder.
    Decision::Record(LastNotification {
        told_at_unix: before.told_at_unix.min(now),
        ..told(since.unwrap_or(started))
    })
}

/// Whether the time since `start` has passed a multiple of `step` between two moments: so a reminder comes at its time
/// also where nothing is remembered but the report before.
fn passes_a_multiple(start: Option<i64>, before: i64, now: i64, step: i64) -> bool {
    start.is_some_and(|start| start <= before && (now - start) / step > (before - start) / step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CHECKS;
    use crate::model::{BaselineOrigin, Digest, Finding, Kind, Role, Subject, Value};

    /// A report of a run that began at a moment and found these.
    fn report(started_at_unix: i64, found: &[&str]) -> Report {
        let comparison = CHECKS.iter().map(|check| check.meta()).find(|meta| meta.role == Role::Comparison);
        let meta = comparison.unwrap();
        let subject = |key: &&str| Subject { source: meta.source.unwrap(), key: key.as_bytes().to_vec() };
        let find = |key| Finding::new(subject(key), Kind::Missing, Value::Absent, Value::Absent);
        let result = CheckResult::new(meta);
        let checks = vec![CheckResult { subjects: 9, findings: found.iter().map(find).collect(), ..result }];
        let digest = Digest::of(b"");
        let baseline = BaselineOrigin { from: "audit/locks".to_owned(), digest, commit: None, dirty: None };
        Report { started_at_unix, ..Report::of(checks, baseline) }
    }

    fn decided(report: &Report, recorded: Option<&LastNotification>, now: i64) -> Decision {
        let remind_after = Some(100);
        decide(report, &Known { recorded, earlier: None, unchanged_since: None, now, remind_after })
    }

    /// What is recorded once `report` was told of, and why it was.
    fn told(report: &Report, recorded: Option<&LastNotification>, now: i64) -> (Event, LastNotification) {
        match decided(report, recorded, now) {
            Decision::Tell(event, told) => (event, told),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_change_is_news_once() {
        let Decision::Record(passed) = decided(&report(10, &[]), None, 11) else { panic!() };
        assert_eq!(decided(&report(20, &[]), Some(&passed), 21), Decision::Nothing);
        let (event, failing) = told(&report(30, &["a"]), Some(&passed), 31);
        assert_eq!((event, failing.open_since_unix, failing.told_at_unix), (Event::Failing, Some(30), 31));
        assert_eq!(decided(&report(40, &["a"]), Some(&failing), 41), Decision::Nothing);
        let (event, changed) = told(&report(50, &["a", "b"]), Some(&failing), 51);
        assert_eq!((event, changed.open_since_unix), (Event::Changed, Some(30)));
        let (event, resolved) = told(&report(60, &[]), Some(&changed), 61);
        assert_eq!((event, resolved.open_since_unix), (Event::Resolved(Some(31)), None));
        assert_eq!(told(&report(60, &["a"]), None, 61).0, Event::Failing);
        assert_eq!(told(&report(60, &["a"]), Some(&LastNotification::nothing(5)), 61).0, Event::Failing);
        assert!(matches!(
            decided(&report(60, &[]), Some(&LastNotification::nothing(5)), 61),
            Decision::Record(_)
        ));
    }

    #[test]
    fn reminders_come_after_their_time_and_again() {
        let (_, failing) = told(&report(10, &["a"]), None, 10);
        assert_eq!(decided(&report(109, &["a"]), Some(&failing), 109), Decision::Nothing);
        let (event, reminded) = told(&report(110, &["a"]), Some(&failing), 110);
        assert_eq!(event, Event::Reminder(Some(100)));
        assert_eq!(decided(&report(209, &["a"]), Some(&reminded), 209), Decision::Nothing);
        assert_eq!(told(&report(210, &["a"]), Some(&reminded), 210).0, Event::Reminder(Some(200)));
    }

    #[test]
    fn of_two_runs_the_older_one_is_no_news_unless_the_clock_was_wrong() {
        let (_, failing) = told(&report(50, &["a"]), None, 55);
        assert_eq!(decided(&report(40, &[]), Some(&failing), 60), Decision::Nothing);
        assert_eq!(told(&report(20, &[]), Some(&failing), 25).0, Event::Resolved(None));
        let Decision::Record(mended) = decided(&report(20, &["a"]), Some(&failing), 25) else { panic!() };
        assert_eq!(mended.told_at_unix, 25);
    }

    #[test]
    fn what_a_deploy_excuses_is_no_news() {
        let mut excused = report(10, &["a"]);
        excused.verdict = excused.verdict.excused();
        assert_eq!(decided(&excused, None, 11), Decision::Nothing);
    }

    #[test]
    fn a_multiple_is_passed_once() {
        for (before, now, passes) in [(0, 99, false), (0, 100, true), (99, 100, true), (100, 199, false)] {
            assert_eq!(passes_a_multiple(Some(0), before, now, 100), passes, "{before} {now}");
        }
        assert!(!passes_a_multiple(None, 0, 1000, 100) && !passes_a_multiple(Some(500), 0, 1000, 100));
    }
}
