//! Watching a place: hints of what may have changed are looked at again by the ordinary check, and what its findings have become is
//! recorded as events.
//!
//! One thread takes hints and looks at the subjects that they name. Looks at everything (at the start, after a gap, at intervals, and
//! before a report) run beside it: what it has looked at meanwhile is looked at once more before the result of such a look counts.

pub(crate) mod hands;
mod metrics;
mod repairs;
pub(crate) mod reports;
mod subjects;
mod tickets;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::audit::examine::{Examination, Sighting};
use crate::audit::pipeline::Subjects;
use crate::baseline::{self, Source};
use crate::check::Evidence;
use crate::config::policies::Policy;
use crate::control::{clock, waits};
use crate::error::Failure;
use crate::events::event::{Event, Happened, Scene};
use crate::events::files::FileWatch;
use crate::events::inbox::{Batch, Gap, HintSource, Inbox};
use crate::events::journal::{self, Journal};
use crate::events::open_findings::OpenFindings;
use crate::events::rules::EventRules;
use crate::host::{Visitor as _, Watch};
use crate::model::{CheckResult, Observed, Report, SectionId, escaped, printable_path};
use crate::project::Project;
use crate::remedy::approvals;
use crate::remedy::automatic::{Attempts, Automatic, WantedRepair};
use crate::section::{IMAGES, INSIDE};
pub(crate) use metrics::WatchMetrics;
use repairs::{Repairer, RepairsDone};
use subjects::{KnownSubjects, Meaning};
use tickets::{Sent, Tickets};

/// How many subjects are looked at one by one; more are looked at with everything else.
const MOST_SUBJECTS: usize = 64;
/// How many paths an event names.
const MOST_PATHS: usize = 8;

/// Why watching has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchEnd {
    /// Somebody asked for it.
    Asked,
    /// The configuration is to be read again.
    Reload,
    /// Nobody reads events any more.
    Unread,
}

/// Receives each event once it is in the journal.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&Event) -> Result<(), Failure>;

/// What a watcher remembers and writes.
pub(crate) struct WatchRecords<'a> {
    /// Where events are recorded.
    pub(crate) journal: &'a mut Journal,
    /// What is open.
    pub(crate) open: &'a mut OpenFindings,
    /// Who is told of each event.
    pub(crate) sink: Sink<'a>,
}

impl WatchRecords<'_> {
    /// Writes events into the journal of a project, and then tells of them. Gives them with their numbers.
    ///
    /// # Errors
    /// When the journal cannot be written, or nobody is told any more.
    pub(crate) fn record(
        &mut self,
        project: &Project,
        mut events: Vec<Event>,
    ) -> Result<Vec<Event>, Failure> {
        let failed = |error| Failure::at(&journal::directory(&project.store_root), &error);
        let is_new_file = self.journal.append(&mut events).map_err(failed)?;
        self.open.note_up_to(&events, self.journal.position());
        if is_new_file {
            self.open.write(&project.store_root).map_err(failed)?;
            self.journal.prune(project.config.retention_days).map_err(failed)?;
        }
        events.iter().try_for_each(|event| (self.sink)(event))?;
        Ok(events)
    }
}

/// Signs of life for whoever started a watcher.
pub(crate) struct Heartbeat<'a> {
    /// Called when the first look has ended and its events are recorded.
    pub(crate) ready: &'a mut dyn FnMut(),
    /// How often a sign of life is expected, if it is.
    pub(crate) every: Option<Duration>,
    /// Gives one.
    pub(crate) beat: &'a mut dyn FnMut(),
}

/// A place that is watched.
pub(crate) struct Watcher<'a> {
    /// How it is looked at.
    pub(crate) examination: Examination<'a>,
    /// What events are judged by.
    pub(crate) rules: EventRules<'a>,
    /// The baseline, for the commands in reports.
    pub(crate) source: &'a Source,
    /// Where hints come from.
    pub(crate) inbox: &'a Inbox,
    /// The files of this machine, where they can be watched.
    pub(crate) files: Option<&'a FileWatch>,
    /// After how long everything is looked at in any case.
    pub(crate) reconcile: Duration,
    /// Ends looks that are under way.
    pub(crate) watch: &'a Arc<Watch>,
    /// How whoever started it is told that it is at work.
    pub(crate) heartbeat: Heartbeat<'a>,
    /// The metrics that are written, if any are.
    pub(crate) metrics: Option<&'a mut WatchMetrics>,
}

/// What comes of work beside the watching thread.
enum Outcome {
    /// A look at everything.
    Look(Box<Result<Sighting, Failure>>),
    /// A report.
    Report(Box<Result<Report, Failure>>),
    /// Repairs.
    Repairs(Box<RepairsDone>),
    /// A change request or an incident, or why it was not sent.
    Ticket(Result<Sent, String>),
}

/// A look at everything that is under way.
struct WholeLook {
    trigger: HintSource,
    /// What was looked at since it began.
    meanwhile: Subjects,
    /// Whether a report is made of it.
    reports: bool,
}

/// What is to be done next.
struct Course {
    whole: Option<WholeLook>,
    wanted: Option<HintSource>,
    is_reporting: bool,
    /// Whether findings have come or gone since the last report.
    changed: bool,
    last_report: Instant,
    next_reconcile: Instant,
    next_poll: Instant,
    /// When a look that failed is taken again.
    retry: Option<Instant>,
    /// How long after the next one that the engine does not answer.
    pause: Duration,
    told_blind: bool,
}

impl Watcher<'_> {
    /// Watches until somebody asks for the end, or for the configuration to be read again.
    ///
    /// # Errors
    /// When the place cannot be looked at at all, or events cannot be recorded.
    pub(crate) fn run(
        &mut self,
        records: &mut WatchRecords<'_>,
        trigger: HintSource,
    ) -> Result<WatchEnd, Failure> {
        let round = Arc::new(Watch::default());
        let ended = std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let mut rounds = Round {
                watcher: self,
                records,
                scope,
                sender,
                receiver,
                watch: Arc::clone(&round),
                wanted_repairs: Vec::new(),
                repairing: None,
                tickets: Tickets::default(),
                is_sending: false,
                send_after: None,
            };
            let ended = rounds.run(trigger);
            round.cancel();
            let repaired = rounds.end_repairs();
            ended.and_then(|end| repaired.map(|()| end))
        });
        if self.watch.is_cancelled() { Ok(WatchEnd::Asked) } else { ended }
    }

    fn target(&self) -> Option<&str> {
        self.examination.aim.target.as_deref()
    }

    /// Watches what decides what is compared, and with what.
    fn watch_project(&self) {
        let Some(files) = self.files else { return };
        let root = &self.examination.auditor.project.root;
        for name in ["audit/driftlock.toml", "audit/acknowledged.toml", "audit/policies.toml", baseline::PATH]
        {
            files.file(&root.join(name));
        }
        files.directory(&root.join(baseline::PATH), false);
        if self.repairs() {
            files.file(&approvals::path(&self.examination.auditor.project.store_root, self.target()));
        }
    }

    /// Whether the host and a policy let it repair anything.
    fn repairs(&self) -> bool {
        let gate = &self.examination.auditor.project.config.remediation;
        !gate.allow.is_empty() && self.rules.policies.iter().any(Policy::repairs)
    }
}

/// Watching, from one reading of the configuration to the next.
struct Round<'scope, 'env, 'w, 'r> {
    watcher: &'w mut Watcher<'env>,
    records: &'w mut WatchRecords<'r>,
    scope: &'scope Scope<'scope, 'env>,
    sender: Sender<Outcome>,
    receiver: Receiver<Outcome>,
    watch: Arc<Watch>,
    /// What policies want repaired, and what does not repair yet.
    wanted_repairs: Vec<WantedRepair>,
    repairing: Option<ScopedJoinHandle<'scope, ()>>,
    /// Change requests and incidents.
    tickets: Tickets,
    is_sending: bool,
    /// Before when nothing is sent again, where it failed.
    send_after: Option<Instant>,
}

impl<'scope, 'env: 'scope> Round<'scope, 'env, '_, '_> {
    fn run(&mut self, trigger: HintSource) -> Result<WatchEnd, Failure> {
        let now = Instant::now();
        let mut course = Course {
            whole: None,
            wanted: None,
            is_reporting: false,
            changed: false,
            last_report: now,
            next_reconcile: now + self.watcher.reconcile,
            next_poll: now + waits::POLL.most,
            retry: None,
            pause: waits::POLL.most,
            told_blind: false,
        };
        let root = &self.watcher.examination.auditor.project.store_root;
        match Tickets::read(root, self.watcher.target()) {
            Ok(tickets) => self.tickets = tickets,
            Err(error) => self.warn(&Failure::at(&root.join(crate::store::state::PATH), &error)),
        }
        let started = self.event(Happened::Started, trigger);
        self.record(vec![started])?;
        self.begin_look();
        let sighting = self.watcher.examination.sight(&self.watch)?;
        let mut sighting = Arc::new(sighting);
        self.seen_whole(&sighting, trigger, &mut course)?;
        (self.watcher.heartbeat.ready)();
        self.report(&sighting, &mut course);
        let mut is_outdated = false;
        loop {
            (self.watcher.heartbeat.beat)();
            let beat = self.watcher.heartbeat.every.map(|every| Instant::now() + every / 2);
            let mut deadline = course.deadline(self.is_blind());
            if let Some(due) = self.watcher.metrics.as_ref().and_then(|metrics| metrics.due()) {
                deadline = deadline.min(due);
            }
            let batch = self.watcher.inbox.next(beat.map_or(deadline, |beat| beat.min(deadline)));
            if batch.end || self.watcher.watch.is_cancelled() {
                return Ok(WatchEnd::Asked);
            }
            if batch.unread {
                return Ok(WatchEnd::Unread);
            }
            is_outdated |= batch.reload;
            self.take_done(&mut sighting, &mut course)?;
            // A repair goes on as it was begun, and what drifts meanwhile is told.
            if is_outdated && self.repairing.is_none() {
                return Ok(WatchEnd::Reload);
            }
            let first = batch.first_hint();
            self.look_at(batch, &mut sighting, &mut course)?;
            if let (Some(first), Some(metrics)) = (first, &mut self.watcher.metrics) {
                metrics.looked(first.elapsed());
            }
            self.write_metrics();
            self.go_on(&mut course);
        }
    }

    /// Takes what has come of work beside this thread.
    fn take_done(&mut self, sighting: &mut Arc<Sighting>, course: &mut Course) -> Result<(), Failure> {
        while let Ok(done) = self.receiver.try_recv() {
            match done {
                Outcome::Report(done) => {
                    course.is_reporting = false;
                    let files = self.watcher.files;
                    let metrics = &mut self.watcher.metrics;
                    let written =
                        |report: Report| metrics.as_mut().map_or(Ok(()), |it| it.report(&report, files));
                    if let Err(failure) = done.and_then(written) {
                        self.warn(&failure);
                    }
                }
                Outcome::Ticket(sent) => self.ticket_done(sent)?,
                Outcome::Repairs(done) => {
                    self.repaired(*done)?;
                    course.wanted = course.wanted.or(Some(HintSource::Remedy));
                }
                Outcome::Look(seen) => {
                    let Some(whole) = course.whole.take() else { continue };
                    match *seen {
                        Ok(seen) => self.take_over(seen, &whole, sighting, course)?,
                        Err(failure) => {
                            self.warn(&failure);
                            course.retry = Some(Instant::now() + waits::POLL.most);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts a look at everything in the place of what was known, once what was looked at meanwhile is looked at in it again.
    fn take_over(
        &mut self,
        mut seen: Sighting,
        whole: &WholeLook,
        sighting: &mut Arc<Sighting>,
        course: &mut Course,
    ) -> Result<(), Failure> {
        if !whole.meanwhile.is_empty()
            && !self.watcher.examination.look_again(&mut seen, &whole.meanwhile, &self.watch)?
        {
            course.wanted = course.wanted.or(Some(whole.trigger));
        }
        *sighting = Arc::new(seen);
        self.seen_whole(sighting, whole.trigger, course)?;
        if whole.reports {
            self.report(sighting, course);
        }
        Ok(())
    }

    /// Records what a look at everything has found.
    fn seen_whole(
        &mut self,
        sighting: &Sighting,
        trigger: HintSource,
        course: &mut Course,
    ) -> Result<(), Failure> {
        if let Some(files) = self.watcher.files {
            files.sweep();
        }
        course.changed |= self.compare(sighting, trigger, &[], 1)?;
        course.note_engine(sighting);
        if let Some((count, path, why)) = self.watcher.files.and_then(FileWatch::blind)
            && !course.told_blind
        {
            course.told_blind = true;
            let mut event = self.event(Happened::Gap, HintSource::Poll);
            let path = printable_path(&path);
            event.evidence.reason = Some(format!(
                "{count} places cannot be watched and are looked at every {} s: {path}: {why}",
                waits::POLL.most.as_secs()
            ));
            self.record(vec![event])?;
        }
        Ok(())
    }

    /// Looks at what hints name.
    fn look_at(
        &mut self,
        batch: Batch,
        sighting: &mut Arc<Sighting>,
        course: &mut Course,
    ) -> Result<(), Failure> {
        for (trigger, gap) in batch.everything {
            course.wanted = Some(trigger);
            if let Some(gap) = gap {
                self.tell_gap(trigger, &gap)?;
            }
        }
        let project = self.watcher.examination.auditor.project;
        let approvals = approvals::path(&project.store_root, self.watcher.target());
        let known = KnownSubjects {
            layout: &self.watcher.examination.aim.layout,
            root: &self.watcher.examination.auditor.project.root,
            config: &self.watcher.examination.auditor.project.config,
            evidence: &sighting.look.evidence,
            approvals: &approvals,
        };
        let Meaning { subjects, paths, count, everything, project } = known.gather(&batch.paths);
        if let Some(path) = project {
            log::info!(path = printable_path(path).as_str(); "the configuration is read again because of a path");
            self.watcher.inbox.reload();
        }
        if let Some(path) = everything {
            log::info!(path = printable_path(path).as_str(); "everything is looked at because of a path");
            course.wanted = Some(HintSource::Inotify);
        }
        let has_files = !subjects.is_empty();
        if subjects.values().map(BTreeSet::len).sum::<usize>() > MOST_SUBJECTS {
            course.wanted = Some(HintSource::Inotify);
        } else if has_files {
            self.look_again(&subjects, (HintSource::Inotify, &paths, count), sighting, course)?;
        }
        let containers = containers_seen(sighting);
        let hints = batch.containers + batch.inside;
        let trigger = if batch.containers > 0 { HintSource::Engine } else { HintSource::Inotify };
        if hints > 0 && containers.is_some() || has_files && containers > Some(0) {
            let all_containers = of_containers(sighting);
            let count = if hints > 0 { hints } else { count };
            self.look_again(&all_containers, (trigger, &[], count), sighting, course)?;
        } else if hints > 0 {
            course.wanted = course.wanted.or(Some(trigger));
        }
        Ok(())
    }

    /// Looks at single subjects again, and records what has become of them.
    fn look_again(
        &mut self,
        subjects: &Subjects,
        (trigger, paths, count): (HintSource, &[&Path], u32),
        sighting: &mut Arc<Sighting>,
        course: &mut Course,
    ) -> Result<(), Failure> {
        let now = Arc::make_mut(sighting);
        if !self.watcher.examination.look_again(now, subjects, &self.watch)? {
            course.wanted = Some(trigger);
            return Ok(());
        }
        if let Some(whole) = &mut course.whole {
            for (section, places) in subjects {
                whole.meanwhile.entry(*section).or_default().extend(places.iter().cloned());
            }
        }
        course.changed |= self.compare(sighting, trigger, paths, count)?;
        course.note_engine(sighting);
        Ok(())
    }

    /// Compares what is known with the baseline, and records what has changed since; whether anything has.
    fn compare(
        &mut self,
        sighting: &Sighting,
        trigger: HintSource,
        paths: &[&Path],
        count: u32,
    ) -> Result<bool, Failure> {
        let checks = self.watcher.examination.compare(sighting);
        let only = self.watcher.examination.selection.only;
        let covers = |id: &str| only.is_empty() || only.iter().any(|check| check.id() == id);
        let scene = Scene { target: self.watcher.target(), trigger };
        let judge = |event: &mut Event| {
            self.watcher.rules.judge(event);
            event.count = count.max(1);
            let paths = paths.iter().take(MOST_PATHS);
            event.evidence.paths = paths.map(|path| printable_path(path)).collect();
        };
        let mut events = self.records.open.events(&checks, scene, &covers, &judge);
        hands::put_on(&mut events, &checks, &self.watcher.examination);
        let has_changed = !events.is_empty();
        self.record(events)?;
        self.consider_repairs(&checks)?;
        Ok(has_changed)
    }

    /// Decides what is repaired without a person, and tells of what is left to one.
    fn consider_repairs(&mut self, checks: &[CheckResult]) -> Result<(), Failure> {
        if self.repairing.is_some() || !self.watcher.repairs() {
            return Ok(());
        }
        let project = self.watcher.examination.auditor.project;
        let gate = &project.config.remediation;
        let rules = self.watcher.rules;
        let target = self.watcher.target();
        let root = &project.store_root;
        let at = |error: std::io::Error| Failure::at(&root.join(crate::store::state::PATH), &error);
        let tried = match Attempts::read(root, target) {
            Ok(tried) => tried,
            Err(error) => {
                // Who does not know what was tried tries nothing.
                self.warn(&at(error));
                return Ok(());
            }
        };
        // What cannot be read approves nothing; a repair that needs an approval says so.
        let approvals = approvals::valid(root, target).unwrap_or_default();
        let minute = clock::minute_of_day();
        let decision = Automatic { gate, rules, target, minute }.decide(checks, &tried, &approvals);
        self.leave_to_a_person(decision.escalations)?;
        self.wanted_repairs = decision.repairs;
        Ok(())
    }

    /// Tells of what is left to a person, and then remembers it: a crash in between loses nothing.
    fn leave_to_a_person(&mut self, escalations: Vec<(String, Event)>) -> Result<(), Failure> {
        if escalations.is_empty() {
            return Ok(());
        }
        let (subjects, events): (Vec<String>, Vec<Event>) = escalations.into_iter().unzip();
        self.record(events)?;
        let project = self.watcher.examination.auditor.project;
        let (root, target) = (&project.store_root, self.watcher.target());
        let noted = Attempts::read(root, target).and_then(|mut tried| {
            for subject in &subjects {
                tried.escalate(subject);
            }
            tried.write(root, target, &project.config.remediation)
        });
        noted.map_err(|error| Failure::at(&root.join(crate::store::state::PATH), &error))
    }

    /// Takes what has come of repairs.
    fn repaired(&mut self, done: RepairsDone) -> Result<(), Failure> {
        self.repairing = None;
        let RepairsDone { recorded, escalations, warnings } = done;
        let events = &self.watcher.examination.auditor.project.control.events;
        for warning in &warnings {
            events.warning(warning);
        }
        recorded.iter().try_for_each(|event| (self.records.sink)(event))?;
        self.note_tickets(&recorded)?;
        self.leave_to_a_person(escalations)
    }

    /// Waits for repairs that were told to end, and takes what has come of them.
    fn end_repairs(&mut self) -> Result<(), Failure> {
        if let Some(repairing) = self.repairing.take() {
            let _ = repairing.join();
        }
        while let Ok(done) = self.receiver.try_recv() {
            if let Outcome::Repairs(done) = done {
                self.repaired(*done)?;
            }
        }
        Ok(())
    }

    /// Begins what policies want repaired.
    fn begin_repairs(&mut self) {
        if self.repairing.is_some() || self.wanted_repairs.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted_repairs);
        let (examination, rules, source) =
            (self.watcher.examination, self.watcher.rules, self.watcher.source);
        let (inbox, sender, watch) = (self.watcher.inbox, self.sender.clone(), Arc::clone(&self.watch));
        // The process does not end before what has come of them is told.
        let unfinished = self.watcher.watch.unfinished();
        let repair = move || {
            let _unfinished = unfinished;
            let done = Repairer { examination, rules, source }.carry_out(&wanted, &watch);
            let _ = sender.send(Outcome::Repairs(Box::new(done)));
            inbox.wake();
        };
        self.repairing = Builder::new().spawn_scoped(self.scope, repair).ok();
    }

    fn record(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        let events = self.records.record(self.watcher.examination.auditor.project, events)?;
        if let Some(metrics) = &mut self.watcher.metrics {
            metrics.count(&events);
        }
        self.note_tickets(&events)
    }

    /// Notes the change requests and incidents that follow from events.
    fn note_tickets(&mut self, events: &[Event]) -> Result<(), Failure> {
        let project = self.watcher.examination.auditor.project;
        if !self.tickets.note(events, &project.config, self.watcher.rules.policies) {
            return Ok(());
        }
        self.write_tickets()
    }

    fn write_tickets(&self) -> Result<(), Failure> {
        let project = self.watcher.examination.auditor.project;
        let written = self.tickets.write(&project.store_root, self.watcher.target());
        written.map_err(|error| Failure::at(&project.store_root.join(crate::store::state::PATH), &error))
    }

    fn ticket_done(&mut self, sent: Result<Sent, String>) -> Result<(), Failure> {
        self.is_sending = false;
        match sent {
            Ok(sent) => {
                self.tickets.sent(&sent);
                self.send_after = None;
                self.write_tickets()
            }
            Err(why) => {
                let events = &self.watcher.examination.auditor.project.control.events;
                events.warning(&format!("{why}; it is sent again"));
                self.send_after = Some(Instant::now() + waits::REDIS_AGAIN.most);
                Ok(())
            }
        }
    }

    /// Sends the next change request or incident.
    fn begin_sending(&mut self) {
        let is_time = self.send_after.is_none_or(|at| Instant::now() >= at);
        if self.is_sending || !is_time || !self.tickets.has_pending() {
            return;
        }
        let (tickets, project) = (self.tickets.clone(), self.watcher.examination.auditor.project);
        let (inbox, sender, watch) = (self.watcher.inbox, self.sender.clone(), Arc::clone(&self.watch));
        let send = move || {
            let _ = sender.send(Outcome::Ticket(tickets.send_first(project, &watch)));
            inbox.wake();
        };
        self.is_sending = Builder::new().spawn_scoped(self.scope, send).is_ok();
    }

    fn event(&self, happened: Happened, trigger: HintSource) -> Event {
        Event::new(happened, Scene { target: self.watcher.target(), trigger })
    }

    fn tell_gap(&mut self, trigger: HintSource, gap: &Gap) -> Result<(), Failure> {
        if let Some(metrics) = &mut self.watcher.metrics {
            metrics.gap(gap);
        }
        let mut event = self.event(Happened::Gap, trigger);
        event.evidence.reason = Some(escaped(gap.in_words().as_bytes()));
        self.record(vec![event])
    }

    /// Writes the metrics, where that is due.
    fn write_metrics(&mut self) {
        let files = self.watcher.files;
        let Some(metrics) = &mut self.watcher.metrics else { return };
        if metrics.due().is_some_and(|due| Instant::now() >= due)
            && let Err(failure) = metrics.write(files)
        {
            self.warn(&failure);
        }
    }

    fn warn(&self, failure: &Failure) {
        let events = &self.watcher.examination.auditor.project.control.events;
        events.warning(&failure.in_one_line());
    }

    fn is_blind(&self) -> bool {
        let is_local = self.watcher.examination.aim.server().is_none();
        is_local && self.watcher.files.is_none_or(|files| files.blind().is_some())
    }

    /// Begins what is due: a look at everything, and a report of it.
    fn go_on(&mut self, course: &mut Course) {
        self.begin_repairs();
        self.begin_sending();
        let now = Instant::now();
        if now >= course.next_reconcile {
            course.wanted = course.wanted.or(Some(HintSource::Reconcile));
        }
        if self.is_blind() && now >= course.next_poll {
            course.wanted = course.wanted.or(Some(HintSource::Poll));
        }
        if course.retry.is_some_and(|at| now >= at) {
            course.wanted = course.wanted.or(Some(HintSource::Poll));
        }
        let is_report_due = course.changed && now >= course.last_report + waits::REPORT_AGAIN.most;
        if course.whole.is_some() || course.wanted.is_none() && !is_report_due {
            return;
        }
        let trigger = course.wanted.take().unwrap_or(HintSource::Inotify);
        let is_reconcile = now >= course.next_reconcile;
        if is_reconcile {
            course.next_reconcile = now + self.watcher.reconcile;
        }
        (course.next_poll, course.retry) = (now + waits::POLL.most, None);
        let reports = (is_report_due || is_reconcile) && !course.is_reporting;
        course.whole = Some(WholeLook { trigger, meanwhile: Subjects::new(), reports });
        self.begin_look();
        let (examination, inbox) = (self.watcher.examination, self.watcher.inbox);
        let (sender, watch) = (self.sender.clone(), Arc::clone(&self.watch));
        let look = move || {
            let seen = examination.sight(&watch);
            // Whoever has gone waits for nothing.
            let _ = sender.send(Outcome::Look(Box::new(seen)));
            inbox.wake();
        };
        if Builder::new().spawn_scoped(self.scope, look).is_err() {
            course.whole = None;
        }
    }

    fn begin_look(&self) {
        if let Some(files) = self.watcher.files {
            files.renew();
        }
        self.watcher.watch_project();
    }

    /// Has a report made of what was seen.
    fn report(&mut self, sighting: &Arc<Sighting>, course: &mut Course) {
        (course.changed, course.last_report, course.is_reporting) = (false, Instant::now(), true);
        let (examination, source) = (self.watcher.examination, self.watcher.source);
        let (inbox, sender, watch) = (self.watcher.inbox, self.sender.clone(), Arc::clone(&self.watch));
        let sighting = Arc::clone(sighting);
        let report = move || {
            let done = reports::leave(&examination, source, &sighting, &watch);
            drop(sighting);
            let _ = sender.send(Outcome::Report(Box::new(done)));
            inbox.wake();
        };
        if Builder::new().spawn_scoped(self.scope, report).is_err() {
            course.is_reporting = false;
        }
    }
}

impl Course {
    /// Has everything looked at again soon where the engine did not answer: one that was frozen tells of nothing when it goes on.
    fn note_engine(&mut self, sighting: &Sighting) {
        let has_failed =
            |it: &Evidence| it.section.id() == IMAGES && matches!(it.observed, Observed::Failed(_));
        if !sighting.look.evidence.iter().any(has_failed) {
            self.pause = waits::POLL.most;
        } else if self.retry.is_none() {
            self.retry = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(waits::LOOK_AGAIN.most);
        }
    }

    /// Until when hints are waited for.
    fn deadline(&self, is_blind: bool) -> Instant {
        if self.whole.is_some() {
            // Its end wakes whoever waits.
            return Instant::now() + waits::POLL.most;
        }
        let mut deadline = self.next_reconcile;
        if let Some(retry) = self.retry {
            deadline = deadline.min(retry);
        }
        if self.changed && !self.is_reporting {
            deadline = deadline.min(self.last_report + waits::REPORT_AGAIN.most);
        }
        if is_blind { deadline.min(self.next_poll) } else { deadline }
    }
}

/// How many containers were seen; `None` where none could be.
fn containers_seen(sighting: &Sighting) -> Option<usize> {
    seen_of(sighting, IMAGES)
}

/// How many subjects of a section were seen; `None` where none could be.
fn seen_of(sighting: &Sighting, section: SectionId) -> Option<usize> {
    let evidence = sighting.look.evidence.iter().find(|it| it.section.id() == section)?;
    if let Observed::Seen(seen) = &evidence.observed { Some(seen.state.entries.len()) } else { None }
}

/// All containers, and what is locked in them.
fn of_containers(sighting: &Sighting) -> Subjects {
    let inside = seen_of(sighting, INSIDE).map(|_| INSIDE);
    inside.into_iter().chain([IMAGES]).map(|section| (section, BTreeSet::new())).collect()
}
