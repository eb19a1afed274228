//! Routes with their handlers, and which one a request is for.

use hyper::Method;

use super::answer::SiteAnswer;
use super::problem::Problem;
use super::request::{SiteRequest, decoded};
use super::spec::{PathValues, QueryKey, RouteKind, RouteSpec, Verb};
use crate::serve::tokens::TokenRole;

/// A function that answers a request; it may block.
pub(crate) type RouteHandler<S> = fn(&S, &SiteRequest) -> Result<SiteAnswer, Problem>;

/// A route of a site with the state `S`.
pub(crate) struct SiteRoute<S> {
    /// What it is.
    pub(crate) spec: RouteSpec,
    /// What answers it.
    pub(crate) handler: RouteHandler<S>,
}

impl<S> SiteRoute<S> {
    /// A route; its summary follows.
    pub(crate) const fn new(
        verb: Verb,
        path: &'static str,
        role: Option<TokenRole>,
        kind: RouteKind,
        handler: RouteHandler<S>,
    ) -> Self {
        let spec = RouteSpec { verb, path, role, kind, ..RouteSpec::NONE };
        Self { spec, handler }
    }

    /// The same, with one line of what it does.
    pub(crate) const fn summary(mut self, summary: &'static str) -> Self {
        self.spec.summary = summary;
        self
    }

    /// The same, with keys of a query.
    pub(crate) const fn query(mut self, query: &'static [QueryKey]) -> Self {
        self.spec.query = query;
        self
    }

    /// The same, with a body of that schema.
    pub(crate) const fn takes(mut self, schema: &'static str) -> Self {
        self.spec.takes = Some(schema);
        self
    }

    /// The same, with another status of its answer than 200, such as 202.
    pub(crate) const fn status(mut self, status: u16) -> Self {
        self.spec.status = status;
        self
    }

    /// The same, with another status where what was asked for goes on.
    pub(crate) const fn or_status(mut self, status: u16) -> Self {
        self.spec.or_status = Some(status);
        self
    }

    /// The same, with an answer of that schema, or of that type where there is a `/` in it.
    pub(crate) const fn gives(mut self, schema: &'static str) -> Self {
        self.spec.gives = Some(schema);
        self
    }

    /// The same, with an answer of another type where a query asks for it.
    pub(crate) const fn or_gives(mut self, media_type: &'static str) -> Self {
        self.spec.or_gives = Some(media_type);
        self
    }
}

/// The position of the route of a request, and the values in its path.
///
/// # Errors
/// When no route has that path (404), or none with that method (405).
pub(super) fn find(specs: &[RouteSpec], method: &Method, path: &str) -> Result<(usize, PathValues), Problem> {
    let matching = specs.iter().enumerate();
    let mut matching =
        matching.filter_map(|(at, spec)| Some((at, spec, values(spec.path, path)?))).peekable();
    if matching.peek().is_none() {
        return Err(Problem::not_found("there is nothing at this path"));
    }
    let mut allowed = Vec::new();
    for (at, spec, values) in matching {
        if spec.verb.is(method) {
            return Ok((at, values));
        }
        if spec.verb == Verb::Get {
            allowed.push("HEAD");
        }
        allowed.push(spec.verb.word());
    }
    allowed.sort_unstable();
    allowed.dedup();
    Err(Problem::other_methods(allowed.join(", ")))
}

/// The values of `{name}` in a path, if it is one of the template's.
fn values(template: &'static str, path: &str) -> Option<PathValues> {
    let mut values = Vec::new();
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        let part = parts.next()?;
        match wanted.strip_prefix('{').and_then(|wanted| wanted.strip_suffix('}')) {
            Some(name) => values.push((name, value(part)?)),
            None if wanted == part => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(values)
}

/// One part of a path, decoded; none where it could lead anywhere else, or be anything but a name.
fn value(part: &str) -> Option<String> {
    let text = decoded(part, false)?;
    let is_plain = !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\\']);
    (is_plain && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_lead_nowhere_else() {
        let one = |path: &str| values("/drift/events/{id}", path).map(|found| found[0].1.clone());
        assert_eq!(one("/drift/events/a%20b").as_deref(), Some("a b"));
        assert_eq!(one("/drift/events/..a").as_deref(), Some("..a"));
        for path in [
            "/drift/events/",
            "/drift/events",
            "/drift/events/a/",
            "/drift/events/a/b",
            "/drift/events/..",
            "/drift/events/%2e%2e",
            "/drift/events/%2e%2e%2fb",
            "/drift/events/a%00",
            "/drift/events/%0a",
            "/drift/events/%",
            "/drift/events/%zz",
            "/drift/events/%ff",
            "//drift/events/a",
            "/drift/events/a%5cb",
        ] {
            assert_eq!(one(path), None, "{path}");
        }
    }
}
