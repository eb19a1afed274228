//! What the ways out of a finding depend on.

use crate::model::{Change, Finding, SubjectKind};
use crate::provenance::{NoSource, UndoSource};
use crate::section::kind_of;

/// A finding, and where commands about it are run.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// Its check.
    pub check: &'a str,
    /// Its name behind its check's, as a shell takes it.
    pub named: &'a str,
    /// Its place from the working directory, as a shell takes it; of a container its name.
    pub place: &'a str,
    /// How driftlock and git are called so that they work on this project.
    pub driftlock: &'a str,
    /// See [`Situation::driftlock`]; paths are taken from the project's root, and pathspecs are patterns.
    pub git: &'a str,
    /// Where git has a lock file that is missing, as a shell takes it.
    pub git_path: &'a str,
    /// The project's root from the working directory; empty where it is the same.
    pub from_here: &'a [u8],
    /// Where the baseline's files can be taken from, or why from nowhere; none for what has no files.
    pub source: Option<&'a Result<UndoSource, NoSource>>,
    /// Whether git tracks a lock file that is missing.
    pub is_tracked: bool,
    /// The options by which an export writes a lock file that is missing, with a space before them; none for what is no
    /// lock file.
    pub export: Option<&'a str>,
    /// Whether it was compared with the project's own baseline.
    pub is_own_baseline: bool,
    /// Whether it differs only because the rule by which it was locked left out what is found now.
    pub is_of_older_rule: bool,
    /// The run that can be accepted, with a space before it; empty for the newest one, none where there is none yet.
    pub run: Option<&'a str>,
    /// Whether the place is one that acceptances and acknowledgements can name.
    pub is_configured: bool,
    /// The option that names the host again, with a space before it; empty for this machine.
    pub option: &'a str,
    /// The command that runs another one on the server; none for this machine.
    pub ssh: Option<&'a str>,
    /// How the engine's client is called there.
    pub docker: &'a str,
    /// Where it lies on a target; none for the project's own tree.
    pub host_path: Option<&'a [u8]>,
    /// The directories above it, from the uppermost one of the project or the target.
    pub above: &'a [Above],
    /// The options that name the compose files of a container, each with a space before it; empty where they are not
    /// known.
    pub compose_files: &'a str,
    /// Those of the compose files of a container that differ, too.
    pub edited: &'a [Vec<u8>],
    /// How Terraform is called in the directory of an environment's code, as a shell takes it, and the options of what it
    /// plans, with a space before each.
    pub terraform: Option<(&'a str, &'a str)>,
    /// The Compose project and service of a container, as a shell takes them.
    pub service: Option<(&'a str, &'a str)>,
}

impl Situation<'_> {
    pub(super) fn is_container(&self) -> bool {
        kind_of(self.finding.subject.source) == Some(SubjectKind::Container)
    }

    /// Whether a container has other variables than its compose files give.
    pub(super) fn is_not_applied(&self) -> bool {
        self.finding.change == Some(Change::NotApplied)
    }

    pub(super) fn is_resource(&self) -> bool {
        kind_of(self.finding.subject.source) == Some(SubjectKind::Resource)
    }

    pub(super) fn is_of_system(&self) -> bool {
        kind_of(self.finding.subject.source) == Some(SubjectKind::System)
    }

    pub(super) fn is_module(&self) -> bool {
        kind_of(self.finding.subject.source) == Some(SubjectKind::Tree)
    }
}

/// A directory above a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// Where it lies: from the project's root, or on the target.
    pub path: Vec<u8>,
    /// The text of the link that the project's tree has there; none where it has none.
    pub link: Option<Vec<u8>>,
}
