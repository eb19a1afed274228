//! Engines that fail, lie, are slow or huge: what a check says of them, and how often it asks.

use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::docker::{LOCK, Stage, check_of, drift_of, engine_socket};
use crate::support::engine::{FakeEngine, Reply, id, image, listed};
use crate::support::watcher::Watcher;
use crate::support::{Project, Ran, ended, status};

/// A project whose baseline has one running container `web` of `app:1`.
fn locked() -> Project {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = []\n");
    let web = json!({"image": "app:1", "imageId": id("a"), "state": "running"});
    project.file(LOCK, &json!({"images": {"web": web}}).to_string());
    project
}

fn run(project: &Project, host: &str, args: &[&str]) -> Ran {
    Ran(project.driftlock(args).env("DOCKER_HOST", host).output().unwrap())
}

fn check(project: &Project, host: &str, args: &[&str]) -> (i32, Value) {
    let ran = run(project, host, &[&["check", "--format", "json"], args].concat());
    (ran.code(), ran.report())
}

/// Checks a locked project beside an engine that fails: the error of the check.
fn error_of(host: &str) -> String {
    let (code, report) = check(&locked(), host, &[]);
    let found = check_of(&report, "docker_images");
    assert_eq!((code, found["status"].as_str()), (1, Some("ERROR")), "{report:#}");
    found["error"].as_str().unwrap().to_owned()
}

#[test]
fn without_an_engine_automatic_mode_skips_and_required_fails() {
    let project = locked();
    project.file("infra/compose.yml", "services: {}\n");
    project.file("audit/driftlock.toml", "[addons]\nroots = []\n");
    run(&project, "unix:///nowhere.sock", &["export", "--accept"]);
    let (code, report) = check(&project, "unix:///nowhere.sock", &[]);
    assert_eq!((code, status(&report, "docker_images").as_str()), (0, "SKIP"), "{report:#}");
    let reason = "there is no socket at unix:///nowhere.sock";
    assert!(report["coverage"]["sections"].to_string().contains(reason), "{report:#}");
    let told = run(&project, "unix:///nowhere.sock", &["check"]).out();
    assert!(told.contains(&format!("[SKIP] Docker images: {reason}")), "{told}");
    let (code, report) = check(&project, "unix:///nowhere.sock", &["--docker", "required"]);
    assert_eq!((code, status(&report, "docker_images").as_str()), (1, "ERROR"));
    assert_eq!(check(&project, "unix:///nowhere.sock", &["--require", "docker_images"]).0, 1);
    assert_eq!(run(&project, "unix:///nowhere.sock", &["export", "--docker", "required"]).code(), 1);
}

#[test]
fn an_engine_that_was_compared_before_may_not_vanish() {
    let project = locked();
    let engine = FakeEngine::of(vec![listed("web", "app:1", &id("a"), "running")], vec![]);
    assert_eq!(check(&project, &engine.host(), &[]).0, 0);
    let (code, report) = check(&project, "unix:///nowhere.sock", &[]);
    assert_eq!((code, status(&report, "docker_images").as_str()), (1, "ERROR"), "{report:#}");
}

#[test]
fn a_run_that_could_not_ask_the_engine_has_neither_compared_nor_skipped() {
    let project = locked();
    let told = |host: &str, args: &[&str]| {
        let checks = check(&project, host, args).1;
        checks["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == "docker_images")
            .map(|it| it["status"].clone())
    };
    let (nowhere, dead) = ("unix:///nowhere.sock", format!("unix://{}", project.path("dead.sock").display()));
    drop(UnixListener::bind(project.path("dead.sock")).unwrap());
    for _ in 0..2 {
        assert_eq!(told(&dead, &[]), Some("ERROR".into()));
    }
    for _ in 0..2 {
        assert_eq!(told(nowhere, &[]), Some("SKIP".into()), "nothing was ever compared here");
    }
    let engine = FakeEngine::of(vec![listed("web", "app:1", &id("a"), "running")], vec![]);
    assert_eq!(told(&engine.host(), &[]), Some("PASS".into()));
    for host in [nowhere, &dead, nowhere, nowhere] {
        assert_eq!(told(host, &[]), Some("ERROR".into()), "an outage does not end by itself");
    }
    assert_eq!(told(&engine.host(), &["--docker", "off"]), None);
    assert_eq!(told(nowhere, &[]), Some("SKIP".into()), "the last whole run did not compare, on purpose");
}

/// Docker tells of the end of a container before its list has it, and where nobody stopped it, that is the last event there is.
#[test]
fn a_container_that_a_watcher_has_heard_of_is_as_it_says_itself_and_not_as_a_list_has_it() {
    static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    let mut web = listed("web", "app:1", &id("a"), "running");
    web["Status"] = "Up 3 hours".into();
    let list = json!([web]).to_string();
    let engine = FakeEngine::new(move |path| match path.split(['/', '?']).collect::<Vec<_>>()[..] {
        ["", "containers", "json", ..] => Reply::Body(200, list.clone()),
        ["", "images", "json", ..] => Reply::Body(200, "[]".to_owned()),
        ["", "events", ..] if HAS_ENDED.load(Ordering::SeqCst) => Reply::Body(200, String::new()),
        ["", "events", ..] => Reply::Body(503, "{}".to_owned()),
        _ => Reply::Body(200, json!({"State": {"Status": "exited", "Running": false, "Pid": 0}}).to_string()),
    });
    let project = locked();
    let mut command = crate::support::world::driftlock();
    command.current_dir(project.root()).env("DOCKER_HOST", engine.host());
    let mut watcher = Watcher::of(command, &["--docker", "required"]);
    HAS_ENDED.store(true, Ordering::SeqCst);
    let event = watcher.wait_for_subject(0, "drift.detected", "web");
    assert_eq!(
        (&event["check"], &event["trigger"]),
        (&"container_state".into(), &"engine".into()),
        "{event}"
    );
}

#[test]
fn explain_says_of_no_container_that_it_is_in_the_baseline_where_it_is_not() {
    let project = locked();
    let engine = FakeEngine::of(
        vec![listed("web", "app:1", &id("a"), "running"), listed("other", "app:2", &id("b"), "running")],
        vec![],
    );
    let told = |host: &str, name: &str| run(&project, host, &["explain", name]).out();
    let web = told(&engine.host(), "web");
    assert!(web.contains("[PASS] Docker images: as in the baseline"), "{web}");
    assert!(web.contains("[PASS] Container states: as in the baseline"), "{web}");
    assert!(!web.contains("[PASS] Applied configuration"), "its lock file tells no configuration: {web}");
    let other = told(&engine.host(), "other");
    assert!(!other.contains("as in the baseline"), "{other}");
    assert!(other.contains("[SKIP] Container states: the baseline does not have it"), "{other}");
    assert!(other.contains("probably: a new service that nobody accepted yet"), "{other}");
    let config = project.read("audit/driftlock.toml") + "[docker]\nunexpected = \"ignore\"\n";
    project.file("audit/driftlock.toml", &config);
    let ignored = told(&engine.host(), "other");
    assert!(!ignored.contains("as in the baseline"), "{ignored}");
    let unknown = told("unix:///nowhere.sock", "web");
    assert!(unknown.contains("Found     not known"), "{unknown}");
    run(&project, &engine.host(), &["check"]);
    let gone = FakeEngine::of(vec![listed("else", "app:2", &id("b"), "running")], vec![]);
    let missing = told(&gone.host(), "web");
    assert!(
        missing.contains("missing: in the baseline")
            && missing.contains("Found     nothing")
            && !missing.contains("as in the baseline"),
        "{missing}"
    );
}

#[test]
fn one_name_in_another_spelling_is_no_drift() {
    let project = locked();
    let digest = format!("sha256:{}", "d".repeat(64));
    for (locked, same, others) in [
        (
            "app",
            &["app:latest", "docker.io/app", "docker.io/library/app:latest", "index.docker.io/app"][..],
            &["localhost/app:latest", "quay.io/library/app", "a/app", "app:1", "app@sha256:ab"][..],
        ),
        ("localhost/app:1", &["localhost/app:1"], &["app:1", "localhost:5000/app:1", "localhost/app"]),
        (
            "app:1@sha256:ab",
            &["app@sha256:ab", "docker.io/library/app:1@sha256:ab"],
            &["app:1", "app:1@sha256:cd"],
        ),
        (&digest, &[&digest[7..]], &["app"]),
    ] {
        let web = json!({"image": locked, "imageId": id("a"), "state": "running"});
        project.file(LOCK, &json!({"images": {"web": web}}).to_string());
        let check_as = |image: &str| {
            let engine = FakeEngine::of(vec![listed("web", image, &id("a"), "running")], vec![]);
            check(&project, &engine.host(), &[])
        };
        for image in same {
            let (code, report) = check_as(image);
            assert_eq!((code, drift_of(&report)), (0, vec![]), "{locked} {image}");
        }
        for image in others {
            let (code, report) = check_as(image);
            let finding = &check_of(&report, "docker_images")["findings"][0];
            let values = [&finding["change"], &finding["expected"], &finding["actual"]];
            assert_eq!((code, values.map(|value| value.as_str().unwrap())), (2, ["tag", locked, *image]));
        }
    }
    let registry = format!("@{digest}");
    let web = json!({"image": "app", "imageId": id("a"), "repoDigests": [format!("app{registry}")], "state": "running"});
    project.file(LOCK, &json!({"images": {"web": web}}).to_string());
    let image =
        json!({"Id": id("b"), "RepoTags": [], "RepoDigests": [format!("docker.io/library/app{registry}")]});
    let engine =
        FakeEngine::of(vec![listed("web", "docker.io/library/app:latest", &id("b"), "running")], vec![image]);
    assert_eq!(check(&project, &engine.host(), &[]).0, 0, "one digest of one registry");
}

#[test]
fn a_socket_that_nobody_listens_on() {
    let project = locked();
    drop(UnixListener::bind(project.path("dead.sock")).unwrap());
    let host = format!("unix://{}", project.path("dead.sock").display());
    assert!(error_of(&host).contains("nothing listens at"));
}

#[test]
fn a_socket_without_permission_says_who_and_what_helps() {
    let engine = FakeEngine::of(vec![], vec![]);
    let project = locked();
    for path in [&engine.socket(), engine.socket().parent().unwrap()] {
        let mode = if path.is_dir() { 0o755 } else { 0 };
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    project.hand_over();
    let ran = project.as_user_with(&["check"], &[("DOCKER_HOST", &engine.host())]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    let line = ran.out().lines().find(|line| line.starts_with("[ERROR] Docker images:")).unwrap().to_owned();
    let group = Command::new("stat").args(["-c", "%G"]).arg(engine.socket()).output().unwrap();
    let group = String::from_utf8(group.stdout).unwrap();
    for word in ["no permission", &engine.host(), "user ", &format!("group {}", group.trim()), "sudo"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(!line.contains("user root") || group.is_empty(), "{line}");
}

#[test]
fn an_engine_that_never_answers_meets_a_deadline() {
    let engine = FakeEngine::new(|_| Reply::Silence);
    assert!(error_of(&engine.host()).contains("gave no answer within 10 s"));
}

/// Starts a check, which hangs at an engine of its own.
fn hanging(project: &Project) -> (Child, FakeEngine) {
    let engine = FakeEngine::new(|_| Reply::Silence);
    let mut command = crate::support::world::driftlock();
    command.arg("check").current_dir(project.root()).env("DOCKER_HOST", engine.host());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    engine.wait_for_a_call();
    (child, engine)
}

/// Whether a check that is interrupted ends before one that hangs for longer already, up to the engine's deadline.
fn ends_before_another() -> bool {
    let (other, project) = (locked(), locked());
    let (mut longer, _engine) = hanging(&other);
    let (interrupted, _other_engine) = hanging(&project);
    kill_process(Pid::from_child(&interrupted), Signal::INT).unwrap();
    assert_eq!(ended(interrupted).code(), 130);
    assert!(!project.path("audit/runtime").exists(), "nothing is left");
    let is_first = longer.try_wait().unwrap().is_none();
    longer.kill().unwrap();
    longer.wait().unwrap();
    is_first
}

#[test]
fn an_interrupt_ends_a_hanging_engine_at_once() {
    // A busy machine holds up one run, but not each.
    assert!((0..5).any(|_| ends_before_another()), "it goes on until the engine's deadline");
}

#[test]
fn answers_that_are_none_are_errors_in_words() {
    let full =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n[{\"Id\": \"s3cr3t";
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("cut before a word", Vec::new(), ""),
        ("cut in the middle", full.as_bytes().to_vec(), ""),
        ("garbage", b"\x00\xff\x1b[31m s3cr3t garbage\r\n\r\n".to_vec(), ""),
        ("not JSON", body("<html>s3cr3t</html>"), "not the JSON of a Docker engine"),
        ("other JSON", body("{\"s3cr3t\": 1}"), "not the JSON of a Docker engine"),
        ("half of it", body("[{\"Id\": \"s3cr3t\""), "not the JSON of a Docker engine"),
    ];
    for (name, bytes, words) in cases {
        let engine = FakeEngine::new(move |_| Reply::Bytes(bytes.clone()));
        let error = error_of(&engine.host());
        assert!(error.contains(&engine.host()) && error.contains(words), "{name}: {error}");
        assert!(!error.contains("s3cr3t") && !error.contains('\x1b'), "{name}: {error}");
    }
}

/// A whole answer of one connection.
fn body(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
        .into_bytes()
}

#[test]
fn what_cannot_be_understood_of_one_container_is_its_error_alone() {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = []\n");
    let web = |image: &str| json!({"image": image, "imageId": id("a"), "state": "running"});
    project.file(LOCK, &json!({"images": {"web": web("app:1"), "db": web("app:1")}}).to_string());
    let odd = json!({"Id": "odd", "Names": ["/web"], "Created": "yesterday"});
    let unclear = "web: what the engine says of it cannot be understood";
    let open = |name: &str| {
        let mut row = listed(name, "app:1", &id("a"), "running");
        row["Status"] = json!("Up 3 seconds");
        row
    };
    for (row, inspected, why) in [
        (odd, Reply::Body(200, String::new()), unclear),
        (open("web"), Reply::Body(200, "{\"State\": 1}".to_owned()), unclear),
        (
            open("web"),
            Reply::Body(500, json!({"message": "no layer"}).to_string()),
            "web: the engine answered 500: no layer",
        ),
    ] {
        let rows = json!([row, listed("db", "app:2", &id("a"), "running")]).to_string();
        let inspected = std::sync::Mutex::new(inspected);
        let engine = FakeEngine::new(move |asked| match asked {
            _ if asked.starts_with("/containers/json") => Reply::Body(200, rows.clone()),
            _ if asked.starts_with("/images/json") => Reply::Body(200, "[]".to_owned()),
            _ => match &*inspected.lock().unwrap() {
                Reply::Body(status, text) => Reply::Body(*status, text.clone()),
                _ => Reply::Silence,
            },
        });
        let (code, report) = check(&project, &engine.host(), &[]);
        let images = check_of(&report, "docker_images");
        assert_eq!((code, images["error"].as_str()), (1, Some(why)), "{report:#}");
        assert_eq!(drift_of(&report), ["docker_images db modified tag"], "the other one is compared");
        assert_eq!(status(&report, "container_state"), "ERROR");
    }
}

#[test]
fn a_proxy_that_forbids_a_call_is_told_what_has_to_pass() {
    let page =
        "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>";
    for (path, said, quoted) in [
        ("/images/json", page.to_owned(), "forbids a call: let GET pass"),
        (
            "/containers/json",
            json!({"message": "not for you"}).to_string(),
            "forbids a call (not for you): let GET pass",
        ),
    ] {
        let engine = FakeEngine::new(move |asked| {
            if asked.starts_with(path) {
                Reply::Body(403, said.clone())
            } else {
                Reply::Body(200, "[]".to_owned())
            }
        });
        let error = error_of(&engine.host());
        assert!(
            error.contains(quoted) && error.contains("/images/json") && !error.contains("<h1>"),
            "{error}"
        );
    }
}

#[test]
fn what_podman_runs_without_an_image_or_for_a_pod_is_outside() {
    let project = locked();
    let web = listed("web", "app:1", &id("a"), "running");
    let rootfs = listed("rootfs", "", "sha256:", "created");
    let pod = listed("4c-infra", "localhost/podman-pause:4.3.1-0", &id("c"), "running");
    let engine = FakeEngine::of(vec![web, rootfs, pod], vec![]);
    let (code, report) = check(&project, &engine.host(), &[]);
    assert_eq!(code, 0, "{report:#}");
    let coverage = report["coverage"].to_string();
    assert!(coverage.contains("containers without an image") && coverage.contains("infrastructure of pods"));
    assert_eq!(run(&project, &engine.host(), &["export", "--accept"]).code(), 0);
}

#[test]
fn an_engine_in_trouble_is_quoted() {
    for path in ["/containers/json", "/images/json"] {
        let engine = FakeEngine::new(move |asked| {
            let message = json!({"message": "layer store is broken"}).to_string();
            if asked.starts_with(path) {
                Reply::Body(500, message)
            } else {
                Reply::Body(200, "[]".to_owned())
            }
        });
        let error = error_of(&engine.host());
        assert!(error.contains("answered 500: layer store is broken"), "{path}: {error}");
    }
}

#[test]
fn a_list_that_an_engine_cannot_make_once_is_asked_for_again() {
    for path in ["/containers/json", "/images/json"] {
        let has_failed = AtomicBool::new(false);
        let list = json!([listed("web", "app:1", &id("a"), "running")]).to_string();
        let engine = FakeEngine::new(move |asked| {
            if asked.starts_with(path) && !has_failed.swap(true, Ordering::SeqCst) {
                return Reply::Body(500, json!({"message": "image not known"}).to_string());
            }
            let list = if asked.starts_with("/containers/json") { list.clone() } else { "[]".to_owned() };
            Reply::Body(200, list)
        });
        let (code, report) = check(&locked(), &engine.host(), &[]);
        assert_eq!((code, status(&report, "docker_images").as_str()), (0, "PASS"), "{path}: {report:#}");
    }
}

#[test]
fn an_export_without_an_answer_accepts_nothing() {
    let engine = FakeEngine::new(|_| Reply::Body(500, "{}".to_owned()));
    let project = locked();
    project.file("infra/compose.yml", "services: {}\n");
    project.file("audit/driftlock.toml", "[addons]\nroots = []\n");
    let before = project.read(LOCK);
    let ran = run(&project, &engine.host(), &["export", "--accept"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.out().contains("[ERROR] Docker images: the engine at"), "{}", ran.out());
    assert_eq!(project.read(LOCK), before);
    assert!(!project.path("audit/locks/compose_sha256.lock.txt").exists(), "all or none");
}

#[test]
fn a_bad_lock_file_is_an_error_with_its_place() {
    let engine = FakeEngine::of(vec![listed("web", "app:1", &id("a"), "running")], vec![]);
    let good = format!("\"image\": \"app:1\", \"imageId\": \"{}\"", id("a"));
    let web = |text: &str| format!("{{\"images\": {{\n\"web\": {{{text}}}\n}}}}\n");
    let cases = [
        (web(&format!("{good}, \"tag\": 1")), "2: unknown field"),
        (web("\"image\": \"app:1\""), "2: missing field `imageId`"),
        (web(&good.replace("sha256:a", "sha256:z")), "is no image ID"),
        (web(&format!("{good}}},\n\"web\": {{{good}")), "3: container web stands here a second time"),
        (web(&good).replace('}', ""), "EOF"),
    ];
    for (lock, words) in cases {
        let project = locked();
        project.file(LOCK, &lock);
        let (code, report) = check(&project, &engine.host(), &[]);
        let error = check_of(&report, "docker_images")["error"].as_str().unwrap();
        assert_eq!(code, 1, "{lock}");
        assert!(error.contains("docker_images.lock.json:") && error.contains(words), "{error}");
        assert_eq!(project.read(LOCK), lock);
    }
}

#[test]
fn old_engines_leave_things_out() {
    let web = json!({"Id": "1", "Names": ["/web", "/db/link"], "Image": "app:1", "ImageID": id("a"),
        "State": "running", "Labels": null, "HostConfig": {"NetworkMode": "none"}});
    let images =
        vec![image(&id("b"), &Value::Null, &Value::Null), image(&id("a"), &json!(["app:1"]), &json!([]))];
    let engine = FakeEngine::of(vec![web], images);
    let (code, report) = check(&locked(), &engine.host(), &[]);
    assert_eq!((code, check_of(&report, "docker_images")["subjects"].clone()), (0, json!(1)), "{report:#}");
}

#[test]
fn a_container_removed_between_two_calls_is_not_there() {
    let gone = listed("web", &id("b"), &id("b"), "running");
    let new = json!({"Id": "2", "Names": ["/new"], "Image": "app:1", "ImageID": id("a"), "State": "running"});
    let engine = FakeEngine::of(vec![gone, new], vec![]);
    let (code, report) = check(&locked(), &engine.host(), &["--docker", "required"]);
    assert_eq!((code, drift_of(&report)), (2, vec!["docker_images web missing".to_owned()]), "{report:#}");
}

#[test]
fn one_image_in_two_stores_is_a_note() {
    let project = locked();
    let digests = json!([format!("app@{}", id("d"))]);
    let web = json!({"image": "app:1", "imageId": id("a"), "repoDigests": digests, "state": "running"});
    project.file(LOCK, &json!({"images": {"web": web}}).to_string());
    let here = |digests: &Value| {
        let images = vec![image(&id("b"), &json!(["app:1"]), digests)];
        FakeEngine::of(vec![listed("web", "app:1", &id("b"), "running")], images)
    };
    let (code, report) = check(&project, &here(&digests).host(), &[]);
    assert_eq!((code, drift_of(&report).len()), (0, 0), "{report:#}");
    let notes = check_of(&report, "docker_images")["notes"].to_string();
    assert!(notes.contains("the same digest in the registry"), "{notes}");
    for other in [json!([]), json!([format!("app@{}", id("e"))])] {
        let (code, report) = check(&project, &here(&other).host(), &[]);
        assert_eq!((code, drift_of(&report)), (2, vec!["docker_images web modified rebuilt".to_owned()]));
    }
}

#[test]
fn states_are_compared_by_what_they_mean() {
    for (state, code) in [("running", 0), ("paused", 2), ("restarting", 2), ("dead", 2), ("created", 2)] {
        let engine = FakeEngine::of(vec![listed("web", "app:1", &id("a"), state)], vec![]);
        let (found, report) = check(&locked(), &engine.host(), &[]);
        let drift = if code == 0 { vec![] } else { vec!["container_state web modified state".to_owned()] };
        assert_eq!((found, drift_of(&report)), (code, drift), "{state}");
    }
}

/// An engine of one container `web` of which the list and the inspection say this.
fn alone(state: &str, status: &str, inspection: &Value) -> FakeEngine {
    let mut web = listed("web", "app:1", &id("a"), state);
    web["Status"] = status.into();
    web["Created"] = 1_700_000_000.into();
    let (list, inspection) = (json!([web]).to_string(), inspection.to_string());
    FakeEngine::new(move |path| match path.split(['/', '?']).collect::<Vec<_>>()[..] {
        ["", "containers", "json", ..] => Reply::Body(200, list.clone()),
        ["", "images", "json", ..] => Reply::Body(200, "[]".to_owned()),
        _ => Reply::Body(200, inspection.clone()),
    })
}

#[test]
fn the_words_of_every_engine_are_read_and_mean_what_they_say() {
    // What the baseline has, what there is, whether that is drift.
    for (locked, state, drifts) in [
        ("exited", "stopped", false),
        ("stopped", "exited", false),
        ("exited", "dead", false),
        ("created", "configured", false),
        ("created", "initialized", false),
        ("restarting", "restarting", false),
        ("unknown", "unknown", false),
        ("exited", "restarting", true),
        ("exited", "created", true),
        ("exited", "removing", true),
        ("exited", "stopping", true),
        ("exited", "unknown", true),
        ("running", "stopping", true),
        ("running", "unknown", true),
        ("paused", "exited", true),
        ("created", "exited", true),
    ] {
        let project = locked_as(locked);
        let engine = alone(state, "", &json!({}));
        let (code, report) = check(&project, &engine.host(), &[]);
        let drift = if drifts { vec!["container_state web modified state".to_owned()] } else { vec![] };
        assert_eq!((code, drift_of(&report)), (if drifts { 2 } else { 0 }, drift), "{locked}, {state}");
    }
}

/// A locked project in whose baseline the container is in this state.
fn locked_as(state: &str) -> Project {
    let project = locked();
    let lock = project.read(LOCK).replace("running", state);
    project.file(LOCK, &lock);
    project
}

#[test]
fn a_container_between_two_starts_restarts_whatever_the_list_calls_it() {
    let life = |running: bool, pid: u32, restarts: u32, policy: &str| {
        let started = "2023-11-14T22:13:50.5Z";
        json!({"RestartCount": restarts, "Created": "2023-11-14T22:13:20Z",
            "HostConfig": {"RestartPolicy": {"Name": policy}},
            "State": {"Status": "x", "Running": running, "Restarting": false, "Pid": pid, "StartedAt": started}})
    };
    for (state, status, inspection, seen) in [
        ("running", "", life(true, 0, 0, "always"), "restarting"),
        ("running", "Up 5 seconds", life(true, 7, 3, "always"), "restarting"),
        ("running", "Up 5 seconds (healthy)", life(true, 7, 0, "always"), "running"),
        ("running", "Up 2 hours", life(true, 7, 3, "always"), "running"),
        ("running", "Up Less than a second", life(false, 0, 3, "always"), "restarting"),
        ("stopped", "Exited (1) 1 second ago", life(false, 0, 3, "on-failure"), "restarting"),
        ("stopped", "Exited (1) 1 second ago", life(false, 0, 3, "no"), "stopped"),
        ("running", "Up 5 seconds", json!({}), "running"),
    ] {
        for locked in ["running", "exited", "restarting"] {
            let (code, report) = check(&locked_as(locked), &alone(state, status, &inspection).host(), &[]);
            let found = check_of(&report, "container_state")["findings"][0]["actual"].clone();
            let is_same = locked == seen || (locked, seen) == ("exited", "stopped");
            let expected = if is_same { (0, Value::Null) } else { (2, json!(seen)) };
            assert_eq!((code, found), expected, "{locked}: {state}, {status}, {inspection}");
        }
    }
}

#[test]
fn only_containers_that_came_up_within_this_minute_and_not_for_the_first_time_are_inspected() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let container = |i: u64, status: &str, created: u64| {
        let mut one = listed(&format!("c{i}"), "app:1", &id("a"), "running");
        one["Status"] = status.into();
        one["Created"] = created.into();
        one
    };
    for (status, age, calls) in [
        ("Up 3 hours", 10_800, 2),
        ("Up 5 seconds", 5, 2),
        ("Up 5 seconds", 500, 22),
        ("Up About a minute", 500, 2),
    ] {
        let list = Value::Array((0..20).map(|i| container(i, status, now - age)).collect()).to_string();
        let engine = FakeEngine::new(move |path| match path.split(['/', '?']).collect::<Vec<_>>()[..] {
            ["", "containers", "json", ..] => Reply::Body(200, list.clone()),
            ["", "images", "json", ..] => Reply::Body(200, "[]".to_owned()),
            _ => Reply::Body(200, json!({}).to_string()),
        });
        check(&locked(), &engine.host(), &["--docker", "required", "--only", "container_state"]);
        assert_eq!(engine.calls().len(), calls, "{status} of {age} s");
    }
}

#[test]
fn containers_are_inspected_for_ports_and_limits_only_where_those_are_compared() {
    let publishing = |i: u64| {
        let mut one = listed(&format!("c{i}"), "app:1", &id("a"), "running");
        one["Ports"] = json!([{"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 7000 + i, "Type": "tcp"}]);
        one
    };
    let list = Value::Array((0..20).map(publishing).collect()).to_string();
    let engine = FakeEngine::new(move |path| match path.split(['/', '?']).collect::<Vec<_>>()[..] {
        ["", "containers", "json", ..] => Reply::Body(200, list.clone()),
        ["", "images", "json", ..] => Reply::Body(200, "[]".to_owned()),
        _ => Reply::Body(200, json!({}).to_string()),
    });
    let calls = |more: &str, ports: Option<&str>, checks: &[&str]| {
        let project = locked();
        let before = project.read("audit/driftlock.toml");
        project.file("cmdb.json", "{\"c0\": {\"power_state\": \"on\"}}");
        let more = more.replace("ROOT", project.root().to_str().unwrap());
        project.file("audit/driftlock.toml", &format!("{before}{more}"));
        if let Some(port) = ports {
            let lock =
                project.read(LOCK).replace("\"running\"", &format!("\"running\", \"ports\": [\"{port}\"]"));
            project.file(LOCK, &lock);
        }
        let only: Vec<&str> = checks.iter().flat_map(|check| ["--only", check]).collect();
        check(&project, &engine.host(), &[&["--docker", "required"], &only[..]].concat());
        engine.calls().len()
    };
    let desired = "[desired.cmdb]\nurl = \"file://ROOT/cmdb.json\"\n";
    let locked_port = Some("127.0.0.1:7000->80/tcp");
    for (more, ports, checks, expected) in [
        ("", None, &["docker_images", "container_networks"][..], 2),
        ("", locked_port, &["container_networks"], 22),
        ("[ports]\n", None, &["docker_images", "ports"], 22),
        ("[ports]\n", None, &["docker_images"], 2),
        (desired, None, &["docker_images", "container_state"], 2),
        (desired, None, &["docker_images", "desired_state"], 22),
    ] {
        assert_eq!(calls(more, ports, checks), expected, "{more} {ports:?} {checks:?}");
    }
}

/// An engine of many containers, one image each; the tags of the first few were moved.
fn crowd(count: usize, moved: usize) -> FakeEngine {
    let own = |i: usize| format!("sha256:{i:064x}");
    let shown = |i: usize| if i < moved { own(i) } else { format!("app:{i}") };
    let containers = (0..count).map(|i| listed(&format!("c{i}"), &shown(i), &own(i), "running"));
    let images = (0..count).map(|i| image(&own(i), &json!([format!("app:{i}")]), &Value::Null));
    let lists = [containers.collect::<Vec<_>>(), images.collect()].map(|list| Value::from(list).to_string());
    FakeEngine::new(move |path| match path.split(['/', '?']).collect::<Vec<_>>()[..] {
        ["", "containers", "json", ..] => Reply::Body(200, lists[0].clone()),
        ["", "images", "json", ..] => Reply::Body(200, lists[1].clone()),
        ["", "containers", name, ..] => {
            let image = name.replace('c', "app:");
            Reply::Body(200, json!({"Id": name, "Config": {"Image": image, "Env": ["A=s3cr3t"]}}).to_string())
        }
        _ => Reply::Body(404, "{}".to_owned()),
    })
}

#[test]
fn two_calls_answer_for_any_number_of_containers() {
    let project = locked();
    let engine = crowd(200, 0);
    assert_eq!(run(&project, &engine.host(), &["export", "--accept", "--docker", "required"]).code(), 0);
    // What a lock file has of limits, no list tells.
    assert_eq!(engine.calls().len(), 2 + 200);
    let (code, report) = check(&project, &engine.host(), &["--only", "docker_images"]);
    assert_eq!((code, &check_of(&report, "docker_images")["subjects"]), (0, &json!(200)));
    let mut calls = engine.calls();
    calls.sort();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].starts_with("/containers/json") && calls[1].starts_with("/images/json"), "{calls:?}");
    let moved = crowd(200, 3);
    let (code, report) = check(&project, &moved.host(), &["--only", "docker_images"]);
    assert_eq!((code, drift_of(&report).len()), (0, 0), "the name is asked for: {report:#}");
    assert_eq!(moved.calls().len(), 5);
}

#[test]
fn ten_thousand_containers() {
    let project = locked();
    let engine = crowd(10_000, 0);
    assert_eq!(run(&project, &engine.host(), &["export", "--accept", "--docker", "required"]).code(), 0);
    let (code, report) = check(&project, &engine.host(), &[]);
    assert_eq!((code, &check_of(&report, "docker_images")["subjects"]), (0, &json!(10_000)));
    let fewer = crowd(9_990, 0);
    let (code, report) = check(&project, &fewer.host(), &[]);
    assert_eq!((code, drift_of(&report).len()), (2, 10));
}

#[test]
fn needs_docker_the_real_engine_is_called_twice_and_once_more_for_a_moved_tag() {
    let (stage, socket) = (Stage::new(), engine_socket());
    let app = stage.image("app:1");
    stage.start("db", &stage.image("postgres:16"), &[]);
    for name in ["web", "worker"] {
        stage.start(name, &app, &[]);
    }
    stage.ok(&["export", "--accept"]);
    let door = FakeEngine::before(&socket);
    let check = || {
        let mut command = stage.driftlock(&["check"]);
        assert_eq!(command.env("DOCKER_HOST", door.host()).output().unwrap().status.code(), Some(0));
        door.calls()
    };
    // One whose first start took seconds is asked about, too.
    let lists = |calls: &[String]| {
        calls.iter().filter(|call| call.contains("/json?") || *call == "/images/json").count()
    };
    let calls = check();
    assert!((2..=5).contains(&calls.len()) && lists(&calls) == 2, "{calls:?}");
    stage.image("postgres:16");
    let calls = check();
    assert!((3..=5).contains(&calls.len()) && lists(&calls) == 2, "{calls:?}");
}

#[test]
fn each_kind_of_drift_has_its_line() {
    let project = locked();
    let entry = |state: &str, hash: &str| json!({"image": "app:1", "imageId": id("a"), "state": state, "composeConfigHash": hash});
    let images =
        json!({"web": entry("running", "1"), "db": entry("running", "1"), "job": entry("exited", "1")});
    project.file(LOCK, &json!({"images": images}).to_string());
    let listed = |name: &str, image: &str, state: &str, hash: &str| {
        let mut container = listed(name, "app:1", &id(image), state);
        container["Labels"]["com.docker.compose.config-hash"] = json!(hash);
        container
    };
    let containers = [
        listed("web", "b", "running", "2"),
        listed("db", "a", "exited", "1"),
        listed("job", "a", "exited", "2"),
    ];
    let engine = FakeEngine::of(containers.to_vec(), vec![]);
    let told = run(&project, &engine.host(), &["check"]).out();
    let lines: Vec<&str> =
        told.lines().skip_while(|line| !line.starts_with("[INFO] Comparing")).take(21).collect();
    let expected = "\
[INFO] Comparing Docker images...
[FAIL] Image drift: web
       rebuilt: expected aaaaaaaaaaaa, found bbbbbbbbbbbb
       probably: the image was built or pulled anew under the same name
       no command undoes this: Docker Compose did not make the container; make it anew as the baseline has it by hand
       accept: driftlock accept --only docker_images/web --reason '…'
       acknowledge: driftlock ack docker_images/web --until 7d --reason '…'
[INFO] Checking container states...
[FAIL] State drift: db
       state: expected running, found exited
       probably: it crashed, or somebody stopped it
       undo: docker start db
       accept: driftlock accept --only container_state/db --reason '…'
       acknowledge: driftlock ack container_state/db --until 7d --reason '…'
[INFO] Checking applied configuration...
[FAIL] Configuration drift: job
       config: expected 1, found 2
       probably: its compose file, an override or a variable changed, and docker compose up applied that
       no command undoes this: Docker Compose did not make the container; make it anew as the baseline has it by hand
       accept: driftlock accept --only compose_applied/job --reason '…'
       acknowledge: driftlock ack compose_applied/job --until 7d --reason '…'";
    assert_eq!(lines.join("\n"), expected);
    let (_, report) = check(&project, &engine.host(), &[]);
    let details = ["docker_images", "container_state", "compose_applied"]
        .map(|name| check_of(&report, name)["details"].clone());
    assert_eq!(
        details,
        ["1 images drifted: web;", "1 containers drifted: db;", "1 containers drifted: job;"]
    );
    let (code, report) = check(&project, &engine.host(), &["--only", "container_state"]);
    assert_eq!((code, drift_of(&report)), (2, vec!["container_state db modified state".to_owned()]));
}

#[test]
fn a_dry_run_calls_no_engine() {
    let engine = crowd(3, 0);
    for command in ["check", "export"] {
        let ran = run(&locked(), &engine.host(), &[command, "--dry-run", "--docker", "required"]);
        assert!(ran.code() == 0 && ran.out().contains("images: containers matching \"*\""), "{}", ran.out());
    }
    assert_eq!(engine.calls(), Vec::<String>::new());
}

#[test]
fn the_engine_is_found_by_tcp_address_and_by_docker_context() {
    let engine = FakeEngine::of(vec![listed("web", "app:1", &id("a"), "running")], vec![]);
    let project = locked();
    assert_eq!(check(&project, &engine.by_tcp(), &[]).0, 0);
    assert_eq!(engine.calls().len(), 2);
    let meta = json!({"Name": "far", "Endpoints": {"docker": {"Host": engine.host()}}}).to_string();
    project.file(&format!("config/contexts/meta/{}/meta.json", sha256("far")), &meta);
    project.file("config/config.json", "{\"currentContext\": \"far\"}");
    let at_context = |context: &str| {
        let mut command = project.driftlock(&["check", "--format", "json"]);
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_CONFIG", project.path("config"));
        if !context.is_empty() {
            command.env("DOCKER_CONTEXT", context);
        }
        Ran(command.output().unwrap())
    };
    assert_eq!((at_context("").code(), engine.calls().len()), (0, 2));
    let lost = at_context("lost").report();
    let error = check_of(&lost, "docker_images")["error"].as_str().unwrap();
    assert_eq!(error, "the docker context \"lost\" cannot be read: docker context ls");
    assert!(error_of("ssh://host").contains("no address of an engine that can be reached from here"));
}

fn sha256(text: &str) -> String {
    let output = assert_cmd::Command::new("sha256sum").write_stdin(text).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// A project whose stacks lie elsewhere on its target `here`: in `srv` below the root.
fn with_target() -> Project {
    let project = locked();
    let target = format!("paths = {{ \"infra/stacks\" = \"{}\" }}\n", project.root().join("srv").display());
    let config = "[compose]\nfiles = [\"infra/stacks/*/*.yml\"]\n[addons]\nroots = []\n";
    let config = format!("{config}[targets.here]\nhost = \"local\"\nroot = \"opt\"\n{target}");
    project.file("audit/driftlock.toml", &config);
    project.file("srv/erp/docker-compose.yml", "services: {}\n");
    project
}

/// An engine with one container of Compose.
fn made_by_compose(directory: &str, files: &str, hash: &str) -> FakeEngine {
    let mut web = listed("web", "app:1", &id("a"), "running");
    let words = [
        ("config-hash", hash),
        ("project", "erp"),
        ("project.working_dir", directory),
        ("project.config_files", files),
    ];
    for (word, value) in words {
        web["Labels"][format!("com.docker.compose.{word}")] = json!(value);
    }
    FakeEngine::of(vec![web], vec![])
}

#[test]
fn labels_are_mapped_back_through_the_paths_of_a_target() {
    let project = with_target();
    let stack = project.root().join("srv/erp").display().to_string();
    let (file, elsewhere) = (format!("{stack}/docker-compose.yml"), "/home/me/compose.yml");
    let first = made_by_compose(&stack, &file, "1");
    assert_eq!(run(&project, &first.host(), &["export", "--target", "here", "--accept"]).code(), 0);
    let layer = |files: &str, hash: &str, name: &str| {
        let engine = made_by_compose(&stack, files, hash);
        let (_, report) = check(&project, &engine.host(), &["--target", "here"]);
        check_of(&report, name)["findings"][0]["layer"].clone()
    };
    for files in [file.as_str(), "docker-compose.yml", "erp/docker-compose.yml"] {
        assert_eq!(layer(files, "2", "compose_applied"), "applied from another file", "{files}");
    }
    assert_eq!(layer(elsewhere, "2", "compose_applied"), "unknown");
    project.file("srv/erp/docker-compose.yml", "services: {web: {}}\n");
    assert_eq!(layer(&file, "1", "compose_hashes"), "edited, not applied");
    assert_eq!(layer("erp/docker-compose.yml", "2", "compose_hashes"), "edited and applied");
    assert_eq!(layer(elsewhere, "2", "compose_hashes"), "unknown");
}

#[test]
fn the_way_back_of_a_container_names_its_compose_file_and_no_option_of_a_label() {
    let project = with_target();
    let stack = project.root().join("srv/erp").display().to_string();
    let file = format!("{stack}/docker-compose.yml");
    let first = made_by_compose(&stack, &file, "1");
    assert_eq!(run(&project, &first.host(), &["export", "--target", "here", "--accept"]).code(), 0);
    let second = made_by_compose(&stack, &file, "2");
    let (_, report) = check(&project, &second.host(), &["--target", "here"]);
    let back = &check_of(&report, "compose_applied")["findings"][0]["ways_out"][0];
    assert_eq!(back["when"], "undo");
    let command = back["command"].as_str().unwrap();
    assert!(command.starts_with(&format!("docker compose --file {file} --project-name ")), "{command}");
    assert!(command.ends_with(" --project-name erp up --detach web"), "{command}");

    let odd = |hash: &str| {
        let mut container = listed("odd", "app:1", &id("a"), "running");
        container["Labels"] = json!({"com.docker.compose.project": "erp", "com.docker.compose.config-hash": hash,
            "com.docker.compose.service": "--remove-orphans"});
        FakeEngine::of(vec![container], vec![])
    };
    let project = with_target();
    assert_eq!(run(&project, &odd("1").host(), &["export", "--target", "here", "--accept"]).code(), 0);
    let (_, report) = check(&project, &odd("2").host(), &["--target", "here"]);
    assert_eq!(check_of(&report, "compose_applied")["findings"][0]["ways_out"][0]["when"], "accept");
}
