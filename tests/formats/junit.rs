//! `--format junit`: read by `junitparser` and `xmllint`.

use serde_json::Value;

use super::{HOSTILE, Situation, python, situations, tool};
use crate::support::Project;

const PARSE: &str = r#"
import json, sys
from junitparser import JUnitXml
xml = JUnitXml.fromstring(sys.stdin.buffer.read())
def case(c):
    results = [{"is": type(r).__name__, "message": r.message, "type": r.type, "text": r.text} for r in c.result]
    return {"name": c.name, "class": c.classname, "results": results, "out": c.system_out}
def suite(s):
    return {"name": s.name, "tests": s.tests, "failures": s.failures, "errors": s.errors, "skipped": s.skipped,
            "time": s.time, "timestamp": s.timestamp, "hostname": s.hostname, "cases": [case(c) for c in s],
            "properties": {p.name: p.value for p in s.properties()}}
suites = [suite(s) for s in xml]
declared = [xml.tests, xml.failures, xml.errors, xml.skipped]
xml.update_statistics()
print(json.dumps({"suites": suites, "declared": declared,
                  "counted": [xml.tests, xml.failures, xml.errors, xml.skipped], "time": xml.time}))
"#;

fn parsed(xml: &str) -> Value {
    let (code, out) = tool(&["xmllint", "--noout", "-"], xml);
    assert_eq!((code, out.as_str()), (0, ""), "{xml}");
    python(PARSE, xml)
}

/// All cases of all suites.
fn cases(parsed: &Value) -> Vec<Value> {
    let suites = parsed["suites"].as_array().unwrap().iter();
    suites.flat_map(|suite| suite["cases"].as_array().unwrap().clone()).collect()
}

/// How many cases are of a kind.
fn count(parsed: &Value, kind: &str) -> usize {
    cases(parsed).iter().filter(|case| case["results"][0]["is"] == kind).count()
}

#[test]
fn every_situation_is_read_with_the_counts_that_were_declared() {
    for situation in situations() {
        let (xml, [_, failed, errors, skipped]) = situation.report("junit");
        let parsed = parsed(&xml);
        let name = situation.name;
        assert_eq!(parsed["declared"], parsed["counted"], "{name}");
        let beyond = usize::from(matches!(name, "nothing compared" | "not kept"));
        let found = ["Failure", "Error", "Skipped"].map(|kind| count(&parsed, kind));
        assert_eq!(found, [failed, errors + beyond, skipped], "{name}\n{xml}");
        for case in cases(&parsed) {
            assert!(case["results"].as_array().unwrap().len() <= 1, "{name}: {case}");
        }
        for suite in parsed["suites"].as_array().unwrap() {
            assert!(suite["time"].is_number() && suite["hostname"].is_string(), "{name}");
            assert_eq!(suite["timestamp"].as_str().unwrap().len(), "2026-01-29T15:42:15".len(), "{name}");
        }
    }
}

#[test]
fn a_case_is_named_by_check_and_target_and_tells_what_to_do() {
    let of = |name: &str| parsed(&Situation::of(name).report("junit").0);
    let drift = of("drift");
    let addons = &cases(&drift)[2];
    assert_eq!((&addons["class"], &addons["name"]), (&"driftlock.local".into(), &"addon_hashes".into()));
    let result = &addons["results"][0];
    assert_eq!(
        (&result["type"], &result["message"]),
        (&"drift".into(), &"2 modules drifted: ocr;printer;".into())
    );
    let text = result["text"].as_str().unwrap();
    for words in
        ["modified: models/order.py", "probably: ", "accept: driftlock accept --only addon_hashes/ocr"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let fleet = of("several targets");
    let names: Vec<&Value> = fleet["suites"].as_array().unwrap().iter().map(|suite| &suite["name"]).collect();
    assert_eq!(names, ["alpha", "beta", "delta", "gone"]);
    let answered = &cases(&of("acknowledged"))[1];
    assert_eq!(answered["results"], serde_json::json!([]));
    assert!(answered["out"].as_str().unwrap().contains("acknowledged until "), "{answered}");
    assert_eq!(cases(&of("nothing compared")).last().unwrap()["name"], "nothing_compared");
    let paused = of("excused");
    assert_eq!(count(&paused, "Failure"), 2, "the verdict stays");
    assert!(paused["suites"][0]["properties"]["pause"].as_str().unwrap().starts_with("Deploying since "));
    let skipped = of("skip");
    let skipped = cases(&skipped).into_iter().find(|case| case["name"] == "docker_images").unwrap();
    assert!(!skipped["results"][0]["message"].as_str().unwrap().is_empty(), "{skipped}");
}

#[test]
fn every_hostile_name_arrives_as_the_terminal_shows_it() {
    let situation = Situation::of("hostile");
    let (xml, _) = situation.report("junit");
    let parsed = parsed(&xml);
    assert_eq!(parsed["suites"].as_array().unwrap().len(), 1);
    let compose = cases(&parsed).into_iter().find(|case| case["name"] == "compose_hashes").unwrap();
    let text = compose["results"][0]["text"].as_str().unwrap();
    for name in HOSTILE {
        let line = format!(
            "[FAIL] Compose drift: infra/stacks/{}/docker-compose.yml\n",
            driftlock::model::escaped(name)
        );
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn a_target_with_dots_stays_one_class() {
    let project = Project::accepted();
    let toml = project.read("audit/driftlock.toml") + "[targets.\"erp.example.com\"]\nhost = \"local\"\n";
    project.file("audit/driftlock.toml", &toml);
    let situation =
        Situation { name: "dots", project, args: &["check", "--target", "erp.example.com"], code: 1 };
    let parsed = parsed(&situation.report("junit").0);
    assert_eq!(parsed["suites"][0]["name"], "erp.example.com");
    assert_eq!(cases(&parsed)[0]["class"], "driftlock.erp_example_com");
}
