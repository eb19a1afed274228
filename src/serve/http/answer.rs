//! Answers, and how they become bytes: status, headers, body.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::pace::Pace;
use super::problem::Problem;
use super::stream::EventFeed;

/// What a handler answers.
pub(crate) enum SiteAnswer {
    /// JSON with a status.
    Json(u16, Vec<u8>),
    /// A text of that type.
    Text(&'static str, String),
    /// A page; its scripts and styles have the request's nonce.
    Html(String),
    /// Another page of this site, by its path.
    Redirect(String),
    /// Events, until somebody ends them.
    Stream(EventFeed),
}

impl SiteAnswer {
    /// JSON of a value, with 200.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a defect.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Problem> {
        Self::json_as(200, value)
    }

    /// The same with another status, such as 201 or 202.
    ///
    /// # Errors
    /// As [`SiteAnswer::json`].
    pub(crate) fn json_as(status: u16, value: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self::Json(status, serde_json::to_vec(value).map_err(|_| Problem::internal())?))
    }
}

/// The body of an answer.
pub(super) struct AnswerBody {
    content: BodyContent,
    pace: Arc<Pace>,
}

enum BodyContent {
    Whole(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            BodyContent::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            BodyContent::Events(events) => {
                events.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, BodyContent::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            BodyContent::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            BodyContent::Events(_) => SizeHint::default(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.pace.body_ended();
    }
}

/// Headers of every answer.
const ALWAYS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // Not `no-referrer`: with it, browsers send `Origin: null` with forms.
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// What an answer that is no page may do in a browser: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// What is made of an answer before its body is known to a connection.
pub(super) struct Draft {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Draft {
    fn new(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let policy = (hyper::header::CONTENT_SECURITY_POLICY, NOTHING.to_owned());
        let headers = vec![policy, (CONTENT_TYPE, content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    fn empty(status: StatusCode) -> Self {
        let mut draft = Self::new(status, "", Bytes::new());
        draft.headers.retain(|(name, _)| name != CONTENT_TYPE);
        draft
    }

    /// A page with a status.
    pub(super) fn page(status: StatusCode, html: String, nonce: &str) -> Self {
        let mut draft = Self::new(status, "text/html; charset=utf-8", html);
        draft.headers.retain(|(name, _)| name != hyper::header::CONTENT_SECURITY_POLICY);
        draft.headers.push((hyper::header::CONTENT_SECURITY_POLICY, page_policy(nonce)));
        draft
    }

    /// The way to another page of this site. A path that could lead out of it is a defect.
    pub(super) fn redirect(path: String) -> Self {
        let is_own = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        if !is_own {
            return Self::problem(&Problem::internal(), "");
        }
        let mut draft = Self::empty(StatusCode::SEE_OTHER);
        draft.headers.push((LOCATION, path));
        draft
    }

    /// A problem document.
    pub(super) fn problem(problem: &Problem, instance: &str) -> Self {
        let mut draft = Self::new(problem.status, "application/problem+json", problem.document(instance));
        draft.headers.extend(problem.headers.iter().cloned());
        draft
    }

    /// What a handler answered; the feed where it is a stream.
    pub(super) fn of(answer: SiteAnswer, nonce: &str) -> (Self, Option<EventFeed>) {
        match answer {
            SiteAnswer::Json(status, body) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                (Self::new(status, "application/json", body), None)
            }
            SiteAnswer::Text(content_type, text) => (Self::new(StatusCode::OK, content_type, text), None),
            SiteAnswer::Html(html) => (Self::page(StatusCode::OK, html, nonce), None),
            SiteAnswer::Redirect(path) => (Self::redirect(path), None),
            SiteAnswer::Stream(feed) => {
                (Self::new(StatusCode::OK, "text/event-stream", Bytes::new()), Some(feed))
            }
        }
    }

    /// The same with more headers.
    pub(super) fn with(mut self, headers: &[(HeaderName, String)]) -> Self {
        self.headers.extend(headers.iter().cloned());
        self
    }

    /// The same with a cookie.
    pub(super) fn cookie(mut self, cookie: String) -> Self {
        self.headers.push((SET_COOKIE, cookie));
        self
    }

    /// The answer of a connection; `events` in place of the body where they follow.
    pub(super) fn response(
        self,
        pace: &Arc<Pace>,
        events: Option<mpsc::Receiver<Bytes>>,
    ) -> Response<AnswerBody> {
        let content = match events {
            Some(events) => BodyContent::Events(events),
            None => BodyContent::Whole((!self.body.is_empty()).then_some(self.body)),
        };
        let mut response = Response::new(AnswerBody { content, pace: Arc::clone(pace) });
        *response.status_mut() = self.status;
        for (name, value) in ALWAYS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in self.headers {
            // What cannot stand in a header would end it: a defect, and no answer of anybody's.
            match HeaderValue::from_str(&value) {
                Ok(value) => drop(response.headers_mut().append(name, value)),
                Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
        response
    }
}
