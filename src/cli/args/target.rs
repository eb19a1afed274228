//! Options that say where to look.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::audit::inventory;
use crate::audit::target::{Aim, Place, Reach, Remote, file_name};
use crate::cli::completion;
use crate::cli::terminal::prompt;
use crate::config::DockerMode;
use crate::config::host_file::HostFile;
use crate::error::Failure;
use crate::host::ssh::NewKeys;
use crate::host::ssh::route;
use crate::project::Project;

/// Options that say where to look.
#[derive(Args)]
#[command(next_help_heading = "Where to look")]
pub(crate) struct AimArgs {
    /// This machine, the project's own tree (the default)
    #[arg(long, conflicts_with_all = ["target", "all", "server"])]
    local: bool,
    /// A target of audit/driftlock.toml, or @NAME for a group of them; repeatable
    #[arg(long, alias = "env", value_name = "NAME", conflicts_with_all = ["all", "server"], add = completion::GROUPS.completer())]
    target: Vec<String>,
    /// Every target of audit/driftlock.toml
    #[arg(long, conflicts_with = "server")]
    pub(crate) all: bool,
    /// A server over SSH: an address, or a Host of ssh_config. Its containers are compared; where its files
    /// lie only a target can say
    #[arg(long, value_name = "HOST")]
    server: Option<String>,
    /// The private key for a server; it goes before the target's
    #[arg(long, value_name = "FILE", requires = "server")]
    ssh_key: Option<PathBuf>,
    /// The user on a server; it goes before the target's
    #[arg(long, value_name = "USER", requires = "server")]
    ssh_user: Option<String>,
    /// The port for --server
    #[arg(long, value_name = "PORT", requires = "server")]
    ssh_port: Option<u16>,
    /// Known host keys for --server
    #[arg(long, value_name = "FILE", requires = "server")]
    known_hosts: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
    /// How many targets are looked at at the same time
    #[arg(long, value_name = "N", default_value = "8")]
    pub(crate) jobs: NonZeroUsize,
}

/// Options that say how servers are reached.
#[derive(Args, Clone)]
#[command(next_help_heading = "Where to look")]
pub(crate) struct ReachArgs {
    /// How long connecting to a server may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    connect_timeout: u32,
    /// Believe the key of a server that no known_hosts file names, and record it; one that changed is refused
    /// all the same
    #[arg(long)]
    accept_new_host_key: bool,
}

impl AimArgs {
    /// Targets by their names.
    pub(crate) fn of_targets(names: Vec<String>, jobs: NonZeroUsize, reach: ReachArgs) -> Self {
        Self {
            local: false,
            target: names,
            all: false,
            server: None,
            ssh_key: None,
            ssh_user: None,
            ssh_port: None,
            known_hosts: None,
            reach,
            jobs,
        }
    }

    /// What the targets that were named are called, the members in place of each group; a server as reports call it.
    pub(crate) fn names(&self, project: &Project) -> Result<Vec<String>, Failure> {
        let targets = project.expand(&self.target)?.into_iter().map(str::to_owned);
        Ok(targets.chain(self.server.as_deref().map(file_name)).collect())
    }

    /// Adds the hosts of the inventory to the targets, where one is named that is none of the configuration, or all are wanted.
    pub(crate) fn take_inventory(&self, project: &mut Project) -> Result<(), Failure> {
        inventory::include(&mut project.config, (!self.all).then_some(self.target.as_slice()))
    }

    /// The same where the host's own file alone says what is connected to.
    pub(crate) fn take_inventory_of_host(
        &self,
        project: &mut Project,
        host: &HostFile,
    ) -> Result<(), Failure> {
        let names = (!self.all).then_some(self.target.as_slice());
        inventory::include_beside(&mut project.config, names, &|name| host.defines(name))
    }

    /// The places to look at, at least one.
    pub(crate) fn resolve(&self, project: &Project, docker: Option<DockerMode>) -> Result<Vec<Aim>, Failure> {
        self.ssh_user.as_deref().map_or(Ok(()), route::check_user)?;
        if let Some(server) = &self.server {
            return Ok(vec![
                Aim::server_at(project, server, self.remote(project, server))?.with_docker(docker),
            ]);
        }
        let names: Vec<&str> = if self.all {
            project.config.targets.keys().map(String::as_str).collect()
        } else {
            project.expand(&self.target)?
        };
        if self.all && names.is_empty() {
            let failure = Failure::new("--all, but audit/driftlock.toml has no target");
            return Err(failure.hint("add one as [targets.NAME], or leave --all out to check this tree"));
        }
        if names.is_empty() {
            return Ok(vec![Aim::local(project).with_docker(docker)]);
        }
        names
            .into_iter()
            .map(|name| {
                let mut aim = Aim::target(project, name, &self.reach.reach())?.with_docker(docker);
                self.go_before(project, &mut aim);
                Ok(aim)
            })
            .collect()
    }

    /// What the command line says of reaching a server goes before what its target says.
    fn go_before(&self, project: &Project, aim: &mut Aim) {
        let Place::Remote(Remote { wanted, .. }) = &mut aim.place else { return };
        let expand = |path: &Path| project.control.environment.expand_home(path);
        let path = |path: &Option<PathBuf>| path.as_deref().map(expand);
        wanted.port = self.ssh_port.or(wanted.port);
        wanted.user = self.ssh_user.clone().or_else(|| wanted.user.take());
        wanted.key = path(&self.ssh_key).or_else(|| wanted.key.take());
        wanted.known_hosts = path(&self.known_hosts).or_else(|| wanted.known_hosts.take());
    }

    /// The server that `--server` and the options beside it mean.
    fn remote(&self, project: &Project, host: &str) -> Remote {
        let expand = |path: &Path| project.control.environment.expand_home(path);
        self.reach.reach().remote(route::Wanted {
            host: host.to_owned(),
            port: self.ssh_port,
            user: self.ssh_user.clone(),
            key: self.ssh_key.as_deref().map(expand),
            known_hosts: self.known_hosts.as_deref().map(expand),
            fingerprints: Vec::new(),
            new_keys: NewKeys::Refuse,
        })
    }
}

impl ReachArgs {
    /// What these options say of reaching servers.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            timeout: Duration::from_secs(self.connect_timeout.into()),
            accept_new_host_key: self.accept_new_host_key,
            can_ask: prompt::is_there(),
            prompt: prompt::at_terminal(),
        }
    }
}
