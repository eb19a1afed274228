//! `driftlock selftest` on a real engine: what it proves, and that nothing is left of what it made.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::docker::{Stage, engine_socket};
use crate::support::engine::FakeEngine;
use crate::support::{Ran, ended, world};

/// What is proved, in this order.
const PROOFS: [&str; 5] = [
    "a container has what was released: the check passes",
    "a link whose target a container has mounted is switched (current): noticed: FAIL",
    "a file that a container has mounted is replaced (proxy/app.conf): noticed: FAIL",
    "a file in a container is other than the baseline has it (srv/inside/shop.conf): noticed: FAIL",
    "a container is made anew and has what was released: the check passes",
];

/// The name of the container that was made through a door to an engine.
fn made(door: &FakeEngine) -> String {
    let calls = door.calls();
    let name = |call: &String| {
        Some(call.strip_prefix("/images/create?fromSrc=-&repo=localhost/")?.split('&').next()?.to_owned())
    };
    calls.iter().find_map(name).unwrap_or_else(|| panic!("{calls:#?}"))
}

/// Asserts that an engine has neither the container nor its image.
fn nothing_is_left(stage: &Stage, name: &str) {
    let containers = stage.docker(&["ps", "-aq", "--filter", &format!("name={name}")]);
    let images = stage.docker(&["images", "-q", &format!("localhost/{name}")]);
    let labelled = stage.docker(&["images", "-qa", "--filter", &format!("label=driftlock.selftest={name}")]);
    assert_eq!((containers, images, labelled), <(String, String, String)>::default(), "{name}");
}

/// Proves all of it through the socket of an engine, and leaves nothing there.
pub(crate) fn proves_and_leaves_nothing(stage: &Stage, socket: &std::path::Path) {
    let door = FakeEngine::before(socket);
    let ran = Ran(stage.project.driftlock(&["selftest"]).env("DOCKER_HOST", door.host()).output().unwrap());
    let told = ran.out();
    assert_eq!(ran.code(), 0, "{told}{}", ran.err());
    for proof in PROOFS {
        assert!(told.lines().any(|line| line == format!("[PASS] {proof}")), "{proof}: {told}");
    }
    nothing_is_left(stage, &made(&door));
}

#[test]
fn stale_mounts_and_changed_contents_are_noticed_and_nothing_is_left() {
    let stage = Stage::new();
    proves_and_leaves_nothing(&stage, &engine_socket());
}

#[test]
fn whatever_ends_it_the_container_and_its_image_are_removed() {
    let stage = Stage::new();
    let project = &stage.project;
    for (signal, code, call) in [
        (Signal::INT, 130, "/images/create"),
        (Signal::TERM, 143, "/containers/create"),
        (Signal::INT, 130, "/containers/driftlock-selftest-"),
        (Signal::TERM, 143, "/containers/json"),
    ] {
        let door = FakeEngine::before(&engine_socket());
        // Without containers of the project, the only ones that are listed are those of the proof.
        project.file("audit/driftlock.toml", "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n[docker]\ncontainers = [\"none\"]\n");
        let mut command = world::driftlock();
        command.arg("selftest").current_dir(project.root()).env("DOCKER_HOST", door.host());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        door.wait_for("/images/create");
        door.wait_for(call);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(ended(child).code(), code, "at {call}");
        nothing_is_left(&stage, &made(&door));
    }
}

/// Puts an image with the proof's label on the engine, made at a moment in RFC 3339.
fn left_behind(stage: &Stage, name: &str, created: &str) {
    let dir = stage.project.path("left");
    let line = r#"set -e; mkdir -p "$1" && cd "$1" && echo x >file && tar -cf layer.tar file
        layer=$(sha256sum layer.tar | cut -d' ' -f1)
        printf '{"architecture":"amd64","os":"linux","created":"%s","config":{"Labels":{"driftlock.selftest":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$3" "$2" "$layer" >config.json
        printf '[{"Config":"config.json","RepoTags":["localhost/%s:latest"],"Layers":["layer.tar"]}]' "$2" >manifest.json
        tar -cf image.tar config.json manifest.json layer.tar"#;
    let mut made = std::process::Command::new("sh");
    made.args(["-c", line, "sh"]).arg(&dir).args([name, created]);
    assert!(made.status().unwrap().success());
    stage.docker(&["load", "-q", "-i", dir.join("image.tar").to_str().unwrap()]);
}

#[test]
fn the_image_of_a_proof_that_was_killed_goes_with_the_next_one() {
    let stage = Stage::new();
    let names = ["old", "new"].map(|word| format!("driftlock-selftest-{}{word}", stage.prefix));
    let own = stage.name("theirs");
    let hour = std::time::Duration::from_secs(3600);
    left_behind(&stage, &names[0], "2020-01-01T00:00:00Z");
    left_behind(&stage, &own, "2020-01-01T00:00:00Z");
    // One that is younger may be of a proof that runs at this moment.
    let later = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now() + hour);
    left_behind(&stage, &names[1], &later.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    proves_and_leaves_nothing(&stage, &engine_socket());
    let there = |name: &str| !stage.docker(&["images", "-q", &format!("localhost/{name}")]).is_empty();
    let left = [&names[0], &names[1], &own].map(|name| there(name));
    stage.docker(&["rmi", &format!("localhost/{}", names[1]), &format!("localhost/{own}")]);
    assert_eq!(left, [false, true, true]);
}

#[test]
fn a_check_beside_it_does_not_take_its_container_for_drift() {
    let stage = Stage::accepted();
    stage.configure("mode = \"required\"");
    let before = stage.project.read("audit/driftlock.toml");
    let patterns = format!("containers = [\"{}*\", \"driftlock-*\"]", stage.prefix);
    let from = format!("containers = [\"{}*\"]", stage.prefix);
    stage.project.file("audit/driftlock.toml", &before.replace(&from, &patterns));
    stage.ok(&["export", "--accept"]);
    let door = FakeEngine::before(&engine_socket());
    let mut command = world::driftlock();
    command.arg("selftest").current_dir(stage.project.root()).env("DOCKER_HOST", door.host());
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It is made anew again and again, so it is there meanwhile.
    door.wait_for("/containers/driftlock-selftest-");
    crate::support::wait_until(|| {
        !stage.docker(&["ps", "-q", "--filter", "label=driftlock.selftest"]).is_empty()
    });
    let (code, report) = stage.check(&["--only", "docker_images"]);
    ended(child);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["coverage"].to_string().contains("--rm"), "{report:#}");
}
