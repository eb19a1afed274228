//! Ansible's fact cache in place of asking a host: written by real Ansible on this machine, held against the machine's own programs;
//! and caches that are old, of another host, or half written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::world::Alone as _;
use crate::support::{Project, check_of, findings, needs};

/// A play that gathers what is read of the cache.
const PLAY: &str = "- hosts: all
  tasks:
    - ansible.builtin.package_facts:
    - ansible.builtin.service_facts:
    - ansible.builtin.getent: {database: passwd}
";

/// The file that Ansible makes of this machine as the host `prod`: its name and its text.
fn gathered() -> &'static (String, String) {
    static GATHERED: OnceLock<(String, String)> = OnceLock::new();
    needs::declared(needs::ANSIBLE);
    GATHERED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules =
            std::env::var_os("DRIFTLOCK_ANSIBLE").map_or_else(|| root.join("target/ansible"), PathBuf::from);
        let dir = assert_fs::TempDir::new().unwrap();
        fs::write(dir.path().join("play.yml"), PLAY).unwrap();
        let mut ansible = Command::new("python3");
        ansible.alone().current_dir(dir.path()).env("PYTHONPATH", &modules).env("HOME", dir.path());
        for (name, value) in [
            ("ANSIBLE_CACHE_PLUGIN", "jsonfile"),
            ("ANSIBLE_CACHE_PLUGIN_CONNECTION", "facts"),
            ("ANSIBLE_GATHERING", "smart"),
            ("LC_ALL", "C.UTF-8"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ] {
            ansible.env(name, value);
        }
        let playbook = modules.join("bin/ansible-playbook");
        let line =
            ["-i", "prod,", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3", "play.yml"];
        let output = ansible.arg(playbook).args(line).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        let file = fs::read_dir(dir.path().join("facts")).unwrap().next().unwrap().unwrap();
        (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())
    })
}

/// A project whose target `prod` nobody can connect to, and whose facts lie in `facts`.
fn project(lines: &str) -> Project {
    let project = Project::empty();
    configured(&project, lines);
    project
}

fn configured(project: &Project, lines: &str) {
    let rest = "[compose]\nfiles = []\n[addons]\nroots = []\n[docker]\nmode = \"off\"\n";
    let target = "[targets.prod]\nhost = \"203.0.113.10\"\nfacts = \"facts/*\"\ndocker = \"off\"\n";
    project.file("audit/driftlock.toml", &format!("{rest}{target}{lines}\n"));
}

fn prod(project: &Project, check: &str) -> (i32, Value) {
    project.check(&["--target", "prod", "--only", check])
}

fn stdout(line: &str) -> String {
    String::from_utf8(Command::new("sh").args(["-c", line]).output().unwrap().stdout).unwrap()
}

/// The facts of a file, to be changed.
fn facts_of(text: &str) -> Value {
    let outer: Value = serde_json::from_str(text).unwrap();
    outer["__payload__"].as_str().map_or(outer.clone(), |text| serde_json::from_str(text).unwrap())
}

#[test]
fn needs_ansible_packages_are_those_of_dpkg_and_the_host_is_not_asked() {
    let (name, text) = gathered();
    let project = project("[packages]\n");
    project.file(&format!("facts/{name}"), text);
    project.ok(&["export", "--target", "prod", "--only", "packages", "--accept"]);
    let listed = "dpkg-query -W -f '${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n' | sed -n 's/^installed\\t//p' | LC_ALL=C sort";
    assert_eq!(project.read("audit/locks/packages.lock.txt"), stdout(listed));
    assert_eq!(prod(&project, "packages").0, 0);
    // As older ansible-core stores it: a plain file of the host's name.
    let mut facts = facts_of(text);
    fs::remove_file(project.path(&format!("facts/{name}"))).unwrap();
    let bash = facts["packages"]["bash"][0]["version"].as_str().unwrap().to_owned();
    facts["packages"]["bash"][0]["version"] = "1:0".into();
    facts["packages"].as_object_mut().unwrap().remove("coreutils");
    facts["packages"]["mallory"] =
        json!([{"name": "mallory", "version": "1", "arch": "all", "source": "apt"}]);
    project.file("facts/203.0.113.10", &facts.to_string());
    let (code, report) = prod(&project, "packages");
    let expected = [("bash", "modified"), ("coreutils", "missing"), ("mallory", "unexpected")];
    assert_eq!(
        (code, findings(&report, "packages")),
        (2, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec())
    );
    let found = &check_of(&report, "packages")["findings"][0];
    assert_eq!((found["expected"].as_str(), found["actual"].as_str()), (Some(bash.as_str()), Some("1:0")));
}

#[test]
fn needs_ansible_what_the_facts_do_not_tell_is_not_compared_and_counted() {
    let (name, text) = gathered();
    let project = project("[packages]\n");
    project.file(&format!("facts/{name}"), text);
    project.ok(&["export", "--target", "prod", "--only", "packages", "--accept"]);
    let lock = project.read("audit/locks/packages.lock.txt");
    let held = lock
        .lines()
        .map(|line| if line.starts_with("bash\t") { format!("{line}\thold") } else { line.to_owned() });
    project.file("audit/locks/packages.lock.txt", &(held.collect::<Vec<_>>().join("\n") + "\n"));
    let (code, report) = prod(&project, "packages");
    assert_eq!(code, 0, "{report:#}");
    // Whether any of the others is held is not known either.
    let all = report["coverage"]["subjects"].as_array().unwrap();
    let of_states =
        all.iter().find(|it| it["reason"].as_str().unwrap().contains("states of packages")).unwrap();
    assert_eq!(of_states["count"].as_u64().unwrap(), lock.lines().count() as u64);
}

#[test]
fn needs_ansible_services_and_accounts_are_read_and_passwords_are_not() {
    let (name, text) = gathered();
    let facts = facts_of(text);
    let unit = facts["services"].as_object().unwrap().keys().next().unwrap().clone();
    let unit = if unit.ends_with(".service") { unit } else { format!("{unit}.service") };
    let probe = "[[probes]]\nname = \"accounts\"\nfact = \"getent_passwd\"\ncategory = \"security\"\n";
    let project = project(&format!("[services]\nunits = [\"{unit}\"]\n{probe}"));
    project.file(&format!("facts/{name}"), text);
    project.ok(&["export", "--target", "prod", "--accept"]);
    let lock: Value = serde_json::from_str(&project.read("audit/locks/probes.lock.json")).unwrap();
    let told = lock["probes"]["accounts"]["values"].as_object().unwrap();
    let passwd = stdout("getent passwd");
    let accounts: BTreeSet<&str> = passwd.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(told.keys().map(String::as_str).collect::<BTreeSet<_>>(), accounts);
    assert_eq!(told["root"], passwd.lines().next().unwrap().splitn(3, ':').nth(2).unwrap());
    assert_eq!(project.check(&["--target", "prod"]).0, 0);
    let bare = unit.trim_end_matches(".service").to_owned();
    let key = if facts["services"].get(&unit).is_some() { unit.clone() } else { bare };
    let mut other = facts.clone();
    let now = if facts["services"][&key]["state"] == "running" { "stopped" } else { "running" };
    other["services"][&key]["state"] = now.into();
    other["getent_passwd"]["mallory"] = json!(["$y$s3cr3t", "0", "0", "", "/", "/bin/sh"]);
    project.file(&format!("facts/{name}"), &other.to_string());
    let (code, report) = project.check(&["--target", "prod"]);
    assert_eq!(code, 2);
    assert_eq!(findings(&report, "services"), [(unit, "modified".to_owned())]);
    assert_eq!(findings(&report, "probes"), [("accounts:mallory".to_owned(), "unexpected".to_owned())]);
    let found = &check_of(&report, "probes")["findings"][0];
    assert_eq!(
        (found["actual"].as_str(), found["category"].as_str()),
        (Some("0:0::/:/bin/sh"), Some("security"))
    );
    assert!(!report.to_string().contains("s3cr3t"));
    // A place without facts has no part in such a probe.
    let (_, report) = project.check(&["--only", "probes"]);
    assert!(findings(&report, "probes").is_empty(), "{report:#}");
    assert!(
        report["coverage"].to_string().contains("of which this place has none"),
        "{}",
        report["coverage"]
    );
}

#[test]
fn a_cache_that_is_none_is_an_error_with_what_helps() {
    let project = project("[packages]\n[services]\nunits = [\"docker.service\", \"docker.socket\"]\n");
    project.file("audit/locks/packages.lock.txt", "bash\t1\tamd64\n");
    project.file("audit/locks/services.lock.txt", "docker.service\tenabled\tactive\n");
    let package = |version: Value, source: &str| json!({"packages": {"bash": [{"name": "bash", "version": version, "arch": "amd64", "source": source, "release": "2", "epoch": null}]}});
    let why = |check: &str| {
        let (code, report) = prod(&project, check);
        let result = check_of(&report, check).clone();
        let reason = result["findings"][0]["reason"].as_str().unwrap_or_default().to_owned();
        (code, format!("{}{reason}", result["error"].as_str().unwrap_or_default()))
    };
    let assert_error = |check: &str, words: &str| {
        let (code, why) = why(check);
        assert!(code == 1 && why.contains(words), "{words}: {code} {why}");
    };
    assert_error("packages", "no file is there");
    project.file("facts/s1_staging", &package("1".into(), "apt").to_string());
    assert_error("packages", "none of these files is of prod or 203.0.113.10; they are of staging");
    let own = "facts/s1_prod";
    project.file(own, &package("1".into(), "apt").to_string());
    assert_eq!(why("packages"), (0, String::new()));
    project.file(own, &package("1".into(), "apt").to_string()[..40]);
    assert_error("packages", "half written");
    project.file(own, "{\"__payload__\": \"{\\\"pack\"}");
    assert_error("packages", "half written");
    project.file(own, "{}");
    assert_error("packages", "run package_facts on this host");
    assert_error("services", "run service_facts on this host");
    project.file(own, "{\"packages\": {}}");
    assert_error("packages", "names no package");
    project.file(own, &package(Value::Null, "apt").to_string());
    assert_error("packages", "bash of the fact cache has no version");
    project.file(own, &package("1".into(), "apk").to_string());
    assert_error("packages", "take facts out for this target");
    let mut old = package("1".into(), "apt");
    old["ansible_date_time"] = json!({"epoch": "1700000000"});
    project.file(own, &old.to_string());
    assert_error("packages", "(facts_max_age): gather them again");
    project.file(own, &package("1".into(), "apt").to_string());
    let touched = Command::new("touch").args(["-d", "25 hours ago"]).arg(project.path(own)).status();
    assert!(touched.unwrap().success());
    assert_error("packages", "the facts are 1 day 1 hour old, and count for 1 day");
    configured(&project, "facts_max_age = \"2d\"\n[packages]\n");
    assert_eq!(why("packages"), (0, String::new()));
    let services = json!({"services": {"docker.service": {"name": "docker.service", "state": "running", "status": "enabled", "source": "systemd"}}});
    project.file(own, &services.to_string());
    configured(&project, "[services]\nunits = [\"docker.service\", \"docker.socket\"]\n");
    assert_error("services", ".service alone");
    configured(&project, "[services]\nunits = [\"docker.service\"]\n");
    assert_eq!(why("services"), (0, String::new()));
    let mut stopped = services.clone();
    stopped["services"]["docker.service"]["state"] = "stopped".into();
    project.file(own, &stopped.to_string());
    let (code, report) = prod(&project, "services");
    assert_eq!((code, findings(&report, "services").len()), (2, 1));
    assert!(
        report["headline"].as_str().unwrap().contains("docker.service is not running"),
        "{}",
        report["headline"]
    );
    configured(&project, "[[probes]]\nname = \"shadow\"\nfact = \"getent_shadow\"\n");
    project.file(own, "{\"getent_shadow\": {\"root\": [\"$y$s3cr3t\"]}}");
    project.file("audit/locks/probes.lock.json", "{\"probes\": {\"shadow\": {\"output\": \"\"}}}\n");
    let (code, why) = why("probes");
    assert!(code == 1 && why.contains("digests of passwords") && !why.contains("s3cr3t"), "{why}");
}
