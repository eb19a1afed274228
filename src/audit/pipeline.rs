//! The pipeline on one screen: read the baseline, plan, observe, interpret, compare, judge.

use crate::check::read_section;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::baseline::{LockFile, Locks, OF_INFRASTRUCTURE};
use crate::check::{
    CHECKS, CONTAINER_CONTENTS, CONTAINER_MOUNTS, Case, Check, DESIRED_STATE, Databases, Desired,
    ENV_CONTRACT, Evidence, Infrastructure, NoBaseline, Server, begun,
};
use crate::host::{
    Answer, ContainersAnswer, Content, Facts, FilesAnswer, Host, HostError, LockedSubject, MACHINE,
    ModulesAnswer, Query, Seen, SystemQuery, Watch,
};
use crate::model::{
    CheckResult, Finding, Glob, LeftOut, Observed, Reason, Role, SectionId, SectionOff, State, Unit, Value,
};
use crate::section::{self, Ask, LockedPaths, Plan, Purpose, SECTIONS, Section, Setting, locked_facts};
use crate::terraform;
use crate::trust::SignatureCheck;

/// What to audit, and against what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The host, and what is wanted.
    pub setting: Setting<'a>,
    /// The lock files.
    pub locks: &'a Locks,
    /// The checks to carry out; empty is all of them.
    pub only: &'a [&'static dyn Check],
    /// Checks that may not be skipped.
    pub require: &'a [&'static dyn Check],
    /// Who signed the baseline; `None` where nothing demands that somebody did.
    pub signature: Option<&'a SignatureCheck>,
    /// The subjects to look at; `None` is all of the chosen checks.
    pub subjects: Option<&'a Subjects>,
    /// Sections whose baseline an earlier look at everything has read; that of others is read from the lock files.
    pub known: &'a [Evidence],
}

/// Subjects by section and repository path. A section that is not named is not looked at; one of containers is always looked
/// at as a whole, since what one container uses is told by all.
pub type Subjects = BTreeMap<SectionId, BTreeSet<Vec<u8>>>;

impl<'a> Request<'a> {
    /// A request for everything, by these lock files.
    #[must_use]
    pub fn of(setting: Setting<'a>, locks: &'a Locks) -> Self {
        Self { setting, locks, only: &[], require: &[], signature: None, subjects: None, known: &[] }
    }

    /// What is known of the baseline of a section already.
    fn known(&self, section: SectionId) -> Option<&'a Evidence> {
        self.known.iter().find(|it| it.section.id() == section)
    }

    /// Whether a check is carried out.
    #[must_use]
    pub fn wants(&self, check: &dyn Check) -> bool {
        self.only.is_empty()
            || check.meta().role != Role::Comparison
            || self.only.iter().chain(self.require).any(|chosen| chosen.id() == check.id())
    }

    /// Whether the variables of containers are compared with compose files: where environment files are.
    fn wants_environments(&self) -> bool {
        let is_locked = || {
            let files = section::find(section::ENV).map(|it| self.locks.group(it.lock_files()));
            files.is_some_and(|files| files.iter().any(|file| file.content.is_some()))
        };
        let tables = &self.setting.config.env;
        let is_on =
            if tables.is_empty() { is_locked() } else { tables.iter().any(|it| !it.files.is_empty()) };
        self.setting.purpose == Purpose::Check && self.wants(ENV_CONTRACT) && is_on
    }

    /// Whether CMDBs are asked what should be, and the machine itself for its processors and its memory.
    #[must_use]
    pub fn asks_desired(&self) -> bool {
        let is_whole = self.setting.purpose == Purpose::Check && self.subjects.is_none();
        is_whole && self.setting.asks_desired && self.wants(DESIRED_STATE)
    }

    /// The sections that the chosen checks read: all of them when only the lock files are asked for.
    #[must_use]
    pub fn sections(&self) -> Vec<&'static dyn Section> {
        if self.setting.no_machine {
            return Vec::new();
        }
        let compares_none = self.only.iter().all(|check| check.meta().role != Role::Comparison);
        let reads = |checks: &[&dyn Check], id| checks.iter().any(|check| check.reads(id));
        let is_named = |id| self.subjects.is_none_or(|subjects| subjects.contains_key(&id));
        let is_chosen =
            |id| is_named(id) && (compares_none || reads(self.only, id) || reads(self.require, id));
        SECTIONS.iter().copied().filter(|section| is_chosen(section.id())).collect()
    }
}

/// One section with its lock files and its plan.
pub struct Planned {
    /// The section.
    pub section: &'static dyn Section,
    /// Its lock files.
    pub lock_files: Vec<LockFile>,
    /// What the baseline accepts of it on this host.
    pub baseline: Result<State, NoBaseline>,
    /// Subjects of the baseline that do not belong on this host.
    pub out_of_scope: State,
    /// What will be asked.
    pub plan: Plan,
    /// What the mounts of containers are looked at for, where they are.
    paths: Option<Arc<LockedPaths>>,
}

impl Planned {
    /// A section with its lock files, before anything is planned of it.
    fn unplanned(request: &Request<'_>, section: &'static dyn Section) -> Self {
        let lock_files = request.locks.group(section.lock_files());
        let chosen = chosen(request, section);
        let is_chosen = |place: &Vec<u8>| chosen.is_none_or(|chosen| chosen.contains(place));
        let (baseline, out_of_scope) = if let Some(known) = request.known(section.id()) {
            let its = |state: &State| {
                let entries = state.entries.iter().filter(|(place, _)| is_chosen(place));
                State { entries: entries.map(|(place, entry)| (place.clone(), entry.clone())).collect() }
            };
            (known.baseline.as_ref().map(its).map_err(NoBaseline::clone), known.elsewhere.clone())
        } else {
            let mut out_of_scope = State::default();
            let baseline = read_section(section, &lock_files).map(|state| {
                let (mut here, elsewhere): (BTreeMap<_, _>, _) = state
                    .entries
                    .into_iter()
                    .partition(|(place, _)| section.in_scope(request.setting.scope, place));
                here.retain(|place, _| is_chosen(place));
                out_of_scope.entries = elsewhere;
                State { entries: here }
            });
            (baseline, out_of_scope)
        };
        let plan = Plan::Off("not planned yet".to_owned());
        Self { section, lock_files, baseline, out_of_scope, plan, paths: None }
    }

    fn ask<'a>(&'a self, request: &Request<'a>) -> Ask<'a> {
        let locked = self.lock_files.iter().any(|file| file.content.is_some());
        let (baseline, paths) = (self.baseline.as_ref().ok(), self.paths.as_deref());
        let (elsewhere, wants_environments) = (&self.out_of_scope, request.wants_environments());
        let wants_limits = request.asks_desired();
        Ask { setting: request.setting, locked, baseline, elsewhere, paths, wants_environments, wants_limits }
    }
}

/// Reads the baseline and plans what to ask, section by section.
#[must_use]
pub fn plan(request: &Request<'_>) -> Vec<Planned> {
    let mut all: Vec<Planned> =
        request.sections().into_iter().map(|section| Planned::unplanned(request, section)).collect();
    let paths = wants_mounts(request).then(|| Arc::new(locked_paths(request, &all)));
    for planned in &mut all {
        planned.paths.clone_from(&paths);
        planned.plan = planned.section.plan(&planned.ask(request));
        if let (Plan::Ask(query), Some(chosen)) = (&mut planned.plan, chosen(request, planned.section)) {
            query.narrow_to(chosen);
        }
    }
    // Whichever query lists the containers first tells which ports they publish.
    if all.iter().filter_map(Planned::query).any(Query::asks_for_published) {
        for planned in &mut all {
            if let Plan::Ask(Query::Containers(query)) = &mut planned.plan {
                query.ports = true;
            }
        }
    }
    all
}

/// The same for what was just heard of: an engine's list of containers is behind its events.
#[must_use]
pub(crate) fn plan_of_news(request: &Request<'_>) -> Vec<Planned> {
    let mut all = plan(request);
    for planned in &mut all {
        if let Plan::Ask(Query::Containers(query)) = &mut planned.plan {
            query.states = true;
        }
    }
    all
}

/// The subjects of a section that alone are looked at; `None`: all of them.
fn chosen<'a>(request: &Request<'a>, section: &dyn Section) -> Option<&'a BTreeSet<Vec<u8>>> {
    let has_paths = section.meta().kind.has_files();
    request.subjects.filter(|_| has_paths)?.get(&section.id())
}

/// Whether the mounts of containers are looked at: where they are compared.
fn wants_mounts(request: &Request<'_>) -> bool {
    let wants = |id| crate::check::find(id).is_some_and(|check| request.wants(check));
    let is_wanted = request.wants(CONTAINER_MOUNTS) || wants(CONTAINER_CONTENTS);
    request.setting.purpose == Purpose::Check && is_wanted
}

/// What the lock files of all sections name, whether those sections are compared or not; `known` are
/// those that are, as a whole unless single subjects are chosen.
fn locked_paths(request: &Request<'_>, known: &[Planned]) -> LockedPaths {
    let wants_contents = crate::check::find(CONTAINER_CONTENTS).is_some_and(|check| request.wants(check));
    let mut paths = LockedPaths {
        mounts: request.wants(CONTAINER_MOUNTS),
        contents: wants_contents,
        ..LockedPaths::default()
    };
    let is_of_hosts =
        |section: &dyn Section| section.meta().kind.lies_on_disk() && section.id() != section::INSIDE;
    for section in SECTIONS.iter().filter(|section| is_of_hosts(**section)) {
        let own;
        let mut known = known.iter().filter(|_| request.subjects.is_none());
        let baseline = if let Some(known) = request.known(section.id()) {
            &known.baseline
        } else if let Some(planned) = known.find(|it| it.section.id() == section.id()) {
            &planned.baseline
        } else {
            own = read_section(*section, &request.locks.group(section.lock_files()));
            &own
        };
        match baseline {
            Ok(state) => {
                let scope = request.setting.scope;
                let here = state.entries.iter().filter(|(place, _)| section.in_scope(scope, place));
                paths.subjects.extend(here.map(|(place, entry)| LockedSubject {
                    section: section.id(),
                    place: place.clone(),
                    entry: entry.clone(),
                }));
            }
            Err(NoBaseline::Malformed(why)) => paths.problems.push(why.clone()),
            Err(NoBaseline::Missing) => {}
        }
    }
    paths
}

/// What came of looking at a host.
#[derive(Clone)]
pub struct Look {
    /// What is known of each planned section.
    pub evidence: Vec<Evidence>,
    /// Why the host as a whole could not be looked at.
    pub unreachable: Option<String>,
    /// The environment's name and what a plan says of its infrastructure, where it has any.
    pub infrastructure: Option<(String, terraform::Look)>,
    /// The databases of Odoo that belong to the host, where there are any.
    pub databases: Option<Databases>,
    /// What CMDBs say should be of the host, where any is asked.
    pub desired: Option<Desired>,
}

impl Look {
    /// Puts what was seen of single subjects in place of what was seen of them before. False, and nothing is changed, where one
    /// of their sections was not seen then, or is not seen now without trouble.
    pub(crate) fn take_over(&mut self, newer: Look, subjects: &Subjects) -> bool {
        let seen = |evidence: &Evidence| matches!(evidence.observed, Observed::Seen(_));
        let of = |all: &[Evidence], id| all.iter().position(|it| it.section.id() == id && seen(it));
        let is_fine =
            |it: &Evidence| matches!(&it.observed, Observed::Seen(seen) if seen.problems.is_empty());
        let its = |it: &Evidence| of(&self.evidence, it.section.id());
        if newer.evidence.iter().any(|it| its(it).is_none() || !is_fine(it)) {
            return false;
        }
        for it in newer.evidence {
            let (id, has_files) = (it.section.id(), it.section.meta().kind.has_files());
            let Some(old) = of(&self.evidence, id).map(|at| &mut self.evidence[at]) else { continue };
            match (&mut old.observed, it.observed, subjects.get(&id)) {
                (Observed::Seen(old), Observed::Seen(new), Some(chosen)) if has_files => {
                    old.take_over(new, chosen);
                }
                (old, new, _) => *old = new,
            }
        }
        true
    }
}

/// Asks the host everything at once and puts each section's evidence together. Of a host that could not be
/// looked at there is evidence, too: of every section that is on, that it could not.
///
/// # Errors
/// When `watch` was cancelled.
pub fn observe(
    request: &Request<'_>,
    planned: Vec<Planned>,
    host: &dyn Host,
    watch: &Watch,
) -> Result<Look, HostError> {
    planned.iter().for_each(Planned::log);
    let mut queries: Vec<_> = planned.iter().filter_map(|p| p.query().cloned()).collect();
    let asks_machine = request.asks_desired();
    queries.extend(asks_machine.then_some(Query::System(SystemQuery::Machine)));
    let start = Instant::now();
    let (answers, unreachable) = match host.observe(&queries, watch) {
        Ok(answers) => (answers, None),
        Err(HostError::Unreachable(why)) => (Vec::new(), Some(why)),
        Err(HostError::Interrupted) => return Err(HostError::Interrupted),
    };
    let ((files, bytes), ms) = (watch.done(), start.elapsed().as_millis());
    let outcome = unreachable.as_deref().unwrap_or("all was asked");
    log::info!(queries = queries.len(), files, bytes, ms, outcome; "looked");
    let mut answers = answers.into_iter();
    let evidence = planned.into_iter().map(|p| {
        let observed = match &unreachable {
            Some(why) => p.unseen(request, why),
            None => p.seen(request, host, &mut answers, watch)?,
        };
        Ok(p.evidence(request, observed))
    });
    let evidence = evidence.collect::<Result<_, HostError>>()?;
    let machine = asks_machine.then(|| machine_of(answers.next()));
    let desired = machine.map(|machine| Desired { machine, ..Desired::default() });
    Ok(Look { evidence, unreachable, infrastructure: None, databases: None, desired })
}

/// The facts of the machine itself in a host's answer.
fn machine_of(answer: Option<Answer>) -> Result<Facts, Reason> {
    let Some(Answer::System(facts)) = answer else { return Err("the host did not answer".into()) };
    let told = facts?.remove(MACHINE.as_bytes());
    told.unwrap_or_else(|| Err("the host did not tell of itself".into()))
}

/// The content of the files that a host told of; what could not be asked any more is unreadable.
fn contents(
    host: &dyn Host,
    answer: &Answer,
    limit: u64,
    watch: &Watch,
) -> Result<BTreeMap<Vec<u8>, Content>, HostError> {
    let Answer::Files(answer) = answer else { return Ok(BTreeMap::new()) };
    let there = answer.files.iter().filter(|(_, seen)| matches!(seen, Seen::File(..)));
    let wanted: Vec<(Vec<u8>, u64)> = there.map(|(path, _)| (path.clone(), limit)).collect();
    let paths = wanted.iter().map(|(path, _)| path.clone());
    match host.contents(&wanted, watch) {
        Ok(read) => Ok(paths.zip(read).collect()),
        Err(HostError::Interrupted) => Err(HostError::Interrupted),
        Err(HostError::Unreachable(why)) => {
            Ok(paths.map(|path| (path, Content::Unreadable(why.clone().into()))).collect())
        }
    }
}

/// What is said of a section on a server whose state could not be collected; why not, `server_collection` says.
const NOT_COLLECTED: &str = "the server's state was not collected";

impl Planned {
    /// Says what is asked of the section, or why nothing is.
    fn log(&self) {
        let section = self.section.id().0;
        match &self.plan {
            Plan::Off(why) => log::info!(section, why = why.as_str(); "off"),
            Plan::Skip(why) => log::info!(section, why = why.as_str(); "skipped"),
            Plan::Ask(query) => log::info!(section, asked = query.in_short(); "planned"),
        }
    }

    fn query(&self) -> Option<&Query> {
        if let Plan::Ask(query) = &self.plan { Some(query) } else { None }
    }

    /// What the section makes of the host's next answer.
    fn seen(
        &self,
        request: &Request<'_>,
        host: &dyn Host,
        answers: &mut dyn Iterator<Item = Answer>,
        watch: &Watch,
    ) -> Result<Observed, HostError> {
        let answer = match &self.plan {
            Plan::Off(why) => return Ok(Observed::Off(why.clone())),
            Plan::Skip(why) => return Ok(Observed::Skipped(why.clone())),
            Plan::Ask(_) => answers.next(),
        };
        let Some(answer) = answer else {
            return Ok(Observed::Failed("the host did not answer".to_owned()));
        };
        let ask = self.ask(request);
        let answer = with_containers(answer, self.section.containers(&ask), host, watch)?;
        let Some(limit) = self.section.largest_content() else {
            return Ok(self.section.interpret(&ask, answer));
        };
        let content = contents(host, &answer, limit, watch)?;
        Ok(self.section.interpret_content(&ask, answer, content))
    }

    /// What is said of the section on a host that could not be looked at: whether one that is neither
    /// configured nor locked is on, only a look would have told.
    fn unseen(&self, request: &Request<'_>, why: &str) -> Observed {
        let why = if request.setting.server.is_some() { NOT_COLLECTED } else { why }.to_owned();
        if let Plan::Off(why) = &self.plan {
            return Observed::Off(why.clone());
        }
        let interpret =
            |query| self.section.interpret_content(&self.ask(request), nothing(query), BTreeMap::new());
        let empty = self.query().map(interpret);
        match empty {
            Some(Observed::Off(_)) => Observed::Off(format!("not configured, and {why}")),
            _ => Observed::Failed(why),
        }
    }

    fn evidence(self, request: &Request<'_>, mut observed: Observed) -> Evidence {
        let is_out_of_scope = !self.out_of_scope.entries.is_empty();
        if is_out_of_scope
            && holds_nothing(&observed)
            && self.baseline.as_ref().is_ok_and(|b| b.entries.is_empty())
        {
            let of_commit = request.setting.scope.repository_only;
            let why =
                if of_commit { "no commit holds any of it" } else { "none of it is included on this target" };
            observed = Observed::Skipped(why.to_owned());
        }
        count_out_of_scope(&mut observed, self.out_of_scope.entries.len(), request.setting.scope.reason());
        let wanted = self.section.wants_lock_files(&self.ask(request));
        let hidden = self.lock_files.iter().filter_map(LockFile::hidden);
        let unread = hidden.map(ToString::to_string).collect();
        let lock_files = self.lock_files.into_iter().filter(|f| wanted || f.content.is_some());
        let lock_files = lock_files.map(|f| (f.name, f.content.is_some())).collect();
        let (baseline, elsewhere) = (self.baseline, self.out_of_scope);
        Evidence { section: self.section, lock_files, unread, baseline, elsewhere, observed }
    }
}

/// A host's answer with what its containers have, where a section looks into some.
fn with_containers(
    answer: Answer,
    containers: &[Glob],
    host: &dyn Host,
    watch: &Watch,
) -> Result<Answer, HostError> {
    match answer {
        Answer::System(Ok(mut facts)) if !containers.is_empty() => {
            facts.extend(host.packages_inside(containers, watch)?);
            Ok(Answer::System(Ok(facts)))
        }
        answer => Ok(answer),
    }
}

/// The answer of a host that has nothing of what it is asked for.
fn nothing(query: &Query) -> Answer {
    match query {
        Query::Files(_) => Answer::Files(FilesAnswer::default()),
        Query::Modules(_) => Answer::Modules(ModulesAnswer::default()),
        Query::Containers(_) => Answer::Containers(ContainersAnswer::Unreachable(String::new())),
        Query::System(_) => Answer::System(Err("".into())),
    }
}

/// Whether a section was looked at, and nothing at all was there.
fn holds_nothing(observed: &Observed) -> bool {
    let Observed::Seen(seen) = observed else { return false };
    seen.state.entries.is_empty() && seen.unreadable.is_empty() && seen.problems.is_empty()
}

fn count_out_of_scope(observed: &mut Observed, count: usize, why: &str) {
    if let (Observed::Seen(seen), 1..) = (observed, count) {
        let reason = format!("in the baseline, {why}");
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: count as u64, reason, remedy: None });
    }
}

/// Carries out the chosen checks over what was seen.
#[must_use]
pub fn compare(request: &Request<'_>, look: &Look) -> Vec<CheckResult> {
    let unreachable = look.unreachable.as_deref();
    let server = request.setting.server.map(|host| Server { host, unreachable });
    let is_locked = || request.locks.group(&[OF_INFRASTRUCTURE]).iter().any(|file| file.content.is_some());
    let infrastructure = look.infrastructure.as_ref().map(|(environment, look)| Infrastructure {
        environment,
        look: Some(look).filter(|look| look.was_made),
        is_locked: is_locked(),
        is_alone: request.setting.no_machine,
    });
    let (sections, databases) = (look.evidence.as_slice(), look.databases.as_ref());
    let desired = look.desired.as_ref();
    let mut contents = request.setting.config.docker.iter().flat_map(|docker| &docker.contents);
    let has_contents = contents.any(|table| !table.is_locked());
    let signature = request.signature;
    let case = Case { server, sections, signature, infrastructure, databases, desired, has_contents };
    let mut results: Vec<CheckResult> = CHECKS
        .iter()
        .filter(|check| request.wants(**check))
        .filter_map(|check| check.compare(&case).or_else(|| required_but_off(request, &case, *check)))
        .collect();
    let findings = results.iter_mut().flat_map(|result| &mut result.findings);
    findings.for_each(|finding| finding.baseline_entry = locked_entry(finding, &look.evidence));
    for result in &mut results {
        let required = request.require.iter().any(|check| check.id() == result.id);
        if let Some(why) = result.skip.take_if(|_| required) {
            result.errors.push(format!("required, but skipped: {why}"));
        }
        let chosen = request.only.iter().any(|check| check.id() == result.id);
        result.compares |= chosen && result.subjects > 0;
    }
    results
}

/// The whole of what the baseline has of a subject that is more than one value.
fn locked_entry(finding: &Finding, evidence: &[Evidence]) -> Option<BTreeMap<String, String>> {
    let of_it = evidence.iter().find(|e| Some(e.section.id()) == finding.subject.source.section())?;
    let entry = of_it.baseline.as_ref().ok()?.entries.get(&finding.place)?;
    matches!(entry.value, Value::Structured(_)).then(|| locked_facts(entry))
}

/// A required check of a section that is off is an error, not silence.
fn required_but_off(request: &Request<'_>, case: &Case<'_>, check: &dyn Check) -> Option<CheckResult> {
    request.require.iter().find(|required| required.id() == check.id())?;
    let its = case.sections.iter().find(|evidence| Some(evidence.section.id()) == check.section());
    let error = match its.map(|evidence| &evidence.observed) {
        Some(Observed::Failed(why)) => why.clone(),
        _ => format!("required, but {}", check.meta().absence),
    };
    Some(CheckResult { compares: true, errors: vec![error], ..begun(check, case) })
}

/// Sections that took no part, and what was left out of those that did.
#[must_use]
pub fn coverage(evidence: &[Evidence]) -> (Vec<SectionOff>, Vec<(SectionId, LeftOut)>) {
    let mut off = Vec::new();
    let mut left_out = Vec::new();
    for e in evidence {
        let section = e.section.id();
        match &e.observed {
            Observed::Off(reason) | Observed::Skipped(reason) | Observed::Failed(reason) => {
                off.push(SectionOff { section, reason: reason.clone() });
            }
            Observed::Seen(seen) => {
                left_out.extend(seen.left_out.iter().map(|left| (section, left.clone())));
            }
        }
    }
    (off, left_out)
}
