//! Routes as data: path, method, who may, what a route takes and gives.

use hyper::Method;

use crate::serve::tokens::TokenRole;

/// Methods that a route may have. HEAD is answered as GET, without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Reads.
    Get,
    /// Changes.
    Post,
    /// Changes a part.
    Patch,
}

impl Verb {
    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
        }
    }

    /// Whether it changes anything.
    pub(super) fn is_change(self) -> bool {
        self != Self::Get
    }

    pub(super) fn is(self, method: &Method) -> bool {
        method.as_str() == self.word() || self == Self::Get && method == Method::HEAD
    }
}

/// Kinds of routes, by who calls them and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Programs: what they send is JSON.
    Api,
    /// A browser's form: urlencoded, of a session, with its CSRF token in the field `csrf`.
    Form,
    /// A page for people: whoever is not logged in is sent to the login.
    Page,
    /// Server-sent events.
    Stream,
}

/// A key that a query may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryKey {
    /// The key.
    pub(crate) name: &'static str,
    /// What it chooses, for the published description.
    pub(crate) summary: &'static str,
}

/// A route without its handler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteSpec {
    /// Its method.
    pub(crate) verb: Verb,
    /// Its path; `{name}` stands for one part.
    pub(crate) path: &'static str,
    /// Who may; `None`: everybody, without a token.
    pub(crate) role: Option<TokenRole>,
    /// Who calls it.
    pub(crate) kind: RouteKind,
    /// One line for the published description and people.
    pub(crate) summary: &'static str,
    /// The keys of its query; others are refused.
    pub(crate) query: &'static [QueryKey],
    /// The name of the schema of its body.
    pub(crate) takes: Option<&'static str>,
    /// The name of the schema of its answer, or its type where that is not JSON.
    pub(crate) gives: Option<&'static str>,
    /// The status of its answer.
    pub(crate) status: u16,
}

impl RouteSpec {
    /// What the others begin as.
    pub(super) const NONE: Self = Self {
        verb: Verb::Get,
        path: "",
        role: None,
        kind: RouteKind::Api,
        summary: "",
        query: &[],
        takes: None,
        gives: None,
        status: 200,
    };
}

/// Values of `{name}` in a path.
pub(super) type PathValues = Vec<(&'static str, String)>;
