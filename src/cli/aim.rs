//! What a command looks at: this machine, or targets of the configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::project::Project;
use super::{Failure, engine, output};
use crate::atomic::read_file;
use crate::config::{DockerMode, Target, TargetDocker};
use crate::host::{Layout, LocalHost, Scope};
use crate::report::json::{self, WireCheck, WireStatus};
use crate::run;
use crate::section::{Purpose, Setting};

/// Options that say where to look.
#[derive(Args)]
#[command(next_help_heading = "Where to look")]
pub(super) struct AimArgs {
    /// This machine, the project's own tree (the default)
    #[arg(long, conflicts_with_all = ["target", "all", "server"])]
    local: bool,
    /// A target of audit/driftlock.toml; repeatable
    #[arg(long, alias = "env", value_name = "NAME", conflicts_with_all = ["all", "server"])]
    target: Vec<String>,
    /// Every target of audit/driftlock.toml
    #[arg(long, conflicts_with = "server")]
    all: bool,
    /// A server over SSH (not part of this version)
    #[arg(long, value_name = "HOST")]
    server: Option<String>,
    /// The private key for --server
    #[arg(long, value_name = "FILE", requires = "server")]
    ssh_key: Option<PathBuf>,
    /// The user for --server
    #[arg(long, value_name = "USER", requires = "server")]
    ssh_user: Option<String>,
    /// The port for --server
    #[arg(long, value_name = "PORT", requires = "server")]
    ssh_port: Option<u16>,
    /// Known host keys for --server
    #[arg(long, value_name = "FILE", requires = "server")]
    known_hosts: Option<PathBuf>,
}

/// One place to look at.
pub(super) struct Aim {
    /// The target's name; `None` is the project's own tree.
    pub(super) target: Option<String>,
    /// Where repository paths lie there.
    pub(super) layout: Layout,
    /// What belongs there.
    pub(super) scope: Scope,
    /// When its containers are compared.
    pub(super) docker: DockerMode,
    /// Whether somebody asked for that, so that their lock file must be there.
    pub(super) docker_asked: bool,
}

impl Aim {
    /// The host to ask.
    pub(super) fn host(&self) -> LocalHost {
        LocalHost::new(self.layout.clone(), engine::find())
    }

    /// What is known of it and wanted from it.
    pub(super) fn setting<'a>(&'a self, project: &'a Project, purpose: Purpose) -> Setting<'a> {
        Setting {
            config: &project.config,
            scope: &self.scope,
            nowhere: self.layout.is_nowhere(),
            purpose,
            docker: self.docker,
            docker_asked: self.docker_asked,
            compared_before: self.compared_before(project),
        }
    }

    /// Whether the last whole run here compared containers: then they are expected to be here. When its
    /// report cannot be read, they are expected, too.
    fn compared_before(&self, project: &Project) -> bool {
        if self.target.is_some() || self.docker != DockerMode::Auto {
            return false;
        }
        let bytes = match read_file(&project.root.join(run::PATH).join("latest.json")) {
            Ok(bytes) => bytes,
            Err(error) => return error.kind() != std::io::ErrorKind::NotFound,
        };
        let compared = |check: &WireCheck| check.name == "docker_images" && check.status != WireStatus::Skip;
        json::read(&bytes).map_or(true, |report| report.checks.iter().any(compared))
    }

    /// The directory that `--output DIR` means for this place, one of `several` or the only one.
    pub(super) fn output_dir(&self, dir: &Path, several: bool) -> PathBuf {
        self.target.iter().filter(|_| several).fold(dir.to_owned(), |dir, target| dir.join(target))
    }

    /// The same place, with another word about containers.
    pub(super) fn with_docker(mut self, docker: Option<DockerMode>) -> Self {
        self.docker = docker.unwrap_or(self.docker);
        self.docker_asked |= docker == Some(DockerMode::Required);
        self
    }

    /// The project's own tree.
    pub(super) fn local(project: &Project) -> Self {
        Self {
            target: None,
            layout: Layout::of_root(&project.root),
            scope: Scope::default(),
            docker: project.config.docker.as_ref().map(|docker| docker.mode).unwrap_or_default(),
            docker_asked: project.config.docker.is_some(),
        }
    }

    /// A target by its name.
    pub(super) fn target(project: &Project, name: &str) -> Result<Self, Failure> {
        let targets = &project.config.targets;
        let Some(target) = targets.get(name) else {
            let known: Vec<&str> = targets.keys().map(String::as_str).collect();
            let failure = Failure::new(format!(
                "no target \"{}\" in audit/driftlock.toml",
                output::shown(name.as_ref())
            ));
            return Err(failure.hint(match known.as_slice() {
                [] => "none is configured: add one as [targets.NAME]".to_owned(),
                known => format!("configured: {}", known.join(", ")),
            }));
        };
        if target.host != "local" {
            return Err(over_ssh(&target.host));
        }
        Ok(Self {
            target: Some(name.to_owned()),
            layout: layout_of(project, target),
            scope: Scope { include: target.include.clone() },
            docker: match target.docker {
                Some(TargetDocker::Off) => DockerMode::Off,
                _ => DockerMode::Required,
            },
            docker_asked: project.config.docker.is_some() || target.docker.is_some(),
        })
    }
}

fn over_ssh(host: &str) -> Failure {
    let host = output::shown(host.as_ref());
    Failure::new(format!("{host}: this version cannot look at a server over SSH"))
        .hint("run driftlock on the server itself, with a target whose host is \"local\"")
}

fn layout_of(project: &Project, target: &Target) -> Layout {
    let place = |path: &PathBuf| match path.strip_prefix("~") {
        Ok(below) => std::env::home_dir().unwrap_or_default().join(below),
        Err(_) => project.root.join(path),
    };
    let exceptions = target.paths.iter().map(|(prefix, path)| (prefix.clone(), place(path)));
    Layout::new(target.root.as_ref().map(place), exceptions.collect())
}

impl AimArgs {
    /// The places to look at, at least one.
    pub(super) fn resolve(&self, project: &Project, docker: Option<DockerMode>) -> Result<Vec<Aim>, Failure> {
        if let Some(server) = &self.server {
            return Err(over_ssh(server));
        }
        let names: Vec<&String> =
            if self.all { project.config.targets.keys().collect() } else { self.target.iter().collect() };
        if self.all && names.is_empty() {
            let failure = Failure::new("--all, but audit/driftlock.toml has no target");
            return Err(failure.hint("add one as [targets.NAME], or leave --all out to check this tree"));
        }
        if names.is_empty() {
            return Ok(vec![Aim::local(project).with_docker(docker)]);
        }
        names.into_iter().map(|name| Ok(Aim::target(project, name)?.with_docker(docker))).collect()
    }
}
