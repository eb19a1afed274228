//! The page: what it shows, and what can be done on it.

use std::fmt::Write as _;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::interface::project;
use crate::support::Project;
use crate::support::agent::{AgentProcess, CurlAnswer, token};
use crate::support::browser::chromium;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// The cookie that an answer sets.
fn cookie(answer: &CurlAnswer) -> String {
    let line = answer.head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie: "));
    line.unwrap_or_else(|| panic!("{answer:?}"))[12..].split(';').next().unwrap().to_owned()
}

fn csrf(page: &str) -> String {
    let begin = page.find("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{page}")) + 19;
    page[begin..].split('"').next().unwrap().to_owned()
}

#[test]
fn a_session_shows_what_is_open_and_acknowledges_it_by_a_form() {
    let project = project(&[EDGE], "");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&operate, 1);
    let stranger = agent.curl("/", &[]);
    assert!(stranger.status == 303 || stranger.status == 302, "{stranger:?}");
    let login = agent.curl(
        "/login",
        &["--data-urlencode", &format!("token={operate}"), "--header", &format!("Origin: {}", agent.url)],
    );
    let cookie = cookie(&login);
    assert!(login.head.contains("HttpOnly") && login.head.contains("SameSite=Strict"), "{login:?}");
    let page = agent.curl("/", &["--cookie", &cookie]);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains(EDGE) && page.body.contains("1 subject is not as released"), "{}", page.body);
    assert!(!page.body.contains(&operate), "the token is on no page");
    let csrf = csrf(&page.body);
    let action = page.body.split("action=\"/page/events/").nth(1).unwrap().split('"').next().unwrap();
    let action = format!("/page/events/{action}");
    let form = |csrf: &str| {
        let origin = format!("Origin: {}", agent.url);
        let fields = [format!("csrf={csrf}"), "reason=a hotfix".to_owned(), "until=7d".to_owned()];
        let fields = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]);
        let args: Vec<&str> = ["--cookie", &cookie, "--header", &origin].into_iter().chain(fields).collect();
        agent.curl(&action, &args).status
    };
    assert_eq!(form("forged"), 403);
    assert_eq!(form(&csrf), 303);
    let page = agent.curl("/", &["--cookie", &cookie]);
    assert!(page.body.contains("Acknowledged"), "{}", page.body);
}

#[test]
fn who_may_only_read_sees_no_value_and_no_form() {
    let project = project(&[EDGE], "");
    let read = token(&project, "reader", "read", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let page = agent.get("/", &read);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains(EDGE), "{}", page.body);
    assert!(!page.body.contains("<form class=ack") && !page.body.contains("sha256:"), "{}", page.body);
}

/// What a browser makes of pages, each in a frame of three widths, in light and in dark.
fn browsed(project: &Project, pages: &[(&str, String)]) {
    let mut frames = String::new();
    for (name, page) in pages {
        let page = page.replace('&', "&amp;").replace('"', "&quot;");
        for width in [1280, 390, 320] {
            let _ = write!(
                frames,
                "<iframe title=\"{name} at {width}\" width={width} height=900 style=\"border:0;display:block\" srcdoc=\"{page}\"></iframe>"
            );
        }
    }
    let script = include_str!("../formats/html.js");
    project.file("frames.html", &format!("<!DOCTYPE html><script>{script}</script><body>{frames}</body>"));
    for scheme in ["1", "0"] {
        let setting = format!("--blink-settings=preferredColorScheme={scheme}");
        let dumped = chromium(&project.path("frames.html"), &["--dump-dom", &setting]);
        let told = dumped.split_once("<body>told:").and_then(|(_, rest)| rest.split_once(":told"));
        let told = told.unwrap_or_else(|| panic!("{dumped}")).0;
        let told: Value = serde_json::from_slice(&BASE64.decode(told.as_bytes()).unwrap()).unwrap();
        let told = told.as_array().unwrap();
        assert_eq!(told.len(), pages.len() * 3);
        for page in told {
            assert!(page["texts"].as_u64().unwrap() > 10, "{page:#}");
            assert_eq!(page["faint"], json!([]), "{} {scheme}", page["name"]);
            assert_eq!(page["wide"], json!([]), "{} is wider than its frame", page["name"]);
        }
    }
}

/// Opens a session, and gives its cookie.
fn session(agent: &AgentProcess, token: &str) -> String {
    let (field, origin) = (format!("token={token}"), format!("Origin: {}", agent.url));
    cookie(&agent.curl("/login", &["--data-urlencode", &field, "--header", &origin]))
}

#[test]
fn a_browser_shows_none_three_and_three_hundred_findings_and_fifty_deployments() {
    let files = |count: usize| -> Vec<String> {
        (0..count).map(|n| format!("infra/stacks/stack-{n:03}/docker-compose.yml")).collect()
    };
    let mut pages = Vec::new();
    for count in [0, 3, 300] {
        let files = files(count);
        let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>(), "");
        let operate = token(&project, "ops", "operate", &[]);
        let agent = AgentProcess::start(&project, &[]);
        agent.wait_for_runs(&operate, 1);
        let cookie = session(&agent, &operate);
        let page = |path: &str| agent.curl(path, &["--cookie", &cookie]).body;
        let first = page("/");
        let shown =
            |page: &str| page.matches("<form class=ack").count() + page.matches("class=\"ack\"").count();
        assert_eq!(shown(&first), count.min(50));
        if count == 300 {
            let mut seen = std::collections::BTreeSet::new();
            for number in 1..=6 {
                let page = page(&format!("/?page={number}"));
                seen.extend(files.iter().filter(|file| page.contains(&format!("{file}</h4>"))).cloned());
            }
            assert_eq!(seen.len(), 300, "each is on one of the pages");
            assert!(page("/?page=7").contains("251 to 300 of 300"), "{first}");
            pages.push(("300, the last".to_owned(), page("/?page=6")));
        }
        pages.push((format!("{count}"), first));
    }
    let many: String = (0..50)
        .map(|n| format!("[[deployments]]\nname = \"shop-{n:02}\"\nchecks = [\"compose_hashes\"]\n"))
        .collect();
    let project = project(&[], &format!("\n{many}"));
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&operate, 1);
    let cookie = session(&agent, &operate);
    let page = agent.curl("/", &["--cookie", &cookie]).body;
    assert!(page.contains("<summary>50 deployments are as released</summary>"), "{page}");
    pages.push(("50 deployments".to_owned(), page));
    if let Some(dir) = std::env::var_os("DRIFTLOCK_KEEP_PAGES") {
        for (name, page) in &pages {
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.html")), page).unwrap();
        }
    }
    let pages: Vec<(&str, String)> = pages.iter().map(|(name, page)| (name.as_str(), page.clone())).collect();
    browsed(&project, &pages);
}

#[test]
fn a_form_that_is_refused_is_answered_with_a_page() {
    let project = project(&[EDGE], "");
    let operate = token(&project, "ops", "operate", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&operate, 1);
    let cookie = session(&agent, &operate);
    let page = agent.curl("/", &["--cookie", &cookie]).body;
    let (csrf, origin) = (csrf(&page), format!("Origin: {}", agent.url));
    let action = page.split("action=\"/page/events/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let send = |csrf: &str, reason: &str| {
        let fields = [format!("csrf={csrf}"), format!("reason={reason}"), "until=7d".to_owned()];
        let fields = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]);
        let as_browser =
            ["--cookie", &cookie, "--header", &origin, "--header", "Accept: text/html,*/*;q=0.8"];
        let args: Vec<&str> = as_browser.into_iter().chain(fields).collect();
        agent.curl(&format!("/page/events/{action}"), &args)
    };
    for (answer, status, why) in [
        (send(&csrf, " "), 400, "reason: one line"),
        (send("forged", "a hotfix"), 403, "not one of this session"),
        (send(&csrf, "a hotfix"), 303, ""),
        (send(&csrf, "again"), 409, "it is acknowledged already"),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        if status != 303 {
            assert!(answer.head.contains("text/html") && answer.body.contains(why), "{answer:?}");
            assert!(answer.body.contains("role=alert") && answer.body.contains("href=\"/\""), "{answer:?}");
        }
    }
}
