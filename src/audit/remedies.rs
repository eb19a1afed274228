//! What can be done about what was found, as commands that work from where the user stands.

use crate::section::kind_of;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::audit::groups;
use crate::audit::infrastructure;
use crate::audit::line_ends;
use crate::audit::target::Aim;
use crate::audit::whose_hand::WhoSearch;
use crate::baseline::{self, Source};
use crate::check::{self, Check, Evidence, NoBaseline};
use crate::explain::{self, Above, Advised, NoUndo, Situation, Step};
use crate::git::Repository;
use crate::host::Watch;
use crate::model::{
    Change, CheckResult, Entry, Finding, Kind, OLDER_RULE, Observed, Report, SubjectKind, SubjectSource,
    Value, WayOut, escaped, quoted, quoted_name,
};
use crate::project::Project;
use crate::provenance::{self, NoSource, UndoSource};
use crate::section::{IMAGES, SECTIONS, Section, fact};

/// What advice depends on.
#[derive(Clone, Copy)]
pub(crate) struct Advice<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The place that was looked at.
    pub(crate) aim: &'a Aim,
    /// What it was compared with.
    pub(crate) source: &'a Source,
    /// What was seen.
    pub(crate) evidence: &'a [Evidence],
    /// The run that can be accepted, with a space before it; empty for the newest one, none where there is none yet.
    pub(crate) run: Option<&'a str>,
    /// Tells when the user ends the run.
    pub(crate) watch: &'a Watch,
}

/// What is said in a job of CI in place of commands.
const IN_A_CLONE: &str =
    "driftlock check in a clone of this commit prints the commands that undo or accept this";

/// Facts about a finding that are found out for all findings at once.
struct Facts<'a> {
    /// Where its files can be taken from.
    source: Option<&'a Result<UndoSource, NoSource>>,
    /// Whether it differs by an older rule alone.
    is_of_older_rule: bool,
    /// The compose files that differ.
    edited: &'a BTreeSet<Vec<u8>>,
}

/// Takes the undo of the finding of this number.
pub(crate) type TakeUndo<'a> = dyn FnMut(usize, &Situation<'_>, Result<Vec<Step<'_>>, NoUndo>) + 'a;

impl Advice<'_> {
    /// Puts on every finding whose hand it was, what has probably happened and what can be done, and the latter on every check that could
    /// not be carried out; and on the report what can be done about all findings of a cause at once.
    pub(crate) fn give(&self, report: &mut Report) {
        // The machine of a CI job is gone when a person reads the report; a server is still there.
        let is_of_job = self.aim.server().is_none() && self.project.control.environment.is_ci();
        WhoSearch::in_brief(self.project, self.aim).give(&mut report.checks);
        let sources = self.sources(report.checks.iter().flat_map(|check| &check.findings));
        let edited = check::drifted_compose_files(self.evidence);
        let mut each = sources.iter();
        for check in &mut report.checks {
            let id = check.id;
            for finding in &mut check.findings {
                let is_of_older_rule = self.is_of_older_rule(finding);
                let source = each.next().and_then(Option::as_ref);
                let facts = Facts { source, is_of_older_rule, edited: &edited };
                finding.cause = cause(id, finding, is_of_older_rule);
                let Advised { ways, notes } = self.ways_out(id, finding, &facts);
                (finding.ways_out, finding.notes) = (ways, notes);
            }
            if !check.errors.is_empty() {
                check.ways_out = self.ways_on(id);
            }
        }
        if is_of_job {
            return Self::leave_to_a_clone(report);
        }
        let caller = groups::Caller {
            root: &self.project.root,
            git: self.project.git(),
            driftlock: self.project.driftlock(),
            option: self.option(),
            run: self.run,
            watch: self.watch,
        };
        report.group_ways = groups::ways(&caller, report, &sources);
    }

    /// Takes back the commands that need a person at the machine of a job, and says where they can be had.
    fn leave_to_a_clone(report: &mut Report) {
        for check in &mut report.checks {
            check.findings.iter_mut().for_each(|finding| finding.ways_out.clear());
            check.ways_out.clear();
        }
        let is_bad = |check: &&mut CheckResult| !check.findings.is_empty() || !check.errors.is_empty();
        if let Some(check) = report.checks.iter_mut().find(is_bad) {
            check.notes.push(IN_A_CLONE.to_owned());
        }
    }

    /// What has probably happened.
    pub(crate) fn cause_of(&self, check: &str, finding: &Finding) -> Option<String> {
        cause(check, finding, self.is_of_older_rule(finding))
    }

    /// Whether a module differs only because it was locked by a rule that left out what is found now.
    fn is_of_older_rule(&self, finding: &Finding) -> bool {
        let tree = self.entry(finding).and_then(|entry| entry.tree.as_ref());
        let locked = tree.into_iter().flat_map(|tree| tree.iter().map(|(path, _)| path));
        let Value::Digest(expected) = &finding.expected else { return false };
        explain::may_be_of_older_rule(finding, locked)
            && !baseline::is_of_this_rule(&self.project.root, &finding.subject.key, expected)
    }

    /// Where the baseline's files can be taken from, for each of these findings that is undone by writing files.
    fn sources<'f>(
        &self,
        findings: impl Iterator<Item = &'f Finding>,
    ) -> Vec<Option<Result<UndoSource, NoSource>>> {
        let all: Vec<&Finding> = findings.collect();
        let needs = |finding: &&Finding| {
            let is_file = kind_of(finding.subject.source).is_some_and(SubjectKind::has_files);
            is_file && matches!(finding.kind, Kind::Modified | Kind::Missing)
        };
        let asked: Vec<&Finding> = all.iter().copied().filter(needs).collect();
        let mut found = Vec::new().into_iter();
        if !asked.is_empty() {
            let (in_tree, cancelled) = (self.aim.target.is_none(), || self.watch.is_cancelled());
            found = provenance::sources(&self.project.root, &asked, in_tree, provenance::BUDGET, &cancelled)
                .into_iter();
        }
        all.iter().map(|finding| if needs(finding) { found.next().flatten() } else { None }).collect()
    }

    /// What can be done about a single finding, for one that is shown alone.
    pub(crate) fn ways_out_of(&self, check: &str, finding: &Finding) -> Advised {
        let source = self.sources(std::iter::once(finding)).pop().flatten();
        let edited = check::drifted_compose_files(self.evidence);
        let is_of_older_rule = self.is_of_older_rule(finding);
        self.ways_out(check, finding, &Facts { source: source.as_ref(), is_of_older_rule, edited: &edited })
    }

    /// The ways out of what a check found, and what must be known of them.
    fn ways_out(&self, check: &str, finding: &Finding, facts: &Facts<'_>) -> Advised {
        self.in_situation(check, finding, facts, self.project.way_here(), explain::advise)
    }

    /// Gives the undo of each of these findings, by what checks found them, with the paths of the project's tree below `root`.
    pub(crate) fn undos(&self, findings: &[(&str, &Finding)], root: &[u8], take: &mut TakeUndo<'_>) {
        let sources = self.sources(findings.iter().map(|(_, finding)| *finding));
        let edited = check::drifted_compose_files(self.evidence);
        for (at, ((check, finding), source)) in findings.iter().zip(&sources).enumerate() {
            let is_of_older_rule = self.is_of_older_rule(finding);
            let facts = Facts { source: source.as_ref(), is_of_older_rule, edited: &edited };
            let give = |situation: &Situation<'_>| take(at, situation, explain::undo(situation));
            self.in_situation(check, finding, &facts, root, give);
        }
    }

    /// The compose files that a container was made from, where they lie on its host; empty where that is not known.
    pub(crate) fn compose_paths(&self, finding: &Finding) -> Vec<PathBuf> {
        let place = |file: &Vec<u8>| match &self.aim.target {
            Some(_) => self.aim.layout.locate(file),
            None => Some(self.project.root.join(OsStr::from_bytes(file))),
        };
        self.compose_places(finding).iter().filter_map(place).collect()
    }

    /// The Compose project and service of a container.
    pub(crate) fn service(&self, finding: &Finding) -> Option<(String, String)> {
        let Value::Structured(facts) = &self.entry(finding)?.value else { return None };
        Some((facts.get(fact::PROJECT)?.clone(), facts.get(fact::SERVICE)?.clone()))
    }

    /// Has something made of a finding and all that its ways out depend on.
    fn in_situation<T>(
        &self,
        check: &str,
        finding: &Finding,
        facts: &Facts<'_>,
        root: &[u8],
        make: impl FnOnce(&Situation<'_>) -> T,
    ) -> T {
        let key = escaped(&finding.subject.key);
        let named = quoted(&format!("{check}/{key}"));
        let option = self.option();
        let ssh = self.aim.ssh_command();
        let host_path = self.lies_at(finding.subject.source, &finding.place);
        let service = self.service(finding).map(|(project, service)| (quoted(&project), quoted(&service)));
        let is_elsewhere = kind_of(finding.subject.source).is_some_and(|kind| !kind.lies_on_disk());
        let from_here = self.project.named(&self.project.root.join(OsStr::from_bytes(&finding.place)));
        let place = if is_elsewhere { &finding.place } else { from_here.as_os_str().as_bytes() };
        let export = self.export_options(finding);
        let git_path = [baseline::PATH.as_bytes(), b"/", &finding.place].concat();
        let files = self.compose_places(finding);
        let edited: Vec<Vec<u8>> =
            files.iter().filter(|file| facts.edited.contains(*file)).cloned().collect();
        let terraform = self.aim.terraform.as_ref().map(|it| infrastructure::call(self.project, it));
        let situation = Situation {
            terraform: terraform.as_ref().map(|(call, options)| (call.as_str(), options.as_str())),
            finding,
            check,
            named: &named,
            place: &quoted_name(place),
            driftlock: &self.project.driftlock(),
            git: &self.project.git(),
            git_path: &quoted_name(&git_path),
            from_here: root,
            source: facts.source,
            is_tracked: export.is_some() && self.is_tracked(&git_path),
            export: export.as_deref(),
            is_own_baseline: self.source.is_own(),
            is_of_older_rule: facts.is_of_older_rule,
            run: self.run,
            is_configured: self.is_configured(),
            option: &option,
            ssh: ssh.as_deref(),
            docker: self.aim.docker_command(),
            host_path: host_path.as_deref(),
            above: &self.above(finding),
            compose_files: &self.compose_options(&files),
            edited: &edited,
            service: service.as_ref().map(|(project, service)| (project.as_str(), service.as_str())),
        };
        make(&situation)
    }

    /// The directories above a subject, each with the link that the project's tree has there.
    fn above(&self, finding: &Finding) -> Vec<Above> {
        let place = finding.place.as_slice();
        if kind_of(finding.subject.source).is_some_and(|kind| !kind.lies_on_disk()) || place.starts_with(b"/")
        {
            return Vec::new();
        }
        let layout = self.aim.target.as_ref().map(|_| &self.aim.layout);
        let is_above = |prefix: &[u8]| place.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(b"/"));
        // Where a target has a part of the tree is said by its configuration: whether that is a link does not matter.
        let given = layout.iter().flat_map(|layout| layout.places()).map(|(prefix, _)| prefix);
        let given = given
            .filter(|prefix| *prefix == place || is_above(prefix))
            .map(<[u8]>::len)
            .max()
            .unwrap_or_default();
        let cuts = place.iter().enumerate().filter(|(cut, b)| **b == b'/' && *cut > given);
        // A module whose files are written or moved is above them.
        let whole = (!finding.parts.is_empty() && finding.kind != Kind::Unexpected).then_some(place);
        let whole = whole.filter(|place| place.len() > given);
        let dirs = cuts.map(|(cut, _)| &place[..cut]).chain(whole).filter_map(|dir| {
            let path = match layout {
                Some(layout) => layout.locate(dir)?.into_os_string().into_vec(),
                None => dir.to_vec(),
            };
            let link = std::fs::read_link(self.project.root.join(OsStr::from_bytes(dir))).ok();
            Some(Above { path, link: link.map(|link| link.into_os_string().into_vec()) })
        });
        dirs.collect()
    }

    /// What can be done where a check could not be carried out.
    fn ways_on(&self, check: &str) -> Vec<WayOut> {
        let ssh = self.aim.ssh_command();
        if check::meta(check).is_some_and(|meta| meta.labels.opens_server_run()) {
            let ssh = ssh.iter().map(|ssh| WayOut::new("to see how ssh itself fares", format!("{ssh} true")));
            return ssh.collect();
        }
        let section = check::find(check).and_then(Check::section);
        let Some(evidence) = self.evidence.iter().find(|e| Some(e.section.id()) == section) else {
            return Vec::new();
        };
        if let Err(NoBaseline::Malformed(_)) = &evidence.baseline {
            return self.ways_of_malformed(evidence);
        }
        let is_first = section.and_then(check::first_of).is_some_and(|it| it.id() == check);
        let engine = matches!(&evidence.observed, Observed::Failed(_))
            && section.is_some_and(|id| kind_of(SubjectSource::Section(id)) == Some(SubjectKind::Container));
        if !(engine && is_first && (ssh.is_some() || self.aim.server().is_none())) {
            return Vec::new();
        }
        let look = format!("{} version", self.aim.docker_command());
        let look = ssh.map_or_else(|| look.clone(), |ssh| format!("{ssh} {}", quoted(&look)));
        vec![WayOut::new("to see how the engine fares", look)]
    }

    /// What can be done about lock files that are not as they must be.
    fn ways_of_malformed(&self, evidence: &Evidence) -> Vec<WayOut> {
        if !self.source.is_own() {
            return Vec::new();
        }
        let names = evidence.lock_files.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
        let is_denied = |name: &String| {
            // What stands there may be no file, so it is not opened.
            let path = self.project.locks_dir().join(name);
            rustix::fs::access(path, rustix::fs::Access::READ_OK) == Err(rustix::io::Errno::ACCESS)
        };
        if names.clone().any(is_denied) {
            let place = self.project.named(&self.project.locks_dir());
            let look = format!("namei -l -- {}/*", quoted_name(place.as_os_str().as_bytes()));
            return vec![WayOut::new("to see who may read it", look)];
        }
        if let Some(way) = line_ends::way_to_plain_ones(self.project, &names.clone().collect::<Vec<_>>()) {
            return vec![way];
        }
        let paths = names.map(|name| format!("{}/{name}", baseline::PATH));
        let tracked: Vec<String> =
            paths.filter(|path| self.is_tracked(path.as_bytes())).map(|path| quoted(&path)).collect();
        let back = format!("{} restore -- {}", self.project.git(), tracked.join(" "));
        let back = (!tracked.is_empty()).then(|| WayOut::new("to have it as it was committed", back));
        back.into_iter().collect()
    }

    /// How an export writes the lock file that a finding misses; none for any other finding.
    fn export_options(&self, finding: &Finding) -> Option<String> {
        let name = (finding.subject.source == SubjectSource::LockFile).then_some(&finding.subject.key)?;
        let is_its = |file: &&str| name.ends_with(file.as_bytes());
        let section = SECTIONS.iter().find(|section| section.lock_files().iter().any(is_its))?;
        let check = check::first_of(section.id())?;
        let options = |section: &dyn Section| {
            if self.aim.target.is_none() { section.meta().export_options } else { "" }
        };
        if self.has_no_baseline() {
            let wanted = self.evidence.iter().filter(|it| it.is_on() && !it.lock_files.is_empty());
            let all: BTreeSet<&str> = wanted.map(|it| options(it.section)).collect();
            return Some(all.into_iter().collect());
        }
        Some(format!("{} --only {}", options(*section), check.id()))
    }

    /// Whether nothing at all was locked yet, so that one command makes the baseline and takes none away.
    fn has_no_baseline(&self) -> bool {
        std::fs::read_dir(self.project.locks_dir()).map_or_else(
            |error| error.kind() == std::io::ErrorKind::NotFound,
            |mut entries| entries.next().is_none(),
        )
    }

    /// Whether git tracks a path of the project.
    fn is_tracked(&self, path: &[u8]) -> bool {
        let Ok(repository) = Repository::around(&self.project.root) else { return false };
        repository.index().is_ok_and(|index| index.lists(&repository.path(path)))
    }

    /// Where a subject lies on a target, where that is elsewhere than in the repository.
    pub(crate) fn lies_at(&self, source: SubjectSource, place: &[u8]) -> Option<Vec<u8>> {
        if matches!(source, SubjectSource::Database | SubjectSource::Cmdb) {
            return None;
        }
        let has_files = kind_of(source).is_none_or(SubjectKind::lies_on_disk) && self.aim.target.is_some();
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

    /// The options that name compose files.
    fn compose_options(&self, files: &[Vec<u8>]) -> String {
        let place = |file: &Vec<u8>| match &self.aim.target {
            Some(_) => self.aim.layout.locate(file),
            None => Some(self.project.named(&self.project.root.join(OsStr::from_bytes(file)))),
        };
        let places = files.iter().filter_map(place);
        places.map(|path| format!(" --file {}", quoted_name(path.as_os_str().as_bytes()))).collect()
    }

    /// The compose files which a container was made from, where all of them are in the repository.
    fn compose_places(&self, finding: &Finding) -> Vec<Vec<u8>> {
        let evidence = self.evidence_of(finding);
        let container = evidence.and_then(|evidence| sides(evidence, &finding.place).1);
        let files = container.map(check::compose_files).unwrap_or_default();
        if files.iter().any(Vec::is_empty) { Vec::new() } else { files }
    }

    /// What is known of the section of a finding's subject; where a container has other variables, of that.
    fn evidence_of(&self, finding: &Finding) -> Option<&Evidence> {
        let of_container = finding.change == Some(Change::NotApplied);
        let section = if of_container { Some(IMAGES) } else { finding.subject.source.section() };
        self.evidence.iter().find(|e| Some(e.section.id()) == section)
    }

    /// What the baseline has of a finding's subject, or else the host.
    fn entry(&self, finding: &Finding) -> Option<&Entry> {
        let (expected, actual) = sides(self.evidence_of(finding)?, &finding.place);
        expected.or(actual)
    }
}

fn cause(check: &str, finding: &Finding, is_of_older_rule: bool) -> Option<String> {
    let older = is_of_older_rule.then(|| OLDER_RULE.to_owned());
    older.or_else(|| explain::cause(check, finding))
}

/// What the baseline and the host have at a place.
pub(crate) fn sides<'a>(evidence: &'a Evidence, place: &[u8]) -> (Option<&'a Entry>, Option<&'a Entry>) {
    let expected = evidence.baseline.as_ref().ok().and_then(|state| state.entries.get(place));
    let actual = match &evidence.observed {
        Observed::Seen(seen) => seen.state.entries.get(place),
        _ => None,
    };
    (expected, actual)
}
