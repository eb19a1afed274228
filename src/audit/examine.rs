//! Looking at one place and comparing it with a baseline, whatever is then made of it.

use crate::model::SubjectKind;
use crate::section::kind_of;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Instant;

use crate::acknowledge::{self, Acknowledgement};
use crate::audit::applied_env;
use crate::audit::changed;
use crate::audit::containers_here::{self, Counting};
use crate::audit::databases;
use crate::audit::desired;
use crate::audit::first_seen;
use crate::audit::infrastructure;
use crate::audit::named_files;
use crate::audit::pipeline;
use crate::audit::pipeline::{Look, Request, Subjects};
use crate::audit::release_of_all::{Compared, release_of_all};
use crate::audit::revision;
use crate::audit::revision::Files;
use crate::audit::since_last;
use crate::audit::since_last::Extent;
use crate::audit::target::Aim;
use crate::audit::trust_policy::Trusting;
use crate::baseline::{self, Locks, Source};
use crate::check::{Check, Databases, Evidence, uncompared_items, uncompared_modules};
use crate::control::clock::{self, Started};
use crate::control::progress;
use crate::error::Failure;
use crate::git::{GitError, work_tree};
use crate::host::{Content, Host, HostError, MANIFESTS, Remembered, Scope, Watch};
use crate::model::{BaselineOrigin, CheckResult, Digest, Finding, Kind, LeftOut, Report, SectionId, Value};
use crate::project::Project;
use crate::provenance::{self, LONGEST_MANIFEST, Trace};
use crate::section;
use crate::section::{BEYOND_REPOSITORY, Purpose, SECTIONS};
use crate::store::runs;
use crate::trust::SignatureCheck;
use crate::trust::UNSIGNED_CONFIGURATION;

/// Checks to carry out.
#[derive(Clone, Copy, Default)]
pub(crate) struct Selection<'a> {
    /// The checks; empty is all of them.
    pub(crate) only: &'a [&'static dyn Check],
    /// Checks that may not be skipped.
    pub(crate) require: &'a [&'static dyn Check],
    /// The subjects to look at; `None` is all of the chosen checks.
    pub(crate) subjects: Option<&'a Subjects>,
}

/// The baseline that a place is compared with.
#[derive(Clone, Copy)]
pub(crate) struct BaselineChoice<'a> {
    /// Where its lock files lie.
    pub(crate) source: &'a Source,
    /// Whether it was named, rather than being the project's own.
    pub(crate) is_named: bool,
}

/// Examines places of one project.
#[derive(Clone, Copy)]
pub(crate) struct Auditor<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// Drift that somebody answers for.
    pub(crate) acknowledged: &'a [Acknowledgement],
    /// Whether what an earlier check has read may be trusted; `None` reads everything.
    pub(crate) since_last: Option<Extent>,
    /// Whose signature the baseline must bear; `None`: it need not be signed.
    pub(crate) trusting: Option<&'a Trusting>,
}

impl<'a> Auditor<'a> {
    /// An auditor that reads everything, demands no signature, and knows of nothing that is acknowledged.
    pub(crate) fn new(project: &'a Project) -> Self {
        Self { project, acknowledged: &[], since_last: None, trusting: None }
    }

    /// Looks at a place and compares it with a baseline.
    ///
    /// # Errors
    /// When the baseline cannot be had, or `watch` was cancelled. A place that cannot be looked at is no error but a report.
    pub(crate) fn examine(
        &self,
        aim: &Aim,
        selection: Selection<'_>,
        baseline: BaselineChoice<'_>,
        watch: &Watch,
    ) -> Result<Examined, Failure> {
        Examination { auditor: *self, aim, selection, baseline }.carry_out(watch)
    }

    /// The request for a place, with its lock files.
    pub(crate) fn request<'b>(
        &'b self,
        aim: &'b Aim,
        selection: Selection<'b>,
        locks: &'b Locks,
    ) -> Request<'b> {
        let setting = aim.setting(self.project, Purpose::Check);
        let Selection { only, require, subjects } = selection;
        Request { only, require, subjects, ..Request::of(setting, locks) }
    }
}

/// The names of the lock files that are needed no more: all of it is in the evidence.
fn lock_files_read(evidence: &[Evidence]) -> Vec<&'static str> {
    let is_read = |id| evidence.iter().any(|it| it.section.id() == id && it.baseline.is_ok());
    let names = |read: bool| {
        SECTIONS
            .iter()
            .filter(move |it| is_read(it.id()) == read)
            .flat_map(|it| it.lock_files().iter().copied())
    };
    names(true).filter(|name| names(false).all(|needed| needed != *name)).collect()
}

/// A look, the origin of the baseline with the owner of a repository that is another user's, and the containers that nobody locked.
type FirstLook = (Look, (BaselineOrigin, Option<String>), Option<LeftOut>);

/// One examination: a place, and what it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct Examination<'a> {
    pub(crate) auditor: Auditor<'a>,
    pub(crate) aim: &'a Aim,
    pub(crate) selection: Selection<'a>,
    pub(crate) baseline: BaselineChoice<'a>,
}

/// What was seen of a place as a whole, and what it is compared with.
#[derive(Clone)]
pub(crate) struct Sighting {
    started: Started,
    locks: Locks,
    from_files: Vec<(SectionId, Files)>,
    scope: Scope,
    signature: Option<SignatureCheck>,
    remembered: Option<Remembered>,
    host: Arc<dyn Host>,
    pub(crate) look: Look,
    origin: BaselineOrigin,
    owner: Option<String>,
    containers_here: Option<LeftOut>,
}

/// What came of it.
pub(crate) struct Examined {
    /// The report, which lies nowhere yet.
    pub(crate) report: Report,
    /// What it was made from.
    pub(crate) evidence: Vec<Evidence>,
    /// The databases of Odoo, where there are any.
    pub(crate) databases: Option<Databases>,
    /// What somebody should hear of besides.
    pub(crate) warning: Option<String>,
    /// The place, as it was reached.
    pub(crate) host: Arc<dyn Host>,
}

impl Examination<'_> {
    /// Looks and compares.
    ///
    /// # Errors
    /// When the baseline cannot be had, or `watch` was cancelled.
    fn carry_out(&self, watch: &Watch) -> Result<Examined, Failure> {
        let sighting = self.sight(watch)?;
        let (report, warning) = self.judge(&sighting, watch);
        let Sighting { look: Look { evidence, databases, .. }, host, .. } = sighting;
        Ok(Examined { report, evidence, databases, warning, host })
    }

    /// Looks at everything, before any of it is compared.
    ///
    /// # Errors
    /// As [`Auditor::examine`].
    pub(crate) fn sight(&self, watch: &Watch) -> Result<Sighting, Failure> {
        let started = Started::now();
        let (mut locks, from_files) = self.locks(watch)?;
        let scope = Scope {
            repository_only: self.aim.scope.repository_only
                || from_files.contains(&(BEYOND_REPOSITORY, Files::Instead)),
            ..self.aim.scope.clone()
        };
        let signature = self
            .auditor
            .trusting
            .map(|trusting| trusting.look(self.auditor.project, self.baseline.source, Some(&locks)));
        let recall = |extent: Extent| extent.recall(self.auditor.project, self.aim, &started);
        let remembered = self.auditor.since_last.and_then(recall);
        let host: Arc<dyn Host> = match self.forbidden(signature.as_ref()) {
            Some(why) => Aim::leave(why),
            None => self.aim.open(remembered.as_ref()),
        };
        let request = self.request(&locks, &scope, signature.as_ref());
        let (mut look, (origin, owner), containers_here) = self.look(&request, &*host, watch)?;
        if remembered.as_ref().is_none_or(|remembered| remembered.full_because().is_some()) {
            named_files::count(self.auditor.project, (self.aim, &*host), &mut look.evidence, watch)?;
        } else {
            named_files::pass_over(&mut look.evidence);
        }
        self.complete(&mut look, &origin, &*host, watch)?;
        locks.forget(&lock_files_read(&look.evidence));
        Ok(Sighting {
            started,
            locks,
            from_files,
            scope,
            signature,
            remembered,
            host,
            look,
            origin,
            owner,
            containers_here,
        })
    }

    /// The request of which a sighting is the answer.
    fn request<'b>(
        &'b self,
        locks: &'b Locks,
        scope: &'b Scope,
        signature: Option<&'b SignatureCheck>,
    ) -> Request<'b> {
        let mut request = self.auditor.request(self.aim, self.selection, locks);
        request.signature = signature;
        request.setting.scope = scope;
        request
    }

    /// Adds to what was seen of containers what earlier runs and compose files tell.
    fn complete(
        &self,
        look: &mut Look,
        origin: &BaselineOrigin,
        host: &dyn Host,
        watch: &Watch,
    ) -> Result<(), HostError> {
        applied_env::put(self.aim, host, &mut look.evidence, watch)?;
        let target = self.aim.target.as_deref();
        first_seen::put(self.auditor.project, target, &origin.digest.to_string(), &mut look.evidence);
        Ok(())
    }

    /// Looks at single subjects again and puts them in place of what was seen before. False: that cannot be told of them
    /// alone, and everything must be looked at.
    ///
    /// # Errors
    /// When `watch` was cancelled.
    pub(crate) fn look_again(
        &self,
        sighting: &mut Sighting,
        subjects: &Subjects,
        watch: &Watch,
    ) -> Result<bool, HostError> {
        let Sighting { locks, scope, signature, host, look, origin, .. } = sighting;
        let request = Request {
            subjects: Some(subjects),
            known: &look.evidence,
            ..self.request(locks, scope, signature.as_ref())
        };
        let seen = pipeline::observe(&request, pipeline::plan_of_news(&request), &**host, watch)?;
        if seen.unreachable.is_some() || !look.take_over(seen, subjects) {
            return Ok(false);
        }
        if subjects.contains_key(&section::IMAGES) {
            self.complete(look, origin, &**host, watch)?;
        }
        Ok(true)
    }

    /// Compares what was seen with the baseline, and nothing more: no history is asked.
    pub(crate) fn compare(&self, sighting: &Sighting) -> Vec<CheckResult> {
        let request = self.request(&sighting.locks, &sighting.scope, sighting.signature.as_ref());
        let mut checks = pipeline::compare(&request, &sighting.look);
        self.acknowledge(&mut checks, clock::unix());
        checks
    }

    /// Compares what was seen with the baseline, and asks the history where what differs comes from. Gives a report that lies
    /// nowhere yet, and what somebody should hear of besides.
    pub(crate) fn judge(&self, sighting: &Sighting, watch: &Watch) -> (Report, Option<String>) {
        let Sighting { started, locks, scope, remembered, host, look, origin, .. } = sighting;
        let request = self.request(locks, scope, sighting.signature.as_ref());
        let partial = !self.selection.only.is_empty() || self.selection.subjects.is_some();
        let warning =
            remembered.as_ref().and_then(|remembered| since_last::keep(remembered, self.aim, partial));
        let (sections_off, mut left_out) = pipeline::coverage(&look.evidence);
        let of_plan = look.infrastructure.iter().flat_map(|(_, look)| &look.judged.left_out);
        left_out.extend(of_plan.map(|left| (section::INFRASTRUCTURE, left.clone())));
        let of_databases = look.databases.iter().flat_map(|it| uncompared_modules(it, &look.evidence));
        left_out.extend(of_databases.map(|left| (section::DATABASES, left)));
        let of_cmdbs = look.desired.iter().flat_map(uncompared_items);
        left_out.extend(of_cmdbs.map(|left| (section::DESIRED, left)));
        left_out.extend(sighting.containers_here.iter().map(|left| (section::IMAGES, left.clone())));
        let target = self.aim.target.as_deref();
        let mut checks = pipeline::compare(&request, look);
        self.note(&mut checks, &sighting.from_files, sighting.owner.clone());
        self.trace(&mut checks, origin, &**host, watch);
        let release = if partial {
            None
        } else {
            let compared = Compared { checks: &checks, evidence: &look.evidence, scope };
            release_of_all(self.auditor.project, target, &compared, watch)
        };
        changed::tell(self.auditor.project, &mut checks, &**host, watch);
        self.acknowledge(&mut checks, started.unix);
        log::info!(
            baseline = origin.from.as_str(), digest:% = origin.digest, commit = origin.commit.as_deref().unwrap_or("none"),
            lock_files = locks.there().len(); "compared"
        );
        let report = self.aim.report(self.auditor.project, started, checks, &origin.from, origin.digest);
        let since_last = remembered.as_ref().map(|remembered| since_last::told(remembered, started));
        let baseline = origin.clone();
        (Report { partial, baseline, sections_off, left_out, since_last, release, ..report }, warning)
    }

    /// Notes which findings somebody answers for at a moment.
    fn acknowledge(&self, checks: &mut [CheckResult], now: i64) {
        let (target, is_own_baseline) = (self.aim.target.as_deref(), !self.baseline.is_named);
        acknowledge::apply(
            checks,
            self.auditor.acknowledged,
            acknowledge::Case { target, now, is_own_baseline },
        );
        if is_own_baseline {
            acknowledge::apply_windows(checks, &self.auditor.project.config.approved, now);
        }
    }

    /// Looks at the place, and beside that asks git where the baseline comes from.
    fn look(&self, request: &Request<'_>, host: &dyn Host, watch: &Watch) -> Result<FirstLook, HostError> {
        std::thread::scope(|scope| {
            let target = progress::current_target();
            let ask_git = || progress::for_target(target, || self.origin(request.locks));
            let git = Builder::new().spawn_scoped(scope, ask_git);
            let (auditor, aim) = (self.auditor, self.aim);
            let target = progress::current_target();
            let plan = move || {
                progress::for_target(target, || infrastructure::look(auditor.project, aim, request, watch))
            };
            let plan = aim.terraform.is_some().then(|| Builder::new().spawn_scoped(scope, plan));
            let here = containers_here::begin(scope, request, aim, host);
            let asking = desired::begin(scope, (auditor.project, aim), request, watch);
            let mut look = pipeline::observe(request, pipeline::plan(request), host, watch);
            if let (Some(plan), Ok(look)) = (plan, &mut look) {
                let made = plan.ok().and_then(|thread| thread.join().ok());
                look.infrastructure = Some(made.unwrap_or_else(|| infrastructure::unexpected(aim)));
            }
            if let Ok(seen) = &mut look {
                if let Some(asking) = asking {
                    seen.desired.get_or_insert_default().answers = asking.finish();
                }
                seen.databases = databases::look((auditor.project, aim), request, seen, host, watch)?;
            }
            let origin = git.ok().and_then(|thread| thread.join().ok());
            let here = here.and_then(Counting::finish);
            Ok((look?, origin.unwrap_or_else(|| self.origin(request.locks)), here))
        })
    }

    /// Why a target may not be asked that the configuration alone names: nobody is connected to, and shown a password,
    /// because of a configuration that was to be signed and is not.
    fn forbidden(&self, looked: Option<&SignatureCheck>) -> Option<&'static str> {
        let is_believed = !self.auditor.trusting?.from_outside || looked?.by.is_ok();
        let is_named_by_it = self.aim.target.is_some() && self.aim.server().is_some();
        (is_named_by_it && !is_believed).then_some(UNSIGNED_CONFIGURATION)
    }

    /// Looks for where what was found comes from, in the history of the repository around the project.
    fn trace(&self, checks: &mut [CheckResult], origin: &BaselineOrigin, host: &dyn Host, watch: &Watch) {
        if checks.iter().all(|check| check.findings.is_empty()) {
            return;
        }
        let root = &self.auditor.project.root;
        let anchor = match self.baseline.source {
            Source::Git(revision) => Some(revision.commit.clone()),
            Source::Directory { .. } => baseline::commit_of(root, &origin.digest),
        };
        let ask = Trace {
            root,
            anchor,
            exclude: &self.auditor.project.config.addon_exclude,
            cache: Some(root.join(runs::PATH).join(runs::CACHE)),
            budget: provenance::BUDGET,
        };
        let start = Instant::now();
        provenance::trace(checks, &ask, watch);
        log::info!(ms = start.elapsed().as_millis(); "looked for the differences in the history");
        if self.aim.server().is_none() {
            let all = checks.iter_mut().flat_map(|check| &mut check.findings);
            all.for_each(|finding| read_version(finding, host, watch));
        }
    }

    /// The lock files to compare with, and how the files of a commit stand beside them.
    fn locks(&self, watch: &Watch) -> Result<(Locks, Vec<(SectionId, Files)>), Failure> {
        let target = self.aim.target.as_deref();
        match self.baseline.source {
            Source::Git(revision) => revision::baseline(self.auditor.project, revision, target, watch),
            Source::Directory { .. } => {
                Ok((self.auditor.project.locks(self.baseline.source, target)?, Vec::new()))
            }
        }
    }

    /// Says in the report where a baseline comes from that is not in lock files, and whose repository was read.
    fn note(&self, checks: &mut [CheckResult], from_files: &[(SectionId, Files)], owner: Option<String>) {
        for result in checks.iter_mut() {
            let section = crate::check::find(result.id).and_then(Check::section);
            let from = self.baseline.source.name();
            let told = from_files.iter().find(|(id, _)| Some(*id) == section);
            result.notes.extend(told.map(|(_, files)| match files {
                Files::Instead => format!("compared with the files of {from}, where no lock file lists them"),
                Files::Otherwise(others) => format!(
                    "compared with the lock files in {from}, which are not of its own files ({others} differ); \
                     driftlock export --from {from} --accept takes those"
                ),
            }));
        }
        if let (Some(first), Some(owner)) = (checks.first_mut(), owner) {
            first.notes.push(owner);
        }
    }

    /// Where the baseline comes from, and whose the repository is, if it is somebody else's, or why git does not read it.
    fn origin(&self, locks: &Locks) -> (BaselineOrigin, Option<String>) {
        let mut origin = BaselineOrigin {
            from: self.baseline.source.name(),
            digest: locks.digest(&section::lock_file_groups()),
            commit: None,
            dirty: None,
        };
        let mut owner = None;
        match self.baseline.source {
            Source::Git(revision) => {
                origin.commit = Some(revision.commit.clone());
                owner = revision::word_of_owner(revision.repository());
            }
            Source::Directory { .. } if self.baseline.is_named => {}
            Source::Directory { .. } => {
                match work_tree(&self.auditor.project.root, baseline::PATH, locks.contents()) {
                    Ok(Some(tree)) => {
                        owner = tree.foreign.as_ref().and_then(revision::word_of_owner);
                        (origin.commit, origin.dirty) = (Some(tree.commit), Some(tree.dirty));
                    }
                    Ok(None) | Err(GitError::NoGit { .. }) => {}
                    Err(error) => {
                        owner = Some(format!("which commit the baseline is of is not known: {error}"));
                    }
                }
            }
        }
        (origin, owner)
    }
}

/// Reads the version in the manifest of a module that differs, where it lies on this machine and the history does
/// not tell it.
fn read_version(finding: &mut Finding, host: &dyn Host, watch: &Watch) {
    let is_known = finding.versions.as_ref().is_some_and(|versions| versions.actual.is_some());
    if is_known
        || finding.kind != Kind::Modified
        || kind_of(finding.subject.source) != Some(SubjectKind::Tree)
    {
        return;
    }
    let part_of = |name: &[u8]| finding.parts.iter().find(|part| part.path == name);
    let content = |name: &&[u8]| {
        if part_of(name).is_some_and(|part| matches!(part.actual, Value::Link(_))) {
            return None;
        }
        let path = [finding.place.as_slice(), b"/", name].concat();
        match host.content(&path, LONGEST_MANIFEST, watch) {
            Ok(Content::Bytes(bytes)) => Some((part_of(name), bytes)),
            _ => None,
        }
    };
    let Some((part, bytes)) = MANIFESTS.iter().find_map(content) else { return };
    let Some(actual) = provenance::version(&bytes) else { return };
    if part.is_some_and(|part| part.actual != Value::Digest(Digest::of(&bytes))) {
        return;
    }
    let versions = finding.versions.get_or_insert_default();
    if part.is_none() {
        versions.expected = Some(actual.clone());
    }
    versions.actual = Some(actual);
}
