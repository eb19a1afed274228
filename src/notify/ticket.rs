//! Change requests and incidents: opened once for each finding, by a webhook or a command, and closed with what became of it.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};

use super::credentials;
use super::deliver::{Way, limit_of};
use super::http::LONGEST_ANSWER;
use super::undelivered::Undelivered;
use crate::config::Notify;
use crate::control::{child, waits};
use crate::host::Watch;
use crate::model::{escaped, in_words};
use crate::project::Project;

/// How long a reference may be.
const LONGEST_REFERENCE: usize = 200;
/// The keys of an answer that may be the reference, in the order in which they are looked for.
const KEYS: [&str; 5] = ["reference", "key", "number", "id", "sys_id"];

/// One message to whoever keeps requests or incidents.
pub(crate) struct Ticket<'a> {
    /// Its name in the configuration.
    pub(crate) name: &'a str,
    /// How it gets there.
    pub(crate) notify: &'a Notify,
    /// `change_request.opened`, `change_request.closed`, `incident.opened`.
    pub(crate) word: &'a str,
    /// What makes it one message, however often it is sent.
    pub(crate) key: &'a str,
    /// JSON.
    pub(crate) body: &'a [u8],
}

impl Ticket<'_> {
    /// Sends it. Gives the reference that it got there, where the answer names one.
    ///
    /// # Errors
    /// Why it did not arrive, without any address, token or answer.
    pub(crate) fn send(&self, project: &Project, watch: &Arc<Watch>) -> Result<Option<String>, TicketError> {
        let way = credentials::way(project, &self.notify.channel);
        let way = way.map_err(|failure| TicketError(failure.in_one_line()))?;
        let limit = limit_of(self.notify, Instant::now() + waits::NOTIFY.most, watch);
        let sent = match &way {
            Way::Slack(client) | Way::Webhook(client) => {
                let answer = client.post_for_answer(self.body, self.word, self.key, &limit);
                answer.map(|answer| reference_in(&answer))
            }
            Way::Command(program) => self.run(&program.argv, &program.dir),
            // The configuration has none of that kind.
            Way::Email(_) => Err(Undelivered::new("a mail is no change request")),
        };
        sent.map_err(|undelivered| TicketError(undelivered.why))
    }

    /// Runs a command with the message on its standard input; the first line that it prints is the reference.
    fn run(&self, argv: &[String], dir: &std::path::Path) -> Result<Option<String>, Undelivered> {
        let Some((program, arguments)) = argv.split_first() else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).stdin(self.input()?);
        command.env("DRIFTLOCK_EVENT", self.word).env("DRIFTLOCK_TICKET", self.name);
        command.env("DRIFTLOCK_KEY", self.key);
        let printed = child::printed_by_group_from(&mut command, self.notify.timeout, LONGEST_ANSWER);
        let printed = printed.map_err(|error| Undelivered::new(format!("the command: {error}")))?;
        if !printed.status.success() {
            return Err(Undelivered::new(format!("the command ended with {}", printed.status)));
        }
        Ok(String::from_utf8_lossy(&printed.stdout).lines().next().and_then(plain_reference))
    }

    fn input(&self) -> Result<Stdio, Undelivered> {
        let made = || {
            let mut file = File::from(memfd_create("ticket", MemfdFlags::CLOEXEC)?);
            file.write_all(self.body)?;
            file.rewind()?;
            Ok::<_, std::io::Error>(Stdio::from(file))
        };
        made().map_err(|error| Undelivered::new(in_words(&error)))
    }
}

/// Why a change request or an incident did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TicketError(String);

/// The reference that an answer names.
fn reference_in(answer: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let inside = value.get("result").unwrap_or(&value);
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => plain_reference(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    KEYS.iter().find_map(|key| inside.get(key).and_then(text))
}

/// A reference as it may be shown and kept.
fn plain_reference(text: &str) -> Option<String> {
    let text = escaped(text.trim().as_bytes());
    (!text.is_empty() && text.len() <= LONGEST_REFERENCE).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_found_in_usual_answers() {
        let of = |text: &str| reference_in(text.as_bytes());
        assert_eq!(of("{\"key\": \"OPS-7\", \"id\": 3}"), Some("OPS-7".to_owned()));
        assert_eq!(of("{\"result\": {\"number\": \"CHG0001\"}}"), Some("CHG0001".to_owned()));
        assert_eq!(of("{\"id\": 12}"), Some("12".to_owned()));
        for text in ["", "ok", "{}", "[]", "{\"id\": null}", "{\"key\": \"\"}"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of(&format!("{{\"key\": \"{}\"}}", "x".repeat(201))), None);
    }
}
