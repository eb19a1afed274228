//! What each operation of the API does, apart from how it is asked and answered.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::agent::Agent;
use super::board::Incident;
use super::http::{Deed, EventFeed, StreamEvent, feed};
use super::page::verdict;
use super::refusal::Refusal;
use super::schedule::Wish;
use super::state::RunResult;
use super::views::{DeploymentList, DeploymentView, IncidentPage, IncidentView, Timeline, WholeReport};
use crate::acknowledge::{self, Acknowledgement, Edit, EditError, reaches_too_far};
use crate::atomic::read_file;
use crate::audit::acknowledgements::with_rules;
use crate::check;
use crate::control::{clock, dates};
use crate::error::Failure;
use crate::events::event::{Event, Happened, Scene};
use crate::events::inbox::HintSource;
use crate::events::journal::Journal;
use crate::events::open_findings::OpenFindings;
use crate::model::{Category, CheckResult, Finding, Moment, Severity, escaped};
use crate::project::Project;
use crate::report::json;
use crate::store::{runs, state};
use crate::watch::WatchRecords;

/// How many incidents a page has where nothing is said.
const PAGE: usize = 100;
/// How many events a reader of the stream may be behind.
const LAG: usize = 256;
/// How many days a timeline has where nothing is said.
const DAYS: u32 = 30;
/// For how many days the API acknowledges at most.
const LONGEST: i64 = 30 * 24 * 60 * 60;
/// How long a reason is at most.
pub(super) const LONGEST_REASON: usize = 500;

/// The refusal of what needs a project that no run has read yet.
pub(super) fn no_run() -> Refusal {
    Refusal::Conflict("no run has begun since the agent was started: try again when one has".to_owned())
}

/// What narrows a list of incidents; each is a list of words with commas in between.
#[derive(Debug, Default)]
pub(crate) struct IncidentQuery {
    /// Statuses: open, acknowledged, approved, remediating, escalated, resolved.
    pub(crate) status: Option<String>,
    /// Configuration items.
    pub(crate) ci: Option<String>,
    /// Categories.
    pub(crate) category: Option<String>,
    /// Severities.
    pub(crate) severity: Option<String>,
    /// Those that were seen at or after this moment: a date, or RFC 3339.
    pub(crate) since: Option<String>,
    /// Deployments.
    pub(crate) deployment: Option<String>,
    /// How many at most: 1 to 1000.
    pub(crate) limit: Option<usize>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
}

/// Reading and writing the place where a page ends.
#[derive(Clone, Copy)]
pub(crate) struct IncidentCursors<'a> {
    /// The id in a cursor; `None` where it was not given out here.
    pub(crate) read: &'a dyn Fn(&str) -> Option<String>,
    /// The cursor behind an id.
    pub(crate) write: &'a dyn Fn(&str) -> String,
}

/// The incidents that a query names.
pub(crate) fn incidents(
    agent: &Agent,
    query: &IncidentQuery,
    detail: bool,
    cursors: IncidentCursors<'_>,
) -> Result<IncidentPage, Refusal> {
    let list = |text: &Option<String>| {
        text.as_ref().map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>())
    };
    let (statuses, categories) = (list(&query.status), list(&query.category));
    let (severities, items, deployments) = (list(&query.severity), list(&query.ci), list(&query.deployment));
    let since = query.since.as_deref().map(|text| {
        let moment = dates::moment(text).map(|moment| moment.unix);
        moment
            .ok_or_else(|| Refusal::Senseless("since: write 2026-12-01, or 2026-12-01T18:00:00Z".to_owned()))
    });
    let since = since.transpose()?;
    let limit = query.limit.unwrap_or(PAGE);
    let after = query.cursor.as_deref().map(|text| {
        (cursors.read)(text)
            .ok_or_else(|| Refusal::Senseless("cursor: it is none that was given out here".to_owned()))
    });
    let after = after.transpose()?;
    let is_in = |list: &Option<Vec<String>>, word: Option<&str>| {
        list.as_ref().is_none_or(|list| word.is_some_and(|word| list.iter().any(|it| it == word)))
    };
    let is_wanted = |it: &&Incident| {
        is_in(&statuses, Some(it.status().word()))
            && is_in(&items, Some(&it.last.ci_id))
            && is_in(&categories, it.last.category.map(Category::word))
            && is_in(&severities, it.last.severity.map(Severity::word))
            && is_in(&deployments, Some(&it.deployment))
            && since.is_none_or(|since| it.newest_at() >= since)
    };
    let board = agent.board();
    let mut found = board.before(after.as_deref()).filter(is_wanted);
    let page: Vec<&Incident> = found.by_ref().take(limit).collect();
    let next = found.next().and(page.last()).map(|last| (cursors.write)(&last.id));
    Ok(IncidentPage { events: page.into_iter().map(|it| IncidentView::of(it, detail)).collect(), next })
}

/// One incident.
pub(crate) fn incident(agent: &Agent, id: &str, detail: bool) -> Result<IncidentView, Refusal> {
    let board = agent.board();
    board.incident(id).map(|it| IncidentView::of(it, detail)).ok_or_else(unknown_event)
}

/// The refusal of an id that there is not.
pub(super) fn unknown_event() -> Refusal {
    Refusal::Unknown("there is no event of this id".to_owned())
}

/// The stream of events for one reader: the newest event of each incident that it has missed since an event, and what comes.
pub(crate) fn follow(agent: &Agent, last: Option<&str>, detail: bool) -> EventFeed {
    let (sender, events) = feed(LAG);
    // Held until the reader is one of the audience: what is noted meanwhile is for it.
    let board = agent.board();
    let missed = last.map(|id| board.since(id)).unwrap_or_default();
    let mut sent = missed.iter().take(LAG).map(|it| StreamEvent::of(&it.deployment, &it.newest(), detail));
    let is_there = sent.all(|event| sender.send(&event).is_ok());
    // Whoever has missed more hears the end of the stream, and comes back for the rest.
    if is_there && missed.len() <= LAG {
        agent.audiences[usize::from(detail)].add(sender);
    }
    events
}

/// All deployments.
pub(crate) fn deployments(agent: &Agent, detail: bool) -> DeploymentList {
    let (timings, coverage, publications) = (agent.timings(), agent.coverage(), agent.publications());
    let timing = |name: &str| timings.get(name).copied().unwrap_or_default();
    let view = |(name, state): (&String, &super::state::DeploymentState)| {
        let beside = (coverage.get(name), publications.get(name));
        DeploymentView::of(name, state, timing(name), beside, detail)
    };
    DeploymentList { deployments: agent.states().iter().map(view).collect() }
}

/// The newest reports of all deployments. A deployment that has not been looked at is an error.
pub(crate) fn report(agent: &Agent, detail: bool) -> WholeReport {
    let verdict = verdict(agent, &agent.states()).unwrap_or(RunResult::Error);
    let mut open = BTreeMap::new();
    for incident in agent.board().unresolved() {
        let severity = incident.last.severity.map_or("none", Severity::word);
        *open.entry(severity.to_owned()).or_default() += 1;
    }
    let DeploymentList { deployments } = deployments(agent, detail);
    WholeReport { generated_at: clock::utc().0, verdict, open, deployments }
}

/// What happened on so many days up to today.
pub(crate) fn timeline(agent: &Agent, days: Option<u32>) -> Timeline {
    let board = agent.board();
    Timeline::of(board.before(None), days.unwrap_or(DAYS), clock::unix())
}

/// Deployments that are to be looked at.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReconcileBody {
    /// Names of deployments, or of targets: those of them that have such a target are looked at; absent is all.
    targets: Option<Vec<String>>,
}

/// Deployments that will be looked at.
#[derive(Debug, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Queued {
    /// Their names.
    queued: Vec<String>,
}

/// Has deployments looked at as soon as their turn comes.
pub(crate) fn reconcile(agent: &Agent, body: &ReconcileBody, deed: &Deed) -> Result<Queued, Refusal> {
    let plan = agent.plan();
    let names = match &body.targets {
        None => None,
        Some(targets) => {
            let mut names = Vec::new();
            for target in targets {
                let is_it = |name: &str| name == target;
                let found = plan.deployments.iter().filter(|it| {
                    is_it(&it.name)
                        || it.targets.iter().flatten().any(|name| is_it(name))
                        || has_place(agent, &it.name, target)
                });
                let before = names.len();
                names.extend(found.map(|it| it.name.clone()));
                if names.len() == before {
                    let target = escaped(target.as_bytes());
                    return Err(Refusal::Unknown(format!(
                        "no deployment and no target is called \"{target}\""
                    )));
                }
            }
            names.sort();
            names.dedup();
            Some(names)
        }
    };
    deed.begin()?;
    let asked = agent.reconcile(names.as_deref());
    if let Some((name, _)) =
        asked.iter().find(|(_, wish)| *wish == Wish::Disabled).filter(|_| names.is_some())
    {
        return Err(Refusal::Conflict(format!("{name} is switched off")));
    }
    let is_queued = |wish: Wish| matches!(wish, Wish::Queued | Wish::Waiting | Wish::Again);
    let queued = asked.into_iter().filter(|(_, wish)| is_queued(*wish)).map(|(name, _)| name).collect();
    Ok(Queued { queued })
}

fn has_place(agent: &Agent, deployment: &str, target: &str) -> bool {
    agent.states().get(deployment).is_some_and(|state| state.newest(Some(&target.to_owned())).is_some())
}

/// An acknowledgement.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct AcknowledgeBody {
    /// Why it is left for now.
    pub(crate) reason: String,
    /// Until when: `7d`, a date, or RFC 3339; at most 30 days from now.
    pub(crate) until: String,
}

/// Acknowledges what is open, in the name of a token.
pub(crate) fn acknowledge(
    agent: &Agent,
    id: &str,
    body: &AcknowledgeBody,
    (by, deed): (&str, &Deed),
) -> Result<IncidentView, Refusal> {
    let reason = body.reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(Refusal::Senseless(format!(
            "reason: one line of 1 to {LONGEST_REASON} characters says why it is left for now"
        )));
    }
    let now = clock::Started::now();
    let until =
        dates::until(&body.until, now.unix).map_err(|why| Refusal::Senseless(format!("until: {why}")))?;
    if until.unix - now.unix > LONGEST {
        return Err(Refusal::Senseless("until: the API acknowledges for 30 days at most".to_owned()));
    }
    let place = agent.board().incident(id).cloned().ok_or_else(unknown_event)?;
    let store_root = agent.store_root(&place.deployment);
    let project = agent.project(&place.deployment).ok_or_else(no_run)?;
    // A run that ends now, and another acknowledgement, come before this one or after it.
    let _alone = state::hold(&store_root, place.last.target.as_deref(), &|| false)
        .map_err(|failure| Refusal::Conflict(format!("{}: try again", failure.in_one_line())))?;
    let _judging = agent.judging();
    let known = agent.board().incident(id).cloned().ok_or_else(unknown_event)?;
    if known.resolved.is_some() || known.is_waived() {
        return Err(Refusal::Conflict(format!("it is {} already", known.status().word())));
    }
    let entry = entry(agent, &known, reason, by, Moment { text: now.rfc3339, unix: now.unix }, until)?;
    let put = |there: &[Acknowledgement]| {
        let same = there.iter().position(|it| it.is_of_same_subject(&entry));
        let edit = same.map_or_else(|| Edit::Add(entry.clone()), |at| Edit::Put(at, entry.clone()));
        Ok::<_, EditError>((vec![edit], ()))
    };
    deed.begin()?;
    let written = with_rules(|rules| acknowledge::edit(&store_root, rules, put));
    written.map_err(|error| Refusal::Broken(error.to_string()))?;
    agent.publish(&known.deployment);
    record(agent, &project, &known)?;
    incident(agent, id, true)
}

/// The entry that acknowledges an incident: its finding must still be there as it was seen.
fn entry(
    agent: &Agent,
    known: &Incident,
    reason: &str,
    by: &str,
    since: Moment,
    until: Moment,
) -> Result<Acknowledgement, Refusal> {
    let states = agent.states();
    let report = states.get(&known.deployment).and_then(|state| state.newest(known.last.target.as_ref()));
    let is_it = |check: &CheckResult, finding: &Finding| {
        known.last.fingerprint.as_deref() == Some(&finding.fingerprint(check.id).to_string())
    };
    let found = report
        .into_iter()
        .flat_map(|report| &report.checks)
        .find_map(|check| Some(check.id).zip(check.findings.iter().find(|finding| is_it(check, finding))));
    let Some((check, finding)) = found else {
        return Err(Refusal::Conflict(
            "the newest report does not have it as it was seen: look again, and see what there is now"
                .to_owned(),
        ));
    };
    if !acknowledge::can_be(finding) {
        return Err(Refusal::Conflict("what could not be looked at cannot be acknowledged".to_owned()));
    }
    if reaches_too_far(finding, until.unix, since.unix) {
        return Err(Refusal::Senseless("until: a sensitive value drifted; 30 days at most".to_owned()));
    }
    Ok(Acknowledgement {
        check: check.to_owned(),
        subject: finding.subject.key.clone(),
        target: known.last.target.clone(),
        kind: finding.kind,
        fingerprint: finding.fingerprint(check),
        reason: reason.to_owned(),
        by: by.to_owned(),
        since,
        until,
    })
}

/// Records that an incident is acknowledged, before any run sees it. Its place is held.
fn record(agent: &Agent, project: &Project, known: &Incident) -> Result<(), Refusal> {
    let store_root = agent.store_root(&known.deployment);
    let target = known.last.target.as_deref();
    let failed = |error: std::io::Error| Refusal::from(Failure::at(&store_root, &error));
    let mut journal = Journal::open(&store_root).map_err(failed)?;
    let mut open = OpenFindings::read(&store_root, target).map_err(failed)?;
    let fresh = Event::new(Happened::Acknowledged, Scene { target, trigger: HintSource::Api });
    let (id, at) = (fresh.id, (fresh.detected_at, fresh.detected_at_unix));
    let event = Event {
        id,
        event: Happened::Acknowledged,
        trigger: HintSource::Api,
        detected_at: at.0,
        detected_at_unix: at.1,
        ..known.last.clone()
    };
    let mut sink = |event: &Event| {
        agent.note(&known.deployment, event);
        Ok(())
    };
    let mut records = WatchRecords { journal: &mut journal, open: &mut open, sink: &mut sink };
    drop(records.record(project, vec![event])?);
    open.write(&store_root).map_err(failed)
}

/// The file of a run's report, of a deployment where one is named.
pub(crate) fn report_file(agent: &Agent, run: &str, deployment: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let unknown = || Refusal::Unknown("there is no report of this run".to_owned());
    // Whatever is no name of a run leads nowhere.
    let (_, _, _) = runs::parse_name(run).filter(|_| runs::is_own(run)).ok_or_else(unknown)?;
    let names: Vec<String> = agent.states().keys().cloned().collect();
    let names = names.iter().filter(|name| deployment.is_none_or(|wanted| wanted == *name));
    let path = |name: &str| agent.store_root(name).join(runs::PATH).join(run).join(json::FILE);
    let its: Vec<&String> = names.filter(|name| path(name).exists()).collect();
    match its.as_slice() {
        [] => Err(unknown()),
        [one] => read_file(&path(one)).map_err(|_| unknown()),
        several => Err(Refusal::Conflict(format!(
            "several deployments have a run of this name: add ?deployment= with one of {}",
            several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The view of a report's bytes for who may not see lines and values.
pub(crate) fn brief(bytes: &[u8]) -> Result<super::views::PlaceView, Refusal> {
    let report = json::read_known(bytes, &check::meta);
    let report = report.map_err(|why| Refusal::Broken(why.to_string()))?;
    Ok(super::views::PlaceView::of(&report, false))
}
