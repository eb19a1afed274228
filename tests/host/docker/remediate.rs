//! Repairs of containers, by a real engine and a real Compose.

use std::fs;

use crate::support::docker::Stage;
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;

const ERP: &str = "infra/stacks/erp/docker-compose.yml";

/// Runs the Compose of this machine on a file of the stage.
fn compose(stage: &Stage, args: &[&str]) {
    let file = stage.project.root().join(ERP);
    let mut command = assert_cmd::Command::new("docker-compose");
    command.alone();
    let project = stage.name("erp");
    command.args(["--file", file.to_str().unwrap(), "--project-name", &project]).args(args);
    command.timeout(crate::support::GUARD).assert().success();
}

/// A stack `erp` of one service `web`, made by Compose and released.
fn released(text: &dyn Fn(&Stage) -> String) -> Stage {
    let stage = Stage::new();
    stage.project.file(ERP, &text(&stage));
    compose(&stage, &["up", "--detach"]);
    stage.ok(&["export", "--accept"]);
    git(&stage.project, &["init", "--quiet"]);
    stage.project.file(".gitignore", "audit/runtime/\n");
    commit_all(&stage.project, "release");
    stage
}

fn service(stage: &Stage, seconds: u32) -> String {
    let image = stage.name("app:1");
    let name = stage.name("web");
    format!(
        "version: \"2.4\"\nservices:\n  web:\n    image: {image}\n    container_name: {name}\n    network_mode: none\n    \
         command: [\"/bin/busybox\", \"sleep\", \"{seconds}\"]\n"
    )
}

#[test]
fn a_container_is_made_anew_from_the_files_of_the_baseline() {
    let stage = released(&|stage| {
        stage.image("app:1");
        service(stage, 600)
    });
    stage.project.file(ERP, &service(&stage, 601));
    compose(&stage, &["up", "--detach"]);
    let web = format!("compose_applied/{}", stage.name("web"));
    let ran = stage.run(&["remediate", &web, "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains(&format!("{ERP} drifted, too")), "{}", ran.err());
    let all = ["remediate", &web, "compose_hashes/**", "--yes"];
    let ran = stage.ok(&all);
    assert!(ran.out().contains("--force-recreate web"), "{}", ran.out());
    assert_eq!(stage.drift(), (0, vec![]));
    assert!(stage.docker(&["inspect", "--format={{.Config.Cmd}}", &stage.name("web")]).contains("600"));
    compose(&stage, &["down", "--timeout", "0"]);
}

#[test]
fn a_container_that_was_stopped_is_started_and_a_stale_mount_is_restarted() {
    let stage = released(&|stage| {
        stage.image("app:1");
        let dir = stage.project.root().join("infra/stacks/erp");
        fs::write(dir.join("app.conf"), "one\n").unwrap();
        service(stage, 600) + &format!("    volumes: [\"{}/app.conf:/app.conf:ro\"]\n", dir.display())
    });
    let name = stage.name("web");
    stage.docker(&["stop", "--time", "0", &name]);
    let ran = stage.ok(&["remediate", &format!("container_state/{name}"), "--yes"]);
    assert!(ran.out().contains(&format!("$ docker start {name}")), "{}", ran.out());
    assert_eq!(stage.drift(), (0, vec![]));
    compose(&stage, &["down", "--timeout", "0"]);
}
