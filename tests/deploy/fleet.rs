//! The files of `deploy/fleet`, judged by systemd, by the schemas of Kubernetes and by HCL, and their commands by the binary.

use assert_fs::TempDir;
use serde_json::Value;

use crate::support::deploy::{Ended, in_repository, program, run, shipped};
use crate::support::world;

const UNIT: &str = "driftlock-fleet-worker@.service";
const NOMAD: &str = "driftlock-workers.nomad.hcl";
const KUBERNETES: &str = "kubernetes.yml";

fn unit_in(dir: &TempDir) {
    let text = shipped(&format!("fleet/{UNIT}"));
    std::fs::write(
        dir.path().join(UNIT),
        text.replace("/usr/local/bin/driftlock", env!("CARGO_BIN_EXE_driftlock")),
    )
    .unwrap();
    let failed = shipped("systemd/driftlock-failed@.service");
    std::fs::write(dir.path().join("driftlock-failed@.service"), failed).unwrap();
    run(program("driftlock").arg("man").arg(dir.path().join("man/man1")));
}

fn analyze(dir: &TempDir, args: &[&str]) -> Ended {
    let mut command = program("systemd-analyze");
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()));
    command.env("MANPATH", dir.path().join("man")).env("SYSTEMD_COLORS", "0").current_dir(dir.path());
    run(command.args(args))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit_of_workers() {
    let dir = TempDir::new().unwrap();
    unit_in(&dir);
    let instance = dir.path().join("driftlock-fleet-worker@east.service");
    let verified = analyze(&dir, &["verify", instance.to_str().unwrap()]);
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (0, "", ""));
    let judged = analyze(
        &dir,
        &[
            "security",
            "--no-pager",
            "--offline=true",
            "--threshold=20",
            dir.path().join(UNIT).to_str().unwrap(),
        ],
    );
    assert_eq!(judged.code, 0, "{}", judged.out);
    let text = shipped(&format!("fleet/{UNIT}"));
    std::fs::write(dir.path().join(UNIT), text.replace("LoadCredential=", "LoadCredentail=")).unwrap();
    let wrong = analyze(&dir, &["verify", instance.to_str().unwrap()]);
    assert!(wrong.err.contains("LoadCredentail"), "{}", wrong.err);
}

fn kubernetes(file: &std::path::Path) -> Ended {
    let mut command = program("python3");
    run(command.args(["-m", "kubernetes_validate", "--strict", "-k", "1.33"]).arg(file))
}

#[test]
fn the_schemas_of_kubernetes_hold() {
    let judged = kubernetes(&in_repository("deploy/fleet").join(KUBERNETES));
    assert_eq!(judged.code, 0, "{}{}", judged.out, judged.err);
    let dir = TempDir::new().unwrap();
    let wrong = dir.path().join("wrong.yml");
    std::fs::write(
        &wrong,
        shipped(&format!("fleet/{KUBERNETES}")).replace("completionMode:", "completionMood:"),
    )
    .unwrap();
    let judged = kubernetes(&wrong);
    assert!(judged.code != 0, "{}{}", judged.out, judged.err);
}

/// The blocks and attributes of a job of Nomad that are used, as its specification names them.
const OF_NOMAD: [&str; 32] = [
    "args",
    "attempts",
    "change_mode",
    "command",
    "config",
    "cpu",
    "crons",
    "data",
    "datacenters",
    "delay",
    "destination",
    "driver",
    "env",
    "group",
    "interval",
    "job",
    "kill_signal",
    "kill_timeout",
    "memory",
    "mode",
    "periodic",
    "perms",
    "prohibit_overlap",
    "resources",
    "restart",
    "task",
    "template",
    "time_zone",
    "type",
    "user",
    "worker",
    "QUEUE",
];

fn words(body: &hcl_edit::structure::Body, found: &mut Vec<String>) {
    for structure in body {
        if let Some(block) = structure.as_block() {
            found.push(block.ident.to_string());
            words(&block.body, found);
        } else if let Some(attribute) = structure.as_attribute() {
            found.push(attribute.key.to_string());
        }
    }
}

#[test]
fn the_job_of_nomad_is_hcl_and_says_nothing_unknown() {
    let text = shipped(&format!("fleet/{NOMAD}"));
    let body = hcl_edit::parser::parse_body(&text).unwrap();
    let mut found = Vec::new();
    words(&body, &mut found);
    for word in &found {
        assert!(OF_NOMAD.contains(&word.trim()), "{word} is no word of a job of Nomad");
    }
    assert!(found.len() > 20, "{found:?}");
    assert!(text.contains("prohibit_overlap = true") && text.contains("type        = \"sysbatch\""));
}

/// Whether the binary takes a call, as far as its words go: it fails later, for there is no such project.
fn is_taken(args: &[String]) -> bool {
    let ran = world::driftlock().args(args).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    said.contains("/no/such/project: no such file or directory") && !said.contains("Usage")
}

#[test]
fn every_command_that_is_shipped_is_one() {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut calls = Vec::new();
    for document in shipped(&format!("fleet/{KUBERNETES}")).split("\n---\n") {
        let document = crate::support::deploy::yaml(document);
        let job = &document["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        calls.push(words(&job["containers"][0]["args"]));
    }
    let nomad = shipped(&format!("fleet/{NOMAD}"));
    let (_, list) = nomad.split_once("args = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    calls.push(list.split('"').skip(1).step_by(2).map(str::to_owned).collect());
    let unit = shipped(&format!("fleet/{UNIT}"));
    let line =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/driftlock ")).unwrap();
    let own = ["--root", "/project"].map(str::to_owned).into_iter();
    let line = line.replace("${JOBS}", "16");
    calls.push(own.chain(line.split(' ').map(str::to_owned)).collect());
    assert_eq!(calls.len(), 4);
    for call in calls {
        let call: Vec<String> = call
            .into_iter()
            .map(|word| {
                if ["/project", "/opt/erp"].contains(&word.as_str()) {
                    "/no/such/project".to_owned()
                } else {
                    word
                }
            })
            .collect();
        assert!(is_taken(&call), "{call:?}");
        let mut wrong = call.clone();
        wrong.push("--no-such-option".to_owned());
        assert!(!is_taken(&wrong), "{wrong:?}");
    }
}
