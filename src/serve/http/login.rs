//! The page of the login, the cookie, and how often somebody may try.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::problem::Problem;
use crate::control::waits;
use crate::report::html::markup::Markup;

/// The number of attempts of one address in the time of `waits::LOGIN`.
const ATTEMPTS: u32 = 10;
/// The same of all addresses together.
const ATTEMPTS_OF_ALL: u32 = 200;

/// Attempts to log in, counted by address.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Attempts {
    /// Counts an attempt.
    ///
    /// # Errors
    /// When there were too many (429).
    pub(super) fn count(&self, peer: IpAddr) -> Result<(), Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waits::LOGIN.most;
        counts.retain(|_, (since, _)| since.elapsed() < most);
        let of_all: u32 = counts.values().map(|(_, count)| *count).sum();
        let (_, count) = counts.entry(network(peer)).or_insert_with(|| (Instant::now(), 0));
        if *count >= ATTEMPTS || of_all >= ATTEMPTS_OF_ALL {
            return Err(Problem::too_many("too many attempts to log in: wait a minute", most.as_secs()));
        }
        *count += 1;
        Ok(())
    }
}

/// What one client has many addresses of: its IPv6 network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The name of the session's cookie.
pub(super) fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { "__Host-driftlock_session" } else { "driftlock_session" }
}

/// The cookie of a session; without one, what removes it.
pub(super) fn cookie(session: Option<&str>, is_tls: bool) -> String {
    let name = cookie_name(is_tls);
    let secure = if is_tls { "; Secure" } else { "" };
    let seconds = if session.is_some() { waits::SESSION.most.as_secs() } else { 0 };
    let session = session.unwrap_or_default();
    format!("{name}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The session that the cookies of a request name; none where two do.
pub(super) fn session_name<'a>(cookies: impl Iterator<Item = &'a str>, is_tls: bool) -> Option<&'a str> {
    let wanted = cookie_name(is_tls);
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value);
    named.next().filter(|_| named.next().is_none())
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0;display:grid;place-items:center;min-height:100vh}\
main{width:min(22rem,100vw - 2rem)}\
label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}\
input,button{padding:.6rem;margin:.4rem 0 1rem;border:1px solid GrayText;border-radius:.3rem}\
.error{border-left:.3rem solid #c00;padding-left:.6rem}";

/// The page of the login.
pub(super) fn page(is_refused: bool, nonce: &str) -> String {
    let error = if is_refused {
        "<p class=\"error\" role=\"alert\" id=\"error\">This token is not valid, was revoked, or may not read.</p>"
    } else {
        ""
    };
    let described = if is_refused { " aria-invalid=\"true\" aria-describedby=\"error\"" } else { "" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Log in · driftlock</title><style nonce=\"{nonce}\">{STYLE}</style></head>\n\
         <body><main><h1>driftlock</h1>{error}\
         <form method=\"post\" action=\"/login\"><label for=\"token\">Token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" required autofocus \
         autocomplete=\"current-password\" spellcheck=\"false\"{described}>\
         <button>Log in</button></form></main></body></html>\n"
    )
}

/// The page that says why what a form or an address asked for is not done.
pub(super) fn refusal(why: &str, nonce: &str) -> String {
    let mut page = Markup::default();
    page.fixed("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.fixed("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    page.fixed("<title>Refused or failed \u{b7} driftlock</title>");
    page.with("style", &[("nonce", nonce)], |it| it.fixed(STYLE));
    page.fixed("</head>\n<body><main><h1>Refused or failed</h1>");
    page.put("p class=error role=alert", why);
    page.fixed("<p><a href=\"/\">Back to the page</a></p></main></body></html>\n");
    page.into_html()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_client() {
        let attempts = Attempts::default();
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        for number in 0..ATTEMPTS {
            assert!(attempts.count(peer(&format!("2001:db8::{number}"))).is_ok());
        }
        assert!(attempts.count(peer("2001:db8::ffff")).is_err());
        assert!(attempts.count(peer("2001:db8:0:1::1")).is_ok());
        assert!(
            attempts.count(peer("192.0.2.1")).is_ok() && attempts.count(peer("::ffff:192.0.2.1")).is_ok()
        );
        assert_eq!(network(peer("::ffff:192.0.2.1")), peer("192.0.2.1"));
    }

    #[test]
    fn attempts_of_all_are_counted_too() {
        let attempts = Attempts::default();
        let tries = (0..=ATTEMPTS_OF_ALL)
            .map(|number| attempts.count(IpAddr::V4(std::net::Ipv4Addr::from_bits(number))).is_ok());
        assert_eq!(tries.filter(|is_allowed| *is_allowed).count(), ATTEMPTS_OF_ALL as usize);
    }

    #[test]
    fn one_cookie_names_a_session_and_two_name_none() {
        let find = |cookies: &[&'static str], is_tls| session_name(cookies.iter().copied(), is_tls);
        assert_eq!(find(&["a=1; driftlock_session=x"], false), Some("x"));
        assert_eq!(find(&["a=1", "driftlock_session=x"], false), Some("x"));
        assert_eq!(find(&["driftlock_session=x; driftlock_session=y"], false), None);
        assert_eq!(find(&["driftlock_session=x", "driftlock_session=x"], false), None);
        assert_eq!(find(&["driftlock_session=x"], true), None);
        assert_eq!(find(&["__Host-driftlock_session=x"], true), Some("x"));
    }
}
