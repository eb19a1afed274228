//! The look that is taken before anything becomes the baseline, and the lock files that follow from it.

use std::collections::BTreeMap;
use std::path::Path;

use super::accept::{self, Change, Refusal};
use super::infrastructure;
use super::pipeline::{self, Look, Request, Subjects};
use super::target::Aim;
use crate::check::{Evidence, NoBaseline, read_section};
use crate::config::DockerMode;
use crate::error::Failure;
use crate::host::{HostError, Watch};
use crate::model::{State, escaped, printable_path};
use crate::project::{Project, read_locks};
use crate::section::{INFRASTRUCTURE, Setting};

/// A place whose changes are to be accepted, and the request of the check that would find them.
pub(crate) struct SecondLook<'a> {
    pub(crate) project: &'a Project,
    pub(crate) aim: &'a Aim,
    pub(crate) request: &'a Request<'a>,
    /// Whether it is held against what an export saw, which asks for everything that a lock file can hold.
    pub(crate) of_export: bool,
}

impl SecondLook<'_> {
    /// Looks at the sections of some changes, and at infrastructure where one is about that. Fails where the place cannot be
    /// reached, or the look is cancelled.
    pub(crate) fn look(&self, chosen: &[Change], watch: &Watch) -> Result<Look, Failure> {
        let mut subjects = Subjects::new();
        for section in accept::sections_of(chosen) {
            let its = chosen.iter().filter(|change| change.section == section.id());
            subjects.insert(section.id(), its.map(|change| change.place.clone()).collect());
        }
        // A run that was asked for containers on the command line is looked at again, whatever is configured.
        let everything = self.request.setting.everything || self.of_export;
        let setting =
            Setting { docker: DockerMode::Required, docker_asked: true, everything, ..self.request.setting };
        let request = Request { setting, subjects: Some(&subjects), ..*self.request };
        let mut look = Look {
            evidence: Vec::new(),
            unreachable: None,
            infrastructure: None,
            databases: None,
            desired: None,
        };
        if !subjects.is_empty() {
            look = self.aim.observe(&request, pipeline::plan(&request), watch)?;
        }
        if let Some(why) = look.unreachable {
            let host = escaped(self.aim.machine().as_bytes());
            let failure = Failure::new(format!("{host}: {}", escaped(why.as_bytes())));
            return Err(failure.hint("nothing was written"));
        }
        for e in &mut look.evidence {
            if e.baseline == Err(NoBaseline::Missing) {
                e.baseline = Ok(State::default());
            }
        }
        if chosen.iter().any(|change| change.section == INFRASTRUCTURE) {
            look.infrastructure = Some(infrastructure::look(self.project, self.aim, &request, watch));
        }
        if watch.is_cancelled() {
            return Err(HostError::Interrupted.into());
        }
        Ok(look)
    }

    /// The changes that the lock files of an export propose.
    pub(crate) fn proposed_by_export(&self, run: &Path) -> Result<Vec<Change>, Failure> {
        let name = printable_path(&self.project.named(run));
        let from = read_locks(&accept::source_of_run(run, &name), None)?;
        let mut changes = Vec::new();
        for planned in pipeline::plan(self.request) {
            let Some(state) = accept::state_in(&from, planned.section)? else { continue };
            let before = match planned.baseline {
                Ok(state) => state,
                Err(NoBaseline::Missing) => State::default(),
                Err(NoBaseline::Malformed(why)) => return Err(Refusal::BadBaseline { why }.into()),
            };
            changes.extend(accept::between(planned.section, &before, state));
        }
        if self.aim.terraform.is_some() {
            changes.extend(infrastructure::proposed(&self.aim.name(), &from, self.request.locks)?);
        }
        Ok(changes)
    }

    /// The lock files that change, by name below audit/locks; a target's own hold what belongs on it alone.
    pub(crate) fn lock_files(
        &self,
        chosen: &[Change],
        evidence: &[Evidence],
        own: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut files = BTreeMap::new();
        for e in evidence {
            let read = self.request.locks.group(e.section.lock_files());
            let mut before = match read_section(e.section, &read) {
                Ok(state) => state,
                Err(NoBaseline::Missing) if read.iter().all(|file| file.content.is_none()) => {
                    State::default()
                }
                Err(NoBaseline::Missing) => {
                    let why = format!("a lock file of {} is missing", e.section.meta().nouns.1);
                    return Err(Refusal::BadBaseline { why }.into());
                }
                Err(NoBaseline::Malformed(why)) => return Err(Refusal::BadBaseline { why }.into()),
            };
            if own.is_some() {
                before.entries.retain(|place, _| e.section.in_scope(self.request.setting.scope, place));
            }
            let state = accept::apply(before, chosen, e.section.id(), &e.observed);
            files.extend(accept::lock_files(e.section, &state, &read, own)?);
        }
        Ok(files)
    }
}
