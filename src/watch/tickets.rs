//! Change requests and incidents of a watched place: what is open there, and what is still to be sent, in a file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::atomic::{LARGEST_TEXT, read_file_within, replace_file};
use crate::config::Config;
use crate::config::policies::Policy;
use crate::events::event::{Event, Happened};
use crate::host::Watch;
use crate::notify::Ticket;
use crate::project::Project;
use crate::store::state;

/// The file.
const TICKETS: &str = "tickets";
/// So many messages wait at most; of more, the oldest are given up.
const MOST: usize = 1000;

/// Kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TicketKind {
    ChangeRequestOpened,
    ChangeRequestClosed,
    IncidentOpened,
    IncidentClosed,
}

impl TicketKind {
    fn word(self) -> &'static str {
        match self {
            Self::ChangeRequestOpened => "change_request.opened",
            Self::ChangeRequestClosed => "change_request.closed",
            Self::IncidentOpened => "incident.opened",
            Self::IncidentClosed => "incident.closed",
        }
    }

    fn is_incident(self) -> bool {
        matches!(self, Self::IncidentOpened | Self::IncidentClosed)
    }
}

/// A message that is to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingTicket {
    kind: TicketKind,
    name: String,
    key: String,
    subject: String,
    body: serde_json::Value,
}

/// What is open.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OpenTicket {
    kind: TicketKind,
    name: String,
    subject: String,
    reference: Option<String>,
}

/// All of a place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tickets {
    open: BTreeMap<String, OpenTicket>,
    pending: Vec<PendingTicket>,
}

impl Tickets {
    /// Reads those of a place.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(root: &Path, target: Option<&str>) -> io::Result<Self> {
        match read_file_within(&state::file(root, TICKETS, target), LARGEST_TEXT) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, root: &Path, target: Option<&str>) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::from)?;
        replace_file(&state::file(root, TICKETS, target), &bytes)
    }

    /// Notes what follows from events; whether anything does.
    pub(super) fn note(&mut self, events: &[Event], config: &Config, policies: &[Policy]) -> bool {
        let before = self.pending.len();
        for event in events {
            match event.event {
                Happened::Detected | Happened::Changed => self.request(event, policies),
                Happened::Resolved | Happened::Remediated => self.close(event),
                Happened::Escalated => self.incident(event, config),
                _ => {}
            }
        }
        let more = self.pending.len().saturating_sub(MOST);
        self.pending.drain(..more);
        self.pending.len() != before
    }

    fn request(&mut self, event: &Event, policies: &[Policy]) {
        let policy = event.policy.as_ref().and_then(|name| policies.iter().find(|it| it.name == *name));
        let Some(name) = policy.and_then(|policy| policy.auto_change_request.as_ref()) else { return };
        let Some(fingerprint) = &event.fingerprint else { return };
        self.begin(TicketKind::ChangeRequestOpened, name, fingerprint.clone(), event);
    }

    fn incident(&mut self, event: &Event, config: &Config) {
        for (name, notify) in &config.incidents {
            if notify.is_about(event.target.as_deref()) {
                let of = event.fingerprint.clone().unwrap_or_else(|| event.id.clone());
                self.begin(TicketKind::IncidentOpened, name, of, event);
            }
        }
    }

    fn begin(&mut self, kind: TicketKind, name: &str, fingerprint: String, event: &Event) {
        let key = if kind.is_incident() { format!("{fingerprint}-incident-{name}") } else { fingerprint };
        if self.open.contains_key(&key) || self.pending.iter().any(|it| it.key == key) {
            return;
        }
        let body =
            serde_json::json!({ "schema": "driftlock.ticket/1", "event": kind.word(), "drift": event });
        self.pending.push(PendingTicket {
            kind,
            name: name.to_owned(),
            key,
            subject: subject_of(event),
            body,
        });
    }

    /// Closes what is open of the subject of an event.
    fn close(&mut self, event: &Event) {
        let subject = subject_of(event);
        let is_opened = |it: &PendingTicket| {
            it.subject == subject
                && matches!(it.kind, TicketKind::ChangeRequestOpened | TicketKind::IncidentOpened)
        };
        // The first may be on its way; what nobody heard of need not be closed.
        let first = self.pending.first().filter(|it| is_opened(it)).cloned();
        let mut at = 0;
        self.pending.retain(|it| {
            at += 1;
            at == 1 || !is_opened(it)
        });
        if let Some(PendingTicket { kind, name, key, .. }) = first {
            let open = OpenTicket { kind, name, subject: subject.clone(), reference: None };
            self.open.entry(key).or_insert(open);
        }
        let all: Vec<String> =
            self.open.iter().filter(|(_, it)| it.subject == subject).map(|(key, _)| key.clone()).collect();
        for key in all {
            let Some(OpenTicket { kind, name, reference, .. }) = self.open.remove(&key) else { continue };
            let kind =
                if kind.is_incident() { TicketKind::IncidentClosed } else { TicketKind::ChangeRequestClosed };
            let body = serde_json::json!({
                "schema": "driftlock.ticket/1", "event": kind.word(), "reference": reference,
                "outcome": event.event.word(), "drift": event,
            });
            self.pending.push(PendingTicket {
                kind,
                name,
                key: format!("{key}-closed"),
                subject: subject.clone(),
                body,
            });
        }
    }

    /// Whether anything waits to be sent.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends the first that waits, and takes it off; what could not be sent stays.
    pub(super) fn send_first(&self, project: &Project, watch: &Arc<Watch>) -> Result<Sent, String> {
        let Some(first) = self.pending.first() else {
            return Ok(Sent { key: String::new(), reference: None });
        };
        let config = &project.config;
        let ways = if first.kind.is_incident() { &config.incidents } else { &config.change_requests };
        let table = if first.kind.is_incident() { "incidents" } else { "change_requests" };
        let sent = |reference| Sent { key: first.key.clone(), reference };
        let Some(notify) = ways.get(&first.name) else {
            log::info!(name = first.name.as_str(); "what is not configured any more hears of nothing");
            return Ok(sent(None));
        };
        let body = serde_json::to_vec(&first.body).unwrap_or_default();
        let ticket =
            Ticket { name: &first.name, notify, word: first.kind.word(), key: &first.key, body: &body };
        let reference =
            ticket.send(project, watch).map_err(|error| format!("[{table}.{}]: {error}", first.name))?;
        Ok(sent(reference))
    }

    /// Notes that a message arrived.
    pub(super) fn sent(&mut self, sent: &Sent) {
        let Some(at) = self.pending.iter().position(|it| it.key == sent.key) else { return };
        let PendingTicket { kind, name, key, subject, .. } = self.pending.remove(at);
        let is_closed = self.pending.iter().any(|it| it.key == format!("{key}-closed"));
        if matches!(kind, TicketKind::ChangeRequestOpened | TicketKind::IncidentOpened) && !is_closed {
            self.open.insert(key, OpenTicket { kind, name, subject, reference: sent.reference.clone() });
        }
    }
}

/// A message that arrived.
#[derive(Debug)]
pub(super) struct Sent {
    key: String,
    reference: Option<String>,
}

fn subject_of(event: &Event) -> String {
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", word(&event.check), word(&event.subject))
}
