//! The timetable: which deployment is to be looked at next, by a clock that it is handed.
//!
//! A deployment is looked at when the agent starts, at each time of its schedule, sooner after an error, and when somebody asks
//! for it. It waits in one queue with the others, and is never looked at twice at once. Each time of a schedule begins a run, or
//! is counted: as an overrun where the run before still went on, as missed where one was waiting already, or where nobody looked
//! at the clock; however many were missed, one run makes up for them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::{Deployment, Schedule};
use crate::control::clock::Now;
use crate::control::cron::Cron;
use crate::control::waits;

/// The longest time between two looks at the timetable: clocks are set, and machines sleep.
const LOOK: Duration = waits::TIMETABLE.most;
/// Times of a calendar that were missed are counted up to this many at once: a clock that was wrong by decades has no more to say.
const COUNTED: u64 = 1000;
/// A clock that is put back by no more than this does not make times of a calendar come again.
const PUT_BACK: i64 = 3 * 60 * 60;
/// The part of an interval by which names shift it: a tenth at most, in thousands of that.
const SHIFTS: u64 = 1000;
const SHIFT_PART: u32 = 10;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// Everything was looked at, whatever was found.
    Looked,
    /// Something could not be looked at.
    Failed,
}

/// What became of somebody's wish that a deployment be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It waits its turn now.
    Queued,
    /// It waited already.
    Waiting,
    /// It is being looked at, and will be again afterwards: what moved since that began is seen then.
    Again,
    /// It is switched off.
    Disabled,
    /// There is none of that name.
    Unknown,
}

/// What is counted of a deployment since the agent started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunCounters {
    /// Runs that ended with everything looked at.
    pub(crate) looked: u64,
    /// Runs that ended otherwise.
    pub(crate) failed: u64,
    /// Times of the schedule that made it wait for a run.
    pub(crate) on_time: u64,
    /// Times of the schedule that nobody noticed, or at which it was waiting already.
    pub(crate) missed: u64,
    /// Times of the schedule at which the run before still went on.
    pub(crate) overrun: u64,
}

/// How a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeploymentTimes {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is looked at.
    pub(crate) enabled: bool,
    /// How long it has been looked at, where it is.
    pub(crate) running: Option<Duration>,
    /// Whether it waits for a run.
    pub(crate) is_waiting: bool,
    /// The time until it is due again; nothing where it never is.
    pub(crate) next: Option<Duration>,
    /// What is counted of it.
    pub(crate) counters: RunCounters,
}

/// When which deployment is looked at.
#[derive(Debug)]
pub(crate) struct Timetable {
    jobs: usize,
    rows: BTreeMap<String, Row>,
    queue: VecDeque<String>,
    last: Now,
}

/// A deployment's row.
#[derive(Debug)]
struct Row {
    deployment: Deployment,
    /// It stands here no more, and its last run has not ended.
    is_leaving: bool,
    next: Slot,
    retry: Option<Duration>,
    began: Option<Duration>,
    is_waiting: bool,
    is_wished_again: bool,
    counters: RunCounters,
}

/// The next time of a schedule.
#[derive(Debug, Clone, Copy)]
enum Slot {
    /// By the steady clock.
    Steady(Duration),
    /// By the calendar, in seconds since 1970.
    Calendar(i64),
    /// No calendar reaches it.
    Never,
}

impl Timetable {
    /// Makes a timetable by which each enabled deployment is due now, and at most `jobs` are looked at at the same time.
    pub(crate) fn new(deployments: &[Deployment], jobs: NonZeroUsize, now: Now) -> Self {
        let mut table = Self { jobs: jobs.get(), rows: BTreeMap::new(), queue: VecDeque::new(), last: now };
        table.replace(deployments, jobs, now);
        table
    }

    /// Goes on with other deployments. One that stays as it is keeps its times; one that is new or changed is due now, after the run
    /// that goes on. The run of one that is gone may end.
    pub(crate) fn replace(&mut self, deployments: &[Deployment], jobs: NonZeroUsize, now: Now) {
        self.notice(now);
        self.jobs = jobs.get();
        let is_there = |name: &String| deployments.iter().any(|deployment| deployment.name == *name);
        self.rows.retain(|name, row| {
            row.is_leaving |= !is_there(name);
            !row.is_leaving || row.began.is_some()
        });
        for deployment in deployments {
            let old = self.rows.get_mut(&deployment.name);
            match old {
                Some(row) if !row.is_leaving && row.deployment == *deployment => {}
                Some(row) => {
                    let (began, counters) = (row.began, row.counters);
                    *row = Row { began, counters, ..Row::new(deployment, now) };
                    row.is_wished_again = deployment.enabled && began.is_some();
                    row.is_waiting = deployment.enabled && began.is_none();
                }
                None => {
                    let row = Row { is_waiting: deployment.enabled, ..Row::new(deployment, now) };
                    self.rows.insert(deployment.name.clone(), row);
                }
            }
        }
        let is_waiting =
            |name: &String| self.rows.get(name).is_some_and(|row| row.is_waiting && !row.is_leaving);
        self.queue.retain(is_waiting);
        let order = deployments.iter().map(|deployment| &deployment.name);
        let new: Vec<String> =
            order.filter(|name| is_waiting(name) && !self.queue.contains(name)).cloned().collect();
        self.queue.extend(new);
    }

    /// The deployments to begin with now, in their order; each stays due until [`Timetable::began`].
    pub(crate) fn due(&mut self, now: Now) -> Vec<String> {
        self.notice(now);
        self.queue.iter().take(self.free()).cloned().collect()
    }

    /// Notes that a run begins; `false` where none may: it is being looked at, or is not known.
    pub(crate) fn began(&mut self, name: &str, now: Now) -> bool {
        self.notice(now);
        let Some(row) = self.rows.get_mut(name).filter(|row| row.began.is_none() && row.deployment.enabled)
        else {
            return false;
        };
        row.began = Some(now.steady);
        row.is_waiting = false;
        row.retry = None;
        self.queue.retain(|queued| queued != name);
        true
    }

    /// Notes how a run ended.
    pub(crate) fn ended(&mut self, name: &str, now: Now, end: RunEnd) {
        self.notice(now);
        let Some(row) = self.rows.get_mut(name).filter(|row| row.began.is_some()) else { return };
        row.began = None;
        match end {
            RunEnd::Looked => row.counters.looked += 1,
            RunEnd::Failed => {
                row.counters.failed += 1;
                row.retry = Some(now.steady + row.deployment.on_error).filter(|_| row.deployment.enabled);
            }
        }
        if row.is_leaving {
            self.rows.remove(name);
        } else if std::mem::take(&mut row.is_wished_again) && row.deployment.enabled {
            (row.is_waiting, row.retry) = (true, None);
            self.queue.push_back(name.to_owned());
        }
    }

    /// Has a deployment looked at as soon as its turn comes; the times of its schedule stay.
    pub(crate) fn ask(&mut self, name: &str) -> Wish {
        match self.rows.get_mut(name) {
            None => Wish::Unknown,
            Some(row) if row.is_leaving => Wish::Unknown,
            Some(row) if !row.deployment.enabled => Wish::Disabled,
            Some(row) if row.began.is_some() => {
                row.is_wished_again = true;
                Wish::Again
            }
            Some(row) if row.is_waiting => Wish::Waiting,
            Some(row) => {
                (row.is_waiting, row.retry) = (true, None);
                self.queue.push_back(name.to_owned());
                Wish::Queued
            }
        }
    }

    /// The time after which [`Timetable::due`] should be asked again at the latest.
    pub(crate) fn next(&self, now: Now) -> Duration {
        if self.free() > 0 && !self.queue.is_empty() {
            return Duration::ZERO;
        }
        let each = self.rows.values().filter_map(|row| row.until_due(now));
        each.min().map_or(LOOK, |until| until.min(LOOK))
    }

    /// How each deployment stands, by name.
    pub(crate) fn times(&self, now: Now) -> impl Iterator<Item = DeploymentTimes> {
        let rows = self.rows.iter().filter(|(_, row)| !row.is_leaving);
        rows.map(move |(name, row)| DeploymentTimes {
            name: name.clone(),
            enabled: row.deployment.enabled,
            running: row.began.map(|began| now.steady.saturating_sub(began)),
            is_waiting: row.is_waiting,
            next: row.until_due(now),
            counters: row.counters,
        })
    }

    /// How many more may be looked at at the same time.
    fn free(&self) -> usize {
        let running = self.rows.values().filter(|row| row.began.is_some()).count();
        self.jobs.saturating_sub(running)
    }

    /// Notices what has become due since the last look.
    fn notice(&mut self, now: Now) {
        let passed = now.steady.saturating_sub(self.last.steady).as_secs();
        let expected = self.last.unix.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        let is_put_back = now.unix < expected.saturating_sub(PUT_BACK);
        for (name, row) in self.rows.iter_mut().filter(|(_, row)| row.deployment.enabled && !row.is_leaving) {
            if is_put_back {
                row.begin_calendar_anew(now);
            }
            if row.notice(now) {
                self.queue.push_back(name.clone());
            }
        }
        self.last = now;
    }
}

impl Row {
    /// A row that waits for nothing yet.
    fn new(deployment: &Deployment, now: Now) -> Self {
        let next = match &deployment.schedule {
            Schedule::Every(interval) => {
                Slot::Steady(now.steady + *interval + shift(&deployment.name, *interval))
            }
            Schedule::At(cron) => Slot::after(cron, now.unix),
        };
        Self {
            deployment: deployment.clone(),
            is_leaving: false,
            next,
            retry: None,
            began: None,
            is_waiting: false,
            is_wished_again: false,
            counters: RunCounters::default(),
        }
    }

    /// Counts the times that have come; whether the deployment has to wait for a run because of them.
    fn notice(&mut self, now: Now) -> bool {
        let slots = self.slots_until(now);
        let is_retried = self.retry.is_some_and(|retry| retry <= now.steady);
        if self.began.is_some() {
            self.counters.overrun += slots;
            return false;
        }
        if self.is_waiting {
            self.counters.missed += slots;
            return false;
        }
        if slots == 0 && !is_retried {
            return false;
        }
        self.counters.on_time += slots.min(1);
        self.counters.missed += slots.saturating_sub(1);
        (self.is_waiting, self.retry) = (true, None);
        true
    }

    /// The number of times of the schedule that have come; the next one is to come.
    fn slots_until(&mut self, now: Now) -> u64 {
        match (&self.deployment.schedule, self.next) {
            (Schedule::Every(interval), Slot::Steady(next)) if next <= now.steady => {
                let step = interval.as_millis().max(1);
                let more = now.steady.saturating_sub(next).as_millis() / step;
                let count = u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1);
                let ahead = u64::try_from(step).unwrap_or(u64::MAX).saturating_mul(count);
                self.next = Slot::Steady(next.saturating_add(milliseconds(ahead)));
                count
            }
            (Schedule::At(cron), Slot::Calendar(next)) if next <= now.unix => {
                let (mut count, mut at) = (1, next);
                while let Some(later) = cron.after(at).filter(|later| *later <= now.unix && count < COUNTED) {
                    (count, at) = (count + 1, later);
                }
                self.next = Slot::after(cron, now.unix);
                count
            }
            _ => 0,
        }
    }

    /// Goes by the calendar as it is now: what was to come may lie years ahead.
    fn begin_calendar_anew(&mut self, now: Now) {
        if let Schedule::At(cron) = &self.deployment.schedule {
            self.next = Slot::after(cron, now.unix);
        }
    }

    /// The time until the schedule or an error makes it due.
    fn until_due(&self, now: Now) -> Option<Duration> {
        if !self.deployment.enabled || self.is_leaving {
            return None;
        }
        let slot = match self.next {
            Slot::Steady(next) => Some(next.saturating_sub(now.steady)),
            Slot::Calendar(next) => Some(seconds(u64::try_from(next.saturating_sub(now.unix)).unwrap_or(0))),
            Slot::Never => None,
        };
        let retry = self.retry.map(|retry| retry.saturating_sub(now.steady));
        slot.into_iter().chain(retry).min()
    }
}

impl Slot {
    fn after(cron: &Cron, unix: i64) -> Self {
        cron.after(unix).map_or(Self::Never, Self::Calendar)
    }
}

/// How much later than at others its interval begins for a deployment of this name: always the same, so that many of them do not
/// come all at once.
fn shift(name: &str, interval: Duration) -> Duration {
    // FNV-1a, whose value no library changes.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let part = u32::try_from((hash ^ (hash >> 32)) % SHIFTS).unwrap_or(0);
    interval / SHIFT_PART * part / u32::try_from(SHIFTS).unwrap_or(1)
}

fn milliseconds(count: u64) -> Duration {
    [count].map(Duration::from_millis)[0]
}

fn seconds(count: u64) -> Duration {
    [count].map(Duration::from_secs)[0]
}

#[cfg(test)]
mod tests;
