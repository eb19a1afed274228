//! The files of a commit as a state: a side of a diff, and a baseline where no lock files were committed.

use std::collections::BTreeMap;

use crate::audit::pipeline;
use crate::audit::pipeline::{Look, Request};
use crate::audit::target::Aim;
use crate::baseline::{LockError, Locks, Source};
use crate::check::{Evidence, differences};
use crate::config::DockerMode;
use crate::error::Failure;
use crate::git::{Repository, Revision};
use crate::host::Watch;
use crate::model::{Kind, Observation, Observed, SectionId, State, escaped};
use crate::project::Project;
use crate::section::{Purpose, SECTIONS, Section};

/// The commit that `--from` names.
pub(crate) fn aim_at(project: &Project, from: &str, docker: Option<DockerMode>) -> Result<Aim, Failure> {
    if docker == Some(DockerMode::Required) {
        let failure = Failure::new("--docker required: a commit holds no container");
        return Err(failure.hint("export the containers of a machine, without --from"));
    }
    let Some(revision) = from.strip_prefix("git:") else {
        let from = escaped(from.as_bytes());
        return Err(Failure::new(format!("--from {from}: that is no revision")).hint("write git:REVISION"));
    };
    Ok(Aim::commit(project, project.revision(revision)?, None)?)
}

/// The line that says which commit was looked at.
pub(crate) fn headline(revision: &Revision) -> Result<String, Failure> {
    let (id, subject) = revision.headline()?;
    let name = escaped(revision.name.as_bytes());
    Ok(format!("From: git:{name}, commit {} \"{}\"", escaped(id.as_bytes()), escaped(subject.as_bytes())))
}

/// What a commit holds of each section that its files tell of; the configuration is the present one.
pub(crate) fn sections(
    project: &Project,
    revision: &Revision,
    target: Option<&str>,
    watch: &Watch,
) -> Result<BTreeMap<SectionId, Observation>, Failure> {
    let locks = project.locks(&project.source(), target)?;
    let look = look((project, target), revision, &locks, Purpose::Check, &|_| true, watch)?;
    let seen = |e: Evidence| match e.observed {
        Observed::Seen(seen) if !seen.state.entries.is_empty() || !seen.unreadable.is_empty() => {
            // A pattern that matches nothing in a commit of another time is no mistake.
            Some((e.section.id(), Observation { problems: Vec::new(), ..seen }))
        }
        _ => None,
    };
    Ok(look.evidence.into_iter().filter_map(seen).collect())
}

/// How the files of a commit stand beside the lock files that are committed with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// There are no lock files: they stand in for them.
    Instead,
    /// The lock files say otherwise of so many subjects.
    Otherwise(usize),
}

/// The lock files of a commit, with those of its files where none are committed; and the sections of which that is
/// not all there is to say.
pub(crate) fn baseline(
    project: &Project,
    revision: &Revision,
    target: Option<&str>,
    watch: &Watch,
) -> Result<(Locks, Vec<(SectionId, Files)>), Failure> {
    let locks = project.locks(&Source::Git(revision.clone()), target)?;
    let is_lacking = |section: SectionId| {
        let names = SECTIONS.iter().filter(|s| s.id() == section).flat_map(|s| s.lock_files());
        locks.group(&names.copied().collect::<Vec<_>>()).iter().all(|file| file.content.is_none())
    };
    let mut told =
        told_otherwise((project, target), revision, &locks, &|section| !is_lacking(section), watch)?;
    let look = look((project, target), revision, &locks, Purpose::Export, &is_lacking, watch)?;
    let mut files = Vec::new();
    for e in look.evidence {
        let Observed::Seen(seen) = e.observed else { continue };
        let names = e.section.lock_files().iter().map(|name| (*name).to_owned());
        if let Some((place, why)) = seen.unreadable.first_key_value() {
            let reason = format!("{}: {}", escaped(place), escaped(why.reason.text().as_bytes()));
            let error = LockError::new(&format!("git:{}", escaped(revision.name.as_bytes())), &reason);
            files.extend(names.map(|name| (name, Err(error.clone()))));
        } else if !seen.state.entries.is_empty() {
            files.extend(names.zip(e.section.print(&seen.state).into_iter().map(Ok)));
        } else {
            continue;
        }
        told.push((e.section.id(), Files::Instead));
    }
    Ok((locks.with(files), told))
}

/// The sections of which the committed lock files say otherwise than the committed files do.
fn told_otherwise(
    place: (&Project, Option<&str>),
    revision: &Revision,
    locks: &Locks,
    wanted: &dyn Fn(SectionId) -> bool,
    watch: &Watch,
) -> Result<Vec<(SectionId, Files)>, Failure> {
    // For a remark no program is run.
    let revision = revision.clone().without_filters();
    let look = look(place, &revision, locks, Purpose::Check, wanted, watch)?;
    let otherwise = |e: Evidence| {
        let (Ok(locked), Observed::Seen(seen)) = (e.baseline, e.observed) else { return None };
        let others = otherwise(e.section, &locked, &seen);
        (others > 0).then_some((e.section.id(), Files::Otherwise(others)))
    };
    Ok(look.evidence.into_iter().filter_map(otherwise).collect())
}

/// Of how many subjects that the commit holds its lock files say otherwise.
fn otherwise(section: &dyn Section, locked: &State, seen: &Observation) -> usize {
    let (found, _) = differences(section, locked, seen);
    found.iter().filter(|finding| finding.kind == Kind::Modified).count()
}

fn look(
    (project, target): (&Project, Option<&str>),
    revision: &Revision,
    locks: &Locks,
    purpose: Purpose,
    wanted: &dyn Fn(SectionId) -> bool,
    watch: &Watch,
) -> Result<Look, Failure> {
    let aim = Aim::commit(project, revision.clone(), target)?;
    let request = Request::of(aim.setting(project, purpose), locks);
    let planned = pipeline::plan(&request).into_iter().filter(|p| wanted(p.section.id())).collect();
    let look = aim.observe(&request, planned, watch)?;
    match &look.unreachable {
        Some(why) => Err(Failure::new(escaped(why.as_bytes()))),
        None => Ok(look),
    }
}

/// Says whose a repository is, where that is somebody else.
pub(crate) fn word_of_owner(repository: &Repository) -> Option<String> {
    let owner = repository.foreign_owner()?;
    let top = escaped(std::os::unix::ffi::OsStrExt::as_bytes(repository.top().as_os_str()));
    Some(format!(
        "the repository {top} belongs to another user (uid {owner}): it is read all the same, and no program that it names is run"
    ))
}
