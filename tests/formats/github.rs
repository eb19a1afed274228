//! `--format github`: read as the runner reads what a step prints, and the summary that it shows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{HOSTILE, Situation, drifted, situations};
use crate::support::disk::runs;
use crate::support::git::git;
use crate::support::{Project, Ran};

/// A workflow command.
#[derive(Debug)]
struct Command {
    name: String,
    properties: BTreeMap<String, String>,
    message: String,
}

/// Reads a line as the runner does (`ActionCommand.TryParseV2`): `::name key=value,…::message`.
fn read(line: &str) -> Option<Command> {
    let rest = line.trim().strip_prefix("::")?;
    let (head, message) = rest.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let pairs = properties.trim().split(',').filter(|pair| !pair.is_empty());
    let properties = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), unescaped(value, &[("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")]))
    });
    let properties = properties.collect();
    Some(Command {
        name: name.to_owned(),
        properties,
        message: unescaped(message, &[("%0D", "\r"), ("%0A", "\n")]),
    })
}

fn unescaped(text: &str, escapes: &[(&str, &str)]) -> String {
    let text = escapes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain));
    text.replace("%25", "%")
}

fn commands(text: &str) -> Vec<Command> {
    text.lines().map(|line| read(line).unwrap_or_else(|| panic!("no command: {line}"))).collect()
}

fn with_summary(project: &Project, args: &[&str], file: &str) -> Ran {
    Ran(project.driftlock(args).env("GITHUB_STEP_SUMMARY", file).output().unwrap())
}

#[test]
fn every_line_is_a_command_and_the_last_one_is_the_headline() {
    for situation in situations() {
        let name = situation.name;
        let commands = commands(&situation.report("github").0);
        for command in &commands {
            assert!(["error", "warning", "notice"].contains(&command.name.as_str()), "{name}: {command:?}");
            let known = |key: &String| key == "file" || key == "title";
            assert!(command.properties.keys().all(known), "{name}: {command:?}");
        }
        let (errors, last) =
            (commands.iter().filter(|it| it.name == "error").count(), commands.last().unwrap());
        assert_eq!(errors > 0, situation.code != 0, "{name}");
        let is_pass = last.message.starts_with("PASS ") || name == "not kept";
        assert_eq!(
            is_pass,
            situation.code == 0 && name != "excused" || name == "not kept",
            "{name}: {last:?}"
        );
    }
}

#[test]
fn a_finding_stands_at_its_file_and_acknowledged_ones_are_notices() {
    let of = |name: &str| commands(&Situation::of(name).report("github").0);
    let drift = of("drift");
    let files: Vec<&str> = drift.iter().filter_map(|it| Some(it.properties.get("file")?.as_str())).collect();
    let expected = [
        "infra/stacks/edge/docker-compose.yml",
        "odoo_modules/seisei/printer/models/new.py",
        "odoo_modules/community/ocr/__manifest__.py",
    ];
    assert_eq!(files, expected);
    assert_eq!(drift[0].properties["title"], "local: Compose files");
    assert!(drift[0].message.contains("\naccept: driftlock accept "), "{:?}", drift[0]);
    let answered = &of("acknowledged")[0];
    assert!(answered.name == "notice" && answered.message.contains("acknowledged until "), "{answered:?}");
    let missing = &of("no lock file")[0];
    assert_eq!(missing.properties["file"], "audit/locks/compose_sha256.lock.txt");
    let excused = of("excused");
    assert!(excused.iter().all(|command| command.name == "warning"), "{excused:?}");
    assert!(excused.last().unwrap().message.contains("\nDeploying since "), "{excused:?}");
}

#[test]
fn no_name_begins_a_command_of_its_own() {
    let situation = Situation::of("hostile");
    let commands = commands(&situation.report("github").0);
    assert_eq!(commands.len(), HOSTILE.len() + 2);
    for name in HOSTILE {
        let shown = driftlock::model::escaped(name);
        let first = format!("Compose drift: infra/stacks/{shown}/docker-compose.yml");
        let command = commands.iter().find(|it| it.message.lines().next() == Some(&first));
        let command = command.unwrap_or_else(|| panic!("{first}\n{commands:#?}"));
        // What is escaped by more than a second backslash is no name that can be printed.
        if shown.replace("\\\\", "\\").as_bytes() == name {
            let path = format!("infra/stacks/{}/docker-compose.yml", String::from_utf8_lossy(name));
            assert_eq!(command.properties["file"], path);
        } else {
            assert!(!command.properties.contains_key("file"), "{command:?}");
        }
    }
}

#[test]
fn the_summary_is_appended_to_the_file_that_the_environment_names() {
    let project = drifted();
    project.file("summary.md", "before\n");
    let args =
        ["check", "--format", "github", "--format", "github=again.txt", "--format", "markdown=page.md"];
    assert_eq!(with_summary(&project, &args, "summary.md").code(), 2);
    assert_eq!(project.read("summary.md"), format!("before\n{}", project.read("page.md")));
    let quiet = Project::accepted();
    let ran = with_summary(&quiet, &["check", "--quiet", "--format", "github"], "summary.md");
    assert_eq!((ran.code(), ran.out().as_str()), (0, ""));
    assert!(quiet.read("summary.md").starts_with("### `PASS local: "));
    assert_eq!(with_summary(&quiet, &["check"], "other.md").code(), 0);
    assert_eq!(with_summary(&quiet, &["check", "--format", "github"], "").code(), 0);
    assert!(!quiet.path("other.md").exists());
}

#[test]
fn a_summary_that_cannot_be_written_is_an_error_and_the_verdict_is_told() {
    let project = Project::accepted();
    for args in [["check", "--format", "github"], ["export", "--format", "github"]] {
        let ran = with_summary(&project, &args, "nowhere/summary.md");
        assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
        let expected = "error: nowhere/summary.md: no such file or directory\n hint: GITHUB_STEP_SUMMARY in the environment names it\n";
        assert_eq!(ran.err(), expected);
        let verdict =
            if args[0] == "check" { "ERROR local: 3 checks passed; a report" } else { "PASS local" };
        assert!(ran.out().contains(verdict), "{}", ran.out());
    }
}

#[test]
fn files_are_named_from_the_top_of_the_repository() {
    let outer = Project::empty();
    git(&outer, &["init", "--quiet"]);
    let (stack, module) = ("erp/s/x/docker-compose.yml", "erp/addons/web");
    outer.file(stack, "services: {}\n");
    outer.file(&format!("{module}/__manifest__.py"), "{}\n");
    outer.file(
        "erp/audit/driftlock.toml",
        "[compose]\nfiles = [\"s/*/docker-compose.yml\"]\n[addons]\nroots = [\"addons\"]\n",
    );
    let at = |args: &[&str]| outer.run(&[&["--root", "erp"], args].concat());
    let places = |text: &str, log: &str| {
        let log: Value = serde_json::from_str(log).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        let location =
            |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        let uris: Vec<Value> = results.iter().map(location).collect();
        let files: Vec<String> =
            commands(text).into_iter().filter_map(|mut it| it.properties.remove("file")).collect();
        assert_eq!(serde_json::to_value(&files).unwrap(), serde_json::to_value(uris).unwrap());
        files
    };
    assert_eq!(at(&["export", "--accept", "--docker", "off"]).code(), 0);
    outer.file(stack, "services: {a: {image: b}}\n");
    outer.file(&format!("{module}/models/a b.py"), "x = 1\n");
    let found = [stack, &format!("{module}/models/a b.py")];
    let check = |format: &str| at(&["check", "--docker", "off", "--format", format]).out();
    let files = places(&check("github"), &check("sarif").replace("%20", " "));
    assert_eq!(files, found);
    // A run that is over, seen from somewhere else.
    let run = runs(&outer.path("erp")).pop().unwrap();
    let kept = outer.path(&format!("erp/audit/runtime/{run}/drift_report.json"));
    let kept = kept.to_str().unwrap();
    let elsewhere = Project::empty();
    let report = |format: &str| elsewhere.run(&["report", kept, "--format", format]).out();
    assert_eq!(places(&report("github"), &report("sarif").replace("%20", " ")), found);
    let diff = |format: &str| at(&["diff", "baseline", &run, "--format", format]).out();
    assert_eq!(places(&diff("github"), &diff("sarif").replace("%20", " ")), found);
    // What is about no file stands at the configuration.
    outer.file("erp/audit/locks/compose_sha256.lock.txt", "broken\n");
    let sarif = check("sarif");
    assert!(sarif.contains("\"uri\": \"erp/audit/"), "{sarif}");
    assert!(!sarif.contains("\"uri\": \"audit/"), "{sarif}");
}
