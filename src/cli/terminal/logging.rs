//! What driftlock says of its own work on standard error: `-v`, `-vv`, `--log-format`, `DRIFTLOCK_LOG`.
//!
//! Every room may log; only what driftlock itself logs is shown, for what libraries log may hold secrets. The value of a
//! field whose name is that of a secret is never shown, nor is the password of an address. What a value looks like does not
//! matter otherwise: digests stay readable.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::{ArgAction, Args, ValueEnum};
use log::kv::{self, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use serde_json::Map;

use crate::cli::terminal::signals::Interrupt;
use crate::control::redaction::without_secrets;
use crate::control::{clock, progress};
use crate::error::Failure;
use crate::model::{escaped, shown_json};

/// The variable that stands in for `-v`.
const VARIABLE: &str = "DRIFTLOCK_LOG";
/// What takes the place of a secret.
const REDACTED: &str = "(redacted)";

/// Options of logging.
#[derive(Args)]
#[command(next_help_heading = "Logging, on standard error")]
pub(crate) struct LogArgs {
    /// Say what is done; -vv: what is sent to servers, to git and to the engine, too. Without it DRIFTLOCK_LOG (off,
    /// info, debug) decides
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How it is said; as json a line each, warnings and errors, too
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

impl LogArgs {
    fn level(&self) -> Result<LevelFilter, Failure> {
        match self.verbose {
            0 => {}
            1 => return Ok(LevelFilter::Info),
            _ => return Ok(LevelFilter::Debug),
        }
        let Some(value) = std::env::var_os(VARIABLE) else { return Ok(LevelFilter::Off) };
        match value.to_str() {
            Some("" | "off" | "0") => Ok(LevelFilter::Off),
            Some("info" | "1") => Ok(LevelFilter::Info),
            Some("debug" | "2") => Ok(LevelFilter::Debug),
            _ => {
                let shown = escaped(value.as_encoded_bytes());
                let failure = Failure::new(format!("{VARIABLE}={shown}: there is no such level"));
                Err(failure.hint("the levels are: off, info, debug (or 0, 1, 2)"))
            }
        }
    }
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging as the options and the environment say.
///
/// # Errors
/// When the environment names no level.
pub(crate) fn start(args: &LogArgs, interrupt: &Interrupt) -> Result<(), Failure> {
    let level = args.level();
    if args.log_format == Form::Json || level.as_ref().is_ok_and(|level| *level != LevelFilter::Off) {
        begin(args.log_format, interrupt);
    }
    log::set_max_level(level?);
    Ok(())
}

/// Logs at least at a level, which a command has of its own; what was asked for by `-v` stays.
pub(crate) fn raise(level: LevelFilter, interrupt: &Interrupt) {
    if level > log::max_level() {
        begin(Form::Text, interrupt);
        log::set_max_level(level);
    }
}

fn begin(form: Form, interrupt: &Interrupt) {
    let new = || Logger { form, interrupt: interrupt.clone(), waiting: Mutex::default() };
    let _ = log::set_logger(LOGGER.get_or_init(new));
}

/// Says a warning or an error as the log says things, where that is JSON; otherwise `false`.
pub(crate) fn says(line: &str) -> bool {
    let Some(logger) = LOGGER.get().filter(|logger| logger.form == Form::Json) else { return false };
    let kinds = [("error: ", "error"), ("warning: ", "warn")];
    let known = kinds.iter().find_map(|(begin, level)| Some((*level, line.strip_prefix(begin)?)));
    let (level, message) = known.unwrap_or(("info", line));
    logger.write(&json(level, "cli", message, Map::new()));
    true
}

/// The place that this thread looks at.
pub(crate) fn place() -> Option<String> {
    progress::current_target().map(|target| without_secrets(&target))
}

/// Writes what was held back while the user was asked something.
pub(crate) fn finish() {
    log::logger().flush();
}

struct Logger {
    form: Form,
    interrupt: Interrupt,
    /// Lines that wait until the user has answered.
    waiting: Mutex<String>,
}

impl Logger {
    fn write(&self, line: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_str(line);
        waiting.push('\n');
        if !self.interrupt.is_waiting() {
            let lines = std::mem::take(&mut *waiting);
            self.interrupt.beside(|| drop(std::io::stderr().lock().write_all(lines.as_bytes())));
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "driftlock" || metadata.target().starts_with("driftlock::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let (room, message) = (room(record.target()), without_secrets(&record.args().to_string()));
        let mut fields = Fields { form: self.form, text: String::new(), map: Map::new() };
        let _ = record.key_values().visit(&mut fields);
        self.write(&match self.form {
            Form::Json => json(level, room, &message, fields.map),
            Form::Text => {
                let place =
                    place().map(|place| format!(" [{}]", escaped(place.as_bytes()))).unwrap_or_default();
                let message = escaped(message.as_bytes());
                format!("{} {level:5}{place} {room}: {message}{}", clock::time_of_day(), fields.text)
            }
        });
    }

    fn flush(&self) {
        let lines = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        drop(std::io::stderr().lock().write_all(lines.as_bytes()));
    }
}

/// The room that a module belongs to: `git`, or what of a host it speaks with.
fn room(target: &str) -> &str {
    let mut modules = target.split("::").skip(1);
    match (modules.next(), modules.next()) {
        (Some("host"), Some(inner @ ("ssh" | "docker" | "git"))) => inner,
        (Some(room), _) => room,
        (None, _) => "driftlock",
    }
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    room: &'a str,
    message: &'a str,
    fields: Map<String, serde_json::Value>,
}

fn json(level: &str, room: &str, message: &str, fields: Map<String, serde_json::Value>) -> String {
    let line = Line { time: clock::precise_time(), level, place: place(), room, message, fields };
    shown_json(serde_json::to_string(&line).unwrap_or_default())
}

/// The fields of a record, as they are written.
struct Fields {
    form: Form,
    text: String,
    map: Map<String, serde_json::Value>,
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let name = key.as_str();
        let text = || if is_secret(name) { REDACTED.to_owned() } else { without_secrets(&value.to_string()) };
        if self.form == Form::Json {
            let plain = value.to_i64().map(serde_json::Value::from).or(value.to_bool().map(Into::into));
            let value = plain.filter(|_| !is_secret(name)).unwrap_or_else(|| text().into());
            self.map.insert(name.to_owned(), value);
        } else {
            let _ = write!(self.text, " {name}={}", plain(&text()));
        }
        Ok(())
    }
}

/// Parts of the names of fields that hold a secret.
const SECRET: [&str; 9] =
    ["pass", "pwd", "secret", "token", "credential", "authorization", "bearer", "cookie", "webhook"];

/// Whether a field of this name holds a secret; an address of a web hook is one, too.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
        || name.split('_').any(|word| matches!(word, "url" | "uri" | "env" | "key" | "keys" | "auth" | "pw"))
}

/// A value as one word.
fn plain(text: &str) -> String {
    let shown = escaped(text.as_bytes());
    if shown.is_empty() || shown.contains([' ', '"', '=']) {
        return format!("\"{}\"", shown.replace('"', "\\\""));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(form: Form, fields: &[(&str, &str)]) -> String {
        let mut all = Fields { form, text: String::new(), map: Map::new() };
        for (name, value) in fields {
            all.visit_pair(Key::from_str(name), Value::from(*value)).unwrap();
        }
        if form == Form::Json { serde_json::Value::from(all.map).to_string() } else { all.text }
    }

    #[test]
    fn secrets_are_known_by_their_names_and_by_nothing_else() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for form in [Form::Text, Form::Json] {
            for name in [
                "password",
                "passphrase",
                "api_token",
                "client_secret",
                "authorization",
                "url",
                "hook_url",
                "cookie",
            ] {
                let said = logged(form, &[(name, digest)]);
                assert!(said.contains(REDACTED) && !said.contains(digest), "{said}");
            }
            for name in ["digest", "fingerprint", "path", "command", "address", "identity"] {
                assert!(logged(form, &[(name, digest)]).contains(digest), "{name}");
            }
        }
    }

    #[test]
    fn a_value_is_one_word_and_obeys_nobody() {
        let said =
            logged(Form::Text, &[("path", "a b\u{1b}[31m\n\"x\"=\u{202e}"), ("empty", ""), ("n", "1")]);
        assert_eq!(said, " path=\"a b\\x1b[31m\\n\\\"x\\\"=\\u{202e}\" empty=\"\" n=1");
        let said = logged(Form::Json, &[("path", "a\u{1b}\n\"")]);
        assert_eq!(said, r#"{"path":"a\u001b\n\""}"#);
    }

    #[test]
    fn rooms_are_those_of_the_modules() {
        let all = [
            ("driftlock::git::limit", "git"),
            ("driftlock::host::ssh::run", "ssh"),
            ("driftlock", "driftlock"),
        ];
        assert_eq!(all.map(|(target, _)| room(target)), all.map(|(_, room)| room));
    }
}
