//! Podman's events: its own names of actions, and a stream that ends normally when its file is rotated.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::docker::Stage;
use crate::support::needs;
use crate::support::wait_until;
use crate::support::watcher::Watcher;
use crate::support::world::driftlock;

/// What its containers need where it may not raise limits.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/// A service of Podman with images and containers of its own, whose file of events is rotated after a few of them.
struct Podman {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Podman {
    fn start() -> Self {
        needs::declared(needs::PODMAN);
        let dir = tempfile::tempdir().unwrap();
        let mut conf = String::from("[engine]\nevents_logger = \"file\"\nevents_logfile_max_size = \"4k\"\n");
        let _ = writeln!(conf, "events_logfile_path = \"{}\"", dir.path().join("events.log").display());
        std::fs::write(dir.path().join("containers.conf"), conf).unwrap();
        let mut podman = Self { dir, child: None };
        podman.again();
        podman
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn again(&mut self) {
        let mut command = Command::new("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(option).arg(self.dir.path().join(name));
        }
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "system", "service"]);
        command
            .args(["--time=0", &self.address()])
            .env("CONTAINERS_CONF", self.dir.path().join("containers.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.unwrap());
        wait_until(|| std::os::unix::net::UnixStream::connect(self.socket()).is_ok());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.kill();
    }
}

fn gap_that_ends(event: &Value, end: &str) -> bool {
    event["event"] == "watch.gap" && event["evidence"]["reason"].as_str().is_some_and(|it| it.ends_with(end))
}

#[test]
fn podmans_events_are_followed_also_after_its_file_was_rotated() {
    let mut podman = Podman::start();
    let stage = Stage::at(Some(&podman.address()));
    let image = stage.image("app:1");
    stage.start("web", &image, &LIMITS);
    stage.ok(&["export", "--accept"]);
    let mut command = driftlock();
    command.current_dir(stage.project.root()).env("DOCKER_HOST", podman.address());
    let mut watcher = Watcher::of(command, &[]);
    let web = stage.name("web");
    let trip = |watcher: &mut Watcher| {
        let from = watcher.events.len();
        stage.docker(&["kill", &web]);
        let event = watcher.wait_for_subject(from, "drift.detected", &web);
        assert_eq!(event["trigger"], "engine");
        let from = watcher.events.len();
        stage.docker(&["start", &web]);
        watcher.wait_for_subject(from, "drift.resolved", &web);
    };
    trip(&mut watcher);
    // One that is removed is missed, and one that is made is found.
    let from = watcher.events.len();
    stage.remove("web");
    watcher.wait_for(from, |it| it["subject"] == web.as_str() && it["kind"] == "missing");
    stage.start("web", &image, &LIMITS);
    watcher.wait_for(from, |it| it["check"] == "docker_images" && it["event"] == "drift.resolved");
    // Taken up again, its stream names a moment, and such a one ends when the file is rotated.
    podman.kill();
    watcher.wait_for(0, |it| it["event"] == "watch.gap");
    podman.again();
    watcher.wait_for(0, |it| gap_that_ends(it, "followed again"));
    let from = watcher.events.len();
    wait_until(|| {
        stage.start("noise", &image, &LIMITS);
        stage.remove("noise");
        watcher.take();
        watcher.events[from..].iter().any(|it| gap_that_ends(it, "the engine ended it"))
    });
    watcher.wait_for(from, |it| gap_that_ends(it, "followed again"));
    trip(&mut watcher);
}
