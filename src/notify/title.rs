//! The line that says what is news, for messages of every kind.

use super::decide::Event;
use crate::model::{Report, Status, escaped, lasting};
use crate::report::headline;

/// One line that says it all; nothing in it is obeyed by a terminal.
pub(super) fn title_of(report: &Report, event: Event) -> String {
    let place = escaped(report.about().as_bytes());
    if event == Event::Test {
        let host = escaped(report.host.as_bytes());
        return format!("TEST of driftlock on {host}: this message arrived, nothing was looked at");
    }
    let line = headline(report);
    // The headline says FAIL of an error, too, as the report does.
    let line = match (report.status(), line.strip_prefix("FAIL ")) {
        (Status::Error, Some(rest)) => format!("ERROR {rest}"),
        _ => line,
    };
    let time = |seconds: Option<i64>| seconds.map(|seconds| format!(" for {}", lasting(seconds)));
    match event {
        Event::Resolved(after) => {
            let after = after.map(|seconds| format!(" after {}", lasting(seconds))).unwrap_or_default();
            format!("Resolved{after}: {line}")
        }
        Event::Reminder(since) => {
            format!("Still {} on {place}{}: {line}", report.status().word(), time(since).unwrap_or_default())
        }
        Event::Changed => format!("Changed: {line}"),
        Event::Failing | Event::Test => line,
    }
}
