//! The only door to a machine: sections ask all their queries at once, a host answers them in one pass.

pub(crate) mod amend;
mod ansible;
mod archive;
mod beneath;
mod bytecode;
mod compose_names;
mod content;
mod detect;
#[cfg(test)]
#[path = "../../tests/unit/directory_order.rs"]
mod directory_order;
mod disk;
pub mod docker;
mod files;
mod git;
mod inside;
mod layout;
mod local;
mod module;
mod modules;
mod mounts;
mod named_files;
pub mod postgres;
mod read;
mod reasons;
mod rpm;
pub mod ssh;
mod stat_cache;
mod storage;
mod system;
mod this_machine;
mod unseen;
mod visited;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    ContentsState, Digest, Entry, EnvironmentNames, Glob, LeftOut, Mount, MountView, PublishedPort, Reason,
    SectionId, Stat, Tree, Unreadable, any_match,
};

pub use crate::control::progress::{Phase, Watch};
pub use amend::{AmendFault, Executed, Execution, FileChange, FilePlace, Ownership, PlaceDigest, PlaceState};
pub use ansible::{AnsibleInventory, FactSource, FactsHost, InventoryError, UNTOLD};
pub use bytecode::was_left_out;
pub use compose_names::{COMPOSE_NAMES, is_compose_name, is_detected_compose_file};
pub use git::GitHost;
pub use layout::Layout;
pub(crate) use layout::is_below;
pub use local::LocalHost;
pub use module::{EntryKind, ModuleRules};
pub use named_files::{NameSearch, NamedFiles};
pub use postgres::{
    DatabaseAnswer, DatabaseError, DatabaseQuery, DatabaseServer, DatabasesSeen, Fault, InstalledModule,
    PostgresUrl,
};
pub use stat_cache::{CachePolicy, FullScanReason, Remembered, ServerCache, ServerStart, StatCache};
pub use system::{
    AS_SHIPPED, ASKED_BY, CONFIGURATION, DIVERTED, Facts, HIDDEN, HISTORY, MACHINE, PACKAGE, ProbeQuery,
    READABLE, ShippedQuery, SystemFacts, SystemQuery, inventory_output, is_forwarder, machine_fact,
    program_output,
};
pub use visited::Visitor;

/// A machine, or something that can stand for one, that can be observed.
pub trait Host: Send + Sync {
    /// Answers every query, in the order of the queries.
    ///
    /// # Errors
    /// When the host as a whole could not be looked at, or `watch` was cancelled. What fails within one
    /// query stands in its answer.
    fn observe(&self, queries: &[Query], watch: &Watch) -> Result<Vec<Answer>, HostError>;

    /// The bytes of one file, if it has at most `limit`. Its path is the repository's, or an absolute one of the host;
    /// links are followed, so of a link within a module, which counts by its target text, it is not to be asked.
    ///
    /// # Errors
    /// When the host as a whole could not be asked, or `watch` was cancelled.
    fn content(&self, path: &[u8], limit: u64, watch: &Watch) -> Result<Content, HostError> {
        let _ = (path, limit, watch);
        Ok(Content::Unreadable("this host gives no content of files".into()))
    }

    /// The same of several files, each with its limit, in their order.
    ///
    /// # Errors
    /// As [`Host::content`].
    fn contents(&self, wanted: &[(Vec<u8>, u64)], watch: &Watch) -> Result<Vec<Content>, HostError> {
        wanted.iter().map(|(path, limit)| self.content(path, *limit, watch)).collect()
    }

    /// Reads the packages inside the containers that patterns name, by `CONTAINER:NAME:ARCHITECTURE`. What could not be read stands
    /// by the container's name, or by the pattern.
    ///
    /// # Errors
    /// When `watch` was cancelled.
    fn packages_inside(&self, containers: &[Glob], watch: &Watch) -> Result<SystemFacts, HostError> {
        let _ = watch;
        Ok(docker::unasked(containers, "this host has no containers"))
    }

    /// Follows the events of its container engine until the engine ends the stream; `since` is a moment of the engine's clock, in
    /// seconds since 1970. `begun` is called when the engine has agreed, and `changed` with the moment of each event after which
    /// a container may be another one.
    ///
    /// # Errors
    /// When the engine cannot be reached, refuses, or the stream breaks off.
    fn follow_engine(
        &self,
        since: Option<i64>,
        begun: &mut (dyn FnMut() + Send),
        changed: &mut (dyn FnMut(i64) + Send),
    ) -> Result<StreamEnd, HostError> {
        let _ = (since, begun, changed);
        Ok(StreamEnd::NotOffered("this host has no engine"))
    }

    /// Ends what follows the engine's events through this host, now or later.
    fn leave_engine(&self) {}

    /// Reads the installed modules of Odoo's databases, in the order of the queries.
    ///
    /// # Errors
    /// As [`Host::content`]. A server that could not be asked is no error but an answer.
    fn databases(&self, queries: &[DatabaseQuery], watch: &Watch) -> Result<Vec<DatabaseAnswer>, HostError> {
        let _ = watch;
        let none = |query: &DatabaseQuery| {
            let fault = Fault::NotLooked("this host has no databases".to_owned());
            Err(DatabaseError::new(&query.server.shown(), None, fault))
        };
        Ok(queries.iter().map(none).collect())
    }

    /// What stands at places, with all its bytes.
    ///
    /// # Errors
    /// As [`Host::content`].
    fn held(
        &self,
        _places: &[FilePlace],
        _watch: &Watch,
    ) -> Result<Vec<Result<PlaceState, AmendFault>>, HostError> {
        Err(HostError::Unreachable("nothing can be changed there".to_owned()))
    }

    /// Changes files, one after the other, each whole or not at all. Nobody ends it in the middle but by killing it.
    ///
    /// # Errors
    /// As [`Host::content`]; it is not known then which of the files were changed.
    fn amend(
        &self,
        _changes: &[FileChange],
        _watch: &Watch,
    ) -> Result<Vec<Result<(), AmendFault>>, HostError> {
        Err(HostError::Unreachable("nothing can be changed there".to_owned()))
    }

    /// Runs a program there.
    ///
    /// # Errors
    /// When it could not be started or did not end in time.
    fn execute(&self, _execution: &Execution<'_>, _watch: &Watch) -> Result<Executed, HostError> {
        Err(HostError::Unreachable("nothing can be run there".to_owned()))
    }
}

/// The way in which a stream of an engine's events ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The engine ended it.
    Ended,
    /// There is none on the way by which this engine is reached, with the reason.
    NotOffered(&'static str),
    /// Nobody wants it any more.
    Left,
}

/// The outcome of reading a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All its bytes.
    Bytes(Vec<u8>),
    /// Nothing is there.
    Gone,
    /// It has more bytes than were asked for: so many.
    TooLarge(u64),
    /// It could not be read, with the reason.
    Unreadable(Reason),
}

/// The reason why a host as a whole could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    /// It could not be reached, or not be looked at to the end, with the reason: what was being done, and how
    /// long it took.
    #[error("{0}")]
    Unreachable(String),
}

/// The paths that belong on a host.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Patterns; `None` is everything.
    pub include: Option<Vec<Glob>>,
    /// Patterns of files that are locked here beside those of the configuration that all hosts share.
    pub files: Vec<Glob>,
    /// Whether only what lies in the repository belongs here, as for a commit: absolute paths do not.
    pub repository_only: bool,
    /// Paths that no commit holds because git ignores them: they do not belong here either.
    pub ignored: BTreeSet<Vec<u8>>,
}

impl Scope {
    /// Whether the file `path` belongs here.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        !self.is_outside(path) && self.include.as_ref().is_none_or(|globs| any_match(globs, path))
    }

    /// Whether `path` is an absolute one, or one that git ignores, where only the repository counts.
    fn is_outside(&self, path: &[u8]) -> bool {
        self.repository_only && (path.starts_with(b"/") || self.ignored.contains(path))
    }

    /// The reason why something does not belong here.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        if self.repository_only && self.include.is_none() {
            "no commit holds it"
        } else {
            "not included on this target"
        }
    }

    /// Whether the module at `place` belongs here: it, or its manifest, is included.
    #[must_use]
    pub fn has_module(&self, place: &[u8]) -> bool {
        self.has(place) || MANIFESTS.iter().any(|name| self.has(&[place, b"/", name].concat()))
    }

    /// Whether anything that `pattern` matches might belong here.
    #[must_use]
    pub fn may_meet(&self, pattern: &Glob) -> bool {
        let may_meet = |globs: &Vec<Glob>| globs.iter().any(|glob| glob.may_meet(pattern));
        !self.is_outside(pattern.text().as_bytes()) && self.include.as_ref().is_none_or(may_meet)
    }
}

/// The names of the file that makes a directory an Odoo addon module. The first one that is there is the manifest: Odoo
/// 17 and older look for the second where the first is not there.
pub const MANIFESTS: [&[u8]; 2] = [b"__manifest__.py", b"__openerp__.py"];

/// The manifest of a module whose files, relative to it, `has` knows.
#[must_use]
pub fn manifest_among(has: impl Fn(&[u8]) -> bool) -> Option<&'static [u8]> {
    MANIFESTS.into_iter().find(|name| has(name))
}

/// The way in which subjects are found, besides the named ones.
#[derive(Debug, Clone)]
pub enum Select {
    /// Repository paths matching one of these.
    Patterns(Vec<Glob>),
    /// By the names that such things have, anywhere in the tree.
    Detect,
    /// Only the named ones.
    Named,
}

/// A question to a host.
#[derive(Debug, Clone)]
pub enum Query {
    /// Single files and the digests of their content.
    Files(FileQuery),
    /// Addon modules and the digests of all their files.
    Modules(ModuleQuery),
    /// Containers of a Docker engine.
    Containers(ContainerQuery),
    /// The state of the machine beside the project's files.
    System(SystemQuery),
}

impl Query {
    /// Asks for these repository paths alone, where it asks for files or modules.
    pub fn narrow_to(&mut self, paths: &BTreeSet<Vec<u8>>) {
        let (select, named) = match self {
            Self::Files(query) => (&mut query.select, &mut query.named),
            Self::Modules(query) => (&mut query.select, &mut query.named),
            Self::Containers(_) | Self::System(_) => return,
        };
        *select = Select::Named;
        *named = paths.iter().cloned().collect();
    }

    /// The question in one line.
    #[must_use]
    pub fn in_short(&self) -> String {
        let patterns = |globs: &[Glob]| globs.iter().map(Glob::text).collect::<Vec<_>>().join(", ");
        let select = |select: &Select| match select {
            Select::Patterns(globs) => patterns(globs),
            Select::Detect => "(detection)".to_owned(),
            Select::Named => String::new(),
        };
        let (what, matching, named) = match self {
            Self::Files(query) => ("files", select(&query.select), query.named.len()),
            Self::Modules(query) => ("modules in", select(&query.select), query.named.len()),
            Self::Containers(query) => ("containers", patterns(&query.patterns), query.named.len()),
            Self::System(query) => return query.in_short(),
        };
        format!("{what} {matching}; {named} named")
    }
}

/// Asks for single files.
#[derive(Debug, Clone)]
pub struct FileQuery {
    /// The way in which they are found; detection looks for compose files.
    pub select: Select,
    /// Found files matching one of these are left out.
    pub exclude: Vec<Glob>,
    /// Repository paths to look at in any case.
    pub named: Vec<Vec<u8>>,
    /// The paths that belong on this host.
    pub scope: Scope,
    /// Whether compose files beside those that the patterns match are told of.
    pub beside: bool,
}

/// Asks for addon modules.
#[derive(Debug, Clone)]
pub struct ModuleQuery {
    /// The way in which addon roots are found.
    pub select: Select,
    /// Paths relative to an addon root that are left out, on top of the defaults.
    pub exclude: Vec<Glob>,
    /// Repository paths of modules to look at in any case.
    pub named: Vec<Vec<u8>>,
    /// Known modules, by repository path: a tree that is found to be equal shares its memory.
    pub known: BTreeMap<Vec<u8>, Tree>,
    /// The paths that belong on this host.
    pub scope: Scope,
    /// Whether all bytecode under `__pycache__` counts, not only what Python would run unseen.
    pub all_bytecode: bool,
}

/// Asks for containers.
#[derive(Debug, Clone)]
pub struct ContainerQuery {
    /// Patterns over container names.
    pub patterns: Vec<Glob>,
    /// Names to look for in any case.
    pub named: BTreeSet<String>,
    /// The subjects that containers should have as they are on the host; `None`: nothing is looked at in containers.
    pub locked: Option<Vec<LockedSubject>>,
    /// Whether what they have mounted is looked at.
    pub mounts: bool,
    /// Paths relative to an addon root that are left out of modules, on top of the defaults.
    pub exclude: Vec<Glob>,
    /// The paths inside containers that are held against a part of the baseline.
    pub contents: Vec<ContentsQuery>,
    /// Whether the names of the variables of containers of Compose services are wanted.
    pub environments: bool,
    /// An image that is looked into in place of containers: no container need run it.
    pub image: Option<String>,
    /// Whether containers that are not named do not count in the end: their mounts are not looked at.
    pub ignores_unnamed: bool,
    /// The containers whose limits are asked for.
    pub limited: Limited,
    /// Whether all of the ports that running containers publish are wanted: a list alone may tell less.
    pub ports: bool,
    /// Whether each container is asked for its state: after it has ended, a list has it as running for a while.
    pub states: bool,
    /// The clock of this machine: seconds since 1970.
    pub clock: fn() -> i64,
}

impl ContainerQuery {
    /// Asks for no container, and so for the ports alone that the engine publishes.
    #[must_use]
    pub fn listing() -> Self {
        Self {
            patterns: Vec::new(),
            named: BTreeSet::new(),
            locked: None,
            mounts: false,
            exclude: Vec::new(),
            contents: Vec::new(),
            environments: false,
            image: None,
            limited: Limited::default(),
            ports: true,
            states: false,
            ignores_unnamed: true,
            clock: || 0,
        }
    }

    /// Whether it asks for no container.
    #[must_use]
    pub fn is_listing(&self) -> bool {
        self.patterns.is_empty() && self.named.is_empty() && self.image.is_none()
    }
}

/// How many containers are asked for their limits alone, one by one.
pub const MOST_LIMITED: usize = 1000;

/// The containers whose limits are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limited {
    /// Those of these names.
    Named(BTreeSet<String>),
    /// All of them, where there are not too many to be asked for one by one; else those of these names.
    Few(BTreeSet<String>),
    /// All of them.
    Every,
}

impl Default for Limited {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Limited {
    /// Whether the container of that name is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.contains(name),
            Self::Few(_) | Self::Every => true,
        }
    }
}

/// The limits that an engine holds a container to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerLimits {
    /// Processors, in billionths; 0 is no limit.
    pub nano_cpus: u64,
    /// Memory in bytes; 0 is no limit.
    pub memory: u64,
}

/// A path inside containers that should have a part of the baseline.
#[derive(Debug, Clone)]
pub struct ContentsQuery {
    /// The pattern over the containers' names.
    pub container: Glob,
    /// The absolute path in the container.
    pub path: String,
    /// The repository path of that part; of files that are locked by themselves see [`ContentsQuery::in_container`].
    pub is: Vec<u8>,
    /// Whether the files are locked by themselves, as they lie in each container.
    pub is_locked: bool,
    /// Whether modules lie there and not files; `None` is what the baseline has.
    pub is_addons: Option<bool>,
    /// The section of modules that the baseline does not know.
    pub addons: SectionId,
    /// The section of files that the baseline does not know.
    pub files: SectionId,
}

impl ContentsQuery {
    /// The query for the container of that name: files that are locked by themselves lie at `NAME:/PATH`.
    #[must_use]
    pub fn in_container(&self, name: &str) -> Self {
        let is = if self.is_locked { format!("{name}:{}", self.path).into_bytes() } else { self.is.clone() };
        Self { is, ..self.clone() }
    }

    /// Whether modules lie there, by what the baseline has of that part.
    #[must_use]
    pub fn has_modules(&self, its: &[&LockedSubject]) -> bool {
        self.is_addons.unwrap_or_else(|| its.iter().any(|subject| subject.entry.tree.is_some()))
    }
}

/// A file or module of the baseline.
#[derive(Debug, Clone)]
pub struct LockedSubject {
    /// The section that names it.
    pub section: SectionId,
    /// Its repository path.
    pub place: Vec<u8>,
    /// What the baseline has of it.
    pub entry: Entry,
}

impl LockedSubject {
    /// The files of a module, relative to it; none of a single file.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.entry.tree.iter().flat_map(|tree| tree.iter().map(|(path, _)| path))
    }
}

/// The answer to one query.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To [`Query::Files`].
    Files(FilesAnswer),
    /// To [`Query::Modules`].
    Modules(ModulesAnswer),
    /// To [`Query::Containers`].
    Containers(ContainersAnswer),
    /// To [`Query::System`]; none of it is known where the reason is told.
    System(Result<SystemFacts, Reason>),
    /// To [`SystemQuery::Ports`] that asks the engine, too.
    Ports(ListeningPorts),
}

/// The ports that a machine listens on.
#[derive(Debug, Clone)]
pub struct ListeningPorts {
    /// Those of its sockets, or why they are not known.
    pub sockets: Result<SystemFacts, Reason>,
    /// Those that its engine publishes, or why they are not known.
    pub published: Result<Published, Reason>,
}

/// The ports that an engine publishes, by the name of the container; one that publishes none is not named.
pub type Published = BTreeMap<String, Vec<PublishedPort>>;

impl Query {
    /// Whether it asks for the ports that the engine publishes.
    #[must_use]
    pub fn asks_for_published(&self) -> bool {
        matches!(self, Self::System(SystemQuery::Ports { asks_engine: true }))
    }
}

impl Answer {
    /// The answer to `query` with what its engine publishes, where that is asked for.
    fn with_published(self, query: &Query, published: Option<&Result<Published, Reason>>) -> Self {
        match (self, published) {
            (Self::System(sockets), Some(published)) if query.asks_for_published() => {
                Self::Ports(ListeningPorts { sockets, published: published.clone() })
            }
            (answer, _) => answer,
        }
    }
}

/// The answer to a query for containers.
#[derive(Debug, Clone)]
pub enum ContainersAnswer {
    /// The engine answered.
    Seen {
        /// Containers, sorted by name.
        containers: Vec<Container>,
        /// Subjects that were left out.
        left_out: Vec<LeftOut>,
        /// The ports that are published, also those of containers that were left out.
        published: Published,
    },
    /// There is no engine here, with where it was looked for.
    NoEngine(String),
    /// There is one, and it could not be asked, with the reason.
    Unreachable(String),
}

/// One container, with what a released state is made of and nothing else: neither values of its environment nor
/// command line nor other labels are ever kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its own name.
    pub name: String,
    /// The image's name as it was asked for: `traefik:v3.1`.
    pub image: String,
    /// The image that runs: `sha256:` and 64 hex digits.
    pub image_id: String,
    /// The image's digests in registries, sorted; empty for one built on the host.
    pub repo_digests: Vec<String>,
    /// `running`, `exited`, `paused`, …
    pub state: String,
    /// The Compose project.
    pub compose_project: Option<String>,
    /// The Compose service.
    pub compose_service: Option<String>,
    /// The hash that Compose computed of the service's configuration when it made the container.
    pub compose_config_hash: Option<String>,
    /// The repository paths of the compose files it was made from; `None` for one outside the layout.
    pub compose_files: Vec<Option<Vec<u8>>>,
    /// The repository path of the Compose project's directory, where it lies in the layout.
    pub compose_directory: Option<Vec<u8>>,
    /// The names of its variables, where they were asked for.
    pub environment: Option<EnvironmentNames>,
    /// Whether the image's name now means another image than the one that runs.
    pub tag_moved: bool,
    /// The names of its networks, sorted. `None` where the engine does not list them: Podman lists none of a container that
    /// does not run.
    pub networks: Option<Vec<String>>,
    /// Its mounts, sorted by destination; the source of a bind is a repository path where it has one. `None` where the
    /// engine does not list them.
    pub mounts: Option<Vec<Mount>>,
    /// Its published ports, sorted. `None` where it does not run, or the engine does not tell.
    pub ports: Option<Vec<PublishedPort>>,
    /// The outcome of looking at them.
    pub view: MountView,
    /// Its limits, where the engine told them.
    pub limits: Option<ContainerLimits>,
    /// Why what is told of it may not be so, where that is known.
    pub trouble: Option<String>,
    /// What lies at the paths that were asked for, with each path.
    pub contents: Vec<(String, ContentsState)>,
}

/// The file at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A regular file.
    File(Digest, Stat),
    /// Nothing is there.
    Gone,
    /// It could not be looked at, with the reason.
    Unreadable(Reason),
}

/// Files by repository path.
#[derive(Debug, Clone, Default)]
pub struct FilesAnswer {
    /// Found and named files.
    pub files: BTreeMap<Vec<u8>, Seen>,
    /// Patterns that matched nothing at all, though something of theirs may belong here.
    pub unmatched: Vec<Glob>,
    /// Subjects that were left out.
    pub left_out: Vec<LeftOut>,
    /// Compose files that detection would find and no pattern matches, though a pattern led to their directory, each with
    /// a pattern that would match it. They were not read.
    pub beside: BTreeMap<Vec<u8>, String>,
}

/// The module at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenModule {
    /// All its files and links.
    Whole(Tree),
    /// Something in it, or it as a whole, could not be looked at.
    Unreadable(Unreadable),
    /// Nothing is there.
    Gone,
}

/// Modules by repository path.
#[derive(Debug, Clone, Default)]
pub struct ModulesAnswer {
    /// Found and named modules.
    pub modules: BTreeMap<Vec<u8>, SeenModule>,
    /// Root patterns that matched no directory, or only directories without any module.
    pub unmatched: Vec<Glob>,
    /// Subjects that were left out.
    pub left_out: Vec<LeftOut>,
}
impl From<HostError> for crate::error::Failure {
    fn from(error: HostError) -> Self {
        let kind = match error {
            HostError::Interrupted => crate::error::FailureKind::Interrupted,
            HostError::Unreachable(_) => crate::error::FailureKind::Host,
        };
        Self::from_source(kind, error)
    }
}
