//! What a request must be before anybody looks at what it wants: names, origins, types.

use hyper::HeaderMap;
use hyper::header::{AsHeaderName, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN};

use super::problem::Problem;

/// The one value of a header; none where it is absent.
///
/// # Errors
/// When there are several, or one that is no text (400).
pub(super) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bad = || Problem::bad_request("a header stands twice, or is no text");
    if values.next().is_some() {
        return Err(bad());
    }
    value.to_str().map(Some).map_err(|_| bad())
}

/// The name in a host with or without a port, in lower case.
pub(super) fn host_name(host: &str) -> String {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (name.ends_with(']') || !name.contains(':')) => name,
        _ => host,
    };
    // An IPv6 address stands with brackets in Host, and without them in a configuration.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.to_ascii_lowercase()
}

/// The value of Host.
///
/// # Errors
/// When it is none of the names (421).
pub(super) fn host<'a>(headers: &'a HeaderMap, names: &[String]) -> Result<&'a str, Problem> {
    let host = single(headers, HOST).ok().flatten().ok_or_else(Problem::misdirected)?;
    if names.contains(&host_name(host)) { Ok(host) } else { Err(Problem::misdirected()) }
}

/// Holds a change to where it comes from: browsers say so, programs need not unless `is_needed`.
///
/// # Errors
/// When it comes from elsewhere (403).
pub(super) fn origin(headers: &HeaderMap, host: &str, is_tls: bool, is_needed: bool) -> Result<(), Problem> {
    let foreign =
        || Problem::forbidden("a change must come from a page of this server: Origin says otherwise");
    let site = single(headers, "sec-fetch-site").map_err(|_| foreign())?;
    if site.is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err(foreign());
    }
    let Some(origin) = single(headers, ORIGIN).map_err(|_| foreign())? else {
        return if is_needed { Err(foreign()) } else { Ok(()) };
    };
    // Without TLS here, a proxy before this server may have it.
    let host = host.to_ascii_lowercase();
    let is_own = |scheme: &str, port: &str| {
        let origin = origin.strip_prefix(scheme);
        origin.is_some_and(|origin| origin == host || Some(origin) == host.strip_suffix(port))
    };
    let is_own = is_own("https://", ":443") || !is_tls && is_own("http://", ":80");
    if is_own { Ok(()) } else { Err(foreign()) }
}

/// Holds the body of a change to its type, which may name UTF-8 as its characters.
///
/// # Errors
/// When it is another one, or encoded (415).
pub(super) fn content_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let other = || Problem::other_type(format!("send {wanted}, and say so in Content-Type"));
    let given = single(headers, CONTENT_TYPE).ok().flatten().ok_or_else(other)?.to_ascii_lowercase();
    let (essence, parameter) = given.split_once(';').unwrap_or((&given, ""));
    let is_utf8 = ["", "charset=utf-8", "charset=\"utf-8\""].contains(&parameter.trim());
    let is_plain = is_utf8 && !headers.contains_key(CONTENT_ENCODING);
    if essence.trim() == wanted && is_plain { Ok(()) } else { Err(other()) }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn names_of_hosts_are_those_without_a_port() {
        let names = ["127.0.0.1", "localhost", "::1", "drift.example"].map(str::to_owned);
        let is_own = |value: &'static str| host(&headers(&[("host", value)]), &names).is_ok();
        for own in
            ["localhost", "LocalHost:8870", "127.0.0.1:8870", "[::1]:8870", "[::1]", "drift.example:443"]
        {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:localhost",
            "localhost:x",
            "localhost:",
            "localhost ",
            "localhost@evil.example",
            "[localhost",
            "127.0.0.1.",
            "localhost:1:2",
            "localhost/",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
        assert!(host(&headers(&[]), &names).is_err());
        assert!(host(&headers(&[("host", "localhost"), ("host", "localhost")]), &names).is_err());
    }

    #[test]
    fn changes_come_from_pages_of_this_server() {
        let from = |pairs: &[(&'static str, &'static str)], host: &str, is_tls| {
            [true, false].map(|is_needed| origin(&headers(pairs), host, is_tls, is_needed).is_ok())
        };
        let (own, foreign) = ([true, true], [false, false]);
        assert_eq!(from(&[], "localhost:8870", false), [false, true]);
        assert_eq!(from(&[("origin", "http://localhost:8870")], "LOCALHOST:8870", false), own);
        assert_eq!(
            from(&[("origin", "https://drift.example")], "drift.example", false),
            own,
            "behind a proxy"
        );
        assert_eq!(from(&[("origin", "https://drift.example")], "drift.example:443", true), own);
        for value in [
            "null",
            "",
            "http://localhost",
            "http://localhost:8871",
            "http://evil.example:8870",
            "localhost:8870",
            "ftp://localhost:8870",
            "http://localhost:8870.evil.example",
            "http://localhost:8870/",
        ] {
            assert_eq!(from(&[("origin", value)], "localhost:8870", false), foreign, "{value}");
        }
        assert_eq!(from(&[("origin", "http://drift.example")], "drift.example", true), foreign);
        let twice = [("origin", "http://localhost:8870"), ("origin", "http://evil.example")];
        assert_eq!(from(&twice, "localhost:8870", false), foreign);
        let other_site = [("origin", "http://localhost:8870"), ("sec-fetch-site", "cross-site")];
        assert_eq!(from(&other_site, "localhost:8870", false), foreign);
    }

    #[test]
    fn types_are_the_wanted_ones() {
        let is_json = |pairs: &[(&'static str, &'static str)]| {
            content_type(&headers(pairs), "application/json").is_ok()
        };
        assert!(is_json(&[("content-type", "application/json")]));
        assert!(is_json(&[("content-type", "Application/JSON; charset=UTF-8")]));
        for other in [
            "text/plain",
            "application/json, text/plain",
            "application/json;charset=utf-16",
            "application/jsonx",
        ] {
            assert!(
                content_type(&headers(&[("content-type", other)]), "application/json").is_err(),
                "{other}"
            );
        }
        assert!(!is_json(&[]));
        assert!(!is_json(&[("content-type", "application/json"), ("content-type", "text/plain")]));
        assert!(!is_json(&[("content-type", "application/json"), ("content-encoding", "gzip")]));
    }
}
