//! The page: what it shows, and what can be done on it.

use super::interface::project;
use crate::support::agent::{AgentProcess, CurlAnswer, token};

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
