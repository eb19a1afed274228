//! `config.yaml` of the older Python agent, `TFDriftAgent`: each of its keys, as what it is here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::error::nearest;
use super::git_source::RawGitSource;
use super::serve::{address, host, hosts_of};
use super::{
    Config, ConfigError, Deployment, DeploymentVariables, Schedule, ServeConfig, Target, Terraform,
    is_target_name,
};
use crate::content::{YamlValue, yaml_value};
use crate::model::{Glob, escaped, without_secrets};

/// Its keys.
const TOP: [&str; 4] = ["infrastructure_deployments", "notification_methods", "secrets", "server"];
const DEPLOYMENT: [&str; 8] =
    ["name", "tags", "git", "source_root", "env_vars", "enabled", "drift_check_interval", "notifications"];
const GIT: [&str; 3] = ["repo_url", "branch", "ssh_key"];
const SERVER: [&str; 3] = ["host", "port", "domain"];
/// Words of YAML 1.1 for what is so, and for what is not.
const YES: [&str; 4] = ["true", "yes", "on", "y"];
const NO: [&str; 4] = ["false", "no", "off", "n"];
/// The longest interval that is meant, in minutes.
const LONGEST: u64 = 366 * 24 * 60;
/// The branch where none is named, as that agent had it.
const BRANCH: &str = "main";

/// Reads such a file as a configuration, with what somebody should hear of.
pub(super) fn read(file: &str, text: &str) -> Result<(Config, Vec<String>), ConfigError> {
    let value = yaml_value(text)
        .map_err(|error| ConfigError::Refused { path: file.to_owned(), reason: error.to_string() })?;
    let reader = OlderFile { file, text };
    let top = reader.table("", &value)?;
    top.only(&TOP)?;
    let mut warnings = vec![
        "it is the configuration of the older agent; write it as audit/driftlock.toml with: driftlock init --from FILE".to_owned(),
    ];
    let unused = [
        ("notification_methods", "who is told is said by [notify.NAME]; the older agent never told anybody"),
        ("secrets", "secrets lie in files of their own"),
    ];
    for (key, why) in unused {
        if top.value(key).is_some() {
            warnings.push(format!("{key} is of no use: {why}"));
        }
    }
    let mut config = Config::parse("")?;
    config.serve = Some(
        top.value("server")
            .map_or_else(|| Ok(ServeConfig::default()), |value| server(&reader.table("server", value)?))?,
    );
    let mut names = BTreeSet::new();
    for (n, value) in top.list("infrastructure_deployments")?.iter().enumerate() {
        let table = reader.table(&format!("infrastructure_deployments[{n}]"), value)?;
        let (deployment, terraform) = deployment(&table, &mut names, &mut warnings)?;
        config.targets.insert(deployment.name.clone(), Target::of_terraform(terraform));
        config.deployments.push(deployment);
    }
    let shown = |text: String| escaped(without_secrets(&text).as_bytes());
    Ok((config, warnings.into_iter().map(shown).collect()))
}

fn server(table: &OlderTable<'_>) -> Result<ServeConfig, ConfigError> {
    table.only(&SERVER)?;
    let default = ServeConfig::default();
    let port = match table.text("port")? {
        Some(text) => text.parse().map_err(|_| table.bad("port", "it is a number of at most 65535"))?,
        None => default.listen.port(),
    };
    let listen = match table.text("host")? {
        None => std::net::SocketAddr::new(default.listen.ip(), port),
        Some(text) if text.contains(':') => {
            address(&format!("[{text}]:{port}")).map_err(|_| table.bad("host", "it is no address"))?
        }
        Some(text) => address(&format!("{text}:{port}"))
            .map_err(|_| table.bad("host", "it is an address, such as 127.0.0.1, or localhost"))?,
    };
    let mut hosts = hosts_of(listen);
    if let Some(domain) = table.text("domain")? {
        hosts.insert(0, host(&domain).map_err(|_| table.bad("domain", "it is no name of a host"))?);
    }
    Ok(ServeConfig { listen, hosts, ..default })
}

fn deployment(
    table: &OlderTable<'_>,
    names: &mut BTreeSet<String>,
    warnings: &mut Vec<String>,
) -> Result<(Deployment, Terraform), ConfigError> {
    table.only(&DEPLOYMENT)?;
    let called = table.text("name")?.ok_or_else(|| table.bad("name", "it is missing"))?;
    let name = short_name(&called, names);
    if name != called {
        warnings.push(format!("the deployment \"{called}\" is called {name} here"));
    }
    if table.value("notifications").is_some() {
        warnings.push(format!("{name}: notifications is of no use: who is told is said by [notify.NAME]"));
    }
    let git = table.value("git").ok_or_else(|| table.bad("git", "it is missing"))?;
    let git = table.file.table(&format!("{}.git", table.key), git)?;
    let (variables, dropped) = variables(table)?;
    for variable in dropped {
        warnings.push(format!(
            "{name}: the variable {variable} of env_vars is not given to Terraform: it decides what is run"
        ));
    }
    let mut env: Vec<Glob> = Vec::new();
    for (variable, _) in variables.iter() {
        env.extend(Glob::new(&Glob::literal(variable)));
    }
    warnings.push(format!(
        "{name}: Terraform receives the variables of env_vars alone; name others in env of [targets.{name}] terraform"
    ));
    let dir = source_root(table)?;
    let deployment = Deployment {
        enabled: table.truth("enabled")?.unwrap_or(true),
        targets: Some(vec![name.clone()]),
        schedule: interval(table)?,
        git: Some(repository(&git, &name, warnings)?),
        tags: tags(table, &called, &name)?,
        variables,
        ..Deployment::named(&name)
    };
    Ok((deployment, Terraform { env, ..Terraform::of_dir(dir) }))
}

fn repository(
    table: &OlderTable<'_>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<super::GitSource, ConfigError> {
    table.only(&GIT)?;
    let url = table.text("repo_url")?.ok_or_else(|| table.bad("repo_url", "it is missing"))?;
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let ssh_key = table.text("ssh_key")?;
    if is_web && ssh_key.is_some() {
        warnings.push(format!("{name}: git.ssh_key is of no use for an address that begins with https://"));
    }
    let raw = RawGitSource {
        url,
        branch: table.text("branch")?.unwrap_or_else(|| BRANCH.to_owned()),
        ssh_key: ssh_key.filter(|_| !is_web).map(PathBuf::from),
        host_keys: Vec::new(),
        token_file: None,
        path: PathBuf::new(),
    };
    raw.checked(&table.key).map_err(|error| error.of_file(table.file.file))
}

fn interval(table: &OlderTable<'_>) -> Result<Schedule, ConfigError> {
    let Some(text) = table.text("drift_check_interval")? else {
        return Ok(Deployment::named("").schedule);
    };
    let minutes = text.parse().ok().filter(|minutes| (1..=LONGEST).contains(minutes));
    let minutes: u64 =
        minutes.ok_or_else(|| table.bad("drift_check_interval", "it is a number of minutes, 1 or more"))?;
    Ok(Schedule::Every(Duration::from_secs(60 * minutes)))
}

/// The directory of the code in the repository: that agent took `/` for its top.
fn source_root(table: &OlderTable<'_>) -> Result<PathBuf, ConfigError> {
    let text = table.text("source_root")?.unwrap_or_default();
    let mut dir = PathBuf::new();
    for part in Path::new(text.trim_start_matches('/')).components() {
        match part {
            Component::Normal(name) => dir.push(name),
            Component::CurDir => {}
            _ => return Err(table.bad("source_root", "it leads out of the repository")),
        }
    }
    if dir.as_os_str().is_empty() {
        dir.push(".");
    }
    Ok(dir)
}

/// The variables, and the names of those that nobody but driftlock sets.
fn variables(table: &OlderTable<'_>) -> Result<(DeploymentVariables, Vec<String>), ConfigError> {
    let (mut variables, mut dropped) = (DeploymentVariables::default(), Vec::new());
    for (name, value) in table.texts("env_vars")? {
        if !variables.insert(&name, &value) {
            dropped.push(name);
        }
    }
    Ok((variables, dropped))
}

fn tags(table: &OlderTable<'_>, called: &str, name: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut tags = table.texts("tags")?;
    if called != name {
        tags.entry("name".to_owned()).or_insert_with(|| called.to_owned());
    }
    Ok(tags)
}

/// A name that a directory may have, near to the one that it was called by and unlike all others.
fn short_name(called: &str, names: &mut BTreeSet<String>) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let dashed: String = called.chars().map(|c| if is_letter(c) { c } else { '-' }).collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    let clean = parts.join("-").trim_start_matches(['.', '_', '-']).to_owned();
    let base = if is_target_name(&clean) {
        clean
    } else {
        format!("deployment-{clean}").trim_end_matches('-').to_owned()
    };
    let numbered = (2..).map(|n: u64| format!("{base}-{n}"));
    let free = |name: &String| names.insert(name.to_ascii_lowercase());
    std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base)
}

/// The file, for messages.
struct OlderFile<'a> {
    file: &'a str,
    text: &'a str,
}

/// A mapping of it.
struct OlderTable<'a> {
    file: &'a OlderFile<'a>,
    key: String,
    map: BTreeMap<String, YamlValue>,
}

impl OlderFile<'_> {
    fn table(&self, key: &str, value: &YamlValue) -> Result<OlderTable<'_>, ConfigError> {
        let map = match value {
            YamlValue::Map(map) => map.clone(),
            nothing if nothing.is_nothing() => BTreeMap::new(),
            _ => return Err(self.bad(key, "it is a mapping")),
        };
        Ok(OlderTable { file: self, key: key.to_owned(), map })
    }

    /// What is wrong with a key, whose value is not repeated: it may be a secret.
    fn bad(&self, key: &str, reason: &str) -> ConfigError {
        let key = if key.is_empty() { "the document" } else { key };
        ConfigError::Senseless { path: self.file.to_owned(), key: key.to_owned(), reason: reason.to_owned() }
    }

    /// The line of a key that is written on one line alone.
    fn line(&self, key: &str) -> Option<usize> {
        let is_key = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start();
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
        };
        let mut lines = self.text.lines().enumerate().filter(|(_, line)| is_key(line));
        lines.next().filter(|_| lines.next().is_none()).map(|(at, _)| at + 1)
    }
}

impl OlderTable<'_> {
    fn path(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    fn bad(&self, name: &str, reason: &str) -> ConfigError {
        self.file.bad(&self.path(name), reason)
    }

    /// Makes sure that no other key is there than these.
    fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        let Some(odd) = self.map.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
        let list = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let mut reason = format!("unknown field `{}`, expected one of {list}", escaped(odd.as_bytes()));
        if let Some(near) = nearest(&reason) {
            reason = format!("{reason}; did you mean `{near}`?");
        }
        Err(match self.file.line(odd) {
            Some(line) => ConfigError::Invalid { path: self.file.file.to_owned(), line, reason },
            None => self.file.bad(&self.key, &reason),
        })
    }

    /// A value that is there and not nothing.
    fn value(&self, name: &str) -> Option<&YamlValue> {
        self.map.get(name).filter(|value| !value.is_nothing())
    }

    fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match self.value(name) {
            None => Ok(None),
            Some(YamlValue::Scalar { text, .. }) => Ok(Some(text.clone())),
            Some(_) => Err(self.bad(name, "it is a text")),
        }
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let text = text.to_ascii_lowercase();
        match (YES.contains(&text.as_str()), NO.contains(&text.as_str())) {
            (true, _) => Ok(Some(true)),
            (_, true) => Ok(Some(false)),
            _ => Err(self.bad(name, "it is true or false")),
        }
    }

    fn list(&self, name: &str) -> Result<Vec<YamlValue>, ConfigError> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(YamlValue::List(list)) => Ok(list.clone()),
            Some(_) => Err(self.bad(name, "it is a list")),
        }
    }

    /// A mapping of texts.
    fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let Some(value) = self.value(name) else { return Ok(BTreeMap::new()) };
        let table = self.file.table(&self.path(name), value)?;
        let texts = table.map.iter().map(|(key, value)| match value {
            YamlValue::Scalar { .. } if value.is_nothing() => Ok((key.clone(), String::new())),
            YamlValue::Scalar { text, .. } => Ok((key.clone(), text.clone())),
            _ => Err(table.bad(key, "it is a text")),
        });
        texts.collect()
    }
}

#[cfg(test)]
mod tests;
