//! The GitHub action and workflow and the GitLab job: held to the schemas of their makers, and their scripts run.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_fs::TempDir;
use serde_json::Value;

use crate::support::Project;
use crate::support::deploy::{Ended, demo, in_repository, ok, program, run, shipped, yaml};

const ACTION: &str = "github/action.yml";
const WORKFLOW: &str = "github/workflow.yml";
const GITLAB: &str = "gitlab/driftlock.gitlab-ci.yml";
const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";

fn validate(schema: &str, path: &Path) -> Ended {
    run(program("python3").args(["-m", "check_jsonschema", "--builtin-schema", schema]).arg(path))
}

#[test]
fn the_schemas_of_github_and_gitlab_hold() {
    let files = [
        ("vendor.github-actions", ACTION),
        ("vendor.github-workflows", WORKFLOW),
        ("vendor.gitlab-ci", GITLAB),
    ];
    let dir = TempDir::new().unwrap();
    for (schema, file) in files {
        let valid = validate(schema, &in_repository("deploy").join(file));
        assert_eq!(valid.code, 0, "{file}: {}{}", valid.out, valid.err);
        let wrong = dir.path().join("wrong.yml");
        let text = shipped(file).replace("\n  using: composite", "\n  usign: composite");
        let text = text.replace("\n    runs-on:", "\n    run-on:").replace("\n  script:", "\n  scrip:");
        std::fs::write(&wrong, text).unwrap();
        assert_ne!(validate(schema, &wrong).code, 0, "{file}: a wrong key is not noticed");
    }
}

/// The scripts of steps, by the steps' names.
fn scripts(steps: &Value) -> Vec<(String, String)> {
    let steps = steps.as_array().unwrap().iter();
    let script = |step: &Value| Some((step["name"].as_str()?.to_owned(), step["run"].as_str()?.to_owned()));
    steps.filter_map(script).collect()
}

fn script_of(name: &str) -> String {
    let all = scripts(&yaml(&shipped(ACTION))["runs"]["steps"]);
    all.into_iter().find(|(step, _)| step == name).unwrap().1
}

/// The job of GitLab as its runner puts it together.
fn gitlab_script() -> String {
    let job = &yaml(&shipped(GITLAB))["driftlock"];
    let lines: Vec<&str> =
        job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    lines.join("\n")
}

#[test]
fn shellcheck_finds_nothing_wrong_with_any_script() {
    let dir = TempDir::new().unwrap();
    let mut all = vec![("sh", gitlab_script())];
    all.extend(
        scripts(&yaml(&shipped(ACTION))["runs"]["steps"]).into_iter().map(|(_, script)| ("bash", script)),
    );
    for job in yaml(&shipped(WORKFLOW))["jobs"].as_object().unwrap().values() {
        all.extend(scripts(&job["steps"]).into_iter().map(|(_, script)| ("bash", script)));
    }
    assert_eq!(all.len(), 5);
    for (shell, script) in all {
        assert!(!script.contains("${{"), "what others choose goes through the environment: {script}");
        let path = dir.path().join("script");
        std::fs::write(&path, script).unwrap();
        ok(program("shellcheck").args(["--shell", shell]).arg(path));
    }
}

#[test]
fn actions_of_others_are_well_known_and_pinned() {
    let known = [
        "actions/checkout@v4",
        "actions/cache@v4",
        "actions/upload-artifact@v4",
        "github/codeql-action/upload-sarif@v3",
    ];
    for text in [shipped(ACTION), shipped(WORKFLOW)] {
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((_, used)) = line.split_once("uses: ") else { continue };
            let own = used == "OWNER/driftlock/deploy/github@REVISION";
            assert!(own || known.contains(&used), "{used}");
        }
    }
}

/// A machine of GitHub: where a step finds its files, and what it may tell.
struct Runner {
    project: Project,
    dir: TempDir,
}

impl Runner {
    fn new() -> Self {
        Self { project: demo(), dir: TempDir::new().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A step's script, as the runner starts it.
    fn step(&self, name: &str) -> Command {
        for file in ["output", "summary"] {
            std::fs::write(self.file(file), "").unwrap();
        }
        let script = self.file("script.sh");
        std::fs::write(&script, script_of(name)).unwrap();
        let mut bash = program("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(script).current_dir(self.project.root());
        bash.env("GITHUB_OUTPUT", self.file("output")).env("GITHUB_STEP_SUMMARY", self.file("summary"));
        bash.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", self.project.root());
        bash.env("RUNNER_TEMP", self.dir.path()).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        bash.env("GITHUB_ACTION_PATH", in_repository("deploy/github"));
        bash
    }

    /// Runs the check with the defaults of the inputs, but for these.
    fn check(&self, inputs: &[(&str, &str)]) -> Ended {
        let mut step = self.step("Check");
        let action = yaml(&shipped(ACTION));
        for (name, input) in action["inputs"].as_object().unwrap() {
            let variable = name.replace('-', "_").to_uppercase();
            step.env(variable, input["default"].as_str().unwrap());
        }
        step.env("BINARY", env!("CARGO_BIN_EXE_driftlock")).envs(inputs.iter().copied());
        run(&mut step)
    }

    fn told(&self) -> String {
        std::fs::read_to_string(self.file("output")).unwrap()
    }
}

#[test]
fn every_variable_of_the_action_is_one_of_its_inputs() {
    let action = yaml(&shipped(ACTION));
    let steps = action["runs"]["steps"].as_array().unwrap();
    let check = steps.iter().find(|step| step["name"] == "Check").unwrap();
    let inputs: Vec<String> = action["inputs"].as_object().unwrap().keys().cloned().collect();
    for (variable, value) in check["env"].as_object().unwrap() {
        let input = variable.to_lowercase().replace('_', "-");
        assert!(inputs.contains(&input), "{variable}");
        assert!(value.as_str().unwrap().contains(&format!("inputs.{input} ")), "{value}");
    }
    assert_eq!(check["env"].as_object().unwrap().len(), inputs.len());
}

#[test]
fn the_build_is_named_after_its_sources() {
    let runner = Runner::new();
    let told = || {
        ok(&mut runner.step("What would be built"));
        runner.told()
    };
    let (first, second) = (told(), told());
    assert_eq!(first, second);
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines[0], format!("source={}", in_repository("").canonicalize().unwrap().display()));
    assert!(lines[1].starts_with(&format!("prefix={}/driftlock-", runner.dir.path().display())), "{first}");
    assert!(lines[2].starts_with("key=driftlock-Linux-"), "{first}");
}

#[test]
fn the_build_step_installs_where_the_check_looks() {
    let runner = Runner::new();
    let bin = runner.file("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("cargo"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    ok(program("chmod").arg("+x").arg(bin.join("cargo")));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut step = runner.step("Build driftlock");
    let said = ok(step.env("PATH", path).env("SOURCE", "/a b").env("PREFIX", "/c d"));
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["install", "--locked", "--quiet", "--path", "/a b", "--root", "/c d"]
    );
}

#[test]
fn the_action_tells_what_was_found_and_fails_on_drift() {
    let runner = Runner::new();
    let pass = runner.check(&[]);
    assert_eq!(pass.code, 0, "{}{}", pass.out, pass.err);
    assert_eq!(runner.told(), "exit-code=0\nheadline=PASS local: 4 checks passed\n");

    runner.project.file(ORDER, "# hotfix\n");
    let drift = runner.check(&[("SARIF", "drift.sarif")]);
    assert_eq!(drift.code, 2, "{}{}", drift.out, drift.err);
    assert_eq!(runner.told(), "exit-code=2\nheadline=FAIL local: qr_ordering edited by hand\n");
    assert!(drift.out.lines().any(|line| line.starts_with("::error ")), "{}", drift.out);
    let summary = std::fs::read_to_string(runner.file("summary")).unwrap();
    assert!(summary.contains("qr_ordering"), "{summary}");
    let sarif = runner.project.read("drift.sarif");
    assert_eq!(serde_json::from_str::<Value>(&sarif).unwrap()["version"], "2.1.0");
    assert_eq!(runner.check(&[("FAIL_ON", "error")]).code, 0);
}

#[test]
fn the_action_knows_the_report_of_the_run_before() {
    let runner = Runner::new();
    runner.project.file(ORDER, "# hotfix\n");
    let since = |report: &str| {
        let report: Value = serde_json::from_str(report).unwrap();
        report["checks"][2]["findings"][0]["since"].clone()
    };
    runner.check(&[]);
    let first = runner.project.read("driftlock.json");
    assert!(since(&first).is_null(), "{first}");
    std::fs::remove_dir_all(runner.project.path("audit/runtime")).unwrap();
    runner.check(&[]);
    assert!(!since(&runner.project.read("driftlock.json")).is_null());
}

#[test]
fn an_error_fails_the_action_whatever_it_is_told_and_no_old_report_stands_in() {
    let runner = Runner::new();
    runner.check(&[]);
    runner.project.file("audit/driftlock.toml", "[nonsense]\n");
    let failed = runner.check(&[("FAIL_ON", "error")]);
    assert_eq!(failed.code, 1, "{}", failed.out);
    let told = runner.told();
    let expected =
        "exit-code=1\nheadline=FAIL local: Lock files: audit/driftlock.toml:1: unknown field `nonsense`";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(runner.check(&[("FAIL_ON", "never")]).code, 1);
}

#[test]
fn the_action_looks_at_targets_and_passes_arguments_on() {
    let runner = Runner::new();
    let targets = "\n[targets.here]\nhost = \"local\"\nroot = \".\"\ndocker = \"off\"\n";
    runner.project.file("audit/driftlock.toml", &(runner.project.read("audit/driftlock.toml") + targets));
    assert_eq!(runner.check(&[("TARGET", "here")]).code, 0);
    assert!(runner.told().contains("headline=PASS here: "), "{}", runner.told());
    assert_eq!(runner.check(&[("TARGET", "all"), ("ARGS", "--only compose_hashes --jobs 1")]).code, 0);
    let report: Value = serde_json::from_str(&runner.project.read("driftlock.json")).unwrap();
    assert_eq!(report["partial"], true, "{report:#}");
    assert_eq!(runner.check(&[("TARGET", "nowhere")]).code, 1);
}

#[test]
fn the_job_of_gitlab_leaves_a_junit_report_and_the_report_for_the_next_run() {
    let project = demo();
    let job = |arguments: &str| {
        let mut sh = program("sh");
        sh.args(["-e", "-c", &gitlab_script()]).current_dir(project.root()).env("DRIFTLOCK_ARGS", arguments);
        run(sh.env("DOCKER_HOST", "unix:///nonexistent/docker.sock"))
    };
    let pass = job("");
    assert_eq!(pass.code, 0, "{}{}", pass.out, pass.err);
    project.file(ORDER, "# hotfix\n");
    let drift = job("--only addon_hashes");
    assert_eq!(drift.code, 2, "{}", drift.err);
    assert!(drift.out.contains("[FAIL] Addon drift: qr_ordering"), "{}", drift.out);
    let parsed =
        "import sys, xml.etree.ElementTree as e; print(len(list(e.parse(sys.argv[1]).iter('failure'))))";
    let junit = project.path("driftlock/junit.xml");
    assert_eq!(ok(program("python3").args(["-c", parsed]).arg(junit)).trim(), "1");
    assert!(project.path("driftlock/previous.json").exists());

    let described = &yaml(&shipped(GITLAB))["driftlock"];
    assert_eq!(described["artifacts"]["reports"]["junit"], "driftlock/junit.xml");
    assert_eq!(described["cache"]["paths"][0], "driftlock/report.json");
}
