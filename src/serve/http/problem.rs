//! Refusals and failures as problem documents (RFC 9457).

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

/// An answer that says why there is no other one.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(super) status: StatusCode,
    detail: String,
    /// The steps that are needed in place of those that were named.
    steps: Option<Vec<String>>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

/// The document.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProblemDocument<'a> {
    /// `about:blank`: the status says what kind of problem it is.
    r#type: &'a str,
    /// The name of the status.
    title: &'a str,
    /// The status.
    status: u16,
    /// What happened, and what to do next.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// The steps that are needed in place of those that were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<&'a [String]>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), steps: None, headers: Vec::new() }
    }

    /// What happened, and what to do next.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The request makes no sense (400).
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Nobody knows who asks (401).
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, detail);
        problem.headers.push((WWW_AUTHENTICATE, "Bearer realm=\"driftlock\"".to_owned()));
        problem
    }

    /// Whoever asks may not (403).
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// There is no such thing (404).
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The path has other methods (405).
    pub(super) fn other_methods(allowed: String) -> Self {
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("use one of: {allowed}"));
        problem.headers.push((ALLOW, allowed));
        problem
    }

    /// What is there forbids it (409).
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The same, with the steps that are needed.
    pub(crate) fn with_steps(mut self, steps: Vec<String>) -> Self {
        self.steps = Some(steps);
        self
    }

    /// It came too late, or never (408).
    pub(super) fn too_late(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    /// The body is too large (413).
    pub(super) fn too_large(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {} KiB", most >> 10))
    }

    /// The body is of another type (415).
    pub(super) fn other_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// The name in Host is none of this server's (421).
    pub(super) fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "Host is no name of this server; `hosts` of `[serve]` lists them",
        )
    }

    /// Too many requests of one client (429).
    pub(super) fn too_many(detail: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).after(seconds)
    }

    /// It failed, and why is for the log alone (500).
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the agent failed; its log says more")
    }

    /// It may work later (503).
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(10)
    }

    fn after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.to_string()));
        self
    }

    /// The document, as JSON.
    pub(super) fn document(&self, instance: &str) -> Vec<u8> {
        let document = ProblemDocument {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
            steps: self.steps.as_deref(),
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}
