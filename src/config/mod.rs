//! `audit/driftlock.toml`: what it may say, and clear words about what it may not.

mod approved;
mod check;
mod deployment_variables;
mod desired;
mod docker;
mod email;
mod error;
mod events;
mod git_source;
mod groups;
pub mod host_file;
mod inventory;
mod notify;
mod odoo;
mod older_agent;
mod places;
pub mod policies;
mod remediation;
mod serve;
mod serve_file;
mod system;
mod target;
mod target_name;
mod terraform;
mod who;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use approved::ApprovedWindow;
pub use check::CheckConfig;
pub use deployment_variables::DeploymentVariables;
pub use desired::{DesiredConfig, DesiredFrom, DesiredSource, FieldPaths, NamedCommand, Observable};
pub use docker::{ContentsConfig, ContentsKind, DockerConfig, DockerMode, LOCKED, OnUnexpected};
pub use error::{ConfigError, invalid, misread};
pub use events::{CategoryOfPaths, ConfigurationItem, EventsConfig, RedisStreams, redis_access};
pub use git_source::{GitSource, GitWay};
pub use groups::{GROUP_MARK, GroupError, Groups};
pub use inventory::InventoryConfig;
use notify::Recipient;
pub use notify::{Channel, Email, Kept, MailTls, Notify};
pub use odoo::{OdooDatabases, OdooServer, WhichDatabases};
pub use remediation::{Rate, Remediation, RemediationGate, RemedyKind, Repairer};
pub use serve::{Deployment, Schedule, ServeConfig, TlsFiles};
pub use serve_file::ServeFile;
pub(crate) use system::written_by_others;
pub use system::{Listed, Probe, Probes, is_unit_name};
pub use target::{Target, TargetDocker};
pub use target_name::is_target_name;
pub use terraform::{Init, Terraform, TerraformConfig, Weight, detected, holds_code, is_code};
pub use who::{CloudTrailConfig, WhoConfig};

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::control::account::is_account_name;
use crate::model::{Digest, Glob};
use error::{compile, senseless};
use places::Places;
use target::{RawTarget, check_target};

/// Where the configuration lies, relative to the root.
pub const PATH: &str = "audit/driftlock.toml";

/// The configuration; every key is optional.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's own file, once what it defines was put in, where it is not the usual one.
    pub host_file: Option<PathBuf>,
    /// `[compose] files`: `None` is detection, an empty list turns the section off.
    pub compose_files: Option<Vec<Glob>>,
    /// `[compose] exclude`.
    pub compose_exclude: Vec<Glob>,
    /// `[addons] roots`: `None` is detection, an empty list turns the section off.
    pub addon_roots: Option<Vec<Glob>>,
    /// `[addons] exclude`, relative to an addon root.
    pub addon_exclude: Vec<Glob>,
    /// `[addons] bytecode`.
    pub addon_bytecode: Bytecode,
    /// `[files] include`; may hold absolute patterns.
    pub files_include: Option<Vec<Glob>>,
    /// `[docker]`, if it is written.
    pub docker: Option<DockerConfig>,
    /// `[[env]]`.
    pub env: Vec<EnvFiles>,
    /// `[packages]`.
    pub packages: Option<Listed>,
    /// `[services] units`: an empty list turns the section off.
    pub services: Option<Vec<String>>,
    /// `[ports]`.
    pub ports: Option<Listed>,
    /// `[[probes]]`.
    pub probes: Probes,
    /// `[check]`.
    pub check: CheckConfig,
    /// `[runtime] retention_days`.
    pub retention_days: u32,
    /// `[targets.NAME]`.
    pub targets: BTreeMap<String, Target>,
    /// `[groups]`.
    pub groups: Groups,
    /// `[inventory]`, if it is written.
    pub inventory: Option<InventoryConfig>,
    /// `[notify.NAME]`.
    pub notify: BTreeMap<String, Notify>,
    /// `[trust]`.
    pub trust: Trust,
    /// `[[odoo]]`.
    pub odoo: Vec<OdooDatabases>,
    /// Why none of those databases is asked: nobody whom the machine trusts has defined them.
    pub odoo_refused: Option<String>,
    /// `[desired.NAME]` and `[commands.NAME]`.
    pub desired: DesiredConfig,
    /// `[[categories]]`, `[[ci]]` and `[events]`.
    pub events: EventsConfig,
    /// `[terraform]`.
    pub terraform: TerraformConfig,
    /// `[serve]`, if it is written.
    pub serve: Option<ServeConfig>,
    /// `[[deployments]]`.
    pub deployments: Vec<Deployment>,
    /// `[who]`, if it is written.
    pub who: Option<WhoConfig>,
    /// `[[approved]]`.
    pub approved: Vec<ApprovedWindow>,
    /// `[change_requests.NAME]`.
    pub change_requests: BTreeMap<String, Notify>,
    /// `[incidents.NAME]`.
    pub incidents: BTreeMap<String, Notify>,
    /// `[remediation]`.
    pub remediation: RemediationGate,
    /// `[remediations.NAME]`.
    pub remediations: BTreeMap<String, Remediation>,
    /// The digest of the file that all this was read from; `None` where there is none.
    pub digest: Option<Digest>,
    /// The digest of the policies beside it; `None` where there are none, or none that can be read.
    pub policies_digest: Option<Digest>,
}

/// How many days runs are kept where nothing is configured.
pub const RETENTION_DAYS: u32 = 30;

/// `[trust]`: who may sign, and what is signed with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// The file of those who may sign; the baseline must then be signed by one of them.
    pub allowed_signers: Option<PathBuf>,
    /// What is signed with: a key's file, or `agent`.
    pub key: Option<PathBuf>,
    /// Whether every report is signed.
    pub sign_reports: bool,
    /// What reports are signed with, where that is another key.
    pub report_key: Option<PathBuf>,
    /// Whether commits that are fetched must be signed by one of the allowed signers; of the host alone.
    pub require: bool,
    /// Which fetched code Terraform plans; of the host alone.
    pub terraform: TerraformTrust,
    /// The account that Terraform runs as on fetched code; of the host alone.
    pub run_as: Option<String>,
}

/// Fetched code that Terraform may plan: planning runs programs that the code names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerraformTrust {
    /// That of commits that are signed, where signatures are required.
    #[default]
    Signed,
    /// None.
    Never,
}

/// `[[env]]`: environment files whose keys are locked.
#[derive(Debug, Clone)]
pub struct EnvFiles {
    /// Their patterns.
    pub files: Vec<Glob>,
    /// Words that stand for a value that nobody filled in, in any case, beside those that are known.
    pub placeholders: Vec<String>,
}

/// Which bytecode under `__pycache__` is a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytecode {
    /// What Python would not hold against its source, by its header, and what has no source.
    #[default]
    Default,
    /// All of it.
    Forbid,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    compose: RawCompose,
    addons: RawAddons,
    files: RawFiles,
    docker: Option<DockerConfig>,
    env: Vec<RawEnv>,
    packages: Option<system::RawPackages>,
    services: Option<system::RawServices>,
    ports: Option<system::RawListed>,
    probes: Vec<system::RawProbe>,
    check: check::Raw,
    runtime: RawRuntime,
    targets: BTreeMap<String, RawTarget>,
    groups: BTreeMap<String, Vec<String>>,
    inventory: Option<inventory::RawInventory>,
    notify: BTreeMap<String, toml::Spanned<notify::Raw>>,
    trust: Trust,
    odoo: Vec<odoo::Raw>,
    desired: BTreeMap<String, desired::RawDesired>,
    commands: BTreeMap<String, desired::RawCommand>,
    categories: Vec<events::RawCategory>,
    ci: Vec<events::RawItem>,
    events: events::RawEvents,
    terraform: TerraformConfig,
    serve: Option<serve::RawServe>,
    deployments: Vec<serve::RawDeployment>,
    who: Option<WhoConfig>,
    approved: Vec<approved::RawApproved>,
    change_requests: BTreeMap<String, toml::Spanned<notify::Raw>>,
    incidents: BTreeMap<String, toml::Spanned<notify::Raw>>,
    remediation: remediation::RawGate,
    remediations: BTreeMap<String, remediation::RawRemediation>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCompose {
    files: Option<Vec<String>>,
    exclude: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAddons {
    roots: Option<Vec<String>>,
    exclude: Vec<String>,
    bytecode: Bytecode,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawFiles {
    include: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnv {
    files: Vec<String>,
    #[serde(default)]
    placeholders: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRuntime {
    retention_days: u32,
}

impl Default for RawRuntime {
    fn default() -> Self {
        Self { retention_days: RETENTION_DAYS }
    }
}

impl Config {
    /// Reads the configuration below `root`; a missing file is an empty one.
    ///
    /// # Errors
    /// When the file cannot be read, is no file or a broken link, is not TOML, or has an unknown key or a value without sense.
    pub fn load(root: &Path) -> Result<Self, ConfigError> {
        let path = root.join(PATH);
        let unreadable = |source| ConfigError::Unreadable { path: PATH.to_owned(), source };
        if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let config = Self { policies_digest: policies::digest(root), ..Self::parse("")? };
            return Ok(config.with_detected(root));
        }
        let bytes = read_file_within(&path, LARGEST_TEXT).map_err(unreadable)?;
        let not_text = |_| unreadable(std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
        let text = String::from_utf8(bytes).map_err(not_text)?;
        let mut parsed = Self {
            digest: Some(Digest::of(text.as_bytes())),
            policies_digest: policies::digest(root),
            ..Self::parse(&text)?
        };
        parsed.trust.check_of_project()?;
        if !parsed.probes.all.is_empty() {
            parsed.probes.refused = system::written_by_others(&path);
        }
        if !parsed.desired.commands.is_empty() {
            parsed.desired.refused = system::written_by_others(&path);
        }
        let config = parsed.with_detected(root);
        config.check_names()?;
        Ok(config)
    }

    /// Whether a target of this name may be one: it is configured, or an inventory is, which nobody has asked yet.
    #[must_use]
    pub fn may_have(&self, name: &str) -> bool {
        self.targets.contains_key(name) || (self.inventory.is_some() && is_target_name(name))
    }

    /// Makes sure that groups and deployments name targets that there are; with an inventory that is known once it is read.
    fn check_names(&self) -> Result<(), ConfigError> {
        if self.inventory.is_some() {
            return Ok(());
        }
        self.groups.check_members(|name| self.targets.contains_key(name))?;
        serve::check_targets(&self.deployments, Places { targets: &self.targets, groups: &self.groups })
    }

    /// The same of a commit that was fetched: who pushes does not decide what the agent is, and what it looks at.
    #[must_use]
    pub fn of_fetched_commit(self) -> Self {
        Self { serve: None, deployments: Vec::new(), ..self }
    }

    /// The same with the environments below `root` as targets, where no target names `terraform`.
    fn with_detected(mut self, root: &Path) -> Self {
        if self.targets.values().all(|target| target.terraform.is_none()) {
            for (name, terraform) in terraform::detected(root) {
                match self.targets.entry(name) {
                    Entry::Vacant(place) => drop(place.insert(Target::of_terraform(terraform))),
                    Entry::Occupied(mut known) => known.get_mut().terraform = Some(terraform),
                }
            }
        }
        self
    }

    /// Reads the text of a configuration.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|error| misread(PATH, text, &error))?;
        let list = |key: &str, items: Vec<String>| compile(key, &items, false);
        let groups = Groups::checked(raw.groups)?;
        let mut targets = BTreeMap::new();
        for (name, target) in raw.targets {
            targets.insert(name.clone(), check_target(&name, target)?);
        }
        for pattern in raw.docker.iter().flat_map(|docker| &docker.containers) {
            compile("docker.containers", std::slice::from_ref(pattern), false)?;
        }
        for contents in raw.docker.iter().flat_map(|docker| &docker.contents) {
            contents.check()?;
        }
        let places = Places { targets: &targets, groups: &groups };
        Ok(Self {
            compose_files: raw.compose.files.map(|items| list("compose.files", items)).transpose()?,
            compose_exclude: list("compose.exclude", raw.compose.exclude)?,
            addon_roots: raw.addons.roots.map(|items| list("addons.roots", items)).transpose()?,
            addon_exclude: list("addons.exclude", raw.addons.exclude)?,
            addon_bytecode: raw.addons.bytecode,
            files_include: raw
                .files
                .include
                .map(|items| compile("files.include", &items, true))
                .transpose()?,
            docker: raw.docker,
            env: raw
                .env
                .into_iter()
                .map(|table| {
                    let files = list("env.files", table.files)?;
                    Ok(EnvFiles { files, placeholders: table.placeholders })
                })
                .collect::<Result<_, ConfigError>>()?,
            packages: raw.packages.map(system::RawPackages::checked).transpose()?,
            services: raw.services.map(system::RawServices::checked).transpose()?,
            ports: raw.ports.map(|it| it.bracketed().checked("ports")).transpose()?,
            probes: system::checked_probes(raw.probes)?,
            check: raw.check.checked(text)?,
            retention_days: raw.runtime.retention_days,
            who: raw.who,
            approved: raw
                .approved
                .into_iter()
                .map(approved::RawApproved::checked)
                .collect::<Result<_, _>>()?,
            change_requests: notify::checked(
                raw.change_requests,
                Recipient::Tickets("change_requests"),
                places,
                text,
            )?,
            incidents: notify::checked(raw.incidents, Recipient::Tickets("incidents"), places, text)?,
            notify: notify::checked(raw.notify, Recipient::Notify, places, text)?,
            events: events::checked(raw.categories, raw.ci, raw.events)?,
            odoo_refused: None,
            serve: raw.serve.map(serve::RawServe::checked).transpose()?,
            deployments: serve::checked_deployments(raw.deployments, &groups)?,
            desired: desired::checked(raw.desired, raw.commands, places)?,
            odoo: raw.odoo.into_iter().map(|it| it.checked(places)).collect::<Result<_, _>>()?,
            targets,
            groups,
            inventory: raw.inventory.map(inventory::RawInventory::checked).transpose()?,
            trust: check_trust(raw.trust)?,
            terraform: raw.terraform,
            remediation: raw.remediation.checked()?,
            remediations: remediation::checked_remediations(raw.remediations)?,
            host_file: None,
            digest: None,
            policies_digest: None,
        })
    }
}

impl Trust {
    /// Refuses what only the machine that looks may say: a repository would say it of itself.
    fn check_of_project(&self) -> Result<(), ConfigError> {
        let reason = format!("it counts in the host's own file alone: {}", host_file::HOST_FILE);
        if self.run_as.is_some() {
            return Err(senseless("trust.run_as", &reason));
        }
        match (self.require, self.terraform) {
            (false, TerraformTrust::Signed) => Ok(()),
            (true, _) => Err(senseless("trust.require", &reason)),
            (false, TerraformTrust::Never) => Err(senseless("trust.terraform", &reason)),
        }
    }
}

fn check_trust(trust: Trust) -> Result<Trust, ConfigError> {
    if let Some(odd) = trust.run_as.as_ref().filter(|name| !is_account_name(name)) {
        return Err(senseless("trust.run_as", &format!("\"{odd}\" is no name of an account")));
    }
    let files =
        [("allowed_signers", &trust.allowed_signers), ("key", &trust.key), ("report_key", &trust.report_key)];
    match files.iter().find(|(_, file)| file.as_ref().is_some_and(|file| file.as_os_str().is_empty())) {
        Some((name, _)) => Err(senseless(&format!("trust.{name}"), "\"\" is no file")),
        None => Ok(trust),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_configuration_leaves_everything_to_detection() {
        let config = Config::parse("").unwrap();
        assert!(config.compose_files.is_none() && config.addon_roots.is_none() && config.docker.is_none());
        assert_eq!(config.retention_days, 30);
        assert_eq!(config.check, CheckConfig { trust_stat: false, full_every: 86_400 });
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        let text = "[compose]\nfiles = []\n\n[addons]\nroot = [\"x\"]\n";
        assert_eq!(
            error(text),
            "audit/driftlock.toml:5: unknown field `root`, expected one of `roots`, `exclude`, `bytecode`; did you mean `roots`?"
        );
        assert!(error("[composed]\n").contains(":1: unknown field `composed`"));
        assert!(error("[targets.a]\nhost = \"x\"\npats = {}\n").contains(":3: unknown field `pats`"));
    }

    #[test]
    fn values_without_sense_are_refused() {
        assert!(error("[compose]\nfiles = [\"/etc/x\"]\n").contains("absolute"));
        assert!(error("[compose]\nfiles = [\"../x\"]\n").contains(".."));
        assert!(error("[docker]\nmode = \"of\"\n").contains("did you mean `off`?"));
        for text in ["0s", "daily", "-1h", ""] {
            let why = error(&format!("[check]\nfull_every = \"{text}\"\n"));
            assert!(why.contains(":2: full_every is a duration"), "{why}");
        }
        assert!(
            error("[trust]\nallowed_signers = \"\"\n").contains("trust.allowed_signers: \"\" is no file")
        );
        assert!(error("[targets.local]\nhost = \"x\"\n").contains("targets.local"));
        assert!(
            error("[targets.a]\nhost = \"x\"\npaths = { \"/srv\" = \"/x\" }\n").contains("targets.a.paths")
        );
        assert!(error("[targets.a]\nport = 22\n").contains("missing field `host`"));
        assert!(error("[targets.a]\nhost = \"x\"\nroot = \"~/erp\"\n").contains("is relative"));
        assert!(
            error("[targets.a]\nhost = \"x\"\nhost_keys = [\"MD5:00\"]\n").contains("targets.a.host_keys")
        );
    }
}
