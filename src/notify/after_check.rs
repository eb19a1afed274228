//! After a check: telling those whom the configuration names of what has changed, and noting in the reports what became
//! of it.

use crate::notify::DeliveryOutcome;
use crate::notify::MessageContext;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::atomic::{read_file, replace_file};
use crate::config::Notify;
use crate::control::Events;
use crate::control::progress::Watch;
use crate::control::{clock, dates};
use crate::model::printable_path;
use crate::model::{Notice, Report, Status, in_words};
use crate::notify::credentials;
use crate::notify::{Delivery, Earlier, News, Outlet, deliver, is_due};
use crate::project::Project;
use crate::report::{self, json};
use crate::store::previous::Previous;
use crate::store::runs;
use crate::trust::UNSIGNED_CONFIGURATION;

/// Telling of the reports of one check.
pub(crate) struct Telling<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// What was found before.
    pub(crate) previous: &'a Previous<'a>,
    /// Whether the runs lie in `audit/runtime`.
    pub(crate) is_own_run: bool,
    /// Whether reports are final once they are kept: those that are signed.
    pub(crate) is_final: bool,
    /// Whether the configuration may say who is told: one that was to be signed and is not could have secrets sent to a
    /// stranger, or a program run.
    pub(crate) is_believed: bool,
}

impl Telling<'_> {
    /// Tells whoever must know. Whatever becomes of it, the verdicts stay as they are.
    pub(crate) fn tell(&self, reports: &mut [Report], cancel: &Arc<Watch>) {
        if !self.is_believed {
            return self.keep_silent();
        }
        let now = i64::try_from(clock::seconds_since_1970()).unwrap_or_default();
        let each = self.project.config.notify.iter();
        let deliveries: Vec<Delivery> =
            each.filter_map(|(name, notify)| self.delivery(name, notify, reports, now)).collect();
        if deliveries.is_empty() {
            return;
        }
        let (outcomes, warnings) = deliver(deliveries, cancel);
        if cancel.is_cancelled() {
            return;
        }
        for warning in warnings {
            self.project.control.events.warning(&warning);
        }
        warn(&outcomes, reports, &*self.project.control.events);
        for outcome in outcomes {
            let notice = Notice { name: outcome.name, error: outcome.error };
            reports[outcome.number].notices.push(notice);
        }
        for report in reports.iter().filter(|report| !self.is_final && !report.notices.is_empty()) {
            if let Err(error) = self.keep_again(report) {
                let place = report.location.as_deref().unwrap_or_default();
                let why = in_words(&error);
                let place = printable_path(place.as_ref());
                self.project.control.events.warning(&format!("{place}: who was told is not noted: {why}"));
            }
        }
    }

    /// Says who is not told.
    fn keep_silent(&self) {
        let names: Vec<&str> = self.project.config.notify.keys().map(String::as_str).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            self.project
                .control
                .events
                .warning(&format!("nobody is told ({names}): {UNSIGNED_CONFIGURATION}"));
        }
    }

    /// What is to be told through one notification; none where nothing is news.
    fn delivery(&self, name: &str, notify: &Notify, reports: &mut [Report], now: i64) -> Option<Delivery> {
        let root = &self.project.store_root;
        let about = reports.iter().enumerate();
        let about = about.filter(|(_, report)| notify.is_about(report.target.as_deref()));
        let news = about.map(|(number, report)| self.news(number, report, name));
        let (news, old): (Vec<News>, Vec<News>) =
            news.partition(|news| is_due(root, name, notify, news, now));
        for number in old.iter().map(|old| old.number) {
            let report = &mut reports[number];
            if report.status() == Status::Pass {
                continue;
            }
            let is_excused = report.verdict.ending().is_excused();
            let why = if is_excused {
                "a deploy is announced"
            } else {
                "nothing has changed since the last message"
            };
            report.not_due.push(format!("{name} ({why})"));
        }
        if news.is_empty() {
            return None;
        }
        let way = credentials::way(self.project, &notify.channel);
        let outlet = Outlet { name: name.to_owned(), notify: notify.clone(), way };
        Some(Delivery { root: root.clone(), now, outlet, news })
    }

    fn news(&self, number: usize, report: &Report, name: &str) -> News {
        let before = self.previous.of(report.target.as_deref());
        let is_given = self.previous.is_given();
        News {
            number,
            report: report.clone(),
            json: json::bytes_of(report),
            earlier: before.and_then(|before| Earlier::of(&before, report, name, is_given)),
            unchanged_since: unchanged_since(report),
            words: words(self.project, report),
        }
    }

    /// Replaces the files of a run by what is known now, and the newest report where that is the one of this run.
    fn keep_again(&self, report: &Report) -> std::io::Result<()> {
        let Some(location) = &report.location else { return Ok(()) };
        let dir = Path::new(location).parent().unwrap_or(Path::new(""));
        let files: BTreeMap<String, Vec<u8>> = report::files(report).into_iter().collect();
        for (name, bytes) in &files {
            replace_file(&dir.join(name), bytes)?;
        }
        if report.partial || !self.is_own_run {
            return Ok(());
        }
        let latest = runs::latest(&self.project.store_root, report.target.as_deref());
        let is_of_this_run =
            json::read_run(&read_file(&latest)?).is_ok_and(|newest| newest.run == report.run);
        match files.get(json::FILE) {
            Some(bytes) if is_of_this_run => replace_file(&latest, bytes),
            _ => Ok(()),
        }
    }
}

/// What messages about a report say of where they come from.
pub(crate) fn words(project: &Project, report: &Report) -> MessageContext {
    let shown = |path: &Path| path.display().to_string();
    let absolute = |place: &String| std::path::absolute(place).ok().map(|path| shown(&path));
    MessageContext {
        driftlock: project.driftlock(),
        can_explain: report.target.as_ref().is_none_or(|name| project.config.may_have(name)),
        dir: project.control.environment.working_directory().map(shown).unwrap_or_default(),
        report: report.location.as_ref().and_then(absolute),
    }
}

/// Since when the set of findings is what it is: when the newest one was first seen; of an error, when it last was none.
fn unchanged_since(report: &Report) -> Option<i64> {
    let mut newest = None;
    for finding in report.checks.iter().flat_map(|check| &check.findings) {
        newest = newest.max(Some(dates::moment(&finding.since.as_ref()?.started_at)?.unix));
    }
    newest.or(report.last_success)
}

/// Says who could not be told, and of what where there are several places.
fn warn(outcomes: &[DeliveryOutcome], reports: &[Report], events: &dyn Events) {
    let mut failed: Vec<(String, Vec<&str>)> = Vec::new();
    for outcome in outcomes {
        let Some(why) = &outcome.error else { continue };
        let said = outcome.said.iter().map(|said| format!("; it said: {said}")).collect::<String>();
        let line = format!("warning: {} was not told: {why}{said}", outcome.name);
        let place = reports[outcome.number].about();
        match failed.iter_mut().find(|(other, _)| *other == line) {
            Some((_, places)) => places.push(place),
            None => failed.push((line, vec![place])),
        }
    }
    for (line, places) in failed {
        let places = if reports.len() > 1 { format!(" (of {})", places.join(", ")) } else { String::new() };
        events.line(&format!("{line}{places}"));
    }
}
