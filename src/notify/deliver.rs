//! Getting news to whom it concerns: one thread a notification, one after the other in it, recorded once delivered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::command::Program;
use super::decide::{Decision, Earlier, Event, Known, LastNotification, NoticeScope, decide};
use super::email;
use super::http::{Client, Limit};
use super::slack::{self, MessageContext};
use super::smtp::Mailer;
use super::state::{self, State};
use super::undelivered::Undelivered;
use crate::config::Notify;
use crate::control::waits;
use crate::error::Failure;
use crate::host::Watch;
use crate::model::{Report, in_words};

/// How long all that is told through one notification may take: a check ends within a minute of its report.
const BUDGET: Duration = waits::NOTIFY.most;
/// How long of that another check that is telling is waited for.
const PATIENCE: Duration = waits::OTHER_NOTIFIER.most;
/// How often it is looked whether somebody ended the run.
const TICK: Duration = Duration::from_millis(20);
/// How long commands that are being told to end may take to do so.
const GRACE: Duration = waits::NOTIFY_GRACE.most;

/// Why nobody was told, where telling broke off.
const UNFINISHED: &str = "telling broke off, which is a defect of driftlock";

/// A report that may be news.
#[derive(Debug, Clone)]
pub struct News {
    /// Which one of the invocation's reports it is.
    pub number: usize,
    /// The report.
    pub report: Report,
    /// The same as it is kept.
    pub json: Vec<u8>,
    /// What is known from an earlier one.
    pub earlier: Option<Earlier>,
    /// Since when the set of findings is what it is, as far as earlier reports tell; in seconds since 1970.
    pub unchanged_since: Option<i64>,
    /// What messages say of where they come from.
    pub words: MessageContext,
}

/// A way that is ready to be used.
#[derive(Debug, Clone)]
pub enum Way {
    /// A message to Slack.
    Slack(Client),
    /// The JSON report.
    Webhook(Client),
    /// The JSON report, on the standard input of a program.
    Command(Program),
    /// The report for people, in a mail.
    Email(Mailer),
}

/// A notification: how it is called, and the way, or why there is none.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// Its name in the configuration.
    pub name: String,
    /// What is configured.
    pub notify: Notify,
    /// The way.
    pub way: Result<Way, Failure>,
}

/// What is to be told through one notification.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The project's root.
    pub root: PathBuf,
    /// The moment, in seconds since 1970.
    pub now: i64,
    /// The notification.
    pub outlet: Outlet,
    /// What may be news.
    pub news: Vec<News>,
}

/// What became of telling one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// The notification.
    pub name: String,
    /// Which report.
    pub number: usize,
    /// Why it was not delivered; none where it was. Without any address, token, or word of the other side.
    pub error: Option<String>,
    /// What a command said about that, which only its own user may see.
    pub said: Option<String>,
}

/// What is known of a report for the notification `name`, with what was recorded.
fn known<'a>(state: &'a State, news: &'a News, notify: &Notify, now: i64) -> Known<'a> {
    Known {
        recorded: state.of(&NoticeScope::of(&news.report)),
        earlier: news.earlier.as_ref(),
        unchanged_since: news.unchanged_since,
        now,
        remind_after: notify.remind_after,
    }
}

/// Whether there is anything to do about a report, be it only to record it. Nothing is waited for.
#[must_use]
pub fn is_due(root: &std::path::Path, name: &str, notify: &Notify, news: &News, now: i64) -> bool {
    let Ok(state) = State::read(root, name) else { return true };
    decide(&news.report, &known(&state, news, notify, now)) != Decision::Nothing
}

/// Delivers what is news, all notifications at once. Gives what became of it, and what else its user must know. Ends
/// early, with what is known by then, when `watch` is cancelled.
#[must_use]
pub fn deliver(deliveries: Vec<Delivery>, watch: &Arc<Watch>) -> (Vec<DeliveryOutcome>, Vec<String>) {
    deliver_by(deliveries, watch, |delivery, watch| {
        let mut telling = Dispatcher { delivery, watch, outcomes: Vec::new(), warnings: Vec::new() };
        telling.carry_out();
        (telling.outcomes, telling.warnings)
    })
}

/// What became of what was to be told, and what else somebody must know.
type Told = (Vec<DeliveryOutcome>, Vec<String>);

/// Delivers all by `tell`, each on a thread. Of what `tell` does not get to the end of, nobody was told.
fn deliver_by(
    deliveries: Vec<Delivery>,
    watch: &Arc<Watch>,
    tell: impl Fn(Delivery, Arc<Watch>) -> Told + Clone + Send + 'static,
) -> Told {
    let (done, waits) = channel();
    let (mut outcomes, mut warnings) = (Vec::new(), Vec::new());
    let mut names: Vec<String> = Vec::new();
    for delivery in deliveries {
        let (done, watch, name) = (done.clone(), Arc::clone(watch), delivery.outlet.name.clone());
        let numbers: Vec<usize> = delivery.news.iter().map(|news| news.number).collect();
        let untold = |name: &str, why: String| {
            let of = |number| DeliveryOutcome {
                name: name.to_owned(),
                number,
                error: Some(why.clone()),
                said: None,
            };
            numbers.iter().copied().map(of).collect::<Vec<_>>()
        };
        let (tell, on_panic) = (tell.clone(), untold(&name, UNFINISHED.to_owned()));
        let of = name.clone();
        let work = move || {
            let told = catch_unwind(AssertUnwindSafe(|| tell(delivery, watch)));
            let (outcomes, warnings) = told.unwrap_or((on_panic, Vec::new()));
            let _ = done.send((of, outcomes, warnings));
        };
        match Builder::new().spawn(work) {
            Ok(_) => names.push(name),
            Err(why) => {
                outcomes.extend(untold(&name, format!("no thread could be started: {}", in_words(&why))));
            }
        }
    }
    drop(done);
    let mut ended: Option<Instant> = None;
    while !names.is_empty() && ended.is_none_or(|at| at.elapsed() < GRACE) {
        match waits.recv_timeout(TICK) {
            Ok((name, some, more)) => {
                names.retain(|other| *other != name);
                outcomes.extend(some);
                warnings.extend(more);
            }
            Err(RecvTimeoutError::Timeout) if watch.is_cancelled() => {
                ended.get_or_insert_with(Instant::now);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    outcomes.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    (outcomes, warnings)
}

/// Telling through one notification.
struct Dispatcher {
    delivery: Delivery,
    watch: Arc<Watch>,
    outcomes: Vec<DeliveryOutcome>,
    warnings: Vec<String>,
}

impl Dispatcher {
    fn carry_out(&mut self) {
        let start = Instant::now();
        let (root, name) = (self.delivery.root.clone(), self.delivery.outlet.name.clone());
        // Without the lock the worst is that something is told twice: better than not at all.
        let _held =
            state::lock(&root, &name, PATIENCE, &self.watch).map_err(|error| self.warn(&in_words(&error)));
        let mut state = State::read(&root, &name).unwrap_or_else(|error| {
            self.warn(&in_words(&error));
            State::default()
        });
        for news in std::mem::take(&mut self.delivery.news) {
            let place = NoticeScope::of(&news.report);
            let known = known(&state, &news, &self.delivery.outlet.notify, self.delivery.now);
            let (decision, before) = (decide(&news.report, &known), known.before().cloned());
            let told = match decision {
                Decision::Nothing => continue,
                Decision::Record(told) => told,
                Decision::Tell(event, told) => {
                    if state.of(&place).is_none() {
                        let before = before.unwrap_or_else(|| LastNotification::nothing(self.delivery.now));
                        self.record(&mut state, place.clone(), before);
                    }
                    let limit = limit_of(&self.delivery.outlet.notify, start + BUDGET, &self.watch);
                    let outcome = attempted(&self.delivery.outlet, event, &news, &limit);
                    let failed = outcome.error.is_some();
                    self.outcomes.push(outcome);
                    if failed {
                        continue;
                    }
                    told
                }
            };
            self.record(&mut state, place, told);
        }
    }

    fn record(&mut self, state: &mut State, place: NoticeScope, told: LastNotification) {
        state.set(place, told);
        if let Err(error) = state.write(&self.delivery.root, &self.delivery.outlet.name) {
            self.warn(&format!("{}; it may be told again", in_words(&error)));
        }
    }

    /// Notes what its user must know of the record.
    fn warn(&mut self, why: &str) {
        let path = state::path(&self.delivery.outlet.name);
        let warning = format!("{}: {why}", path.display());
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

pub(super) fn limit_of(notify: &Notify, end: Instant, watch: &Arc<Watch>) -> Limit {
    Limit { end, attempt: notify.timeout, pause: notify.retry_pause, watch: Arc::clone(watch) }
}

/// Sends one report through a notification, whether it is news or not; records nothing.
#[must_use]
pub fn send(outlet: &Outlet, event: Event, news: &News, watch: &Arc<Watch>) -> DeliveryOutcome {
    attempted(outlet, event, news, &limit_of(&outlet.notify, Instant::now() + BUDGET, watch))
}

fn attempted(outlet: &Outlet, event: Event, news: &News, limit: &Limit) -> DeliveryOutcome {
    let sent = match &outlet.way {
        _ if limit.watch.is_cancelled() => Err(Undelivered::new("the run was ended")),
        _ if limit.left().is_zero() => Err(Undelivered::new("there was no time left for it")),
        Err(failure) => Err(Undelivered::new(failure.in_one_line())),
        Ok(way) => through(way, &outlet.name, event, news, limit),
    };
    let (error, said) = sent.err().map_or((None, None), |failed| (Some(failed.why), failed.said));
    DeliveryOutcome { name: outlet.name.clone(), number: news.number, error, said }
}

/// The two environment variables that a command is told by.
const VARIABLES: [&str; 2] = ["DRIFTLOCK_EVENT", "DRIFTLOCK_NOTIFY"];

fn through(way: &Way, name: &str, event: Event, news: &News, limit: &Limit) -> Result<(), Undelivered> {
    let word = event.word();
    match way {
        Way::Slack(client) => client.post(&slack::message(&news.report, event, &news.words), word, limit),
        Way::Webhook(client) => client.post(&news.json, word, limit),
        Way::Command(program) => {
            let variables = [(VARIABLES[0], word), (VARIABLES[1], name)];
            program.run(&news.json, &variables, limit.attempt.min(limit.left()), &limit.watch)
        }
        Way::Email(mailer) => mailer.send(&email::text(&news.report, event, &news.words), word, limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Channel;
    use crate::model::{BaselineOrigin, Digest};

    fn delivery(name: &str, numbers: &[usize]) -> Delivery {
        let baseline =
            BaselineOrigin { from: String::new(), digest: Digest::of(b""), commit: None, dirty: None };
        let report = Report::of(Vec::new(), baseline);
        let words =
            MessageContext { driftlock: String::new(), can_explain: false, dir: String::new(), report: None };
        let news = |number: &usize| News {
            number: *number,
            report: report.clone(),
            json: Vec::new(),
            earlier: None,
            unchanged_since: None,
            words: words.clone(),
        };
        let time = Duration::from_secs(1);
        let channel = Channel::Command { argv: vec!["true".to_owned()] };
        let notify = Notify { channel, targets: None, remind_after: None, timeout: time, retry_pause: time };
        let outlet = Outlet { name: name.to_owned(), notify, way: Err(Failure::new("none")) };
        Delivery { root: PathBuf::new(), now: 0, outlet, news: numbers.iter().map(news).collect() }
    }

    #[test]
    fn where_telling_breaks_off_nobody_was_told() {
        let deliveries = vec![delivery("bad", &[0, 1]), delivery("good", &[1])];
        let (outcomes, warnings) = deliver_by(deliveries, &Arc::default(), |delivery, _| {
            assert_ne!(delivery.outlet.name, "bad", "this one is meant to panic");
            (
                vec![DeliveryOutcome { name: delivery.outlet.name, number: 1, error: None, said: None }],
                Vec::new(),
            )
        });
        let told: Vec<_> =
            outcomes.iter().map(|it| (it.number, it.name.as_str(), it.error.as_deref())).collect();
        let broke_off = Some(UNFINISHED);
        assert_eq!(told, [(0, "bad", broke_off), (1, "bad", broke_off), (1, "good", None)]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}
