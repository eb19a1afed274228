//! An engine's events, as its API streams them: of one only the kind of thing, the action and the time are read.
//!
//! Attributes are a container's labels, which may say anything; and the events of health checks hold whole command lines. Events
//! of calls that only look are passed over. See <https://docs.docker.com/reference/api/engine/> (`/events`).

use serde::Deserialize;

use super::api::{CallError, EngineApi};
use crate::control::dates;

/// The longest event that is read; what is longer is passed over.
const LONGEST: usize = 1 << 20;
/// Actions after which a container, a network or an image may be another one. Podman says `died` and `remove`.
const ACTIONS: [&str; 26] = [
    "create",
    "start",
    "die",
    "died",
    "stop",
    "kill",
    "oom",
    "pause",
    "unpause",
    "restart",
    "rename",
    "update",
    "destroy",
    "remove",
    "rm",
    "init",
    "cleanup",
    "mount",
    "unmount",
    "connect",
    "disconnect",
    "tag",
    "untag",
    "pull",
    "load",
    "delete",
];

/// An event as it is streamed. `status` is the action where an engine has no other.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Streamed {
    #[serde(rename = "Action")]
    action: Option<String>,
    status: Option<String>,
    time: Option<i64>,
}

/// Follows the events of an engine until it ends the stream; `since` is a moment in seconds since 1970, now where it is `None`.
/// `begun` is called when the engine has agreed, and `changed` with the moment of each event after which something may be another
/// one.
///
/// # Errors
/// When the engine cannot be reached, refuses, or the stream breaks off.
pub(in crate::host) async fn follow(
    engine: &EngineApi,
    since: Option<i64>,
    begun: &mut (dyn FnMut() + Send),
    changed: &mut (dyn FnMut(i64) + Send),
) -> Result<(), CallError> {
    // Docker agrees before it listens. What happens in between is in its memory, for whoever names a moment.
    let since = match since {
        None => now(engine).await.map(|now| now - 1),
        since => since,
    };
    let since = since.map(|since| format!("?since={since}")).unwrap_or_default();
    let mut lines = EventLines::default();
    let mut take = |piece: &[u8]| lines.take(piece, changed);
    engine.follow(&format!("/events{since}"), begun, &mut take).await
}

/// The engine's clock, where it tells it: seconds since 1970.
async fn now(engine: &EngineApi) -> Option<i64> {
    let date = engine.header("/_ping", "date").await.ok().flatten()?;
    dates::of_http(&date)
}

/// Lines of a stream that comes in pieces.
#[derive(Default)]
struct EventLines {
    held: Vec<u8>,
    is_too_long: bool,
}

impl EventLines {
    fn take(&mut self, piece: &[u8], changed: &mut dyn FnMut(i64)) {
        for part in piece.split_inclusive(|&b| b == b'\n') {
            self.is_too_long |= self.held.len() + part.len() > LONGEST;
            if !self.is_too_long {
                self.held.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if !self.is_too_long {
                    moment(&self.held).into_iter().for_each(&mut *changed);
                }
                self.held.clear();
                self.is_too_long = false;
            }
        }
    }
}

/// The moment of an event after which something may be another one.
fn moment(line: &[u8]) -> Option<i64> {
    let event: Streamed = serde_json::from_slice(line).ok()?;
    let action = event.action.or(event.status)?;
    ACTIONS.contains(&action.as_str()).then(|| event.time.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(pieces: &[&str]) -> Vec<i64> {
        let (mut lines, mut seen) = (EventLines::default(), Vec::new());
        for piece in pieces {
            lines.take(piece.as_bytes(), &mut |moment| seen.push(moment));
        }
        seen
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let die = "{\"Type\":\"container\",\"Action\":\"die\",\"time\":7}\n";
        assert_eq!(moments(&[die, die]), [7, 7]);
        assert_eq!(moments(&[&die[..9], &die[9..], "{\"status\":\"died\",\"time\":8}\n"]), [7, 8]);
        assert_eq!(moments(&[&die[..9]]), [0_i64; 0]);
    }

    #[test]
    fn looks_and_health_checks_are_no_change_and_labels_are_not_believed() {
        for action in
            ["exec_create: sh -c secret", "exec_die", "top", "archive-path", "health_status: healthy"]
        {
            assert_eq!(
                moments(&[&format!("{{\"Action\":\"{action}\",\"time\":7}}\n")]),
                [0_i64; 0],
                "{action}"
            );
        }
        let labels = "{\"Action\":\"exec_die\",\"Actor\":{\"Attributes\":{\"Action\":\"die\"}},\"time\":7}\n";
        assert_eq!(moments(&[labels]), [0_i64; 0]);
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(moments(&[&long, "\n{\"Action\":\"die\",\"time\":9}\n"]), [9]);
    }
}
