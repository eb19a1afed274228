//! What looking at containers meets on real machines: containers that go away meanwhile, odd names, many mounts, images without a shell.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::container_contents::{baked, made, of_image, shell};
use super::container_mounts::{FINE, accept, mounts, release, released, restart, switch};
use crate::support::docker::{Stage, check_of, engine_socket};
use crate::support::engine::{FakeEngine, Reply};
use crate::support::{Ran, needs};

/// A door to the engine at which something is done to the container `web` before its inspection of that number.
fn door(stage: &Stage, number: usize, action: &'static [&'static str]) -> FakeEngine {
    let (web, socket) = (stage.name("web"), engine_socket());
    let id = stage.docker(&["inspect", "-f", "{{.Id}}", &web]);
    let count = AtomicUsize::new(0);
    FakeEngine::new(move |path| {
        let inspected = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json"));
        if inspected.is_some_and(|it| it == id || it == web)
            && count.fetch_add(1, Ordering::SeqCst) + 1 == number
        {
            let done = Command::new("docker").args(action).arg(&web).stdout(Stdio::null()).status().unwrap();
            assert!(done.success(), "{action:?}");
        }
        Reply::PassOn(socket.clone())
    })
}

#[test]
fn a_container_that_ends_while_it_is_looked_at_never_passes() {
    let stage = baked();
    let (web, image) = (stage.name("web"), stage.name("app:2"));
    stage.docker(&["commit", &web, &image]);
    let mods = format!("-v{}:/mods", stage.project.path("erp/mods").display());
    let actions: [&[&str]; 2] = [&["rm", "-f"], &["kill"]];
    for action in actions {
        for number in 1..=3 {
            stage.recreate("web", &image, &[&mods]);
            accept(&stage);
            let engine = door(&stage, number, action);
            let args = ["check", "--format", "json"];
            let ran = Ran(stage.project.driftlock(&args).env("DOCKER_HOST", engine.host()).output().unwrap());
            let report = ran.report();
            // What was seen to its end while the container ran is as it was seen.
            let is_seen = check_of(&report, "container_mounts")["status"] == "PASS"
                && check_of(&report, "container_contents")["status"] == "PASS";
            if number == 1 || !is_seen {
                assert_ne!(ran.code(), 0, "{action:?} at {number}: {report:#}");
            }
        }
    }
}

#[test]
fn whatever_a_path_is_called_its_mount_is_found() {
    let stage = released();
    let before = stage.project.read("audit/driftlock.toml");
    let before = before.replace("include = [", "include = [\"odd/**\", ");
    stage.project.file("audit/driftlock.toml", &before);
    let names = [
        "a b",
        "tab\there",
        "back\\slash",
        "octal\\040not",
        "deleted",
        "x (deleted)",
        "line\nfeed",
        "ümlaut",
        "h#sh",
        "-dash",
        "\\134",
    ];
    let path = |name: &str| format!("odd/{name}/deleted");
    let mut options = Vec::new();
    for (at, name) in names.iter().enumerate() {
        stage.project.file(&path(name), "1\n");
        options.push(format!("-v{}:/odd/{at}", stage.project.path(&path(name)).display()));
        options.push(format!("-v{}:/dir/{at}", stage.project.path(&format!("odd/{name}")).display()));
    }
    let image = stage.image("app:1");
    stage.start("web", &image, &options.iter().map(String::as_str).collect::<Vec<_>>());
    accept(&stage);
    assert_eq!(mounts(&stage), FINE);
    for (at, name) in names.iter().enumerate() {
        let next = stage.project.path("next");
        fs::write(&next, "2\n").unwrap();
        fs::rename(next, stage.project.path(&path(name))).unwrap();
        accept(&stage);
        assert_eq!(mounts(&stage), (2, vec![format!("web:/odd/{at} stale")]), "{name:?}");
        restart(&stage);
        assert_eq!(mounts(&stage), FINE, "{name:?}");
    }
    for (at, name) in names.iter().enumerate() {
        let here = stage.project.path(&format!("odd/{name}"));
        fs::rename(&here, stage.project.path("aside")).unwrap();
        fs::create_dir(&here).unwrap();
        fs::copy(stage.project.path("aside/deleted"), here.join("deleted")).unwrap();
        fs::remove_dir_all(stage.project.path("aside")).unwrap();
        let (_, found) = mounts(&stage);
        assert!(found.contains(&format!("web:/dir/{at} stale")), "{name:?}: {found:?}");
        restart(&stage);
        assert_eq!(mounts(&stage), FINE, "{name:?}");
    }
}

#[test]
fn five_hundred_mounts_are_all_looked_at() {
    let stage = released();
    let proxy = stage.project.path("erp/proxy");
    let options: Vec<String> = (0..500).map(|at| format!("-v{}:/m/{at}", proxy.display())).collect();
    let image = stage.image("app:1");
    stage.start("web", &image, &options.iter().map(String::as_str).collect::<Vec<_>>());
    accept(&stage);
    let (code, report) = stage.check(&["--only", "container_mounts"]);
    assert_eq!((code, check_of(&report, "container_mounts")["subjects"].as_u64()), (0, Some(500)));
    release(&stage, "r2");
    switch(&stage, "r2");
    let (code, found) = mounts(&stage);
    assert_eq!((code, found.len()), (2, 500));
}

#[test]
fn an_image_without_any_program_is_read() {
    let stage = baked();
    let image = stage.name("bare:1");
    let root = stage.project.path("bare");
    let import = |stage: &Stage| {
        let line = "tar -C \"$1\" -cf - . | docker import - \"$2\"";
        let done = Command::new("sh")
            .args(["-c", line, "sh"])
            .arg(&root)
            .arg(stage.name("bare:1"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    for (from, to) in [("r1/mods/shop", "bare/mnt/addons/shop"), ("r1/proxy", "bare/etc/proxy")] {
        fs::create_dir_all(stage.project.path(to)).unwrap();
        for file in fs::read_dir(stage.project.path(from)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), stage.project.path(to).join(file.file_name())).unwrap();
        }
    }
    import(&stage);
    assert_eq!(of_image(&stage, &image, &[]), (0, vec![]));
    stage.project.file("bare/mnt/addons/shop/order.py", "# another\n");
    import(&stage);
    assert_eq!(of_image(&stage, &image, &[]), (2, vec!["/mnt/addons/shop modified".to_owned()]));
    assert_eq!(made(&stage, &image), "");
    stage.docker(&["rmi", "-f", &image]);
}

#[test]
fn a_link_to_the_root_in_a_container_leads_to_its_own_root_needs_root() {
    needs::root();
    let stage = baked();
    // By this way the host has exactly what the baseline has, and the container has not.
    let here = stage.project.root().canonicalize().unwrap().join("r1/mods").display().to_string();
    shell(
        &stage,
        &format!(
            "/bin/busybox rm -r /mnt/addons && /bin/busybox ln -s /proc/1/root/proc/self/root{here} /mnt/addons"
        ),
    );
    for args in [&[][..], &["--only", "container_contents"]] {
        let (code, report) = stage.check(args);
        let check = check_of(&report, "container_contents");
        assert!(code != 0 && check["status"] != "PASS", "{check:#}");
    }
    shell(&stage, "/bin/busybox rm /mnt/addons && /bin/busybox ln -s / /mnt/addons");
    let (code, report) = stage.check(&["--only", "container_contents"]);
    assert!(code != 0 && check_of(&report, "container_contents")["status"] != "PASS", "{report:#}");
}
