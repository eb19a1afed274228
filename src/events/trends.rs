//! Trends: what the journal tells of drift week by week: how soon it was noticed, how long it stayed, what is open at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::event::{Event, Happened};
use crate::control::clock;
use crate::model::{escaped, lasting};

/// What a week saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WeekTrend {
    /// The week as ISO 8601 has it: `2026-W49`.
    pub(crate) week: String,
    /// How often a subject began to drift.
    pub(crate) detected: usize,
    /// How often one ended to.
    pub(crate) resolved: usize,
    /// Of these, those that driftlock repaired.
    pub(crate) remediated: usize,
    /// How often a person was needed.
    pub(crate) escalated: usize,
    /// The median of the seconds from the change of a file to its event; none where no event of the week tells it.
    pub(crate) seconds_to_detect: Option<i64>,
    /// The median of the seconds from the first event of drift to its end.
    pub(crate) seconds_to_resolve: Option<i64>,
    /// What was open when the week ended, by severity.
    pub(crate) open_by_severity: BTreeMap<String, usize>,
    /// What began, by category.
    pub(crate) by_category: BTreeMap<String, usize>,
    /// What began, by check.
    pub(crate) by_check: BTreeMap<String, usize>,
    /// What was repaired, by who did it.
    pub(crate) by_whom: BTreeMap<String, usize>,
}

/// What is open: since when, and how severe it is.
type OpenDrift = BTreeMap<(Option<String>, String, Option<String>), (i64, String)>;

/// The weeks of some events, in the order of the journal; `targets` chooses places, none is all.
pub(crate) fn weeks(events: &[Event], is_of: &dyn Fn(Option<&str>) -> bool) -> Vec<WeekTrend> {
    let mut weeks: Vec<(WeekTrend, Vec<i64>, Vec<i64>)> = Vec::new();
    let mut open = OpenDrift::new();
    for event in events.iter().filter(|event| is_of(event.target.as_deref())) {
        let Some(check) = &event.check else { continue };
        let name = clock::week_of(event.detected_at_unix);
        if weeks.last().is_none_or(|(last, ..)| last.week != name) {
            if let Some((week, ..)) = weeks.last_mut() {
                close(week, &open);
            }
            weeks.push((WeekTrend { week: name, ..WeekTrend::default() }, Vec::new(), Vec::new()));
        }
        let Some((week, to_detect, to_resolve)) = weeks.last_mut() else { continue };
        let key = (event.target.clone(), check.clone(), event.subject.clone());
        let word =
            |severity: Option<crate::model::Severity>| severity.map_or("none", |it| it.word()).to_owned();
        match event.event {
            Happened::Detected | Happened::Changed | Happened::Unreadable => {
                let since = open.get(&key).map_or(event.detected_at_unix, |(since, _)| *since);
                if event.event == Happened::Detected {
                    week.detected += 1;
                    *week.by_check.entry(check.clone()).or_default() += 1;
                    let category = event.category.map_or("none", crate::model::Category::word);
                    *week.by_category.entry(category.to_owned()).or_default() += 1;
                    to_detect.extend(event.changed_at_unix.map(|at| (event.detected_at_unix - at).max(0)));
                }
                open.insert(key, (since, word(event.severity)));
            }
            Happened::Resolved | Happened::Acknowledged => {
                if let Some((since, _)) = open.remove(&key)
                    && event.event == Happened::Resolved
                {
                    week.resolved += 1;
                    to_resolve.push((event.detected_at_unix - since).max(0));
                }
            }
            Happened::Remediated => {
                week.remediated += 1;
                let by = event.evidence.by.clone().unwrap_or_else(|| "unknown".to_owned());
                *week.by_whom.entry(by).or_default() += 1;
            }
            Happened::Escalated => week.escalated += 1,
            Happened::Started | Happened::Gap => {}
        }
    }
    if let Some((week, ..)) = weeks.last_mut() {
        close(week, &open);
    }
    weeks
        .into_iter()
        .map(|(week, to_detect, to_resolve)| WeekTrend {
            seconds_to_detect: median(to_detect),
            seconds_to_resolve: median(to_resolve),
            ..week
        })
        .collect()
}

/// Notes what is open at the end of a week.
fn close(week: &mut WeekTrend, open: &OpenDrift) {
    week.open_by_severity.clear();
    for (_, severity) in open.values() {
        *week.open_by_severity.entry(severity.clone()).or_default() += 1;
    }
}

fn median(mut all: Vec<i64>) -> Option<i64> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// A table for people.
pub(crate) fn table(weeks: &[WeekTrend]) -> String {
    if weeks.is_empty() {
        return "The journal tells of no drift in these days; driftlock watch writes it\n".to_owned();
    }
    let mut text = String::from(
        "WEEK      BEGAN  ENDED  REPAIRED  ESCALATED  TO NOTICE    TO RESOLVE   OPEN AT THE END\n",
    );
    for week in weeks {
        let time = |seconds: Option<i64>| seconds.map_or_else(|| "-".to_owned(), lasting);
        let open: Vec<String> = week
            .open_by_severity
            .iter()
            .map(|(word, count)| format!("{count} {}", escaped(word.as_bytes())))
            .collect();
        let open = if open.is_empty() { "none".to_owned() } else { open.join(", ") };
        let _ = writeln!(
            text,
            "{:<9} {:>5}  {:>5}  {:>8}  {:>9}  {:<11}  {:<11}  {open}",
            week.week,
            week.detected,
            week.resolved,
            week.remediated,
            week.escalated,
            time(week.seconds_to_detect),
            time(week.seconds_to_resolve)
        );
    }
    text
}

/// Rows for spreadsheets.
pub(crate) fn csv(weeks: &[WeekTrend]) -> String {
    let mut text = String::from(
        "week,detected,resolved,remediated,escalated,seconds_to_detect,seconds_to_resolve,open\r\n",
    );
    for week in weeks {
        let number = |it: Option<i64>| it.map(|it| it.to_string()).unwrap_or_default();
        let open: usize = week.open_by_severity.values().sum();
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{open}\r\n",
            week.week,
            week.detected,
            week.resolved,
            week.remediated,
            week.escalated,
            number(week.seconds_to_detect),
            number(week.seconds_to_resolve)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::Scene;
    use crate::events::inbox::HintSource;
    use crate::model::Severity;

    fn event(happened: Happened, subject: &str, at: i64) -> Event {
        let mut event = Event::new(happened, Scene { target: None, trigger: HintSource::Start });
        (event.check, event.subject) = (Some("addon_hashes".to_owned()), Some(subject.to_owned()));
        (event.detected_at_unix, event.changed_at_unix) = (at, Some(at - 2));
        event.severity = Some(Severity::High);
        event
    }

    #[test]
    fn weeks_are_told_with_what_is_open_at_their_end() {
        let monday = 1_767_571_200;
        let week = 7 * 86_400;
        let events = [
            event(Happened::Detected, "a", monday),
            event(Happened::Detected, "b", monday + 10),
            event(Happened::Remediated, "a", monday + 20),
            event(Happened::Resolved, "a", monday + 30),
            event(Happened::Changed, "b", monday + 40),
            event(Happened::Escalated, "b", monday + 50),
            event(Happened::Resolved, "b", monday + week),
        ];
        let weeks = weeks(&events, &|_| true);
        assert_eq!(weeks.len(), 2);
        let [first, second] = [&weeks[0], &weeks[1]];
        assert_eq!((first.week.as_str(), first.detected, first.resolved), ("2026-W02", 2, 1));
        assert_eq!((first.remediated, first.escalated), (1, 1));
        assert_eq!((first.seconds_to_detect, first.seconds_to_resolve), (Some(2), Some(30)));
        assert_eq!(first.open_by_severity, BTreeMap::from([("high".to_owned(), 1)]));
        assert_eq!((second.resolved, second.seconds_to_resolve), (1, Some(week - 10)));
        assert!(second.open_by_severity.is_empty());
        assert!(table(&weeks).lines().nth(1).unwrap().ends_with("1 high"));
        assert_eq!(csv(&weeks).lines().nth(1).unwrap(), "2026-W02,2,1,1,1,2,30,1");
        assert_eq!(super::weeks(&events, &|target| target == Some("prod")), []);
    }
}
