//! What formats for people say of a change: what was expected and what was found, what is new, and what is over.

use crate::support::told::Told;
use crate::support::{Project, check_of};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ERP: &str = "infra/stacks/erp/docker-compose.yml";
const NEW: &str = "infra/stacks/new/docker-compose.yml";

/// Two runs have seen drift; before the third one of it is over, and something else differs.
fn changing(project: &Project) {
    project.file(EDGE, "drift\n");
    project.file("odoo_modules/seisei/printer/models/order.py", "drift\n");
    for _ in 0..2 {
        assert_eq!(project.check(&[]).0, 2);
    }
    project.file(EDGE, "services: {}\n");
    project.file(ERP, "drift\n");
    project.file(NEW, "services: {}\n");
}

/// The line that says what was expected and found, of each finding, and whether the change itself is known.
fn sides(report: &serde_json::Value) -> Vec<(String, bool)> {
    let short =
        |value: &serde_json::Value| value.as_str().map_or("nothing".to_owned(), |hex| hex[..12].to_owned());
    let checks = report["checks"].as_array().unwrap().iter();
    let all = checks.flat_map(|check| check["findings"].as_array().unwrap());
    let line = |it: &serde_json::Value| {
        format!("expected {}, found {}", short(&it["expected"]), short(&it["actual"]))
    };
    all.map(|it| (line(it), it.get("diff").or(it.get("files")).is_some())).collect()
}

#[test]
fn a_report_says_what_is_new_and_what_is_over() {
    let project = Project::accepted();
    changing(&project);
    let (_, report) = project.check(&["--format", "markdown=page.md", "--format", "html=page.html"]);
    let over = serde_json::json!([{"check": "compose_hashes", "subject": EDGE, "kind": "modified"}]);
    assert_eq!(report["resolved"], over);
    let new = |check: &str, at: usize| check_of(&report, check)["findings"][at]["new"] == true;
    assert_eq!(
        (new("compose_hashes", 0), new("compose_hashes", 1), new("addon_hashes", 0)),
        (true, true, false)
    );
    let page = project.read("page.md");
    assert!(page.contains(&format!("**Resolved** since the run before: `{EDGE}`")), "{page}");
    assert_eq!(page.matches("\nnew\n").count(), 2, "{page}");
    let html = project.read("page.html");
    let text =
        html.replace("<dt>Expected<dd><code>", "expected ").replace("</code><dt>Found<dd><code>", ", found ");
    assert_eq!(html.matches("new in this run").count(), 2, "{html}");
    assert!(html.contains("Resolved") && html.contains(EDGE), "{html}");
    for (line, is_known) in sides(&report) {
        assert!(page.contains(&line), "{line}: {page}");
        assert_eq!(text.contains(&line), !is_known, "{line}: {text}");
    }
    // A report that is read back says the same.
    let again = project.ok(&["report", "--format", "markdown"]).out();
    assert!(again.contains("**Resolved** since the run before") && again.contains("\nnew\n"), "{again}");
    std::fs::remove_file(project.path(NEW)).unwrap();
    let (_, report) = project.check(&["--only", "addon_hashes"]);
    assert_eq!(report.get("resolved"), None, "what was not looked at is not over: {report:#}");
    project.file("audit/locks/compose_sha256.lock.txt", "damaged\n");
    let (_, report) = project.check(&[]);
    assert_eq!(report.get("resolved"), None, "{report:#}");
}

#[test]
fn a_pass_says_what_is_over() {
    let project = Project::accepted();
    project.file(EDGE, "drift\n");
    project.check(&[]);
    project.file(EDGE, "services: {}\n");
    let page = project.ok(&["check", "--format", "markdown"]).out();
    assert!(page.contains(&format!("**Resolved** since the run before: `{EDGE}`")), "{page}");
    let page = project.ok(&["check", "--format", "markdown"]).out();
    assert!(!page.contains("Resolved"), "{page}");
}

#[test]
fn slack_is_told_what_was_expected_and_found_and_what_is_over() {
    let told = Told::slack("");
    told.project.file(EDGE, "drift\n");
    told.check(&[], 2);
    let first = told.message();
    first.assert_says(&["expected ", ", found ", "new in this run"]);
    told.project.file(EDGE, "services: {}\n");
    told.project.file(ERP, "drift\n");
    told.project.file("odoo_modules/seisei/printer/models/order.py", "drift\n");
    told.check(&[], 2);
    let message = told.message();
    message.assert_says(&[&format!("Resolved since the run before: `{EDGE}`"), "models/order.py"]);
    for (line, _) in sides(&told.project.latest()) {
        message.assert_says(&[&line]);
    }
}
