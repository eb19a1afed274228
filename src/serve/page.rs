//! The page: places, what is open by its cause, what happened on each day, and what a reader with the right role can do about it.

use std::collections::BTreeMap;

use super::agent::Agent;
use super::board::{Incident, IncidentStatus};
use super::publish::Publication;
use super::state::{DeploymentState, RunResult};
use super::views::{Timeline, Timing};
use super::watching::WatchCoverage;
use crate::control::clock;
use crate::model::{Category, CauseKind, Report, Status};
use crate::report::html::markup::Markup;
use crate::report::html::page::STYLE as REPORT_STYLE;
use crate::store::last_sweep::LastSweep;

/// The style of the page, behind that of reports.
const STYLE: &str = include_str!("page.css");
/// The script of the page.
const SCRIPT: &str = include_str!("page.js");
/// How many days the timeline has.
const DAYS: u32 = 30;
/// How many incidents a page has.
const ON_ONE: usize = 50;
/// How many deployments without anything to say are shown in a table of their own.
const QUIET: usize = 10;
/// How many incidents of one cause are shown unfolded.
const UNFOLDED: usize = 10;
/// How many incidents that are over are listed.
const RECENT: usize = 20;

const HEAD: &str = "\
<!DOCTYPE html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content=\"width=device-width, initial-scale=1\">
<meta name=color-scheme content=\"light dark\">
<meta name=robots content=noindex>
<link rel=icon href=data:,>
";

/// The reader of a page, and what that one may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// What styles and scripts bear.
    pub(crate) nonce: &'a str,
    /// The name of the token.
    pub(crate) name: &'a str,
    /// Whether lines and values may be seen.
    pub(crate) detail: bool,
    /// What each form holds so that no other page can send it; `None` where nothing may be changed.
    pub(crate) csrf: Option<&'a str>,
    /// What ends the session, the same way.
    pub(crate) session: Option<&'a str>,
    /// The number of the page of what is open, from 1.
    pub(crate) page: usize,
}

/// What is known of deployments beside their runs; read before the page is made, which holds other things.
struct Sources {
    timings: BTreeMap<String, Timing>,
    coverage: BTreeMap<String, WatchCoverage>,
    sweeps: BTreeMap<String, LastSweep>,
    publications: BTreeMap<String, Publication>,
}

impl Sources {
    fn of(agent: &Agent) -> Self {
        let (timings, coverage) = (agent.timings(), agent.coverage());
        Self { timings, coverage, sweeps: agent.sweeps(), publications: agent.publications() }
    }
}

/// The page.
pub(crate) fn page(agent: &Agent, reader: Reader<'_>) -> String {
    let sources = Sources::of(agent);
    let states = agent.states();
    let board = agent.board();
    let mut open: Vec<&Incident> = board.unresolved().collect();
    open.sort_by(|a, b| (b.last.severity, &a.id).cmp(&(a.last.severity, &b.id)));
    let causes = Causes::of(&states);
    let result = verdict(agent, &states);
    let mut page = Markup::default();
    page.fixed(HEAD);
    page.put("title", &format!("{} – driftlock", headline(result, &open)));
    page.with("style", &[("nonce", reader.nonce)], |it| {
        it.fixed(REPORT_STYLE);
        it.fixed(STYLE);
    });
    page.fixed("\n</head>\n<body>\n");
    header(&mut page, reader);
    page.within("main", |it| {
        it.fixed("<p id=news class=\"note news\" role=status>Something has changed: <a href=\"/\">look again</a></p>");
        let tag = match result {
            Some(RunResult::Pass) => "div class=\"verdict pass\"",
            Some(RunResult::Fail) => "div class=\"verdict fail\"",
            Some(RunResult::Error) | None => "div class=\"verdict error\"",
        };
        it.within(tag, |it| it.put("h1", &headline(result, &open)));
        places(it, &sources, &states, reader);
        drift(it, &open, &causes, reader);
        timeline(it, &Timeline::of(board.before(None), DAYS, clock::unix()));
        over(it, board.before(None).filter(|it| it.resolved.is_some()).take(RECENT));
    });
    page.put("footer", concat!("driftlock ", env!("CARGO_PKG_VERSION")));
    page.with("script", &[("nonce", reader.nonce)], |it| it.fixed(SCRIPT));
    page.fixed("\n</body>\n</html>\n");
    page.into_html()
}

/// The verdict over all deployments that are not switched off; one that has not been looked at since the start is no pass.
pub(crate) fn verdict(agent: &Agent, states: &BTreeMap<String, DeploymentState>) -> Option<RunResult> {
    let plan = agent.plan();
    let on = plan.deployments.iter().filter(|it| it.enabled).filter_map(|it| states.get(&it.name));
    let verdicts: Option<Vec<RunResult>> = on.map(DeploymentState::verdict).collect();
    verdicts?.into_iter().max()
}

fn headline(result: Option<RunResult>, open: &[&Incident]) -> String {
    let drift = open.iter().filter(|it| !it.is_waived()).count();
    match (result, drift) {
        (None, _) => "Not everything has been looked at yet".to_owned(),
        (Some(RunResult::Pass), _) => "Everything is as released".to_owned(),
        (Some(RunResult::Fail), n) => {
            format!("{n} {} not as released", plural(n, "subject is", "subjects are"))
        }
        (Some(RunResult::Error), 0) => "Something could not be looked at".to_owned(),
        (Some(RunResult::Error), n) => format!(
            "Something could not be looked at, and {n} {} open",
            plural(n, "finding is", "findings are")
        ),
    }
}

fn plural<'a>(n: usize, one: &'a str, several: &'a str) -> &'a str {
    if n == 1 { one } else { several }
}

fn header(page: &mut Markup, reader: Reader<'_>) {
    page.within("header", |it| {
        it.put("span", "driftlock");
        it.within("nav aria-label=Agent", |it| {
            it.put("small", reader.name);
            if let Some(csrf) = reader.csrf {
                it.within("form method=post action=/page/reconcile", |it| {
                    hidden(it, "csrf", csrf);
                    it.put("button", "Look at everything now");
                });
            }
            if let Some(csrf) = reader.session {
                it.within("form method=post action=/logout", |it| {
                    hidden(it, "csrf", csrf);
                    it.put("button", "Log out");
                });
            }
        });
    });
}

fn hidden(page: &mut Markup, name: &str, value: &str) {
    page.with("input type=hidden", &[("name", name), ("value", value)], |_| {});
}

fn places(
    page: &mut Markup,
    sources: &Sources,
    states: &BTreeMap<String, DeploymentState>,
    reader: Reader<'_>,
) {
    let Sources { timings, coverage, sweeps, publications } = sources;
    let is_watched = |name: &String| coverage.get(name).is_none_or(|it| it.unwatched.is_empty());
    let is_pushed = |name: &String| publications.get(name).is_none_or(|it| it.error.is_none());
    let is_quiet = |(name, state): &(&String, &DeploymentState)| {
        state.verdict() == Some(RunResult::Pass) && is_watched(name) && is_pushed(name)
    };
    let (quiet, loud): (Vec<_>, Vec<_>) = states.iter().partition(is_quiet);
    let row = |it: &mut Markup, (name, state): &(&String, &DeploymentState)| {
        it.within("tr", |it| {
            it.put("th scope=row", name);
            it.within("td", |it| result_badge(it, state.verdict()));
            it.put("td", &last_run(state));
            it.within("td", |it| {
                if timings.get(*name).is_some_and(|timing| !timing.enabled) {
                    it.put("p", "switched off");
                }
                for report in state.places.values() {
                    place(it, name, report, reader, false);
                }
                for report in state.last_known.values() {
                    place(it, name, report, reader, true);
                }
                if let Some(sweep) = sweeps.get(*name) {
                    it.put("p", &format!("Last sweep: {}", sweep.in_words(clock::unix())));
                }
                let errors = state.last.iter().flat_map(|last| &last.errors);
                it.each("p class=why", errors.filter(|_| reader.detail));
                unwatched(it, coverage.get(*name), reader);
                unpushed(it, publications.get(*name), reader);
            });
        });
    };
    let table = |it: &mut Markup, rows: &[(&String, &DeploymentState)]| {
        it.table("table class=checks", ["Deployment", "Verdict", "Last run", "Result"], |it| {
            for one in rows {
                row(it, one);
            }
        });
    };
    page.within("section", |it| {
        it.put("h2", "Places");
        if quiet.len() <= QUIET {
            return table(it, &states.iter().collect::<Vec<_>>());
        }
        if !loud.is_empty() {
            table(it, &loud);
        }
        it.within("details", |it| {
            it.put("summary", &format!("{} deployments are as released", quiet.len()));
            table(it, &quiet);
        });
    });
}

fn unwatched(page: &mut Markup, coverage: Option<&WatchCoverage>, reader: Reader<'_>) {
    let Some(coverage) = coverage.filter(|it| !it.unwatched.is_empty()) else { return };
    if reader.detail {
        page.each("p class=why", coverage.unwatched.iter().map(|why| format!("not watched: {why}")));
    } else {
        page.put("p class=why", "not everything is watched between the runs");
    }
}

fn unpushed(page: &mut Markup, publication: Option<&Publication>, reader: Reader<'_>) {
    let Some((it, why)) = publication.and_then(|it| Some((it, it.error.as_ref()?))) else { return };
    let why = if reader.detail { format!(": {why}") } else { String::new() };
    let what = match it.waiting {
        1 => "1 acknowledgement waits".to_owned(),
        several => format!("{several} acknowledgements wait"),
    };
    page.put("p class=why", &format!("{what} to be pushed to {}{why}", it.branch));
}

fn last_run(state: &DeploymentState) -> String {
    let Some(last) = &state.last else { return "not since the start".to_owned() };
    let at = clock::utc_text(last.began).unwrap_or_default();
    let commit =
        last.commit.as_deref().map(|id| format!(", {}", crate::model::short_id(id))).unwrap_or_default();
    format!("{at}{commit}")
}

fn place(page: &mut Markup, deployment: &str, report: &Report, reader: Reader<'_>, is_past: bool) {
    let name = report.target.as_deref().unwrap_or(&report.host);
    let findings = report.findings();
    page.within("p", |it| {
        let when = clock::utc_text(report.started_at_unix).filter(|_| is_past);
        let when = when.map(|when| format!("last known of {when}: ")).unwrap_or_default();
        let text = format!(
            "{name}: {when}{}, {findings} {}",
            report.status().word(),
            plural(findings, "finding", "findings")
        );
        if reader.detail {
            let path = format!("/drift/reports/{}?deployment={deployment}&format=html", report.run);
            it.with("a", &[("href", &path)], |it| it.text(&text));
        } else {
            it.text(&text);
        }
    });
}

fn result_badge(page: &mut Markup, result: Option<RunResult>) {
    match result {
        Some(RunResult::Pass) => page.put("b class=pass", Status::Pass.word()),
        Some(RunResult::Fail) => page.put("b class=fail", Status::Fail.word()),
        Some(RunResult::Error) => page.put("b class=error", Status::Error.word()),
        None => page.put("b class=skip", "NOT YET"),
    }
}

/// The cause of each finding of the newest reports, by fingerprint.
struct Causes(BTreeMap<String, CauseKind>);

impl Causes {
    fn of(states: &BTreeMap<String, DeploymentState>) -> Self {
        let mut causes = BTreeMap::new();
        for report in states.values().flat_map(|it| it.last_known.values().chain(it.places.values())) {
            for check in &report.checks {
                for finding in &check.findings {
                    causes.insert(finding.fingerprint(check.id).to_string(), CauseKind::of(finding));
                }
            }
        }
        Self(causes)
    }

    fn words(&self, incident: &Incident) -> &'static str {
        match incident.status() {
            IncidentStatus::Acknowledged => return "Acknowledged",
            IncidentStatus::Approved if incident.is_waived() => return "Approved",
            _ => {}
        }
        let kind = incident.last.fingerprint.as_ref().and_then(|it| self.0.get(it));
        match (kind, incident.last.subject.is_some()) {
            (Some(kind), _) => kind.words(),
            (None, true) => "just seen, not explained yet",
            (None, false) => "could not be looked at",
        }
    }
}

fn drift(page: &mut Markup, open: &[&Incident], causes: &Causes, reader: Reader<'_>) {
    if open.is_empty() {
        return;
    }
    let mut groups: Vec<(&'static str, Vec<&Incident>)> = Vec::new();
    for incident in open {
        let words = causes.words(incident);
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, members)) => members.push(incident),
            None => groups.push((words, vec![incident])),
        }
    }
    let pages = open.len().div_ceil(ON_ONE);
    let number = reader.page.clamp(1, pages);
    let (mut before, begin) = (0, (number - 1) * ON_ONE);
    page.within("section id=open", |it| {
        it.put("h2", "What is open");
        for (words, members) in &groups {
            let of_page =
                members.iter().enumerate().filter(|(at, _)| (begin..begin + ON_ONE).contains(&(before + at)));
            let of_page: Vec<&&Incident> = of_page.map(|(_, member)| member).collect();
            before += members.len();
            if of_page.is_empty() {
                continue;
            }
            it.within("h3 class=cause", |it| {
                it.text(words);
                it.put("small", &format!(" {}", members.len()));
            });
            for member in of_page {
                incident(it, member, members.len() <= UNFOLDED, reader);
            }
        }
        if pages > 1 {
            other_pages(it, (number, pages), open.len());
        }
    });
}

fn other_pages(page: &mut Markup, (number, pages): (usize, usize), count: usize) {
    page.within("nav class=pages aria-label=\"What is open\"", |it| {
        let link = |it: &mut Markup, number: usize, words: &str| {
            it.with("a", &[("href", &format!("/?page={number}#open"))], |it| it.text(words));
        };
        if number > 1 {
            link(it, number - 1, "Previous");
        }
        let (first, last) = ((number - 1) * ON_ONE + 1, (number * ON_ONE).min(count));
        it.put("span", &format!("{first} to {last} of {count}"));
        if number < pages {
            link(it, number + 1, "Next");
        }
    });
}

fn incident(page: &mut Markup, incident: &Incident, is_open: bool, reader: Reader<'_>) {
    let last = &incident.last;
    page.within(if is_open { "details open" } else { "details" }, |it| {
        it.within("summary", |it| {
            it.within("h4", |it| {
                it.text(last.subject.as_deref().or(last.check.as_deref()).unwrap_or_default());
            });
            it.text(" ");
            it.put("i", last.kind.map_or("error", crate::model::Kind::word));
            if let Some(severity) = last.severity {
                it.text(" ");
                it.put("i", severity.word());
            }
        });
        it.within("dl", |it| {
            let target = last.target.as_deref().unwrap_or("local");
            fact(it, "Where", &format!("{}, {target}", incident.deployment));
            fact(it, "Check", last.check.as_deref().unwrap_or_default());
            fact(it, "Category", last.category.map(Category::word).unwrap_or_default());
            fact(it, "Since", &incident.opened.0);
            if reader.detail {
                fact(it, "Field", last.field.as_deref().unwrap_or_default());
                fact(it, "Released", last.desired_value.as_deref().unwrap_or_default());
                fact(it, "Found", last.actual_value.as_deref().unwrap_or_default());
                fact(it, "Change", last.diff.as_deref().unwrap_or_default());
                fact(it, "Why", last.evidence.reason.as_deref().unwrap_or_default());
            }
        });
        let can_be = !incident.is_waived() && last.kind.is_some_and(crate::model::Kind::is_drift);
        if let Some(csrf) = reader.csrf.filter(|_| can_be) {
            acknowledge(it, incident, csrf);
        }
    });
}

fn fact(page: &mut Markup, name: &'static str, text: &str) {
    if !text.is_empty() {
        page.put("dt", name);
        page.put("dd", text);
    }
}

fn acknowledge(page: &mut Markup, incident: &Incident, csrf: &str) {
    let action = format!("/page/events/{}/acknowledge", incident.id);
    page.with("form class=ack method=post", &[("action", &action)], |it| {
        hidden(it, "csrf", csrf);
        it.fixed("<label>Reason<input name=reason required maxlength=500></label>");
        it.fixed("<label>For<select name=until><option value=1d>a day<option value=7d>a week<option value=30d>30 days</select></label>");
        it.put("button", "Acknowledge");
    });
}

fn timeline(page: &mut Markup, timeline: &Timeline) {
    let most = timeline.days.iter().map(|day| day.open.max(day.detected)).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    page.within("section", |it| {
        it.put("h2", "The last 30 days");
        it.within("details", |it| {
            it.put("summary", "opened, over, and open at the end of each day");
            it.table("table", ["Day", "Opened", "Over", "Open"], |it| {
                for day in timeline.days.iter().rev().filter(|day| day.open + day.detected + day.resolved > 0)
                {
                    it.within("tr", |it| {
                        it.put("th scope=row", &day.day);
                        it.each(
                            "td class=count",
                            [day.detected, day.resolved, day.open].map(|n| n.to_string()),
                        );
                    });
                }
            });
        });
    });
}

fn over<'a>(page: &mut Markup, incidents: impl Iterator<Item = &'a Incident>) {
    let over: Vec<&Incident> = incidents.collect();
    if over.is_empty() {
        return;
    }
    page.within("section", |it| {
        it.put("h2", "Over");
        it.within("ul", |it| {
            for incident in over {
                it.within("li", |it| {
                    it.put(
                        "code",
                        incident
                            .last
                            .subject
                            .as_deref()
                            .or(incident.last.check.as_deref())
                            .unwrap_or_default(),
                    );
                    let at = incident.resolved.as_ref().map(|end| end.at.0.as_str()).unwrap_or_default();
                    it.put("small", &format!(" {}, over at {at}", incident.deployment));
                });
            }
        });
    });
}
