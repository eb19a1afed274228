//! A site: its routes, who may call them, and the order in which a request is judged.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::answer::{AnswerBody, Draft, SiteAnswer};
use super::changes::{ChangeLog, LoggedChange};
use super::guard;
use super::login::{self, Attempts};
use super::pace::Pace;
use super::problem::Problem;
use super::request::{self, Deed, SiteCaller, SiteRequest};
use super::route::{self, SiteRoute};
use super::session::Sessions;
use super::spec::{PathValues, RouteKind, RouteSpec, Verb};
use super::stream::{COMMENT, EventFeed};
use crate::control::waits;
use crate::model::Digest;
use crate::serve::secret::{is_same, random_text};
use crate::serve::tokens::{TokenOwner, TokenRole, TokenStore};

/// Bounds of a server. Those of time are of `waits`, those of number are here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SiteLimits {
    /// Connections at once; others wait.
    pub(crate) connections: usize,
    /// Streams among them.
    pub(crate) streams: usize,
    /// Handlers that run at once; others wait.
    pub(crate) handlers: usize,
    /// Bytes of a body.
    pub(crate) body: usize,
    /// See [`waits::HTTP_HEAD`].
    pub(super) head_wait: Duration,
    /// See [`waits::HTTP_BODY`].
    pub(super) body_wait: Duration,
    /// See [`waits::HTTP_HANDLER`].
    pub(super) handler_wait: Duration,
    /// See [`waits::HTTP_REQUEST`].
    pub(super) request_wait: Duration,
    /// See [`waits::HTTP_STALL`].
    pub(super) stall_wait: Duration,
    /// See [`waits::HTTP_HEARTBEAT`].
    pub(super) heartbeat: Duration,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self {
            connections: 200,
            streams: 100,
            handlers: 16,
            body: 64 << 10,
            head_wait: waits::HTTP_HEAD.most,
            body_wait: waits::HTTP_BODY.most,
            handler_wait: waits::HTTP_HANDLER.most,
            request_wait: waits::HTTP_REQUEST.most,
            stall_wait: waits::HTTP_STALL.most,
            heartbeat: waits::HTTP_HEARTBEAT.most,
        }
    }
}

/// What answers a route.
#[derive(Clone, Copy)]
enum Handling {
    /// The handler at that position.
    Custom(usize),
    /// The page of the login.
    LoginPage,
    /// The login.
    Login,
    /// The logout.
    Logout,
}

/// A route that every site has.
const fn built_in(verb: Verb, path: &'static str, kind: RouteKind, summary: &'static str) -> RouteSpec {
    RouteSpec { verb, path, kind, summary, ..RouteSpec::NONE }
}

/// The routes that every site has.
const BUILT_IN: [(RouteSpec, Handling); 3] = [
    (built_in(Verb::Get, "/login", RouteKind::Page, "The page of the login."), Handling::LoginPage),
    (built_in(Verb::Post, "/login", RouteKind::Form, "Begins a session."), Handling::Login),
    (
        RouteSpec {
            role: Some(TokenRole::Read),
            ..built_in(Verb::Post, "/logout", RouteKind::Form, "Ends the session.")
        },
        Handling::Logout,
    ),
];

/// Calls the handler at a position.
type Call = Box<dyn Fn(usize, &SiteRequest) -> Result<SiteAnswer, Problem> + Send + Sync>;

/// A site, which a server serves.
pub(crate) struct Site {
    specs: Vec<RouteSpec>,
    handlings: Vec<Handling>,
    call: Call,
    hosts: Vec<String>,
    tokens: Arc<TokenStore>,
    changes: ChangeLog,
    sessions: Sessions,
    attempts: Attempts,
    pub(super) limits: SiteLimits,
    handlers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// What is known of the connection of a request.
pub(super) struct RequestOrigin {
    pub(super) peer: IpAddr,
    pub(super) is_tls: bool,
    pub(super) pace: Arc<Pace>,
    /// Becomes true when the server ends.
    pub(super) is_ending: watch::Receiver<bool>,
}

/// What was found out about a request before anything of it was done, for the log.
#[derive(Default)]
struct RequestTrace {
    route: Option<&'static str>,
    caller: Option<String>,
}

/// A request whose head was judged.
struct Admitted {
    at: usize,
    values: PathValues,
    caller: Option<SiteCaller>,
    /// What a stream goes on to hold its reader to.
    token: Option<Digest>,
    session: Option<String>,
}

impl Site {
    /// A site of these routes, whose handlers get `state`. `hosts` are the names that requests may be for.
    pub(crate) fn new<S: Send + Sync + 'static>(
        routes: &'static [SiteRoute<S>],
        state: Arc<S>,
        hosts: &[String],
        (tokens, changes): (Arc<TokenStore>, ChangeLog),
        limits: SiteLimits,
    ) -> Self {
        let custom = routes.iter().enumerate().map(|(at, route)| (route.spec, Handling::Custom(at)));
        let (specs, handlings) = custom.chain(BUILT_IN).unzip();
        Self {
            specs,
            handlings,
            call: Box::new(move |at, request| (routes[at].handler)(&state, request)),
            hosts: hosts.iter().map(|host| guard::host_name(host)).collect(),
            tokens,
            changes,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            limits,
            handlers: Arc::new(Semaphore::new(limits.handlers)),
            streams: Arc::new(Semaphore::new(limits.streams)),
        }
    }

    /// Answers one request.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: Arc<RequestOrigin>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let start = Instant::now();
        let (parts, body) = request.into_parts();
        from.pace.request_began(!body.is_end_stream());
        let mut trace = RequestTrace::default();
        let response = match self.handled(&parts, body, &from, &mut trace).await {
            Ok(response) => response,
            Err(problem) => self.refusal(&problem, &parts, trace.route).response(&from.pace, None),
        };
        let (method, status) = (parts.method.as_str(), response.status().as_u16());
        let method = if parts.method.as_str().len() > 16 { "-" } else { method };
        let (route, caller) = (trace.route.unwrap_or("-"), trace.caller.as_deref().unwrap_or("-"));
        log::info!(caller, method, route, status, ms = start.elapsed().as_millis(); "request");
        Ok(response)
    }

    /// The answer where there is no other one; people who are not logged in are sent to the login.
    fn refusal(&self, problem: &Problem, parts: &Parts, path: Option<&str>) -> Draft {
        let is_page = self.specs.iter().any(|spec| Some(spec.path) == path && spec.kind == RouteKind::Page);
        let is_reading = !parts.headers.contains_key(AUTHORIZATION) && parts.method == hyper::Method::GET;
        if problem.status == StatusCode::UNAUTHORIZED && is_page && is_reading {
            return Draft::redirect("/login".to_owned());
        }
        let is_form = self.specs.iter().any(|spec| Some(spec.path) == path && spec.kind == RouteKind::Form);
        if (is_page || is_form)
            && is_of_browser(&parts.headers)
            && let Ok(nonce) = random_text()
        {
            return Draft::page(problem.status, login::refusal(problem.detail(), &nonce), &nonce)
                .with(&problem.headers);
        }
        Draft::problem(problem, parts.uri.path())
    }

    async fn handled(
        self: &Arc<Self>,
        parts: &Parts,
        body: Incoming,
        from: &RequestOrigin,
        trace: &mut RequestTrace,
    ) -> Result<Response<AnswerBody>, Problem> {
        let admitted = self.admit(parts, from, trace)?;
        let spec = self.specs[admitted.at];
        let query = request::query(&spec, parts.uri.query())?;
        let body = self.read_body(spec, body).await?;
        from.pace.request_was_read();
        let (form, caller) = form_fields(spec, &body, admitted.caller)?;
        let last_event_id = guard::single(&parts.headers, "last-event-id")?.map(str::to_owned);
        let nonce = random_text().map_err(|_| Problem::internal())?;
        let (values, peer) = (admitted.values, from.peer);
        let deed = Deed::default();
        let request =
            SiteRequest { spec, values, query, form, body, caller, nonce, last_event_id, peer, deed };
        match self.handlings[admitted.at] {
            Handling::Custom(at) => {
                let (draft, feed) = self.run(at, request, parts.uri.path()).await?;
                let events = feed
                    .map(|feed| self.follow(feed, (admitted.token, admitted.session), from))
                    .transpose()?;
                Ok(draft.response(&from.pace, events))
            }
            Handling::LoginPage => {
                let page = login::page(false, &request.nonce);
                Ok(Draft::page(StatusCode::OK, page, &request.nonce).response(&from.pace, None))
            }
            Handling::Login => {
                let (draft, caller) = self.log_in(&request, from.is_tls)?;
                trace.caller = caller;
                Ok(draft.response(&from.pace, None))
            }
            Handling::Logout => {
                if let Some(session) = &admitted.session {
                    self.sessions.end(session);
                }
                let draft = Draft::redirect("/login".to_owned()).cookie(login::cookie(None, from.is_tls));
                Ok(draft.response(&from.pace, None))
            }
        }
    }

    /// Notes a change that is going to be carried out; where that cannot be noted, it is not.
    fn logged(&self, request: &SiteRequest, path: &str) -> Result<Option<LoggedChange>, Problem> {
        let Some(caller) = request.caller.as_ref().filter(|_| request.spec.verb.is_change()) else {
            return Ok(None);
        };
        let change = LoggedChange::new(caller, request.peer, request.spec.verb.word(), path);
        self.changes.note(&change, None).map_err(|error| {
            log::error!(error:%; "a change could not be logged");
            Problem::unavailable("the change cannot be logged, so it is not made; the agent's log says why")
        })?;
        Ok(Some(change))
    }

    /// Judges the head of a request: name, path and method, who asks, role, and of changes origin and type.
    fn admit(
        &self,
        parts: &Parts,
        from: &RequestOrigin,
        trace: &mut RequestTrace,
    ) -> Result<Admitted, Problem> {
        let headers = &parts.headers;
        let host = guard::host(headers, &self.hosts)?;
        if parts.uri.authority().is_some() || !parts.uri.path().starts_with('/') {
            return Err(Problem::bad_request("ask for a path alone: this is no proxy"));
        }
        let (at, values) = route::find(&self.specs, &parts.method, parts.uri.path())?;
        let spec = self.specs[at];
        trace.route = Some(spec.path);
        let mut admitted = Admitted { at, values, caller: None, token: None, session: None };
        if let Some(role) = spec.role {
            self.authenticate(headers, from.is_tls, &mut admitted)?;
            let caller = admitted.caller.as_ref().ok_or_else(Problem::internal)?;
            trace.caller = Some(caller.name.clone());
            if caller.role < role {
                let (own, role) = (caller.role.word(), role.word());
                return Err(Problem::forbidden(format!(
                    "this needs a token of the role {role}; this one's is {own}"
                )));
            }
        }
        if spec.verb.is_change() {
            let is_browser = admitted.session.is_some() || spec.kind == RouteKind::Form;
            guard::origin(headers, host, from.is_tls, is_browser)?;
            hold_change(spec, headers, &admitted)?;
        }
        Ok(admitted)
    }

    /// Finds out who asks, by a token or a session.
    fn authenticate(
        &self,
        headers: &HeaderMap,
        is_tls: bool,
        admitted: &mut Admitted,
    ) -> Result<(), Problem> {
        let (owner, csrf) = if headers.contains_key(AUTHORIZATION) {
            (self.owner_of_token(headers)?, None)
        } else {
            let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
            let name = login::session_name(cookies, is_tls);
            let name =
                name.ok_or_else(|| Problem::unauthorized("log in, or send Authorization: Bearer TOKEN"))?;
            admitted.session = Some(name.to_owned());
            self.owner_of_session(name)?
        };
        admitted.token = Some(owner.digest);
        admitted.caller = Some(SiteCaller { name: owner.name, role: owner.role, csrf });
        Ok(())
    }

    fn owner_of_token(&self, headers: &HeaderMap) -> Result<TokenOwner, Problem> {
        let unfit = || Problem::unauthorized("send one header Authorization: Bearer TOKEN");
        let value = guard::single(headers, AUTHORIZATION).ok().flatten().ok_or_else(unfit)?;
        let (scheme, token) = value.split_once(' ').ok_or_else(unfit)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unfit());
        }
        let owner = self.token_owner(|tokens| tokens.find(token.trim()))?;
        owner.ok_or_else(|| Problem::unauthorized("the token is not valid, or was revoked"))
    }

    fn owner_of_session(&self, name: &str) -> Result<(TokenOwner, Option<String>), Problem> {
        let over = || Problem::unauthorized("the session is over: log in again");
        let session = self.sessions.find(name).ok_or_else(over)?;
        let owner = self.token_owner(|tokens| tokens.owner(&session.token))?;
        if owner.is_none() {
            self.sessions.end_of(&session.token);
        }
        Ok((owner.ok_or_else(over)?, Some(session.csrf)))
    }

    /// Asks the tokens; where they cannot be read, nobody gets in.
    fn token_owner<E: std::fmt::Display>(
        &self,
        ask: impl FnOnce(&TokenStore) -> Result<Option<TokenOwner>, E>,
    ) -> Result<Option<TokenOwner>, Problem> {
        ask(&self.tokens).map_err(|error| {
            log::error!(error:%; "the tokens cannot be read");
            Problem::unavailable("the tokens cannot be read; the log says why")
        })
    }

    async fn read_body(&self, spec: RouteSpec, body: Incoming) -> Result<Bytes, Problem> {
        let most = self.limits.body;
        if !spec.verb.is_change() {
            let refused = || Problem::bad_request("a request that reads has no body");
            return if body.is_end_stream() { Ok(Bytes::new()) } else { Err(refused()) };
        }
        if body.size_hint().lower() > most as u64 {
            return Err(Problem::too_large(most));
        }
        let read = tokio::time::timeout(self.limits.body_wait, Limited::new(body, most).collect()).await;
        let read = read.map_err(|_| Problem::too_late("the body did not come in time"))?;
        read.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                return Problem::too_large(most);
            }
            Problem::bad_request("the body ended early, or makes no sense")
        })
    }

    /// Calls a handler; of a change both lines of the log are written here, whether its client waits for it or not.
    fn called(
        &self,
        at: usize,
        request: &SiteRequest,
        path: &str,
    ) -> Result<(Draft, Option<EventFeed>), Problem> {
        let change = self.logged(request, path)?;
        let call = std::panic::AssertUnwindSafe(|| (self.call)(at, request));
        let answer = std::panic::catch_unwind(call).unwrap_or_else(|_| {
            log::error!(route = self.specs[at].path; "a handler panicked");
            Err(Problem::internal())
        });
        let drafted = answer.map(|answer| Draft::of(answer, &request.nonce));
        if let Some(change) = change {
            let status = drafted.as_ref().map_or_else(|problem| problem.status, |(draft, _)| draft.status);
            if let Err(error) = self.changes.note(&change, Some(status.as_u16())) {
                log::error!(error:%; "what came of a change could not be logged");
            }
        }
        drafted
    }

    /// Runs a handler on a thread that may block.
    async fn run(
        self: &Arc<Self>,
        at: usize,
        request: SiteRequest,
        path: &str,
    ) -> Result<(Draft, Option<EventFeed>), Problem> {
        let (site, path, deed) = (Arc::clone(self), path.to_owned(), request.deed.clone());
        let work = async move {
            let turn = Arc::clone(&site.handlers).acquire_owned().await.ok();
            let run = move || {
                let _turn: Option<OwnedSemaphorePermit> = turn;
                site.called(at, &request, &path)
            };
            tokio::task::spawn_blocking(run).await
        };
        let mut work = std::pin::pin!(work);
        let ran = match tokio::time::timeout(self.limits.handler_wait, work.as_mut()).await {
            Ok(ran) => ran,
            Err(_) if deed.give_up() => return Err(Problem::unavailable("the agent is busy; try again")),
            // It is being made: the answer says what came of it.
            Err(_) => work.await,
        };
        ran.unwrap_or_else(|_| Err(Problem::internal()))
    }

    fn log_in(&self, request: &SiteRequest, is_tls: bool) -> Result<(Draft, Option<String>), Problem> {
        self.attempts.count(request.peer)?;
        let token = request.field("token")?.trim();
        let owner = self.token_owner(|tokens| tokens.find(token))?;
        let Some(owner) = owner.filter(|owner| owner.role >= TokenRole::Read) else {
            let page = login::page(true, &request.nonce);
            return Ok((Draft::page(StatusCode::UNAUTHORIZED, page, &request.nonce), None));
        };
        let session = self.sessions.begin(&owner).map_err(|_| Problem::internal())?;
        let draft = Draft::redirect("/".to_owned()).cookie(login::cookie(Some(&session), is_tls));
        Ok((draft, Some(owner.name)))
    }

    /// Hands the events of a feed on to a connection until either ends, or its reader may not read any more.
    fn follow(
        self: &Arc<Self>,
        mut feed: EventFeed,
        reader: (Option<Digest>, Option<String>),
        from: &RequestOrigin,
    ) -> Result<mpsc::Receiver<Bytes>, Problem> {
        let turn = Arc::clone(&self.streams).try_acquire_owned();
        let turn = turn.map_err(|_| Problem::unavailable("too many streams are open; try again"))?;
        from.pace.is_a_stream();
        let (sender, receiver) = mpsc::channel(1);
        let (site, mut is_ending) = (Arc::clone(self), from.is_ending.clone());
        tokio::spawn(async move {
            let _turn = turn;
            // The head alone would be kept back: the reader is to know that it is heard.
            let mut next = Some(Bytes::from_static(COMMENT));
            while let Some(bytes) = next {
                if !site.may_follow(&reader) || sender.send(bytes).await.is_err() {
                    return;
                }
                next = tokio::select! {
                    event = feed.0.recv() => event,
                    () = tokio::time::sleep(site.limits.heartbeat) => Some(Bytes::from_static(COMMENT)),
                    () = sender.closed() => None,
                    _ = is_ending.wait_for(|is_ending| *is_ending) => None,
                };
            }
        });
        Ok(receiver)
    }

    /// Whether token and session of a stream's reader still count.
    fn may_follow(&self, (token, session): &(Option<Digest>, Option<String>)) -> bool {
        let is_valid = |token| self.tokens.owner(token).is_ok_and(|owner| owner.is_some());
        token.as_ref().is_none_or(is_valid) && session.as_ref().is_none_or(|name| self.sessions.is_live(name))
    }
}

/// Whether a person reads the answer.
fn is_of_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// Holds a change to its type, and one of a session to the token of its page.
fn hold_change(spec: RouteSpec, headers: &HeaderMap, admitted: &Admitted) -> Result<(), Problem> {
    if spec.kind == RouteKind::Form {
        if spec.role.is_some() && admitted.session.is_none() {
            return Err(Problem::forbidden("forms are for people who logged in; programs use the API"));
        }
        return guard::content_type(headers, "application/x-www-form-urlencoded");
    }
    let csrf = admitted.caller.as_ref().and_then(|caller| caller.csrf.as_deref());
    if let Some(csrf) = csrf {
        let given = guard::single(headers, HeaderName::from_static("x-csrf-token"))?.unwrap_or_default();
        hold_csrf(given, csrf)?;
    }
    guard::content_type(headers, "application/json")
}

/// The fields of a form but for its CSRF token, which is held to that of the session.
fn form_fields(
    spec: RouteSpec,
    body: &Bytes,
    caller: Option<SiteCaller>,
) -> Result<(request::Pairs, Option<SiteCaller>), Problem> {
    if spec.kind != RouteKind::Form {
        return Ok((Vec::new(), caller));
    }
    let text = std::str::from_utf8(body).map_err(|_| Problem::bad_request("the form is no text"))?;
    let mut form = request::pairs(text)?;
    if let Some(csrf) = caller.as_ref().and_then(|caller| caller.csrf.as_deref()) {
        let at = form.iter().position(|(key, _)| key == "csrf");
        let given = at.map(|at| form.remove(at).1).unwrap_or_default();
        hold_csrf(&given, csrf)?;
    }
    Ok((form, caller))
}

fn hold_csrf(given: &str, wanted: &str) -> Result<(), Problem> {
    let foreign = || Problem::forbidden("the form is not one of this session: load the page again");
    if is_same(given, wanted) { Ok(()) } else { Err(foreign()) }
}
