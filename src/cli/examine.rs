//! Looking at one place and comparing it with a baseline, whatever is then made of it.

use std::thread::Builder;

use super::Failure;
use super::aim::Aim;
use super::clock::Started;
use super::project::{Project, read_locks};
use crate::audit::{self, Request};
use crate::baseline::{self, Locks, Source};
use crate::check::{Check, Evidence};
use crate::git::work_tree;
use crate::host::Watch;
use crate::model::{BaselineOrigin, Report};
use crate::section::Purpose;

/// What is looked at, and what it is compared with.
pub(super) struct Examination<'a> {
    /// The project.
    pub(super) project: &'a Project,
    /// The place.
    pub(super) aim: &'a Aim,
    /// The baseline.
    pub(super) source: &'a Source,
    /// Whether that baseline was named, rather than being the project's own.
    pub(super) named: bool,
    /// The checks to carry out; empty is all of them.
    pub(super) only: &'a [&'static dyn Check],
    /// Checks that may not be skipped.
    pub(super) require: &'a [&'static dyn Check],
}

/// What came of it.
pub(super) struct Examined {
    /// The report, which lies nowhere yet.
    pub(super) report: Report,
    /// What it was made from.
    pub(super) evidence: Vec<Evidence>,
}

impl Examination<'_> {
    /// Looks and compares.
    ///
    /// # Errors
    /// When the baseline cannot be had, or `watch` was cancelled.
    pub(super) fn carry_out(&self, watch: &Watch) -> Result<Examined, Failure> {
        let started = Started::now();
        let locks = read_locks(self.source, self.aim.target.as_deref())?;
        let request = self.request(&locks);
        let (look, origin) = std::thread::scope(|scope| {
            let git = Builder::new().spawn_scoped(scope, || self.origin(&locks));
            let look = self.aim.observe(&request, audit::plan(&request), watch);
            let origin = git.ok().and_then(|thread| thread.join().ok());
            (look, origin.unwrap_or_else(|| self.origin(&locks)))
        });
        let look = look?;
        let (sections_off, left_out) = audit::coverage(&look.evidence);
        let checks = audit::compare(&request, &look);
        let report = self.aim.report(&started, checks, &origin.from, origin.digest);
        let partial = !self.only.is_empty();
        let report = Report { partial, baseline: origin, sections_off, left_out, ..report };
        Ok(Examined { report, evidence: look.evidence })
    }

    /// What is asked of the place.
    pub(super) fn request<'b>(&'b self, locks: &'b Locks) -> Request<'b> {
        let setting = self.aim.setting(self.project, Purpose::Check);
        Request { setting, locks, only: self.only, require: self.require }
    }

    fn origin(&self, locks: &Locks) -> BaselineOrigin {
        let mut origin = BaselineOrigin {
            from: self.source.name(),
            digest: locks.digest(&audit::lock_file_groups()),
            commit: None,
            dirty: None,
        };
        match self.source {
            Source::Git(revision) => origin.commit = Some(revision.commit.clone()),
            Source::Directory { .. } if self.named => {}
            Source::Directory { .. } => {
                let root = &self.project.root;
                if let Some(tree) = work_tree(root, baseline::PATH, locks.wanted(), &locks.there()) {
                    (origin.commit, origin.dirty) = (Some(tree.commit), Some(tree.dirty));
                }
            }
        }
        origin
    }
}
