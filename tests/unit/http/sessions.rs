//! Login, sessions, and what a foreign page cannot do with them.

use super::sites::{Heard, Served, bearer};
use crate::serve::tokens::TokenRole;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn origin(served: &Served) -> String {
    format!("Origin: http://localhost:{}", served.port())
}

fn log_in(served: &Served, token: &str) -> Heard {
    served.ask("POST /login", &[FORM, &origin(served)], &format!("token={token}"))
}

/// The header with the cookie of a login.
fn cookie(heard: &Heard) -> String {
    let cookie = heard.header("set-cookie").unwrap_or_else(|| panic!("{heard:?}"));
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

fn csrf(served: &Served, cookie: &str) -> String {
    let page = served.ask("GET /", &[cookie], "");
    page.body().split("csrf=").nth(1).unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn people_log_in_use_forms_and_log_out() {
    let served = Served::start();
    let token = served.token(TokenRole::Operate);
    let redirected = served.ask("GET /", &[], "");
    assert_eq!((redirected.status(), redirected.header("location")), (303, Some("/login")));
    let page = served.ask("GET /login", &[], "");
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("type=\"password\"") && !page.body().contains("<script"), "{page:?}");
    let heard = log_in(&served, &token);
    assert_eq!((heard.status(), heard.header("location")), (303, Some("/")));
    let set = heard.header("set-cookie").unwrap();
    assert!(set.starts_with("driftlock_session="), "{set}");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(&token) && !set.contains("Domain"), "{set}");
    let cookie = cookie(&heard);
    let csrf = csrf(&served, &cookie);
    let done =
        served.ask("POST /acknowledge", &[FORM, &origin(&served), &cookie], &format!("csrf={csrf}&reason=r"));
    assert_eq!((done.status(), done.header("location")), (303, Some("/?r")));
    let out = served.ask("POST /logout", &[FORM, &origin(&served), &cookie], &format!("csrf={csrf}"));
    assert_eq!(out.status(), 303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(served.ask("GET /list", &[&cookie], "").status(), 401);
}

#[test]
fn a_foreign_page_changes_nothing() {
    let served = Served::start();
    let cookie = cookie(&log_in(&served, &served.token(TokenRole::Admin)));
    let csrf = csrf(&served, &cookie);
    let other = super::sites::Served::start();
    let form = format!("csrf={csrf}&reason=r");
    let own = origin(&served);
    let status = |headers: &[&str], body: &str| {
        served.ask("POST /acknowledge", &[&[FORM, cookie.as_str()], headers].concat(), body).status()
    };
    assert_eq!(status(&[], &form), 403, "no Origin");
    assert_eq!(status(&["Origin: null"], &form), 403);
    assert_eq!(status(&["Origin: http://evil.example"], &form), 403);
    assert_eq!(status(&[&origin(&other)], &form), 403, "another port is another origin");
    assert_eq!(status(&[&own, "Sec-Fetch-Site: same-site"], &form), 403);
    assert_eq!(status(&[&own], "reason=r"), 403, "no CSRF token");
    assert_eq!(status(&[&own], "csrf=&reason=r"), 403);
    assert_eq!(status(&[&own], &format!("csrf={csrf}x&reason=r")), 403);
    assert_eq!(status(&[&own], &format!("csrf={csrf}&csrf={csrf}&reason=r")), 400);
    assert_eq!(status(&[&own], &form), 303);
    // What a form can send without asking first.
    for content_type in ["text/plain", "multipart/form-data; boundary=x"] {
        let headers = [cookie.as_str(), &own, &format!("Content-Type: {content_type}")];
        assert_eq!(served.ask("POST /acknowledge", &headers, &form).status(), 415);
    }
    // The API with the cookie alone.
    let json = "{\"reason\": \"r\"}";
    let api = |headers: &[&str]| {
        let headers = [&[cookie.as_str(), "Content-Type: application/json", &own], headers].concat();
        served.ask("POST /events/x/acknowledge", &headers, json).status()
    };
    assert_eq!(api(&[]), 403);
    assert_eq!(api(&["X-CSRF-Token: x"]), 403);
    assert_eq!(api(&[&format!("X-CSRF-Token: {csrf}")]), 200);
    // Forms with a token in place of a session, and logins from elsewhere.
    let admin = served.tokens.add("other", TokenRole::Admin, None).unwrap();
    assert_eq!(served.ask("POST /acknowledge", &[FORM, &own, &bearer(&admin)], &form).status(), 403);
    let foreign =
        served.ask("POST /login", &[FORM, "Origin: http://evil.example"], &format!("token={admin}"));
    assert_eq!((foreign.status(), foreign.header("set-cookie")), (403, None));
}

#[test]
fn a_session_ends_with_its_token() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let cookie = cookie(&log_in(&served, &token));
    assert_eq!(served.ask("GET /list", &[&cookie], "").status(), 200);
    served.tokens.revoke("read").unwrap();
    assert_eq!(served.ask("GET /list", &[&cookie], "").status(), 401);
    served.token(TokenRole::Read);
    assert_eq!(served.ask("GET /list", &[&cookie], "").status(), 401, "the name alone is no token");
}

#[test]
fn who_may_not_read_cannot_log_in_and_attempts_are_limited() {
    let served = Served::start();
    let scrape = log_in(&served, &served.token(TokenRole::Scrape));
    assert_eq!((scrape.status(), scrape.header("set-cookie")), (401, None));
    assert!(scrape.body().contains("role=\"alert\""));
    let statuses: Vec<u16> = (0..12).map(|_| log_in(&served, "x").status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 9);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 3);
    let right = served.token(TokenRole::Admin);
    let refused = log_in(&served, &right);
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("60")));
    assert_eq!(served.get("/list", &right).status(), 200, "programs are not concerned");
}

#[test]
fn with_tls_cookies_are_for_tls_alone() {
    let served = Served::with(crate::serve::http::SiteLimits::default(), true);
    let token = served.token(TokenRole::Read);
    let ca = served.dir.path().join("cert.pem");
    let ca = ca.to_str().unwrap();
    let origin = format!("Origin: https://localhost:{}", served.port());
    let heard =
        served.curl(&["--cacert", ca, "-i", "-H", &origin, "-d", &format!("token={token}")], "/login");
    assert!(heard.contains("HTTP/1.1 303"), "{heard}");
    let set =
        heard.lines().find(|line| line.starts_with("set-cookie: ")).unwrap_or_else(|| panic!("{heard}"));
    assert!(set.starts_with("set-cookie: __Host-driftlock_session=") && set.contains("; Secure"), "{set}");
    let cookie = set["set-cookie: ".len()..].split(';').next().unwrap();
    assert!(served.curl(&["--cacert", ca, "-b", cookie], "/list").contains("\"caller\":\"read\""));
    let plain = served.ask("GET /healthz", &[], "").0;
    assert!(!plain.contains("200"), "without TLS there is nothing: {plain}");
}
