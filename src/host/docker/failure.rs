//! Failures of an engine, for people, without anything that may be secret.

use std::io;
use std::path::Path;

use hyper::StatusCode;

use super::DEADLINE;
use super::api::CallError;
use super::tls::TlsError;
use super::transport::TOO_MUCH;
use crate::model::{Address, escaped, without_secrets};

/// The part of an engine's or a client's text that is repeated.
const REPEATED: usize = 200;

/// All that an engine is asked, for who lets calls pass.
const CALLS: &str =
    "let GET pass for /containers/json, /containers/ID/json, /images/json, /volumes and /volumes/NAME";

/// The reason why a conversation with an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is none that could be asked, with the reason.
    #[error("{0}")]
    NoEngine(String),
    /// A call failed; the text holds no secret.
    #[error("{text}")]
    Call {
        /// The reason, for people.
        text: String,
        /// The cause.
        source: Box<CallError>,
    },
    /// There is no TLS to it.
    #[error("the engine at {engine} cannot be asked: {source}")]
    Tls {
        /// Its address.
        engine: String,
        /// The reason.
        source: TlsError,
    },
    /// The engine, by its address, does not answer.
    #[error("the engine at {engine} gave no answer within {} s", DEADLINE.as_secs())]
    Silent {
        /// Its address.
        engine: String,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Interrupted,
    /// This machine gives no threads to wait with.
    #[error("{}", crate::model::in_words(.0))]
    Runtime(#[from] io::Error),
}

/// The place of an engine.
pub(in crate::host) struct Contact<'a> {
    /// Its name in messages.
    pub(in crate::host) shown: String,
    /// Its socket, where that is one of this machine.
    pub(in crate::host) socket: Option<&'a Path>,
    /// The address that the library was given, which its errors may repeat.
    pub(in crate::host) address: Address,
}

/// Whether the engine answered, so that it would not answer otherwise if it were reached another way.
pub(in crate::host) fn is_answer(error: &CallError) -> bool {
    matches!(error, CallError::Status { .. } | CallError::Json(_))
        || error.cause().is_some_and(|error| error.kind() == TOO_MUCH)
}

/// The line of a text that tells most: cut short, escaped, and with whatever follows an equals sign or looks
/// like credentials taken out.
pub(in crate::host) fn short(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines().find(|line| !line.starts_with("WARNING")).or_else(|| lines().next());
    let mut words: Vec<String> = Vec::new();
    let mut is_secret = false;
    for word in telling.unwrap_or_default().split_whitespace() {
        words.push(if is_secret { "…".to_owned() } else { without_credentials(word) });
        let named = word.to_ascii_lowercase();
        let names_one = ["password", "passwd", "token", "secret", "authorization"];
        is_secret = ["bearer", "basic"].contains(&named.as_str())
            || (named.ends_with(':') && names_one.iter().any(|name| named.contains(name)));
    }
    let line: String = words.join(" ").chars().take(REPEATED).collect();
    escaped(line.as_bytes())
}

/// A word without the value of a variable and without the user of an address.
fn without_credentials(word: &str) -> String {
    if let Some((name, _)) = word.split_once('=') {
        return format!("{name}=…");
    }
    without_secrets(word)
}

impl Contact<'_> {
    /// The error of a call.
    pub(super) fn failed(&self, source: CallError) -> EngineError {
        EngineError::Call { text: describe(self, &source), source: Box::new(source) }
    }
}

/// An engine's error for people. Of what it sent only its own error message is repeated, cut short: an
/// answer that cannot be parsed may hold anything.
pub(in crate::host) fn describe(contact: &Contact<'_>, error: &CallError) -> String {
    let shown = &contact.shown;
    match error {
        // A proxy before the engine, which lets only some calls pass; its page says nothing.
        CallError::Status { status: StatusCode::FORBIDDEN, message } => {
            let said = if message.trim_start().starts_with('<') { String::new() } else { short(message) };
            let said = if said.is_empty() { said } else { format!(" ({said})") };
            format!("the engine at {shown}, or the proxy before it, forbids a call{said}: {CALLS}")
        }
        CallError::Status { status, message } => {
            format!("the engine at {shown} answered {}: {}", status.as_u16(), short(message))
        }
        CallError::Json(_) => {
            format!("the engine at {shown} gave an answer that is not the JSON of a Docker engine")
        }
        CallError::Late(_) => format!("the engine at {shown} did not answer in time"),
        error => error.cause().map_or_else(
            || {
                let error = contact.address.hidden_in(&error.innermost());
                format!("the engine at {shown} cannot be asked: {}", escaped(error.as_bytes()))
            },
            |io| of_io(contact, io),
        ),
    }
}

fn of_io(contact: &Contact<'_>, error: &io::Error) -> String {
    let shown = &contact.shown;
    match (error.kind(), contact.socket) {
        (io::ErrorKind::PermissionDenied, Some(path)) => {
            format!("no permission to use {shown}: {}", who_may(path))
        }
        (io::ErrorKind::ConnectionRefused, _) => {
            format!("nothing listens at {shown}: is the engine running?")
        }
        (io::ErrorKind::NotFound, _) => format!("there is no socket at {shown}"),
        _ => {
            let text = crate::model::in_words(error);
            format!("the connection to the engine at {shown} failed: {text}")
        }
    }
}

/// Says which user may not use a socket, whose it is, and what helps.
fn who_may(path: &Path) -> String {
    let me = name_of("/etc/passwd", rustix::process::geteuid().as_raw());
    let group = rustix::fs::stat(path).map(|stat| name_of("/etc/group", stat.st_gid));
    let group = group.unwrap_or_else(|_| "unknown".to_owned());
    format!("user {me} is not in the socket's group {group}; join that group, or use sudo")
}

/// The name that `/etc/passwd` or `/etc/group` gives a number, else the number.
fn name_of(file: &str, number: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2).is_some_and(|field| *field == number.to_string()));
    found.map_or_else(|| number.to_string(), |fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_holds_no_secret_and_one_line() {
        assert_eq!(
            short("WARNING: no config\n\nsudo: a password is required\n"),
            "sudo: a password is required"
        );
        assert_eq!(
            short("DB_PASSWORD=hunter2 failed at tcp://me:hunter2@host:1/x"),
            "DB_PASSWORD=… failed at tcp://…@host:1/…"
        );
        assert_eq!(short("Authorization: Bearer abc"), "Authorization: … …");
        assert_eq!(short("token: abc and \u{1b}[31m"), "token: … and \\x1b[31m");
        assert_eq!(short(&"x".repeat(500)).len(), REPEATED);
        assert_eq!(short(""), "");
    }
}
