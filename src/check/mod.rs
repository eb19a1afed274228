//! Checks: pure comparisons of what the baseline accepts with what was observed.

mod addon_hashes;
mod baseline_signed;
mod compose_applied;
mod compose_hashes;
mod config_hashes;
mod container_contents;
mod container_mounts;
mod container_networks;
mod container_state;
mod container_use;
mod desired_state;
mod difference;
mod docker_images;
mod env_contract;
mod lock_files_exist;
mod odoo_modules;
mod packages;
mod ports;
mod probes;
mod report_signed;
mod server_collection;
mod services;
mod system;
mod terraform_plan;

use crate::baseline::LockFile;
use crate::model::CheckMeta;
use crate::model::{CheckResult, Entry, Finding, Observation, Observed, SectionId, State};
use crate::section::Section;
use crate::terraform;
use crate::trust::SignatureCheck;

pub use baseline_signed::{BASELINE_SIGNED, baseline_signed};
pub use compose_applied::{COMPOSE_APPLIED, compose_files, drifted_compose_files};
pub use container_contents::CONTAINER_CONTENTS;
pub use container_mounts::CONTAINER_MOUNTS;
pub use container_networks::CONTAINER_NETWORKS;
pub use container_state::CONTAINER_STATE;
pub use desired_state::{
    AnsweredItems, Counterpart, DESIRED_STATE, Desired, DesiredAnswer, PlacedItem, uncompared_items,
};
pub use difference::{differences, is_at_or_below};
pub use env_contract::ENV_CONTRACT;
pub use odoo_modules::{Databases, ODOO_MODULES, uncompared_modules};
pub use report_signed::{REPORT_SIGNED, unsigned_report};
pub use terraform_plan::TERRAFORM_PLAN;

/// Every check, in the order of the report. A new one is a new file and a line here.
pub const CHECKS: &[&dyn Check] = &[
    &lock_files_exist::LockFilesExist,
    &baseline_signed::BaselineSigned,
    &server_collection::ServerCollection,
    &compose_hashes::ComposeHashes,
    &addon_hashes::AddonHashes,
    &config_hashes::ConfigHashes,
    &docker_images::DockerImages,
    &container_state::ContainerState,
    &compose_applied::ComposeApplied,
    CONTAINER_MOUNTS,
    &container_networks::ContainerNetworks,
    &container_contents::ContainerContents,
    ENV_CONTRACT,
    &packages::Packages,
    &services::Services,
    &ports::Ports,
    DESIRED_STATE,
    &probes::Probes,
    ODOO_MODULES,
    TERRAFORM_PLAN,
    &report_signed::ReportSigned,
];

/// One comparison. It does not know where its evidence comes from.
pub trait Check: Sync {
    /// Everything that is fixed about it.
    fn meta(&self) -> &'static CheckMeta;

    /// Its id: `compose_hashes`.
    fn id(&self) -> &'static str {
        self.meta().id
    }

    /// What it compares, in one sentence for the docs.
    fn about(&self) -> &'static str {
        self.meta().about
    }

    /// The section it reads; `None` for one whose subjects are of no section.
    fn section(&self) -> Option<SectionId> {
        self.meta().source?.section()
    }

    /// Whether it reads a section.
    fn reads(&self, section: SectionId) -> bool {
        self.names(section) || self.meta().also_reads.contains(&section)
    }

    /// Whether subjects of its findings are those of a section.
    fn names(&self, section: SectionId) -> bool {
        self.section() == Some(section) || self.meta().also_names == Some(section)
    }

    /// Whether what it reads of a subject is known of both sides and the same, for one that both have and that it found
    /// nothing on.
    fn agrees(&self, _expected: &Entry, _actual: &Entry) -> bool {
        true
    }

    /// Compares; `None` when there is nothing of it in this run, not even a line.
    fn compare(&self, case: &Case<'_>) -> Option<CheckResult>;
}

/// What the checks of one run go by.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The server that was asked; `None` where no server was.
    pub server: Option<Server<'a>>,
    /// Everything known of each section.
    pub sections: &'a [Evidence],
    /// Who signed the baseline; `None` where nothing demands that somebody did.
    pub signature: Option<&'a SignatureCheck>,
    /// The infrastructure that code describes; `None` where there is none.
    pub infrastructure: Option<Infrastructure<'a>>,
    /// The databases of Odoo; `None` where none is named.
    pub databases: Option<&'a Databases>,
    /// What CMDBs say should be; `None` where none is asked.
    pub desired: Option<&'a Desired>,
    /// Whether paths inside containers are held against the baseline.
    pub has_contents: bool,
}

/// Infrastructure that Terraform code describes.
#[derive(Clone, Copy)]
pub struct Infrastructure<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// What a plan says of it; `None` where none was made.
    pub look: Option<&'a terraform::Look>,
    /// Whether there is a lock file for it.
    pub is_locked: bool,
    /// Whether there is no machine beside it.
    pub is_alone: bool,
}

impl<'a> Case<'a> {
    /// A case that no server has a part in.
    #[must_use]
    pub fn of(sections: &'a [Evidence]) -> Self {
        Self {
            server: None,
            sections,
            signature: None,
            infrastructure: None,
            databases: None,
            desired: None,
            has_contents: false,
        }
    }
}

/// A server, and whether it could be asked.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Its address as it was called.
    pub host: &'a str,
    /// Why it could not be asked.
    pub unreachable: Option<&'a str>,
}

/// Everything known of one section in a run.
#[derive(Clone)]
pub struct Evidence {
    /// The section.
    pub section: &'static dyn Section,
    /// Its lock files, and whether each is there.
    pub lock_files: Vec<(String, bool)>,
    /// Why it cannot be told whether a lock file is there.
    pub unread: Vec<String>,
    /// What the baseline accepts.
    pub baseline: Result<State, NoBaseline>,
    /// Subjects of the baseline that do not belong on this host.
    pub elsewhere: State,
    /// What was observed.
    pub observed: Observed,
}

impl Evidence {
    /// What is known of a section of which no lock file was read.
    #[must_use]
    pub fn of(
        section: &'static dyn Section,
        baseline: Result<State, NoBaseline>,
        observed: Observed,
    ) -> Self {
        let (lock_files, unread) = (Vec::new(), Vec::new());
        Self { section, lock_files, unread, baseline, elsewhere: State::default(), observed }
    }

    /// Whether the section takes part.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.observed, Observed::Off(_))
    }
}

/// Why there is nothing to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBaseline {
    /// A lock file is missing.
    Missing,
    /// A lock file is not as it must be.
    Malformed(String),
}

impl NoBaseline {
    fn in_words(&self) -> String {
        match self {
            Self::Missing => "no baseline".to_owned(),
            Self::Malformed(why) => why.clone(),
        }
    }
}

/// Looks for a check by its id.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Check> {
    CHECKS.iter().copied().find(|check| check.id() == id)
}

/// The first of the checks of a section.
#[must_use]
pub fn first_of(section: SectionId) -> Option<&'static dyn Check> {
    CHECKS.iter().copied().find(|check| check.names(section))
}

/// Everything that is fixed about the check with this id.
#[must_use]
pub fn meta(id: &str) -> Option<&'static CheckMeta> {
    find(id).map(Check::meta)
}

/// Whether what a check found can become the baseline of the section of its subject.
#[must_use]
pub fn may_be_accepted(check: &str, finding: &Finding) -> bool {
    let may = |meta: &CheckMeta| meta.may_be_accepted || meta.source != Some(finding.subject.source);
    finding.may_be_accepted() && meta(check).is_none_or(may)
}

/// What both sides know of a section, where both could be had.
fn seen_both(evidence: &Evidence) -> Option<(&State, &Observation)> {
    match (&evidence.baseline, &evidence.observed) {
        (Ok(baseline), Observed::Seen(seen)) => Some((baseline, seen)),
        _ => None,
    }
}

/// The result that every check of a section begins with, and what there is to compare, if both sides are
/// known. `None`: the section is off.
fn compared<'a>(
    check: &dyn Check,
    case: &Case<'a>,
) -> Option<(CheckResult, Option<(&'a State, &'a Observation)>)> {
    compared_in(check, case, check.section()?)
}

/// The same of another section that the check reads.
fn compared_in<'a>(
    check: &dyn Check,
    case: &Case<'a>,
    section: SectionId,
) -> Option<(CheckResult, Option<(&'a State, &'a Observation)>)> {
    let evidence = case.sections.iter().find(|e| e.section.id() == section)?;
    let mut result = begun(check, case);
    match &evidence.observed {
        Observed::Off(_) => return None,
        Observed::Skipped(why) => result.skip = Some(why.clone()),
        Observed::Failed(why) => result.errors.push(why.clone()),
        Observed::Seen(seen) => {
            result.errors.extend(evidence.baseline.as_ref().err().map(NoBaseline::in_words));
            result.errors.extend(seen.problems.iter().cloned());
        }
    }
    Some((result, seen_both(evidence)))
}

/// The result that a check begins with; on a server the line of `server_collection` stands for all that follow.
#[must_use]
pub fn begun(check: &dyn Check, case: &Case<'_>) -> CheckResult {
    let result = CheckResult::new(check.meta());
    CheckResult { info: result.info.filter(|_| case.server.is_none()), ..result }
}

/// Compares a section whose subjects are files or modules.
fn compare_section(check: &dyn Check, case: &Case<'_>) -> Option<CheckResult> {
    let (mut result, sides) = compared(check, case)?;
    let section = case.sections.iter().find(|e| Some(e.section.id()) == check.section())?.section;
    if let Some((baseline, seen)) = sides {
        (result.findings, result.subjects) = differences(section, baseline, seen);
    }
    Some(result)
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
