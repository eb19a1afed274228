//! What a repair will do, made of what was just seen.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::refusal::RemedyRefusal;
use super::restore::{self, WritableDirs};
use super::step::{FileStep, RemedyStep};
use crate::audit::infrastructure;
use crate::audit::remedies::Advice;
use crate::check;
use crate::config::RemedyKind;
use crate::explain::{NoUndo, Situation, Step};
use crate::git::Repository;
use crate::host::{Host, Watch};
use crate::model::{
    Attribute, Category, CauseKind, Change, Digest, Finding, Kind, Origin, SubjectSource, counted, escaped,
    short_id,
};

/// One finding, and what repairs it.
#[derive(Debug, Clone)]
pub(crate) struct RemedyItem {
    /// Its check.
    pub(crate) check: &'static str,
    /// The finding.
    pub(crate) finding: Finding,
    /// What it concerns.
    pub(crate) category: Category,
    /// The steps, in their order.
    pub(crate) steps: Vec<RemedyStep>,
}

impl RemedyItem {
    /// How commands name it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.check, escaped(&self.finding.subject.key))
    }

    /// What identifies the drift.
    pub(crate) fn fingerprint(&self) -> Digest {
        self.finding.fingerprint(self.check)
    }
}

/// A repair.
#[derive(Debug, Clone)]
pub(crate) struct RemedyPlan {
    /// The findings.
    pub(crate) items: Vec<RemedyItem>,
    /// The digest of the baseline that they were compared with.
    pub(crate) baseline: Digest,
    /// The commit that is checked out, where there is one.
    pub(crate) commit: Option<String>,
}

impl RemedyPlan {
    /// What the plan is bound to: the findings, the baseline, and each step.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = format!("driftlock.remedy/1\nbaseline {}\n", self.baseline);
        for item in &self.items {
            let _ = writeln!(text, "{} {}", item.name(), item.fingerprint());
            for step in &item.steps {
                step.lines().iter().for_each(|line| text.extend([line.as_str(), "\n"]));
                if let RemedyStep::Files(files) = step {
                    for FileStep { change, .. } in files {
                        let _ = writeln!(text, "{:?} {:?}", change.place, change.before);
                    }
                }
            }
            let after = item.files().filter_map(FileStep::digest);
            after.for_each(|digest| text.extend([digest.to_string().as_str(), "\n"]));
        }
        Digest::of(text.as_bytes())
    }

    /// All steps in the order in which they are carried out, each once: files before containers that are made from them.
    pub(crate) fn steps(&self) -> Vec<&RemedyStep> {
        let mut all: Vec<&RemedyStep> = self.items.iter().flat_map(|item| &item.steps).collect();
        let made_anew: Vec<(&str, &str)> = all.iter().filter_map(|step| step.made_anew()).collect();
        all.retain(|step| step.restarted().is_none_or(|service| !made_anew.contains(&service)));
        let rank = |step: &RemedyStep| match step.kind() {
            RemedyKind::Restore => 0,
            RemedyKind::Recreate => 1,
            RemedyKind::Restart => 2,
            RemedyKind::Run => 3,
            RemedyKind::Apply => 4,
        };
        all.sort_by_key(|step| rank(step));
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|step| matches!(step, RemedyStep::Files(_)) || seen.insert(step.lines()));
        all
    }

    /// The files that are changed.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileStep> {
        self.items.iter().flat_map(RemedyItem::files)
    }

    /// Each step, a line for each thing that it does.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.steps().iter().flat_map(|step| step.lines()).collect()
    }

    /// The plan as a person reads it before anything happens.
    pub(crate) fn in_words(&self, place: &str) -> String {
        let mut text = format!("On {place}, driftlock will do this:\n");
        let steps = self.steps();
        for item in &self.items {
            let cause = CauseKind::of(&item.finding).words();
            let _ = writeln!(text, "\n  {}: {} ({cause})", item.name(), item.finding.kind.word());
            for step in &item.steps {
                let is_done = steps.iter().any(|it| it.lines() == step.lines());
                let lines = step.lines();
                let lines =
                    if is_done { lines } else { vec!["(the container is made anew above)".to_owned()] };
                for line in &lines {
                    text.extend(["    ", line.as_str(), "\n"]);
                }
            }
            for note in &item.finding.notes {
                let _ = writeln!(text, "    note: {}", escaped(note.as_bytes()));
            }
        }
        let files = self.files().count();
        let commands = steps.iter().filter(|step| !matches!(step, RemedyStep::Files(_))).count();
        let _ = writeln!(
            text,
            "\nPlan: {}, {}, {}. What is replaced is kept in audit/state/replaced.",
            counted(self.items.len(), "finding"),
            counted(files, "file"),
            counted(commands, "command")
        );
        text
    }
}

impl RemedyItem {
    /// The files that are changed for it.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileStep> {
        self.steps
            .iter()
            .flat_map(|step| if let RemedyStep::Files(files) = step { files.as_slice() } else { &[] })
    }
}

impl RemedyStep {
    fn service(&self, wanted: bool) -> Option<(&str, &str)> {
        match self {
            Self::Service { recreates, project, service, .. } if *recreates == wanted => {
                Some((project, service))
            }
            _ => None,
        }
    }

    fn made_anew(&self) -> Option<(&str, &str)> {
        self.service(true)
    }

    fn restarted(&self) -> Option<(&str, &str)> {
        self.service(false)
    }
}

/// What a plan is made of.
pub(super) struct Planning<'a> {
    pub(super) advice: Advice<'a>,
    pub(super) host: &'a dyn Host,
    pub(super) watch: &'a Watch,
    /// Whether a commit that is not the newest one is meant.
    pub(super) older: bool,
}

/// A finding, and the check that has it.
pub(crate) type Chosen = (&'static str, Finding);

impl Planning<'_> {
    /// The steps of each finding by its undo, or why there are none.
    pub(super) fn items(&self, chosen: &[Chosen]) -> Vec<Result<RemedyItem, (String, RemedyRefusal)>> {
        let project = self.advice.project;
        let root = project.root.canonicalize().unwrap_or_else(|_| project.root.clone());
        let dirs = WritableDirs { bases: self.bases(&root) };
        let head = Repository::around(&project.root).ok().and_then(|it| it.head().ok().flatten());
        let names: Vec<&[u8]> = chosen.iter().map(|(_, finding)| finding.place.as_slice()).collect();
        let findings: Vec<(&str, &Finding)> =
            chosen.iter().map(|(check, finding)| (*check, finding)).collect();
        let mut items = Vec::new();
        self.advice.undos(&findings, root.as_os_str().as_bytes(), &mut |at, situation, undo| {
            let (check, finding) = &chosen[at];
            let steps = why_not(finding).map_or(Ok(()), Err).and_then(|()| {
                if finding.subject.source == SubjectSource::Plan {
                    return self.applied(check, finding);
                }
                let steps = undo.map_err(|why| no_steps(&why))?;
                let head = head.as_ref().map(|head| head.commit.as_str());
                self.is_of_today(&steps, head)?;
                self.steps(finding, situation, &steps, (&dirs, &names))
            });
            let category = self.category(check, finding);
            let item = |steps| RemedyItem { check, finding: finding.clone(), category, steps };
            let name = || format!("{check}/{}", escaped(&finding.subject.key));
            items.push(steps.map(item).map_err(|why| (name(), why)));
        });
        items
    }

    /// The directories in which files of the place may be written.
    fn bases(&self, root: &std::path::Path) -> Vec<PathBuf> {
        let aim = self.advice.aim;
        if aim.target.is_some() {
            return aim.layout.places().map(|(_, place)| place.to_owned()).collect();
        }
        let top = Repository::around(root).ok().and_then(|it| it.top().canonicalize().ok());
        std::iter::once(root.to_owned()).chain(top).collect()
    }

    pub(super) fn category(&self, id: &str, finding: &Finding) -> Category {
        let configured = self.advice.project.config.events.category(&finding.subject.key);
        let of_check = || check::meta(id).map(|meta| meta.category);
        configured.or(finding.category).or_else(of_check).unwrap_or(Category::Configuration)
    }

    /// The plan of Terraform that sets a resource back.
    fn applied(&self, check: &str, finding: &Finding) -> Result<Vec<RemedyStep>, RemedyRefusal> {
        let may_be = matches!(finding.change, Some(Change::Reverted | Change::Conflicting | Change::Pending));
        if !(may_be || finding.kind == Kind::Missing) {
            return Err(RemedyRefusal::NoSteps(
                "no apply of Terraform sets it back; see driftlock explain".to_owned(),
            ));
        }
        let Advice { project, aim, .. } = self.advice;
        let proposal = infrastructure::propose(project, aim, (check, finding), self.watch);
        let proposal = proposal.map_err(|error| RemedyRefusal::NoSteps(error.to_string()))?;
        let changes = finding.attributes.iter().flat_map(Attribute::lines).collect();
        Ok(vec![RemedyStep::Apply { proposal: Arc::new(proposal), changes }])
    }

    /// Refuses where what is checked out has other content than the baseline.
    fn is_of_today(&self, steps: &[Step<'_>], head: Option<&str>) -> Result<(), RemedyRefusal> {
        let commits = steps
            .iter()
            .filter_map(|step| if let Step::Restore(it) = step { Some(&it.source.commit) } else { None });
        let other = commits.into_iter().find(|commit| head.is_some_and(|head| head != commit.as_str()));
        match other {
            Some(commit) if !self.older => Err(RemedyRefusal::StaleBaseline(short_id(commit).to_owned())),
            _ => Ok(()),
        }
    }

    fn steps(
        &self,
        finding: &Finding,
        situation: &Situation<'_>,
        steps: &[Step<'_>],
        (dirs, chosen): (&WritableDirs, &[&[u8]]),
    ) -> Result<Vec<RemedyStep>, RemedyRefusal> {
        if steps.is_empty() {
            return Err(RemedyRefusal::NoSteps("there is nothing to write or to take away".to_owned()));
        }
        if let Some(wishes) = restore::wishes(finding, steps, dirs) {
            let files = restore::changes(wishes?, &self.advice.project.root, self.host, self.watch)?;
            if files.is_empty() {
                return Err(RemedyRefusal::NoSteps("there is nothing to write or to take away".to_owned()));
            }
            return Ok(vec![RemedyStep::Files(files)]);
        }
        let service = |recreates| {
            let (project, service) =
                self.advice.service(finding).ok_or_else(|| no_steps(&NoUndo::NotOfCompose))?;
            let files = self.advice.compose_paths(finding);
            Ok(RemedyStep::Service { recreates, files, project, service })
        };
        let makes_anew = steps.iter().any(|step| matches!(step, Step::Recreate { .. }));
        let open = situation.edited.iter().find(|file| !chosen.contains(&file.as_slice()));
        if let Some(file) = open.filter(|_| makes_anew) {
            return Err(RemedyRefusal::EditedFiles(escaped(file)));
        }
        let name = String::from_utf8(finding.place.clone());
        let step = |step: &Step<'_>| match step {
            Step::Recreate { .. } => service(true),
            Step::Restart { .. } => service(false),
            Step::Container("rm --force") => {
                let why = "a container that is removed cannot be brought back; remove it by hand";
                Err(RemedyRefusal::NoSteps(why.to_owned()))
            }
            Step::Container(verb) => {
                let name = name.clone().map_err(|_| no_steps(&NoUndo::Option))?;
                Ok(RemedyStep::Container { verb, name })
            }
            Step::Command(line) => Err(RemedyRefusal::NoSteps(format!("run it by hand: {line}"))),
            Step::PutAside(_) | Step::Restore(_) => {
                Err(RemedyRefusal::NoSteps("files and commands are no steps of one undo".to_owned()))
            }
        };
        steps.iter().map(step).collect()
    }
}

fn no_steps(why: &NoUndo) -> RemedyRefusal {
    RemedyRefusal::NoSteps(why.to_string())
}

/// Why a finding is left alone, whatever would undo it.
pub(super) fn why_not(finding: &Finding) -> Option<RemedyRefusal> {
    if finding.kind == Kind::Unreadable {
        return Some(RemedyRefusal::Unreadable);
    }
    if let Some(waiver) = finding.acknowledged() {
        let [by, until, reason] =
            [&waiver.by, &waiver.until, &waiver.reason].map(|it| escaped(it.as_bytes()));
        return Some(RemedyRefusal::Acknowledged { by, until, reason });
    }
    if finding.subject.source == SubjectSource::LockFile {
        return Some(RemedyRefusal::LockFile);
    }
    let origin = finding.provenance.as_ref().map(|it| it.origin);
    (origin == Some(Origin::Ahead)).then_some(RemedyRefusal::Ahead)
}
