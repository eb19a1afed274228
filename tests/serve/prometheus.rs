//! A real Prometheus that scrapes an agent with a token, with the rules and the dashboard of `deploy/`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use assert_fs::TempDir;
use serde_json::Value;

use super::interface::project;
use crate::support::agent::{AgentProcess, token};
use crate::support::deploy::{in_repository, ok, program, shipped};
use crate::support::wait_until;

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// A running Prometheus; it is killed when dropped.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    fn start(dir: &TempDir) -> Self {
        let mut command = std::process::Command::new("prometheus");
        command.args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]);
        command.current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, rest) = line.split_once("127.0.0.1:")?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u16>().ok().filter(|port| *port > 0)
        });
        // What it goes on to say is read, so that it never waits for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{}", port.unwrap()) }
    }

    fn get(&self, path: &str, query: &str) -> Value {
        let mut curl = program("curl");
        curl.args(["--silent", "--noproxy", "*", "--get", "--data-urlencode", query]);
        let text = crate::support::deploy::run(curl.arg(format!("{}{path}", self.url))).out;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The samples that an expression gives now.
    fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.get("/api/v1/query", &format!("query={expression}"));
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of a text that begin as the metrics do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c)).filter(|word| word.starts_with("driftlock_")).map(str::to_owned).collect()
}

fn expressions() -> Vec<String> {
    let path = in_repository("deploy/grafana/driftlock-serve.json");
    let all = ok(program("jq").args(["-r", ".panels[].targets[].expr"]).arg(path));
    all.lines().map(|line| line.replace("$deployment", ".*")).collect()
}

#[test]
fn promtool_takes_the_rules_of_the_agent_and_their_tests_pass() {
    let dir = TempDir::new().unwrap();
    for file in ["serve.yml", "serve.test.yml"] {
        std::fs::write(dir.path().join(file), shipped(&format!("prometheus/{file}"))).unwrap();
    }
    let checked = ok(program("promtool").args(["check", "rules", "serve.yml"]).current_dir(dir.path()));
    assert!(checked.contains("SUCCESS: 7 rules found"), "{checked}");
    let test = || {
        crate::support::deploy::run(
            program("promtool").args(["test", "rules", "serve.test.yml"]).current_dir(dir.path()),
        )
    };
    assert_eq!(test().code, 0);
    // The tests see every change that matters.
    let whole = shipped("prometheus/serve.yml");
    for (from, to) in [
        ("up{job=\"driftlock\"} == 0", "up{job=\"driftlock\"} == 2"),
        ("up{job=\"driftlock\"}", "up"),
        ("> 6 * 3600", "> 60 * 3600"),
        ("> 6 * 3600", "> 1"),
        ("result=\"error\"", "result=\"fail\""),
        ("unless on (instance, job, deployment)", "or on (instance, job, deployment)"),
        ("running[2h]", "running[5m]"),
        ("> 3\n", "> 1000\n"),
        ("driftlock_acknowledgements_waiting > 0", "driftlock_acknowledgements_waiting > 9"),
        ("status=\"escalated\"", "status=\"open\""),
        ("severity=\"critical\"}", "severity=\"low\"}"),
    ] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        std::fs::write(dir.path().join("serve.yml"), changed).unwrap();
        assert_ne!(test().code, 0, "nobody sees {from} become {to}");
    }
}

#[test]
fn a_prometheus_scrapes_the_agent_and_rules_and_dashboard_find_what_they_ask_for() {
    let project = project(&[EDGE], "\n[[deployments]]\nname = \"erp\"\ninterval = \"1m\"\n");
    let scrape = token(&project, "prometheus", "scrape", &[]);
    let agent = AgentProcess::start(&project, &[]);
    wait_until(|| {
        agent.get("/metrics", &scrape).body.contains("driftlock_deployment_duration_seconds_count")
    });
    let exported = metrics_in(&agent.get("/metrics", &scrape).body);
    for file in ["prometheus/serve.yml", "prometheus/serve.test.yml", "grafana/driftlock-serve.json"] {
        let named = metrics_in(&shipped(file));
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} names what no agent exports: {unknown:?}");
    }
    let shown = metrics_in(&shipped("grafana/driftlock-serve.json"));
    let is_own = |name: &&String| *name != "driftlock_deployment_duration_seconds";
    let own = exported.iter().filter(|name| name.starts_with("driftlock_deployment_") && is_own(name));
    let hidden: Vec<_> = own.filter(|name| !shown.contains(*name)).collect();
    assert!(hidden.is_empty(), "the dashboard does not show {hidden:?}");
    let dir = TempDir::new().unwrap();
    let target = agent.url.trim_start_matches("http://");
    std::fs::write(dir.path().join("token"), &scrape).unwrap();
    for file in ["alerts.yml", "serve.yml"] {
        std::fs::write(dir.path().join(file), shipped(&format!("prometheus/{file}"))).unwrap();
    }
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [alerts.yml, serve.yml]\nscrape_configs:\n\
         - job_name: driftlock\n  authorization: {{credentials_file: token}}\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let prometheus = Prometheus::start(&dir);
    wait_until(|| prometheus.query("up{job=\"driftlock\"} == 1").len() == 1);
    wait_until(|| {
        !prometheus.query("driftlock_open_incidents{status=\"open\",severity=\"high\"} == 1").is_empty()
    });
    assert_eq!(prometheus.query("driftlock_status{target=\"local\"} == 1").len(), 1);
    for expression in expressions() {
        let answer = prometheus.get("/api/v1/query", &format!("query={expression}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        // Rates need two samples; all else is there with the first.
        let is_rate = ["rate(", "increase("].iter().any(|word| expression.contains(word));
        if is_rate {
            wait_until(|| !prometheus.query(&expression).is_empty());
        } else {
            assert!(!prometheus.query(&expression).is_empty(), "{expression}");
        }
    }
    let rules = prometheus.get("/api/v1/rules", "type=alert");
    let rules = rules["data"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["rules"].as_array().unwrap().clone());
    let names: Vec<String> = rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    wait_until(|| prometheus.get("/api/v1/alerts", "x=").to_string().contains("DriftDetected"));
    // A token of nobody gets nothing.
    std::fs::write(dir.path().join("token"), "A".repeat(43)).unwrap();
    wait_until(|| prometheus.query("up{job=\"driftlock\"} == 0").len() == 1);
}
