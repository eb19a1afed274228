//! `[desired.NAME]` and `[commands.NAME]`: what a CMDB says should be, and the programs that ask it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::places::Places;
use super::system::{self, program_is_sound};
use super::{ConfigError, compile, is_target_name, senseless};
use crate::model::{Glob, seconds};

/// The age at which an answer is too old where nothing is configured: a day.
const MAX_AGE: i64 = 24 * 60 * 60;
/// The schemes of an address.
const SCHEMES: [&str; 3] = ["https://", "http://", "file:///"];
/// The words that `power_states` may give a state: one of these, or that the CI is passed over.
const STATES: [&str; 4] = ["running", "stopped", "paused", "ignore"];

/// All `[desired.NAME]`, and the programs that they name.
#[derive(Debug, Clone, Default)]
pub struct DesiredConfig {
    /// The sources by their names.
    pub all: BTreeMap<String, DesiredSource>,
    /// `[commands.NAME]`.
    pub commands: BTreeMap<String, NamedCommand>,
    /// Why none of the programs is run: somebody else could have written the configuration.
    pub refused: Option<String>,
}

/// `[commands.NAME]`: a program that other tables name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCommand {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// The longest that it may take.
    pub timeout: Duration,
}

/// `[desired.NAME]`: a source of desired state.
#[derive(Debug, Clone)]
pub struct DesiredSource {
    /// The way to its answer.
    pub from: DesiredFrom,
    /// The age at which the answer is too old, in seconds.
    pub max_age: i64,
    /// The targets that it is held against, `local` for the project's own tree; `None` is each place.
    pub targets: Option<Vec<String>>,
    /// The CIs that count; `None` is each.
    pub include: Option<Vec<Glob>>,
    /// Names of targets and containers by the names of their CIs, as `NAME` or `TARGET:CONTAINER`.
    pub names: BTreeMap<String, String>,
    /// The paths of the fields in its answer.
    pub fields: FieldPaths,
    /// Its words for power states.
    pub power_states: BTreeMap<String, String>,
    /// What custom fields are held against.
    pub custom: BTreeMap<String, Observable>,
    /// Why it is not asked: nobody whom the machine trusts has defined it.
    pub refused: Option<String>,
}

/// The way to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesiredFrom {
    /// The output of the `[commands.NAME]` of this name.
    Command(String),
    /// An address, and the file of the token that is sent to it.
    Url(String, Option<PathBuf>),
}

/// The part of a place that a custom field is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observable {
    /// The output of a probe, or one value of it, by its place: `NAME` or `NAME:VALUE`.
    Probe(String),
    /// The version of a package.
    Package(String),
}

/// The paths of fields in an answer: names with dots between.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldPaths {
    /// The list of CIs, or the object that has them by name.
    pub items: Option<String>,
    /// The address of the next page.
    pub next: Option<String>,
    /// When the answer was made.
    pub timestamp: Option<String>,
    /// In a CI: its name.
    pub name: Option<String>,
    /// In a CI: its power state.
    pub power_state: Option<String>,
    /// In a CI: its processors.
    pub cpus: Option<String>,
    /// In a CI: its memory in MB.
    pub memory_mb: Option<String>,
    /// In a CI: its networks.
    pub networks: Option<String>,
    /// In a CI: its image.
    pub image: Option<String>,
    /// In a CI: its custom fields.
    pub custom_fields: Option<String>,
}

impl FieldPaths {
    /// The configured paths in an answer as a whole, by their keys; that of `items` is not among them.
    pub fn of_answer(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("next", &self.next), ("timestamp", &self.timestamp)];
        all.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }

    /// The configured paths in a CI, by their keys; that of `name` is not among them.
    pub fn of_item(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("power_state", &self.power_state),
            ("cpus", &self.cpus),
            ("memory_mb", &self.memory_mb),
            ("networks", &self.networks),
            ("image", &self.image),
            ("custom_fields", &self.custom_fields),
        ];
        all.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }
}

impl DesiredSource {
    /// Whether it is held against the place that is called `name`, this machine being `local`.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.iter().any(|target| target == name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommand {
    run: Vec<String>,
    timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDesired {
    command: Option<String>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    max_age: Option<String>,
    targets: Option<Vec<String>>,
    include: Option<Vec<String>>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    fields: FieldPaths,
    #[serde(default)]
    power_states: BTreeMap<String, String>,
    #[serde(default)]
    custom: BTreeMap<String, String>,
}

/// Makes sure that the tables have sense beside the places there are.
pub(super) fn checked(
    desired: BTreeMap<String, RawDesired>,
    commands: BTreeMap<String, RawCommand>,
    places: Places<'_>,
) -> Result<DesiredConfig, ConfigError> {
    let commands: BTreeMap<String, NamedCommand> =
        commands.into_iter().map(checked_command).collect::<Result<_, _>>()?;
    let check = |(name, raw): (String, RawDesired)| {
        let source = raw.checked(&format!("desired.{name}"), &name, places)?;
        Ok((name, source))
    };
    let all = desired.into_iter().map(check).collect::<Result<_, ConfigError>>()?;
    let refused = (!commands.is_empty()).then(|| "they stand in no file of this machine".to_owned());
    Ok(DesiredConfig { all, commands, refused })
}

fn checked_command((name, raw): (String, RawCommand)) -> Result<(String, NamedCommand), ConfigError> {
    let key = format!("commands.{name}");
    if !is_target_name(&name) {
        return Err(senseless(&key, NAMES));
    }
    program_is_sound(&raw.run).map_err(|why| senseless(&format!("{key}.run"), &why))?;
    let timeout = system::checked_timeout(raw.timeout.as_deref());
    let timeout = timeout.map_err(|why| senseless(&format!("{key}.timeout"), &why))?;
    Ok((name, NamedCommand { run: raw.run, timeout }))
}

/// The rule for names of tables.
const NAMES: &str = "the name is letters, digits, \".\", \"_\" and \"-\"";

impl RawDesired {
    fn checked(self, key: &str, name: &str, places: Places<'_>) -> Result<DesiredSource, ConfigError> {
        let bad = |field: &str, why: &str| senseless(&format!("{key}.{field}"), why);
        if !is_target_name(name) {
            return Err(senseless(key, NAMES));
        }
        let from = match (self.command, self.url) {
            (Some(_), None) if self.token_file.is_some() => {
                return Err(bad("token_file", "a token is sent to a url, and not to a command"));
            }
            (Some(command), None) => DesiredFrom::Command(command),
            (None, Some(url)) => {
                may_be_asked(&url, self.token_file.is_some()).map_err(|why| bad("url", why))?;
                DesiredFrom::Url(url, self.token_file)
            }
            _ => return Err(senseless(key, "it names either command, one of [commands], or url")),
        };
        let age = self.max_age.as_deref().map(|text| seconds(text).filter(|age| *age > 0).ok_or(text));
        let max_age = age.transpose().map_err(|text| {
            bad("max_age", &format!("\"{text}\" is no length of time: write it as 30m, 12h or 7d"))
        })?;
        let targets = self.targets.map(|names| places.named(&names)).transpose();
        let targets = targets.map_err(|why| bad("targets", &why))?;
        let is_counterpart = |text: &&String| match text.split_once(':') {
            Some((target, container)) => places.has(target) && !container.is_empty(),
            None => !text.is_empty(),
        };
        if let Some(odd) = self.names.values().find(|text| !is_counterpart(text)) {
            let why = format!("\"{odd}\" is neither a name nor TARGET:CONTAINER with a target that there is");
            return Err(bad("names", &why));
        }
        if let Some(odd) = self.power_states.values().find(|word| !STATES.contains(&word.as_str())) {
            return Err(bad("power_states", &format!("\"{odd}\" is none of {}", STATES.join(", "))));
        }
        let custom = self.custom.into_iter().map(|(field, text)| {
            let observable = observable(&text).ok_or_else(|| {
                bad("custom", &format!("\"{text}\" is neither probe:NAME, probe:NAME:VALUE nor package:NAME"))
            });
            Ok((field, observable?))
        });
        Ok(DesiredSource {
            from,
            max_age: max_age.unwrap_or(MAX_AGE),
            custom: custom.collect::<Result<_, ConfigError>>()?,
            targets,
            include: self
                .include
                .map(|items| compile(&format!("{key}.include"), &items, false))
                .transpose()?,
            names: self.names,
            fields: self.fields,
            power_states: self.power_states,
            refused: None,
        })
    }
}

fn observable(text: &str) -> Option<Observable> {
    let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty())?;
    match kind {
        "probe" => Some(Observable::Probe(name.to_owned())),
        "package" => Some(Observable::Package(name.to_owned())),
        _ => None,
    }
}

/// Whether an address has a form that can be asked; the words do not repeat it.
pub(super) fn may_be_asked(url: &str, has_token: bool) -> Result<(), &'static str> {
    let Some(scheme) = SCHEMES.into_iter().find(|scheme| url.starts_with(scheme)) else {
        return Err("it begins with https://, http:// or file:///");
    };
    if scheme == "file:///" {
        return if has_token { Err("a file takes no token: leave token_file out") } else { Ok(()) };
    }
    let authority = url[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it holds a user or a password: put a token into a file, and name that as token_file");
    }
    let host = if authority.starts_with('[') {
        authority.split(']').next().map(|host| host.trim_start_matches('['))
    } else {
        authority.split(':').next()
    };
    let host = host.filter(|host| !host.is_empty()).ok_or("it names no host")?;
    let is_here = host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    if scheme == "http://" && has_token && !is_here {
        return Err("a token would travel unencrypted: use https://");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn each_names_one_way_and_places_that_there_are() {
        let text = "[targets.a]\nhost = \"x\"\n[commands.cmdb]\nrun = [\"cmdb\"]\n\
            [desired.one]\ncommand = \"cmdb\"\nmax_age = \"2h\"\ntargets = [\"a\", \"local\"]\n\
            [desired.two]\nurl = \"https://netbox.example.com/api/\"\ntoken_file = \"t\"\nnames = { x = \"a:web\" }\n\
            custom = { bios = \"probe:bios\", nginx = \"package:nginx\" }\npower_states = { retired = \"ignore\" }\n";
        let desired = Config::parse(text).unwrap().desired;
        assert_eq!(desired.all["one"].max_age, 7200);
        assert!(desired.all["one"].is_of("a") && !desired.all["one"].is_of("b"));
        assert_eq!(desired.all["two"].custom["bios"], Observable::Probe("bios".to_owned()));
        assert!(desired.refused.is_some(), "in no file of this machine");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_without_repeating_it() {
        for (text, why) in [
            ("", "either command"),
            ("command = \"a\"\nurl = \"https://x/\"", "either command"),
            ("command = \"a\"\ntoken_file = \"t\"", "not to a command"),
            ("url = \"ftp://s3cr3t/\"", "it begins with"),
            ("url = \"https://u:s3cr3t@x/\"", "a user or a password"),
            ("url = \"https:///s3cr3t\"", "no host"),
            ("url = \"http://s3cr3t.example.com/\"\ntoken_file = \"t\"", "unencrypted"),
            ("url = \"file:///x\"\ntoken_file = \"t\"", "takes no token"),
            ("url = \"https://x/\"\nmax_age = \"0s\"", "no length of time"),
            ("url = \"https://x/\"\ntargets = [\"b\"]", "is no target"),
            ("url = \"https://x/\"\nnames = { a = \"b:c\" }", "TARGET:CONTAINER"),
            ("url = \"https://x/\"\npower_states = { a = \"on\" }", "is none of"),
            ("url = \"https://x/\"\ncustom = { a = \"file:x\" }", "probe:NAME"),
            ("url = \"https://x/\"\nfields = { cpu = \"x\" }", "did you mean `cpus`?"),
        ] {
            let error = Config::parse(&format!("[desired.x]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("s3cr3t"), "{text}: {error}");
        }
        for url in ["http://127.0.0.1:80/", "http://[::1]:8000/", "http://localhost/"] {
            assert!(may_be_asked(url, true).is_ok(), "{url}");
        }
        assert!(
            Config::parse("[commands.x]\nrun = [\"./x\"]\n").unwrap_err().to_string().contains("relative")
        );
    }
}
