//! The HTTP server of the agent: TLS, who may ask what, sessions, streams, problem documents. It knows no deployment.
//!
//! **A new route** is one entry in a table and one function:
//!
//! ```ignore
//! static ROUTES: [SiteRoute<Agent>; 1] = [
//!     SiteRoute::new(Verb::Get, "/drift/events/{id}", Some(TokenRole::Read), RouteKind::Api, event)
//!         .summary("One event.")
//!         .query(&[QueryKey { name: "lines", summary: "Whether lines are shown.", form: QueryForm::Text }])
//!         .gives("EventDocument"),
//! ];
//!
//! fn event(agent: &Agent, request: &SiteRequest) -> Result<SiteAnswer, Problem> {
//!     let event = agent.event(request.value("id")?).ok_or_else(|| Problem::not_found("there is no such event"))?;
//!     SiteAnswer::json(&event.shown(request.may(TokenRole::Detail)))
//! }
//! ```
//!
//! A handler is called when the request was judged: Host, path and method, token or session, role, and of changes Origin,
//! Content-Type, size and CSRF token. It runs on a thread that may block, one of [`SiteLimits::handlers`]; another thread
//! answers 503 after [`crate::control::waits::HTTP_HANDLER`]. It gets the state of the site, which `Site::new` was given.
//!
//! - `role: None` is for everybody: no token is looked at.
//! - [`RouteKind::Api`]: a change takes JSON, read by [`SiteRequest::json`] into a type with `deny_unknown_fields`. With a
//!   session it also needs the header `X-CSRF-Token`.
//! - [`RouteKind::Page`] answers [`SiteAnswer::Html`]; each `<script>` and `<style>` has `nonce` from
//!   [`SiteRequest::nonce`], and nothing else runs. Whoever is not logged in is sent to `/login`.
//! - [`RouteKind::Form`]: a form of a page; it has a hidden field `csrf` with [`SiteRequest::csrf`], and answers
//!   [`SiteAnswer::Redirect`]. `/login` and `/logout` are there already.
//! - [`RouteKind::Stream`] answers [`SiteAnswer::Stream`]: [`feed`] makes both ends, what was missed (see
//!   [`SiteRequest::last_event_id`]) is sent into it first, and an [`Audience`] sends to all readers.
//! - Pages of a list: [`CursorKey::seal`] and [`CursorKey::open`], with the route and its filters as the scope.
//! - A change by whoever is known is noted in the [`ChangeLog`], before its handler is called and after.
//! - A change calls [`Deed::begin`] right before what cannot be taken back: a client that was answered 503 meanwhile has been told
//!   that nothing is changed, and then nothing is.
//! - An error of ours is logged, and answered with [`Problem::internal`]; nothing of it is for the caller.
//!
//! The published description is made of the table: see `openapi.rs`.

mod answer;
mod changes;
mod cursor;
mod guard;
mod login;
#[cfg(test)]
pub(crate) mod openapi;
mod pace;
mod problem;
mod request;
mod route;
mod server;
mod session;
mod site;
mod spec;
mod stream;
#[cfg(test)]
#[path = "../../../tests/unit/http/mod.rs"]
mod tests;
mod tls;

pub(crate) use answer::SiteAnswer;
pub(crate) use changes::ChangeLog;
pub(crate) use cursor::CursorKey;
pub(crate) use problem::Problem;
pub(crate) use request::{Deed, SiteRequest, TooLate};
pub(crate) use route::SiteRoute;
pub(crate) use server::SiteServer;
pub(crate) use site::{Site, SiteLimits};
pub(crate) use spec::{QueryForm, QueryKey, RouteKind, Verb};
pub(crate) use stream::{Audience, EventFeed, StreamEvent, feed};
pub(crate) use tls::SiteCertificate;
