//! Repairs of containers, by a real engine and a real Compose.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::docker::Stage;
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{ended, random, rounds, wait_until};

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

/// What `web` is, and its compose file: what a repair may change, and nothing else. Without the container the first is empty.
fn state(stage: &Stage) -> [String; 2] {
    let format = "{{.State.Status}} {{.Config.Cmd}} {{.Config.Image}}";
    let output =
        Command::new("docker").args(["inspect", "--format", format, &stage.name("web")]).output().unwrap();
    [String::from_utf8(output.stdout).unwrap(), stage.project.read(ERP)]
}

/// Has `web` drift in some way.
fn plant(stage: &Stage, dice: &mut Dice) {
    let web = stage.name("web");
    match dice.roll(5) {
        0 => drop(stage.docker(&["stop", "--time", "0", &web])),
        1 => drop(stage.docker(&["pause", &web])),
        2 => drop(stage.docker(&["kill", &web])),
        3 => {
            stage.project.file(ERP, &service(stage, 601));
            compose(stage, &["up", "--detach", "--timeout", "0"]);
        }
        _ => stage.project.file(ERP, &format!("{}# by hand {}\n", service(stage, 600), dice.roll(1000))),
    }
}

#[test]
fn drift_of_containers_at_random_is_repaired_also_after_a_kill_and_nothing_else_is_changed() {
    let stage = released(&|stage| {
        let image = stage.image("app:1");
        stage.start("other", &image, &[]);
        service(stage, 600)
    });
    let of_other =
        ["inspect", "--format={{.Id}} {{.State.StartedAt}} {{.State.Status}}", &stage.name("other")];
    let (good, other) = (state(&stage), stage.docker(&of_other));
    let mut dice = Dice(random::seed());
    let (mut repaired, mut killed) = (0, 0);
    let args = ["remediate", "**", "--yes"];
    for _ in 0..rounds(4) {
        plant(&stage, &mut dice);
        let drifted = state(&stage);
        assert_ne!(drifted, good);
        repaired += 1;
        if dice.once_in(4) {
            let mut child = stage.project.spawn(&args);
            std::thread::sleep(Duration::from_millis(dice.roll(1500) as u64));
            let _ = child.kill();
            killed += usize::from(ended(child).code() == -1);
            // Compose ends what it has begun.
            wait_until(|| {
                let now = state(&stage);
                (0..2).all(|at| now[at] == good[at] || now[at] == drifted[at])
            });
        }
        wait_until(|| {
            let (code, found) = stage.drift();
            assert!([0, 2].contains(&code), "{found:?}");
            // A repair of what Compose still works at says why it is not over.
            let said = if code == 2 { stage.run(&args) } else { return true };
            assert!(said.code() == 0 || !(said.out() + &said.err()).is_empty());
            false
        });
        assert_eq!(state(&stage), good);
        assert_eq!(stage.docker(&of_other), other);
    }
    println!("{repaired} were repaired, {killed} of them were killed before");
    compose(&stage, &["down", "--timeout", "0"]);
}
