//! The pipeline on one screen: read the baseline, plan, observe, interpret, compare, judge.

use crate::baseline::{LockFile, Locks};
use crate::check::{CHECKS, Check, Evidence, NoBaseline};
use crate::host::{Host, HostError, Watch};
use crate::model::{CheckResult, LeftOut, Observed, SectionId, SectionOff, State, Unit};
use crate::section::{Ask, Plan, SECTIONS, Section, Setting};

/// The names of all lock files, by section.
#[must_use]
pub fn lock_file_groups() -> Vec<&'static [&'static str]> {
    SECTIONS.iter().map(|section| section.lock_files()).collect()
}

/// The names of all lock files.
#[must_use]
pub fn lock_file_names() -> Vec<&'static str> {
    lock_file_groups().concat()
}

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
}

impl Request<'_> {
    fn wants(&self, check: &dyn Check) -> bool {
        self.only.is_empty()
            || check.section().is_none()
            || self.only.iter().chain(self.require).any(|chosen| chosen.id() == check.id())
    }

    /// The sections that the chosen checks read: all of them when only the lock files are asked for.
    #[must_use]
    pub fn sections(&self) -> Vec<&'static dyn Section> {
        let of =
            |checks: &[&dyn Check]| checks.iter().filter_map(|c| c.section()).collect::<Vec<SectionId>>();
        let (chosen, required) = (of(self.only), of(self.require));
        let is_chosen = |id| chosen.is_empty() || chosen.contains(&id) || required.contains(&id);
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
}

impl Planned {
    fn ask<'a>(&'a self, request: &Request<'a>) -> Ask<'a> {
        let locked = is_locked(&self.lock_files);
        Ask { setting: request.setting, locked, baseline: self.baseline.as_ref().ok() }
    }
}

fn is_locked(files: &[LockFile]) -> bool {
    files.iter().any(|file| file.content.is_some())
}

/// Reads the baseline and plans what to ask, section by section.
#[must_use]
pub fn plan(request: &Request<'_>) -> Vec<Planned> {
    request.sections().into_iter().map(|section| plan_section(request, section)).collect()
}

fn plan_section(request: &Request<'_>, section: &'static dyn Section) -> Planned {
    let lock_files = request.locks.group(section.lock_files());
    let mut out_of_scope = State::default();
    let baseline = read_section(section, &lock_files).map(|mut state| {
        let entries = std::mem::take(&mut state.entries);
        let (here, elsewhere) =
            entries.into_iter().partition(|(place, _)| section.in_scope(request.setting.scope, place));
        out_of_scope.entries = elsewhere;
        State { entries: here }
    });
    let ask =
        Ask { setting: request.setting, locked: is_locked(&lock_files), baseline: baseline.as_ref().ok() };
    let plan = section.plan(&ask);
    Planned { section, lock_files, baseline, out_of_scope, plan }
}

/// Parses the lock files of one section.
///
/// # Errors
/// When one is missing or not as it must be.
pub fn read_section(section: &dyn Section, files: &[LockFile]) -> Result<State, NoBaseline> {
    let mut texts = Vec::new();
    for file in files {
        match &file.content {
            None => return Err(NoBaseline::Missing),
            Some(Err(error)) => return Err(NoBaseline::Malformed(error.to_string())),
            Some(Ok(bytes)) => texts.push((file.shown.as_str(), bytes.as_slice())),
        }
    }
    section.parse(&texts).map_err(|error| NoBaseline::Malformed(error.to_string()))
}

/// Asks the host everything at once and puts each section's evidence together.
///
/// # Errors
/// When the host as a whole could not be looked at.
pub fn observe(
    request: &Request<'_>,
    planned: Vec<Planned>,
    host: &dyn Host,
    watch: &Watch,
) -> Result<Vec<Evidence>, HostError> {
    let queries: Vec<_> = planned
        .iter()
        .filter_map(|p| if let Plan::Ask(query) = &p.plan { Some(query.clone()) } else { None })
        .collect();
    let mut answers = host.observe(&queries, watch)?.into_iter();
    Ok(planned
        .into_iter()
        .map(|p| {
            let mut observed = match &p.plan {
                Plan::Off(why) => Observed::Off(why.clone()),
                Plan::Skip(why) => Observed::Skipped(why.clone()),
                Plan::Ask(_) => answers.next().map_or_else(
                    || Observed::Failed("the host did not answer".to_owned()),
                    |answer| p.section.interpret(&p.ask(request), answer),
                ),
            };
            count_out_of_scope(&mut observed, p.out_of_scope.entries.len());
            let wanted = p.section.wants_lock_files(&p.ask(request));
            let lock_files = p.lock_files.into_iter().filter(|f| wanted || f.content.is_some());
            let lock_files = lock_files.map(|f| (f.name, f.content.is_some())).collect();
            Evidence { section: p.section, lock_files, baseline: p.baseline, observed }
        })
        .collect())
}

fn count_out_of_scope(observed: &mut Observed, count: usize) {
    if let (Observed::Seen(seen), 1..) = (observed, count) {
        let reason = "in the baseline, not included on this target".to_owned();
        seen.left_out.push(LeftOut { unit: Unit::Subjects, count: count as u64, reason });
    }
}

/// Carries out the chosen checks over the evidence.
#[must_use]
pub fn compare(request: &Request<'_>, evidence: &[Evidence]) -> Vec<CheckResult> {
    let mut results: Vec<CheckResult> = CHECKS
        .iter()
        .filter(|check| request.wants(**check))
        .filter_map(|check| check.compare(evidence).or_else(|| required_but_off(request, *check)))
        .collect();
    for result in &mut results {
        let required = request.require.iter().any(|check| check.id() == result.id);
        if let Some(why) = result.skip.take_if(|_| required) {
            result.errors.push(format!("required, but skipped: {why}"));
        }
        result.compares |= request.only.iter().any(|check| check.id() == result.id);
    }
    results
}

/// A required check of a section that is off is an error, not silence.
fn required_but_off(request: &Request<'_>, check: &dyn Check) -> Option<CheckResult> {
    request.require.iter().find(|required| required.id() == check.id())?;
    let errors = vec!["required, but its section is off".to_owned()];
    Some(CheckResult { errors, ..CheckResult::new(check.id(), check.words()) })
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
