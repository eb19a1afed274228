//! Files inside the containers of a server, read by its shell: held to the same changes as those of this machine.

use super::container_mounts::{AT, reach};
use crate::host::docker::needs_docker::container_contents::{
    baked, contents_by, each_change, engine, made, of_image, shell,
};
use crate::host::docker::needs_docker::container_files::{locked_and_compared, unlocked};
use crate::host::docker::needs_docker::container_mounts::number;
use crate::host::docker::needs_docker::random_trials::judged_as_read;
use crate::support::docker::{Stage, check_of};
use crate::support::needs;
use crate::support::sshd::Server;

/// The check's error over SSH.
fn error(stage: &Stage) -> String {
    let (code, report) = stage.check(&["--only", "container_contents", AT[0], AT[1]]);
    let check = check_of(&report, "container_contents").clone();
    assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{report:#}");
    check["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_inside_a_container_of_a_server_is_held_against_the_same_baseline_needs_root() {
    needs::root();
    let stage = baked();
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let (before, logins) = (engine(&stage), server.log().matches("Accepted publickey").count());
    assert_eq!(contents_by(&stage, &AT), (0, vec![]));
    assert_eq!(server.log().matches("Accepted publickey").count() - logins, 1, "one login a check");
    assert_eq!(engine(&stage), before, "looking changes nothing");
    each_change(&stage, || contents_by(&stage, &AT));
    // Links lead where they lead in the container.
    shell(&stage, "/bin/busybox mv /mnt/addons /mnt/real && /bin/busybox ln -s real /mnt/addons");
    assert_eq!(contents_by(&stage, &AT), (2, vec!["/mnt/addons modified".to_owned()]));
    let here = stage.project.root().canonicalize().unwrap().join("r1/mods").display().to_string();
    shell(&stage, &format!("/bin/busybox rm /mnt/addons && /bin/busybox ln -s {here} /mnt/addons"));
    let (code, found) = contents_by(&stage, &AT);
    assert!(code != 0 && !found.is_empty(), "{code} {found:?}");
    shell(&stage, "/bin/busybox rm /mnt/addons && /bin/busybox mv /mnt/real /mnt/addons");
    shell(&stage, "/bin/busybox rm /etc/proxy/app.conf && /bin/busybox mkfifo /etc/proxy/app.conf");
    assert_eq!(contents_by(&stage, &AT), (1, vec!["/etc/proxy/app.conf unreadable".to_owned()]));
    let own = format!("{}/r1/proxy/app.conf", stage.project.root().canonicalize().unwrap().display());
    shell(
        &stage,
        &format!("/bin/busybox rm /etc/proxy/app.conf && /bin/busybox ln -s {own} /etc/proxy/app.conf"),
    );
    assert_eq!(contents_by(&stage, &AT), (1, vec!["/etc/proxy/app.conf unreadable".to_owned()]));
}

#[test]
fn what_a_server_does_not_let_read_is_an_error_that_says_what_to_do_needs_root() {
    needs::root();
    let stage = baked();
    let server = Server::start(|setup| {
        setup.line(super::container_mounts::AS_NOBODY);
    });
    reach(&stage, &server, "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(stage.project.root(), mode).unwrap();
    // Without mounts over the path, the engine's word is enough.
    assert_eq!(contents_by(&stage, &AT), (0, vec![]));
    let bind = format!("-v{}:/mnt/addons", stage.project.path("r1/mods").canonicalize().unwrap().display());
    stage.recreate("web", &stage.name("app:1"), &[&bind]);
    let why = error(&stage);
    assert!(why.contains("sudo = true") && why.contains("is mounted at"), "{why}");
}

#[test]
fn a_container_of_a_server_that_does_not_run_is_read_by_the_engines_archive() {
    let stage = baked();
    let web = stage.name("web");
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let before = engine(&stage);
    each_change(&stage, || {
        stage.docker(&["stop", "-t", "0", &web]);
        let found = contents_by(&stage, &AT);
        stage.docker(&["start", &web]);
        found
    });
    assert_eq!(engine(&stage), before, "looking changes nothing");
    // A source that is not there stays so.
    stage.project.file("data/x", "1\n");
    let data = stage.project.path("data");
    let bind = format!("-v{}:/data", data.display());
    stage.recreate("web", &stage.name("app:1"), &[&bind]);
    stage.docker(&["stop", "-t", "0", &web]);
    std::fs::remove_dir_all(&data).unwrap();
    assert!(error(&stage).contains("put it back"), "{}", error(&stage));
    assert!(!data.exists(), "the engine made a directory");
    reach(&stage, &server, "docker = \"cli\"");
    assert!(error(&stage).contains("docker = \"auto\""), "{}", error(&stage));
}

#[test]
fn files_in_no_repository_are_locked_and_compared_on_a_server_needs_root() {
    needs::root();
    let stage = unlocked();
    let server = Server::start(|_| {});
    let target = server.target("production", &stage.project.root().canonicalize().unwrap());
    locked_and_compared(&stage, &AT, &target);
}

#[test]
fn an_image_of_a_server_that_no_container_runs_is_held_against_the_baseline() {
    let stage = baked();
    let (web, image) = (stage.name("web"), stage.name("app:2"));
    stage.docker(&["commit", &web, &image]);
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    let (before, logins) = (engine(&stage), server.log().matches("Accepted publickey").count());
    assert_eq!(of_image(&stage, &image, &AT), (0, vec![]));
    assert_eq!(server.log().matches("Accepted publickey").count() - logins, 1, "one login a check");
    assert_eq!((engine(&stage), made(&stage, &image)), (before, String::new()), "looking changes nothing");
    shell(&stage, "echo x >>/mnt/addons/shop/order.py");
    stage.docker(&["commit", &web, &image]);
    assert_eq!(of_image(&stage, &image, &AT), (2, vec!["/mnt/addons/shop modified".to_owned()]));
    let none = stage.name("none:1");
    let (code, report) = stage.check(&["--image", &none, AT[0], AT[1]]);
    assert!(code == 1 && report.to_string().contains("has no image"), "{report:#}");
    reach(&stage, &server, "docker = \"cli\"");
    let (code, report) = stage.check(&["--image", &image, AT[0], AT[1]]);
    assert!(code == 1 && report.to_string().contains("the engine sends no archive"), "{report:#}");
}

#[test]
fn a_container_that_was_made_on_a_server_is_removed_whatever_ends_the_check() {
    let stage = baked();
    let image = stage.name("app:2");
    // The archive of this takes a while.
    shell(&stage, "/bin/busybox dd if=/dev/zero of=/etc/proxy/zeros bs=1M count=1500");
    stage.docker(&["commit", &stage.name("web"), &image]);
    let server = Server::start(|_| {});
    reach(&stage, &server, "");
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let child = stage.project.spawn(&["check", "--image", &image, AT[0], AT[1]]);
        crate::support::wait_until(|| !made(&stage, &image).is_empty());
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_eq!(crate::support::ended(child).code(), code);
        assert_eq!(made(&stage, &image), "");
    }
}

#[test]
fn mounts_and_contents_are_judged_over_ssh_as_the_container_reads_them_needs_root() {
    needs::root();
    let server = Server::start(|_| {});
    judged_as_read(&AT, |stage| reach(stage, &server, ""), number("DRIFTLOCK_TRIALS").unwrap_or(2));
}
