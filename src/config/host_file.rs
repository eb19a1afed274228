//! The host's own file, `/etc/driftlock/host.toml`: what a watcher may run, whom it may connect to, and which secrets it may use.
//!
//! Who can write the repository must not get a shell on the machine that watches. So of programs, addresses, keys and secrets a
//! watcher takes names alone from `audit/driftlock.toml`: what they stand for is defined in a file of the host.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError, DesiredFrom, Target, TerraformTrust, system};
use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::{Digest, escaped, printable_path};

/// Where the host's own file lies where none is named.
pub const HOST_FILE: &str = "/etc/driftlock/host.toml";

/// What the host itself defines.
#[derive(Debug, Clone)]
pub struct HostFile {
    path: PathBuf,
    /// `None` where there is no such file: nothing is defined then.
    config: Option<Config>,
}

/// The work tree of git that a file lies in, links followed; one that leads nowhere counts as if it lay in its own directory.
#[must_use]
pub fn work_tree_around(file: &Path) -> Option<PathBuf> {
    let real = file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned());
    let tree = real.ancestors().skip(1).find(|dir| dir.join(".git").symlink_metadata().is_ok());
    tree.map(Path::to_owned)
}

impl HostFile {
    /// Reads the file that was named, or the one that hosts have.
    ///
    /// # Errors
    /// When it cannot be read, has no sense, lies in a work tree, or others than this user and root may write it.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(HOST_FILE)).to_owned();
        let shown = printable_path(&path);
        let refused = |reason: String| ConfigError::Refused { path: shown.clone(), reason };
        let bytes = match read_file_within(&path, LARGEST_TEXT) {
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
                return Ok(Self { path, config: None });
            }
            read => read.map_err(|source| ConfigError::Unreadable { path: shown.clone(), source })?,
        };
        if let Some(why) = system::written_by_others(&path) {
            return Err(refused(why));
        }
        if let Some(tree) = work_tree_around(&path) {
            return Err(refused(format!("it lies in the work tree {}", printable_path(&tree))));
        }
        let digest = Some(Digest::of(&bytes));
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let mut config = Config::parse(&text).map_err(|error| error.of_file(&shown))?;
        config.digest = digest;
        config.probes.refused = None;
        config.desired.refused = None;
        Ok(Self { path, config: Some(config) })
    }

    /// The digest of what was read; `None` where there is no such file.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.config.as_ref().and_then(|own| own.digest)
    }

    /// The file of those who may sign, where the host names one: a relative path begins beside the host's file.
    #[must_use]
    pub fn allowed_signers(&self) -> Option<PathBuf> {
        let named = self.config.as_ref()?.trust.allowed_signers.as_ref()?;
        Some(self.path.parent().map_or_else(|| named.clone(), |dir| dir.join(named)))
    }

    /// Whether commits that are fetched must be signed by one of those.
    #[must_use]
    pub fn requires_signed_commits(&self) -> bool {
        self.config.as_ref().is_some_and(|own| own.trust.require)
    }

    /// Which fetched code Terraform may plan.
    #[must_use]
    pub fn terraform_trust(&self) -> TerraformTrust {
        self.config.as_ref().map(|own| own.trust.terraform).unwrap_or_default()
    }

    /// The account that Terraform runs as on fetched code, where the host names one.
    #[must_use]
    pub fn run_as(&self) -> Option<&str> {
        self.config.as_ref()?.trust.run_as.as_deref()
    }

    /// What the file is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        printable_path(&self.path)
    }

    /// Puts what the host defines in the place of what the repository defines; what it does not define is not there any more.
    /// Gives what somebody should hear of.
    pub fn put_into(&self, config: &mut Config) -> Vec<String> {
        let own = self.config.as_ref();
        config.host_file = (self.path != Path::new(HOST_FILE)).then(|| self.path.clone());
        let mut warnings = Vec::new();
        let not_defined = |what: &str, loss: &str| {
            let file = printable_path(&self.path);
            format!("{what} is defined in {}, and not in {file}: {loss}", super::PATH)
        };
        config.notify.retain(|name, notify| {
            let defined = own.and_then(|own| own.notify.get(name));
            match defined {
                Some(defined) => *notify = defined.clone(),
                None => warnings.push(not_defined(
                    &format!("[notify.{}]", escaped(name.as_bytes())),
                    "nobody is told by it",
                )),
            }
            defined.is_some()
        });
        let redis = own.and_then(|own| own.events.redis.clone());
        if redis.is_none() && config.events.redis.is_some() {
            warnings.push(not_defined("[events.redis]", "nothing is sent to streams"));
        }
        config.events.redis = redis;
        let defined = |name: &str| own.and_then(|own| own.probes.all.iter().find(|it| it.name == name));
        let undefined = config.probes.all.iter().find(|probe| defined(&probe.name).is_none());
        let refused =
            undefined.map(|it| not_defined(&format!("the probe \"{}\"", it.name), "a watcher runs no probe"));
        config.probes.refused = refused;
        for probe in &mut config.probes.all {
            if let Some(defined) = defined(&probe.name) {
                *probe = defined.clone();
            }
        }
        match own.map(|own| &own.odoo).filter(|odoo| !odoo.is_empty()) {
            Some(odoo) => config.odoo.clone_from(odoo),
            None if config.odoo.is_empty() => {}
            None => config.odoo_refused = Some(not_defined("[[odoo]]", "a watcher asks no database")),
        }
        if let Some(who) = own.and_then(|own| own.who.clone()) {
            config.who = Some(who);
        }
        if let Some(serve) = own.and_then(|own| own.serve.clone()) {
            config.serve = Some(serve);
        }
        if let Some(own) = own.filter(|own| !own.deployments.is_empty()) {
            config.deployments.clone_from(&own.deployments);
        }
        let commands = own.map(|own| own.desired.commands.clone()).unwrap_or_default();
        for (name, source) in &mut config.desired.all {
            let defined = own.and_then(|own| own.desired.all.get(name));
            let what = match &source.from {
                DesiredFrom::Command(command) if commands.contains_key(command) => None,
                DesiredFrom::Command(command) => Some(format!("[commands.{command}]")),
                DesiredFrom::Url(..) => Some(format!("[desired.{name}]")),
            };
            match (defined, what) {
                (Some(defined), _) => *source = defined.clone(),
                (None, Some(what)) => source.refused = Some(not_defined(&what, "a watcher asks no CMDB")),
                (None, None) => {}
            }
        }
        (config.desired.commands, config.desired.refused) = (commands, None);
        let missing = config
            .remediations
            .keys()
            .find(|name| own.is_none_or(|own| !own.remediations.contains_key(*name)));
        if let Some(name) = missing {
            let what = format!("[remediations.{}]", escaped(name.as_bytes()));
            warnings.push(not_defined(&what, "it repairs nothing"));
        }
        config.change_requests = own.map(|own| own.change_requests.clone()).unwrap_or_default();
        config.incidents = own.map(|own| own.incidents.clone()).unwrap_or_default();
        // What may happen without a person, and by which programs, no repository says.
        config.remediation = own.map(|own| own.remediation.clone()).unwrap_or_default();
        config.remediations = own.map(|own| own.remediations.clone()).unwrap_or_default();
        config.trust.key = own.and_then(|own| own.trust.key.clone());
        config.trust.report_key = own.and_then(|own| own.trust.report_key.clone());
        let inventory = own.and_then(|own| own.inventory.clone());
        if inventory.is_none() && config.inventory.is_some() {
            warnings.push(not_defined("[inventory]", "its hosts are no targets"));
        }
        config.inventory = inventory;
        config.targets.retain(|_, target| !target.is_of_inventory);
        for (name, target) in own.into_iter().flat_map(|own| &own.targets) {
            config.targets.insert(name.clone(), target.clone());
        }
        if let Some(own) = own {
            config.groups.put(&own.groups);
        }
        warnings
    }

    /// Whether the host itself says what a target is.
    #[must_use]
    pub fn defines(&self, name: &str) -> bool {
        self.config.as_ref().is_some_and(|own| own.targets.contains_key(name))
    }

    /// Why a target may not be watched: the repository alone says what it is.
    #[must_use]
    pub fn forbids(&self, name: &str, target: &Target) -> Option<String> {
        // The inventory is the host's own wherever a watcher asks one.
        let is_defined = self.defines(name) || target.is_of_inventory;
        let is_here = target.host.as_deref() == Some("local") && target.terraform.is_none();
        let file = printable_path(&self.path);
        (!is_defined && !is_here).then(|| {
            format!("target {name} is defined in {}, and not in {file}: a watcher connects and plans only where that says so", super::PATH)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostFile {
        let mut config = Config::parse(text).unwrap();
        config.probes.refused = None;
        config.desired.refused = None;
        HostFile { path: "/etc/driftlock/host.toml".into(), config: Some(config) }
    }

    const REPOSITORY: &str = "[notify.ops]\nkind = \"slack\"\nurl_env = \"A\"\n[events.redis]\nurl = \"redis://theirs\"\n\
        [[probes]]\nname = \"bios\"\nrun = [\"theirs\"]\n[targets.web]\nhost = \"theirs\"\n[targets.here]\nhost = \"local\"\n\
        [[odoo]]\ncontainer = \"theirs\"\n[desired.cmdb]\nurl = \"https://theirs/\"\n[desired.named]\ncommand = \"export\"\n\
        [commands.export]\nrun = [\"theirs\"]\n";

    #[test]
    fn the_repository_defines_nothing_that_runs_or_is_reached() {
        let nothing = HostFile { path: "/etc/driftlock/host.toml".into(), config: None };
        let mut config = Config::parse(REPOSITORY).unwrap();
        let warnings = nothing.put_into(&mut config);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(config.notify.is_empty() && config.events.redis.is_none());
        assert!(config.probes.refused.is_some() && config.odoo_refused.is_some());
        let desired = &config.desired;
        assert!(desired.commands.is_empty() && desired.all.values().all(|source| source.refused.is_some()));
        assert!(nothing.forbids("web", &config.targets["web"]).is_some());
        assert!(nothing.forbids("here", &config.targets["here"]).is_none());
    }

    #[test]
    fn what_the_host_defines_holds() {
        let host = host(
            "[notify.ops]\nkind = \"slack\"\nurl_env = \"B\"\n[events.redis]\nurl = \"redis://own\"\n\
             [[probes]]\nname = \"bios\"\nrun = [\"own\"]\n[targets.web]\nhost = \"own\"\n\
             [[odoo]]\ncontainer = \"own\"\n[desired.cmdb]\nurl = \"https://own/\"\n[commands.export]\nrun = [\"own\"]\n",
        );
        let mut config = Config::parse(REPOSITORY).unwrap();
        assert_eq!(host.put_into(&mut config), [""; 0]);
        assert_eq!(config.events.redis.as_ref().unwrap().url, "redis://own");
        assert_eq!((config.probes.all[0].run[0].as_str(), &config.probes.refused), ("own", &None));
        assert_eq!(config.targets["web"].host.as_deref(), Some("own"));
        assert_eq!(config.odoo[0].server, crate::config::OdooServer::Container("own".to_owned()));
        assert_eq!(config.odoo_refused, None);
        let desired = &config.desired;
        assert_eq!(desired.all["cmdb"].from, DesiredFrom::Url("https://own/".to_owned(), None));
        assert!(desired.all.values().all(|source| source.refused.is_none()));
        assert_eq!((desired.commands["export"].run[0].as_str(), &desired.refused), ("own", &None));
        assert!(host.forbids("web", &config.targets["web"]).is_none());
    }

    #[test]
    fn the_host_says_what_its_agent_is_where_it_says_anything() {
        let text = "[serve]\nlisten = \"127.0.0.1:1\"\n[[deployments]]\nname = \"theirs\"\n";
        let mut config = Config::parse(text).unwrap();
        host("").put_into(&mut config);
        assert_eq!((config.serve.as_ref().unwrap().listen.port(), config.deployments.len()), (1, 1));
        host("[serve]\nlisten = \"127.0.0.1:2\"\n[[deployments]]\nname = \"own\"\n").put_into(&mut config);
        assert_eq!(config.serve.unwrap().listen.port(), 2);
        assert_eq!(config.deployments.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["own"]);
    }

    #[test]
    fn a_file_that_others_may_write_or_that_lies_in_a_work_tree_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        std::fs::write(&path, "").unwrap();
        assert!(HostFile::load(Some(&path)).is_ok());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert!(HostFile::load(Some(&path)).unwrap_err().to_string().starts_with(&printable_path(&path)));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        assert!(HostFile::load(Some(&path)).unwrap_err().to_string().contains("it lies in the work tree"));
        assert!(HostFile::load(Some(&dir.path().join("none"))).is_err());
    }
}
