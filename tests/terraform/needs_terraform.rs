//! Plans that Terraform makes of `terraform_data`, which needs no provider and no network.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{CHECK, assert_nothing_left, environment, error, files, finding, told};
use crate::support::dice::Dice;
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{Project, Ran, check_of, ended, needs, wait_until};

/// Runs Terraform in the environment's directory, and leaves no `.terraform` there.
fn terraform(project: &Project, args: &[&str]) -> String {
    needs::declared(needs::TERRAFORM);
    let mut command = Command::new("terraform");
    command.alone().args(args).current_dir(project.path("environments/prod")).stdin(Stdio::null());
    command.env_remove("TF_CLI_CONFIG_FILE").env("TF_DATA_DIR", project.path("data of the test"));
    let done = command.env("CHECKPOINT_DISABLE", "1").output().unwrap();
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{args:?}: {text}");
    text
}

/// An environment whose code is applied.
fn applied(code: &str, more: &str) -> Project {
    let project = environment(code, more);
    apply(&project);
    project
}

fn apply(project: &Project) {
    terraform(project, &["init", "-input=false"]);
    terraform(project, &["apply", "-auto-approve", "-input=false"]);
}

fn code(project: &Project, code: &str) {
    project.file("environments/prod/main.tf", code);
}

fn check(project: &Project) -> (i32, Value) {
    let mut command = project.driftlock(&["check", "--format", "json", "--env", "prod"]);
    super::bare(&mut command);
    let ran = Ran(command.output().unwrap());
    (ran.code(), ran.report())
}

fn resource(name: &str, input: &str) -> String {
    format!("resource \"terraform_data\" \"{name}\" {{\n  input = {input}\n}}\n")
}

fn one(address: &str, word: &str) -> Vec<(String, String)> {
    vec![(address.to_owned(), word.to_owned())]
}

#[test]
fn what_is_as_the_code_has_it_passes_and_what_the_code_wants_is_pending() {
    let project = applied(&resource("a", "\"one\""), "");
    let before = files(&project.path("environments"));
    let (exit, report) = check(&project);
    assert_eq!((exit, check_of(&report, CHECK)["subjects"].clone()), (0, json!(1)), "{report:#}");
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, [CHECK], "an environment has no other check");
    assert_eq!((&report["mode"], &report["target"]), (&json!("local"), &json!("prod")));
    assert_eq!(files(&project.path("environments")), before, "nothing is written beside the code");
    code(&project, &resource("a", "\"two\""));
    let (exit, report) = check(&project);
    assert_eq!((exit, told(&report)), (2, one("terraform_data.a", "pending")));
    let attribute = &finding(&report, "terraform_data.a")["attributes"][0];
    assert_eq!(
        (&attribute["path"], &attribute["old"], &attribute["new"]),
        (&json!("input"), &json!("one"), &json!("two"))
    );
    assert_eq!(finding(&report, "terraform_data.a")["line"], 1);
    assert_nothing_left(&project);
    assert!(project.path("audit/runtime/latest.prod.json").exists());
}

#[test]
fn environments_are_found_where_the_configuration_names_none() {
    let project = Project::empty();
    for (name, input) in [("prod", "1"), ("stage", "2")] {
        project.file(&format!("environments/{name}/main.tf"), &resource("a", input));
    }
    project.file("audit/locks/README", "");
    apply(&project);
    let ran = project.run(&["check", "--all"]);
    assert_eq!(ran.code(), 1, "stage was never applied");
    let out = ran.out();
    assert!(out.contains("Infrastructure matches the Terraform code"), "{out}");
    assert!(out.contains("[ERROR] Terraform: the state is empty and everything would be created"), "{out}");
}

#[test]
fn resources_come_and_go_and_are_made_anew() {
    let project = applied(&(resource("a", "1") + &resource("b", "1")), "");
    let replaced = "resource \"terraform_data\" \"a\" {\n  input = 1\n  triggers_replace = [\"x\"]\n}\n";
    code(&project, &(replaced.to_owned() + &resource("c", "1")));
    let (exit, report) = check(&project);
    let pending = |name: &str| (format!("terraform_data.{name}"), "pending".to_owned());
    assert_eq!((exit, told(&report)), (2, vec![pending("a"), pending("b"), pending("c")]));
    let reason = |name: &str| finding(&report, &format!("terraform_data.{name}"))["reason"].to_string();
    assert!(reason("a").contains("destroyed and made anew"), "{}", reason("a"));
    assert!(reason("b").contains("not destroyed yet"), "{}", reason("b"));
    assert!(reason("c").contains("not created yet"), "{}", reason("c"));
}

#[test]
fn what_changes_nothing_that_exists_is_a_note() {
    let project = applied(&resource("a", "1"), "");
    let text = resource("b", "1")
        + "moved {\n  from = terraform_data.a\n  to = terraform_data.b\n}\noutput \"o\" {\n  value = 2\n}\n"
        + "check \"c\" {\n  assert {\n    condition = terraform_data.b.input == 2\n    error_message = \"it never holds\"\n  }\n}\n";
    code(&project, &text);
    let (exit, report) = check(&project);
    assert_eq!((exit, told(&report)), (0, Vec::new()), "{report:#}");
    let notes = check_of(&report, CHECK)["notes"].to_string();
    for note in [
        "terraform_data.a → terraform_data.b",
        "outputs that change at the next apply: o",
        "check.c is not passed: it never holds",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    let table = "[targets.prod]\nterraform = { dir = \"environments/prod\", checks = \"fail\" }\n";
    project.file("audit/driftlock.toml", table);
    let (exit, report) = check(&project);
    assert_eq!((exit, told(&report)), (2, one("check.c", "modified")));
}

#[test]
fn what_terraform_refuses_is_an_error_with_its_first_diagnostic() {
    let variable = "variable \"needed\" {}\n".to_owned() + &resource("a", "var.needed");
    let cases = [
        ("resource \"terraform_data\" \"a\" {\n", "", "Unclosed configuration block"),
        (variable.as_str(), "", "No value for required variable"),
        ("terraform {\n  required_version = \"< 1.0\"\n}\n", "", "Unsupported Terraform Core version"),
        (
            "resource \"terraform_data\" \"a\" {\n  input = file(\"nowhere\")\n}\n",
            "",
            "Invalid value for \\\"path\\\"",
        ),
        ("resource \"nosuch_thing\" \"a\" {}\n", "", "Failed to query available provider packages"),
        ("", ", workspace = \"nowhere\"", "there is no workspace \"nowhere\"; there are: default"),
        ("", ", var_files = [\"nowhere.tfvars\"]", "nowhere.tfvars"),
        ("module \"m\" {\n  source = \"./nowhere\"\n}\n", ", init = \"never\"", "Module not installed"),
        ("", ", binary = \"/nonexistent/terraform\"", "there is no program /nonexistent/terraform"),
    ];
    for (text, more, expected) in cases {
        let project = environment(text, more);
        let (exit, report) = check(&project);
        let why = error(&report);
        assert!(exit == 1 && why.contains(&expected.replace("\\\"", "\"")), "{expected}: {exit} {why}");
        assert!(!why.contains('\n'), "{why}");
        assert_nothing_left(&project);
    }
}

#[test]
fn a_directory_without_code_is_an_error() {
    for (dir, expected) in
        [("nowhere", "there is no such directory"), ("environments", "no file there is Terraform code")]
    {
        let project = environment("", "");
        let table = format!("[targets.prod]\nterraform = {{ dir = \"{dir}\" }}\n");
        project.file("audit/driftlock.toml", &table);
        let (exit, report) = check(&project);
        assert!(exit == 1 && error(&report).contains(expected), "{}", error(&report));
    }
}

#[test]
fn a_state_that_is_broken_newer_or_locked_is_an_error() {
    let project = applied(&resource("a", "1"), "");
    let state = project.read("environments/prod/terraform.tfstate");
    let cases = [
        (state[..state.len() / 2].to_owned(), "state"),
        (state.replace("\"version\": 4", "\"version\": 9"), "Unsupported state file format"),
    ];
    for (text, expected) in cases {
        project.file("environments/prod/terraform.tfstate", &text);
        let (exit, report) = check(&project);
        let why = error(&report);
        assert!(exit == 1 && why.contains(expected), "{expected}: {exit} {why}");
    }
    project.file("environments/prod/terraform.tfstate", &state);
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(project.path("environments/prod/terraform.tfstate"));
    let file = file.unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(check(&project).0, 0, "no lock is taken");
    let table = "[targets.prod]\nterraform = { dir = \"environments/prod\", lock = \"1s\" }\n";
    project.file("audit/driftlock.toml", table);
    let (exit, report) = check(&project);
    assert!(exit == 1 && error(&report).contains("Error acquiring the state lock"), "{report:#}");
}

#[test]
fn a_state_that_a_newer_release_wrote_is_an_error_though_terraform_plans() {
    let project = applied(&resource("a", "1"), "");
    let path = "environments/prod/terraform.tfstate";
    let state: Value = serde_json::from_str(&project.read(path)).unwrap();
    let with = |version: &str| {
        let mut state = state.clone();
        state["terraform_version"] = json!(version);
        project.file(path, &state.to_string());
        check(&project)
    };
    let ours = state["terraform_version"].as_str().unwrap();
    let same_release = ours.rsplit_once('.').unwrap().0.to_owned() + ".99";
    assert_eq!(with(&same_release).0, 0, "patches of one release write the same");
    let (exit, report) = with("1.999.0");
    let why = error(&report);
    assert!(exit == 1 && why.starts_with("the state was written by version 1.999.0, and this is "), "{why}");
    terraform(&project, &["plan", "-input=false", "-lock=false"]);
    std::fs::create_dir_all(project.path("environments/prod/elsewhere")).unwrap();
    std::fs::rename(project.path(path), project.path("environments/prod/elsewhere/s.json")).unwrap();
    let backend = "terraform {\n  backend \"local\" {\n    path = \"elsewhere/s.json\"\n  }\n}\n";
    code(&project, &(backend.to_owned() + &resource("a", "1")));
    let (exit, report) = check(&project);
    assert!(exit == 1 && error(&report).contains("1.999.0"), "{report:#}");
}

#[test]
fn a_saved_plan_is_judged_where_the_directory_was_initialised() {
    let project = applied(&resource("a", "\"one\""), "");
    code(&project, &resource("a", "\"two\""));
    terraform(&project, &["plan", "-input=false", "-lock=false", "-out=../../saved"]);
    let before = files(&project.path("environments"));
    let (exit, report) = project.check(&["--env", "prod", "--plan", "saved"]);
    assert_eq!((exit, told(&report)), (2, one("terraform_data.a", "pending")), "{report:#}");
    let saved = std::fs::read(project.path("saved")).unwrap();
    let mut command = project.driftlock(&["check", "--format", "json", "--env", "prod", "--plan", "-"]);
    let ran = Ran(command.write_stdin(saved.clone()).output().unwrap());
    assert_eq!((ran.code(), told(&ran.report())), (2, one("terraform_data.a", "pending")));
    let table = "[targets.prod]\nterraform = { dir = \"environments/prod\", binary = \"/nonexistent/tf\" }\n";
    project.file("audit/driftlock.toml", table);
    let (exit, report) = project.check(&["--env", "prod", "--plan", "saved"]);
    let why = error(&report);
    let way = "/environments/prod show -json FILE | driftlock check --env prod --plan -";
    assert!(exit == 1 && why.contains("there is no program /nonexistent/tf") && why.ends_with(way), "{why}");
    project.file("audit/driftlock.toml", "[targets.prod]\nterraform = { dir = \"environments/prod\" }\n");
    std::fs::write(project.path("cut"), &saved[..saved.len() / 2]).unwrap();
    let (exit, report) = project.check(&["--env", "prod", "--plan", "cut"]);
    assert!(exit == 1 && error(&report).ends_with(way), "{report:#}");
    assert_eq!(files(&project.path("environments")), before, "nothing is written beside the code");
    assert_nothing_left(&project);
}

#[test]
fn workspaces_are_looked_at_and_never_made() {
    let project = applied(&resource("a", "terraform.workspace"), "");
    terraform(&project, &["workspace", "new", "blue"]);
    terraform(&project, &["apply", "-auto-approve", "-input=false"]);
    let table = |name: &str| {
        let table = format!(
            "[targets.prod]\nterraform = {{ dir = \"environments/prod\", workspace = \"{name}\" }}\n"
        );
        project.file("audit/driftlock.toml", &table);
    };
    for name in ["blue", "default"] {
        table(name);
        assert_eq!(check(&project).0, 0, "{name}");
    }
    table("green");
    assert_eq!(check(&project).0, 1);
    assert!(!project.path("environments/prod/terraform.tfstate.d/green").exists());
}

#[test]
fn names_are_shown_as_they_are_and_never_obeyed() {
    let keys = ["a.b", "q\\\"q", "ü€", "x[0]", "b\\\\s", "new\\nline", "module.x"];
    let list = keys.map(|key| format!("\"{key}\"")).join(", ");
    let with = |input: &str| {
        format!("resource \"terraform_data\" \"a\" {{\n  for_each = toset([{list}])\n  input = {input}\n}}\n")
    };
    let project = applied(&with("1"), "");
    code(&project, &with("2"));
    let (exit, report) = check(&project);
    let addresses: Vec<String> = told(&report).into_iter().map(|(address, _)| address).collect();
    assert_eq!((exit, addresses.len()), (2, keys.len()), "{addresses:?}");
    for key in keys {
        assert!(addresses.contains(&format!("terraform_data.a[\"{key}\"]")), "{key}: {addresses:?}");
    }
    let out = project.run(&["check", "--env", "prod", "--details"]).out();
    assert_eq!(out.matches("(environments/prod/main.tf:1)").count(), keys.len(), "{out}");
    let explained = project.run(&["explain", "terraform_data.a[\"ü€\"]", "--env", "prod"]);
    assert!(
        explained.code() == 0 && explained.out().contains("input: 1 → 2"),
        "{}{}",
        explained.out(),
        explained.err()
    );
}

#[test]
fn explain_names_the_line_and_the_commit_that_last_touched_it() {
    let project = applied(&(resource("z", "1") + &resource("a", "1")), "");
    git(&project, &["init", "-q"]);
    commit_all(&project, "first");
    code(&project, &(resource("z", "1") + &resource("a", "2")));
    commit_all(&project, "bigger");
    code(&project, &(resource("z", "3") + &resource("a", "2")));
    let explained = |address: &str| project.ok(&["explain", address, "--env", "prod"]).out();
    let out = explained("prod:terraform_data.a");
    assert!(
        out.contains("declared in environments/prod/main.tf:4, last touched by ")
            && out.contains(": bigger\n"),
        "{out}"
    );
    assert!(out.contains("terraform -chdir=environments/prod apply -target=terraform_data.a\n"), "{out}");
    let out = explained("terraform_data.z");
    assert!(
        out.contains("declared in environments/prod/main.tf:1, with changes that are not committed"),
        "{out}"
    );
}

#[test]
fn code_that_pins_no_providers_is_planned_from_a_copy_with_its_modules() {
    let project = environment("module \"m\" {\n  source = \"../../modules/m\"\n  size   = 1\n}\n", "");
    project.file("modules/m/main.tf", &("variable \"size\" {}\n".to_owned() + &resource("a", "var.size")));
    apply(&project);
    assert_eq!(check(&project).0, 0);
    project
        .file("modules/m/main.tf", &("variable \"size\" {}\n\n".to_owned() + &resource("a", "var.size + 1")));
    let (exit, report) = check(&project);
    assert_eq!((exit, told(&report)), (2, one("module.m.terraform_data.a", "pending")));
    let found = finding(&report, "module.m.terraform_data.a");
    assert_eq!((&found["place"], &found["line"]), (&json!("modules/m/main.tf"), &json!(3)));
}

#[test]
fn sensitive_values_of_a_real_plan_are_shown_nowhere() {
    let text = |value: &str| {
        format!(
            "variable \"pw\" {{\n  sensitive = true\n}}\nresource \"terraform_data\" \"a\" {{\n  input = {{ p = var.pw, n = \"{value}\" }}\n}}\n\
                 resource \"terraform_data\" \"b\" {{\n  input = nonsensitive(\"x-${{var.pw}}-{value}\")\n}}\n"
        )
    };
    let project = environment(&text("one"), ", var_files = [\"secret.tfvars\"], env = [\"TF_VAR_*\"]");
    project.file("environments/prod/secret.tfvars", "pw = \"c4nary-of-the-file\"\n");
    terraform(&project, &["init", "-input=false"]);
    terraform(&project, &["apply", "-auto-approve", "-input=false", "-var-file=secret.tfvars"]);
    project.file("environments/prod/secret.tfvars", "pw = \"c4nary-new-in-file\"\n");
    code(&project, &text("two"));
    let ran = project.run(&["check", "--env", "prod", "--details"]);
    let ran = if ran.code() == 1 { project.run(&["check", "--env", "prod"]) } else { ran };
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    let broken =
        text("two") + "resource \"terraform_data\" \"c\" {\n  input = file(nonsensitive(var.pw))\n}\n";
    code(&project, &broken);
    let failed = project.run(&["check", "--env", "prod"]);
    assert_eq!(failed.code(), 1);
    for shown in [ran.out(), ran.err(), failed.out(), failed.err()] {
        assert!(!shown.contains("c4nary"), "{shown}");
    }
    assert!(failed.out().contains("(sensitive)"), "{}", failed.out());
    for (path, bytes) in files(&project.path("audit")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("c4nary"), "{}", path.display());
    }
}

#[test]
fn two_checks_of_one_directory_at_once_both_end() {
    let project = applied(&resource("a", "1"), "");
    let both = [0, 1].map(|_| project.spawn(&["check", "--env", "prod"]));
    for child in both {
        let ran = ended(child);
        assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    }
    assert_nothing_left(&project);
}

/// A value of HCL, and the same with its sets in another order.
fn value(dice: &mut Dice, depth: usize) -> (String, String) {
    let many = |dice: &mut Dice| (0..dice.roll(3)).map(|_| value(dice, depth - 1)).collect::<Vec<_>>();
    let list = |items: &[&str]| format!("[{}]", items.join(", "));
    match dice.roll(if depth == 0 { 3 } else { 6 }) {
        0 => (dice.roll(3).to_string(), String::new()),
        1 => (format!("\"{}\"", dice.one_of(&["", "x", "y z", "ü"])), String::new()),
        2 => (dice.one_of(&["true", "false", "null"]).to_owned(), String::new()),
        3 => {
            let items = many(dice);
            let (one, other): (Vec<&str>, Vec<&str>) =
                items.iter().map(|(a, b)| (a.as_str(), either(a, b))).unzip();
            return (list(&one), list(&other));
        }
        4 => {
            let items = many(dice);
            let fields = |of: &dyn Fn(&(String, String)) -> String| {
                let each = items.iter().enumerate().map(|(at, it)| format!("k{at} = {}", of(it)));
                format!("{{ {} }}", each.collect::<Vec<_>>().join(", "))
            };
            return (fields(&|it| it.0.clone()), fields(&|it| either(&it.0, &it.1).to_owned()));
        }
        _ => {
            let mut items: Vec<String> =
                (0..3).map(|_| format!("{{ p = {}, s = \"{}\" }}", dice.roll(9), dice.roll(9))).collect();
            let one = format!("toset([{}])", items.join(", "));
            dice.shuffle(&mut items);
            return (one, format!("toset([{}])", items.join(", ")));
        }
    }
    .clone_pair()
}

fn either<'a>(one: &'a str, other: &'a str) -> &'a str {
    if other.is_empty() { one } else { other }
}

trait ClonePair {
    fn clone_pair(self) -> (String, String);
}

impl ClonePair for (String, String) {
    fn clone_pair(self) -> (String, String) {
        let other = self.0.clone();
        (self.0, other)
    }
}

/// Terraform judges: where it would change nothing, neither does the check find anything, and where it would change a value
/// to another one, the check names the resource.
#[test]
fn terraform_and_the_check_agree_on_random_values() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for round in 0..6 {
        let values: Vec<(String, String)> = (0..12).map(|_| value(&mut dice, 3)).collect();
        let all = |of: &dyn Fn(usize) -> String| {
            (0..values.len()).map(|at| resource(&format!("r{at}"), &of(at))).collect::<String>()
        };
        let project = applied(&all(&|at| values[at].0.clone()), "");
        code(&project, &all(&|at| values[at].1.clone()));
        let (exit, report) = check(&project);
        assert_eq!((exit, told(&report)), (0, Vec::new()), "round {round}: the order of sets does not count");
        let others: Vec<(String, String)> = (0..12).map(|_| value(&mut dice, 3)).collect();
        code(&project, &all(&|at| others[at].0.clone()));
        let plan = terraform(&project, &["plan", "-lock=false", "-no-color"]);
        let (_, report) = check(&project);
        let found: Vec<String> = told(&report).into_iter().map(|(address, _)| address).collect();
        for at in 0..values.len() {
            let name = format!("terraform_data.r{at}");
            let is_planned = plan.contains(&format!("# {name} will be updated"));
            let is_found = found.contains(&name);
            let blank = ["null", "\"\"", "[]", "{  }"];
            let is_noise = blank.contains(&values[at].0.as_str()) && blank.contains(&others[at].0.as_str());
            // What differs in empty values alone may be left out; nothing may be made up.
            assert!(is_planned || !is_found, "round {round}: {name} is made up");
            assert!(
                is_found || !is_planned || is_noise || holds_blank(&values[at].0, &others[at].0),
                "round {round}: {name}: {:?} {:?}",
                values[at].0,
                others[at].0
            );
        }
    }
}

/// Whether two values are equal without the fields and texts that are empty.
fn holds_blank(one: &str, other: &str) -> bool {
    [one, other].iter().any(|text| {
        text.contains("null") || text.contains("\"\"") || text.contains("[]") || text.contains("{  }")
    })
}

#[test]
fn an_interrupt_in_the_middle_leaves_nothing_and_a_kill_is_cleared_away_later() {
    let project = applied(&resource("a", "1"), "");
    let wrapper = project.root().join("slow terraform");
    let text =
        "#!/bin/sh\ncase $1 in plan) : >\"$0.planning\"; exec sleep 600;; esac\nexec terraform \"$@\"\n";
    std::fs::write(&wrapper, text).unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let table = |binary: &Path| {
        format!(
            "[targets.prod]\nterraform = {{ dir = \"environments/prod\", binary = \"{}\" }}\n",
            binary.display()
        )
    };
    project.file("audit/driftlock.toml", &table(&wrapper));
    let started = project.root().join("slow terraform.planning");
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let child = project.spawn(&["check", "--env", "prod"]);
        wait_until(|| started.exists());
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_eq!(ended(child).code(), code);
        assert_nothing_left(&project);
        std::fs::remove_file(&started).unwrap();
    }
    let mut child = project.spawn(&["check", "--env", "prod"]);
    wait_until(|| started.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let is_left = || files(&project.path("audit/state")).iter().any(|(path, _)| path.ends_with("plan"));
    assert!(is_left(), "a plan that nobody could remove");
    project.file("audit/driftlock.toml", &table(Path::new("terraform")));
    wait_until(|| {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(check(&project).0, 0);
        !is_left()
    });
}

/// Repairs what the plan of `prod` finds, by the host's own file.
fn remediate(project: &Project, args: &[&str]) -> Ran {
    let table = "[targets.prod]\nterraform = { dir = \"environments/prod\" }\n";
    let (_dir, host) = crate::commands::remediate::host_file(table);
    let all = [&["remediate", "--target", "prod", "--host-config", &host], args].concat();
    let mut command = project.driftlock(&all);
    super::bare(&mut command);
    Ran(command.output().unwrap())
}

#[test]
fn a_resource_is_repaired_by_exactly_its_own_plan() {
    let project = applied(&(resource("a", "1") + &resource("b", "1")), "");
    code(&project, &(resource("a", "2") + &resource("b", "2")));
    let dry = remediate(&project, &["prod:terraform_data.a", "--dry-run"]);
    assert_eq!(dry.code(), 0, "{}{}", dry.out(), dry.err());
    assert!(dry.out().contains("$ terraform apply -target=terraform_data.a"), "{}", dry.out());
    assert_nothing_left(&project);
    let ran = remediate(&project, &["prod:terraform_data.a", "--yes"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("Resolved: terraform_plan/prod:terraform_data.a"), "{}", ran.out());
    assert_nothing_left(&project);
    let (exit, report) = check(&project);
    assert_eq!((exit, told(&report)), (2, one("terraform_data.b", "pending")));

    // What would change something else, too, is not applied.
    let depends = "resource \"terraform_data\" \"c\" {\n  input = terraform_data.b.output\n}\n";
    code(&project, &(resource("a", "2") + &resource("b", "3") + depends));
    let ran = remediate(&project, &["prod:terraform_data.c", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(
        ran.err().contains("the plan would do more than undo this: terraform_data.b changes, too"),
        "{}",
        ran.err()
    );
    let replaced = "resource \"terraform_data\" \"a\" {\n  input = 2\n  triggers_replace = 1\n}\n";
    code(&project, &(replaced.to_owned() + &resource("b", "1")));
    let ran = remediate(&project, &["prod:terraform_data.a", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains("destroyed and made anew"), "{}", ran.err());
    assert_nothing_left(&project);
}
