//! The steps that make files on a host as the baseline has them, and remove nothing: what the baseline does not have is
//! put aside.

use super::no_undo::NoUndo;
use super::situation::Situation;
use super::step::{Restore, Step, beside, safe};
use crate::model::SubjectKind;
use crate::model::{Digest, FileOrigin, Finding, Kind, Origin, Part, Provenance, Value, joined, short_id};
use crate::provenance::{How, NoSource, UndoSource};
use crate::section::kind_of;
use crate::section::meta_of;

/// The steps, or why nothing is known to lead back.
pub(super) fn steps<'a>(situation: &Situation<'a>) -> Result<Vec<Step<'a>>, NoUndo> {
    let finding = situation.finding;
    if finding.kind == Kind::Unexpected {
        return Ok(vec![Step::PutAside(vec![unexpected(situation)?])]);
    }
    let aside = aside(situation)?;
    let aside = (!aside.is_empty()).then_some(Step::PutAside(aside));
    let files = wanted(situation);
    if files.is_empty() {
        return match situation.source {
            Some(Err(why @ NoSource::OtherLink(_))) => Err(why.into()),
            _ => Ok(aside.into_iter().collect()),
        };
    }
    let source = situation.source.ok_or(NoUndo::NoRepository)?.as_ref()?;
    if files.len() > UndoSource::NAMED && source.how != How::RestoreAll {
        return Err(NoUndo::TooMany);
    }
    let restore = Step::Restore(Restore { source, at: lies_at(situation), files });
    Ok(aside.into_iter().chain([restore]).collect())
}

/// The files that would be written over, of which no commit is known to hold what is there.
pub(super) fn discarded<'a>(situation: &Situation<'a>) -> Vec<&'a [u8]> {
    let finding = situation.finding;
    let provenance = finding.provenance.as_deref();
    let is_kept = |it: &Provenance| it.commit.is_some() && it.origin != Origin::Unreleased;
    if finding.kind != Kind::Modified || provenance.is_some_and(is_kept) {
        return Vec::new();
    }
    if !situation.is_module() {
        return vec![&finding.place];
    }
    let is_over = |part: &&Part| part.expected != Value::Absent && part.actual != Value::Absent;
    let over = finding.parts.iter().filter(is_over).filter(|part| !is_in_the_way(situation, part));
    over.map(|part| part.path.as_slice()).filter(|path| !is_held(finding, path)).collect()
}

/// Where the whole of what is too much lies; an error where it must stay.
fn unexpected(situation: &Situation<'_>) -> Result<Vec<u8>, NoUndo> {
    let finding = situation.finding;
    let is_compose = meta_of(finding.subject.source).is_some_and(|meta| meta.holds_compose_files);
    if kind_of(finding.subject.source) == Some(SubjectKind::File) && !is_compose {
        return Err(NoUndo::Configuration);
    }
    let link = situation.above.iter().find(|dir| dir.link.is_some());
    if let Some(link) = link.filter(|_| situation.host_path.is_none()) {
        return Err(NoUndo::BehindLink(link.path.clone()));
    }
    let released = finding.provenance.as_ref().filter(|it| it.origin.is_released());
    if let Some(commit) = released.and_then(|it| it.commit.as_ref()) {
        return Err(NoUndo::Released(short_id(&commit.id).to_owned()));
    }
    let at = lies_at(situation);
    if at.ends_with(b"\n") { Err(NoUndo::LineFeed) } else { Ok(at) }
}

/// What a module has and the baseline does not, and what stands in the way of what the baseline has.
fn aside(situation: &Situation<'_>) -> Result<Vec<Vec<u8>>, NoUndo> {
    let mut paths: Vec<&[u8]> = match situation.source {
        Some(Ok(source)) => source.aside.iter().map(Vec::as_slice).collect(),
        _ => Vec::new(),
    };
    let is_covered = |path: &[u8], by: &[&[u8]]| {
        by.iter()
            .any(|dir| path.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    };
    for part in &situation.finding.parts {
        if part.kind == Kind::Unexpected {
            stays(situation.finding, part)?;
        } else if !is_in_the_way(situation, part) {
            continue;
        }
        if !is_covered(&part.path, &paths) {
            paths.push(&part.path);
        }
    }
    if paths.len() > UndoSource::NAMED {
        return Err(NoUndo::TooMany);
    }
    if paths.iter().any(|path| path.ends_with(b"\n")) {
        return Err(NoUndo::LineFeed);
    }
    let at = lies_at(situation);
    Ok(paths.into_iter().map(|path| joined(&at, path)).collect())
}

/// Fails where a commit holds a file that the baseline does not have. What an older release left behind may go: the module
/// is that release as a whole.
fn stays(finding: &Finding, part: &Part) -> Result<(), NoUndo> {
    let whole = finding.provenance.as_deref().filter(|it| it.commit.is_some() && it.origin.is_released());
    if whole.is_some_and(|it| it.origin == Origin::Stale) {
        return Ok(());
    }
    let Some(commit) = whole
        .and_then(|it| it.commit.as_ref())
        .map(|it| it.id.as_str())
        .or_else(|| holder(finding, &part.path))
    else {
        return Ok(());
    };
    Err(NoUndo::ReleasedFile { path: part.path.clone(), commit: short_id(commit).to_owned() })
}

/// The commit that has what is there of a file of a module as it is, where that is known of the file alone.
fn holder<'a>(finding: &'a Finding, path: &[u8]) -> Option<&'a str> {
    let file = origin_of(finding, path).filter(|file| file.origin.is_released())?;
    file.commit.as_ref().map(|commit| commit.id.as_str())
}

/// Whether a commit that stays holds what is there of a file of a module, at whatever path.
fn is_held(finding: &Finding, path: &[u8]) -> bool {
    origin_of(finding, path).is_some_and(|file| file.commit.is_some() && file.origin != Origin::Unreleased)
}

fn origin_of<'a>(finding: &'a Finding, path: &[u8]) -> Option<&'a FileOrigin> {
    finding.provenance.iter().flat_map(|it| &it.files).find(|file| file.path == path)
}

/// Whether a link is put aside: it is not written through, and only git replaces one.
fn is_in_the_way(situation: &Situation<'_>, part: &Part) -> bool {
    let is_copied =
        matches!(situation.source, Some(Ok(source)) if matches!(source.how, How::Stored | How::Checkout));
    is_copied && part.expected != Value::Absent && matches!(part.actual, Value::Link(_))
}

/// The files that the baseline has, and the host not or differently; of a subject that is a file, itself.
fn wanted<'a>(situation: &Situation<'a>) -> Vec<(&'a [u8], Option<Digest>)> {
    let finding = situation.finding;
    let digest = |value: &Value| if let Value::Digest(digest) = value { Some(*digest) } else { None };
    if !situation.is_module() {
        return vec![(&[], digest(&finding.expected))];
    }
    let parts = finding.parts.iter().filter(|part| part.expected != Value::Absent);
    parts.map(|part| (part.path.as_slice(), digest(&part.expected))).collect()
}

/// Where the subject lies, from the working directory or on the target.
fn lies_at(situation: &Situation<'_>) -> Vec<u8> {
    match (situation.host_path, situation.source) {
        (Some(path), _) => safe(path),
        (None, Some(Ok(source))) => beside(situation.from_here, &source.to),
        (None, _) => beside(situation.from_here, &situation.finding.place),
    }
}
