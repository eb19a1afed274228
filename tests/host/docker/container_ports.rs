//! Published ports of containers on real engines: in the lock file of containers, and among the ports that listen.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::docker::{LOCK, Stage, check_of};
use crate::support::sshd::Server;

/// The lock file of ports.
const PORTS: &str = "audit/locks/ports.lock.txt";

/// Two ports of this machine that nothing has now.
fn free() -> [u16; 2] {
    let held = [0, 0].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|it| it.local_addr().unwrap().port())
}

/// Publishes ports of a container `web` with these options.
fn publish(stage: &Stage, image: &str, options: &[&str]) {
    let name = stage.name("web");
    let run = [&["run", "-d", "--name", &name], options, &[image, "/bin/busybox", "sleep", "600"]].concat();
    stage.docker(&run);
}

/// A stage whose ports are compared, too.
pub(crate) fn listening(stage: Stage) -> Stage {
    let before = stage.project.read("audit/driftlock.toml");
    stage.project.file("audit/driftlock.toml", &format!("{before}[ports]\n"));
    stage
}

/// The lines of the lock file of ports that end in a container of the stage, its prefix left out.
fn locked(stage: &Stage) -> Vec<String> {
    let all = stage.project.read(PORTS);
    let own = all.lines().filter(|line| line.contains(&stage.prefix));
    own.map(|line| line.replace(&format!("{}-", stage.prefix), "").replace('\t', " ")).collect()
}

/// The status of the check `container_networks`, and its findings and those of `ports` at these ports, in words.
fn found(stage: &Stage, ports: &[u16], args: &[&str]) -> (String, Vec<String>) {
    let report = stage.check(&[&["--only", "container_networks", "--only", "ports"], args].concat()).1;
    let mut told = Vec::new();
    for check in ["container_networks", "ports"] {
        for it in check_of(&report, check)["findings"].as_array().unwrap() {
            let text = |key: &str| it[key].as_str().unwrap_or("-").to_owned();
            let subject = text("subject");
            if check == "container_networks"
                || ports.iter().any(|port| subject.ends_with(&format!(":{port}")))
            {
                let why = if it["kind"] == "unreadable" { text("reason") } else { text("category") };
                let line =
                    format!("{subject} {}: {} → {} ({why})", text("kind"), text("expected"), text("actual"));
                told.push(line.replace(&format!("{}-", stage.prefix), ""));
            }
        }
    }
    (check_of(&report, "container_networks")["status"].as_str().unwrap().to_owned(), told)
}

const PASS: &str = "PASS";

#[test]
fn a_published_port_carries_the_name_of_its_container() {
    by_name(&listening(Stage::new()), &[]);
}

/// The same on each engine, whose containers need these options.
pub(crate) fn by_name(stage: &Stage, options: &[&str]) {
    let image = stage.image("app:1");
    let [first, second] = free();
    let (all, one) = (format!("{first}:8069"), format!("127.0.0.1:{second}:8072/udp"));
    let published = [options, &["-p", &all, "-p", &one]].concat();
    publish(stage, &image, &published);
    stage.ok(&["export", "--accept"]);
    let lines = locked(stage);
    for line in
        [format!("tcp 0.0.0.0 {first} container:web"), format!("udp 127.0.0.1 {second} container:web")]
    {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    let ports = stage.locked("web")["ports"].clone();
    for port in [format!("0.0.0.0:{first}->8069/tcp"), format!("127.0.0.1:{second}->8072/udp")] {
        assert!(ports.as_array().unwrap().contains(&Value::from(port.as_str())), "{port}: {ports}");
    }
    let here = [first, second];
    assert_eq!(found(stage, &here, &[]), (PASS.to_owned(), vec![]));
    // Made anew with one port less, and another one open to every address.
    let [third, _] = free();
    stage.remove("web");
    let other = format!("{third}:8069");
    publish(stage, &image, &[options, &["-p", &other]].concat());
    let (status, told) = found(stage, &[first, second, third], &[]);
    assert_eq!(status, "FAIL");
    let has = |words: &[&str]| told.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(
        has(&[
            "web modified:",
            &format!(":{second}->8072/udp"),
            &format!("→ 0.0.0.0:{third}->8069/tcp"),
            "(security)"
        ]),
        "{told:?}"
    );
    assert!(has(&[&format!("tcp:0.0.0.0:{first} missing: container:web")]), "{told:?}");
    assert!(has(&[&format!("udp:127.0.0.1:{second} missing: container:web")]), "{told:?}");
    assert!(has(&[&format!("tcp:0.0.0.0:{third} unexpected: - → container:web (security)")]), "{told:?}");
    // A program of the machine in the place of the container.
    stage.remove("web");
    let listener = TcpListener::bind(("0.0.0.0", first)).unwrap();
    let program = std::fs::read_to_string("/proc/self/comm").unwrap();
    let told = found(stage, &[first], &[]).1;
    let line = format!("tcp:0.0.0.0:{first} modified: container:web → {}", program.trim());
    assert!(told.iter().any(|it| it.starts_with(&line)), "{line}: {told:?}");
    drop(listener);
    publish(stage, &image, &published);
    assert_eq!(found(stage, &here, &[]), (PASS.to_owned(), vec![]));
    unasked(stage, here);
}

/// What becomes of the ports where the engine does not answer, or is not to be asked.
fn unasked(stage: &Stage, here: [u16; 2]) {
    let mut away = stage.driftlock(&["check", "--only", "ports", "--format", "json", "--docker", "auto"]);
    away.env("DOCKER_HOST", "unix:///nowhere/engine.sock");
    let report: Value = serde_json::from_slice(&away.output().unwrap().stdout).unwrap();
    let check = check_of(&report, "ports");
    let subjects = [format!("tcp:0.0.0.0:{}", here[0]), format!("udp:127.0.0.1:{}", here[1])];
    for subject in &subjects {
        let all = check["findings"].as_array().unwrap();
        let it = all
            .iter()
            .find(|it| it["subject"] == **subject)
            .unwrap_or_else(|| panic!("{subject}: {check:#}"));
        assert_eq!(it["kind"], "unreadable", "{it:#}");
        let why = it["reason"].as_str().unwrap();
        assert!(why.contains("which container") && why.contains("/nowhere/engine.sock"), "{why}");
    }
    assert_eq!(check["status"], "ERROR");
    let (code, report) = stage.check(&["--only", "ports", "--docker", "off"]);
    let check = check_of(&report, "ports");
    let all = check["findings"].as_array().unwrap();
    assert!(!all.iter().any(|it| subjects.iter().any(|subject| it["subject"] == **subject)), "{check:#}");
    assert!(report["coverage"].to_string().contains("docker is off"), "{code} {:#}", report["coverage"]);
}

#[test]
fn a_port_that_the_engine_chooses_may_be_another_one_at_each_start() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    publish(&stage, &image, &["-p", "127.0.0.1::8069"]);
    stage.ok(&["export", "--accept"]);
    assert_eq!(stage.locked("web")["ports"], json!(["127.0.0.1:*->8069/tcp"]));
    let chosen = || stage.docker(&["port", &stage.name("web"), "8069"]);
    let before = chosen();
    // Another container takes the port meanwhile.
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    let name = stage.name("other");
    stage.docker(&[
        "run",
        "-d",
        "--rm",
        "--name",
        &name,
        "-p",
        &format!("{before}:1"),
        &image,
        "/bin/busybox",
        "sleep",
        "600",
    ]);
    stage.docker(&["start", &stage.name("web")]);
    assert_ne!(chosen(), before);
    let report = stage.check(&["--only", "container_networks"]).1;
    assert_eq!(check_of(&report, "container_networks")["status"], "PASS", "{report:#}");
    stage.remove("web");
    publish(&stage, &image, &["-p", "0.0.0.0::8069"]);
    let report = stage.check(&["--only", "container_networks"]).1;
    let found = &check_of(&report, "container_networks")["findings"][0];
    assert_eq!(
        (&found["expected"], &found["actual"]),
        (&json!("127.0.0.1:*->8069/tcp"), &json!("0.0.0.0:*->8069/tcp"))
    );
}

#[test]
fn a_lock_file_without_ports_stays_valid_and_they_are_not_compared() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    publish(&stage, &image, &["-p", "127.0.0.1::8069"]);
    stage.ok(&["export", "--accept"]);
    let mut lock: Value = serde_json::from_str(&stage.project.read(LOCK)).unwrap();
    lock["images"][stage.name("web")].as_object_mut().unwrap().remove("ports");
    stage.project.file(LOCK, &format!("{lock:#}\n"));
    stage.remove("web");
    publish(&stage, &image, &[]);
    let (code, report) = stage.check(&[]);
    assert_eq!((code, &check_of(&report, "container_networks")["status"]), (0, &json!(PASS)), "{report:#}");
    assert!(
        report["coverage"].to_string().contains("published ports not compared"),
        "{:#}",
        report["coverage"]
    );
    // One that is locked twice, or is none.
    for (ports, why) in [
        (json!(["0.0.0.0:1->1/tcp", "0.0.0.0:1->1/tcp"]), "second time"),
        (json!(["80"]), "no published port"),
    ] {
        lock["images"][stage.name("web")]["ports"] = ports;
        stage.project.file(LOCK, &format!("{lock:#}\n"));
        let (code, report) = stage.check(&["--only", "container_networks"]);
        let error = check_of(&report, "container_networks")["error"].to_string();
        assert!(code == 1 && error.contains(why), "{error}");
    }
}

/// A server over SSH has mounts of its own.
mod needs_mounts {
    use super::*;

    #[test]
    fn a_server_is_asked_for_its_containers_in_the_connection_that_tells_its_ports() {
        let stage = listening(Stage::new());
        let server = Server::start(|_| {});
        let before = stage.project.read("audit/driftlock.toml");
        let target = server.target("prod", &stage.project.root());
        stage.project.file("audit/driftlock.toml", &format!("{before}{target}"));
        let image = stage.image("app:1");
        let [first, _] = free();
        publish(&stage, &image, &["-p", &format!("127.0.0.1:{first}:8069")]);
        // Beside the files, and by themselves.
        stage.ok(&["export", "--target", "prod", "--accept", "--quiet"]);
        assert_eq!(locked(&stage), [format!("tcp 127.0.0.1 {first} container:web")]);
        let logins = server.logins();
        assert_eq!(found(&stage, &[first], &["--target", "prod"]), (PASS.to_owned(), vec![]));
        let report = stage.check(&["--only", "ports", "--target", "prod"]).1;
        let all = check_of(&report, "ports")["findings"].to_string();
        assert!(!all.contains(&first.to_string()), "{all}");
        assert_eq!(server.logins(), logins + 2);
    }
}
