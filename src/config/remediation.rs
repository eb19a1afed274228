//! `[remediation]` and `[remediations.NAME]`: what may be repaired without a person, how often, and the programs that repair.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::desired::may_be_asked;
use super::{ConfigError, compile, is_target_name, senseless};
use crate::model::{Glob, seconds};

/// The time for a program where nothing is configured.
const REMEDIATION_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest time that may be configured.
const LONGEST_REMEDIATION: Duration = Duration::from_secs(3600);
/// The most repairs that a budget may allow.
const MOST: u32 = 1000;

/// Kind of a step, as the host allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemedyKind {
    /// Files of a commit are written, and what the baseline does not have is taken away.
    Restore,
    /// A container is started, stopped or started anew.
    Restart,
    /// A container is made anew from its compose files.
    Recreate,
    /// A named program is run.
    Run,
    /// Terraform is applied.
    Apply,
}

impl RemedyKind {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Restart => "restart",
            Self::Recreate => "recreate",
            Self::Run => "run",
            Self::Apply => "apply",
        }
    }
}

/// So many in so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how many seconds.
    pub seconds: i64,
}

impl Rate {
    const fn an_hour(count: u32) -> Self {
        Self { count, seconds: 3600 }
    }

    /// Reads `2/h`, `10/d`, `1/30m`.
    fn parse(text: &str) -> Option<Self> {
        let (count, time) = text.split_once('/')?;
        let count = count.trim().parse().ok().filter(|count| (1..=MOST).contains(count))?;
        let time = time.trim();
        let time =
            if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
        let seconds = seconds(&time).filter(|it| *it > 0)?;
        Some(Self { count, seconds })
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.count, crate::model::lasting(self.seconds))
    }
}

/// `[remediation]`: what this machine lets happen without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemediationGate {
    /// The kinds of steps; none where nothing is said.
    pub allow: Vec<RemedyKind>,
    /// How often a single subject is repaired.
    pub per_subject: Rate,
    /// How often anything of a place is.
    pub per_host: Rate,
}

impl Default for RemediationGate {
    fn default() -> Self {
        Self { allow: Vec::new(), per_subject: Rate::an_hour(2), per_host: Rate::an_hour(10) }
    }
}

/// `[remediations.NAME]`: a program or a server that repairs.
#[derive(Debug, Clone)]
pub struct Remediation {
    /// What repairs.
    pub by: Repairer,
    /// The longest that it may take.
    pub timeout: Duration,
}

/// What repairs in place of the undo.
#[derive(Debug, Clone)]
pub enum Repairer {
    /// A program of this machine.
    Program {
        /// The program and its arguments; `{target}` in one stands for the target's name.
        run: Vec<String>,
        /// The variables of this process that it gets.
        env: Vec<Glob>,
    },
    /// A server that is asked by a POST of JSON.
    Server {
        /// The address.
        url: String,
        /// The file with the token that it wants.
        token_file: Option<PathBuf>,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGate {
    allow: Vec<RemedyKind>,
    per_subject: Option<String>,
    per_host: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemediation {
    #[serde(default)]
    run: Vec<String>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    timeout: Option<String>,
    #[serde(default)]
    env: Vec<String>,
}

impl RawRemediation {
    fn repairer(self, key: &str) -> Result<Repairer, ConfigError> {
        let wrong = |name: &str, why: &str| senseless(&format!("{key}.{name}"), why);
        let Some(url) = self.url else {
            if self.token_file.is_some() {
                return Err(wrong("token_file", "a token is sent to a url, and not to a program"));
            }
            let why = why_no_program(&self.run).map_or(Ok(()), |why| Err(wrong("run", &why)));
            why?;
            let env = compile(&format!("{key}.env"), &self.env, false)?;
            return Ok(Repairer::Program { run: self.run, env });
        };
        if !self.run.is_empty() {
            return Err(wrong("url", "it names either run, a program, or url"));
        }
        if !self.env.is_empty() {
            return Err(wrong("env", "a program gets variables, and not a server"));
        }
        may_be_asked(&url, true).map_err(|why| wrong("url", why))?;
        if url.starts_with("file:") {
            return Err(wrong("url", "it begins with https://"));
        }
        Ok(Repairer::Server { url, token_file: self.token_file })
    }
}

impl RawGate {
    pub(super) fn checked(self) -> Result<RemediationGate, ConfigError> {
        let rate = |key: &str, text: Option<String>, otherwise: Rate| match text {
            None => Ok(otherwise),
            Some(text) => Rate::parse(&text).ok_or_else(|| {
                senseless(
                    &format!("remediation.{key}"),
                    &format!("\"{text}\": it is like \"2/h\" or \"10/d\""),
                )
            }),
        };
        let default = RemediationGate::default();
        Ok(RemediationGate {
            allow: self.allow,
            per_subject: rate("per_subject", self.per_subject, default.per_subject)?,
            per_host: rate("per_host", self.per_host, default.per_host)?,
        })
    }
}

/// Why a list of words is no program to run.
pub(super) fn why_no_program(run: &[String]) -> Option<String> {
    match run.first() {
        None => Some("it runs nothing".to_owned()),
        Some(program) if program.is_empty() || program.starts_with('-') => {
            Some(format!("\"{program}\" is no program"))
        }
        Some(program) if program.contains('/') && !program.starts_with('/') => {
            Some(format!("\"{program}\" is relative; a program is found by its name, or by an absolute path"))
        }
        Some(_) if run.iter().any(|word| word.contains('\0')) => Some("an argument has a NUL".to_owned()),
        Some(_) => None,
    }
}

pub(super) fn checked_remediations(
    raw: BTreeMap<String, RawRemediation>,
) -> Result<BTreeMap<String, Remediation>, ConfigError> {
    let check = |(name, raw): (String, RawRemediation)| {
        let key = format!("remediations.{name}");
        if !is_target_name(&name) {
            return Err(senseless(&key, "a name is letters, digits, \".\", \"_\" and \"-\""));
        }
        let timeout = match &raw.timeout {
            None => REMEDIATION_TIMEOUT,
            Some(text) => {
                let time = seconds(text).and_then(|it| u64::try_from(it).ok()).map(Duration::from_secs);
                let time = time.filter(|it| !it.is_zero() && *it <= LONGEST_REMEDIATION);
                time.ok_or_else(|| {
                    senseless(&format!("{key}.timeout"), &format!("\"{text}\": it is 1s to 1h"))
                })?
            }
        };
        Ok((name, Remediation { by: raw.repairer(&key)?, timeout }))
    };
    raw.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        assert_eq!(Rate::parse("2/h"), Some(Rate { count: 2, seconds: 3600 }));
        assert_eq!(Rate::parse("1/30m"), Some(Rate { count: 1, seconds: 1800 }));
        for text in ["", "2", "/h", "0/h", "2/x", "-1/h", "2/0s", "99999/h"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_allowed_where_nothing_is_said() {
        let config = crate::config::Config::parse("").unwrap();
        assert_eq!(config.remediation.allow, []);
        let text = "[remediation]\nallow = [\"restore\", \"restart\"]\nper_host = \"3/d\"\n";
        let config = crate::config::Config::parse(text).unwrap();
        assert_eq!(config.remediation.allow, [RemedyKind::Restore, RemedyKind::Restart]);
        assert_eq!(config.remediation.per_host, Rate { count: 3, seconds: 86_400 });
        for (text, why) in [
            ("[remediation]\nallow = [\"all\"]\n", "unknown variant `all`"),
            ("[remediation]\nper_host = \"many\"\n", "remediation.per_host"),
            ("[remediations.fix]\nrun = []\n", "it runs nothing"),
            ("[remediations.fix]\nrun = [\"bin/fix\"]\n", "is relative"),
            ("[remediations.fix]\n", "it runs nothing"),
            ("[remediations.fix]\nrun = [\"fix\"]\nurl = \"https://a/\"\n", "either run, a program, or url"),
            ("[remediations.fix]\nrun = [\"fix\"]\ntoken_file = \"t\"\n", "and not to a program"),
            ("[remediations.fix]\nurl = \"https://a/\"\nenv = [\"A\"]\n", "and not a server"),
            ("[remediations.fix]\nurl = \"http://s3cr3t.example.com/\"\n", "unencrypted"),
            ("[remediations.fix]\nurl = \"file:///s3cr3t\"\n", "remediations.fix.url"),
            ("[remediations.fix]\nurl = \"ftp://s3cr3t/\"\n", "it begins with"),
            ("[remediations.fix]\nrun = [\"fix\"]\ntimeout = \"2d\"\n", "it is 1s to 1h"),
        ] {
            let error = crate::config::Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("s3cr3t"), "{text}: {error}");
        }
        for url in ["https://repairs.example.com/run", "http://127.0.0.1:8080/run", "http://localhost/run"] {
            let text = format!("[remediations.fix]\nurl = \"{url}\"\n");
            let config = crate::config::Config::parse(&text).unwrap();
            assert!(
                matches!(&config.remediations["fix"].by, Repairer::Server { url: own, .. } if own == url)
            );
        }
    }
}
