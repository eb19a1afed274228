//! Podman as a second engine, through its Docker-compatible service.

use std::fs;

use assert_fs::TempDir;

use super::super::needs_docker::container_contents::{
    baked_beside, contents_by, each_change, engine, made, of_image,
};
use super::super::needs_docker::container_mounts::{
    FILE, FINE, accept, mounts, release, released_beside, restart, stale, start, switch,
};
use super::super::needs_docker::container_ports::{by_name, listening};
use super::super::needs_docker::containers::always_restarting;
use super::super::needs_docker::selftest::proves_and_leaves_nothing;
use crate::support::deploy::program;
use crate::support::docker::{Stage, check_of};
use crate::support::needs;

/// The address of Podman's service.
fn service() -> String {
    needs::declared(needs::PODMAN);
    std::env::var("DRIFTLOCK_PODMAN")
        .unwrap_or_else(|_| needs::absent(needs::PODMAN, "DRIFTLOCK_PODMAN names no service of Podman"))
}

#[test]
fn a_container_that_podman_restarts_in_a_loop_never_passes() {
    let host = service();
    let stage = Stage::at(Some(&host));
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let loops = [&limits[..], &["--restart", "always"]].concat();
    let image = stage.image("app:1");
    stage.run_shell("job", &image, &limits, "exit 0");
    stage.wait_for_end("job");
    stage.start("web", &image, &limits);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.drift(), (0, vec![]));
    let loopers = [("job", "exited", "exit 1"), ("web", "running", "/bin/busybox sleep 1; exit 1")];
    for (short, _, line) in loopers {
        stage.remove(short);
        stage.run_shell(short, &image, &loops, line);
    }
    for (short, _, _) in loopers {
        stage.wait_for_restarts(short, 2);
    }
    always_restarting(&stage, &loopers.map(|(short, expected, _)| (short, expected)), 60);
}

#[test]
fn what_podmans_containers_and_images_have_inside_is_held_against_the_baseline() {
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let host = service();
    let stage = baked_beside(released_beside(Stage::at(Some(&host))), &limits);
    let (web, image) = (stage.name("web"), stage.name("app:2"));
    assert_eq!(contents_by(&stage, &[]), (0, vec![]));
    // By the engine's archive, since it does not run.
    let before = engine(&stage);
    each_change(&stage, || {
        stage.docker(&["stop", "-t", "0", &web]);
        let found = contents_by(&stage, &[]);
        stage.docker(&["start", &web]);
        found
    });
    assert_eq!(engine(&stage), before, "looking changes nothing");
    // Its service takes no commit of the docker client.
    let committed = program("podman").args(["--url", &host, "commit", "-q", &web, &image]).output().unwrap();
    assert!(committed.status.success(), "{}", String::from_utf8_lossy(&committed.stderr));
    assert_eq!(of_image(&stage, &image, &[]), (0, vec![]));
    assert_eq!(made(&stage, &image), "");
}

#[test]
fn pods_and_containers_without_an_image_are_outside() {
    let host = service();
    let stage = Stage::at(Some(&host));
    let podman = |args: &[&str]| {
        let ended = program("podman").args(["--url", &host]).args(args).output().unwrap();
        assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    };
    let image = stage.image("app:1");
    let pause = format!("localhost/podman-pause:{}", stage.prefix);
    podman(&["tag", &image, &pause]);
    let root = TempDir::new().unwrap();
    let (pod, infra, rootfs) = (stage.name("pod"), stage.name("infra"), stage.name("rootfs"));
    podman(&[
        "pod",
        "create",
        "--name",
        &pod,
        // Not every machine lets a pod have a control group of its own.
        "--share-parent=false",
        "--network",
        "none",
        "--infra-image",
        &pause,
        "--infra-name",
        &infra,
        "--infra-command",
        "/x",
    ]);
    podman(&[
        "create",
        "--name",
        &rootfs,
        "--network",
        "none",
        "--rootfs",
        root.path().to_str().unwrap(),
        "/x",
    ]);
    stage.docker(&["create", "--name", &stage.name("web"), &image, "/x"]);
    stage.ok(&["export", "--accept"]);
    let drift = stage.drift();
    let report = stage.check(&[]).1;
    podman(&["pod", "rm", "--force", &pod]);
    podman(&["rm", "--force", &rootfs]);
    podman(&["untag", &pause]);
    assert_eq!(drift, (0, vec![]), "{report:#}");
    assert_eq!(check_of(&report, "docker_images")["subjects"], 1, "{report:#}");
}

#[test]
fn podmans_containers_are_locked_and_compared() {
    let host = service();
    let stage = Stage::at(Some(&host));
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let image = stage.image("app:1");
    stage.start("web", &image, &limits);
    stage.start("db", &image, &limits);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.drift(), (0, vec![]));
    let seen = stage.docker(&["inspect", "--format={{.Config.Image}} {{.Image}}", &stage.name("web")]);
    let locked = stage.locked("web");
    let id = locked["imageId"].as_str().unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    let known = format!("{} {}", locked["image"].as_str().unwrap(), id.trim_start_matches("sha256:"));
    assert_eq!(known, seen.replace("sha256:", ""));
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    stage.remove("db");
    stage.image("app:1");
    let (code, report) = stage.check(&[]);
    let drift = ["docker_images db missing", "container_state web modified state"].map(str::to_owned);
    assert_eq!((code, stage.drift().1), (2, drift.to_vec()), "{report:#}");
    let notes = check_of(&report, "docker_images")["notes"].to_string();
    assert!(notes.contains("not recreated"), "{notes}");
    stage.recreate("web", &image, &limits);
    let rebuilt = ["docker_images db missing", "docker_images web modified rebuilt"].map(str::to_owned);
    assert_eq!(stage.drift(), (2, rebuilt.to_vec()));
}

#[test]
fn what_podmans_containers_have_mounted_is_seen_needs_root() {
    needs::root();
    let stage = released_beside(Stage::at(Some(&service())));
    start(&stage, &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf")]);
    assert_eq!(mounts(&stage), FINE);
    release(&stage, "r2");
    switch(&stage, "r2");
    accept(&stage);
    // Both lead through the link.
    let both = ["web:/etc/app.conf stale", "web:/mnt/addons stale"].map(str::to_owned).to_vec();
    assert_eq!(mounts(&stage), (2, both));
    restart(&stage);
    assert_eq!(mounts(&stage), FINE);
    stage.project.file("new", "another\n");
    fs::rename(stage.project.path("new"), stage.project.path(FILE)).unwrap();
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/etc/app.conf"));
    let held = stage.docker(&["exec", &stage.name("web"), "/bin/busybox", "cat", "/etc/app.conf"]);
    assert_eq!(held, "release r2");
    restart(&stage);
    assert_eq!(mounts(&stage), FINE);
    // A tree that makes room for another.
    release(&stage, "r3");
    fs::rename(stage.project.path("r2/mods"), stage.project.path("r2/old")).unwrap();
    fs::rename(stage.project.path("r3/mods"), stage.project.path("r2/mods")).unwrap();
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/mnt/addons"));
}

#[test]
fn ports_that_podman_publishes_carry_the_names_of_containers_also_those_of_a_range() {
    let host = service();
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    by_name(&listening(Stage::at(Some(&host))), &limits);
    let stage = Stage::at(Some(&host));
    let image = stage.image("app:1");
    let (name, range) = (stage.name("web"), "127.0.0.1:28610-28612:9000-9002");
    let run = ["run", "-d", "--name", &name, "-p", range];
    stage.docker(&[&run, &limits[..], &[&image, "/bin/busybox", "sleep", "600"]].concat());
    stage.ok(&["export", "--accept"]);
    let expected = [0, 1, 2].map(|at| format!("127.0.0.1:{}->{}/tcp", 28610 + at, 9000 + at));
    assert_eq!(stage.locked("web")["ports"], serde_json::json!(expected));
    // One that is known is inspected for its ports alone.
    let report = stage.check(&["--only", "container_networks"]).1;
    assert_eq!(check_of(&report, "container_networks")["status"], "PASS", "{report:#}");
}

#[test]
fn selftest_proves_the_same_with_podman() {
    let host = service();
    let stage = Stage::at(Some(&host));
    let socket =
        host.strip_prefix("unix://").unwrap_or_else(|| needs::absent(needs::PODMAN, "it has no socket"));
    proves_and_leaves_nothing(&stage, std::path::Path::new(socket));
}
