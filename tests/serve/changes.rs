//! What the interface changes: policies, approvals, repairs; and what is told to whom of them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::interface::project;
use crate::commands::remediate::released;
use crate::support::agent::{AgentProcess, token};
use crate::support::git::commit_all;
use crate::support::{Project, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";

/// A project under git whose baseline is committed, with an agent's configuration.
pub(super) fn released_with(more: &str) -> Project {
    released(|project| {
        let config = "\n[serve]\nlisten = \"127.0.0.1:0\"\n[docker]\nmode = \"off\"\n";
        let path = project.path("audit/driftlock.toml");
        let known = std::fs::read_to_string(path).unwrap_or_default();
        project.file("audit/driftlock.toml", &(known + config + more));
    })
}

/// The directory of the one deployment of an agent.
pub(super) fn kept(project: &Project, deployments: &Value) -> std::path::PathBuf {
    project.path("audit/state/serve").join(deployments["deployments"][0]["name"].as_str().unwrap())
}

pub(super) fn open_event(agent: &AgentProcess, token: &str) -> Value {
    let page =
        agent.wait("/drift/events?status=open", token, |page| !page["events"].as_array().unwrap().is_empty());
    page["events"][0].clone()
}

/// The log of changes, a line each.
fn changes(project: &Project) -> Vec<Value> {
    let text = project.read("audit/state/serve/changes.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_description_is_for_those_who_read() {
    let project = project(&[], "");
    let [scrape, read] = ["scrape", "read"].map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let served = agent.get("/openapi.json", &read);
    assert!(
        served.body == std::fs::read_to_string(published).unwrap(),
        "docs/openapi.json is not what is served"
    );
    assert!(served.head.contains("content-type: application/json"), "{}", served.head);
    assert_eq!(agent.get("/openapi.json", &scrape).status, 403);
    assert_eq!(agent.curl("/openapi.json", &[]).status, 401);
}

#[test]
fn policies_of_the_api_come_after_those_of_the_project_and_keep_their_comments() {
    let project = project(&[EDGE], "");
    project.file(
        "audit/policies.toml",
        "[[policy]]\nname = \"own\"\nmatch = { subject = \"**/erp/*\" }\nseverity = \"low\"\n",
    );
    let [read, operate, admin] = ["read", "operate", "admin"].map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    let deployments = agent.wait_for_runs(&read, 1);
    let hot = json!({"policy": {"name": "hot", "match": {"check": "compose_*"}, "severity": "critical"}});
    assert_eq!(agent.post("/drift/policies", &operate, &hot).status, 403);
    let made = agent.post("/drift/policies", &admin, &hot);
    assert_eq!((made.status, &made.json()["source"]), (201, &json!("api")), "{made:?}");
    for (body, status) in [
        (hot.clone(), 409),
        (json!({"policy": {"name": "own"}}), 409),
        (json!({"policy": {"name": "../x"}}), 400),
        (json!({"policy": {"name": "a", "notify": ["nobody"]}}), 400),
        (json!({"policy": {"name": "a", "auto_remediate": "sh"}}), 400),
        (json!({"policy": {"name": "a", "quiet": "always"}}), 400),
        (json!({"policy": {"name": "a", "odd": 1}}), 400),
        (json!({"deployment": "odd", "policy": {"name": "a"}}), 404),
    ] {
        let answer = agent.post("/drift/policies", &admin, &body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let file = kept(&project, &deployments).join("audit/policies.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, written.replace("[[policy]]", "# since the incident\n[[policy]]")).unwrap();
    let change = json!({"severity": "high", "quiet": "22:00-06:00"});
    assert_eq!(agent.patch("/drift/policies/hot", &operate, &change).status, 403);
    let changed = agent.patch("/drift/policies/hot", &admin, &change);
    assert_eq!(
        (changed.status, &changed.json()["policy"]["quiet"]),
        (200, &json!("22:00-06:00")),
        "{changed:?}"
    );
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("# since the incident\n[[policy]]") && written.contains("\"high\""),
        "{written}"
    );
    for (name, body, status) in [
        ("hot", json!({"name": "other"}), 400),
        ("hot", json!({"odd": 1}), 400),
        ("own", json!({"severity": "high"}), 409),
        ("none", json!({}), 404),
    ] {
        let answer = agent.patch(&format!("/drift/policies/{name}"), &admin, &body);
        assert_eq!(answer.status, status, "{name} {body}: {answer:?}");
    }
    let all = agent.get("/drift/policies", &read).json();
    let names = all["policies"].as_array().unwrap().iter().map(|it| (&it["source"], &it["policy"]["name"]));
    let (own, api) = (json!("project"), json!("api"));
    assert_eq!(names.collect::<Vec<_>>(), [(&own, &json!("own")), (&api, &json!("hot"))]);
    // What is seen from now on is judged by both, the project's first.
    project.file(EDGE, "changed again\n");
    project.file(ERP, "changed\n");
    agent.post("/drift/reconcile", &operate, &json!({}));
    let severities = |subject: &str| {
        let page = agent.get("/drift/events?status=open", &read).json();
        let its = page["events"].as_array().unwrap().iter().find(|it| it["subject"] == subject).cloned();
        its.map(|it| (it["severity"].clone(), it["policy"].clone()))
    };
    wait_until(|| severities(ERP).is_some());
    assert_eq!(severities(ERP), Some((json!("low"), json!("own"))));
    wait_until(|| severities(EDGE) == Some((json!("high"), json!("hot"))));
    assert!(!project.read("audit/policies.toml").contains("hot"), "the project's own file is its own");
}

#[test]
fn a_repair_by_the_api_is_that_of_the_command_with_its_guards() {
    let project = released_with("");
    let before = project.read(EDGE);
    project.file(EDGE, "services: {evil: {}}\n");
    let [operate, admin] = ["operate", "admin"].map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    let deployments = agent.wait_for_runs(&operate, 1);
    let event = open_event(&agent, &operate);
    let path = format!("/drift/events/{}", event["id"].as_str().unwrap());
    let remediate = format!("{path}/remediate");
    assert_eq!(agent.post(&remediate, &operate, &json!({"dry_run": true})).status, 403);
    let shown = agent.post(&remediate, &admin, &json!({"dry_run": true}));
    assert_eq!((shown.status, &shown.json()["state"]), (200, &json!("planned")), "{shown:?}");
    let steps = shown.json()["steps"].clone();
    assert!(steps.to_string().contains(EDGE), "{steps}");
    assert_eq!(project.read(EDGE), "services: {evil: {}}\n");
    // An approval is of these steps and no others.
    let approve = format!("{path}/approve");
    for odd in [json!([]), json!(["rm -rf /"])] {
        let refused = agent.post(&approve, &operate, &json!({"steps": odd}));
        assert_eq!((refused.status, &refused.json()["steps"]), (409, &steps), "{refused:?}");
    }
    assert_eq!(agent.post(&approve, &operate, &json!({"steps": steps, "until": "31d"})).status, 400);
    let approved = agent.post(&approve, &operate, &json!({"steps": steps, "until": "4h", "reason": "seen"}));
    assert_eq!((approved.status, &approved.json()["by"]), (200, &json!("operate")), "{approved:?}");
    assert_eq!(agent.get(&path, &operate).json()["status"], "approved");
    let approvals = std::fs::read_to_string(kept(&project, &deployments).join("audit/state/approvals.json"));
    assert!(approvals.unwrap().contains(approved.json()["plan"].as_str().unwrap()));
    let done = agent.post(&remediate, &admin, &json!({}));
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("resolved")), "{done:?}");
    assert_eq!(project.read(EDGE), before);
    let replaced = done.json()["kept"].as_str().unwrap().to_owned();
    assert!(kept(&project, &deployments).join(replaced).join("manifest.json").exists());
    assert!(!project.path("audit/state/replaced").exists(), "what the agent keeps lies in its own directory");
    agent.wait(&path, &operate, |event| event["status"] == "resolved");
    assert_eq!(agent.post(&remediate, &admin, &json!({})).status, 409);
    let all = changes(&project);
    let of = |path: &str| -> Vec<(&Value, &Value)> {
        all.iter().filter(|it| it["path"] == path).map(|it| (&it["by"], &it["status"])).collect()
    };
    let (admin, null) = (json!("admin"), Value::Null);
    let (ok, conflict) = (json!(200), json!(409));
    assert_eq!(
        of(&remediate),
        [
            (&admin, &null),
            (&admin, &ok),
            (&admin, &null),
            (&admin, &ok),
            (&admin, &null),
            (&admin, &conflict)
        ]
    );
    assert!(
        !std::fs::read_to_string(project.path("audit/state/serve/changes.jsonl")).unwrap().contains("rm -rf")
    );
}

#[test]
fn security_is_repaired_by_the_api_only_where_it_is_approved() {
    let project =
        released_with("[[categories]]\ncategory = \"security\"\npaths = [\"infra/stacks/edge/*\"]\n");
    project.file(EDGE, "services: {evil: {}}\n");
    let admin = token(&project, "admin", "admin", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&admin, 1);
    let event = open_event(&agent, &admin);
    assert_eq!(event["category"], "security");
    let path = format!("/drift/events/{}", event["id"].as_str().unwrap());
    let refused = agent.post(&format!("{path}/remediate"), &admin, &json!({}));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("nobody has approved"), "{refused:?}");
    assert_eq!(project.read(EDGE), "services: {evil: {}}\n");
    let shown = agent.post(&format!("{path}/remediate"), &admin, &json!({"dry_run": true})).json();
    let approved = agent.post(&format!("{path}/approve"), &admin, &json!({"steps": shown["steps"]}));
    assert_eq!(approved.status, 200, "{approved:?}");
    let done = agent.post(&format!("{path}/remediate"), &admin, &json!({}));
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("resolved")), "{done:?}");
}

#[test]
fn a_run_of_several_deployments_is_asked_for_by_the_deployment() {
    let project = project(&[EDGE], "\n[[deployments]]\nname = \"a\"\n[[deployments]]\nname = \"b\"\n");
    let detail = token(&project, "detail", "detail", &[]);
    let agent = AgentProcess::start(&project, &[]);
    let all = agent.wait_for_runs(&detail, 1);
    let run = all["deployments"][0]["places"][0]["run"].as_str().unwrap();
    let runs = |name: &str| project.path(&format!("audit/state/serve/{name}/audit/runtime/{run}"));
    std::fs::create_dir_all(runs("b")).unwrap();
    std::fs::copy(runs("a").join("drift_report.json"), runs("b").join("drift_report.json")).unwrap();
    let both = agent.get(&format!("/drift/reports/{run}"), &detail);
    assert_eq!(both.status, 409, "{both:?}");
    assert!(both.json()["detail"].as_str().unwrap().contains("a, b"), "{both:?}");
    let one = agent.get(&format!("/drift/reports/{run}?deployment=b"), &detail);
    assert_eq!((one.status, &one.json()["run"]), (200, &json!(run)), "{one:?}");
    assert_eq!(agent.get(&format!("/drift/reports/{run}?deployment=c"), &detail).status, 404);
    // For a browser it has its style, and a policy that lets that one alone.
    let page = agent.get(&format!("/drift/reports/{run}?deployment=a&format=html"), &detail);
    let nonce = page.body.split("<style nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let policy = page.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
    assert!(policy.contains(&format!("'nonce-{nonce}'")) && !policy.contains("unsafe-inline"), "{policy}");
    // A policy of both is asked for the same way.
    let admin = token(&project, "admin", "admin", &[]);
    let add = |body: Value| agent.post("/drift/policies", &admin, &body).status;
    assert_eq!(add(json!({"policy": {"name": "p"}})), 409);
    for name in ["a", "b"] {
        assert_eq!(add(json!({"deployment": name, "policy": {"name": "p"}})), 201);
    }
    let patch = |query: &str| {
        agent.patch(&format!("/drift/policies/p{query}"), &admin, &json!({"severity": "low"})).status
    };
    assert_eq!((patch(""), patch("?deployment=b"), patch("?deployment=c")), (409, 200, 404));
}

#[test]
fn why_a_deployment_failed_is_for_those_who_see_detail() {
    let project = project(&[], "\n[[deployments]]\nname = \"a\"\nroot = \"/nonexistent/secret-place\"\n");
    let [read, detail] = ["read", "detail"].map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let told = [&read, &detail].map(|token| {
        let paths = ["/drift/deployments", "/drift/report", "/"];
        paths.map(|path| agent.get(path, token).body.contains("secret-place"))
    });
    assert_eq!(told, [[false; 3], [true; 3]]);
    assert_eq!(agent.get("/drift/report", &read).json()["verdict"], "error");
}

#[test]
fn who_comes_back_to_the_stream_hears_what_was_missed() {
    let project = project(&[EDGE, ERP], "");
    let [read, detail] = ["read", "detail"].map(|role| token(&project, role, role, &[]));
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&read, 1);
    let page = agent.get("/drift/events", &read).json();
    let [newest, oldest] = [0, 1].map(|at| page["events"][at]["id"].as_str().unwrap().to_owned());
    let first = |token: &str, last: &str| {
        let url = format!("{}/drift/stream", agent.url);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--noproxy", "*", "--max-time", "60", "--header"]);
        curl.arg(format!("Authorization: Bearer {token}"))
            .arg("--header")
            .arg(format!("Last-Event-ID: {last}"));
        let mut child = curl.arg(url).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let [id, data] = ["id: ", "data: "]
            .map(|begin| lines.find_map(|line| line.strip_prefix(begin).map(str::to_owned)).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        (id, data)
    };
    assert_eq!(first(&read, &oldest).0, newest);
    let [few, all] = [&read, &detail].map(|token| first(token, "0"));
    assert_eq!([few.0, all.0], [oldest.clone(), oldest]);
    // Names are for all who read, values are not.
    assert_eq!([few.1, all.1].map(|data| data.contains("desired_value")), [false, true]);
}

#[test]
fn nothing_of_this_machine_is_repaired_from_fetched_code() {
    let work = released_with("");
    work.file(EDGE, "changed\n");
    commit_all(&work, "changed without its lock file");
    let project = Project::empty();
    let git = format!("git = {{ url = \"file://{}\", branch = \"main\" }}", work.root().display());
    let config = format!("[serve]\nlisten = \"127.0.0.1:0\"\n[[deployments]]\nname = \"erp\"\n{git}\n");
    project.file("audit/driftlock.toml", &config);
    let admin = token(&project, "admin", "admin", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&admin, 1);
    let path = format!("/drift/events/{}/remediate", open_event(&agent, &admin)["id"].as_str().unwrap());
    for body in [json!({}), json!({"dry_run": true})] {
        let answer = agent.post(&path, &admin, &body);
        let why = answer.json()["detail"].to_string();
        assert!(answer.status == 409 && why.contains("from code that was fetched"), "{answer:?}");
    }
}

#[test]
fn a_repair_is_of_its_finding_and_leaves_the_others() {
    let project = released_with("");
    let released = [EDGE, ERP].map(|path| project.read(path));
    for path in [EDGE, ERP] {
        project.file(path, "services: {evil: {}}\n");
    }
    let admin = token(&project, "admin", "admin", &[]);
    let agent = AgentProcess::start(&project, &[]);
    agent.wait_for_runs(&admin, 1);
    let page = agent.get("/drift/events", &admin).json();
    let of_erp = page["events"].as_array().unwrap().iter().find(|event| event["subject"] == ERP).unwrap();
    let path = format!("/drift/events/{}/remediate", of_erp["id"].as_str().unwrap());
    let done = agent.post(&path, &admin, &json!({}));
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("resolved")), "{done:?}");
    assert_eq!(
        [EDGE, ERP].map(|path| project.read(path) == released[usize::from(path == ERP)]),
        [false, true]
    );
}
