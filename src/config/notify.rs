//! `[notify.NAME]`: who is told of changes, how, and where the secrets for that are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::places::Places;
use super::{ConfigError, PATH, invalid, is_target_name};
use crate::model::seconds;

/// How often somebody is reminded of what stays wrong, unless the configuration says otherwise: once a day.
const REMINDED: i64 = 24 * 60 * 60;
/// How long one attempt over HTTP may take, in seconds.
const ATTEMPT: i64 = 10;
/// How long a command may take, in seconds.
const COMMAND: i64 = 30;
/// The pause before the second attempt, in seconds; it doubles for the third.
const PAUSE: i64 = 1;
/// The longest that `timeout` may be, so that a check ends within a minute of its report.
const LONGEST: i64 = 30;
/// The longest that `retry_pause` may be.
const LONGEST_PAUSE: i64 = 10;

/// `[notify.NAME]`: somebody who is told when the verdict or the set of findings changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The way to them.
    pub channel: Channel,
    /// The places they are told of, `local` for the project's own tree; `None` is every place.
    pub targets: Option<Vec<String>>,
    /// After how many seconds they are told again of what stays wrong; `None` is never.
    pub remind_after: Option<i64>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The pause before the second attempt over HTTP; it doubles for the third.
    pub retry_pause: Duration,
}

/// A way to tell somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// An incoming webhook of Slack, or of what takes the same messages.
    Slack {
        /// Its address, which is the secret.
        url: Kept,
    },
    /// Anything that takes the JSON report in a POST.
    Webhook {
        /// Its address.
        url: Kept,
        /// What is sent as `Authorization: Bearer …`.
        token: Option<Kept>,
    },
    /// A program that gets the JSON report on its standard input.
    Command {
        /// The program and its arguments; no shell reads them.
        argv: Vec<String>,
    },
    /// Mails with the report for people.
    Email(Box<Email>),
}

impl Channel {
    /// The word in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Command { .. } => "command",
            Self::Email(_) => "email",
        }
    }
}

/// A mail server, and between whom it takes mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Its name or address, without a port.
    pub server: String,
    /// The port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Who writes.
    pub from: Mailbox,
    /// Who is written to.
    pub to: Vec<Mailbox>,
    /// The user, and where the password is kept.
    pub login: Option<(String, Kept)>,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the clear, and nothing is said before it is encrypted: port 587.
    StartTls,
    /// From its first byte: port 465.
    Implicit,
    /// Not at all, which only a server of this machine may be spoken to by: port 25.
    None,
}

impl MailTls {
    pub(super) fn usual_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// Where a secret is kept: never in the configuration, which is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In a variable of the environment.
    Variable(String),
    /// In a file, relative to the root.
    File(PathBuf),
}

impl Kept {
    /// A variable by its name; `None` for what names none.
    pub(super) fn variable(name: &str) -> Option<Self> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_one =
            !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(is_name);
        is_one.then(|| Self::Variable(name.to_owned()))
    }

    /// A file by its path; `None` for what is no path.
    pub(super) fn file(path: &str) -> Option<Self> {
        (!path.is_empty() && !path.contains("://")).then(|| Self::File(PathBuf::from(path)))
    }
}

impl Notify {
    /// Whether they are told of a place.
    #[must_use]
    pub fn is_about(&self, target: Option<&str>) -> bool {
        self.targets.as_ref().is_none_or(|names| names.iter().any(|name| name == target.unwrap_or("local")))
    }
}

/// The table as it is written. What may hold a secret by mistake is read as any value: the messages of a
/// deserializer would repeat it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    kind: Option<Spanned<Value>>,
    url: Option<Spanned<Value>>,
    url_env: Option<Spanned<Value>>,
    url_file: Option<Spanned<Value>>,
    token: Option<Spanned<Value>>,
    token_env: Option<Spanned<Value>>,
    token_file: Option<Spanned<Value>>,
    command: Option<Spanned<Value>>,
    pub(super) server: Option<Spanned<Value>>,
    pub(super) port: Option<Spanned<Value>>,
    pub(super) tls: Option<Spanned<Value>>,
    pub(super) from: Option<Spanned<Value>>,
    pub(super) to: Option<Spanned<Value>>,
    pub(super) user: Option<Spanned<Value>>,
    password: Option<Spanned<Value>>,
    pub(super) password_env: Option<Spanned<Value>>,
    pub(super) password_file: Option<Spanned<Value>>,
    targets: Option<Spanned<Value>>,
    remind_after: Option<Spanned<Value>>,
    timeout: Option<Spanned<Value>>,
    retry_pause: Option<Spanned<Value>>,
}

/// What a table names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipient {
    /// Somebody who is told of changes: `[notify.NAME]`.
    Notify,
    /// What keeps change requests or incidents: a table of that name.
    Tickets(&'static str),
}

/// Every table of this name, once it makes sense.
pub(super) fn checked(
    raw: BTreeMap<String, Spanned<Raw>>,
    recipient: Recipient,
    places: Places<'_>,
    text: &str,
) -> Result<BTreeMap<String, Notify>, ConfigError> {
    let one = |(name, table): (String, Spanned<Raw>)| {
        let table = Table { name: &name, recipient, start: table.span().start, raw: table.get_ref(), text };
        let notify = table.checked(places)?;
        Ok((name, notify))
    };
    raw.into_iter().map(one).collect()
}

/// One table, and where it stands.
pub(super) struct Table<'a> {
    name: &'a str,
    recipient: Recipient,
    start: usize,
    pub(super) raw: &'a Raw,
    text: &'a str,
}

/// A key of a table, if it is written.
pub(super) type Key<'a> = (&'static str, Option<&'a Spanned<Value>>);

impl Table<'_> {
    fn checked(&self, places: Places<'_>) -> Result<Notify, ConfigError> {
        if !is_target_name(self.name) {
            let rule =
                "a name is letters, digits, \".\", \"_\" and \"-\", and neither \"local\" nor \"baseline\"";
            return Err(self.wrong(self.start, rule));
        }
        self.refuse_plain_secrets()?;
        let channel = self.channel()?;
        let is_http = !matches!(channel, Channel::Command { .. });
        let usual = if is_http { ATTEMPT } else { COMMAND };
        Ok(Notify {
            channel,
            targets: self.targets(places)?,
            remind_after: self.remind_after()?,
            timeout: self.duration(("timeout", self.raw.timeout.as_ref()), usual, LONGEST)?,
            retry_pause: self.duration(
                ("retry_pause", self.raw.retry_pause.as_ref()),
                PAUSE,
                LONGEST_PAUSE,
            )?,
        })
    }

    fn refuse_plain_secrets(&self) -> Result<(), ConfigError> {
        let raw = self.raw;
        let secrets = [("url", &raw.url), ("token", &raw.token), ("password", &raw.password)];
        for (key, value) in secrets {
            if let Some(value) = value {
                let advice = format!(
                    "{key} may not stand here, where it is committed: write {key}_env = \"VARIABLE\" or {key}_file = \"PATH\""
                );
                return Err(self.wrong(value.span().start, &advice));
            }
        }
        Ok(())
    }

    fn channel(&self) -> Result<Channel, ConfigError> {
        let raw = self.raw;
        let kinds = match self.recipient {
            Recipient::Notify => "kind is \"slack\", \"webhook\", \"command\" or \"email\"",
            Recipient::Tickets(_) => "kind is \"webhook\" or \"command\"",
        };
        let kind = raw.kind.as_ref().ok_or_else(|| self.wrong(self.start, &format!("{kinds}; write one")))?;
        let url = [("url_env", raw.url_env.as_ref()), ("url_file", raw.url_file.as_ref())];
        let tokens = [("token_env", raw.token_env.as_ref()), ("token_file", raw.token_file.as_ref())];
        let command = [("command", raw.command.as_ref())];
        let mail = self.mail_keys();
        let (kind, at) = (self.text(("kind", Some(kind)))?.unwrap_or_default(), kind.span().start);
        match kind {
            "slack" => {
                self.refuse(kind, &[&tokens, &command, &mail])?;
                let url = self.kept(url[0], url[1])?.ok_or_else(|| self.wrong(at, NO_URL))?;
                Ok(Channel::Slack { url })
            }
            "webhook" => {
                self.refuse(kind, &[&command, &mail])?;
                let url = self.kept(url[0], url[1])?.ok_or_else(|| self.wrong(at, NO_URL))?;
                Ok(Channel::Webhook { url, token: self.kept(tokens[0], tokens[1])? })
            }
            "command" => {
                let pause = ("retry_pause", raw.retry_pause.as_ref());
                self.refuse(kind, &[&url, &tokens, &[pause], &mail])?;
                self.argv(at)
            }
            "email" if self.recipient == Recipient::Notify => {
                self.refuse(kind, &[&url, &tokens, &command])?;
                Ok(Channel::Email(Box::new(self.email(at)?)))
            }
            _ => Err(self.wrong(at, kinds)),
        }
    }

    /// Refuses keys that mean nothing for a kind.
    fn refuse(&self, kind: &str, keys: &[&[Key<'_>]]) -> Result<(), ConfigError> {
        for (key, value) in keys.iter().copied().flatten() {
            if let Some(value) = value {
                let reason = format!("{key} means nothing for kind = \"{kind}\": take it out");
                return Err(self.wrong(value.span().start, &reason));
            }
        }
        Ok(())
    }

    /// Where a secret is kept: in a variable or in a file, not in both.
    pub(super) fn kept(&self, variable: Key<'_>, file: Key<'_>) -> Result<Option<Kept>, ConfigError> {
        if let ((one, Some(_)), (other, Some(at))) = (variable, file) {
            return Err(self.wrong(at.span().start, &format!("write {one} or {other}, not both")));
        }
        if let Some(name) = self.text(variable)? {
            let reason = format!(
                "{} is the name of a variable of the environment (letters, digits, \"_\"), not what it holds",
                variable.0
            );
            let wrong = || self.wrong(variable.1.map_or(self.start, |value| value.span().start), &reason);
            return Kept::variable(name).ok_or_else(wrong).map(Some);
        }
        let Some(path) = self.text(file)? else { return Ok(None) };
        let reason = format!("{} is the path of a file, not what it holds", file.0);
        let wrong = || self.wrong(file.1.map_or(self.start, |value| value.span().start), &reason);
        Kept::file(path).ok_or_else(wrong).map(Some)
    }

    fn argv(&self, at: usize) -> Result<Channel, ConfigError> {
        let form = "command is a list, the program first, without a shell: command = [\"mail\", \"-s\", \"drift\", \"ops\"]";
        let command = self.raw.command.as_ref().ok_or_else(|| self.wrong(at, form))?;
        let argv = strings(command.get_ref()).filter(|argv| argv.first().is_some_and(|it| !it.is_empty()));
        let argv = argv.filter(|argv| argv.iter().all(|word| !word.contains('\0')));
        argv.map(|argv| Channel::Command { argv }).ok_or_else(|| self.wrong(command.span().start, form))
    }

    fn targets(&self, places: Places<'_>) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = &self.raw.targets else { return Ok(None) };
        let wrong = |reason: &str| self.wrong(value.span().start, reason);
        let names = strings(value.get_ref()).filter(|names| !names.is_empty());
        let names = names.ok_or_else(|| wrong("targets is a list of names: targets = [\"local\"]"))?;
        places.named(&names).map(Some).map_err(|why| wrong(&format!("targets: {why}")))
    }

    fn remind_after(&self) -> Result<Option<i64>, ConfigError> {
        let key = ("remind_after", self.raw.remind_after.as_ref());
        match self.text(key)? {
            Some("never") => Ok(None),
            Some(text) => {
                let found = seconds(text).filter(|seconds| *seconds > 0);
                let at = key.1.map_or(self.start, |value| value.span().start);
                found.map(Some).ok_or_else(|| {
                    self.wrong(at, "remind_after is a duration, such as \"24h\", or \"never\"")
                })
            }
            None => Ok(Some(REMINDED)),
        }
    }

    fn duration(&self, key: Key<'_>, usual: i64, longest: i64) -> Result<Duration, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(Duration::from_secs(usual.unsigned_abs())) };
        let found = seconds(text).filter(|seconds| (1..=longest).contains(seconds));
        let at = key.1.map_or(self.start, |value| value.span().start);
        let reason = format!("{} is a duration from \"1s\" to \"{longest}s\"", key.0);
        found.map(|found| Duration::from_secs(found.unsigned_abs())).ok_or_else(|| self.wrong(at, &reason))
    }

    pub(super) fn text<'b>(&self, (key, value): Key<'b>) -> Result<Option<&'b str>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        let wrong = || self.wrong(value.span().start, &format!("{key} is a text in quotes"));
        value.get_ref().as_str().map(Some).ok_or_else(wrong)
    }

    pub(super) fn wrong(&self, at: usize, reason: &str) -> ConfigError {
        let table = match self.recipient {
            Recipient::Notify => "notify",
            Recipient::Tickets(table) => table,
        };
        invalid(PATH, self.text, at, &format!("{table}.{}: {reason}", self.name))
    }
}

const NO_URL: &str = "no address: write url_env = \"VARIABLE\" or url_file = \"PATH\"";

/// The texts of a list that holds nothing else.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(table: &str) -> Result<Notify, String> {
        let text = format!("[targets.production]\nhost = \"erp\"\n[notify.ops]\n{table}\n");
        Config::parse(&text).map(|config| config.notify["ops"].clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_is_read_with_its_defaults() {
        let slack = read("kind = \"slack\"\nurl_env = \"OPS_URL\"").unwrap();
        assert_eq!(slack.channel, Channel::Slack { url: Kept::Variable("OPS_URL".to_owned()) });
        assert_eq!((slack.remind_after, slack.timeout.as_secs()), (Some(86_400), 10));
        assert!(slack.is_about(None) && slack.is_about(Some("production")));
        let hook = "kind = \"webhook\"\nurl_file = \"/run/secrets/url\"\ntoken_env = \"T\"\nremind_after = \"never\"";
        let hook = read(&format!("{hook}\ntargets = [\"production\"]\ntimeout = \"3s\"")).unwrap();
        let token = Some(Kept::Variable("T".to_owned()));
        assert_eq!(hook.channel, Channel::Webhook { url: Kept::File("/run/secrets/url".into()), token });
        assert_eq!((hook.remind_after, hook.timeout.as_secs()), (None, 3));
        assert!(!hook.is_about(None) && hook.is_about(Some("production")));
        let command = read("kind = \"command\"\ncommand = [\"mail\", \"ops\"]").unwrap();
        assert_eq!(command.timeout.as_secs(), 30);
        assert_eq!(command.channel, Channel::Command { argv: vec!["mail".to_owned(), "ops".to_owned()] });
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line_and_what_to_write() {
        let secret = "https://hooks.example.com/T0/s3cr3t";
        for (table, line, words) in [
            (format!("kind = \"slack\"\nurl = \"{secret}\""), 5, "write url_env = \"VARIABLE\" or url_file"),
            (format!("kind = \"webhook\"\nurl_env = \"A\"\ntoken = \"{secret}\""), 6, "write token_env"),
            (format!("kind = \"slack\"\nurl_env = \"{secret}\""), 5, "the name of a variable"),
            (format!("kind = \"slack\"\nurl_file = \"{secret}\""), 5, "the path of a file"),
            (format!("kind = \"slack\"\nurl_file = [\"{secret}\"]"), 5, "url_file is a text in quotes"),
            (format!("kind = \"{secret}\"\nurl_env = \"A\""), 4, "\"webhook\", \"command\" or \"email\""),
            (format!("kind = \"command\"\ncommand = \"curl {secret}\""), 5, "command is a list"),
            (
                format!("kind = \"slack\"\nurl_env = \"A\"\ntimeout = \"{secret}\""),
                6,
                "timeout is a duration",
            ),
            (format!("kind = \"slack\"\nurl_env = {secret}"), 5, ""),
            ("url_env = \"A\"".to_owned(), 3, "kind is \"slack\""),
            ("kind = \"slack\"".to_owned(), 4, "no address: write url_env"),
            ("kind = \"webhook\"\ntoken_env = \"A\"".to_owned(), 4, "no address"),
            ("kind = \"slack\"\nurl_env = \"A\"\nurl_file = \"a\"".to_owned(), 6, "not both"),
            ("kind = \"slack\"\nurl_env = \"A\"\ntoken_env = \"B\"".to_owned(), 6, "means nothing for kind"),
            ("kind = \"slack\"\nurl_env = \"A\"\ncommand = [\"b\"]".to_owned(), 6, "command means nothing"),
            ("kind = \"command\"\ncommand = [\"b\"]\nurl_env = \"A\"".to_owned(), 6, "url_env means nothing"),
            ("kind = \"command\"\ncommand = []".to_owned(), 5, "command is a list"),
            ("kind = \"command\"".to_owned(), 4, "command is a list"),
            (
                "kind = \"slack\"\nurl_env = \"A\"\ntargets = [\"x\"]".to_owned(),
                6,
                "there are: production, local",
            ),
            ("kind = \"slack\"\nurl_env = \"A\"\ntargets = []".to_owned(), 6, "targets is a list"),
            ("kind = \"slack\"\nurl_env = \"A\"\nremind_after = \"0s\"".to_owned(), 6, "or \"never\""),
            ("kind = \"slack\"\nurl_env = \"A\"\ntimeout = \"31s\"".to_owned(), 6, "\"1s\" to \"30s\""),
            ("kind = \"slack\"\nurl_env = \"A\"\nretry_pause = \"11s\"".to_owned(), 6, "\"1s\" to \"10s\""),
            (
                "kind = \"slack\"\nurl_env = \"A\"\nserver = \"a\"".to_owned(),
                6,
                "server means nothing for kind",
            ),
            ("kind = \"slack\"\nurl_evn = \"A\"".to_owned(), 5, "did you mean `url_env`?"),
        ] {
            let error = read(&table).unwrap_err();
            assert!(error.starts_with(&format!("audit/driftlock.toml:{line}: ")), "{table}\n{error}");
            assert!(error.contains(words), "{table}\n{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let odd = Config::parse("[notify.\"a b\"]\nkind = \"slack\"\nurl_env = \"A\"\n").unwrap_err();
        assert!(odd.to_string().contains(":1: notify.a b: a name is letters"), "{odd}");
    }
}
