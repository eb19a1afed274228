//! The routes of the agent: what is asked over HTTP, and what answers it.

use std::sync::Arc;

use super::agent::Agent;
use super::api::{
    self, AcknowledgeBody, IncidentCursors, IncidentQuery, ReconcileBody, Refusal, TimelineQuery,
};
use super::http::{CursorKey, Problem, QueryKey, RouteKind, SiteAnswer, SiteRequest, SiteRoute, Verb, feed};
use super::metrics;
use super::page::{self, Reader};
use super::tokens::TokenRole;
use crate::check;
use crate::report::{Presentation, REPORTERS, json};

/// How many events a reader of the stream may be behind.
const LAG: usize = 256;
/// The scope of the cursors of events.
const EVENTS: &str = "events";

/// What the routes work with.
pub(crate) struct AgentSite {
    /// The agent.
    pub(crate) agent: Arc<Agent>,
    /// What cursors are authenticated with.
    pub(crate) cursors: CursorKey,
}

const fn key(name: &'static str, summary: &'static str) -> QueryKey {
    QueryKey { name, summary }
}

/// Every route but those of logging in.
pub(crate) const ROUTES: &[SiteRoute<AgentSite>] = &[
    SiteRoute::new(Verb::Get, "/healthz", None, RouteKind::Api, |_, _| Ok(SiteAnswer::Text("text/plain; charset=utf-8", "ok\n".to_owned())))
        .summary("Whether the agent answers"),
    SiteRoute::new(Verb::Get, "/readyz", None, RouteKind::Api, |_, _| Ok(SiteAnswer::Text("text/plain; charset=utf-8", "ready\n".to_owned())))
        .summary("Whether the agent knows what it knew before it was started"),
    SiteRoute::new(Verb::Get, "/metrics", Some(TokenRole::Scrape), RouteKind::Api, scrape)
        .summary("Metrics for Prometheus"),
    SiteRoute::new(Verb::Get, "/", Some(TokenRole::Read), RouteKind::Page, index).summary("The page"),
    SiteRoute::new(Verb::Get, "/drift/stream", Some(TokenRole::Read), RouteKind::Stream, stream)
        .summary("Events as they come"),
    SiteRoute::new(Verb::Get, "/drift/events", Some(TokenRole::Read), RouteKind::Api, events)
        .summary("What drifts, and what did, newest first")
        .query(&[
            key("status", "Statuses, with commas in between: open, acknowledged, approved, remediating, escalated, resolved"),
            key("ci", "Configuration items, with commas in between"),
            key("category", "Categories, with commas in between"),
            key("severity", "Severities, with commas in between: low, medium, high, critical"),
            key("since", "Those that were seen at or after this moment: a date, or RFC 3339"),
            key("deployment", "Deployments, with commas in between"),
            key("limit", "How many at most: 1 to 1000"),
            key("cursor", "Where the page before ended"),
        ])
        .gives("IncidentPage"),
    SiteRoute::new(Verb::Get, "/drift/events/{id}", Some(TokenRole::Read), RouteKind::Api, event)
        .summary("One of them")
        .gives("IncidentView"),
    SiteRoute::new(
        Verb::Post,
        "/drift/events/{id}/acknowledge",
        Some(TokenRole::Operate),
        RouteKind::Api,
        acknowledge,
    )
    .summary("Acknowledge drift for a time, in the name of the token")
    .takes("AcknowledgeBody")
    .gives("IncidentView"),
    SiteRoute::new(Verb::Post, "/drift/reconcile", Some(TokenRole::Operate), RouteKind::Api, reconcile)
        .summary("Look at deployments as soon as their turn comes")
        .takes("ReconcileBody")
        .gives("Queued"),
    SiteRoute::new(Verb::Get, "/drift/report", Some(TokenRole::Read), RouteKind::Api, report)
        .summary("The newest reports of all deployments")
        .gives("WholeReport"),
    SiteRoute::new(Verb::Get, "/drift/report/timeline", Some(TokenRole::Read), RouteKind::Api, timeline)
        .summary("What was opened, over and open on each of the last days")
        .query(&[key("days", "How many days up to today: 1 to 366")])
        .gives("Timeline"),
    SiteRoute::new(Verb::Get, "/drift/deployments", Some(TokenRole::Read), RouteKind::Api, deployments)
        .summary("What is looked at, when, and what came of it")
        .gives("DeploymentList"),
    SiteRoute::new(Verb::Get, "/drift/reports/{run}", Some(TokenRole::Read), RouteKind::Api, one_report)
        .summary("The report of a run: whole with the role detail, else verdicts and names")
        .query(&[
            key("deployment", "The deployment, where several have a run of this name"),
            key("format", "json or html; html needs the role detail"),
        ]),
    SiteRoute::new(Verb::Post, "/page/reconcile", Some(TokenRole::Operate), RouteKind::Form, |site: &AgentSite, _| {
        api::reconcile(&site.agent, &ReconcileBody::default()).map_err(problem)?;
        Ok(SiteAnswer::Redirect("/".to_owned()))
    })
    .summary("The page's button to look at everything now"),
    SiteRoute::new(Verb::Post, "/page/acknowledge", Some(TokenRole::Operate), RouteKind::Form, acknowledge_on_page)
        .summary("The page's form to acknowledge drift"),
];

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Senseless(why) => Problem::bad_request(why),
        Refusal::Unknown(why) => Problem::not_found(why),
        Refusal::Conflict(why) => Problem::conflict(why),
        Refusal::Broken(why) => {
            log::error!("{why}");
            Problem::internal()
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "handlers are alike")]
fn scrape(site: &AgentSite, _: &SiteRequest) -> Result<SiteAnswer, Problem> {
    Ok(SiteAnswer::Text(metrics::MEDIA_TYPE, metrics::page(&site.agent)))
}

fn index(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let reader = Reader {
        nonce: request.nonce(),
        name: &request.caller()?.name,
        detail: request.may(TokenRole::Detail),
        csrf: request.csrf().filter(|_| request.may(TokenRole::Operate)),
        session: request.csrf(),
    };
    Ok(SiteAnswer::Html(page::page(&site.agent, reader)))
}

#[expect(clippy::unnecessary_wraps, reason = "handlers are alike")]
fn stream(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let (sender, events) = feed(LAG);
    site.agent.audiences[usize::from(request.may(TokenRole::Detail))].add(sender);
    Ok(SiteAnswer::Stream(events))
}

fn events(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let text = |key: &str| request.query(key).map(str::to_owned);
    let query = IncidentQuery {
        status: text("status"),
        ci: text("ci"),
        category: text("category"),
        severity: text("severity"),
        since: text("since"),
        deployment: text("deployment"),
        limit: request.query_as("limit")?,
        cursor: text("cursor"),
    };
    let read = |cursor: &str| site.cursors.open::<String>(EVENTS, cursor).ok();
    let write = |id: &str| site.cursors.seal(EVENTS, &id).unwrap_or_default();
    let page = api::incidents(
        &site.agent,
        &query,
        request.may(TokenRole::Detail),
        IncidentCursors { read: &read, write: &write },
    );
    SiteAnswer::json(&page.map_err(problem)?)
}

fn event(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let found = api::incident(&site.agent, request.value("id")?, request.may(TokenRole::Detail));
    SiteAnswer::json(&found.map_err(problem)?)
}

fn acknowledge(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: AcknowledgeBody = request.json()?;
    let (id, by) = (request.value("id")?, &request.caller()?.name);
    SiteAnswer::json(&api::acknowledge(&site.agent, id, &body, by).map_err(problem)?)
}

fn acknowledge_on_page(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body = AcknowledgeBody {
        reason: request.field("reason")?.to_owned(),
        until: request.field("until")?.to_owned(),
    };
    let by = &request.caller()?.name;
    api::acknowledge(&site.agent, request.field("id")?, &body, by).map_err(problem)?;
    Ok(SiteAnswer::Redirect("/".to_owned()))
}

fn reconcile(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: ReconcileBody = request.json()?;
    SiteAnswer::json_as(202, &api::reconcile(&site.agent, &body).map_err(problem)?)
}

fn report(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    SiteAnswer::json(&api::report(&site.agent, request.may(TokenRole::Detail)))
}

fn timeline(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let query = TimelineQuery { days: request.query_as("days")? };
    SiteAnswer::json(&api::timeline(&site.agent, &query).map_err(problem)?)
}

fn deployments(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    SiteAnswer::json(&api::deployments(&site.agent, request.may(TokenRole::Detail)))
}

fn one_report(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let found = api::report_file(&site.agent, request.value("run")?, request.query("deployment"));
    let bytes = found.map_err(problem)?;
    match (request.query("format").unwrap_or("json"), request.may(TokenRole::Detail)) {
        ("json", true) => Ok(SiteAnswer::Json(200, bytes)),
        ("json", false) => SiteAnswer::json(&api::brief(&bytes).map_err(problem)?),
        ("html", false) => Err(Problem::forbidden("the whole report needs a token with the role detail")),
        ("html", true) => {
            let report = json::read_known(&bytes, &check::meta).map_err(|_| Problem::internal())?;
            let format = REPORTERS.iter().find(|it| it.id() == "html").ok_or_else(Problem::internal)?;
            let page = String::from_utf8(format.render(&[report], Presentation::KEPT));
            Ok(SiteAnswer::Html(page.map_err(|_| Problem::internal())?))
        }
        _ => Err(Problem::bad_request("format: it is json or html")),
    }
}
