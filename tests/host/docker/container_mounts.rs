//! What containers have mounted against what is on the host: held to what the containers themselves read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::dice::Dice;
use crate::support::docker::{LOCK, Stage, check_of};
use crate::support::engine::{FakeEngine, Reply};
use crate::support::random::seed;
use crate::support::{Ran, needs, status};

pub(crate) const MODULE: &str = "erp/mods/shop";
pub(crate) const FILE: &str = "erp/proxy/app.conf";

/// A stage with one release of a module and a file, both locked, at `erp`, which is a link.
pub(crate) fn released() -> Stage {
    released_beside(Stage::new())
}

/// The same beside another engine.
pub(crate) fn released_beside(stage: Stage) -> Stage {
    configure(&stage, "mode = \"required\"");
    release(&stage, "r1");
    symlink("r1", stage.project.path("erp")).unwrap();
    stage
}

pub(crate) fn configure(stage: &Stage, docker: &str) {
    let files = "[compose]\nfiles = []\n[addons]\nroots = [\"erp/mods\"]\n[files]\ninclude = [\"erp/proxy/*.conf\"]\n";
    let docker = format!("[docker]\n{docker}\ncontainers = [\"{}*\"]\n", stage.prefix);
    stage.project.file("audit/driftlock.toml", &format!("{files}{docker}"));
}

/// Puts a release beside the others: the same names, other bytes.
pub(crate) fn release(stage: &Stage, name: &str) {
    stage.project.file(&format!("{name}/mods/shop/__manifest__.py"), "{'name': 'shop'}\n");
    stage.project.file(&format!("{name}/mods/shop/order.py"), &format!("# of {name}\n"));
    stage.project.file(&format!("{name}/proxy/app.conf"), &format!("release {name}\n"));
}

/// Makes `name` what `erp` leads to.
pub(crate) fn switch(stage: &Stage, name: &str) {
    let next = stage.project.path("next");
    symlink(name, &next).unwrap();
    fs::rename(next, stage.project.path("erp")).unwrap();
}

/// Starts the container `web` with paths of the project mounted, and accepts all that is there.
pub(crate) fn start(stage: &Stage, mounts: &[(&str, &str)]) {
    let image = stage.image("app:1");
    let mounts = mounts.iter().map(|(path, at)| format!("-v{}:{at}", stage.project.path(path).display()));
    let mut mounts: Vec<String> = mounts.collect();
    // Podman gives containers more than a test machine may.
    mounts.extend(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"].map(str::to_owned));
    stage.start("web", &image, &mounts.iter().map(String::as_str).collect::<Vec<_>>());
    accept(stage);
}

pub(crate) fn accept(stage: &Stage) {
    stage.ok(&["export", "--accept"]);
}

/// The exit code of the check, and its findings as `DESTINATION CHANGE`.
pub(crate) fn mounts(stage: &Stage) -> (i32, Vec<String>) {
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    let findings = check_of(&report, "container_mounts")["findings"].as_array().unwrap().clone();
    let short = |it: &Value| it["subject"].as_str().unwrap().replace(&format!("{}-", stage.prefix), "");
    (code, findings.iter().map(|it| format!("{} {}", short(it), it["change"].as_str().unwrap())).collect())
}

pub(crate) fn stale(at: &str) -> (i32, Vec<String>) {
    (2, vec![format!("web:{at} stale")])
}

pub(crate) const FINE: (i32, Vec<String>) = (0, Vec::new());

pub(crate) fn restart(stage: &Stage) {
    stage.docker(&["restart", "-t", "0", &stage.name("web")]);
}

#[test]
fn a_link_that_is_switched_leaves_the_container_on_the_old_release() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    assert_eq!(mounts(&stage), FINE);
    release(&stage, "r2");
    switch(&stage, "r2");
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/mnt/addons"));
    let told = stage.run(&["check", "--only", "container_mounts"]).out();
    assert!(told.contains(&format!("[FAIL] Stale mount: {}:/mnt/addons", stage.name("web"))), "{told}");
    let root = stage.project.root().canonicalize().unwrap();
    let paths = format!("stale: expected {0}/r2/mods, found {0}/r1/mods", root.display());
    assert!(told.contains(&paths), "{told}");
    let way = told.lines().find_map(|line| line.trim().strip_prefix("undo: ")).unwrap();
    assert!(Command::new("sh").args(["-c", way]).status().unwrap().success(), "{way}");
    assert_eq!(mounts(&stage), FINE);
}

#[test]
fn a_file_that_is_replaced_leaves_the_container_on_the_old_one() {
    let stage = released();
    start(&stage, &[(FILE, "/etc/app.conf")]);
    assert_eq!(mounts(&stage), FINE);
    stage.project.file("new", "another\n");
    fs::rename(stage.project.path("new"), stage.project.path(FILE)).unwrap();
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/etc/app.conf"));
    restart(&stage);
    assert_eq!(mounts(&stage), FINE);
    stage.project.file(FILE, "written in place\n");
    accept(&stage);
    assert_eq!(mounts(&stage), FINE, "the container reads what was written");
}

#[test]
fn a_tree_that_makes_room_for_another_is_still_mounted() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    release(&stage, "r2");
    fs::rename(stage.project.path("r1/mods"), stage.project.path("r1/mods.backup")).unwrap();
    fs::rename(stage.project.path("r2/mods"), stage.project.path("r1/mods")).unwrap();
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/mnt/addons"));
    fs::remove_dir_all(stage.project.path("r1/mods.backup")).unwrap();
    assert_eq!(mounts(&stage), stale("/mnt/addons"), "nor does it matter whether it is there");
    restart(&stage);
    assert_eq!(mounts(&stage), FINE);
}

#[test]
fn a_source_that_is_gone_is_stale_and_a_restart_is_not_advised() {
    let stage = released();
    start(&stage, &[(FILE, "/etc/app.conf"), ("erp/mods", "/mnt/addons")]);
    fs::remove_file(stage.project.path(FILE)).unwrap();
    assert_eq!(mounts(&stage), stale("/etc/app.conf"));
    let told = stage.run(&["check", "--only", "container_mounts"]).out();
    assert!(
        told.contains("stale: expected nothing, found ") && told.contains("(deleted or replaced)"),
        "{told}"
    );
    assert!(!told.contains("docker restart") && !told.contains("driftlock accept"), "{told}");
}

#[test]
fn what_is_mounted_on_the_host_afterwards_is_seen_needs_root() {
    needs::root();
    let stage = released();
    release(&stage, "r2");
    for (over, at) in [("r2/mods", "r1/mods"), ("r2/mods/shop", "r1/mods/shop")] {
        start(&stage, &[("erp/mods", "/mnt/addons")]);
        let mounted = Bound::new(&stage.project.path(over), &stage.project.path(at));
        accept(&stage);
        let inside = if at.ends_with("shop") { "/mnt/addons/shop" } else { "/mnt/addons" };
        assert_eq!(mounts(&stage), stale(inside), "{over} over {at}");
        restart(&stage);
        assert_eq!(mounts(&stage), FINE, "{over} over {at}");
        drop(mounted);
        accept(&stage);
        assert_eq!(mounts(&stage), stale(inside), "{at} as it was");
        stage.remove("web");
    }
}

#[test]
fn what_a_container_has_more_than_the_host_is_seen_needs_root() {
    needs::root();
    let stage = released();
    stage.project.file("late/__manifest__.py", "{'name': 'late'}\n");
    fs::create_dir_all(stage.project.path("r1/mods/late")).unwrap();
    fs::create_dir_all(stage.project.path("r1/mods/shop/models")).unwrap();
    fs::create_dir_all(stage.project.path("r1/proxy/certs")).unwrap();
    // What is mounted when a container starts stays in it when the host has it no more.
    let only_inside = |at: &str| {
        let mounted = Bound::new(&stage.project.path("late"), &stage.project.path(at));
        start(&stage, &[("erp/mods", "/mnt/addons"), ("erp/proxy", "/etc/proxy")]);
        drop(mounted);
        accept(&stage);
        let found = mounts(&stage);
        stage.remove("web");
        found
    };
    assert_eq!(
        only_inside("r1/mods/late"),
        stale("/mnt/addons/late"),
        "a module beside those of the baseline"
    );
    assert_eq!(only_inside("r1/mods/shop/models"), stale("/mnt/addons/shop/models"), "files in a module");
    assert_eq!(only_inside("r1/proxy/certs"), FINE, "nothing that a module would have");
}

#[test]
fn a_volume_that_is_a_bind_counts_as_one() {
    let stage = released();
    let image = stage.image("app:1");
    let volume = stage.name("volume");
    let device = format!("device={}", stage.project.path("erp/mods").canonicalize().unwrap().display());
    stage.docker(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, &volume]);
    stage.start("web", &image, &["-v", &format!("{volume}:/mnt/addons")]);
    accept(&stage);
    let (_, report) = stage.check(&["--only", "container_mounts"]);
    let seen = check_of(&report, "container_mounts").clone();
    assert_eq!((&seen["status"], &seen["subjects"]), (&"PASS".into(), &1.into()), "{seen:#}");
    let locked = stage.locked("web")["mounts"].clone();
    assert_eq!(locked[0]["source"], Value::from(volume.as_str()), "{locked}");
    release(&stage, "r2");
    fs::rename(stage.project.path("r1/mods"), stage.project.path("r1/mods.backup")).unwrap();
    fs::rename(stage.project.path("r2/mods"), stage.project.path("r1/mods")).unwrap();
    let is_stale = mounts(&stage);
    stage.remove("web");
    stage.docker(&["volume", "rm", &volume]);
    assert_eq!(is_stale, stale("/mnt/addons"));
}

#[test]
fn mounts_are_locked_and_compared() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons:ro"), (FILE, "/etc/app.conf")]);
    let locked = stage.locked("web")["mounts"].to_string();
    let expected = "[{\"destination\":\"/etc/app.conf\",\"rw\":true,\"source\":\"erp/proxy/app.conf\",\"type\":\"bind\"},\
                    {\"destination\":\"/mnt/addons\",\"rw\":false,\"source\":\"erp/mods\",\"type\":\"bind\"}]";
    assert_eq!(locked, expected);
    let lock = stage.project.read(LOCK);
    let image = stage.name("app:1");
    let here = |path: &str| stage.project.path(path).display().to_string();
    let [mods, file, other] = [here("erp/mods"), here(FILE), here("erp/proxy")];
    let writable: &[String] = &[format!("-v{mods}:/mnt/addons"), format!("-v{file}:/etc/app.conf")];
    let elsewhere: &[String] = &[format!("-v{other}:/mnt/addons:ro"), format!("-v{file}:/etc/app.conf")];
    let fewer: &[String] = &[format!("-v{mods}:/mnt/addons:ro")];
    let more: &[String] = &[
        format!("-v{mods}:/mnt/addons:ro"),
        format!("-v{file}:/etc/app.conf"),
        "--mount=type=tmpfs,dst=/x".to_owned(),
    ];
    for (mounted, at) in
        [(writable, "/mnt/addons"), (elsewhere, "/mnt/addons"), (fewer, "/etc/app.conf"), (more, "/x")]
    {
        stage.recreate("web", &image, &mounted.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(mounts(&stage), (2, vec![format!("web:{at} config")]), "{mounted:?}");
    }
    let subject = format!("container_mounts/{}:/x", stage.name("web"));
    stage.run(&["check", "--quiet"]);
    stage.ok(&["accept", "--yes", "--reason", "meant", "--only", &subject]);
    assert_eq!(mounts(&stage), FINE);
    assert!(stage.project.read(LOCK).contains("tmpfs") && !lock.contains("tmpfs"));
}

#[test]
fn a_lock_file_without_mounts_stays_valid_and_hides_nothing() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let mut lock: Value = serde_json::from_str(&stage.project.read(LOCK)).unwrap();
    lock["images"][stage.name("web")].as_object_mut().unwrap().remove("mounts");
    stage.project.file(LOCK, &format!("{lock:#}\n"));
    assert_eq!(mounts(&stage), FINE);
    release(&stage, "r2");
    switch(&stage, "r2");
    assert_eq!(mounts(&stage), stale("/mnt/addons"));
}

#[test]
fn without_rights_the_mount_table_tells() {
    let stage = released();
    let image = stage.image("app:1");
    let mods = format!("-v{}:/mnt/addons", stage.project.path("erp/mods").display());
    // Nobody else may look into the directory of a volume, and it does not matter.
    stage.start("web", &image, &[&mods, "-v", "/var/lib/data"]);
    accept(&stage);
    release(&stage, "r2");
    stage.project.hand_over();
    let look = || {
        let args = ["check", "--only", "container_mounts", "--format", "json", "--output", "out"];
        let host = crate::support::docker::engine_socket();
        let door = FakeEngine::before(&host);
        for path in [door.socket(), door.socket().parent().unwrap().to_owned()] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let ran = stage.project.as_user_with(&args, &[("DOCKER_HOST", &door.host())]);
        (ran.code(), ran.report())
    };
    let (code, report) = look();
    assert_eq!((code, status(&report, "container_mounts").as_str()), (0, "PASS"), "{report:#}");
    assert!(report["coverage"].to_string().contains("without the rights"), "{:#}", report["coverage"]);
    switch(&stage, "r2");
    let (code, report) = look();
    assert_eq!((code, status(&report, "container_mounts").as_str()), (2, "FAIL"), "{report:#}");
}

/// The real engine's answer.
fn ask(path: &str) -> String {
    let real = crate::support::docker::engine_socket();
    let url = format!("http://engine{path}");
    let told = Command::new("curl").args(["-s", "--unix-socket"]).arg(&real).arg(url).output().unwrap();
    String::from_utf8(told.stdout).unwrap()
}

/// An engine that names another process as the container's.
fn liar(stage: &Stage, pid: u32) -> FakeEngine {
    let (list, images) = (ask("/containers/json?all=1"), ask("/images/json"));
    let id = stage.docker(&["inspect", "-f", "{{.Id}}", &stage.name("web")]);
    let mut inspected: Value = serde_json::from_str(&ask(&format!("/containers/{id}/json"))).unwrap();
    inspected["State"]["Pid"] = pid.into();
    let inspected = inspected.to_string();
    FakeEngine::new(move |path| match path.split('?').next().unwrap_or_default() {
        "/containers/json" => Reply::Body(200, list.clone()),
        "/images/json" => Reply::Body(200, images.clone()),
        _ => Reply::Body(200, inspected.clone()),
    })
}

#[test]
fn a_process_that_is_not_the_containers_is_not_believed() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let check = |engine: &FakeEngine, docker: &str| {
        let args = ["check", "--only", "container_mounts", "--docker", docker, "--format", "json"];
        let ran = Ran(stage.project.driftlock(&args).env("DOCKER_HOST", engine.host()).output().unwrap());
        (ran.code(), ran.report())
    };
    let engine = liar(&stage, std::process::id());
    let (code, report) = check(&engine, "required");
    let found = check_of(&report, "container_mounts");
    assert_eq!((code, &found["status"]), (1, &"ERROR".into()), "{report:#}");
    assert!(found["error"].as_str().unwrap().contains("the process that the engine names"), "{found:#}");
    let (code, report) = check(&engine, "auto");
    assert_eq!(status(&report, "container_mounts"), "SKIP", "{code} {report:#}");
    let engine = liar(&stage, 4_000_000);
    assert_eq!(status(&check(&engine, "required").1, "container_mounts"), "ERROR");
}

#[test]
fn a_process_with_a_root_of_its_own_is_not_believed_needs_root() {
    needs::root();
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    assert_eq!(mounts(&stage), FINE);
    let copy = "/bin/busybox mkdir -p /jail/bin && /bin/busybox cp /bin/busybox /jail/bin && \
                exec /bin/busybox chroot /jail /bin/busybox sleep 601";
    stage.docker(&["exec", "-d", &stage.name("web"), "/bin/busybox", "sh", "-c", copy]);
    let is_it = |line: &str| line.trim().ends_with(" /bin/busybox sleep 601") && !line.contains("mkdir");
    crate::support::wait_until(|| {
        stage.docker(&["top", &stage.name("web"), "-eo", "pid,args"]).lines().any(is_it)
    });
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    let found = check_of(&report, "container_mounts");
    assert_eq!((code, &found["status"]), (1, &"ERROR".into()), "{report:#}");
    assert!(found["error"].as_str().unwrap().contains("a root of its own"), "{found:#}");
}

#[test]
fn what_lies_over_a_part_of_a_mount_is_seen_whatever_else_is_mounted_needs_root() {
    needs::root();
    let stage = released();
    stage.project.file("data/x", "1\n");
    release(&stage, "r2");
    let mounted = [("data", "/m"), ("erp/mods", "/m/mods")];
    start(&stage, &mounted);
    let over = Bound::new(&stage.project.path("r2/mods/shop"), &stage.project.path("r1/mods/shop"));
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/m/mods/shop"));
    drop(over);
    stage.remove("web");
    let image = stage.name("app:1");
    let here = |path: &str| stage.project.path(path).display().to_string();
    let mods = format!("-v{}:/m", here("erp/mods"));
    // A tmpfs over what is locked, and one over what is not.
    fs::create_dir_all(stage.project.path("erp/mods/shop/__pycache__")).unwrap();
    stage.start("web", &image, &[&mods, "--tmpfs", "/m/shop"]);
    accept(&stage);
    assert_eq!(mounts(&stage), stale("/m/shop"));
    let told = stage.run(&["check", "--only", "container_mounts"]).out();
    assert!(told.contains("layer: a tmpfs") && !told.contains("docker restart"), "{told}");
    stage.recreate("web", &image, &[&mods, "--tmpfs", "/m/shop/__pycache__"]);
    accept(&stage);
    assert_eq!(mounts(&stage), FINE);
    // Another mount of the engine is part of the baseline, and worth a word.
    let other = format!("-v{}:/m/shop", here("r2/mods/shop"));
    stage.recreate("web", &image, &[&mods, &other]);
    accept(&stage);
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    let notes = check_of(&report, "container_mounts")["notes"].to_string();
    assert!(code == 0 && notes.contains("/m/shop has ") && notes.contains("r2/mods/shop"), "{report:#}");
    // A baseline that says nothing of mounts does not have it.
    let mut lock: Value = serde_json::from_str(&stage.project.read(LOCK)).unwrap();
    lock["images"][stage.name("web")].as_object_mut().unwrap().remove("mounts");
    stage.project.file(LOCK, &format!("{lock:#}\n"));
    assert_eq!(mounts(&stage), stale("/m/shop"));
}

#[test]
fn an_engine_on_another_machine_is_not_believed_whatever_its_paths_are() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let elsewhere = |mut told: Value| {
        for mount in told["Mounts"].as_array_mut().into_iter().flatten() {
            mount["Source"] = "/srv/elsewhere".into();
        }
        told["State"]["Pid"] = 4_000_000.into();
        told
    };
    let ask = |path: &str| -> Value { serde_json::from_str(&ask(path)).unwrap() };
    let mut list = ask("/containers/json?all=1");
    for row in list.as_array_mut().unwrap() {
        for mount in row["Mounts"].as_array_mut().into_iter().flatten() {
            mount["Source"] = "/srv/elsewhere".into();
        }
    }
    let id = stage.docker(&["inspect", "-f", "{{.Id}}", &stage.name("web")]);
    let inspected = elsewhere(ask(&format!("/containers/{id}/json"))).to_string();
    let (list, images) = (list.to_string(), ask("/images/json").to_string());
    let engine = FakeEngine::new(move |path| match path.split('?').next().unwrap_or_default() {
        "/containers/json" => Reply::Body(200, list.clone()),
        "/images/json" => Reply::Body(200, images.clone()),
        _ => Reply::Body(200, inspected.clone()),
    });
    let args = ["check", "--only", "container_mounts", "--format", "json"];
    let ran = Ran(stage.project.driftlock(&args).env("DOCKER_HOST", engine.host()).output().unwrap());
    assert_eq!(
        (ran.code(), status(&ran.report(), "container_mounts").as_str()),
        (1, "ERROR"),
        "{}",
        ran.out()
    );
}

#[test]
fn a_container_that_is_gone_when_it_is_inspected_does_not_pass() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let (list, images) = (ask("/containers/json?all=1"), ask("/images/json"));
    let engine = FakeEngine::new(move |path| match path.split('?').next().unwrap_or_default() {
        "/containers/json" => Reply::Body(200, list.clone()),
        "/images/json" => Reply::Body(200, images.clone()),
        _ => Reply::Body(404, "{\"message\": \"No such container\"}".to_owned()),
    });
    let ran = Ran(stage.project.driftlock(&["check"]).env("DOCKER_HOST", engine.host()).output().unwrap());
    assert!(ran.code() == 2 && ran.out().contains("Image drift"), "{}", ran.out());
}

#[test]
fn mounts_that_an_engine_does_not_list_are_not_taken_for_none() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let mut lock: Value = serde_json::from_str(&stage.project.read(LOCK)).unwrap();
    lock["images"][stage.name("web")].as_object_mut().unwrap().remove("mounts");
    stage.project.file(LOCK, &format!("{lock:#}\n"));
    let checked = |state: &str| {
        let mut list: Value = serde_json::from_str(&ask("/containers/json?all=1")).unwrap();
        for row in list.as_array_mut().unwrap() {
            (row["Mounts"], row["State"]) = (Value::Null, state.into());
        }
        let (list, images) = (list.to_string(), ask("/images/json"));
        let engine = FakeEngine::new(move |path| match path.split('?').next().unwrap_or_default() {
            "/containers/json" => Reply::Body(200, list.clone()),
            "/images/json" => Reply::Body(200, images.clone()),
            _ => Reply::Body(404, "{\"message\": \"No such container\"}".to_owned()),
        });
        let args = ["check", "--only", "container_mounts", "--format", "json"];
        Ran(stage.project.driftlock(&args).env("DOCKER_HOST", engine.host()).output().unwrap()).report()
    };
    let running = checked("running");
    assert_eq!(status(&running, "container_mounts"), "ERROR", "{running:#}");
    assert!(running.to_string().contains("the engine does not list its mounts"), "{running:#}");
    let ended = checked("exited");
    assert_eq!(status(&ended, "container_mounts"), "SKIP", "{ended:#}");
    assert!(
        ended["coverage"].to_string().contains("mounts not compared: the engine does not list them"),
        "{ended:#}"
    );
}

#[test]
fn a_link_inside_a_mount_is_followed_as_the_container_follows_it() {
    let stage = released();
    release(&stage, "r2");
    let here = |path: &str| stage.project.root().canonicalize().unwrap().join(path).display().to_string();
    fs::remove_file(stage.project.path("erp")).unwrap();
    symlink(here("r1"), stage.project.path("erp")).unwrap();
    let image = stage.image("app:1");
    let whole = format!("-v{}:/proj", here(""));
    stage.start("web", &image, &[&whole, &format!("-v{}:{}", here("r2"), here("r1"))]);
    accept(&stage);
    let (code, found) = mounts(&stage);
    assert!(code == 2 && found.contains(&"web:/proj/erp/mods/shop stale".to_owned()), "{found:?}");
    stage.recreate("web", &image, &[&whole, &format!("-v{}:{}", here("r1"), here("r1"))]);
    accept(&stage);
    assert_eq!(mounts(&stage), FINE);
}

#[test]
fn paths_that_are_not_locked_do_not_matter() {
    let stage = released();
    stage.project.file("data/db", "1\n");
    start(&stage, &[("data", "/var/lib/db")]);
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    assert_eq!(
        (code, check_of(&report, "container_mounts")["subjects"].as_i64()),
        (0, Some(1)),
        "{report:#}"
    );
    fs::rename(stage.project.path("data"), stage.project.path("data.old")).unwrap();
    stage.project.file("data/db", "2\n");
    assert_eq!(mounts(&stage), FINE);
}

/// A bind mount of this machine, which ends with the test.
pub(crate) struct Bound(PathBuf);

impl Bound {
    pub(crate) fn new(what: &Path, at: &Path) -> Self {
        let bound = Command::new("mount").arg("--bind").arg(what).arg(at).status().unwrap();
        assert!(bound.success());
        Self(at.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A number from a variable of the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Deploys something in one of the ways in which people do. What is written differs each time.
pub(crate) fn deploy(stage: &Stage, way: usize, count: usize) {
    let path = |path: &str| stage.project.path(path);
    let text = format!("# {count}\n");
    let replace = |file: &str| {
        stage.project.file("next.tmp", &text);
        fs::rename(path("next.tmp"), path(file)).unwrap();
    };
    match way {
        0 => stage.project.file(FILE, &text),
        1 => replace(FILE),
        2 => {
            let name = format!("release{count}");
            release(stage, &name);
            switch(stage, &name);
        }
        3 => {
            release(stage, &format!("tree{count}"));
            fs::rename(path("erp/mods"), path(&format!("old{count}"))).unwrap();
            fs::rename(path(&format!("tree{count}/mods")), path("erp/mods")).unwrap();
        }
        4 => {
            fs::rename(path("erp/mods"), path("aside")).unwrap();
            fs::rename(path("aside"), path("erp/mods")).unwrap();
        }
        5 => replace("erp/mods/shop/order.py"),
        6 => {
            fs::remove_dir_all(path(MODULE)).unwrap();
            stage.project.file("erp/mods/shop/__manifest__.py", "{'name': 'shop'}\n");
            stage.project.file("erp/mods/shop/order.py", &text);
        }
        7 => {
            stage.project.file("erp/mods/shop/order.py", &text);
            stage.project.file(&format!("erp/mods/shop/added{count}.py"), &text);
        }
        8 => switch(stage, "r1"),
        _ => restart(stage),
    }
}

/// What is read below a path, by `find` and `sha256sum` with another program before them.
pub(crate) fn read_below(program: &str, before: &[&str], path: &str) -> Vec<String> {
    let find = ["/bin/busybox", "find", path, "-type", "f", "-exec", "/bin/busybox", "sha256sum", "{}", ";"];
    let args: Vec<&str> = before.iter().chain(&find).copied().collect();
    let (program, args) = if program.is_empty() { (args[0], &args[1..]) } else { (program, &args[..]) };
    let told = Command::new(program).args(args).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut lines: Vec<String> = told.lines().map(|line| line.replacen(path, "", 1)).collect();
    lines.sort();
    lines
}

/// The paths that a container of a trial may have mounted, and where.
pub(crate) const MOUNTED: [(&str, &str); 4] = [
    ("erp/mods", "/mnt/addons"),
    (FILE, "/etc/app.conf"),
    ("erp/proxy", "/etc/proxy"),
    (MODULE, "/mnt/shop"),
];

/// Starts the container of a trial with these of them, in place of the one before, and accepts what is there.
pub(crate) fn start_with(stage: &Stage, image: &str, mounted: &[(&str, &str)], is_anew: bool) {
    let option = |(path, at): &(&str, &str)| format!("-v{}:{at}", stage.project.path(path).display());
    let options: Vec<String> = mounted.iter().map(option).collect();
    if is_anew {
        stage.remove("web");
    }
    stage.start("web", image, &options.iter().map(String::as_str).collect::<Vec<_>>());
    accept(stage);
}

#[test]
fn random_deploys_are_judged_as_the_container_reads_them() {
    let mut dice = Dice(seed());
    let stage = released();
    let image = stage.image("app:1");
    let (mut told, mut silent) = (0, 0);
    for trial in 0..number("DRIFTLOCK_TRIALS").unwrap_or(6) {
        let chosen: Vec<_> = MOUNTED.into_iter().filter(|_| dice.roll(2) == 0).collect();
        let chosen = if chosen.is_empty() { MOUNTED[..1].to_vec() } else { chosen };
        start_with(&stage, &image, &chosen, trial > 0);
        let mut ways = Vec::new();
        for step in 0..=dice.roll(4) {
            let way = dice.roll(11);
            ways.push(way);
            deploy(&stage, way, usize::try_from(trial).unwrap() * 10 + step);
        }
        let name = stage.name("web");
        let differs = |(path, at): &&(&str, &str)| {
            let here = fs::canonicalize(stage.project.path(path)).unwrap();
            read_below("", &[], here.to_str().unwrap()) != read_below("docker", &["exec", &name], at)
        };
        let mut expected: Vec<String> =
            chosen.iter().filter(differs).map(|(_, at)| format!("web:{at} stale")).collect();
        expected.sort();
        let (_, found) = mounts(&stage);
        assert_eq!(found, expected, "trial {trial}: {chosen:?}, ways {ways:?}");
        told += expected.len();
        silent += chosen.len() - expected.len();
    }
    println!("{told} stale mounts and {silent} others");
}

/// Runs git at the project's root.
fn git(stage: &Stage, args: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(args);
    assert!(git.current_dir(stage.project.root()).output().unwrap().status.success(), "{args:?}");
}

#[test]
fn what_a_container_still_has_is_told_file_by_file_with_its_release_needs_root() {
    needs::root();
    let stage = released();
    still_has(&stage, &[]);
}

/// Starts a container beside a release and replaces that by the next: what a check with these arguments tells of the files
/// that the container still has is what the container reads.
pub(crate) fn still_has(stage: &Stage, args: &[&str]) {
    git(stage, &["init", "-q"]);
    git(stage, &["add", "--all"]);
    git(stage, &["commit", "-q", "-m", "18.6"]);
    git(stage, &["tag", "v18.6"]);
    start(
        stage,
        &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf"), ("erp/mods/shop/order.py", "/one.py")],
    );
    // A tree that makes room for the next release, as deploy tools do.
    release(stage, "r2");
    for part in ["mods", "proxy"] {
        fs::rename(stage.project.path(&format!("r1/{part}")), stage.project.path(&format!("old-{part}")))
            .unwrap();
        fs::rename(stage.project.path(&format!("r2/{part}")), stage.project.path(&format!("r1/{part}")))
            .unwrap();
    }
    git(stage, &["add", "r1", "audit"]);
    git(stage, &["commit", "-q", "-m", "18.7"]);
    git(stage, &["tag", "v18.7"]);
    accept(stage);
    let (code, report) = stage.check(&[&["--only", "container_mounts"], args].concat());
    let findings = check_of(&report, "container_mounts")["findings"].clone();
    let told = |at: usize| {
        let files = findings[at]["files"].as_array().unwrap();
        let files: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
        (files, findings[at]["still_runs"].as_str())
    };
    assert_eq!(code, 2);
    assert_eq!(told(0), (vec!["erp/proxy/app.conf"], Some("v18.6")), "{findings:#}");
    for at in [1, 2] {
        assert_eq!(told(at), (vec!["erp/mods/shop/order.py"], Some("v18.6")), "{findings:#}");
    }
    let held = stage.docker(&["exec", &stage.name("web"), "/bin/busybox", "sha256sum", "/one.py"]);
    assert_eq!(
        findings[2]["files"][0]["actual"].as_str(),
        held.split(' ').next(),
        "as the container reads it"
    );
    let text = stage.run(&[&["check", "--only", "container_mounts"], args].concat()).out();
    assert!(text.contains("still runs v18.6") && text.contains("erp/mods/shop/order.py"), "{text}");
}

#[test]
fn a_link_in_a_container_never_leads_to_a_file_of_the_host_needs_root() {
    needs::root();
    let stage = released();
    leads_nowhere(&stage, &[]);
}

/// What a container has at a locked path is a link by the name of a file of the host: a check with these arguments does not
/// read that.
pub(crate) fn leads_nowhere(stage: &Stage, args: &[&str]) {
    let secret = stage.project.path("secret");
    fs::write(&secret, "root of the host\n").unwrap();
    start(stage, &[("erp/proxy", "/etc/proxy")]);
    // What the container has at the locked path leads to the host's file by name, and in it nowhere.
    fs::remove_file(stage.project.path(FILE)).unwrap();
    symlink(&secret, stage.project.path(FILE)).unwrap();
    release(stage, "r2");
    switch(stage, "r2");
    let (code, report) = stage.check(&[&["--only", "container_mounts"], args].concat());
    let found = check_of(&report, "container_mounts")["findings"][0].clone();
    assert_eq!((code, &found["change"]), (2, &"stale".into()), "{report:#}");
    assert_eq!(found["files"][0]["kind"], "unreadable", "{found:#}");
    let digest = Command::new("sha256sum").arg(&secret).output().unwrap().stdout;
    let digest = String::from_utf8_lossy(&digest)[..64].to_owned();
    assert!(!report.to_string().contains(&digest), "{report:#}");
}

/// The report of the check alone.
fn report(stage: &Stage) -> (i32, Value) {
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    (code, check_of(&report, "container_mounts").clone())
}

#[test]
fn who_uses_what_is_told_and_what_nobody_has() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let (code, check) = report(&stage);
    let used =
        serde_json::json!([{"place": "erp/mods", "container": stage.name("web"), "path": "/mnt/addons"}]);
    assert_eq!((code, &check["uses"]), (0, &used), "{check:#}");
    let note = "no container of the baseline has erp/proxy/app.conf";
    assert!(check["notes"].to_string().contains(note), "{check:#}");
    let told = stage.run(&["explain", "shop/order.py"]).out();
    assert!(told.contains(&format!("used by {} at /mnt/addons/shop/order.py", stage.name("web"))), "{told}");
    let page = stage.run(&["check", "--format", "html"]).out();
    assert!(page.contains(&format!("erp/mods is used by {} at /mnt/addons", stage.name("web"))));
    configure(&stage, "mode = \"required\"\nunused = \"fail\"");
    assert_eq!(mounts(&stage), (2, vec!["erp/proxy/app.conf unused".to_owned()]));
    let told = stage.run(&["check", "--only", "container_mounts"]).out();
    assert!(
        told.contains("[FAIL] Unused: erp/proxy/app.conf") && !told.contains("driftlock accept"),
        "{told}"
    );
    // Nothing is said of what cannot be known, and with fail it is no PASS.
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    let (code, check) = report(&stage);
    assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{check:#}");
    configure(&stage, "mode = \"required\"\nunused = \"ignore\"");
    let (_, check) = report(&stage);
    assert!(!check.to_string().contains("app.conf"), "{check:#}");
}

/// Writes a file in place after its container has started: a check with these arguments tells that.
pub(crate) fn change_in_place(stage: &Stage, args: &[&str]) {
    // The second of a start is no later than that.
    let started = chrono::Utc::now().timestamp();
    crate::support::wait_until(|| chrono::Utc::now().timestamp() > started + 1);
    stage.project.file("erp/mods/shop/order.py", "# written in place\n");
    accept(stage);
    let (code, report) = stage.check(&[&["--only", "container_mounts"], args].concat());
    let check = check_of(&report, "container_mounts");
    let notes = check["notes"].to_string();
    assert_eq!(code, 0, "{check:#}");
    assert!(
        notes.contains(":/mnt/addons was not restarted: started 2")
            && notes.contains("erp/mods/shop/order.py changed 2"),
        "{notes}"
    );
}

#[test]
fn a_container_that_was_not_restarted_since_a_change_is_told() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf")]);
    let quiet = |check: &Value| !check["notes"].to_string().contains("was not restarted");
    assert!(quiet(&report(&stage).1));
    change_in_place(&stage, &[]);
    configure(&stage, "mode = \"required\"\nnot_restarted = \"fail\"");
    assert_eq!(mounts(&stage), (2, vec!["web:/mnt/addons not_restarted".to_owned()]));
    let prints = |stage: &Stage| report(stage).1["findings"][0]["fingerprint"].clone();
    let before = prints(&stage);
    let told = stage.run(&["check", "--only", "container_mounts"]).out();
    assert!(told.contains(&format!("[FAIL] Not restarted: {}:/mnt/addons", stage.name("web"))), "{told}");
    stage.project.file("erp/mods/shop/order.py", "# once more\n");
    assert_eq!(prints(&stage), before, "no figure is part of it");
    let way = told.lines().find_map(|line| line.trim().strip_prefix("undo: ")).unwrap();
    assert!(Command::new("sh").args(["-c", way]).status().unwrap().success(), "{way}");
    assert_eq!(mounts(&stage), FINE);
}

#[test]
fn selftest_proves_that_mounts_and_networks_are_compared() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons")]);
    let told = stage.ok(&["selftest"]).out();
    for what in ["a container has lost a mount", "a container has left a network"] {
        assert!(told.contains(&format!("[PASS] {what}")), "{told}");
    }
}
