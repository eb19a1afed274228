//! `[targets.NAME]`: the other places that are compared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::error::{ConfigError, compile, senseless};
use super::target_name::is_target_name;
use super::terraform::{self, Terraform};
use crate::model::{Address, Glob, is_user_name, seconds};

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
    /// The pattern of files of Ansible's fact cache, which are read in place of asking it.
    pub facts: Option<PathBuf>,
    /// The age at which those facts are too old, in seconds.
    pub facts_max_age: i64,
    /// The Terraform code that describes its infrastructure.
    pub terraform: Option<Terraform>,
    /// Whether an inventory lists it.
    pub is_of_inventory: bool,
}

/// The age at which facts are too old where nothing is configured: a day.
const FACTS_MAX_AGE: i64 = 24 * 60 * 60;

impl Target {
    /// An environment that is no machine.
    pub(super) fn of_terraform(terraform: Terraform) -> Self {
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
            facts: None,
            facts_max_age: FACTS_MAX_AGE,
            terraform: Some(terraform),
            is_of_inventory: false,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTarget {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    ssh_key: Option<String>,
    known_hosts: Option<String>,
    host_keys: Vec<String>,
    root: Option<PathBuf>,
    paths: BTreeMap<String, PathBuf>,
    include: Option<Vec<String>>,
    files: Vec<String>,
    sudo: bool,
    docker: Option<TargetDocker>,
    max_files: Option<u64>,
    time_limit: Option<String>,
    facts: Option<PathBuf>,
    facts_max_age: Option<String>,
    pub(super) terraform: Option<terraform::Raw>,
}

/// Whether a text is a fingerprint as `ssh-keygen -l` prints it.
pub(super) fn is_fingerprint(text: &str) -> bool {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.strip_prefix("SHA256:").is_some_and(|rest| rest.len() == 43 && rest.bytes().all(base64))
}

/// The target that a table describes, if it makes sense.
pub(super) fn check_target(name: &str, raw: RawTarget) -> Result<Target, ConfigError> {
    check_target_at(&format!("targets.{name}"), name, raw)
}

/// The same of a table that stands elsewhere.
pub(super) fn check_target_at(key: &str, name: &str, raw: RawTarget) -> Result<Target, ConfigError> {
    if !is_target_name(name) {
        let rule = "a target's name is letters, digits, \".\", \"_\" and \"-\", and neither \"local\" nor \"baseline\"";
        return Err(senseless(key, rule));
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
        return Err(senseless(key, reason));
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
        return Err(senseless(key, &reason));
    }
    if raw.max_files == Some(0) {
        return Err(senseless(
            &format!("{key}.max_files"),
            "a server that may tell of no file tells nothing",
        ));
    }
    let is_facts = |facts: &PathBuf| !facts.as_os_str().is_empty() && raw.host.is_some();
    if raw.facts.as_ref().is_some_and(|facts| !is_facts(facts)) {
        let rule = "a pattern of files of Ansible's fact cache, for a target with a host";
        return Err(senseless(&format!("{key}.facts"), rule));
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
        time_limit: raw.time_limit.map(|text| time_limit(key, &text)).transpose()?,
        docker: raw.docker,
        facts: raw.facts,
        facts_max_age: raw.facts_max_age.map_or(Ok(FACTS_MAX_AGE), |text| facts_max_age(key, &text))?,
        terraform: raw.terraform.map(|it| it.checked(&format!("{key}.terraform"))).transpose()?,
        is_of_inventory: false,
    })
}

fn facts_max_age(key: &str, text: &str) -> Result<i64, ConfigError> {
    seconds(text).filter(|seconds| *seconds > 0).ok_or_else(|| {
        let reason = format!("\"{text}\" is no length of time: write it as 30m, 12h or 7d");
        senseless(&format!("{key}.facts_max_age"), &reason)
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
