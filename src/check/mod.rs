//! Checks: pure comparisons of what the baseline accepts with what was observed.

mod addon_hashes;
mod compose_hashes;
mod config_hashes;
mod difference;
mod lock_files_exist;

use crate::model::{CheckResult, Observed, SectionId, State, Words};
use crate::section::Section;

pub use difference::differences;

/// Every check, in the order of the report. A new one is a new file and a line here.
pub const CHECKS: &[&dyn Check] = &[
    &lock_files_exist::LockFilesExist,
    &compose_hashes::ComposeHashes,
    &addon_hashes::AddonHashes,
    &config_hashes::ConfigHashes,
];

/// One comparison. It does not know where its evidence comes from.
pub trait Check: Sync {
    /// Its id: `compose_hashes`.
    fn id(&self) -> &'static str;

    /// What it compares, in one sentence for the docs.
    fn about(&self) -> &'static str;

    /// How it speaks.
    fn words(&self) -> &'static Words;

    /// The section it reads; `None` for one that reads what is there of all of them.
    fn section(&self) -> Option<SectionId>;

    /// Compares; `None` when there is nothing of it in this run, not even a line.
    fn compare(&self, evidence: &[Evidence<'_>]) -> Option<CheckResult>;
}

/// Everything known of one section in a run.
pub struct Evidence<'a> {
    /// The section.
    pub section: &'a dyn Section,
    /// Its lock files, and whether each is there.
    pub lock_files: Vec<(String, bool)>,
    /// What the baseline accepts.
    pub baseline: Result<State, NoBaseline>,
    /// What was observed.
    pub observed: Observed,
}

impl Evidence<'_> {
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

/// Compares one section for `check`, whatever the section is.
fn compare_section(check: &dyn Check, evidence: &[Evidence<'_>]) -> Option<CheckResult> {
    let evidence = evidence.iter().find(|e| Some(e.section.id()) == check.section())?;
    let mut result = CheckResult {
        id: check.id(),
        words: check.words(),
        subjects: 0,
        compares: true,
        findings: Vec::new(),
        errors: Vec::new(),
        skip: None,
    };
    match (&evidence.observed, &evidence.baseline) {
        (Observed::Off(_), _) => return None,
        (Observed::Skipped(why), _) => result.skip = Some(why.clone()),
        (Observed::Failed(why), _) => result.errors.push(why.clone()),
        (Observed::Seen(seen), Err(none)) => {
            result.errors.push(none.in_words());
            result.errors.extend(seen.problems.iter().cloned());
        }
        (Observed::Seen(seen), Ok(baseline)) => {
            result.errors.extend(seen.problems.iter().cloned());
            (result.findings, result.subjects) = differences(evidence.section, baseline, seen);
        }
    }
    Some(result)
}
