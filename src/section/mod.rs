//! Sections: what to ask a host for each part of the baseline, and how its lock files read and write.

mod addons;
mod compose;
mod config;
mod env;
mod facts;
mod images;
mod inside;
mod packages;
mod ports;
mod probes;
mod services;

use std::collections::{BTreeMap, BTreeSet};

pub use images::{
    LockedMount, fact, is_same_mount, locked_facts, locked_mounts, locked_networks, locked_ports,
};

pub use facts::facts;
pub use packages::package_in_words;
pub use ports::is_open_to_all;
pub use probes::probe_category;
pub use services::service_in_words;

pub use addons::ID as ADDONS;
pub use compose::ID as COMPOSE;
pub use config::ID as CONFIG;
pub use env::ID as ENV;
pub use images::ID as IMAGES;
pub use inside::ID as INSIDE;
pub use packages::ID as PACKAGES;
pub use ports::ID as PORTS;
pub use probes::ID as PROBES;
pub use services::ID as SERVICES;

/// The one section whose subjects may lie outside the repository.
pub const BEYOND_REPOSITORY: SectionId = config::ID;

use crate::baseline::{LockError, OF_INFRASTRUCTURE};
use crate::config::{Config, DockerMode};
use crate::host::{Answer, Content, FilesAnswer, LockedSubject, Query, Scope, Seen};
use crate::model::{
    Entry, Finding, Glob, Observation, Observed, Reason, SectionId, State, SubjectKind, SubjectSource,
    Unreadable, Value, escaped,
};

/// What stands for infrastructure among the sections of a report's coverage. It is no section: a plan names its subjects.
pub const INFRASTRUCTURE: SectionId = SectionId("terraform");

/// What stands for desired state among the sections of a report's coverage. It is no section, for a CMDB holds it.
pub const DESIRED: SectionId = SectionId("desired");

/// What stands for databases among the sections of a report's coverage. It is no section, for it has no lock file.
pub const DATABASES: SectionId = SectionId("odoo");

/// Every section, in the order of the report. A new one is a new file and a line here.
pub const SECTIONS: &[&dyn Section] = &[
    &compose::Compose,
    &addons::Addons,
    &config::Config,
    &images::Images,
    &inside::Inside,
    &env::Env,
    &packages::Packages,
    &services::Services,
    &ports::Ports,
    &probes::Probes,
];

/// Everything that is fixed about a section.
#[derive(Debug, Clone, Copy)]
pub struct SectionMeta {
    /// Its id: `compose`.
    pub id: SectionId,
    /// What it covers, in one sentence for the docs.
    pub about: &'static str,
    /// Kind of its subjects.
    pub kind: SubjectKind,
    /// Names of its subjects, one and many.
    pub nouns: (&'static str, &'static str),
    /// Names of its lock files.
    pub lock_files: &'static [&'static str],
    /// Options that `driftlock export` needs to write its lock files on this machine, with a space before them.
    pub export_options: &'static str,
    /// Whether its subjects may lie outside the repository.
    pub reaches_outside: bool,
    /// Whether its files are compose files, whose differences have a meaning.
    pub holds_compose_files: bool,
}

impl SectionMeta {
    /// A section of subjects in the repository that need no options.
    const fn new(
        id: SectionId,
        about: &'static str,
        kind: SubjectKind,
        nouns: (&'static str, &'static str),
        lock_files: &'static [&'static str],
    ) -> Self {
        let (reaches_outside, holds_compose_files) = (false, false);
        Self { id, about, kind, nouns, lock_files, export_options: "", reaches_outside, holds_compose_files }
    }
}

/// One part of the baseline and how it is observed.
pub trait Section: Sync {
    /// Everything that is fixed about it.
    fn meta(&self) -> &'static SectionMeta;

    /// Its id: `compose`.
    fn id(&self) -> SectionId {
        self.meta().id
    }

    /// What it covers, in one sentence for the docs.
    fn about(&self) -> &'static str {
        self.meta().about
    }

    /// The names of its lock files; they are read and written together.
    fn lock_files(&self) -> &'static [&'static str] {
        self.meta().lock_files
    }

    /// The patterns that the configuration names for its files; none where it names none.
    fn patterns<'a>(&self, _config: &'a Config) -> Option<&'a [Glob]> {
        None
    }

    /// The patterns of files that the configuration leaves out.
    fn excludes<'a>(&self, _config: &'a Config) -> &'a [Glob] {
        &[]
    }

    /// Whether its lock files must be there when it is on.
    fn wants_lock_files(&self, _ask: &Ask<'_>) -> bool {
        true
    }

    /// What to ask a host, or why nothing is asked.
    fn plan(&self, ask: &Ask<'_>) -> Plan;

    /// What the host's answer means.
    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed;

    /// The largest file whose content it reads; `None` where digests suffice.
    fn largest_content(&self) -> Option<u64> {
        None
    }

    /// The patterns of containers into which it looks beside the host itself.
    fn containers<'a>(&self, _ask: &Ask<'a>) -> &'a [Glob] {
        &[]
    }

    /// What the host's answer means, with the content of the files in it, for a section that reads content.
    fn interpret_content(
        &self,
        ask: &Ask<'_>,
        answer: Answer,
        content: BTreeMap<Vec<u8>, Content>,
    ) -> Observed {
        drop(content);
        self.interpret(ask, answer)
    }

    /// Reads its lock files: name for messages and bytes, in the order of [`Section::lock_files`].
    ///
    /// # Errors
    /// On the first line that is not as it must be, or when the files contradict each other.
    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError>;

    /// Writes its lock files, in the order of [`Section::lock_files`]: the same state gives the same bytes.
    fn print(&self, state: &State) -> Vec<Vec<u8>>;

    /// The subjects' names by place; they may depend on which other places there are.
    fn names<'a>(&self, places: &BTreeSet<&'a [u8]>) -> BTreeMap<&'a [u8], Vec<u8>> {
        places.iter().map(|place| (*place, place.to_vec())).collect()
    }

    /// Whether the subject at `place` belongs on a host.
    fn in_scope(&self, scope: &Scope, place: &[u8]) -> bool {
        !self.meta().kind.lies_on_disk() || scope.has(place)
    }

    /// The command line by which a host gets back what the baseline has of a finding's subject, for a section that has no
    /// files; or why there is none, and what to do by hand.
    ///
    /// # Errors
    /// When no command does it.
    fn undo(&self, _finding: &Finding) -> Result<String, Reason> {
        Err("set it back by hand".into())
    }
}

/// Why a host is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To compare: what the baseline names is looked at even where no pattern covers it.
    Check,
    /// To write lock files: the configuration alone says what belongs in them.
    Export,
}

/// What is known of a host and wanted from it, whatever the section.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The server's address as it was called, where the host is a server.
    pub server: Option<&'a str>,
    /// What belongs on the host.
    pub scope: &'a Scope,
    /// Whether the host's layout gives repository paths no place at all.
    pub nowhere: bool,
    /// Why it is asked.
    pub purpose: Purpose,
    /// When containers are compared.
    pub docker: DockerMode,
    /// Whether somebody asked for that, so that their lock file must be there.
    pub docker_asked: bool,
    /// Whether the last whole run here compared containers.
    pub compared_before: bool,
    /// An image that is looked into in place of containers.
    pub image: Option<&'a str>,
    /// Whether everything that a lock file can hold of containers is asked for, and not only what the baseline has.
    pub everything: bool,
    /// Whether Ansible's facts are read in place of asking the host, for what they tell.
    pub has_facts: bool,
    /// Whether a CMDB says what should be of the host.
    pub asks_desired: bool,
    /// Whether there is no machine at all, but infrastructure that code describes.
    pub no_machine: bool,
    /// The clock of this machine: seconds since 1970.
    pub clock: fn() -> i64,
}

/// What a section needs to know to plan.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The host, and what is wanted.
    pub setting: Setting<'a>,
    /// Whether one of the section's lock files is there.
    pub locked: bool,
    /// The baseline, where it could be read.
    pub baseline: Option<&'a State>,
    /// What of it does not belong on this host.
    pub elsewhere: &'a State,
    /// What the mounts of containers are looked at for, where they are.
    pub paths: Option<&'a LockedPaths>,
    /// Whether the variables of containers are compared with compose files.
    pub wants_environments: bool,
    /// Whether the limits of all containers are held against something else than the baseline.
    pub wants_limits: bool,
}

/// What the baseline names, whatever the section.
#[derive(Debug, Default)]
pub struct LockedPaths {
    /// Its files and modules.
    pub subjects: Vec<LockedSubject>,
    /// Why not all of them are known.
    pub problems: Vec<String>,
    /// Whether what containers have mounted is looked at.
    pub mounts: bool,
    /// Whether files inside containers are looked at.
    pub contents: bool,
}

/// What to do about a section on a host.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Ask this.
    Ask(Query),
    /// It is turned off, or there is nothing of it.
    Off(String),
    /// It is on, but cannot be compared on this host.
    Skip(String),
}

/// Why a section that is configured as an empty list takes no part.
const EMPTY_LIST: &str = "turned off by an empty list in audit/driftlock.toml";
/// Why file sections are not compared on a target without a tree.
const NOWHERE: &str = "the target has neither root nor paths";

/// Looks for a section.
#[must_use]
pub fn find(id: SectionId) -> Option<&'static dyn Section> {
    SECTIONS.iter().copied().find(|section| section.id() == id)
}

/// Everything that is fixed about the section of a subject, where it is one of a section.
#[must_use]
pub fn meta_of(source: SubjectSource) -> Option<&'static SectionMeta> {
    find(source.section()?).map(Section::meta)
}

/// Kind of the subjects from `source`; none of lock files.
#[must_use]
pub fn kind_of(source: SubjectSource) -> Option<SubjectKind> {
    match source {
        SubjectSource::LockFile => None,
        SubjectSource::Section(_) => meta_of(source).map(|meta| meta.kind),
        SubjectSource::Plan | SubjectSource::Database | SubjectSource::Cmdb => Some(SubjectKind::Resource),
    }
}

/// Name of one subject from `source`: `compose file`.
#[must_use]
pub fn noun_of(source: SubjectSource) -> &'static str {
    match source {
        SubjectSource::LockFile => "lock file",
        SubjectSource::Section(_) => meta_of(source).map_or("subject", |meta| meta.nouns.0),
        SubjectSource::Plan => "resource",
        SubjectSource::Database => "installed module",
        SubjectSource::Cmdb => "CI",
    }
}

/// The subjects to look at in any case.
fn named(ask: &Ask<'_>, only_way: bool) -> Vec<Vec<u8>> {
    match ask.baseline {
        Some(state) if ask.setting.purpose == Purpose::Check || only_way => {
            state.entries.keys().cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// Patterns that matched nothing are an error, unless the baseline names what they would match.
fn unmatched(ask: &Ask<'_>, patterns: &[Glob], covers: impl Fn(&Glob, &[u8]) -> bool) -> Vec<String> {
    let known = |glob: &Glob| {
        let states = ask.baseline.into_iter().chain([ask.elsewhere]);
        let mut places = states.flat_map(|state| state.entries.keys());
        places.any(|place| covers(glob, place))
            || ask.setting.scope.ignored.iter().any(|place| covers(glob, place))
    };
    let say = |glob: &Glob| {
        format!("\"{}\" in audit/driftlock.toml matches nothing: correct it or take it out", glob.text())
    };
    patterns.iter().filter(|glob| !known(glob)).map(say).collect()
}

/// The observation of a section whose subjects are single files.
fn observe_files(ask: &Ask<'_>, answer: FilesAnswer) -> Observation {
    let problems = unmatched(ask, &answer.unmatched, Glob::matches);
    let mut seen = Observation { problems, left_out: answer.left_out, ..Observation::default() };
    for (path, file) in answer.files {
        match file {
            Seen::File(digest, stat) => {
                let entry = Entry { value: Value::Digest(digest), tree: None, stat: Some(stat) };
                seen.state.entries.insert(path, entry);
            }
            Seen::Unreadable(reason) => {
                seen.unreadable.insert(path, Unreadable { reason, ..Unreadable::default() });
            }
            Seen::Gone => {}
        }
    }
    seen
}

/// Whether nothing at all was found.
fn is_empty(seen: &Observation) -> bool {
    seen.state.entries.is_empty() && seen.unreadable.is_empty() && seen.problems.is_empty()
}

/// The lines of a lock file that lists single files.
fn print_files(state: &State) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, entry) in &state.entries {
        if let Value::Digest(digest) = entry.value {
            crate::model::write_line(&mut out, crate::model::Leaf::File(digest), path);
        }
    }
    out
}

/// Reads a lock file that lists single files.
fn parse_files(files: &[(&str, &[u8])], absolute: bool) -> Result<State, LockError> {
    let mut state = State::default();
    for (name, bytes) in files {
        let rules = crate::baseline::Rules { absolute, links: false };
        for (path, leaf) in crate::baseline::parse(name, bytes, rules)? {
            let entry = Entry { value: leaf.into(), tree: None, stat: None };
            state.entries.insert(path.into_owned(), entry);
        }
    }
    Ok(state)
}

/// Why a lock file in JSON cannot be read: without the place, which stands before it.
fn misread(name: &str, error: &serde_json::Error) -> LockError {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    LockError::at(name, error.line().max(1), &escaped(reason.as_bytes()))
}

/// The names of all lock files, by section.
#[must_use]
pub fn lock_file_groups() -> Vec<&'static [&'static str]> {
    let of_sections = SECTIONS.iter().map(|section| section.lock_files());
    of_sections.chain([&[OF_INFRASTRUCTURE][..]]).collect()
}

/// The names of all lock files.
#[must_use]
pub fn lock_file_names() -> Vec<&'static str> {
    lock_file_groups().concat()
}
