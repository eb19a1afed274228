//! `audit/driftlock.toml`: what it may say, and clear words about what it may not.

mod check;
mod notify;
mod odoo;
mod system;
mod terraform;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use check::CheckConfig;
pub use notify::{Channel, Kept, Notify};
pub use odoo::{OdooDatabases, OdooServer, WhichDatabases};
pub use system::{Listed, Probe, Probes, is_unit_name};
pub use terraform::{Init, Terraform, TerraformConfig, Weight, detected, holds_code, is_code};

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::model::OnUse;
use crate::model::{
    Address, BadGlob, Digest, Glob, escaped, in_words, is_user_name, seconds, without_secrets,
};

/// Where the configuration lies, relative to the root.
pub const PATH: &str = "audit/driftlock.toml";

/// The configuration; every key is optional.
#[derive(Debug, Clone)]
pub struct Config {
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
    /// `[notify.NAME]`.
    pub notify: BTreeMap<String, Notify>,
    /// `[trust]`.
    pub trust: Trust,
    /// `[[odoo]]`.
    pub odoo: Vec<OdooDatabases>,
    /// `[terraform]`.
    pub terraform: TerraformConfig,
    /// The digest of the file that all this was read from; `None` where there is none.
    pub digest: Option<Digest>,
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
}

/// `[[env]]`: environment files whose keys are locked.
#[derive(Debug, Clone)]
pub struct EnvFiles {
    /// Their patterns.
    pub files: Vec<Glob>,
    /// Words that stand for a value that nobody filled in, in any case, beside those that are known.
    pub placeholders: Vec<String>,
}

/// `[docker]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerConfig {
    /// When containers are compared in a local run.
    pub mode: DockerMode,
    /// Patterns over container names.
    pub containers: Vec<String>,
    /// What a container that the baseline does not name is.
    pub unexpected: OnUnexpected,
    /// What becomes of locked files and addon roots that no container of the baseline has.
    pub unused: OnUse,
    /// What becomes of a container that started before a file that it has mounted last changed.
    pub not_restarted: OnUse,
    /// `[[docker.contents]]`: what containers have at a path.
    pub contents: Vec<ContentsConfig>,
}

/// The word for files inside containers that are in no repository: they are locked by themselves.
pub const LOCKED: &str = "locked";

impl ContentsConfig {
    /// Whether its files are locked by themselves.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is == LOCKED
    }
}

/// `[[docker.contents]]`: a path inside containers that should have a part of the baseline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentsConfig {
    /// The pattern over the containers' names.
    pub container: String,
    /// The absolute path in the container.
    pub path: String,
    /// The repository path of the part of the baseline that should lie there; [`LOCKED`]: files that are in no repository, which
    /// are locked as they lie there.
    pub is: String,
    /// What lies there; by default what the baseline has of that part.
    pub kind: Option<ContentsKind>,
}

/// What lies at a path inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentsKind {
    /// Addon modules.
    Addons,
    /// Files.
    Files,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            mode: DockerMode::Auto,
            containers: vec!["*".to_owned()],
            unexpected: OnUnexpected::Fail,
            unused: OnUse::Note,
            not_restarted: OnUse::Note,
            contents: Vec::new(),
        }
    }
}

/// When containers are compared in a local run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerMode {
    /// Where an engine answers and knows a container of the baseline.
    #[default]
    Auto,
    /// Always: an engine that cannot be reached is an error.
    Required,
    /// Never.
    Off,
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

/// What a container that the baseline does not name is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnexpected {
    /// Drift.
    #[default]
    Fail,
    /// Nothing.
    Ignore,
}

/// How the engine of a target is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetDocker {
    /// Its socket, else its client.
    Auto,
    /// Through `sudo -n`.
    Sudo,
    /// By the commands of its client alone.
    Cli,
    /// Not at all.
    Off,
}

/// `[targets.NAME]`: a machine, and where the project's tree lies on it.
#[derive(Debug, Clone)]
pub struct Target {
    /// An address, a Host of `ssh_config`, or `local`; `None` for an environment of Terraform that is no machine.
    pub host: Option<String>,
    /// The SSH port.
    pub port: Option<u16>,
    /// The SSH user.
    pub user: Option<String>,
    /// The SSH private key.
    pub ssh_key: Option<String>,
    /// A `known_hosts` file before ssh's own.
    pub known_hosts: Option<String>,
    /// Accepted host key fingerprints.
    pub host_keys: Vec<String>,
    /// Where the project's tree lies.
    pub root: Option<PathBuf>,
    /// Repository prefixes that lie elsewhere.
    pub paths: Vec<(Vec<u8>, PathBuf)>,
    /// What belongs on this target; `None` is everything.
    pub include: Option<Vec<Glob>>,
    /// More files to lock on this target alone; may hold absolute patterns.
    pub files: Vec<Glob>,
    /// Whether files are read through `sudo -n`.
    pub sudo: bool,
    /// Of how many files a server may tell; `None` is what the baseline makes likely.
    pub max_files: Option<u64>,
    /// How long a server may take to tell of its files.
    pub time_limit: Option<Duration>,
    /// How the engine is reached, if it is written.
    pub docker: Option<TargetDocker>,
    /// The Terraform code that describes its infrastructure.
    pub terraform: Option<Terraform>,
}

impl Target {
    /// An environment that is no machine.
    fn of_terraform(terraform: Terraform) -> Self {
        Self {
            host: None,
            port: None,
            user: None,
            ssh_key: None,
            known_hosts: None,
            host_keys: Vec::new(),
            root: None,
            paths: Vec::new(),
            include: None,
            files: Vec::new(),
            sudo: false,
            max_files: None,
            time_limit: None,
            docker: None,
            terraform: Some(terraform),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("{path}: {}", in_words(.source))]
    Unreadable {
        /// The file.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// It says something it may not.
    #[error("{path}:{line}: {reason}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what may be meant.
        reason: String,
    },
    /// A value has the right form but no sense.
    #[error("{path}: {key}: {reason}")]
    Senseless {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    compose: RawCompose,
    addons: RawAddons,
    files: RawFiles,
    docker: Option<DockerConfig>,
    env: Vec<RawEnv>,
    packages: Option<system::RawListed>,
    services: Option<system::RawServices>,
    ports: Option<system::RawListed>,
    probes: Vec<system::RawProbe>,
    check: check::Raw,
    runtime: RawRuntime,
    targets: BTreeMap<String, RawTarget>,
    notify: BTreeMap<String, toml::Spanned<notify::Raw>>,
    trust: Trust,
    odoo: Vec<odoo::Raw>,
    terraform: TerraformConfig,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    ssh_key: Option<String>,
    known_hosts: Option<String>,
    #[serde(default)]
    host_keys: Vec<String>,
    root: Option<PathBuf>,
    #[serde(default)]
    paths: BTreeMap<String, PathBuf>,
    include: Option<Vec<String>>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    sudo: bool,
    docker: Option<TargetDocker>,
    max_files: Option<u64>,
    time_limit: Option<String>,
    terraform: Option<terraform::Raw>,
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
            return Ok(Self::parse("")?.with_detected(root));
        }
        let bytes = read_file_within(&path, LARGEST_TEXT).map_err(unreadable)?;
        let not_text = |_| unreadable(std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
        let text = String::from_utf8(bytes).map_err(not_text)?;
        let mut parsed = Self { digest: Some(Digest::of(text.as_bytes())), ..Self::parse(&text)? };
        if !parsed.probes.all.is_empty() {
            parsed.probes.refused = system::written_by_others(&path);
        }
        Ok(parsed.with_detected(root))
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
        let mut targets = BTreeMap::new();
        for (name, target) in raw.targets {
            targets.insert(name.clone(), check_target(&name, target)?);
        }
        for pattern in raw.docker.iter().flat_map(|docker| &docker.containers) {
            compile("docker.containers", std::slice::from_ref(pattern), false)?;
        }
        for contents in raw.docker.iter().flat_map(|docker| &docker.contents) {
            check_contents(contents)?;
        }
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
            packages: raw.packages.map(|it| it.checked("packages")).transpose()?,
            services: raw.services.map(system::RawServices::checked).transpose()?,
            ports: raw.ports.map(|it| it.bracketed().checked("ports")).transpose()?,
            probes: system::checked_probes(raw.probes)?,
            check: raw.check.checked(text)?,
            retention_days: raw.runtime.retention_days,
            notify: notify::checked(raw.notify, &targets, text)?,
            odoo: raw.odoo.into_iter().map(|it| it.checked(&targets)).collect::<Result<_, _>>()?,
            targets,
            trust: check_trust(raw.trust)?,
            terraform: raw.terraform,
            digest: None,
        })
    }
}

fn senseless(key: &str, reason: &str) -> ConfigError {
    let shown = |text: &str| escaped(without_secrets(text).as_bytes());
    ConfigError::Senseless { path: PATH.to_owned(), key: shown(key), reason: shown(reason) }
}

fn compile(key: &str, items: &[String], absolute: bool) -> Result<Vec<Glob>, ConfigError> {
    let one = |text: &String| {
        if text.starts_with('/') && !absolute {
            return Err(senseless(
                key,
                &format!("\"{text}\" is absolute; paths here are relative to the root"),
            ));
        }
        Glob::new(text).map_err(|bad: BadGlob| senseless(key, &bad.to_string()))
    };
    items.iter().map(one).collect()
}

/// Whether a target may have this name: it becomes part of file names.
#[must_use]
pub fn is_target_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !matches!(name, "local" | "baseline")
}

/// Whether a text is a fingerprint as `ssh-keygen -l` prints it.
fn is_fingerprint(text: &str) -> bool {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.strip_prefix("SHA256:").is_some_and(|rest| rest.len() == 43 && rest.bytes().all(base64))
}

fn check_contents(contents: &ContentsConfig) -> Result<(), ConfigError> {
    compile("docker.contents.container", std::slice::from_ref(&contents.container), false)?;
    let is_plain = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !contents.path.strip_prefix('/').is_some_and(is_plain) {
        let reason =
            format!("\"{}\" is no absolute path in a container without \".\" and \"..\"", contents.path);
        return Err(senseless("docker.contents.path", &reason));
    }
    if contents.is_locked() && contents.kind == Some(ContentsKind::Addons) {
        let reason = "with is = \"locked\" files are locked one by one: take kind out";
        return Err(senseless("docker.contents.kind", reason));
    }
    if !is_plain(&contents.is) {
        let reason =
            format!("\"{}\" is no path of the repository, like \"odoo_modules/seisei\"", contents.is);
        return Err(senseless("docker.contents.is", &reason));
    }
    Ok(())
}

fn check_trust(trust: Trust) -> Result<Trust, ConfigError> {
    let files =
        [("allowed_signers", &trust.allowed_signers), ("key", &trust.key), ("report_key", &trust.report_key)];
    match files.iter().find(|(_, file)| file.as_ref().is_some_and(|file| file.as_os_str().is_empty())) {
        Some((name, _)) => Err(senseless(&format!("trust.{name}"), "\"\" is no file")),
        None => Ok(trust),
    }
}

fn check_target(name: &str, raw: RawTarget) -> Result<Target, ConfigError> {
    let key = format!("targets.{name}");
    if !is_target_name(name) {
        let rule = "a target's name is letters, digits, \".\", \"_\" and \"-\", and neither \"local\" nor \"baseline\"";
        return Err(senseless(&key, rule));
    }
    if raw.user.as_ref().is_some_and(|user| !is_user_name(user)) {
        return Err(senseless(
            &format!("{key}.user"),
            "no name of a user; it holds no password: keys alone log in",
        ));
    }
    if raw.host.is_none() && raw.terraform.is_none() {
        let reason =
            "missing field `host`; only an environment with terraform = { dir = \"…\" } is no machine";
        return Err(senseless(&key, reason));
    }
    if raw.host.as_ref().is_some_and(|host| !Address::new(host).names_server()) {
        let rule = "no password, and no more than [user@]host[:port]: keys alone log in";
        return Err(senseless(&format!("{key}.host"), rule));
    }
    if let Some(odd) = raw.host_keys.iter().find(|text| !is_fingerprint(text)) {
        let reason =
            format!("\"{odd}\" is no fingerprint: \"SHA256:\" and 43 letters, as ssh-keygen -l prints it");
        return Err(senseless(&format!("{key}.host_keys"), &reason));
    }
    let mut paths = Vec::new();
    for (prefix, place) in raw.paths {
        let clean = prefix.trim_start_matches("./").trim_end_matches('/');
        if clean.starts_with('/') || clean.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let reason = format!("\"{prefix}\" is no path of the repository");
            return Err(senseless(&format!("{key}.paths"), &reason));
        }
        paths.push((clean.as_bytes().to_vec(), place));
    }
    let mut places = raw.root.iter().chain(paths.iter().map(|(_, place)| place));
    if let Some(place) = places.find(|place| raw.host.as_deref() != Some("local") && !place.is_absolute()) {
        let reason = format!("\"{}\" is relative; on a server root and paths are absolute", place.display());
        return Err(senseless(&key, &reason));
    }
    if raw.max_files == Some(0) {
        return Err(senseless(
            &format!("{key}.max_files"),
            "a server that may tell of no file tells nothing",
        ));
    }
    let include = raw.include.map(|items| compile(&format!("{key}.include"), &items, true)).transpose()?;
    let files = compile(&format!("{key}.files"), &raw.files, true)?;
    let is_here = |glob: &Glob| include.as_ref().is_none_or(|all| all.iter().any(|it| it.may_meet(glob)));
    if let Some(glob) = files.iter().find(|glob| !glob.text().starts_with('/') && !is_here(glob)) {
        let reason = format!("\"{}\" lies outside of this target's include: add it there, too", glob.text());
        return Err(senseless(&format!("{key}.files"), &reason));
    }
    Ok(Target {
        files,
        host: raw.host,
        port: raw.port,
        user: raw.user,
        ssh_key: raw.ssh_key,
        known_hosts: raw.known_hosts,
        host_keys: raw.host_keys,
        root: raw.root,
        paths,
        include,
        sudo: raw.sudo,
        max_files: raw.max_files,
        time_limit: raw.time_limit.map(|text| time_limit(&key, &text)).transpose()?,
        docker: raw.docker,
        terraform: raw.terraform.map(|it| it.checked(&format!("{key}.terraform"))).transpose()?,
    })
}

fn time_limit(key: &str, text: &str) -> Result<Duration, ConfigError> {
    let seconds =
        seconds(text).and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let reason = format!("\"{text}\" is no length of time: write it as 20m, 2h or 1h30m");
        senseless(&format!("{key}.time_limit"), &reason)
    })
}

/// Turns an error in the text of a TOML file into one line with its place and, for an unknown word, the nearest
/// known one.
#[must_use]
pub fn misread(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let mut reason = error.message().replace('\n', " ");
    if let Some(near) = nearest(&reason) {
        reason = format!("{reason}; did you mean `{near}`?");
    }
    invalid(path, text, error.span().map_or(0, |span| span.start), &reason)
}

/// What is wrong at a byte of the text of a file.
#[must_use]
pub fn invalid(path: &str, text: &str, at: usize, reason: &str) -> ConfigError {
    let line = text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1;
    ConfigError::Invalid { path: path.to_owned(), line, reason: escaped(without_secrets(reason).as_bytes()) }
}

/// From "unknown field `x`, expected one of `a`, `b`": the known word nearest to the unknown one.
fn nearest(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(3))
        .map(|(_, known)| known.to_owned())
}

impl From<ConfigError> for crate::error::Failure {
    fn from(error: ConfigError) -> Self {
        Self::from_source(crate::error::FailureKind::Usage, error)
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
