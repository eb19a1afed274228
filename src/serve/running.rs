//! Work of the agent that is under way: runs of deployments, repairs, and pushes. Each has a deadline, and something that cancels it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::board::Incident;
use super::refusal::Refusal;
use crate::control::waits;
use crate::events::event::{Event, EventEvidence, Happened, Scene};
use crate::events::inbox::HintSource;
use crate::host::Watch;

/// How many repairs, and looks at their steps, are under way at the same time.
pub(super) const REPAIRS: usize = 8;

/// The key of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// A run of the deployment of that name.
    Run(String),
    /// A repair, or the look at what it would be, by an id of its own.
    Repair(Uuid),
    /// Pushing what was acknowledged of the deployment of that name.
    Publication(String),
}

/// A piece of work.
pub(super) struct Running {
    /// Cancels it.
    pub(super) watch: Arc<Watch>,
    /// Cancels the look at what a repair has done.
    pub(super) last_look: Arc<Watch>,
    /// The moment at which it is cancelled.
    pub(super) deadline: Instant,
    /// The thread that works on it.
    pub(super) thread: Option<JoinHandle<()>>,
    /// The repair, where it is one.
    pub(super) repair: Option<RepairNote>,
}

/// A repair that somebody has asked for.
#[derive(Debug, Clone)]
pub(super) struct RepairNote {
    /// What is repaired.
    pub(super) incident: Incident,
    /// Who asked for it.
    pub(super) by: String,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// Whether its steps are only shown.
    pub(super) is_dry: bool,
}

impl RepairNote {
    /// The event of a repair that the agent has left behind at its end: nobody has looked at what it did.
    pub(super) fn left_behind(&self) -> Event {
        let last = &self.incident.last;
        let scene = Scene { target: last.target.as_deref(), trigger: HintSource::Remedy };
        let fresh = Event::new(Happened::Escalated, scene);
        Event {
            id: fresh.id,
            event: fresh.event,
            trigger: fresh.trigger,
            detected_at: fresh.detected_at,
            detected_at_unix: fresh.detected_at_unix,
            evidence: EventEvidence {
                by: Some(self.by.clone()),
                reason: Some(
                    "the agent was ended before the repair was: look at what it has done".to_owned(),
                ),
                ..EventEvidence::default()
            },
            ..last.clone()
        }
    }
}

/// All work that is under way.
#[derive(Default)]
pub(super) struct AllRunning {
    /// Each piece of it.
    pub(super) all: BTreeMap<Work, Running>,
    /// Whether no more is begun: the agent ends.
    is_over: bool,
}

impl AllRunning {
    /// Whether a repair may begin.
    ///
    /// # Errors
    /// When the agent ends, too many repairs are under way, or the same one.
    pub(super) fn admit(&self, note: &RepairNote) -> Result<(), Refusal> {
        if self.is_over {
            return Err(Refusal::Busy("the agent is being ended".to_owned()));
        }
        let repairs = || self.all.values().filter_map(|it| it.repair.as_ref());
        if !note.is_dry && repairs().any(|it| !it.is_dry && it.incident.id == note.incident.id) {
            return Err(Refusal::Conflict("it is being repaired already".to_owned()));
        }
        if repairs().count() >= REPAIRS {
            return Err(Refusal::Busy(format!("{REPAIRS} repairs are under way: try again")));
        }
        Ok(())
    }

    /// Cancels what takes longer than it may.
    pub(super) fn cancel_late(&self) {
        let now = Instant::now();
        for running in self.all.values().filter(|running| running.deadline <= now) {
            running.watch.cancel();
            if running.deadline + waits::LAST_LOOK.most <= now {
                running.last_look.cancel();
            }
        }
    }

    /// The time until the first deadline.
    pub(super) fn first_deadline(&self) -> Duration {
        let now = Instant::now();
        let going_on = self.all.values().filter(|run| !run.watch.is_cancelled());
        going_on.map(|run| run.deadline.saturating_duration_since(now)).min().unwrap_or(Duration::MAX)
    }

    /// Cancels all of it, and lets no more begin.
    pub(super) fn close(&mut self) -> BTreeMap<Work, Running> {
        self.is_over = true;
        let all = std::mem::take(&mut self.all);
        for running in all.values() {
            running.watch.cancel();
        }
        all
    }
}
