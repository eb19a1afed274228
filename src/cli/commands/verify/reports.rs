//! `driftlock verify --reports`: the chain of the kept reports, place by place.

use crate::model::printable_path;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::atomic::{read_file, read_file_within};
use crate::audit::trust_policy::Trusting;
use crate::cli::terminal::output;
use crate::config::RETENTION_DAYS;
use crate::control::clock;
use crate::error::Failure;
use crate::model::{Digest, counted, escaped, in_words};
use crate::project::Project;
use crate::report::json;
use crate::store::report_signing;
use crate::store::runs;
use crate::store::runs::Run;
use crate::trust::{Kept, LONGEST, REPORTS, Refused, Word, walk};

/// Walks the chains of all places, and tells what is wrong with them. Gives the exit code.
pub(crate) fn verify(project: &Project, trusting: &Trusting, days: Option<u32>) -> Result<u8, Failure> {
    let runtime = project.named(&project.store_root.join(runs::PATH));
    let listed = runs::listed(&project.store_root).map_err(|error| Failure::at(&runtime, &error))?;
    let mut runs = runs::newest_first(listed.runs, i64::MAX);
    // Altering a report moves the time of its writing, and must not move it in the chain.
    runs.sort_by_cached_key(|run| Reverse((run.moment().began, run.stamp.clone(), run.number)));
    let places = places(project, &runs, trusting);
    if places.is_empty() {
        return Err(Failure::new(format!("there is no report in {}", printable_path(&runtime))));
    }
    // Whoever writes the repository could let every report that is missing be an old one.
    let configured = if trusting.from_outside { RETENTION_DAYS } else { project.config.retention_days };
    let days = days.unwrap_or(configured);
    let first = clock::stamp_before(days);
    let is_old =
        |name: &str| days > 0 && runs::parse_name(name).is_some_and(|(stamp, _, _)| stamp < first.as_str());
    let mut text = String::new();
    let mut wrong = 0;
    for (target, place) in &places {
        let kept = &place.kept;
        let mut words = walk(kept, &is_old);
        words.extend(of_remembered(project, target.as_deref(), kept, &is_old));
        words.extend(of_latest(project, target.as_deref(), place));
        wrong += words.iter().filter(|word| matches!(word, Word::Wrong { .. })).count();
        tell(&mut text, target.as_deref(), kept, &words);
    }
    output::print(text.as_bytes())?;
    Ok(u8::from(wrong > 0))
}

/// The reports of each place that there are any of, or of which it is noted that there were.
fn places(project: &Project, runs: &[Run], trusting: &Trusting) -> BTreeMap<Option<String>, Place> {
    let mut places: BTreeMap<Option<String>, Place> = BTreeMap::new();
    for run in runs.iter().rev().filter(|run| run.path.join(json::FILE).symlink_metadata().is_ok()) {
        let (target, kept, whole_since) = kept(run, trusting);
        let place = places.entry(target).or_default();
        place.newest = place.newest.max(whole_since.map(|began| (began, kept.digest)));
        place.kept.push(kept);
    }
    for target in noted(project) {
        places.entry(target).or_default();
    }
    places
}

/// The places of which it is noted which report is the newest.
fn noted(project: &Project) -> Vec<Option<String>> {
    let listed = std::fs::read_dir(project.store_root.join(runs::PATH)).into_iter().flatten().flatten();
    let place = |name: &str| match name.strip_prefix(".chain")?.strip_suffix(".json")? {
        "" => Some(None),
        target => Some(Some(target.strip_prefix('.')?.to_owned())),
    };
    listed.filter_map(|entry| place(entry.file_name().to_str()?)).collect()
}

/// The reports of one place, oldest first.
#[derive(Default)]
struct Place {
    kept: Vec<Kept>,
    /// When the newest whole check began, in seconds since 1970, and the digest of its report.
    newest: Option<(i64, Digest)>,
}

/// A report as it lies in a run, the place that it is about, and of a whole check when it began.
fn kept(run: &Run, trusting: &Trusting) -> (Option<String>, Kept, Option<i64>) {
    let path = run.path.join(json::FILE);
    let shown = format!("{}/{}", run.name, json::FILE);
    let unreadable = |reason: String| Refused::Other { place: shown.clone(), reason };
    let bytes = read_file(&path).map_err(|error| unreadable(in_words(&error)));
    let (bytes, read) = match bytes {
        Ok(bytes) => (bytes, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let report = json::read_run(&bytes).ok();
    let by = match (read, &report) {
        (Some(why), _) => Err(why),
        (None, None) => Err(unreadable("it is no report of driftlock any more".to_owned())),
        (None, Some(_)) => signer(run, trusting, &bytes),
    };
    let target = report.as_ref().map_or_else(|| run.target.clone(), |report| report.target.clone());
    let previous = report.as_ref().and_then(|report| report.previous.clone());
    let previous = previous.map(|it| (it.run, it.digest));
    let whole_since = report.as_ref().filter(|report| !report.partial).map(|report| report.started_at_unix);
    let says = report.map_or_else(|| run.name.clone(), |report| report.run);
    (target, Kept { run: run.name.clone(), digest: Digest::of(&bytes), says, previous, by }, whole_since)
}

fn signer(run: &Run, trusting: &Trusting, report: &[u8]) -> Result<crate::trust::Signer, Refused> {
    let place = format!("{}/{}", run.name, json::SIGNATURE);
    match read_file_within(&run.path.join(json::SIGNATURE), LONGEST) {
        Ok(bytes) => trusting.judge_bytes(&bytes, &place, report, REPORTS),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Refused::Unsigned { place, next: "" })
        }
        Err(error) => Err(Refused::Other { place, reason: in_words(&error) }),
    }
}

/// What is said of the note beside the runs of which report is the newest.
fn of_remembered(
    project: &Project,
    target: Option<&str>,
    kept: &[Kept],
    is_old: &dyn Fn(&str) -> bool,
) -> Option<Word> {
    let file = report_signing::file(target);
    let wrong = |run: &str, why: String| Some(Word::Wrong { run: run.to_owned(), why });
    let noted = match report_signing::remembered(project, target) {
        Err(error) => return wrong(&file, in_words(&error)),
        Ok(None) => {
            let text = format!("{file} is not here, so the newest reports may have been removed");
            return Some(Word::Note(text));
        }
        Ok(Some(noted)) => noted,
    };
    match kept.iter().find(|kept| kept.run == noted.run) {
        Some(kept) if kept.digest == noted.digest => None,
        Some(_) => {
            wrong(&noted.run, format!("it is not the report that {file} notes: it was altered, or replaced"))
        }
        None if is_old(&noted.run) => None,
        None => wrong(&noted.run, format!("it is missing: {file} notes it as the newest")),
    }
}

/// What is said of the copy of the newest report.
fn of_latest(project: &Project, target: Option<&str>, place: &Place) -> Option<Word> {
    let path = runs::latest(&project.store_root, target);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let wrong = |why: &str| Some(Word::Wrong { run: name.clone(), why: why.to_owned() });
    let bytes = match read_file(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return wrong(&in_words(&error)),
    };
    let digest = Digest::of(&bytes);
    if !place.kept.iter().any(|kept| kept.digest == digest) {
        return wrong("it is the copy of no report that is here");
    }
    let began = json::read_run(&bytes).map_or(i64::MIN, |report| report.started_at_unix);
    match place.newest {
        Some((newest, other)) if newest > began && other != digest => {
            wrong("it is the copy of an older report, and a newer one of a whole check is here")
        }
        _ => None,
    }
}

fn tell(text: &mut String, target: Option<&str>, kept: &[Kept], words: &[Word]) {
    let place = target.map_or_else(|| "this machine".to_owned(), |target| escaped(target.as_bytes()));
    let _ = writeln!(text, "Reports of {place}: {}", counted(kept.len(), "run"));
    for word in words {
        let _ = match word {
            Word::Wrong { run, why } => {
                writeln!(text, "[ERROR] {}: {}", escaped(run.as_bytes()), escaped(why.as_bytes()))
            }
            Word::Note(note) => writeln!(text, "[INFO] {}", escaped(note.as_bytes())),
        };
    }
    let signed = kept.iter().filter(|kept| kept.by.is_ok()).count();
    let is_wrong = words.iter().any(|word| matches!(word, Word::Wrong { .. }));
    if !is_wrong && signed > 0 {
        let _ = writeln!(
            text,
            "[PASS] {signed} signed, each by somebody who may, and none is missing between them"
        );
    }
    if let Some(newest) = kept.last() {
        let _ = writeln!(text, "Newest: {}, sha256 {}", newest.run, newest.digest);
    }
}
