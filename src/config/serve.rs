//! `[serve]` and `[[deployments]]`: what the agent is, and what it looks at when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::deployment_variables::DeploymentVariables;
use super::git_source::{GitSource, RawGitSource};
use super::places::Places;
use super::{ConfigError, GROUP_MARK, Groups, RETENTION_DAYS, is_target_name, senseless};
use crate::control::cron::Cron;
use crate::model::seconds;

/// Where the agent listens where nothing is configured.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8870);
/// How many deployments are looked at at the same time where nothing is configured.
const JOBS: usize = 4;
/// How often a deployment is looked at where nothing is configured.
const INTERVAL: Duration = Duration::from_secs(30 * 60);
/// How soon it is looked at again after an error.
const ON_ERROR: Duration = Duration::from_secs(60);
/// How long one run may take.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The shortest interval.
const SHORTEST: i64 = 1;
/// The longest interval, and the longest time for a run: what is longer is meant otherwise.
const LONGEST: i64 = 366 * 24 * 60 * 60;

/// `[serve]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The names by which it may be called: the hosts of a request, in lower case, without a port.
    pub hosts: Vec<String>,
    /// Where runs, journals and mirrors are kept; `None` is below the project.
    pub state_dir: Option<PathBuf>,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
    /// How many deployments are looked at at the same time.
    pub jobs: NonZeroUsize,
    /// The branch that acknowledgements are committed to.
    pub commit_acknowledgements: Option<String>,
    /// How many days runs and events are kept.
    pub retention_days: u32,
}

/// `[serve] tls`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, with those of its authorities behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            hosts: hosts_of(LISTEN),
            state_dir: None,
            tls: None,
            jobs: NonZeroUsize::MIN.saturating_add(JOBS - 1),
            commit_acknowledgements: None,
            retention_days: RETENTION_DAYS,
        }
    }
}

impl ServeConfig {
    /// Makes sure that what is sent cannot be read on the way: it listens on this machine alone, has a certificate, or
    /// `insecure` says that somebody else sees to that.
    ///
    /// # Errors
    /// When tokens would travel in the open.
    pub fn allow_listening(&self, insecure: bool) -> Result<(), ConfigError> {
        if insecure || self.tls.is_some() || self.listen.ip().is_loopback() {
            return Ok(());
        }
        let reason = format!(
            "{} is not an address of this machine alone, and tokens would travel in the open: set tls = {{ cert = \"…\", key = \
             \"…\" }}, or start with --insecure where something in front of it speaks TLS",
            self.listen
        );
        Err(senseless("serve.listen", &reason))
    }
}

/// `[[deployments]]`: what is looked at again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Whether it is looked at.
    pub enabled: bool,
    /// A project's root on this machine; `None` is that of the configuration, or the work tree of `git`.
    pub root: Option<PathBuf>,
    /// The targets, `local` for the project's own tree; none named is every one.
    pub targets: Option<Vec<String>>,
    /// The checks; none named is every one.
    pub checks: Vec<String>,
    /// When it is looked at.
    pub schedule: Schedule,
    /// How soon it is looked at again after an error.
    pub on_error: Duration,
    /// How long one run may take.
    pub timeout: Duration,
    /// The repository that its released state is fetched from.
    pub git: Option<GitSource>,
    /// Whether changes are looked for in between.
    pub watch: bool,
    /// A file of `KEY=VALUE` lines: variables that Terraform receives.
    pub env_file: Option<PathBuf>,
    /// Variables that Terraform receives, where they do not stand in a file of their own.
    pub variables: DeploymentVariables,
    /// Words about it, for whoever reads of it.
    pub tags: BTreeMap<String, String>,
}

/// When a deployment is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Again and again after this time.
    Every(Duration),
    /// At moments of the calendar.
    At(Cron),
}

impl Deployment {
    /// A deployment of which only the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            enabled: true,
            root: None,
            targets: None,
            checks: Vec::new(),
            schedule: Schedule::Every(INTERVAL),
            on_error: ON_ERROR,
            timeout: TIMEOUT,
            git: None,
            watch: false,
            env_file: None,
            variables: DeploymentVariables::default(),
            tags: BTreeMap::new(),
        }
    }

    /// The variables that Terraform receives for it; its file is relative to `root`.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or a line of it is no variable.
    pub fn terraform_variables(&self, root: &Path) -> Result<DeploymentVariables, ConfigError> {
        match &self.env_file {
            Some(file) => DeploymentVariables::read(&root.join(file)),
            None => Ok(self.variables.clone()),
        }
    }

    /// Whether it is looked at from the place that is called `target`, this machine being `local`.
    #[must_use]
    pub fn is_of(&self, target: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.iter().any(|name| name == target))
    }
}

/// `[serve]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServe {
    listen: Option<String>,
    hosts: Option<Vec<String>>,
    state_dir: Option<PathBuf>,
    tls: Option<TlsFiles>,
    jobs: Option<NonZeroUsize>,
    commit_acknowledgements: Option<String>,
    retention_days: Option<u32>,
}

/// `[[deployments]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeployment {
    name: String,
    enabled: Option<bool>,
    root: Option<PathBuf>,
    targets: Option<Vec<String>>,
    #[serde(default)]
    checks: Vec<String>,
    interval: Option<String>,
    cron: Option<String>,
    timezone: Option<String>,
    on_error: Option<String>,
    timeout: Option<String>,
    git: Option<RawGitSource>,
    #[serde(default)]
    watch: bool,
    env_file: Option<PathBuf>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl RawServe {
    /// Makes sure that it has sense.
    pub(super) fn checked(self) -> Result<ServeConfig, ConfigError> {
        let listen = self.listen.as_deref().map_or(Ok(LISTEN), address)?;
        let named = |key: &str, path: Option<&Path>| match path {
            Some(path) if path.as_os_str().is_empty() => {
                Err(senseless(&format!("serve.{key}"), "\"\" names nothing"))
            }
            _ => Ok(()),
        };
        named("state_dir", self.state_dir.as_deref())?;
        named("tls.cert", self.tls.as_ref().map(|tls| tls.cert.as_path()))?;
        named("tls.key", self.tls.as_ref().map(|tls| tls.key.as_path()))?;
        let hosts = self.hosts.map_or_else(|| Ok(hosts_of(listen)), |hosts| hosts.iter().map(host).collect());
        let branch = self.commit_acknowledgements;
        if let Some(odd) = branch.as_ref().filter(|branch| !super::git_source::is_branch(branch)) {
            return Err(senseless("serve.commit_acknowledgements", &format!("\"{odd}\" is no branch")));
        }
        let default = ServeConfig::default();
        Ok(ServeConfig {
            listen,
            hosts: hosts?,
            state_dir: self.state_dir,
            tls: self.tls,
            jobs: self.jobs.unwrap_or(default.jobs),
            commit_acknowledgements: branch,
            retention_days: self.retention_days.unwrap_or(default.retention_days),
        })
    }
}

/// The address that a text names: with a port, and `localhost` for this machine.
pub(super) fn address(text: &str) -> Result<SocketAddr, ConfigError> {
    let found = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(LISTEN.ip(), port)),
        None => text.parse().ok(),
    };
    found.ok_or_else(|| {
        let reason = format!(
            "\"{text}\" is no address with a port: write 127.0.0.1:8870, [::1]:8870, or 0.0.0.0:8870 for every network"
        );
        senseless("serve.listen", &reason)
    })
}

/// The names of an address where nobody says otherwise.
pub(super) fn hosts_of(listen: SocketAddr) -> Vec<String> {
    let address = match listen.ip() {
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    let address = Some(address).filter(|_| !listen.ip().is_unspecified());
    address.into_iter().chain(["localhost".to_owned()]).collect()
}

/// A name of a host, as a request names it.
pub(super) fn host(text: &String) -> Result<String, ConfigError> {
    let is_address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = is_address.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_name = text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_letter));
    if is_address || is_name {
        return Ok(text.to_ascii_lowercase());
    }
    let reason = format!("\"{text}\" is no name of a host: no scheme, no port, no pattern");
    Err(senseless("serve.hosts", &reason))
}

/// The deployments, if they make sense.
pub(super) fn checked_deployments(
    raw: Vec<RawDeployment>,
    groups: &Groups,
) -> Result<Vec<Deployment>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for deployment in raw {
        // State lies in a directory of each one, on disks that may take `A` for `a`.
        if !names.insert(deployment.name.to_ascii_lowercase()) {
            let reason = format!("\"{}\" stands here a second time", deployment.name);
            return Err(senseless("deployments.name", &reason));
        }
        let mut deployment = deployment.checked()?;
        deployment.expand(groups)?;
        all.push(deployment);
    }
    Ok(all)
}

/// Makes sure that each deployment names targets that there are. Those of a fetched commit are known once it is fetched, those
/// of another project once that is read.
pub(super) fn check_targets(deployments: &[Deployment], places: Places<'_>) -> Result<(), ConfigError> {
    let mut own = deployments.iter().filter(|it| it.git.is_none() && it.root.is_none());
    own.try_for_each(|deployment| {
        let held = places.hold(deployment.targets.iter().flatten());
        held.map_err(|why| senseless(&format!("deployments.{}.targets", deployment.name), &why))
    })
}

impl Deployment {
    /// Puts the members in place of each group that stands beside it; others may be of the project that it looks at.
    fn expand(&mut self, groups: &Groups) -> Result<(), ConfigError> {
        let Some(names) = &self.targets else { return Ok(()) };
        let is_known = |name: &String| name.strip_prefix(GROUP_MARK).is_none_or(|group| groups.has(group));
        if !names.iter().all(is_known) {
            return Ok(());
        }
        let expanded = groups.expand(names.iter().map(String::as_str));
        let at = || format!("deployments.{}.targets", self.name);
        let expanded = expanded.map_err(|error| senseless(&at(), &error.to_string()))?;
        self.targets = Some(expanded.into_iter().map(str::to_owned).collect());
        Ok(())
    }
}

impl RawDeployment {
    fn checked(self) -> Result<Deployment, ConfigError> {
        let name = self.name;
        if !is_target_name(&name) {
            let rule = "a deployment's name is letters, digits, \".\", \"_\" and \"-\", and neither \"local\" nor \"baseline\"";
            return Err(senseless("deployments.name", &format!("\"{name}\": {rule}")));
        }
        let at = |key: &str| format!("deployments.{name}.{key}");
        if self.targets.as_ref().is_some_and(Vec::is_empty) {
            return Err(senseless(
                &at("targets"),
                "an empty list is nothing to look at: set enabled = false",
            ));
        }
        for (key, path) in [("root", &self.root), ("env_file", &self.env_file)] {
            if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
                return Err(senseless(&at(key), "\"\" names nothing"));
            }
        }
        if self.root.is_some() && self.git.is_some() {
            let reason = "root is a project on this machine, and git is fetched: name one of them; git.path is a directory of \
                          the repository";
            return Err(senseless(&at("root"), reason));
        }
        let length = |key: &str, text: Option<String>, default: Duration| {
            text.map_or(Ok(default), |text| duration(&at(key), &text))
        };
        let schedule = match (self.interval, self.cron, self.timezone) {
            (None, Some(text), zone) => Schedule::At(
                Cron::parse(&text, zone.as_deref())
                    .map_err(|why| senseless(&at("cron"), &why.to_string()))?,
            ),
            (Some(_), Some(_), _) => return Err(senseless(&at("cron"), "name interval or cron, not both")),
            (_, None, Some(_)) => {
                return Err(senseless(&at("timezone"), "an interval has no time zone; cron has one"));
            }
            (text, None, None) => Schedule::Every(length("interval", text, INTERVAL)?),
        };
        Ok(Deployment {
            enabled: self.enabled.unwrap_or(true),
            root: self.root,
            targets: self.targets,
            checks: self.checks,
            schedule,
            on_error: length("on_error", self.on_error, ON_ERROR)?,
            timeout: length("timeout", self.timeout, TIMEOUT)?,
            git: self.git.map(|git| git.checked(&at("git"))).transpose()?,
            watch: self.watch,
            env_file: self.env_file,
            variables: DeploymentVariables::default(),
            tags: self.tags,
            name,
        })
    }
}

fn duration(key: &str, text: &str) -> Result<Duration, ConfigError> {
    let found = seconds(text).filter(|found| (SHORTEST..=LONGEST).contains(found));
    found.and_then(|found| u64::try_from(found).ok()).map(Duration::from_secs).ok_or_else(|| {
        senseless(
            key,
            &format!("\"{text}\" is no length of time of a second to a year: write it as 90s, 30m or 1h30m"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_needed_and_every_key_is_read() {
        assert_eq!(parse("").serve, None);
        let bare = parse("[serve]\n").serve.unwrap();
        assert_eq!(bare, ServeConfig::default());
        assert_eq!(
            (bare.listen.to_string().as_str(), bare.hosts.join(" ").as_str()),
            ("127.0.0.1:8870", "127.0.0.1 localhost")
        );
        let whole = parse(
            "[serve]\nlisten = \"[::1]:9000\"\nhosts = [\"Drift.example.com\", \"[::1]\"]\nstate_dir = \"/var/lib/driftlock\"\n\
             tls = { cert = \"a.pem\", key = \"b.pem\" }\njobs = 2\ncommit_acknowledgements = \"ack/agent\"\nretention_days = 7\n",
        );
        let whole = whole.serve.unwrap();
        assert_eq!(whole.hosts, ["drift.example.com", "[::1]"]);
        assert_eq!((whole.jobs.get(), whole.retention_days), (2, 7));
        assert_eq!(whole.commit_acknowledgements.as_deref(), Some("ack/agent"));
        assert_eq!(
            parse("[serve]\nlisten = \"localhost:5000\"\n").serve.unwrap().listen.to_string(),
            "127.0.0.1:5000"
        );
        assert_eq!(parse("[serve]\nlisten = \"0.0.0.0:1\"\n").serve.unwrap().hosts, ["localhost"]);
    }

    #[test]
    fn a_deployment_is_read_with_all_its_keys() {
        let text = "[targets.prod]\nhost = \"x\"\n[[deployments]]\nname = \"a\"\n[[deployments]]\nname = \"b\"\nenabled = false\n\
                    targets = [\"prod\", \"local\"]\nchecks = [\"compose_hashes\"]\ncron = \"15 3 * * 1\"\ntimezone = \"+01:00\"\n\
                    on_error = \"5m\"\ntimeout = \"1h\"\nwatch = true\nenv_file = \"/etc/b.env\"\ntags = { team = \"x\" }\n\
                    [[deployments]]\nname = \"c\"\ninterval = \"90s\"\ntargets = [\"theirs\"]\n\
                    git = { url = \"ssh://git@example.com/a.git\", branch = \"main\" }\n";
        let [a, b, c] = parse(text).deployments.try_into().unwrap();
        assert_eq!(a, Deployment::named("a"));
        assert_eq!((a.schedule, a.on_error.as_secs()), (Schedule::Every(INTERVAL), 60));
        assert!(!b.enabled && b.watch && b.is_of("prod") && !b.is_of("other"));
        let Schedule::At(cron) = b.schedule else { panic!("{:?}", b.schedule) };
        assert_eq!((cron.text(), cron.zone().as_str()), ("15 3 * * 1", "+01:00"));
        assert_eq!(c.schedule, Schedule::Every(Duration::from_secs(90)));
        assert_eq!(c.git.unwrap().branch, "main");
    }

    #[test]
    fn what_has_no_sense_is_named_with_its_key() {
        for (text, expected) in [
            ("listen = \"8870\"", "serve.listen"),
            ("listen = \"example.com:80\"", "no address with a port"),
            ("hosts = [\"https://x\"]", "serve.hosts"),
            ("hosts = [\"x:80\"]", "serve.hosts"),
            ("hosts = [\"*\"]", "serve.hosts"),
            ("jobs = 0", "nonzero"),
            ("tls = { cert = \"a\" }", "missing field `key`"),
            ("tls = { cert = \"\", key = \"b\" }", "serve.tls.cert"),
            ("state_dir = \"\"", "serve.state_dir"),
            ("commit_acknowledgements = \"--force\"", "is no branch"),
            ("port = 1", "unknown field `port`"),
            ("lisen = \"x\"", "did you mean `listen`?"),
        ] {
            let error = error(&format!("[serve]\n{text}\n"));
            assert!(error.contains(expected), "{text}: {error}");
        }
        for (text, expected) in [
            ("interval = \"0s\"", "deployments.a.interval"),
            ("interval = \"9000w\"", "deployments.a.interval"),
            ("interval = \"30\"", "write it as"),
            ("interval = \"1m\"\ncron = \"* * * * *\"", "not both"),
            ("cron = \"* * * *\"", "has 4 fields"),
            ("cron = \"* * * * *\"\ntimezone = \"Nowhere/Land\"", "no time zone"),
            ("timezone = \"UTC\"", "has no time zone"),
            ("targets = []", "enabled = false"),
            ("root = \"\"", "deployments.a.root"),
            ("root = \"/x\"\ngit = { url = \"https://x/a\", branch = \"m\" }", "name one of them"),
            ("git = { url = \"https://x/a\" }", "missing field `branch`"),
            ("intervall = \"1m\"", "did you mean `interval`?"),
        ] {
            let error = error(&format!("[[deployments]]\nname = \"a\"\n{text}\n"));
            assert!(error.contains(expected), "{text}: {error}");
        }
        for name in ["", "a b", "../a", "local", "-a", "a/b"] {
            assert!(
                error(&format!("[[deployments]]\nname = \"{name}\"\n")).contains("deployments.name"),
                "{name}"
            );
        }
        assert!(
            error("[[deployments]]\nname = \"a\"\n[[deployments]]\nname = \"A\"\n").contains("a second time")
        );
    }

    #[test]
    fn a_target_that_nobody_has_is_noticed_where_the_project_is_read() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("audit")).unwrap();
        let load = |text: &str| {
            std::fs::write(root.path().join(super::super::PATH), text).unwrap();
            Config::load(root.path()).map_err(|error| error.to_string())
        };
        let why = load("[[deployments]]\nname = \"a\"\ntargets = [\"b\"]\n").unwrap_err();
        assert!(why.contains("deployments.a.targets: \"b\" is no target"), "{why}");
        assert!(load("[[deployments]]\nname = \"a\"\ntargets = [\"local\"]\n").is_ok());
        let fetched =
            "[[deployments]]\nname = \"a\"\ntargets = [\"b\"]\ngit = { url = \"/x\", branch = \"m\" }\n";
        let config = load(fetched).unwrap();
        assert!(config.of_fetched_commit().deployments.is_empty());
        // An environment that is detected is a target, too.
        std::fs::create_dir_all(root.path().join("environments/prod")).unwrap();
        std::fs::write(root.path().join("environments/prod/main.tf"), "").unwrap();
        assert!(load("[[deployments]]\nname = \"a\"\ntargets = [\"prod\"]\n").is_ok());
    }

    #[test]
    fn tokens_do_not_travel_in_the_open() {
        let config = |text: &str| parse(&format!("[serve]\n{text}\n")).serve.unwrap();
        assert!(config("").allow_listening(false).is_ok());
        let open = config("listen = \"0.0.0.0:8870\"");
        let why = open.allow_listening(false).unwrap_err().to_string();
        assert!(why.contains("--insecure") && why.contains("tls = {"), "{why}");
        assert!(open.allow_listening(true).is_ok());
        let tls = config("listen = \"0.0.0.0:8870\"\ntls = { cert = \"a\", key = \"b\" }");
        assert!(tls.allow_listening(false).is_ok());
    }
}
