//! The shipped alert rules over metrics that real checks have written, judged by promtool.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::deploy::{in_repository, ok, program};

/// The project, wherever the checks found it.
const PROJECT: &str = "/srv/erp";

/// The series of one metrics file: name and labels, and the value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            // The last label.
            let (labels, _) = name.split_once("project=\"").unwrap();
            (format!("{labels}project=\"{PROJECT}\"}}"), value.parse().unwrap())
        })
        .collect()
}

/// The value of a series in every hour, as promtool writes it: sixty equal samples an hour.
fn values(scraped: &[BTreeMap<String, f64>], name: &str) -> String {
    let one = |(hour, all): (usize, &BTreeMap<String, f64>)| {
        // The hours of the test begin at 0, those of the checks do not.
        let value = if name.starts_with("driftlock_last_") {
            (hour * 3600).to_string()
        } else {
            all[name].to_string()
        };
        format!("{value}x59")
    };
    scraped.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
}

/// What an alert says in the middle of an hour; nothing where it is silent.
fn expected(alert: &str, code: i32) -> Vec<Value> {
    let (severity, summary, description) = match (alert, code) {
        ("DriftDetected", 2) => (
            "warning",
            "local is not what was released",
            "A check on erp-1 found drift that nobody has accepted or acknowledged.",
        ),
        ("DriftCheckFailed", 1) => (
            "critical",
            "local could not be checked",
            "A check on erp-1 could not look at everything, so nobody knows what is there.",
        ),
        _ => return Vec::new(),
    };
    vec![json!({
        "exp_labels": {"severity": severity, "target": "local", "project": PROJECT, "instance": "erp-1", "job": "node"},
        "exp_annotations": {
            "summary": summary,
            "description": description,
            "next": "On erp-1, in /srv/erp: driftlock check",
        },
    })]
}

/// Holds the alerts to the exit codes of the checks that wrote the metrics, one an hour: drift warns, an error is
/// critical, and nothing is stale.
pub(crate) fn judge(metrics: &[String], codes: &[i32]) {
    let scraped: Vec<BTreeMap<String, f64>> = metrics.iter().map(|text| series(text)).collect();
    let names: Vec<&String> = scraped[0].keys().collect();
    for (hour, all) in scraped.iter().enumerate() {
        assert_eq!(all.keys().collect::<Vec<_>>(), names, "the series of hour {hour} are those of the first");
    }
    let labelled = |name: &str| name.replacen('{', "{instance=\"erp-1\",job=\"node\",", 1);
    let input: Vec<Value> = names
        .iter()
        .map(|name| json!({"series": labelled(name), "values": values(&scraped, name)}))
        .collect();
    let asked = ["DriftDetected", "DriftCheckFailed", "DriftCheckStale"];
    let rules: Vec<Value> = codes
        .iter()
        .enumerate()
        .flat_map(|(hour, code)| {
            asked.map(|alert| {
                let at = format!("{}m", hour * 60 + 30);
                json!({"eval_time": at, "alertname": alert, "exp_alerts": expected(alert, *code)})
            })
        })
        .collect();
    let test = json!({
        "rule_files": [in_repository("deploy/prometheus/alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": input, "alert_rule_test": rules}],
    });
    let dir = assert_fs::TempDir::new().unwrap();
    let file = dir.path().join("day.json");
    std::fs::write(&file, test.to_string()).unwrap();
    ok(program("promtool").args(["test", "rules"]).arg(&file));
}
