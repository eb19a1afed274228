//! What can be done about what was found, as commands that work from where the user stands.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::aim::Aim;
use super::project::Project;
use crate::baseline::Source;
use crate::check::Evidence;
use crate::explain::{self, Situation};
use crate::model::{
    CheckResult, Entry, Finding, Observed, SectionId, Value, WayOut, escaped, quoted, quoted_name,
};
use crate::section::fact;

/// What advice depends on.
#[derive(Clone, Copy)]
pub(super) struct Advice<'a> {
    /// The project.
    pub(super) project: &'a Project,
    /// The place that was looked at.
    pub(super) aim: &'a Aim,
    /// What it was compared with.
    pub(super) source: &'a Source,
    /// What was seen.
    pub(super) evidence: &'a [Evidence],
    /// The run that can be accepted, with a space before it; empty for the newest one, none where there is none yet.
    pub(super) run: Option<&'a str>,
}

impl Advice<'_> {
    /// Puts on every finding what has probably happened and what can be done, and the latter on every check that could
    /// not be carried out.
    pub(super) fn give(&self, checks: &mut [CheckResult]) {
        for check in checks {
            let id = check.id;
            for finding in &mut check.findings {
                finding.cause = explain::cause(id, finding);
                finding.ways_out = self.ways_out(id, finding);
            }
        }
    }

    /// The ways out of what a check found.
    pub(super) fn ways_out(&self, check: &str, finding: &Finding) -> Vec<WayOut> {
        let key = escaped(&finding.subject.key);
        let named = quoted(&format!("{check}/{key}"));
        let option = self.option();
        let ssh = self.aim.ssh_command();
        let host_path = self.lies_at(finding.subject.section, &finding.place);
        let host_path = host_path.as_deref().map(quoted_name);
        let service = self.entry(finding).and_then(service_of);
        let is_container = finding.subject.section == Some(SectionId("images"));
        let from_here = self.project.named(&self.project.root.join(OsStr::from_bytes(&finding.place)));
        let place = if is_container { &finding.place } else { from_here.as_os_str().as_bytes() };
        let git_path = self.project.path_in_git(&finding.place);
        let is_pattern = git_path.first() == Some(&b':') || git_path.iter().any(|b| b"*?[\\".contains(b));
        let literal = if is_pattern { " --literal-pathspecs" } else { "" };
        let situation = Situation {
            finding,
            check,
            named: &named,
            place: &quoted_name(place),
            driftlock: &self.project.driftlock(),
            git: &format!("{}{literal}", self.project.git()),
            git_path: &quoted_name(&git_path),
            is_own_baseline: self.source.is_own(),
            run: self.run,
            is_configured: self.is_configured(),
            option: &option,
            ssh: ssh.as_deref(),
            docker: self.aim.docker_command(),
            host_path: host_path.as_deref(),
            service: service.as_ref().map(|(project, service)| (project.as_str(), service.as_str())),
        };
        explain::ways_out(&situation)
    }

    /// Where a subject lies on a target, where that is elsewhere than in the repository.
    pub(super) fn lies_at(&self, section: Option<SectionId>, place: &[u8]) -> Option<Vec<u8>> {
        let has_files = section != Some(SectionId("images")) && self.aim.target.is_some();
        let path = self.aim.layout.locate(place).filter(|_| has_files)?.into_os_string().into_vec();
        (path != place).then_some(path)
    }

    /// The option that names the place again, with a space before it.
    fn option(&self) -> String {
        match (&self.aim.target, self.aim.server()) {
            (Some(_), Some(host)) if !self.is_configured() => {
                format!(" --server {}", quoted(&escaped(host.as_bytes())))
            }
            (Some(name), _) => format!(" --target {name}"),
            (None, _) => String::new(),
        }
    }

    /// Whether the place is the project's own tree or one of its targets.
    fn is_configured(&self) -> bool {
        let targets = &self.project.config.targets;
        self.aim.target.as_ref().is_none_or(|name| targets.contains_key(name))
    }

    /// What the host has of a finding's subject, or else the baseline.
    fn entry(&self, finding: &Finding) -> Option<&Entry> {
        let evidence = self.evidence.iter().find(|e| Some(e.section.id()) == finding.subject.section)?;
        let (expected, actual) = sides(evidence, &finding.place);
        actual.or(expected)
    }
}

/// What the baseline and the host have at a place.
pub(super) fn sides<'a>(evidence: &'a Evidence, place: &[u8]) -> (Option<&'a Entry>, Option<&'a Entry>) {
    let expected = evidence.baseline.as_ref().ok().and_then(|state| state.entries.get(place));
    let actual = match &evidence.observed {
        Observed::Seen(seen) => seen.state.entries.get(place),
        _ => None,
    };
    (expected, actual)
}

/// The Compose project and service of a container, as a shell takes them.
fn service_of(entry: &Entry) -> Option<(String, String)> {
    let Value::Structured(facts) = &entry.value else { return None };
    Some((quoted(facts.get(fact::PROJECT)?), quoted(facts.get(fact::SERVICE)?)))
}
