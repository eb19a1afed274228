//! A small copy of the project: which subjects are taken, and a directory that can be put back as it was.

use crate::section::ADDONS;
use crate::section::COMPOSE;
use crate::section::CONFIG;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::audit::pipeline;
use crate::audit::pipeline::Request;
use crate::audit::target::Aim;
use crate::baseline::{self, Source};
use crate::check::Evidence;
use crate::config::{Config, DockerConfig, DockerMode, Probes};
use crate::control::clock;
use crate::error::Failure;
use crate::host::docker::Engine;
use crate::host::{Layout, LocalHost, MANIFESTS, Scope, Watch, manifest_among};
use crate::model::{CheckResult, Entry, Leaf, Observed, SectionId, State, Tree, any_match};
use crate::project::{Project, read_locks};
use crate::section::{Purpose, Setting};

/// How many subjects of each section are copied.
const EACH: usize = 2;
/// The largest subject that is copied, in bytes.
const LARGEST: u64 = 1 << 20;
/// The most files that a module may have to be copied.
const FILES: usize = 100;

/// What lies at a path of the copy.
#[derive(Clone)]
pub(crate) enum Node {
    File(Vec<u8>),
    Link(PathBuf),
}

/// The copy: what it holds, and the directory that holds it.
pub(crate) struct Copy {
    dir: TempDir,
    nodes: BTreeMap<PathBuf, Node>,
    config: Config,
    engine: Engine,
    /// The places of the subjects that were copied, by section.
    pub(crate) subjects: BTreeMap<SectionId, Vec<Vec<u8>>>,
}

impl Copy {
    /// Copies the smallest subjects of `project`, and makes what was copied the copy's baseline.
    ///
    /// # Errors
    /// When the project could not be looked at, or not be copied.
    pub(crate) fn of(project: &Project, watch: &Watch) -> Result<Self, Failure> {
        let mut config = files_alone(&project.config);
        let engine = Engine::None("not asked".to_owned());
        let aim = Aim::local(project);
        let host = LocalHost::new(aim.layout, engine.clone());
        let seen = observed(&host, &config, &project.source(), Purpose::Export, watch)?;
        let mut copy = Self::empty(config.clone(), engine)?;
        for evidence in &seen {
            if let Observed::Seen(observation) = &evidence.observed {
                copy.take(project, evidence.section.id(), &observation.state)?;
            }
        }
        copy.narrow(&mut config);
        copy.config = config;
        copy.accept(watch)?;
        Ok(copy)
    }

    /// A project that somebody made up, with the baseline of its files, beside an engine; nothing of that is in the baseline.
    ///
    /// # Errors
    /// When it cannot be written or looked at.
    pub(crate) fn invented(
        config: Config,
        nodes: Vec<(PathBuf, Node)>,
        engine: Engine,
        watch: &Watch,
    ) -> Result<Self, Failure> {
        let mut copy = Self::empty(files_alone(&config), engine)?;
        copy.nodes.extend(nodes);
        copy.accept(watch)?;
        copy.config = config;
        Ok(copy)
    }

    /// A copy that holds nothing but the baseline of the containers that `engine` runs; `Err` says why there is none.
    pub(crate) fn of_containers(project: &Project, engine: Engine, watch: &Watch) -> Result<Self, Failure> {
        let docker = project.config.docker.clone().unwrap_or_default();
        if docker.mode == DockerMode::Off {
            return Err(Failure::new("the configuration turns them off"));
        }
        let mut config = without_files(files_alone(&project.config));
        // Those that are held against other files have no baseline here.
        let contents = docker.contents.iter().filter(|table| table.is_locked()).cloned().collect();
        config.docker = Some(DockerConfig { mode: DockerMode::Required, contents, ..docker });
        let mut copy = Self::empty(config, engine)?;
        copy.accept(watch)?;
        if copy.subjects.is_empty() { Err(Failure::new("no container is there")) } else { Ok(copy) }
    }

    /// A copy that holds nothing but the baseline of this machine's state beside files; `None` where the configuration
    /// names none of it.
    ///
    /// # Errors
    /// When it cannot be observed.
    pub(crate) fn of_system(project: &Project, watch: &Watch) -> Result<Option<Self>, Failure> {
        let Config { packages, services, ports, probes, .. } = project.config.clone();
        let config = without_files(files_alone(&project.config));
        let config = Config { packages, services, ports, probes, ..config };
        let mut copy = Self::empty(config, Engine::None("not asked".to_owned()))?;
        copy.accept(watch)?;
        Ok(Some(copy).filter(|copy| !copy.subjects.is_empty()))
    }

    fn empty(config: Config, engine: Engine) -> Result<Self, Failure> {
        let mode = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("driftlock-selftest-").permissions(mode).tempdir();
        let dir = dir.map_err(|error| Failure::at(&std::env::temp_dir(), &error))?;
        Ok(Self { dir, nodes: BTreeMap::new(), config, engine, subjects: BTreeMap::new() })
    }

    /// Where the copy lies.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The files and links at or below a path, from the copy's root.
    pub(crate) fn below<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Node)> {
        self.nodes
            .iter()
            .filter(move |(path, _)| path.starts_with(place))
            .map(|(path, node)| (path.as_path(), node))
    }

    /// The bytes of a file of the copy.
    pub(crate) fn bytes(&self, path: &Path) -> &[u8] {
        if let Some(Node::File(bytes)) = self.nodes.get(path) { bytes } else { &[] }
    }

    fn take(&mut self, project: &Project, section: SectionId, state: &State) -> Result<(), Failure> {
        let mut all: Vec<(&Vec<u8>, &Entry)> =
            state.entries.iter().filter(|(place, entry)| fits(place, entry)).collect();
        all.sort_by_key(|(_, entry)| (!is_telling(entry), size(entry)));
        for (place, entry) in all.into_iter().take(EACH) {
            let below = entry.tree.as_ref().map_or_else(
                || vec![Vec::new()],
                |tree| tree.iter().map(|(path, _)| path.to_vec()).collect(),
            );
            for path in below {
                let path = path_of(place).join(OsStr::from_bytes(&path));
                let path: PathBuf = path.components().collect();
                let node = read(&project.root.join(&path), entry.tree.is_some());
                self.nodes.insert(
                    path.clone(),
                    node.map_err(|error| Failure::at(&project.named(&project.root.join(&path)), &error))?,
                );
            }
            self.subjects.entry(section).or_default().push(place.clone());
        }
        self.add_link(section);
        Ok(())
    }

    /// The manifest of the module at `place`, from there.
    pub(crate) fn manifest_of(&self, place: &[u8]) -> Option<&'static [u8]> {
        manifest_among(|name| self.nodes.contains_key(&path_of(place).join(path_of(name))))
    }

    /// Gives the first module a link where no module has one: what becomes of links shall be tried, too.
    fn add_link(&mut self, section: SectionId) {
        let Some(place) = self.subjects.get(&section).and_then(|places| places.first()) else { return };
        let Some(manifest) = self.manifest_of(place) else { return };
        if !self.nodes.values().any(|node| matches!(node, Node::Link(_))) {
            let link = Node::Link(path_of(manifest));
            self.nodes.insert(path_of(place).join("driftlock_selftest_link"), link);
        }
    }

    /// Keeps of the patterns those that match something here, for a pattern that matches nothing is an error.
    fn narrow(&self, config: &mut Config) {
        let places = |section| self.subjects.get(&section).cloned().unwrap_or_default();
        let (compose, modules, files) = (places(COMPOSE), places(ADDONS), places(CONFIG));
        let roots: Vec<Vec<u8>> = modules.iter().map(|place| above(place)).collect();
        for (patterns, places) in [
            (&mut config.compose_files, compose),
            (&mut config.addon_roots, roots),
            (&mut config.files_include, files),
        ] {
            if let Some(globs) = patterns {
                globs.retain(|glob| places.iter().any(|place| glob.matches(place)));
            }
        }
    }

    /// Makes what the copy holds its baseline.
    fn accept(&mut self, watch: &Watch) -> Result<(), Failure> {
        self.put_back()?;
        let host = LocalHost::new(Layout::of_root(&self.root()), self.engine.clone());
        for evidence in observed(&host, &self.config, &self.source(), Purpose::Export, watch)? {
            match &evidence.observed {
                Observed::Seen(seen) if seen.state.entries.is_empty() => {}
                Observed::Seen(seen) => {
                    let places = seen.state.entries.keys().cloned().collect();
                    self.subjects.insert(evidence.section.id(), places);
                    let printed = evidence.section.print(&seen.state);
                    for (name, bytes) in evidence.section.lock_files().iter().zip(printed) {
                        self.nodes.insert(Path::new(baseline::PATH).join(name), Node::File(bytes));
                    }
                }
                Observed::Failed(why) | Observed::Skipped(why) => return Err(Failure::new(why.clone())),
                Observed::Off(_) => {}
            }
        }
        self.put_back()
    }

    /// Writes a lock file beside those of the baseline.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn lock(&mut self, section: SectionId, bytes: &[u8]) -> Result<(), Failure> {
        for name in crate::section::find(section).iter().flat_map(|section| section.lock_files()) {
            let path = Path::new(baseline::PATH).join(name);
            let node = Node::File(bytes.to_owned());
            write(&self.root().join(&path), &node).map_err(|error| Failure::at(&path, &error))?;
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    fn source(&self) -> Source {
        Source::Directory { path: self.root().join(baseline::PATH), name: baseline::PATH.to_owned() }
    }

    /// Makes the directory what it was.
    pub(crate) fn put_back(&self) -> Result<(), Failure> {
        let root = self.root();
        let written = clear(&root).and_then(|()| {
            std::fs::create_dir_all(root.join(baseline::PATH))?;
            self.nodes.iter().try_for_each(|(path, node)| write(&root.join(path), node))
        });
        written.map_err(|error| Failure::at(&root, &error))
    }

    /// Checks the copy as `driftlock check` checks a project.
    ///
    /// # Errors
    /// When `watch` was cancelled.
    pub(crate) fn check(&self, watch: &Watch) -> Result<Vec<CheckResult>, Failure> {
        let host = LocalHost::new(Layout::of_root(&self.root()), self.engine.clone());
        let locks = read_locks(&self.source(), None)?;
        let scope = Scope::default();
        let request = Request::of(setting(&self.config, &scope, Purpose::Check), &locks);
        let look = pipeline::observe(&request, pipeline::plan(&request), &host, watch)?;
        Ok(pipeline::compare(&request, &look))
    }
}

fn setting<'a>(config: &'a Config, scope: &'a Scope, purpose: Purpose) -> Setting<'a> {
    let docker = config.docker.as_ref().map_or(DockerMode::Off, |docker| docker.mode);
    Setting {
        config,
        server: None,
        scope,
        nowhere: false,
        purpose,
        docker,
        docker_asked: docker == DockerMode::Required,
        compared_before: false,
        image: None,
        everything: purpose == Purpose::Export,
        has_facts: false,
        asks_desired: false,
        no_machine: false,
        clock: clock::unix,
    }
}

fn observed(
    host: &LocalHost,
    config: &Config,
    source: &Source,
    purpose: Purpose,
    watch: &Watch,
) -> Result<Vec<Evidence>, Failure> {
    let locks = read_locks(source, None)?;
    let scope = Scope::default();
    let request = Request::of(setting(config, &scope, purpose), &locks);
    Ok(pipeline::observe(&request, pipeline::plan(&request), host, watch)?.evidence)
}

/// The same without containers and without the machine's state beside files.
fn files_alone(config: &Config) -> Config {
    let docker = Some(DockerConfig { mode: DockerMode::Off, ..DockerConfig::default() });
    let (packages, services, ports, probes) = (None, None, None, Probes::default());
    Config { docker, packages, services, ports, probes, ..config.clone() }
}

/// The same without files.
fn without_files(mut config: Config) -> Config {
    (config.compose_files, config.addon_roots, config.files_include, config.env) =
        (Some(Vec::new()), Some(Vec::new()), Some(Vec::new()), Vec::new());
    config
}

/// Whether a subject is small enough, and lies in the project.
fn fits(place: &[u8], entry: &Entry) -> bool {
    let is_few = entry.tree.as_ref().is_none_or(|tree| tree.len() <= FILES);
    !place.starts_with(b"/") && is_few && size(entry) <= LARGEST
}

fn size(entry: &Entry) -> u64 {
    let of_tree = |tree: &Tree| (0..tree.len()).filter_map(|at| tree.stat(at)).map(|stat| stat.size).sum();
    entry.tree.as_ref().map_or_else(|| entry.stat.map_or(0, |stat| stat.size), of_tree)
}

/// Whether a module holds code beside its manifest: then more can be tried.
fn is_telling(entry: &Entry) -> bool {
    let is_code = |(path, leaf): (&[u8], Leaf)| {
        matches!(leaf, Leaf::File(_)) && path.ends_with(b".py") && !MANIFESTS.contains(&path)
    };
    entry.tree.as_ref().is_none_or(|tree| tree.iter().any(is_code))
}

fn read(path: &Path, links: bool) -> std::io::Result<Node> {
    if links && path.symlink_metadata()?.is_symlink() {
        return std::fs::read_link(path).map(Node::Link);
    }
    std::fs::read(path).map(Node::File)
}

fn write(path: &Path, node: &Node) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    match node {
        Node::File(bytes) => std::fs::write(path, bytes),
        Node::Link(target) => symlink(target, path),
    }
}

/// Removes a directory with all in it, whatever rights there are in it.
fn clear(dir: &Path) -> std::io::Result<()> {
    if dir.symlink_metadata().is_err() {
        return Ok(());
    }
    open_up(dir)?;
    std::fs::remove_dir_all(dir)
}

fn open_up(dir: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o700))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = clear(&self.root());
    }
}

/// The path of a place.
pub(crate) fn path_of(place: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(place))
}

/// The directory that a place lies in.
fn above(place: &[u8]) -> Vec<u8> {
    place.iter().rposition(|&b| b == b'/').map_or_else(Vec::new, |cut| place[..cut].to_vec())
}

/// Whether the configuration leaves a path of a module out.
pub(crate) fn is_excluded(config: &Config, module: &[u8], path: &str) -> bool {
    let name = module.rsplit(|&b| b == b'/').next().unwrap_or(module);
    let whole = [name, b"/", path.as_bytes()].concat();
    let mut above = whole.as_slice();
    loop {
        if any_match(&config.addon_exclude, above)
            || config.addon_exclude.iter().any(|glob| glob.covers(above))
        {
            return true;
        }
        match above.iter().rposition(|&b| b == b'/') {
            Some(cut) => above = &above[..cut],
            None => return false,
        }
    }
}
