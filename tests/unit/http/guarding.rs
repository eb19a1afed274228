//! What is refused before a handler is asked, and how.

use super::sites::{Served, bearer, description};
use crate::serve::tokens::TokenRole;

const JSON: &str = "Content-Type: application/json";

#[test]
fn a_request_with_a_token_is_answered_with_every_header_that_protects() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let heard = served.get("/events/a%20b", &token);
    assert_eq!(
        (heard.status(), heard.json()["said"].as_str(), heard.json()["caller"].as_str()),
        (200, Some("a b"), Some("read"))
    );
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(heard.header(name), Some(value), "{name}");
    }
    let [one, other] = [(); 2].map(|()| served.get("/", &token));
    let policy = one.header("content-security-policy").unwrap();
    let nonce = one.body().split('"').nth(1).unwrap();
    assert!(
        policy.contains(&format!("script-src 'nonce-{nonce}';")) && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_ne!(Some(policy), other.header("content-security-policy"));
    let bodiless = served.ask("HEAD /events/x", &[&bearer(&token)], "");
    assert_eq!((bodiless.status(), bodiless.body()), (200, ""));
    assert_eq!(served.ask("GET /healthz", &[], "").status(), 200);
}

#[test]
fn refusals_come_in_their_order_as_problem_documents() {
    let served = Served::start();
    let read = served.token(TokenRole::Read);
    let status = |line: &str, headers: &[&str], body: &str| {
        let heard = served.ask(line, headers, body);
        assert_eq!(heard.header("content-type"), Some("application/problem+json"), "{heard:?}");
        let problem = heard.json();
        assert_eq!(problem["status"], heard.status());
        assert_eq!(problem["type"], "about:blank");
        assert!(["title", "detail", "instance"].iter().all(|key| problem[key].is_string()), "{problem}");
        heard.status()
    };
    // Each lacks what the next ones lack, too.
    assert_eq!(status("POST /nowhere", &["Host: evil.example"], ""), 421);
    assert_eq!(status("POST /nowhere", &["Host: localhost", "Host: localhost"], ""), 421);
    assert_eq!(status("POST /nowhere", &[], ""), 404);
    assert_eq!(status("PUT /list", &[], ""), 405);
    assert_eq!(status("OPTIONS /list", &[], ""), 405);
    assert_eq!(status("POST /events/x/acknowledge", &[], ""), 401);
    let token = bearer(&read);
    assert_eq!(status("POST /events/x/acknowledge", &[&token], ""), 403);
    let operate = bearer(&served.token(TokenRole::Operate));
    let foreign = "Origin: http://evil.example";
    assert_eq!(status("POST /events/x/acknowledge", &[&operate, foreign], "a"), 403);
    assert_eq!(status("POST /events/x/acknowledge", &[&operate], "a"), 415);
    assert_eq!(status("POST /events/x/acknowledge", &[&operate, JSON], "a"), 400);
    assert_eq!(status("POST /events/x/acknowledge?x=1", &[&operate, JSON], "{\"reason\": \"r\"}"), 400);
    let own = format!("Origin: http://localhost:{}", served.port());
    let heard = served.ask("POST /events/x/acknowledge", &[&operate, JSON, &own], "{\"reason\": \"r\"}");
    assert_eq!((heard.status(), heard.json()["said"].as_str()), (200, Some("x r 0")));
    assert_eq!(served.ask("PUT /list", &[], "").header("allow"), Some("GET, HEAD"));
    assert!(served.ask("GET /list", &[], "").header("www-authenticate").unwrap().starts_with("Bearer"));
}

#[test]
fn roles_include_those_before_them_and_no_others() {
    let served = Served::start();
    let routes = [
        ("GET /metrics", TokenRole::Scrape),
        ("GET /list", TokenRole::Read),
        ("POST /events/x/acknowledge", TokenRole::Operate),
    ];
    for role in TokenRole::ALL {
        let token = bearer(&served.token(role));
        for (line, needed) in routes {
            let body = if line.starts_with("POST") { "{\"reason\": \"r\"}" } else { "" };
            let headers = if body.is_empty() { vec![&*token] } else { vec![&*token, JSON] };
            let wanted = if role >= needed { 200 } else { 403 };
            assert_eq!(served.ask(line, &headers, body).status(), wanted, "{} {line}", role.word());
        }
    }
}

#[test]
fn a_token_counts_nowhere_else_and_not_after_it_was_revoked() {
    let served = Served::start();
    let token = served.token(TokenRole::Admin);
    assert_eq!(served.get("/list", &token).status(), 200);
    for headers in [
        vec!["Authorization: Bearer".to_owned()],
        vec!["Authorization: Bearer ".to_owned()],
        vec![format!("Authorization: Basic {token}")],
        vec![format!("Authorization: {token}")],
        vec![bearer(&token), bearer(&token)],
        vec![bearer(&token[1..])],
        vec![format!("Cookie: driftlock_session={token}")],
        vec![format!("X-Token: {token}")],
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        assert_eq!(served.ask("GET /list", &headers, "").status(), 401, "{headers:?}");
    }
    for key in ["token", "access_token"] {
        assert_eq!(served.ask(&format!("GET /list?{key}={token}"), &[], "").status(), 401);
    }
    served.tokens.revoke("admin").unwrap();
    assert_eq!(served.get("/list", &token).status(), 401);
    std::fs::write(served.dir.path().join("tokens.json"), "{").unwrap();
    assert_eq!(served.get("/list", &token).status(), 503, "nobody gets in where the tokens cannot be read");
    assert_eq!(served.ask("GET /healthz", &[], "").status(), 200);
}

#[test]
fn what_is_asked_for_is_read_strictly() {
    let served = Served::start();
    let read = bearer(&served.token(TokenRole::Read));
    let operate = bearer(&served.token(TokenRole::Operate));
    for path in [
        "/list?most=x",
        "/list?most=-1",
        "/list?other=1",
        "/list?most=1&most=2",
        "/list?most=%",
        "/list?most=%ff",
    ] {
        assert_eq!(served.ask(&format!("GET {path}"), &[&read], "").status(), 400, "{path}");
    }
    for path in [
        "/events/..",
        "/events/%2e%2e%2f%2e%2e",
        "/events/a/../../list",
        "//list",
        "/list/",
        "/events/a%0d%0ab",
        "/events/%00",
    ] {
        assert_eq!(served.ask(&format!("GET {path}"), &[&read], "").status(), 404, "{path}");
    }
    for body in [
        "{}",
        "[]",
        "null",
        "{\"reason\": 1}",
        "{\"reason\": \"r\", \"times\": 256}",
        "{\"reason\": \"r\", \"times\": \"1\"}",
        "{\"reason\": \"r\", \"x\": 1}",
        "{\"reason\": \"r\", \"reason\": \"s\"}",
        "{\"reason\": \"r\"} x",
        "{\"reason\": \"\u{1}",
    ] {
        let heard = served.ask("POST /events/x/acknowledge", &[&operate, JSON], body);
        assert_eq!(heard.status(), 400, "{body}");
    }
    let deep = "[".repeat(60_000);
    assert_eq!(served.ask("POST /events/x/acknowledge", &[&operate, JSON], &deep).status(), 400);
    assert_eq!(served.ask("GET /list", &[&read], "body").status(), 400);
    assert_eq!(served.ask("GET http://localhost/list", &[&read], "").status(), 400);
    assert_eq!(served.ask("GET http://evil.example/list", &[&read], "").status(), 400);
}

#[test]
fn forged_cursors_are_refused() {
    let served = Served::start();
    let read = served.token(TokenRole::Read);
    let cursor = served.get("/list?most=5", &read).json()["said"].as_str().unwrap().to_owned();
    assert_eq!(served.get(&format!("/list?cursor={cursor}"), &read).status(), 200);
    for forged in [&cursor[1..], &format!("{cursor}A"), "AAAA", "", "%00", &"A".repeat(5000)] {
        assert_eq!(served.get(&format!("/list?cursor={forged}"), &read).status(), 400, "{forged}");
    }
}

#[test]
fn line_feeds_make_no_headers() {
    let served = Served::start();
    let token = bearer(&served.token(TokenRole::Read));
    let port = served.port();
    for bad in [
        format!("X: a\nb\r\n{token}"),
        format!("X: a\r\n b\r\n{token}"),
        format!("X\n: a\r\n{token}"),
        format!("X: a\0b\r\n{token}"),
        format!("X : a\r\n{token}"),
        format!("{token}\r\nContent-Length: 1\r\nContent-Length: 2"),
        format!("{token}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4"),
    ] {
        let heard = served.raw(&format!(
            "GET /list HTTP/1.1\r\nHost: localhost:{port}\r\n{bad}\r\nConnection: close\r\n\r\n0\r\n\r\n"
        ));
        assert!(heard.starts_with("HTTP/1.1 400"), "{bad:?}: {heard}");
        assert_eq!(heard.matches("HTTP/1.1").count(), 1, "{bad:?}: {heard}");
    }
    assert_eq!(served.ask("GET /list\r\nX: a", &[&token], "").status(), 400);
}

#[test]
fn a_defect_of_a_handler_is_one_answer() {
    let served = Served::start();
    let token = served.token(TokenRole::Read);
    let heard = served.get("/panic", &token);
    assert_eq!(heard.status(), 500);
    assert!(!heard.0.contains("on purpose"), "{heard:?}");
    assert_eq!(served.get("/list", &token).status(), 200);
}

#[test]
fn the_description_names_what_there_is() {
    let description: serde_json::Value = serde_json::from_str(&description()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    assert!(!paths.contains_key("/") && !paths.contains_key("/acknowledge"), "pages are for people");
    let operation = &paths["/events/{id}/acknowledge"]["post"];
    assert_eq!(operation["x-role"], "operate");
    assert_eq!(operation["parameters"][0]["name"], "id");
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let schema = description.pointer(schema.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let schema = jsonschema::validator_for(schema).unwrap();
    assert!(
        schema.is_valid(&serde_json::json!({"reason": "r"}))
            && !schema.is_valid(&serde_json::json!({"x": 1}))
    );
    assert_eq!(paths["/healthz"]["get"]["security"], serde_json::json!([]));
    let text = description.to_string();
    for (at, found) in text.match_indices("\"$ref\":\"#") {
        let pointer = text[at + found.len()..].split('"').next().unwrap();
        assert!(description.pointer(pointer).is_some(), "{pointer}");
    }
}
