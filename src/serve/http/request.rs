//! A request as a handler gets it: whoever asks is known, and what is asked for was read.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use super::spec::{PathValues, RouteSpec};
use crate::model::{escaped, percent_decoded};
use crate::serve::tokens::TokenRole;

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteCaller {
    /// The name of the token.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: TokenRole,
    /// Of a session: the token that its forms must bring.
    pub(super) csrf: Option<String>,
}

/// A change that is made, or of which its client hears that it is not: one of both, whichever comes first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deed(Arc<OnceLock<bool>>);

/// The client has heard already that nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it took too long, and nothing was changed: try again")]
pub(crate) struct TooLate;

impl Deed {
    /// Begins with what cannot be taken back.
    ///
    /// # Errors
    /// When the client has heard already that nothing is changed.
    pub(crate) fn begin(&self) -> Result<(), TooLate> {
        if *self.0.get_or_init(|| true) { Ok(()) } else { Err(TooLate) }
    }

    /// Gives it up; whether that is possible still.
    pub(super) fn give_up(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }
}

/// Pairs of a query or a form.
pub(super) type Pairs = Vec<(String, String)>;

/// A request that may be answered.
pub(crate) struct SiteRequest {
    pub(super) spec: RouteSpec,
    pub(super) values: PathValues,
    pub(super) query: Pairs,
    pub(super) form: Pairs,
    pub(super) body: Bytes,
    pub(super) caller: Option<SiteCaller>,
    pub(super) nonce: String,
    pub(super) last_event_id: Option<String>,
    pub(super) peer: IpAddr,
    pub(super) deed: Deed,
}

impl SiteRequest {
    /// The value of `{name}` in the path.
    ///
    /// # Errors
    /// When the route has none of that name, which is a defect.
    pub(crate) fn value(&self, name: &str) -> Result<&str, Problem> {
        let found = self.values.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(Problem::internal)
    }

    /// The value of a key of the query.
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        debug_assert!(self.spec.query.iter().any(|known| known.name == key), "{key} is no key of the route");
        found(&self.query, key)
    }

    /// The same as a number or anything else that is written in one way.
    ///
    /// # Errors
    /// When it is none (400).
    pub(crate) fn query_as<T: FromStr>(&self, key: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.query(key) else { return Ok(None) };
        let shown = || escaped(text.as_bytes());
        let value =
            text.parse().map_err(|_| Problem::bad_request(format!("{key}={} is no such value", shown())))?;
        Ok(Some(value))
    }

    /// Whoever asks.
    ///
    /// # Errors
    /// When the route is for everybody, which is a defect.
    pub(crate) fn caller(&self) -> Result<&SiteCaller, Problem> {
        self.caller.as_ref().ok_or_else(Problem::internal)
    }

    /// What a change begins with before it is made.
    pub(crate) fn deed(&self) -> &Deed {
        &self.deed
    }

    /// Whether whoever asks has at least that role.
    pub(crate) fn may(&self, role: TokenRole) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.role >= role)
    }

    /// The body as JSON; `T` must refuse unknown keys.
    ///
    /// # Errors
    /// When it is none, or of another shape (400).
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::bad_request(format!("the body is not what is expected: {error}")))
    }

    /// A field of the form.
    ///
    /// # Errors
    /// When it was not sent (400).
    pub(crate) fn field(&self, name: &str) -> Result<&str, Problem> {
        let missing = || Problem::bad_request(format!("the form has no field {name}"));
        found(&self.form, name).ok_or_else(missing)
    }

    /// The form, whose fields are texts; `T` must refuse unknown keys.
    ///
    /// # Errors
    /// When it is of another shape (400).
    pub(crate) fn form<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let fields = self.form.iter().map(|(key, value)| (key.clone(), Value::String(value.clone())));
        serde_json::from_value(Value::Object(fields.collect()))
            .map_err(|error| Problem::bad_request(format!("the form is not what is expected: {error}")))
    }

    /// What a form of the answer must hold in the field `csrf`; none without a session.
    pub(crate) fn csrf(&self) -> Option<&str> {
        self.caller.as_ref()?.csrf.as_deref()
    }

    /// What scripts and styles of the answer must have as `nonce`.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The event that a reader of a stream saw last.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }
}

fn found<'a>(pairs: &'a Pairs, key: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
}

/// A percent-encoded text; `None` where it is none, or not UTF-8.
pub(super) fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let spaced = if plus_is_space { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let (bytes, is_sound) = percent_decoded(&spaced);
    String::from_utf8(bytes).ok().filter(|_| is_sound)
}

/// The pairs of a query or of a urlencoded form.
///
/// # Errors
/// When it is badly encoded, or a key stands twice (400).
pub(super) fn pairs(text: &str) -> Result<Pairs, Problem> {
    let mut pairs = Pairs::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = (decoded(key, true), decoded(value, true));
        let (Some(key), Some(value)) = decoded else {
            return Err(Problem::bad_request("a value is badly encoded"));
        };
        if found(&pairs, &key).is_some() {
            return Err(Problem::bad_request(format!("{} stands twice", escaped(key.as_bytes()))));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// The pairs of a query of a route.
///
/// # Errors
/// As [`pairs`], and when the route has no such key, or the key no such value (400).
pub(super) fn query(spec: &RouteSpec, text: Option<&str>) -> Result<Pairs, Problem> {
    let pairs = pairs(text.unwrap_or_default())?;
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !spec.query.iter().any(|known| known.name == key)) {
        let known: Vec<&str> = spec.query.iter().map(|known| known.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let key = escaped(key.as_bytes());
        return Err(Problem::bad_request(format!("the query has no key {key}; there are: {known}")));
    }
    for (key, value) in &pairs {
        let its = spec.query.iter().find(|known| known.name == key);
        if let Some(wanted) =
            its.and_then(|its| its.form.unmet(value).map(|wanted| format!("{wanted} ({})", its.summary)))
        {
            let value = escaped(value.as_bytes());
            return Err(Problem::bad_request(format!("{key}: \"{value}\" is not {wanted}")));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_or_refused() {
        let read = |text: &str| pairs(text).ok();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read("a=1&b=x+y%3D&c"), Some(vec![pair("a", "1"), pair("b", "x y="), pair("c", "")]));
        assert_eq!(read(""), Some(vec![]));
        for text in ["a=%", "a=%1", "a=%zz", "a=%ff", "a=1&a=2", "a=1&%61=2", "%=1", "a=%+1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
