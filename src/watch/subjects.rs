//! What a path of this machine, to which something happened, means for the subjects that are compared.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::audit::pipeline::Subjects;
use crate::check::Evidence;
use crate::config;
use crate::host::{Layout, MANIFESTS, is_compose_name};
use crate::model::{Observed, SubjectKind, any_match};
use crate::section::{self, Section};

/// What is to be looked at because of a path.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    /// Nothing: no subject has it, and none can come of it.
    Nothing,
    /// Single subjects.
    Subjects(Subjects),
    /// Everything: the way to subjects leads elsewhere, or a new subject may be there.
    Everything,
    /// The project itself: its configuration, or what is compared with.
    Project,
}

/// What is known of a place, to tell what a path means.
pub(super) struct KnownSubjects<'a> {
    /// Where repository paths lie.
    pub(super) layout: &'a Layout,
    /// The project's root.
    pub(super) root: &'a Path,
    /// What the configuration says.
    pub(super) config: &'a config::Config,
    /// What was seen.
    pub(super) evidence: &'a [Evidence],
    /// The file of what was approved, which is watched only where something may be repaired.
    pub(super) approvals: &'a Path,
}

/// What is to be looked at because of several paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning<'a> {
    /// Single subjects.
    pub(super) subjects: Subjects,
    /// The paths that mean those.
    pub(super) paths: Vec<&'a Path>,
    /// How often something happened to them.
    pub(super) count: u32,
    /// A path because of which everything is looked at.
    pub(super) everything: Option<&'a Path>,
    /// One of the project itself: its configuration, or what is compared with.
    pub(super) project: Option<&'a Path>,
}

impl KnownSubjects<'_> {
    /// What paths of this machine mean together; with each comes how often something happened to it.
    pub(super) fn gather<'a>(&self, paths: &'a BTreeMap<PathBuf, u32>) -> Meaning<'a> {
        let mut all = Meaning::default();
        for (path, times) in paths {
            match self.meaning(path) {
                Meant::Nothing => {}
                Meant::Project => all.project = Some(path),
                Meant::Everything => all.everything = Some(path),
                Meant::Subjects(its) => {
                    for (section, its) in its {
                        all.subjects.entry(section).or_default().extend(its);
                    }
                    all.count += times;
                    all.paths.push(path);
                }
            }
        }
        all
    }

    /// What a path of this machine means.
    fn meaning(&self, path: &Path) -> Meant {
        if path == self.approvals {
            return Meant::Everything;
        }
        if let Ok(below) = path.strip_prefix(self.root.join("audit")) {
            if below.starts_with("runtime") || below.starts_with("state") {
                return Meant::Nothing;
            }
            if self.is_of_project(below) {
                return Meant::Project;
            }
        }
        let mut places = vec![path.as_os_str().as_bytes().to_vec()];
        places.extend(self.layout.repository_path_here(path));
        let mut subjects = Subjects::new();
        for place in &places {
            for evidence in self.evidence.iter().filter(|it| lies_here(it.section)) {
                match of_section(evidence, place) {
                    PathRelation::Subject(place) => {
                        subjects.entry(evidence.section.id()).or_default().insert(place);
                    }
                    PathRelation::Above => return Meant::Everything,
                    PathRelation::Nothing => {}
                }
            }
        }
        if !subjects.is_empty() {
            return Meant::Subjects(subjects);
        }
        if self.may_become_one(path, &places) { Meant::Everything } else { Meant::Nothing }
    }

    /// Whether a path below `audit` is one of what decides what is compared, and with what.
    fn is_of_project(&self, below: &Path) -> bool {
        const FILES: [&str; 3] = ["driftlock.toml", "acknowledged.toml", "policies.toml"];
        below.as_os_str().is_empty()
            || below.starts_with("locks")
            || FILES.iter().any(|name| below == Path::new(name))
            || self.config.trust.allowed_signers.as_ref().is_some_and(|it| it.ends_with(below))
    }

    /// Whether something that no subject has may be a new one, or lead to some.
    fn may_become_one(&self, path: &Path, places: &[Vec<u8>]) -> bool {
        let Ok(stat) = path.symlink_metadata() else { return false };
        if !stat.is_file() {
            return true;
        }
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        let matches = |section: &dyn Section| {
            let patterns = section.patterns(self.config);
            patterns.is_some_and(|globs| places.iter().any(|place| any_match(globs, place)))
        };
        let of_files = self.evidence.iter().filter(|it| lies_here(it.section));
        MANIFESTS.contains(&name) || is_compose_name(name) || of_files.map(|it| it.section).any(matches)
    }
}

/// Whether a section's subjects are files or directories of the host.
fn lies_here(section: &dyn Section) -> bool {
    let kind = section.meta().kind;
    kind.has_files() && kind.lies_on_disk() && section.id() != section::INSIDE
}

/// What a path is to the subjects of a section.
enum PathRelation {
    Nothing,
    /// It is this subject, or lies in it.
    Subject(Vec<u8>),
    /// Subjects lie below it.
    Above,
}

fn of_section(evidence: &Evidence, path: &[u8]) -> PathRelation {
    let baseline = evidence.baseline.as_ref().ok();
    let seen = if let Observed::Seen(seen) = &evidence.observed { Some(seen) } else { None };
    let is_known = |place: &[u8]| {
        baseline.is_some_and(|it| it.entries.contains_key(place))
            || seen
                .is_some_and(|it| it.state.entries.contains_key(place) || it.unreadable.contains_key(place))
    };
    if is_known(path) {
        return PathRelation::Subject(path.to_vec());
    }
    if evidence.section.meta().kind == SubjectKind::Tree {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        if let Some(end) = ends.into_iter().find(|end| is_known(&path[..*end])) {
            return PathRelation::Subject(path[..end].to_vec());
        }
    }
    let below = [path.strip_suffix(b"/").unwrap_or(path), b"/"].concat();
    let is_below = |place: &Vec<u8>| place.starts_with(&below);
    let first = |places: Option<&Vec<u8>>| places.is_some_and(is_below);
    let has_some = baseline
        .is_some_and(|it| first(it.entries.range(below.clone()..).next().map(|(it, _)| it)))
        || seen.is_some_and(|it| {
            first(it.state.entries.range(below.clone()..).next().map(|(it, _)| it))
                || first(it.unreadable.range(below.clone()..).next().map(|(it, _)| it))
        });
    if has_some { PathRelation::Above } else { PathRelation::Nothing }
}
