//! How reports say where the content of a finding comes from.

use crate::model::{Commit, FileOrigin, Kind, Origin, Provenance, Stat, Versions, escaped};

/// How many commits, and how many files, are listed before the rest is only counted.
const LISTED: usize = 5;
/// What is said in JSON alone: whoever keeps no repository needs no reminder.
const NO_REPOSITORY: &str = "this project is in no git repository";

/// Whether there is anything to tell people.
pub(super) fn is_told(provenance: &Provenance) -> bool {
    provenance.origin != Origin::Unknown || provenance.unsearched.as_deref() != Some(NO_REPOSITORY)
}

/// The commits between the host's and the baseline's that are named, and how many more there are.
pub(super) fn between(provenance: &Provenance) -> (Vec<String>, usize) {
    let all = &provenance.between;
    let is_in_sentence = all.len() == 1 && all.first() == provenance.commit.as_ref();
    if !matches!(provenance.origin, Origin::Stale | Origin::Ahead) || is_in_sentence || all.is_empty() {
        return (Vec::new(), 0);
    }
    let more = provenance.distance.saturating_sub(all.len().min(LISTED));
    (all.iter().take(LISTED).map(called).collect(), more)
}

/// The lines below a finding on a terminal; names are escaped.
pub(super) fn lines(provenance: &Provenance, kind: Kind) -> Vec<String> {
    if !is_told(provenance) {
        return Vec::new();
    }
    let mut lines = vec![escaped(sentence(provenance, kind).as_bytes())];
    let (commits, more) = between(provenance);
    lines.extend(commits.iter().map(|commit| escaped(format!("  {commit}").as_bytes())));
    if more > 0 {
        lines.push(format!("  … and {more} more"));
    }
    // What nobody committed is what is looked for first.
    let (edited, others): (Vec<&FileOrigin>, Vec<&FileOrigin>) =
        provenance.files.iter().partition(|file| file.origin == Origin::Edited);
    lines.extend(edited.into_iter().chain(others).take(LISTED).map(file));
    if provenance.files.len() > LISTED {
        lines.push(format!("  … and {} more", provenance.files.len() - LISTED));
    }
    lines
}

/// One sentence; names are as they are.
pub(super) fn sentence(provenance: &Provenance, kind: Kind) -> String {
    let commit = provenance.commit.as_ref().map(called).unwrap_or_default();
    let word = provenance.origin.word();
    let what = match (kind, provenance.origin) {
        (Kind::Missing, Origin::Stale) => "not there yet in",
        (Kind::Missing, Origin::Ahead) => "not there any more in",
        (Kind::Missing, _) => "not there in",
        _ => "the content of",
    };
    let count = |direction: &str| match provenance.distance {
        0 => String::new(),
        1 => format!(", 1 commit {direction}"),
        n => format!(", {n} commits {direction}"),
    };
    let forms: String = provenance.forms.iter().map(|form| format!(", {}", form.words())).collect();
    let release = provenance.release.as_ref().map(|it| it.words() + ": ").unwrap_or_default();
    let said = match provenance.origin {
        Origin::Own => format!("the baseline's own commit{forms}: {commit}"),
        Origin::Stale => format!("{word}: {release}{what} {commit}{forms}{}", count("behind")),
        Origin::Ahead => format!("{word}: {release}{what} {commit}{forms}{}", count("ahead")),
        Origin::Diverged => {
            format!(
                "{word}: {release}{what} {commit}{forms}, which is neither before nor after the baseline's"
            )
        }
        Origin::Edited => format!("{word}: no commit here ever held it{}", edited(provenance.edited)),
        Origin::Unreleased if provenance.commit.is_some() => {
            format!("{word}: the content of {commit}, {DROPPED}")
        }
        Origin::Unreleased => format!("{word}: some of it is of commits {DROPPED}"),
        Origin::Copied => match &provenance.held_as {
            Some(path) => format!("{word}: {commit} holds exactly this as {}", String::from_utf8_lossy(path)),
            None if provenance.commit.is_some() => {
                format!("{word}: {commit} holds all that differs, at other paths")
            }
            None => format!("{word}: what is checked out holds some of it at other paths"),
        },
        Origin::Untracked => {
            let why = provenance.unsearched.as_deref().unwrap_or("no commit tells who wrote it");
            return format!("{word}: {why}{}", edited(provenance.edited));
        }
        Origin::Mixed => mixed(provenance),
        Origin::Absent => absent(provenance),
        Origin::Unknown if provenance.commit.is_some() => format!("{word}: {what} {commit}{forms}"),
        Origin::Unknown => word.to_owned(),
    };
    match &provenance.unsearched {
        Some(why) if provenance.origin == Origin::Unknown && provenance.commit.is_none() => {
            format!("provenance {said}: {why}")
        }
        Some(why) if provenance.origin == Origin::Unknown => {
            format!(
                "{what} {commit}{forms}; whether that is before or after the baseline is not known: {why}"
            )
        }
        Some(why) => format!("{said} ({why})"),
        None => said,
    }
}

/// What is said of a commit of a stash or of a reflog alone.
const DROPPED: &str = "which no branch or tag leads to: it was stashed or dropped";

/// Says of how many commits the files are that differ; the others are as in the baseline.
fn mixed(provenance: &Provenance) -> String {
    let others = || provenance.files.iter().filter(|file| file.origin != Origin::Own);
    let files = others().count();
    let mut ids: Vec<&str> = others().filter_map(|file| Some(file.commit.as_ref()?.id.as_str())).collect();
    ids.sort_unstable();
    ids.dedup();
    let count = |n: usize, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    let whose = if ids.len() == 1 { "another commit".to_owned() } else { count(ids.len(), "other commit") };
    format!(
        "mixed: {} of {whose}, the rest as in the baseline; perhaps a deploy that stopped half-way",
        count(files, "file")
    )
}

fn absent(provenance: &Provenance) -> String {
    if !provenance.files.is_empty() {
        return "absent: files that the baseline has are not there; removed by hand, or half of a deploy"
            .to_owned();
    }
    provenance.between.first().map_or_else(
        || "absent: the host is older than the baseline, or it was removed by hand".to_owned(),
        |added| {
            let added = called(added);
            format!("absent: added by {added}; the host is older than that, or it was removed by hand")
        },
    )
}

/// `a1b2c3d4e5f6 (2026-01-29, Ada: "Printer: second tray")`.
pub(super) fn called(commit: &Commit) -> String {
    let id = commit.id.get(..12).unwrap_or(&commit.id);
    let date = commit.date.get(..10).unwrap_or(&commit.date);
    format!("{id} ({date}, {}: \"{}\")", commit.author, commit.subject)
}

fn file(file: &FileOrigin) -> String {
    let commit = file.commit.as_ref().map(|commit| format!(": {}", called(commit))).unwrap_or_default();
    let held_as = file.held_as.as_ref().map(|path| format!(" as {}", escaped(path))).unwrap_or_default();
    format!("  {}: {}{}{held_as}", escaped(&file.path), file.origin.word(), escaped(commit.as_bytes()))
}

/// `; last written 2026-01-29 15:42 UTC, owned by uid 1000`.
fn edited(stat: Option<Stat>) -> String {
    stat.map(|stat| format!("; last written {} UTC, owned by uid {}", minute(stat.mtime), stat.uid))
        .unwrap_or_default()
}

/// Seconds since 1970 as a date and a time to the minute.
pub(super) fn minute(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The civil calendar by eras of 400 years, from the first of March of the year 0.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3_600, second % 3_600 / 60)
}

/// `manifest version: 18.0.1.2.0 → 18.0.1.3.0`, from the baseline's to the host's.
pub(super) fn versions(versions: &Versions) -> Option<String> {
    let text = match (&versions.expected, &versions.actual) {
        (Some(expected), Some(actual)) if expected == actual => format!("{expected}, unchanged"),
        (Some(expected), Some(actual)) => format!("{expected} → {actual}"),
        (Some(expected), None) => format!("{expected} in the baseline"),
        (None, Some(actual)) => format!("{actual} here"),
        (None, None) => return None,
    };
    Some(escaped(format!("manifest version: {text}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(minute(0), "1970-01-01 00:00");
        assert_eq!(minute(1_769_701_320), "2026-01-29 15:42");
        assert_eq!(minute(951_782_399), "2000-02-28 23:59");
        assert_eq!(minute(951_782_400), "2000-02-29 00:00");
        assert_eq!(minute(-1), "1969-12-31 23:59");
    }

    #[test]
    fn names_of_others_cannot_write_on_the_terminal() {
        let commit = Commit {
            id: "a".repeat(40),
            author: "Ada\x1b[31m".to_owned(),
            date: "2026-01-29T15:42:00Z".to_owned(),
            subject: "one\u{202e}two".to_owned(),
        };
        let provenance = Provenance {
            commit: Some(commit.clone()),
            distance: 7,
            between: vec![commit; 6],
            ..Provenance::of(Origin::Stale)
        };
        let lines = lines(&provenance, Kind::Modified);
        let commit = "aaaaaaaaaaaa (2026-01-29, Ada\\x1b[31m: \"one\\u{202e}two\")";
        assert_eq!(lines[0], format!("stale: the content of {commit}, 7 commits behind"));
        assert_eq!((lines[1].as_str(), lines.len()), (format!("  {commit}").as_str(), 7));
        assert_eq!(lines[6], "  … and 2 more");
    }
}
