//! Checks as the model knows them: what each is, and how one went.

use super::Use;
use super::{Category, Change, Finding, SectionId, SubjectSource, WayOut};

/// Part that a check has in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The other checks stand on it: where it fails, they cannot but fail. It runs whichever checks are chosen.
    Prerequisite,
    /// Compares subjects with what was accepted; chosen or left out like any other.
    Comparison,
    /// Says something about the run itself, whichever checks are chosen.
    Notice,
}

/// Everything that is fixed about a check.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckMeta {
    /// Its id: `compose_hashes`.
    pub id: &'static str,
    /// What it compares, in one sentence for the docs.
    pub about: &'static str,
    /// Its part in a run.
    pub role: Role,
    /// What names its subjects; none of a check that has no subjects.
    pub source: Option<SubjectSource>,
    /// Other sections that it reads beside the one of its subjects.
    pub also_reads: &'static [SectionId],
    /// Another section whose subjects it names, too; the place of one of those is its name, which is so of none of the others.
    pub also_names: Option<SectionId>,
    /// The category of what it finds, where a finding has none of its own.
    pub category: Category,
    /// Its texts.
    pub labels: CheckLabels,
    /// Why it can have nothing to say: printed where it is required.
    pub absence: &'static str,
    /// Probable cause of a container's other configuration, where this check finds one.
    pub config_cause: Option<&'static str>,
    /// Whether what it finds can become the baseline of its section.
    pub may_be_accepted: bool,
}

impl CheckMeta {
    /// A check that compares the subjects of a section.
    #[must_use]
    pub const fn of_section(
        section: SectionId,
        id: &'static str,
        about: &'static str,
        labels: CheckLabels,
    ) -> Self {
        Self {
            id,
            about,
            role: Role::Comparison,
            source: Some(SubjectSource::Section(section)),
            also_reads: &[],
            also_names: None,
            category: Category::Configuration,
            labels,
            absence: "its section is off",
            config_cause: None,
            may_be_accepted: true,
        }
    }
}

/// The texts of one check, as the terminal and the details line use them.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckLabels {
    /// What is checked, for lines about the whole: `Compose files`.
    pub topic: &'static str,
    /// The line when it starts.
    pub info: &'static str,
    /// The line when all is well.
    pub pass: &'static str,
    /// Before the name of a subject that drifted.
    pub drift: &'static str,
    /// Before the name of a subject that could not be read.
    pub unreadable: &'static str,
    /// What subjects are counted as in `details`: `files`, `modules`.
    pub noun: &'static str,
    /// What happened to them in `details`: `drifted`, `missing`.
    pub verb: &'static str,
    /// One subject in a sentence: `compose file`.
    pub singular: &'static str,
}

impl CheckLabels {
    /// Placeholder for the server's address in [`CheckLabels::info`].
    pub const HOST: &'static str = "HOST";
    /// Placeholder for the environment's name in [`CheckLabels::info`].
    pub const ENVIRONMENT: &'static str = "ENV";

    /// Whether the line at the start stands for all checks that follow, as that of the look at a server does.
    #[must_use]
    pub fn opens_server_run(&self) -> bool {
        self.info.contains(Self::HOST)
    }

    /// What stands before the name of a finding's subject.
    #[must_use]
    pub fn title(&self, finding: &Finding) -> &'static str {
        match finding.change {
            _ if !finding.kind.is_drift() => self.unreadable,
            Some(Change::Stale) => "Stale mount",
            Some(Change::Unused) => "Unused",
            Some(Change::NotRestarted) => "Not restarted",
            Some(Change::Pending) => "Terraform pending",
            _ => self.drift,
        }
    }
}

/// How one check went.
#[derive(Debug, Clone)]
pub struct CheckResult {
    /// The check's id: `compose_hashes`.
    pub id: &'static str,
    /// Its texts.
    pub labels: &'static CheckLabels,
    /// The line when it starts; none where an earlier check's line stands for it.
    pub info: Option<String>,
    /// How many subjects were compared.
    pub subjects: usize,
    /// Whether those subjects count as having compared something.
    pub compares: bool,
    /// Differences, sorted by the subject's bytes.
    pub findings: Vec<Finding>,
    /// Why it could not be carried out.
    pub errors: Vec<String>,
    /// Why it was skipped.
    pub skip: Option<String>,
    /// Whether it was skipped because, of all that was looked at, there was nothing to compare: what it found before is over.
    pub is_idle: bool,
    /// What is worth knowing and is no finding.
    pub notes: Vec<String>,
    /// What can be done where it could not be carried out, and the command of each.
    pub ways_out: Vec<WayOut>,
    /// Which container uses which module root or file of the baseline, sorted.
    pub uses: Vec<Use>,
}

impl CheckResult {
    /// A check that has found nothing yet.
    #[must_use]
    pub fn new(meta: &'static CheckMeta) -> Self {
        Self {
            id: meta.id,
            labels: &meta.labels,
            info: Some(meta.labels.info.to_owned()),
            subjects: 0,
            compares: meta.role == Role::Comparison,
            findings: Vec::new(),
            errors: Vec::new(),
            skip: None,
            is_idle: false,
            notes: Vec::new(),
            ways_out: Vec::new(),
            uses: Vec::new(),
        }
    }

    /// Skips it because there is nothing to compare.
    pub fn rest(&mut self, why: &str) {
        (self.skip, self.is_idle) = (Some(why.to_owned()), self.errors.is_empty());
    }

    /// How many of its findings somebody answers for.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.findings.iter().filter(|finding| finding.acknowledged().is_some()).count()
    }
}
