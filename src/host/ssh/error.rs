//! Errors of a connection: why there is none, and why one ended.

use std::io;
use std::sync::{Arc, Mutex};

use russh::ChannelOpenFailure;

use super::deadline::TimedOut;
use super::host_key::{RecordError, Unknown};
use super::survey::SurveyError;
use crate::model::{escaped, in_words};

/// The number of lines that are told of what a server says, and the characters of each.
const LINES: usize = 3;
const REPEATED: usize = 200;

/// The reason why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// A host key that no file names, and that the user may be asked about.
    #[error("unknown host key")]
    Unknown(Box<Unknown>),
    /// A host key that may not be trusted; the text says whose it is.
    #[error("{0}")]
    HostKey(String),
    /// A host key that no file names, while others are pinned.
    #[error("{}; the target's host_keys name another one: {pinned}", .unknown.refusal())]
    OtherKey {
        /// The key that is shown.
        unknown: Box<Unknown>,
        /// The fingerprints of those that are pinned.
        pinned: String,
    },
    /// A new host key that could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The name has no address.
    #[error("there is no address of a host of this name ({})", in_words(.0))]
    NoHost(#[source] io::Error),
    #[error("its name has no address")]
    NoAddress,
    /// No address took a connection.
    #[error("{}", dial_text(.0))]
    Dial(#[source] io::Error),
    #[error("no answer in time")]
    Silent,
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The jump host does not lead there.
    #[error("the jump host before it does not forward to it: {}", forward_text(.0))]
    Forward(#[source] russh::Error),
    /// The server breaks the protocol.
    #[error("{0}")]
    Misbehaves(&'static str),
    /// The protocol, or its transport, failed.
    #[error("{}", describe(.0))]
    Protocol(#[from] russh::Error),
}

fn dial_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no SSH server listens there".to_owned(),
        _ => in_words(error),
    }
}

fn forward_text(error: &russh::Error) -> String {
    match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
            "it forbids forwarding".to_owned()
        }
        russh::Error::ChannelOpenFailure(_) => "it cannot reach that address".to_owned(),
        error => describe(error),
    }
}

impl ConnectError {
    /// Whether its text names the host itself.
    pub(super) fn names_host(&self) -> bool {
        matches!(self, Self::HostKey(_) | Self::OtherKey { .. } | Self::Record(_))
    }

    /// Whether a busy server may have reset the connection before it looked at it.
    pub(super) fn is_reset(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match self {
            Self::Protocol(russh::Error::IO(error)) => {
                matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
            }
            Self::Protocol(russh::Error::Disconnect | russh::Error::HUP) => true,
            _ => false,
        }
    }
}

/// The reason why a connection ended, as far as is known; shared with the tasks that wait on it.
#[derive(Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Option<String>>>);

impl Ending {
    pub(super) fn note(&self, why: String) {
        if let Ok(mut lost) = self.0.lock() {
            lost.get_or_insert(why);
        }
    }

    /// The reason in words.
    pub(super) fn reason(&self) -> String {
        let known = self.0.lock().ok().and_then(|lost| lost.clone());
        known.unwrap_or_else(|| "the server ended it".to_owned())
    }
}

/// An error of the protocol, for people.
pub(super) fn describe(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError | russh::Error::RecvError => {
            "the server ended it".to_owned()
        }
        russh::Error::IO(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the server ended it".to_owned(),
            _ => in_words(error),
        },
        russh::Error::KeepaliveTimeout => "the server answers nothing any more".to_owned(),
        russh::Error::Version => "what answers there is no SSH server".to_owned(),
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let list = |names: &[String]| {
                names.iter().map(|name| escaped(name.as_bytes())).collect::<Vec<_>>().join(", ")
            };
            let option = match kind {
                russh::AlgorithmKind::Key => "HostKeyAlgorithms",
                russh::AlgorithmKind::Kex => "KexAlgorithms",
                russh::AlgorithmKind::Cipher => "Ciphers",
                russh::AlgorithmKind::Mac => "MACs",
                russh::AlgorithmKind::Compression => "Compression",
            };
            let (ours, theirs) = (list(ours), list(theirs));
            format!(
                "no algorithm in common ({option}): the server has {theirs}; driftlock, and ssh_config, allow {ours}"
            )
        }
        error => escaped(error.to_string().as_bytes()),
    }
}

/// The reason why a command on a server did not run to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum RunError {
    /// It took longer than its target allows, for people.
    #[error("the server did not come to an end within {0}; time_limit of its target says how long")]
    TimeLimit(String),
    #[error("the server opened no session in {0} s")]
    NoSessionInTime(u64),
    #[error("the server opens no session")]
    NoSession,
    #[error("the server runs no commands")]
    NoCommands,
    #[error("the command on the server said nothing for {0} s")]
    Silent(u64),
    /// The answer did not begin, with the end of what was said before it.
    #[error("the server did not begin with the script within {seconds} s{}", if .said.is_empty() { String::new() } else { format!("; it said: {said}") })]
    NotBegun { seconds: u64, said: String },
    /// The connection ended, for the reason given.
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("interrupted")]
    Interrupted,
    /// Its output is not that of the script.
    #[error(transparent)]
    Output(#[from] SurveyError),
}

/// The reason why a script did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ScriptError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Output(SurveyError),
    /// `sudo` or the shell behind it complained.
    #[error("\"{command}\" does not run the script, see sudo = true of this target: {complaint}")]
    Sudo { command: &'static str, complaint: String },
    /// The shell complained.
    #[error("{source}: {complaint} (\"{command}\" ended with code {code})")]
    Complaint { source: SurveyError, complaint: String, command: &'static str, code: u32 },
    /// The command failed without a complaint.
    #[error("{source}: the command \"{command}\" ended with code {code}")]
    Code { source: SurveyError, command: &'static str, code: u32 },
    #[error("the server told nothing of the file")]
    NoAnswer,
}

/// The lines of a text that tell most, for people; `None` where it says nothing. What comes first is often noise, of a locale or
/// a name that does not resolve, and the reason stands at the end.
pub(super) fn telling(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.dedup();
    let cut = |line: &str| line.chars().take(REPEATED).collect::<String>();
    let lines = lines.split_off(lines.len().saturating_sub(LINES));
    let told = lines.into_iter().map(|line| escaped(cut(line).as_bytes())).collect::<Vec<_>>().join("; ");
    (!told.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_was_said_is_told() {
        let told = |text: &str| telling(text.as_bytes());
        assert_eq!(told(" \n\n"), None);
        assert_eq!(told("a\n\na\nb\r\nc\nd\u{1b}\n").unwrap(), "b; c; d\\x1b");
        assert_eq!(told(&"x".repeat(999)).unwrap().len(), REPEATED);
    }
}
