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
    /// What its values look like, for the published description.
    pub(crate) form: QueryForm,
}

/// Values that a key of a query may have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum QueryForm {
    /// Any text.
    Text,
    /// A number from the first to the second.
    Number(u32, u32),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Several of these words, with commas in between.
    ListOf(fn() -> Vec<&'static str>),
}

impl QueryForm {
    /// What a value should be and is not.
    pub(super) fn unmet(self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Number(least, most) => {
                let number = value.parse::<u32>().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
                let is_met = number.is_some_and(|number| (least..=most).contains(&number));
                (!is_met).then(|| format!("a number from {least} to {most}"))
            }
            Self::OneOf(words) => (!words.contains(&value)).then(|| format!("one of {}", words.join(", "))),
            Self::ListOf(words) => {
                let words = words();
                let is_met = value.split(',').all(|word| words.contains(&word));
                (!is_met).then(|| format!("a list of {}", words.join(", ")))
            }
        }
    }
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
    /// The type of an answer that is no JSON, where a query asks for it.
    pub(crate) or_gives: Option<&'static str>,
    /// The status of its answer.
    pub(crate) status: u16,
    /// The status of its answer where what was asked for goes on.
    pub(crate) or_status: Option<u16>,
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
        or_gives: None,
        status: 200,
        or_status: None,
    };
}

/// Values of `{name}` in a path.
pub(super) type PathValues = Vec<(&'static str, String)>;
