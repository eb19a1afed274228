//! The check `container_contents`: files inside containers, of their images or mounted, are those of the baseline.

use super::difference::inside;
use super::{Case, Check, compared, compared_in, differences};
use crate::model::{
    Change, CheckLabels, CheckMeta, CheckResult, ContentsState, Entry, Finding, Kind, Subject, Value,
};
use crate::section;

/// Compares what lies inside containers.
pub(super) struct ContainerContents;

/// The check's id.
pub const CONTAINER_CONTENTS: &str = "container_contents";

const META: CheckMeta = CheckMeta {
    also_names: Some(section::INSIDE),
    may_be_accepted: false,
    absence: "audit/driftlock.toml has no [[docker.contents]]",
    ..CheckMeta::of_section(
        section::IMAGES,
        CONTAINER_CONTENTS,
        "files inside containers that `[[docker.contents]]` names are those of the same baseline",
        CheckLabels {
            topic: "Container content",
            info: "Checking files inside containers...",
            pass: "Files inside containers match baseline",
            drift: "Container content drift",
            unreadable: "Container content unreadable",
            noun: "containers",
            verb: "drifted",
            singular: "container",
        },
    )
};

impl Check for ContainerContents {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn agrees(&self, _expected: &Entry, _actual: &Entry) -> bool {
        false
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let of_baseline = of_the_baseline(self, case);
        let of_locked = of_locked(self, case);
        let mut result = match (of_baseline, of_locked) {
            (Some(mut result), Some(locked)) => {
                result.subjects += locked.subjects;
                result.errors.extend(locked.errors);
                result.notes.extend(locked.skip.clone());
                result.skip = result.skip.or_else(|| locked.skip.filter(|_| result.subjects == 0));
                result.findings.extend(locked.findings);
                result
            }
            (one, other) => one.or(other)?,
        };
        result.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(result)
    }
}

/// The files that are locked as they lie in containers; `None` where there are none.
fn of_locked(check: &dyn Check, case: &Case<'_>) -> Option<CheckResult> {
    let section = section::find(section::INSIDE)?;
    let (mut result, sides) = compared_in(check, case, section.id())?;
    if let Some((baseline, seen)) = sides {
        (result.findings, result.subjects) = differences(section, baseline, seen);
    }
    Some(result)
}

/// The files and modules that are held against the baseline of other sections; `None` where the configuration names none.
fn of_the_baseline(check: &dyn Check, case: &Case<'_>) -> Option<CheckResult> {
    let (mut result, sides) = compared(check, case).filter(|_| case.has_contents)?;
    let Some((_, seen)) = sides else { return Some(result) };
    result.errors.extend(seen.views.problems.iter().cloned());
    let unmatched = seen.views.unmatched_contents.iter();
    result.errors.extend(unmatched.map(|pattern| {
        format!("no container is named like \"{pattern}\": correct it in [[docker.contents]] or take it out")
    }));
    for (name, all) in &seen.views.contents {
        for (path, state) in all {
            let contents = match state {
                ContentsState::Seen(contents) => contents,
                ContentsState::Unseen(why) | ContentsState::Refused(why) => {
                    result.errors.push(format!("{}:{path}: {why}", String::from_utf8_lossy(name)));
                    continue;
                }
            };
            if contents.subjects.iter().all(|it| it.expected.is_none()) {
                let name = String::from_utf8_lossy(name);
                result
                    .errors
                    .push(format!("{name}:{path}: the baseline has nothing of what should lie there"));
            }
            result.subjects += contents.subjects.len();
            result.findings.extend(contents.link.as_ref().map(|link| of_link(name, path, link)));
            let found = contents.subjects.iter().filter_map(|it| {
                let found = inside(it)?;
                let key = [name, &b":"[..], it.at.as_bytes()].concat();
                let subject = Subject::of_section(section::IMAGES, key);
                Some(Finding { subject, place: name.clone(), held: vec![found.clone()], ..found })
            });
            result.findings.extend(found);
        }
    }
    Some(result)
}

/// A path that leads elsewhere by a link in the container.
fn of_link(name: &[u8], path: &str, link: &str) -> Finding {
    let subject = Subject::of_section(section::IMAGES, [name, &b":"[..], path.as_bytes()].concat());
    let (expected, actual) =
        (Value::Text("a directory".to_owned()), Value::Text(format!("{link} is a link")));
    let found = Finding::new(subject, Kind::Modified, expected, actual);
    Finding { place: name.to_vec(), change: Some(Change::Content), ..found }
}
