//! The routes of the agent: what is asked over HTTP, and what answers it.

use std::sync::Arc;

use super::agent::Agent;
use super::api::{self, AcknowledgeBody, IncidentCursors, IncidentQuery, ReconcileBody};
use super::board::IncidentStatus;
use super::http::{
    CursorKey, Problem, QueryForm, QueryKey, RouteKind, SiteAnswer, SiteRequest, SiteRoute, Verb,
};
use super::metrics;
use super::page::{self, Reader};
use super::policies::{self, PolicyBody, PolicyPatch};
use super::refusal::Refusal;
use super::repair::{self, ApproveBody, RemediateBody, RepairState};
use super::tokens::TokenRole;
use crate::check;
use crate::model::{Category, Severity};
use crate::report::{Presentation, REPORTERS, json};

/// The scope of the cursors of events.
const EVENTS: &str = "events";

/// What the routes work with.
pub(crate) struct AgentSite {
    /// The agent.
    pub(crate) agent: Arc<Agent>,
    /// What cursors are authenticated with.
    pub(crate) cursors: CursorKey,
}

const fn key(name: &'static str, summary: &'static str, form: QueryForm) -> QueryKey {
    QueryKey { name, summary, form }
}

/// The description of the API, which a test holds to the routes.
const DESCRIPTION: &str = include_str!("../../docs/openapi.json");
/// The type of a text.
const TEXT: &str = "text/plain; charset=utf-8";

/// Every route but those of logging in.
pub(crate) const ROUTES: &[SiteRoute<AgentSite>] = &[
    SiteRoute::new(Verb::Get, "/healthz", None, RouteKind::Api, |_, _| {
        Ok(SiteAnswer::Text(TEXT, "ok\n".to_owned()))
    })
    .summary("Whether the agent answers.")
    .gives("text/plain"),
    SiteRoute::new(Verb::Get, "/readyz", None, RouteKind::Api, |_, _| {
        Ok(SiteAnswer::Text(TEXT, "ready\n".to_owned()))
    })
    .summary("Whether the agent knows what it knew before it was started.")
    .gives("text/plain"),
    SiteRoute::new(Verb::Get, "/openapi.json", Some(TokenRole::Read), RouteKind::Api, |_, _| {
        Ok(SiteAnswer::Json(200, DESCRIPTION.as_bytes().to_vec()))
    })
    .summary("This description.")
    .gives("application/json"),
    SiteRoute::new(Verb::Get, "/metrics", Some(TokenRole::Scrape), RouteKind::Api, scrape)
        .summary("Metrics for Prometheus.")
        .gives("text/plain"),
    SiteRoute::new(Verb::Get, "/", Some(TokenRole::Read), RouteKind::Page, index)
        .summary("The page.")
        .query(&[key("page", "The page of what is open.", QueryForm::Number(1, 1_000_000))]),
    SiteRoute::new(Verb::Get, "/drift/stream", Some(TokenRole::Read), RouteKind::Stream, stream)
        .summary("Events as they come."),
    SiteRoute::new(Verb::Get, "/drift/events", Some(TokenRole::Read), RouteKind::Api, events)
        .summary("What drifts, and what did, newest first.")
        .query(&[
            key(
                "status",
                "Statuses, with commas in between.",
                QueryForm::ListOf(|| IncidentStatus::ALL.map(IncidentStatus::word).to_vec()),
            ),
            key("ci", "Configuration items, with commas in between.", QueryForm::Text),
            key(
                "category",
                "Categories, with commas in between.",
                QueryForm::ListOf(|| Category::ALL.map(Category::word).to_vec()),
            ),
            key(
                "severity",
                "Severities, with commas in between.",
                QueryForm::ListOf(|| Severity::ALL.map(Severity::word).to_vec()),
            ),
            key(
                "since",
                "Those that were seen at or after this moment: a date, or RFC 3339.",
                QueryForm::Text,
            ),
            key("deployment", "Deployments, with commas in between.", QueryForm::Text),
            key("limit", "How many at most.", QueryForm::Number(1, 1000)),
            key("cursor", "Where the page before ended.", QueryForm::Text),
        ])
        .gives("IncidentPage"),
    SiteRoute::new(Verb::Get, "/drift/events/{id}", Some(TokenRole::Read), RouteKind::Api, event)
        .summary("One of them.")
        .gives("IncidentView"),
    SiteRoute::new(
        Verb::Post,
        "/drift/events/{id}/acknowledge",
        Some(TokenRole::Operate),
        RouteKind::Api,
        acknowledge,
    )
    .summary("Acknowledge drift for a time, in the name of the token.")
    .takes("AcknowledgeBody")
    .gives("IncidentView"),
    SiteRoute::new(
        Verb::Post,
        "/drift/events/{id}/remediate",
        Some(TokenRole::Admin),
        RouteKind::Api,
        remediate,
    )
    .summary("Carry out the undo of drift, or show its steps.")
    .takes("RemediateBody")
    .gives("RepairView")
    .or_status(202),
    SiteRoute::new(
        Verb::Post,
        "/drift/events/{id}/approve",
        Some(TokenRole::Operate),
        RouteKind::Api,
        approve,
    )
    .summary("Approve the steps of a repair, in the name of the token.")
    .takes("ApproveBody")
    .gives("ApprovalView"),
    SiteRoute::new(
        Verb::Get,
        "/drift/policies",
        Some(TokenRole::Read),
        RouteKind::Api,
        |site: &AgentSite, _| SiteAnswer::json(&policies::list(&site.agent).map_err(problem)?),
    )
    .summary("Policies, in the order in which they are matched.")
    .gives("PolicyList"),
    SiteRoute::new(Verb::Post, "/drift/policies", Some(TokenRole::Admin), RouteKind::Api, add_policy)
        .summary("Add a policy, which is matched after those of the project.")
        .takes("PolicyBody")
        .status(201)
        .gives("PolicyView"),
    SiteRoute::new(
        Verb::Patch,
        "/drift/policies/{name}",
        Some(TokenRole::Admin),
        RouteKind::Api,
        patch_policy,
    )
    .summary("Change a policy that the API made: what is null goes.")
    .query(&[key("deployment", "The deployment, where several have a policy of this name.", QueryForm::Text)])
    .takes("PolicyPatch")
    .gives("PolicyView"),
    SiteRoute::new(Verb::Post, "/drift/reconcile", Some(TokenRole::Operate), RouteKind::Api, reconcile)
        .summary("Look at deployments as soon as their turn comes.")
        .takes("ReconcileBody")
        .status(202)
        .gives("Queued"),
    SiteRoute::new(Verb::Get, "/drift/report", Some(TokenRole::Read), RouteKind::Api, report)
        .summary("The newest reports of all deployments.")
        .gives("WholeReport"),
    SiteRoute::new(Verb::Get, "/drift/report/timeline", Some(TokenRole::Read), RouteKind::Api, timeline)
        .summary("What was opened, over and open on each of the last days.")
        .query(&[key("days", "How many days up to today.", QueryForm::Number(1, 366))])
        .gives("Timeline"),
    SiteRoute::new(Verb::Get, "/drift/deployments", Some(TokenRole::Read), RouteKind::Api, deployments)
        .summary("What is looked at, when, and what came of it.")
        .gives("DeploymentList"),
    SiteRoute::new(Verb::Get, "/drift/reports/{run}", Some(TokenRole::Read), RouteKind::Api, one_report)
        .summary("The report of a run: whole with the role detail, else verdicts and names.")
        .query(&[
            key("deployment", "The deployment, where several have a run of this name.", QueryForm::Text),
            key(
                "format",
                "html is for browsers, and needs the role detail.",
                QueryForm::OneOf(&["json", "html"]),
            ),
        ])
        .gives("RunReport")
        .or_gives("text/html"),
    SiteRoute::new(
        Verb::Post,
        "/page/reconcile",
        Some(TokenRole::Operate),
        RouteKind::Form,
        |site: &AgentSite, request| {
            api::reconcile(&site.agent, &ReconcileBody::default(), request.deed()).map_err(problem)?;
            Ok(SiteAnswer::Redirect("/".to_owned()))
        },
    )
    .summary("The page's button to look at everything now."),
    SiteRoute::new(
        Verb::Post,
        "/page/events/{id}/acknowledge",
        Some(TokenRole::Operate),
        RouteKind::Form,
        acknowledge_on_page,
    )
    .summary("The page's form to acknowledge drift."),
];

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Senseless(why) => Problem::bad_request(why),
        Refusal::Unknown(why) => Problem::not_found(why),
        Refusal::Conflict(why) => Problem::conflict(why),
        Refusal::OtherSteps(steps) => {
            Problem::conflict("other steps than those are needed now: see steps, and approve these")
                .with_steps(steps)
        }
        Refusal::Busy(why) => Problem::unavailable(why),
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
        page: request.query_as("page")?.unwrap_or(1),
    };
    Ok(SiteAnswer::Html(page::page(&site.agent, reader)))
}

#[expect(clippy::unnecessary_wraps, reason = "handlers are alike")]
fn stream(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let detail = request.may(TokenRole::Detail);
    Ok(SiteAnswer::Stream(api::follow(&site.agent, request.last_event_id(), detail)))
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
    SiteAnswer::json(&api::acknowledge(&site.agent, id, &body, (by, request.deed())).map_err(problem)?)
}

fn acknowledge_on_page(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: AcknowledgeBody = request.form()?;
    let by = &request.caller()?.name;
    api::acknowledge(&site.agent, request.value("id")?, &body, (by, request.deed())).map_err(problem)?;
    Ok(SiteAnswer::Redirect("/".to_owned()))
}

fn remediate(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: RemediateBody = request.json()?;
    let (id, by) = (request.value("id")?, &request.caller()?.name);
    let view = repair::remediate(&site.agent, id, &body, (by, request.deed())).map_err(problem)?;
    let status = if view.state == RepairState::Remediating { 202 } else { 200 };
    SiteAnswer::json_as(status, &view)
}

fn approve(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: ApproveBody = request.json()?;
    let (id, by) = (request.value("id")?, &request.caller()?.name);
    SiteAnswer::json(&repair::approve(&site.agent, id, &body, (by, request.deed())).map_err(problem)?)
}

fn add_policy(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: PolicyBody = request.json()?;
    SiteAnswer::json_as(201, &policies::add(&site.agent, body, request.deed()).map_err(problem)?)
}

fn patch_policy(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: PolicyPatch = request.json()?;
    let (name, deployment) = (request.value("name")?, request.query("deployment"));
    SiteAnswer::json(&policies::patch(&site.agent, name, deployment, &body, request.deed()).map_err(problem)?)
}

fn reconcile(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    let body: ReconcileBody = request.json()?;
    SiteAnswer::json_as(202, &api::reconcile(&site.agent, &body, request.deed()).map_err(problem)?)
}

fn report(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    SiteAnswer::json(&api::report(&site.agent, request.may(TokenRole::Detail)))
}

fn timeline(site: &AgentSite, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
    SiteAnswer::json(&api::timeline(&site.agent, request.query_as("days")?))
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
            let styled = format!("<style nonce=\"{}\">", request.nonce());
            let page = page.map_err(|_| Problem::internal())?.replacen("<style>", &styled, 1);
            Ok(SiteAnswer::Html(page))
        }
        _ => Err(Problem::internal()),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/api_description.rs"]
mod tests;
