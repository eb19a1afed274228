//! Events before a report, for formats that show them.

use std::io;

use super::event::Event;
use super::journal;
use crate::error::Failure;
use crate::model::{PastEvent, PastEvents, Report};
use crate::project::Project;

/// How far back they go, in seconds: thirty days.
const SPAN: i64 = 30 * 86_400;
/// How many of them are shown one by one.
const SHOWN: usize = 25;

/// Puts on reports of a project what its watchers recorded of their places in the thirty days before.
pub(crate) fn put<'a>(project: &Project, reports: impl IntoIterator<Item = &'a mut Report>) {
    let mut reports: Vec<&mut Report> = reports.into_iter().collect();
    if let Err(error) = read(project, &mut reports) {
        let dir = project.named(&journal::directory(&project.store_root));
        let why = Failure::at(&dir, &error).in_one_line();
        project.control.events.warning(&format!("earlier events are not shown: {why}"));
        for report in &mut reports {
            report.past_events = PastEvents::default();
        }
    }
    for report in reports {
        report.past_events.newest.reverse();
    }
}

fn read(project: &Project, reports: &mut [&mut Report]) -> io::Result<()> {
    journal::each(&project.store_root, &mut |event| {
        for report in reports.iter_mut().filter(|report| event.target == report.target) {
            let end = report.started_at_unix.saturating_add_unsigned(report.duration_ms.div_ceil(1000));
            if (end.saturating_sub(SPAN)..=end).contains(&event.detected_at_unix) {
                note(&mut report.past_events, event);
            }
        }
    })
}

/// Counts an event, and keeps it as the newest.
fn note(past: &mut PastEvents, event: &Event) {
    *past.counts.entry(event.event.word()).or_default() += 1;
    if past.newest.len() == SHOWN {
        past.newest.remove(0);
    }
    past.newest.push(PastEvent {
        at: event.detected_at_unix,
        name: event.event.word(),
        severity: event.severity,
        check: event.check.clone(),
        subject: event.subject.clone(),
        change: event.change().or_else(|| event.evidence.reason.clone()),
    });
}
