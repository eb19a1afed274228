//! What a command looks at: this machine, or targets of the configuration.

use crate::check;
use crate::check::read_section;
use crate::model::Status;
use crate::model::SubjectKind;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::atomic::read_file;
use crate::audit::pipeline;
use crate::audit::pipeline::{Look, Planned, Request};
use crate::check::CHECKS;
use crate::config::{DockerMode, Target, TargetDocker, Terraform};
use crate::control::Environment;
use crate::control::clock;
use crate::control::clock::Started;
use crate::error::Failure;
use crate::git::{GitError, Revision};
use crate::host::docker::discover;
use crate::host::ssh::route;
use crate::host::ssh::{Access, EngineAccess, Limits, NewKeys, Prompt, SshHost};
use crate::host::{
    Answer, Content, FactSource, FactsHost, GitHost, Host, HostError, Layout, LocalHost, Query, Scope,
    StatCache, Visitor, Watch,
};
use crate::model::printable_path;
use crate::model::{BaselineOrigin, CheckResult, Digest, Mode, Report, quoted, quoted_name};
use crate::project::Project;
use crate::report::json::{self};
use crate::section::{self, BEYOND_REPOSITORY, Purpose, Setting};
use crate::store::runs;

/// How servers are reached.
pub(crate) struct Reach {
    /// How long connecting and logging in may take together.
    pub(crate) timeout: Duration,
    /// Whether the key of a server that no file names is believed and recorded.
    pub(crate) accept_new_host_key: bool,
    /// Whether somebody is there to be asked.
    pub(crate) can_ask: bool,
    /// Asks whoever is there.
    pub(crate) prompt: Arc<dyn Prompt>,
}

/// Which machine is looked at.
pub(crate) enum Place {
    /// This one.
    Here,
    /// A server over SSH.
    Remote(Remote),
    /// None: the files of a commit.
    Commit(Revision),
    /// None: infrastructure that Terraform code describes.
    Infrastructure,
}

/// A server over SSH, and what was said of reaching it: by a target, or beside `--server`.
pub(crate) struct Remote {
    /// The server, as it was asked for.
    pub(crate) wanted: route::Wanted,
    /// How long connecting and logging in may take together.
    pub(crate) timeout: Duration,
    /// Whether files are read through `sudo -n`.
    pub(crate) sudo: bool,
    /// How its engine is reached, if that is written.
    pub(crate) docker: Option<TargetDocker>,
    /// How much of it is believed.
    pub(crate) limits: Limits,
    /// Asks whoever is there on the way.
    pub(crate) prompt: Arc<dyn Prompt>,
}

/// One place to look at.
pub(crate) struct Aim {
    /// The target's name; `None` is the project's own tree.
    pub(crate) target: Option<String>,
    /// The machine.
    pub(crate) place: Place,
    /// Where repository paths lie there.
    pub(crate) layout: Layout,
    /// What belongs there.
    pub(crate) scope: Scope,
    /// When its containers are compared.
    pub(crate) docker: DockerMode,
    /// Whether somebody asked for that, so that their lock file must be there.
    pub(crate) docker_asked: bool,
    /// The Terraform code that describes its infrastructure.
    pub(crate) terraform: Option<Terraform>,
    /// A plan that was made elsewhere, to be judged in place of one that is made now; `-` is the standard input.
    pub(crate) plan_file: Option<PathBuf>,
    /// An image that is looked into in place of containers.
    pub(crate) image: Option<String>,
    /// The environment, for the ways to servers and engines.
    pub(crate) environment: Environment,
    /// The fact cache of Ansible that is read in place of asking it.
    pub(crate) facts: Option<FactSource>,
    /// Who hears of every place of this machine before it is looked at.
    pub(crate) visitor: Option<Arc<dyn Visitor>>,
    /// The host, where one connection to it stays open for every look.
    pub(crate) standing: Option<Arc<dyn Host>>,
}

impl Aim {
    /// The host to ask, on one connection however often; where there is no way to it, it says why whenever it is asked. Files of
    /// this machine that are remembered are not read again.
    pub(crate) fn open(&self, remembered: Option<Arc<StatCache>>) -> Arc<dyn Host> {
        if let Some(host) = &self.standing {
            return Arc::clone(host);
        }
        self.reading_facts(self.host(remembered).unwrap_or_else(|why| Arc::new(Closed(why))))
    }

    /// The host, with the fact cache in place of what it would be asked for.
    fn reading_facts(&self, host: Arc<dyn Host>) -> Arc<dyn Host> {
        match &self.facts {
            Some(source) => Arc::new(FactsHost { host, source: source.clone() }),
            None => host,
        }
    }

    /// The same host for every look from now on. One connection to a server stays open.
    pub(crate) fn stay(&mut self) {
        self.standing = Some(match &self.place {
            Place::Remote(remote) => self.reading_facts(match self.server_host(remote) {
                Ok(host) => Arc::new(host.staying()),
                Err(why) => Arc::new(Closed(why)),
            }),
            _ => self.open(None),
        });
    }

    fn server_host(&self, remote: &Remote) -> Result<SshHost, HostError> {
        let route = route::route(&remote.wanted, &self.environment);
        let route = route.map_err(|why| HostError::Unreachable(why.in_one_line()))?;
        Ok(SshHost::new(route, self.layout.clone(), remote.access(), Arc::clone(&remote.prompt)))
    }

    fn host(&self, remembered: Option<Arc<StatCache>>) -> Result<Arc<dyn Host>, HostError> {
        match &self.place {
            Place::Here => {
                let host = LocalHost::new(self.layout.clone(), discover::find(&self.environment));
                Ok(Arc::new(host.remembering(remembered).visited_by(self.visitor.clone())))
            }
            Place::Commit(revision) => Ok(Arc::new(GitHost::new(revision.clone()))),
            Place::Infrastructure => Ok(Arc::new(NoMachine)),
            Place::Remote(remote) => Ok(Arc::new(self.server_host(remote)?)),
        }
    }

    /// Looks at it: what was planned of `request` is asked, all at once.
    ///
    /// # Errors
    /// When `watch` was cancelled. A host that could not be looked at is no error but evidence.
    pub(crate) fn observe(
        &self,
        request: &Request<'_>,
        planned: Vec<Planned>,
        watch: &Watch,
    ) -> Result<Look, HostError> {
        pipeline::observe(request, planned, &*self.open(None), watch)
    }

    /// A host that is not to be asked, and why.
    pub(crate) fn leave(why: &str) -> Arc<dyn Host> {
        Arc::new(Closed(HostError::Unreachable(format!("it was not asked: {why}"))))
    }

    /// How it is called: the target, or this machine.
    pub(crate) fn name(&self) -> String {
        self.target.clone().unwrap_or_else(|| Mode::Local.word().to_owned())
    }

    /// The server's address as it was called, where the machine is a server.
    pub(crate) fn server(&self) -> Option<&str> {
        if let Place::Remote(remote) = &self.place { Some(&remote.wanted.host) } else { None }
    }

    /// Whether there is a machine or a commit whose files and containers can be compared.
    pub(crate) fn has_sections(&self) -> bool {
        !matches!(self.place, Place::Infrastructure)
    }

    /// Whether there is a machine that runs something.
    pub(crate) fn is_machine(&self) -> bool {
        matches!(self.place, Place::Here | Place::Remote(_))
    }

    /// The commit whose files are looked at, where it is one.
    pub(crate) fn revision(&self) -> Option<&Revision> {
        if let Place::Commit(revision) = &self.place { Some(revision) } else { None }
    }

    /// Whether it is the project's own tree on this disk.
    pub(crate) fn is_own_tree(&self) -> bool {
        self.target.is_none() && self.is_this_machine()
    }

    /// Whether it lies on this machine's disks: the project's own tree, or a target.
    pub(crate) fn is_this_machine(&self) -> bool {
        matches!(self.place, Place::Here)
    }

    /// The command line by which a shell reaches the server; none for this machine.
    pub(crate) fn ssh_command(&self) -> Option<String> {
        let Place::Remote(remote) = &self.place else { return None };
        let wanted = &remote.wanted;
        let port = wanted.port.iter().map(|port| format!(" -p {port}"));
        let key = wanted.key.iter().map(|key| format!(" -i {}", quoted_name(key.as_os_str().as_bytes())));
        let user = wanted.user.iter().map(|user| format!("{user}@")).collect::<String>();
        let options: String = port.chain(key).collect();
        Some(format!("ssh{options} {}", quoted(&format!("{user}{}", wanted.host))))
    }

    /// How the engine's client is called there.
    pub(crate) fn docker_command(&self) -> &'static str {
        match &self.place {
            Place::Remote(Remote { docker: Some(TargetDocker::Sudo), .. }) => "sudo docker",
            _ => "docker",
        }
    }

    /// What a report says was looked at.
    pub(crate) fn mode(&self) -> Mode {
        if self.server().is_some() { Mode::Server } else { Mode::Local }
    }

    /// The machine's name in reports.
    pub(crate) fn machine(&self) -> String {
        self.server().map_or_else(host_name, str::to_owned)
    }

    /// The report of looking at it, with nothing left out.
    pub(crate) fn report(
        &self,
        project: &Project,
        started: &Started,
        checks: Vec<CheckResult>,
        from: &str,
        digest: Digest,
    ) -> Report {
        Report {
            run: runs::name(&started.stamp, self.target.as_deref(), 1),
            stamp: started.stamp.clone(),
            host: self.machine(),
            target: self.target.clone(),
            mode: self.mode(),
            compared: self.revision().map(|revision| format!("git:{}", revision.name)),
            project: printable_path(&project.root),
            root_in_repository: project.root_in_repository(),
            started_at: started.rfc3339.clone(),
            started_at_unix: started.unix,
            duration_ms: started.elapsed_ms(),
            ..Report::of(checks, BaselineOrigin { from: from.to_owned(), digest, commit: None, dirty: None })
        }
    }

    /// The report of a place that was not even looked at.
    pub(crate) fn report_of_failure(&self, project: &Project, failure: &Failure, from: &str) -> Report {
        let first = CHECKS.iter().take(1).map(|check| CheckResult {
            errors: vec![failure.in_one_line()],
            compares: false,
            ..CheckResult::new(check.meta())
        });
        self.report(project, &Started::now(), first.collect(), from, Digest::of(b""))
    }

    /// What is known of it and wanted from it.
    pub(crate) fn setting<'a>(&'a self, project: &'a Project, purpose: Purpose) -> Setting<'a> {
        Setting {
            config: &project.config,
            server: self.server(),
            scope: &self.scope,
            nowhere: self.layout.is_nowhere(),
            purpose,
            docker: self.docker,
            docker_asked: self.docker_asked,
            compared_before: self.compared_before(project),
            image: self.image.as_deref(),
            everything: purpose == Purpose::Export,
            has_facts: self.facts.is_some(),
            asks_desired: self.asks_desired(project),
            no_machine: !self.has_sections(),
            clock: clock::unix,
        }
    }

    /// Whether a CMDB says what should be of it.
    pub(crate) fn asks_desired(&self, project: &Project) -> bool {
        let name = self.name();
        self.is_machine() && project.config.desired.all.values().any(|source| source.is_of(&name))
    }

    /// Whether the last whole run here compared containers: then they are expected to be here. A run that could not ask the
    /// engine has not compared, and does not end that either: the ones before it tell. When a report cannot be read, they
    /// are expected, too.
    fn compared_before(&self, project: &Project) -> bool {
        if self.target.is_some() || self.docker != DockerMode::Auto {
            return false;
        }
        match containers_in(&runs::latest(&project.store_root, None)) {
            Containers::Compared => true,
            Containers::Skipped => false,
            Containers::NotAsked => {
                let Ok(listed) = runs::listed(&project.store_root) else { return true };
                let local = listed.runs.iter().filter(|run| run.target.is_none());
                let told = local.map(|run| containers_in(&run.path.join(json::FILE)));
                told.take_while(|it| *it != Containers::Skipped).any(|it| it == Containers::Compared)
            }
        }
    }

    /// The directory that `--output DIR` means for this place, one of `several` or the only one.
    pub(crate) fn output_dir(&self, dir: &Path, several: bool) -> PathBuf {
        self.target.iter().filter(|_| several).fold(dir.to_owned(), |dir, target| dir.join(target))
    }

    /// The same place, with another word about containers.
    pub(crate) fn with_docker(mut self, docker: Option<DockerMode>) -> Self {
        self.docker = docker.unwrap_or(self.docker);
        self.docker_asked |= docker == Some(DockerMode::Required);
        self
    }

    /// The project's own tree.
    pub(crate) fn local(project: &Project) -> Self {
        Self {
            target: None,
            place: Place::Here,
            layout: Layout::of_root(&project.root),
            scope: Scope::default(),
            docker: project.config.docker.as_ref().map(|docker| docker.mode).unwrap_or_default(),
            docker_asked: project.config.docker.is_some(),
            terraform: None,
            plan_file: None,
            image: None,
            facts: None,
            visitor: None,
            standing: None,
            environment: project.control.environment.clone(),
        }
    }

    /// The files of a commit, which has neither containers nor anything outside the repository; for a target also those
    /// that it alone has locked.
    ///
    /// # Errors
    /// When git cannot tell what belongs in it.
    pub(crate) fn commit(
        project: &Project,
        revision: Revision,
        target: Option<&str>,
    ) -> Result<Self, GitError> {
        let files = target.and_then(|name| project.config.targets.get(name)).map(|it| it.files.clone());
        let ignored = ignored(project, &revision, target)?;
        Ok(Self {
            scope: Scope { repository_only: true, ignored, files: files.unwrap_or_default(), include: None },
            place: Place::Commit(revision),
            docker: DockerMode::Off,
            docker_asked: false,
            terraform: None,
            plan_file: None,
            image: None,
            facts: None,
            visitor: None,
            standing: None,
            ..Self::local(project)
        })
    }

    /// The infrastructure of a target alone.
    pub(crate) fn infrastructure(project: &Project, name: &str) -> Result<Self, Failure> {
        let target = project.target(name)?;
        Ok(Self {
            target: Some(name.to_owned()),
            place: Place::Infrastructure,
            layout: Layout::new(None, Vec::new()),
            docker: DockerMode::Off,
            docker_asked: false,
            terraform: target.terraform.clone(),
            ..Self::local(project)
        })
    }

    /// A target by its name.
    pub(crate) fn target(project: &Project, name: &str, reach: &Reach) -> Result<Self, Failure> {
        let target = project.target(name)?;
        let place = match target.host.as_deref() {
            Some("local") => Place::Here,
            Some(host) => Place::Remote(reach.of_target(project, target, host)),
            None => Place::Infrastructure,
        };
        let is_remote = matches!(place, Place::Remote(_));
        Ok(Self {
            target: Some(name.to_owned()),
            place,
            layout: layout_of(project, target),
            scope: scope_of(target),
            docker: match target.docker {
                Some(TargetDocker::Off) => DockerMode::Off,
                _ => DockerMode::Required,
            },
            terraform: target.terraform.clone(),
            plan_file: None,
            image: None,
            facts: fact_source(project, name, target),
            visitor: None,
            standing: None,
            docker_asked: is_remote || project.config.docker.is_some() || target.docker.is_some(),
            environment: project.control.environment.clone(),
        })
    }

    /// A server that is no target: nobody says where the tree lies on it.
    pub(crate) fn server_at(project: &Project, host: &str, remote: Remote) -> Result<Self, Failure> {
        // Before it becomes the name of a directory.
        route::check_name(host).map_err(|failure| failure.before("--server: "))?;
        let name = file_name(host);
        let is_taken = matches!(host, "local" | "baseline");
        if name.is_empty() || name.starts_with(['.', '-']) || is_taken {
            let host = printable_path(host.as_ref());
            return Err(Failure::new(format!("--server {host}: that is no address of a server")));
        }
        Ok(Self {
            target: Some(name),
            place: Place::Remote(remote),
            layout: Layout::new(None, Vec::new()),
            scope: Scope::default(),
            docker: DockerMode::Required,
            docker_asked: true,
            terraform: None,
            plan_file: None,
            image: None,
            facts: None,
            visitor: None,
            standing: None,
            environment: project.control.environment.clone(),
        })
    }
}

/// What a whole run made of containers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Containers {
    /// They were compared, or that cannot be told.
    Compared,
    /// They were to be compared, and the engine could not be asked; or it was no whole run.
    NotAsked,
    /// They were not to be compared.
    Skipped,
}

/// What the report in a file tells of containers.
fn containers_in(report: &Path) -> Containers {
    let bytes = match read_file(report) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Containers::NotAsked,
        Err(_) => return Containers::Compared,
    };
    let Ok(report) = json::read(&bytes, &check::meta) else { return Containers::Compared };
    if report.partial || report.target.is_some() {
        return Containers::NotAsked;
    }
    let is_of_containers = |check: &&CheckResult| {
        let source = check::meta(check.id).and_then(|meta| meta.source);
        source.and_then(section::kind_of) == Some(SubjectKind::Container) && check.status() != Status::Skip
    };
    let mut told = report.checks.iter().filter(is_of_containers).peekable();
    if told.peek().is_none() {
        return Containers::Skipped;
    }
    let is_asked = |check: &CheckResult| check.subjects > 0 || check.errors.is_empty();
    if told.any(is_asked) { Containers::Compared } else { Containers::NotAsked }
}

/// A host that there is no way to, and why.
struct Closed(HostError);

impl Host for Closed {
    fn observe(&self, _queries: &[Query], _watch: &Watch) -> Result<Vec<Answer>, HostError> {
        Err(self.0.clone())
    }

    fn content(&self, _path: &[u8], _limit: u64, _watch: &Watch) -> Result<Content, HostError> {
        Err(self.0.clone())
    }
}

/// A host where there is no machine: nothing is asked of it.
struct NoMachine;

impl Host for NoMachine {
    fn observe(&self, _queries: &[Query], _watch: &Watch) -> Result<Vec<Answer>, HostError> {
        Ok(Vec::new())
    }

    fn content(&self, _path: &[u8], _limit: u64, _watch: &Watch) -> Result<Content, HostError> {
        Ok(Content::Gone)
    }
}

/// The address of a server as a file name can hold it.
pub(crate) fn file_name(host: &str) -> String {
    host.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Those of the baseline's other files that a commit does not hold because git ignores them.
///
/// # Errors
/// When git cannot tell what the commit holds, or what it ignores.
fn ignored(
    project: &Project,
    revision: &Revision,
    target: Option<&str>,
) -> Result<BTreeSet<Vec<u8>>, GitError> {
    let repository = revision.repository();
    let locked = || {
        let section = section::find(BEYOND_REPOSITORY)?;
        let locks = project.locks(&project.source(), target).ok()?;
        read_section(section, &locks.group(section.lock_files())).ok()
    };
    let mut paths = locked().map(|state| state.entries.into_keys().collect::<Vec<_>>()).unwrap_or_default();
    paths.retain(|path| !path.starts_with(b"/"));
    let name = |path: &Vec<u8>| [revision.commit.as_bytes(), b":", &repository.path(path)].concat();
    let names: Vec<Vec<u8>> = paths.iter().map(name).collect();
    let held = repository.objects(&names)?;
    let paths: Vec<Vec<u8>> =
        paths.into_iter().zip(held).filter(|it| it.1.is_none()).map(|it| it.0).collect();
    if paths.is_empty() {
        return Ok(BTreeSet::new());
    }
    let from_top: Vec<Vec<u8>> = paths.iter().map(|path| repository.path(path)).collect();
    let index = repository.index()?;
    let unlisted: Vec<&[u8]> = from_top.iter().map(Vec::as_slice).filter(|path| !index.lists(path)).collect();
    let ignored = index.ignored(&unlisted)?;
    let pairs = paths.into_iter().zip(from_top).filter(|(_, path)| ignored.contains(path));
    Ok(pairs.map(|(path, _)| path).collect())
}

/// The fact cache that tells of a target.
fn fact_source(project: &Project, name: &str, target: &Target) -> Option<FactSource> {
    let host = target.host.as_deref().map(|host| host.rsplit('@').next().unwrap_or(host));
    Some(FactSource {
        pattern: project.configured_path(target.facts.as_ref()?),
        names: [Some(name), host].into_iter().flatten().map(str::to_owned).collect(),
        max_age: target.facts_max_age,
        host_keys: target.host_keys.clone(),
        clock: clock::unix,
    })
}

/// What belongs on a target. What its own `files` name outside the repository does in any case: `include` tells of
/// repository paths.
pub(crate) fn scope_of(target: &Target) -> Scope {
    let outside = target.files.iter().filter(|glob| glob.text().starts_with('/'));
    let include = target.include.as_ref().map(|all| all.iter().chain(outside).cloned().collect());
    Scope { include, files: target.files.clone(), ..Scope::default() }
}

/// Where the tree lies on a target. A server's paths are its own: they are taken as they are.
fn layout_of(project: &Project, target: &Target) -> Layout {
    let is_here = target.host.as_deref() == Some("local");
    let place = |path: &PathBuf| if is_here { project.configured_path(path) } else { path.clone() };
    let exceptions = target.paths.iter().map(|(prefix, path)| (prefix.clone(), place(path)));
    Layout::new(target.root.as_ref().map(place), exceptions.collect())
}

impl Remote {
    /// How it is used once it is reached.
    fn access(&self) -> Access {
        Access {
            timeout: self.timeout,
            sudo: self.sudo,
            engine: match self.docker {
                Some(TargetDocker::Sudo) => EngineAccess::Sudo,
                Some(TargetDocker::Cli) => EngineAccess::Cli,
                Some(TargetDocker::Auto | TargetDocker::Off) | None => EngineAccess::Auto,
            },
            limits: self.limits.clone(),
        }
    }
}

impl Reach {
    /// A server that is reached as the command line says.
    pub(crate) fn remote(&self, wanted: route::Wanted) -> Remote {
        let new_keys = if self.accept_new_host_key {
            NewKeys::Record
        } else if self.can_ask {
            NewKeys::Ask
        } else {
            NewKeys::Refuse
        };
        Remote {
            wanted: route::Wanted { new_keys, ..wanted },
            timeout: self.timeout,
            prompt: Arc::clone(&self.prompt),
            sudo: false,
            docker: None,
            limits: Limits::default(),
        }
    }

    /// The server that a target is.
    fn of_target(&self, project: &Project, target: &Target, host: &str) -> Remote {
        let place = |path: &String| project.configured_path(Path::new(path));
        let wanted = route::Wanted {
            host: host.to_owned(),
            port: target.port,
            user: target.user.clone(),
            key: target.ssh_key.as_ref().map(place),
            known_hosts: target.known_hosts.as_ref().map(place),
            fingerprints: target.host_keys.clone(),
            new_keys: NewKeys::Refuse,
        };
        let time = target.time_limit.unwrap_or(Limits::default().time);
        let limits = Limits { time, files: target.max_files };
        Remote { sudo: target.sudo, docker: target.docker, limits, ..self.remote(wanted) }
    }
}
