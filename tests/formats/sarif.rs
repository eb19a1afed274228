//! `--format sarif`: held to the schema of the standard, and to what code scanning wants besides.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{HOSTILE, Situation, situations};

/// What rustc calls this machine.
fn platform() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// The schema that ships with a crate for SARIF.
fn schema() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--locked"]);
    // What other platforms need was never downloaded.
    cargo.args(["--filter-platform", &platform()]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let schema = std::fs::read(manifest.with_file_name("src").join("schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    // The brackets of these patterns do not match, so they are no regular expressions.
    for part in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][part]["properties"]["language"];
        assert!(language.as_object_mut().unwrap().remove("pattern").is_some());
    }
    schema
}

/// Results of every run of a log.
fn results(log: &Value) -> Vec<&Value> {
    let runs = log["runs"].as_array().unwrap().iter();
    runs.flat_map(|run| run["results"].as_array().unwrap()).collect()
}

fn of(name: &str) -> Value {
    serde_json::from_str(&Situation::of(name).report("sarif").0).unwrap()
}

#[test]
fn every_situation_holds_to_the_schema_and_says_how_it_ended() {
    let schema = schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    assert!(
        !validator.is_valid(&serde_json::json!({"version": "2.1.0", "runs": [{}]})),
        "it forbids something"
    );
    for situation in situations() {
        let name = situation.name;
        let (text, _) = situation.report("sarif");
        let log: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let runs = log["runs"].as_array().unwrap();
        let codes: Vec<i64> =
            runs.iter().map(|run| run["invocations"][0]["exitCode"].as_i64().unwrap()).collect();
        let code = if codes.contains(&1) { 1 } else { *codes.iter().max().unwrap() };
        assert_eq!(code, i64::from(situation.code), "{name}");
        for run in runs {
            let invocation = &run["invocations"][0];
            let told = invocation["toolExecutionNotifications"].as_array().unwrap();
            let has_error = told.iter().any(|notification| notification["level"] == "error");
            assert_eq!(invocation["executionSuccessful"], !has_error, "{name}: {invocation:#}");
            assert_eq!(invocation["exitCode"] == 1, has_error, "{name}");
            let open = run["results"].as_array().unwrap().iter().filter(|result| result["level"] == "error");
            assert_eq!(open.count() > 0, invocation["exitCode"] != 0 || name == "excused", "{name}");
        }
    }
}

/// What <https://docs.github.com/en/code-security/reference/code-scanning/sarif-support-for-code-scanning> asks for.
#[test]
fn code_scanning_finds_what_it_needs() {
    for situation in situations() {
        let log: Value = serde_json::from_str(&situation.report("sarif").0).unwrap();
        let mut categories = BTreeSet::new();
        for run in log["runs"].as_array().unwrap() {
            let id = run["automationDetails"]["id"].as_str().unwrap();
            assert!(categories.insert(id.rsplit_once('/').unwrap().0.to_owned()), "{id} twice in a file");
            let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
            for rule in rules {
                for key in ["shortDescription", "fullDescription", "help"] {
                    assert!(!rule[key]["text"].as_str().unwrap().is_empty(), "{rule}");
                }
            }
            let mut seen = BTreeSet::new();
            for result in run["results"].as_array().unwrap() {
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(rules[index]["id"], result["ruleId"]);
                assert!(!result["message"]["text"].as_str().unwrap().is_empty());
                let place = &result["locations"][0]["physicalLocation"];
                assert!(place["artifactLocation"]["uri"].is_string(), "{result:#}");
                assert_eq!(place["region"]["startLine"], 1);
                let print = result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap();
                assert!(seen.insert(print.to_owned()), "{result:#}");
            }
        }
    }
}

#[test]
fn a_result_is_a_finding_with_its_fingerprint_and_its_files() {
    let situation = Situation::of("drift");
    let log: Value = serde_json::from_str(&situation.report("sarif").0).unwrap();
    let report: Value = serde_json::from_str(&situation.project.read("kept.json")).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let findings: Vec<&Value> = checks.flat_map(|check| check["findings"].as_array().unwrap()).collect();
    let results = results(&log);
    assert_eq!(results.len(), 3);
    for (result, finding) in results.iter().zip(findings) {
        assert_eq!(result["partialFingerprints"]["driftlock/v1"], finding["fingerprint"]);
        assert_eq!(result["properties"]["kind"], finding["kind"]);
        assert_eq!(result["properties"]["subject"], finding["subject"]);
    }
    let places = |result: &Value| -> Vec<String> {
        let each = result["locations"].as_array().unwrap().iter();
        each.map(|it| it["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap().to_owned())
            .collect()
    };
    let printer = "odoo_modules/seisei/printer/models";
    assert_eq!(places(results[2]), [format!("{printer}/new.py"), format!("{printer}/order.py")]);
    assert_eq!(results[2]["locations"][0]["logicalLocations"][0]["name"], "printer");
    let again: Value = serde_json::from_str(&situation.report("sarif").0).unwrap();
    let prints = |log: &Value| -> Vec<Value> {
        self::results(log).iter().map(|result| result["partialFingerprints"].clone()).collect()
    };
    assert_eq!(prints(&again), prints(&log), "an alert is the same one on the next run");
}

#[test]
fn what_somebody_answers_for_is_suppressed_and_says_who() {
    let log = of("acknowledged");
    let results = results(&log);
    assert_eq!((results.len(), &results[0]["level"]), (1, &"note".into()));
    let suppression = &results[0]["suppressions"][0];
    assert_eq!((&suppression["kind"], &suppression["status"]), (&"external".into(), &"accepted".into()));
    assert!(suppression["justification"].as_str().unwrap().contains(" by "), "{suppression}");
    let message = results[0]["message"]["text"].as_str().unwrap();
    assert!(message.contains("\\[this\\](http://x)"), "a link in a reason is none: {message}");
    let drift = of("drift");
    assert!(self::results(&drift).iter().all(|result| result["suppressions"] == serde_json::json!([])));
}

#[test]
fn what_could_not_be_looked_at_is_a_notification_and_a_result() {
    for (name, rule) in [
        ("error and drift", "compose_hashes"),
        ("unreachable", "server_collection"),
        ("nothing compared", "nothing_compared"),
    ] {
        let log = of(name);
        let told = log["runs"][0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
        assert!(told.iter().any(|notification| notification["level"] == "error"), "{name}");
        assert!(
            results(&log).iter().any(|result| result["ruleId"] == rule && result["level"] == "error"),
            "{name}"
        );
    }
    let skip = of("skip");
    let told = &skip["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(
        (&told[0]["level"], &told[0]["associatedRule"]["id"]),
        (&"note".into(), &"docker_images".into())
    );
}

#[test]
fn hostile_names_are_uris_of_their_bytes() {
    let situation = Situation::of("hostile");
    let log: Value = serde_json::from_str(&situation.report("sarif").0).unwrap();
    let uris: BTreeSet<Vec<u8>> = results(&log)
        .iter()
        .map(|result| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap())
        .map(decoded)
        .collect();
    for name in HOSTILE {
        let path = [b"infra/stacks/", name, b"/docker-compose.yml"].concat();
        assert!(uris.contains(&path), "{}", String::from_utf8_lossy(&path));
    }
}

/// The bytes behind a URI without a scheme.
fn decoded(uri: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), uri.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let code = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            rest = &tail[2..];
        } else {
            assert!(first.is_ascii_alphanumeric() || b"-._~/".contains(first), "{uri}");
            bytes.push(*first);
            rest = tail;
        }
    }
    bytes
}
