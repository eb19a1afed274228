//! The last thirty days of one place: a bar a day, and the same as a table.

use super::Layout;
use super::markup::{Markup, badge, section};
use crate::model::{PastRun, Report, Status, counted};
use crate::report::provenance::minute;

/// How many days are shown.
const DAYS: i64 = 30;
/// On how many days something must have run before there is anything to see in a chart.
const WORTH_A_CHART: usize = 3;
const SECONDS_A_DAY: i64 = 86_400;

/// What the runs of one day found.
#[derive(Clone, Copy, Default)]
struct Day {
    passed: usize,
    failed: usize,
    errors: usize,
    /// The most differences that one of them found.
    most: usize,
}

impl Day {
    fn add(&mut self, run: &PastRun) {
        match run.status() {
            Status::Error => self.errors += 1,
            Status::Fail => self.failed += 1,
            Status::Pass | Status::Skip => self.passed += 1,
        }
        self.most = self.most.max(run.findings());
    }

    fn runs(&self) -> usize {
        self.passed + self.failed + self.errors
    }

    /// The worst verdict of the day; none where nothing ran.
    fn worst(&self) -> Option<Status> {
        match (self.errors, self.failed, self.passed) {
            (0, 0, 0) => None,
            (0, 0, _) => Some(Status::Pass),
            (0, ..) => Some(Status::Fail),
            _ => Some(Status::Error),
        }
    }
}

/// The days up to that of the report, oldest first, each with its date.
fn days(report: &Report) -> Vec<(String, Day)> {
    let offset = offset(&report.started_at);
    let number = |unix: i64| unix.saturating_add(offset).div_euclid(SECONDS_A_DAY);
    let first = number(report.started_at_unix) - DAYS + 1;
    let mut days = vec![Day::default(); usize::try_from(DAYS).unwrap_or_default()];
    for run in &report.past {
        let at = usize::try_from(number(run.started_at_unix) - first).ok();
        if let Some(day) = at.and_then(|at| days.get_mut(at)) {
            day.add(run);
        }
    }
    let date = |number: i64| minute(number.saturating_mul(SECONDS_A_DAY)).chars().take(10).collect();
    (first..).zip(days).map(|(number, day)| (date(number), day)).collect()
}

/// The offset of a point in RFC 3339 from UTC, in seconds; 0 where it has none.
fn offset(rfc3339: &str) -> i64 {
    let read = || {
        let (sign, rest) = rfc3339.get(19..)?.split_at_checked(1)?;
        let (hours, minutes) = rest.split_once(':')?;
        let seconds = hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60;
        Some(if sign == "-" { -seconds } else { seconds })
    };
    read().unwrap_or_default()
}

/// The runs of the last days; nothing where hardly any ran, or the past is not known.
pub(super) fn timeline(page: &mut Markup, report: &Report, layout: Layout) {
    if report.past.is_empty() {
        return;
    }
    let days = days(report);
    if days.iter().filter(|(_, day)| day.runs() > 0).count() < WORTH_A_CHART {
        return;
    }
    section(page, layout, "The last 30 days", |it, _| {
        bars(it, &days);
        it.within("p class=axis", |it| {
            let ends = [days.first(), days.last()];
            it.each("span", ends.into_iter().flatten().map(|(date, _)| date));
        });
        it.within("ul class=legend", |it| {
            for (key, word) in [
                ("s class=pass", "PASS"),
                ("s class=fail", "FAIL: the taller, the more findings"),
                ("s class=error", "ERROR: something could not be looked at"),
                ("s class=none", "no run kept"),
            ] {
                it.within("li", |it| {
                    it.put(key, "");
                    it.text(word);
                });
            }
        });
        table(it, &days);
    });
}

/// One bar a day, by its worst run: short where all passed, tall where much was found, hatched where an error was.
fn bars(page: &mut Markup, days: &[(String, Day)]) {
    let most = days.iter().map(|(_, day)| day.most).max().unwrap_or_default().max(1);
    page.with("div class=days role=img", &[("aria-label", &in_words(days))], |it| {
        for (date, day) in days {
            let height = match day.worst() {
                None => 6,
                Some(Status::Pass | Status::Skip) => 25,
                Some(Status::Fail) => 35 + 65 * day.most / most,
                Some(Status::Error) => 100,
            };
            let title = told(date, *day);
            let style = format!("height:{height}%");
            it.with(bar(day.worst()), &[("style", &style), ("title", &title)], |_| {});
        }
    });
}

fn bar(status: Option<Status>) -> &'static str {
    match status {
        None => "s class=none",
        Some(Status::Pass | Status::Skip) => "s class=pass",
        Some(Status::Fail) => "s class=fail",
        Some(Status::Error) => "s class=error",
    }
}

/// A day in a line.
fn told(date: &str, day: Day) -> String {
    let Some(worst) = day.worst() else { return format!("{date}: no run kept") };
    let (runs, findings) = (counted(day.runs(), "run"), counted(day.most, "finding"));
    format!("{date}: {}, {runs}, at most {findings}", worst.word())
}

/// All days in a sentence.
fn in_words(days: &[(String, Day)]) -> String {
    let such = |wanted: Option<Status>| days.iter().filter(|(_, day)| day.worst() == wanted).count();
    let [passed, failed, errors] = [Status::Pass, Status::Fail, Status::Error].map(|it| such(Some(it)));
    format!(
        "Of {} days {passed} passed, {failed} failed, {errors} had an error, and of {} no run is kept; the table below tells of each",
        days.len(),
        such(None)
    )
}

/// The days that had runs, newest first.
fn table(page: &mut Markup, days: &[(String, Day)]) {
    page.within("details", |it| {
        it.put("summary", "Day by day");
        it.table("table", ["Day", "Worst", "Runs", "Findings at most"], |it| {
            for (date, day) in days.iter().rev() {
                let Some(worst) = day.worst() else { continue };
                it.within("tr", |it| {
                    it.put("th scope=row", date);
                    it.within("td", |it| badge(it, worst));
                    it.put("td class=count", &day.runs().to_string());
                    it.put("td class=count", &day.most.to_string());
                });
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ending, ExitCode, PastCheck, PastSubject};

    fn run(at: i64, status: Status, findings: usize) -> PastRun {
        let (run, started_at) = (String::new(), String::new());
        let exit = match status {
            Status::Pass | Status::Skip => ExitCode::Pass,
            Status::Fail => ExitCode::Drift,
            Status::Error => ExitCode::Error,
        };
        let subject =
            PastSubject { name: String::new(), fingerprint: String::new(), expected: None, is_drift: true };
        let check = PastCheck { name: String::new(), is_whole: true, subjects: vec![subject; findings] };
        PastRun {
            run,
            target: None,
            started_at,
            started_at_unix: at,
            duration_ms: 0,
            ending: Ending { overall: Status::Pass, exit },
            partial: false,
            baseline: String::new(),
            baseline_digest: None,
            headline: String::new(),
            checks: vec![check],
            previous: None,
        }
    }

    #[test]
    fn a_day_is_as_bad_as_its_worst_run() {
        let mut day = Day::default();
        assert_eq!((day.worst(), told("d", day).as_str()), (None, "d: no run kept"));
        for (status, worst) in
            [(Status::Pass, Status::Pass), (Status::Fail, Status::Fail), (Status::Error, Status::Error)]
        {
            day.add(&run(0, status, 3));
            assert_eq!(day.worst(), Some(worst));
        }
        day.add(&run(0, Status::Pass, 0));
        assert_eq!(told("d", day), "d: ERROR, 4 runs, at most 3 findings");
    }

    #[test]
    fn days_begin_at_midnight_where_the_run_was() {
        for (text, seconds) in [
            ("2026-01-29T15:42:15+01:00", 3_600),
            ("2026-01-29T15:42:15-03:30", -12_600),
            ("2026-01-29T15:42:15Z", 0),
            ("soon", 0),
            ("2026-01-29T15:42:15é1:00", 0),
        ] {
            assert_eq!(offset(text), seconds, "{text}");
        }
    }
}
