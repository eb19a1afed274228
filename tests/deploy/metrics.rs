//! The alert rules and the dashboard of `deploy/`, judged by promtool and jq, and by the names of the metrics there are.

use std::collections::BTreeSet;
use std::path::Path;

use assert_fs::TempDir;
use serde_json::{Value, json};

use crate::support::deploy::{demo, in_repository, ok, program, run, shipped, yaml};
use crate::support::listening::Listening;

/// Every metric, with its labels: what `docs/alerting.md` describes.
const METRICS: [(&str, &str); 8] = [
    ("driftlock_status", "target,project"),
    ("driftlock_findings", "target,check,kind,project"),
    ("driftlock_acknowledged_findings", "target,check,project"),
    ("driftlock_subjects", "target,check,project"),
    ("driftlock_last_check_timestamp_seconds", "target,project"),
    ("driftlock_last_success_timestamp_seconds", "target,project"),
    ("driftlock_check_duration_seconds", "target,project"),
    ("driftlock_build_info", "version,project"),
];

/// The tests of the rules: by the minute, and over days.
const TESTS: [&str; 2] = ["alerts.test.yml", "stale.test.yml"];

/// The words of a text that begin as the metrics do.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c)).filter(|word| word.starts_with("driftlock_")).collect()
}

fn known() -> BTreeSet<&'static str> {
    METRICS.iter().map(|(name, _)| *name).collect()
}

/// A directory with the rules and their tests.
fn rules() -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in [&["alerts.yml"], TESTS.as_slice()].concat() {
        std::fs::write(dir.path().join(file), shipped(&format!("prometheus/{file}"))).unwrap();
    }
    dir
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let dir = rules();
    let checked = ok(program("promtool").args(["check", "rules", "alerts.yml"]).current_dir(dir.path()));
    assert!(checked.contains("SUCCESS: 3 rules found"), "{checked}");
    ok(program("promtool").args(["test", "rules"]).args(TESTS).current_dir(dir.path()));
}

#[test]
fn the_tests_of_the_rules_see_every_change_that_matters() {
    let whole = shipped("prometheus/alerts.yml");
    let changes = [
        ("driftlock_status == 1", "driftlock_status == 3"),
        ("driftlock_status == 1", "driftlock_status >= 1"),
        ("driftlock_status == 2", "driftlock_status == 3"),
        ("driftlock_status == 2", "driftlock_status >= 1"),
        ("for: 5m", "for: 6m"),
        ("for: 5m", "for: 4m"),
        ("> 48 * 3600", "> 50 * 3600"),
        ("> 48 * 3600", "> 46 * 3600"),
        (
            "time() - last_over_time(driftlock_last_check_timestamp_seconds[7d])",
            "time() - driftlock_last_check_timestamp_seconds",
        ),
        ("or absent(", "unless absent("),
        ("severity: warning", "severity: critical"),
    ];
    for (from, to) in changes {
        let tests =
            if from.contains("last") || from.contains("48") { "stale.test.yml" } else { "alerts.test.yml" };
        let dir = rules();
        let other = whole.replace(from, to);
        assert_ne!(whole, other, "{from}");
        std::fs::write(dir.path().join("alerts.yml"), other).unwrap();
        let tested = run(program("promtool").args(["test", "rules", tests]).current_dir(dir.path()));
        assert_ne!(tested.code, 0, "{to} instead of {from} is not noticed");
    }
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_exist() {
    let alerts = shipped("prometheus/alerts.yml");
    let dashboard = shipped("grafana/driftlock.json");
    let tests = TESTS.map(|file| shipped(&format!("prometheus/{file}"))).concat();
    for text in [&alerts, &tests, &dashboard] {
        let unknown: Vec<_> = metrics_in(text).difference(&known()).copied().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    let shown = metrics_in(&dashboard);
    assert_eq!(shown, known(), "the dashboard shows every metric");
    let names: BTreeSet<_> = yaml(&alerts)["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    let wanted = ["DriftDetected", "DriftCheckFailed", "DriftCheckStale"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(wanted));
}

#[test]
fn these_are_the_metrics_that_a_check_writes() {
    let project = demo();
    let file = project.path("driftlock.prom");
    let format = format!("prometheus={}", file.display());
    project.ok(&["check", "--docker", "off", "--format", &format]);
    let text = std::fs::read_to_string(file).unwrap();
    let written: BTreeSet<(String, String)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, rest) = line.split_once('{').unwrap();
            let labels = rest.split_once('}').unwrap().0.split(',');
            let labels: Vec<&str> = labels.map(|label| label.split_once('=').unwrap().0).collect();
            (name.to_owned(), labels.join(","))
        })
        .collect();
    let wanted = METRICS.map(|(name, labels)| (name.to_owned(), labels.to_owned()));
    assert_eq!(written, BTreeSet::from(wanted));
}

/// What a `node_exporter` that collects a directory tells of driftlock, a line each, sorted; and whether it could read every file.
fn exported(dir: &Path) -> (Vec<String>, bool) {
    let exporter = Listening::start(|at| {
        let mut exporter = program("prometheus-node-exporter");
        exporter.args(["--collector.disable-defaults", "--collector.textfile"]);
        exporter.arg(format!("--collector.textfile.directory={}", dir.display()));
        exporter.arg(format!("--web.listen-address={at}"));
        exporter
    });
    let address = format!("http://127.0.0.1:{}/metrics", exporter.port);
    let text = ok(program("curl").args(["--silent", "--noproxy", "*", "--max-time", "20", &address]));
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with("driftlock_")).map(in_order).collect();
    lines.sort();
    (lines, text.lines().any(|line| line == "node_textfile_scrape_error 0"))
}

/// A line with its labels in the order of their names, and its value as a number is told.
fn in_order(line: &str) -> String {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
    let mut labels: Vec<&str> = labels.split(',').collect();
    labels.sort_unstable();
    format!("{name} {labels:?} {}", value.parse::<f64>().unwrap())
}

#[test]
fn node_exporter_drops_no_sample_of_two_projects() {
    let textfiles = TempDir::new().unwrap();
    let projects = [demo(), demo()];
    let mut written = Vec::new();
    for (number, project) in projects.iter().enumerate() {
        let file = textfiles.path().join(format!("driftlock-{number}.prom"));
        project.ok(&["check", "--docker", "off", "--format", &format!("prometheus={}", file.display())]);
        let text = std::fs::read_to_string(file).unwrap();
        written.extend(text.lines().filter(|line| !line.starts_with('#')).map(in_order));
    }
    written.sort();
    assert_eq!(exported(textfiles.path()), (written, true));
}

fn dashboard() -> Value {
    let path = in_repository("deploy/grafana/driftlock.json");
    serde_json::from_str(&ok(program("jq").arg(".").arg(path))).unwrap()
}

#[test]
fn the_dashboard_asks_the_chosen_source_for_the_chosen_targets() {
    let board = dashboard();
    let variables = board["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(variable("datasource")["type"], "datasource");
    assert_eq!(variable("target")["query"]["query"], "label_values(driftlock_status, target)");
    assert!(board["schemaVersion"].as_u64().unwrap() >= 39);
    let panels = board["panels"].as_array().unwrap();
    let (mut ids, mut used) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{} twice", panel["id"]);
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        let at = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| at[key].as_u64().unwrap());
        for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
            assert!(cell.1 < 24 && used.insert(cell), "{} lies over another panel", panel["title"]);
        }
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let is_chosen = expression.contains("{target=~\"$target\"}");
            assert!(is_chosen || expression.contains("build_info"), "{expression}");
        }
    }
    let status = &panels[0]["fieldConfig"]["defaults"]["mappings"][0]["options"];
    assert_eq!(
        ["0", "1", "2"].map(|value| &status[value]["text"]),
        [&json!("as released"), &json!("drift"), &json!("not checked")]
    );
}

#[test]
fn promtool_takes_every_expression_of_the_dashboard() {
    let path = in_repository("deploy/grafana/driftlock.json");
    let all = ok(program("jq").args(["-r", ".panels[].targets[].expr"]).arg(path));
    let rules: Vec<Value> = all
        .lines()
        .enumerate()
        .map(|(n, line)| json!({"record": format!("panel:{n}"), "expr": line.replace("$target", ".*")}))
        .collect();
    assert!(rules.len() >= 8, "{all}");
    let dir = TempDir::new().unwrap();
    let check = |rules: &[Value]| {
        let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
        std::fs::write(dir.path().join("dashboard.json"), groups.to_string()).unwrap();
        run(program("promtool").args(["check", "rules", "dashboard.json"]).current_dir(dir.path()))
    };
    let taken = check(&rules);
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    assert_ne!(check(&[json!({"record": "panel:0", "expr": "max by (target (x)"})]).code, 0);
}
