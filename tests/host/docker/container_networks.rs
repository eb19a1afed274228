//! The networks that containers are in, on real engines.

use serde_json::Value;

use crate::support::docker::{LOCK, Stage, check_of};

/// The exit code of the check, its status, and its findings as `NAME EXPECTED → ACTUAL`.
fn networks(stage: &Stage) -> (i32, String, Vec<String>) {
    let (code, report) = stage.check(&["--only", "container_networks"]);
    let check = check_of(&report, "container_networks").clone();
    let told = check["findings"].as_array().unwrap().iter().map(|it| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        format!("{} {} → {}", text("subject"), text("expected"), text("actual"))
            .replace(&format!("{}-", stage.prefix), "")
    });
    (code, check["status"].as_str().unwrap().to_owned(), told.collect())
}

/// A network that is removed with the test.
struct Network<'a>(&'a Stage, String);

impl<'a> Network<'a> {
    fn new(stage: &'a Stage, short: &str) -> Self {
        let name = stage.name(short);
        stage.docker(&["network", "create", "--internal", &name]);
        Self(stage, name)
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        self.0.remove("web");
        self.0.docker(&["network", "rm", &self.1]);
    }
}

#[test]
fn a_network_that_is_joined_or_left_by_hand_is_told() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.docker(&["run", "-d", "--name", &stage.name("web"), &image, "/bin/busybox", "sleep", "600"]);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.locked("web")["networks"], serde_json::json!(["bridge"]));
    let pass = (0, "PASS".to_owned(), vec![]);
    assert_eq!(networks(&stage), pass);
    let other = Network::new(&stage, "other");
    let web = stage.name("web");
    stage.docker(&["network", "connect", &other.1, &web]);
    let joined = vec!["web bridge → bridge, other".to_owned()];
    assert_eq!(networks(&stage), (2, "FAIL".to_owned(), joined));
    stage.docker(&["network", "disconnect", "bridge", &web]);
    assert_eq!(networks(&stage), (2, "FAIL".to_owned(), vec!["web bridge → other".to_owned()]));
    stage.docker(&["network", "disconnect", &other.1, &web]);
    assert_eq!(networks(&stage), (2, "FAIL".to_owned(), vec!["web bridge → no network".to_owned()]));
    stage.docker(&["network", "connect", "bridge", &web]);
    assert_eq!(networks(&stage), pass);
    // A container that was stopped is still in its networks.
    stage.docker(&["stop", "-t", "0", &web]);
    assert_eq!(networks(&stage), pass);
    // A new one of another network can be accepted.
    stage.docker(&["start", &web]);
    stage.docker(&["network", "connect", &other.1, &web]);
    stage.run(&["check", "--quiet"]);
    let subject = format!("container_networks/{web}");
    stage.ok(&["accept", "--yes", "--reason", "meant", "--only", &subject]);
    assert_eq!(networks(&stage), pass);
}

#[test]
fn a_lock_file_without_networks_stays_valid_and_skips_them() {
    let stage = Stage::accepted();
    let mut lock: Value = serde_json::from_str(&stage.project.read(LOCK)).unwrap();
    for name in ["web", "db"] {
        lock["images"][stage.name(name)].as_object_mut().unwrap().remove("networks");
    }
    stage.project.file(LOCK, &format!("{lock:#}\n"));
    let (code, report) = stage.check(&[]);
    let check = check_of(&report, "container_networks");
    assert_eq!((code, &check["status"]), (0, &"SKIP".into()), "{report:#}");
    assert!(check["details"].to_string().contains("driftlock export"), "{check:#}");
}
