//! Files inside containers against the baseline, on a real engine; nothing is ever changed by looking.

use serde_json::Value;

use super::container_mounts::{accept, release, released};
use crate::support::docker::{Stage, check_of, engine_socket};
use crate::support::engine::{FakeEngine, Reply};
use crate::support::{Ran, needs};

/// A stage whose container `web` has the released module and file of its own.
pub(crate) fn baked() -> Stage {
    baked_beside(released(), &[])
}

/// The same beside another engine, where containers need these options.
pub(crate) fn baked_beside(stage: Stage, options: &[&str]) -> Stage {
    let before = stage.project.read("audit/driftlock.toml");
    let contents = |container: &str, path: &str, is: &str| {
        format!("\n[[docker.contents]]\ncontainer = \"{container}\"\npath = \"{path}\"\nis = \"{is}\"\n")
    };
    let web = stage.name("web*");
    let both = contents(&web, "/mnt/addons", "erp/mods") + &contents(&web, "/etc/proxy", "erp/proxy");
    stage.project.file("audit/driftlock.toml", &format!("{before}{both}"));
    let image = stage.image("app:1");
    stage.start("web", &image, options);
    let web = stage.name("web");
    shell(&stage, "/bin/busybox mkdir -p /mnt /etc");
    for (from, to) in [("r1/mods", "/mnt/addons"), ("r1/proxy", "/etc/proxy")] {
        stage.docker(&["cp", stage.project.path(from).to_str().unwrap(), &format!("{web}:{to}")]);
    }
    accept(&stage);
    stage
}

/// Runs a line of shell in the container `web`.
pub(crate) fn shell(stage: &Stage, line: &str) -> String {
    stage.docker(&["exec", &stage.name("web"), "/bin/busybox", "sh", "-c", line])
}

/// The exit code of the check, and its findings as `PATH KIND`.
fn contents(stage: &Stage) -> (i32, Vec<String>) {
    contents_by(stage, &[])
}

/// The same of a check with more arguments.
pub(crate) fn contents_by(stage: &Stage, args: &[&str]) -> (i32, Vec<String>) {
    let (code, report) = stage.check(&[&["--only", "container_contents"], args].concat());
    let findings = check_of(&report, "container_contents")["findings"].as_array().unwrap().clone();
    let word = |it: &Value, key: &str| it[key].as_str().unwrap_or("-").to_owned();
    let short = |it: &Value| word(it, "subject").replace(&format!("{}-web:", stage.prefix), "");
    (code, findings.iter().map(|it| format!("{} {}", short(it), word(it, "kind"))).collect())
}

fn error(stage: &Stage) -> String {
    let (code, report) = stage.check(&["--only", "container_contents"]);
    let check = check_of(&report, "container_contents").clone();
    assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{report:#}");
    check["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_engine_that_is_away_is_never_a_pass() {
    let stage = baked();
    for (mode, code, status) in [("required", 1, "ERROR"), ("auto", 0, "SKIP")] {
        let args = [
            "check",
            "--format",
            "json",
            "--docker",
            mode,
            "--only",
            "container_contents",
            "--only",
            "config_hashes",
        ];
        let mut command = stage.project.driftlock(&args);
        let ran = Ran(command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap());
        let report = ran.report();
        assert_eq!(
            (ran.code(), &check_of(&report, "container_contents")["status"]),
            (code, &status.into()),
            "{report:#}"
        );
    }
}

/// What the engine has of this stage, and what the container wrote.
pub(crate) fn engine(stage: &Stage) -> String {
    let list = |args: &[&str]| {
        let told = stage.docker(args);
        // The engine lists what was made at the same moment in any order.
        let mut own: Vec<&str> = told.lines().filter(|line| line.contains(&stage.prefix)).collect();
        own.sort_unstable();
        own.join("\n")
    };
    let containers = list(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Status}}"]);
    let images = list(&["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]);
    let volumes = list(&["volume", "ls", "-q"]);
    let wrote = stage.docker(&["diff", &stage.name("web")]);
    let mut wrote: Vec<&str> = wrote.lines().collect();
    wrote.sort_unstable();
    let count = |what: &str| {
        stage.docker(&[what, "ls", "-q"]).lines().filter(|it| it.starts_with(&stage.prefix)).count()
    };
    // A status says for how long.
    let states: Vec<String> =
        containers.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    format!("{states:?} {images} {volumes} {wrote:?} {}", count("volume"))
}

/// Makes each change in the container, asks `found` for its exit code and findings, and takes the change back.
pub(crate) fn each_change(stage: &Stage, found: impl Fn() -> (i32, Vec<String>)) {
    for (change, expected, back) in [
        (
            "echo x >>/mnt/addons/shop/order.py",
            "/mnt/addons/shop modified",
            "echo '# of r1' >/mnt/addons/shop/order.py",
        ),
        (
            "echo x >/mnt/addons/shop/more.py",
            "/mnt/addons/shop modified",
            "/bin/busybox rm /mnt/addons/shop/more.py",
        ),
        (
            "/bin/busybox mv /mnt/addons/shop /shop",
            "/mnt/addons/shop missing",
            "/bin/busybox mv /shop /mnt/addons/shop",
        ),
        (
            "/bin/busybox cp -r /mnt/addons/shop /mnt/addons/till",
            "/mnt/addons/till unexpected",
            "/bin/busybox rm -r /mnt/addons/till",
        ),
        (
            "echo x >/etc/proxy/app.conf",
            "/etc/proxy/app.conf modified",
            "echo 'release r1' >/etc/proxy/app.conf",
        ),
        (
            "echo x >/etc/proxy/more.conf",
            "/etc/proxy/more.conf unexpected",
            "/bin/busybox rm /etc/proxy/more.conf",
        ),
    ] {
        shell(stage, change);
        assert_eq!(found(), (2, vec![expected.to_owned()]), "{change}");
        shell(stage, back);
        assert_eq!(found(), (0, vec![]), "{back}");
    }
}

#[test]
fn what_is_inside_a_container_is_held_against_the_same_baseline_needs_root() {
    needs::root();
    let stage = baked();
    let before = engine(&stage);
    assert_eq!(contents(&stage), (0, vec![]));
    let (_, report) = stage.check(&[]);
    assert_eq!(check_of(&report, "container_contents")["subjects"], 2);
    assert_eq!(engine(&stage), before, "looking changes nothing");
    each_change(&stage, || contents(&stage));
    // What is locked anew is what the container should have from then on.
    shell(&stage, "echo x >>/mnt/addons/shop/order.py");
    let told = stage.run(&["check", "--only", "container_contents"]).out();
    let line = format!("[FAIL] Container content drift: {}:/mnt/addons/shop", stage.name("web"));
    assert!(
        told.contains(&line) && told.contains("order.py") && !told.contains("driftlock accept"),
        "{told}"
    );
    let digest = shell(&stage, "/bin/busybox sha256sum /mnt/addons/shop/order.py");
    let (_, report) = stage.check(&["--only", "container_contents"]);
    let found = check_of(&report, "container_contents")["findings"][0]["files"][0].clone();
    assert_eq!(found["actual"].as_str(), digest.split(' ').next());
}

#[test]
fn links_in_a_container_lead_nowhere_else_needs_root() {
    needs::root();
    let stage = baked();
    // A link on the way is a finding, though what lies behind it is right.
    shell(&stage, "/bin/busybox mv /mnt/addons /mnt/real && /bin/busybox ln -s real /mnt/addons");
    assert_eq!(contents(&stage), (2, vec!["/mnt/addons modified".to_owned()]));
    // One that has the name of the host's own tree leads to what the container has there: nothing.
    let here = stage.project.root().canonicalize().unwrap().join("r1/mods").display().to_string();
    shell(&stage, &format!("/bin/busybox rm /mnt/addons && /bin/busybox ln -s {here} /mnt/addons"));
    let (code, found) = contents(&stage);
    assert!(code != 0 && !found.is_empty(), "{code} {found:?}");
    shell(&stage, "/bin/busybox rm /mnt/addons && /bin/busybox ln -s ../../../../../.. /mnt/addons");
    assert_ne!(contents(&stage).0, 0);
    shell(&stage, "/bin/busybox rm /mnt/addons && /bin/busybox mv /mnt/real /mnt/addons");
    assert_eq!(contents(&stage), (0, vec![]));
    // What would block whoever opens it is not opened.
    shell(&stage, "/bin/busybox rm /etc/proxy/app.conf && /bin/busybox mkfifo /etc/proxy/app.conf");
    assert_eq!(contents(&stage), (1, vec!["/etc/proxy/app.conf unreadable".to_owned()]));
}

#[test]
fn what_is_mounted_over_the_path_is_what_counts_needs_root() {
    needs::root();
    let stage = baked();
    release(&stage, "r2");
    let image = stage.name("app:1");
    let here = |path: &str| stage.project.path(path).display().to_string();
    let proxy = format!("-v{}:/etc/proxy", here("r1/proxy"));
    stage.recreate("web", &image, &[&format!("-v{}:/mnt/addons", here("r2/mods")), &proxy]);
    assert_eq!(contents(&stage), (2, vec!["/mnt/addons/shop modified".to_owned()]));
    stage.recreate("web", &image, &[&format!("-v{}:/mnt/addons", here("r1/mods")), &proxy]);
    assert_eq!(contents(&stage), (0, vec![]));
}

#[test]
fn a_container_that_does_not_run_is_read_by_the_engines_archive() {
    let stage = baked();
    let web = stage.name("web");
    let before = engine(&stage);
    each_change(&stage, || {
        stage.docker(&["stop", "-t", "0", &web]);
        let found = contents(&stage);
        stage.docker(&["start", &web]);
        found
    });
    stage.docker(&["stop", "-t", "0", &web]);
    let (_, report) = stage.check(&["--only", "container_contents"]);
    assert_eq!(check_of(&report, "container_contents")["subjects"], 2, "{report:#}");
    stage.docker(&["start", &web]);
    assert_eq!(engine(&stage), before, "looking changes nothing");
    shell(&stage, "/bin/busybox mv /mnt/addons /mnt/real && /bin/busybox ln -s real /mnt/addons");
    stage.docker(&["stop", "-t", "0", &web]);
    let (code, found) = contents(&stage);
    assert!(code != 0 && found.contains(&"/mnt/addons modified".to_owned()), "{code} {found:?}");
}

#[test]
fn an_archive_that_breaks_off_is_never_a_pass() {
    let stage = baked();
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    let image = stage.name("app:2");
    stage.docker(&["commit", &stage.name("web"), &image]);
    let looked = |most: u64, args: &[&str]| {
        let door = FakeEngine::new(move |path| {
            let is_archive = path.contains("/archive?");
            if is_archive { Reply::BreakOff(engine_socket(), most) } else { Reply::PassOn(engine_socket()) }
        });
        let args = [&["check", "--format", "json"], args].concat();
        let mut command = stage.project.driftlock(&args);
        let ran = Ran(command.env("DOCKER_HOST", door.host()).output().unwrap());
        let archives = door.calls().iter().filter(|call| call.contains("/archive?")).count();
        (archives, ran.code(), check_of(&ran.report(), "container_contents").clone())
    };
    for args in [&["--only", "container_contents"][..], &["--image", &image]] {
        let (archives, code, check) = looked(u64::MAX, args);
        assert!(archives >= 2 && code == 0, "{check:#}");
        // In the head of the answer, in the first header of the archive, between entries, and shortly before its end.
        for most in [0, 40, 700, 1100, 2000, 2600] {
            let (_, code, check) = looked(most, args);
            assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{most}: {check:#}");
            assert!(!check["error"].to_string().is_empty(), "{check:#}");
        }
    }
    assert_eq!(made(&stage, &image), "", "what was made of the image is removed");
}

#[test]
fn where_processes_are_hidden_nothing_that_needs_them_passes_needs_root() {
    needs::root();
    let stage = baked();
    let mods = format!("-v{}:/mnt/addons", stage.project.path("r1/mods").display());
    stage.recreate("web", &stage.name("app:1"), &[&mods]);
    accept(&stage);
    stage.project.hand_over();
    let hides = "mount -t proc -o hidepid=2 proc /proc";
    for (mode, code, status) in [("required", 1, "ERROR"), ("auto", 0, "SKIP")] {
        let door = FakeEngine::before(&engine_socket());
        for path in [door.socket(), door.socket().parent().unwrap().to_owned()] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let args =
            ["check", "--only", "container_mounts", "--docker", mode, "--format", "json", "--output", "out"];
        let ran = stage.project.as_user_where(hides, &args, &[("DOCKER_HOST", &door.host())]);
        let report = ran.report();
        let check = check_of(&report, "container_mounts");
        assert_eq!((ran.code(), &check["status"]), (code, &status.into()), "{report:#}");
        assert!(check.to_string().contains("not to be seen on this machine"), "{check:#}");
    }
}

#[test]
fn the_engine_is_asked_for_an_archive_only_where_that_makes_and_hides_nothing() {
    let stage = baked();
    let image = stage.name("app:1");
    stage.project.file("data/x", "1\n");
    let data = stage.project.path("data");
    let bound = |at: &str| {
        stage.recreate("web", &image, &[&format!("-v{}:{at}", data.display())]);
        stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    };
    bound("/data");
    assert!(error(&stage).contains("there is no /mnt"), "{}", error(&stage));
    std::fs::rename(&data, stage.project.path("aside")).unwrap();
    assert!(error(&stage).contains("put it back"), "{}", error(&stage));
    assert!(!data.exists(), "the engine made a directory");
    std::fs::rename(stage.project.path("aside"), &data).unwrap();
    for at in ["/mnt", "/mnt/addons", "/mnt/addons/shop"] {
        bound(at);
        assert!(error(&stage).contains("is mounted at"), "{at}: {}", error(&stage));
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_what_to_do() {
    let stage = baked();
    stage.remove("web");
    assert!(error(&stage).contains("no container is named like"), "{}", error(&stage));
    let before = stage.project.read("audit/driftlock.toml");
    for (key, value) in [("path", "mnt/addons"), ("path", "/mnt/../x"), ("is", "/erp/mods"), ("is", "../x")] {
        let table = [("container", "x"), ("path", "/x"), ("is", "erp/mods")]
            .map(|(name, usual)| format!("{name} = \"{}\"\n", if name == key { value } else { usual }));
        stage
            .project
            .file("audit/driftlock.toml", &format!("{before}\n[[docker.contents]]\n{}", table.concat()));
        let ran = stage.run(&["check"]);
        assert!(ran.code() == 1 && ran.err().contains(&format!("docker.contents.{key}")), "{}", ran.err());
    }
    stage.project.file("audit/driftlock.toml", &before);
}

#[test]
fn without_the_rights_to_look_into_it_the_engine_is_asked_needs_root() {
    needs::root();
    let stage = baked();
    stage.project.hand_over();
    let looked = || {
        let door = FakeEngine::before(&engine_socket());
        for path in [door.socket(), door.socket().parent().unwrap().to_owned()] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let args = ["check", "--only", "container_contents", "--format", "json", "--output", "out"];
        let ran = stage.project.as_user_with(&args, &[("DOCKER_HOST", &door.host())]);
        (ran.code(), check_of(&ran.report(), "container_contents").clone())
    };
    let (code, check) = looked();
    assert_eq!((code, &check["status"], &check["subjects"]), (0, &"PASS".into(), &2.into()), "{check:#}");
    shell(&stage, "echo x >>/mnt/addons/shop/order.py");
    let (code, check) = looked();
    assert_eq!((code, &check["status"]), (2, &"FAIL".into()), "{check:#}");
    let mods = format!("-v{}:/mnt/addons", stage.project.path("r1/mods").display());
    stage.recreate("web", &stage.name("app:1"), &[&mods]);
    let (code, check) = looked();
    assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{check:#}");
    assert!(check["error"].to_string().contains("as root"), "{check:#}");
}

/// The exit code of a check of an image with more arguments, and its findings as `PATH KIND`.
pub(crate) fn of_image(stage: &Stage, image: &str, more: &[&str]) -> (i32, Vec<String>) {
    let ran = stage.run(&[&["check", "--image", image, "--format", "json"], more].concat());
    let report = ran.report();
    let check = check_of(&report, "container_contents");
    let findings = check["findings"].as_array().unwrap().iter();
    let short = |it: &Value| it["subject"].as_str().unwrap().replace(&format!("{image}:"), "");
    (ran.code(), findings.map(|it| format!("{} {}", short(it), it["kind"].as_str().unwrap())).collect())
}

/// The containers that were made of images to look into those.
pub(crate) fn made(stage: &Stage, image: &str) -> String {
    stage.docker(&["ps", "-aq", "--filter", &format!("label=driftlock.image={image}")])
}

#[test]
fn an_image_that_no_container_runs_is_held_against_the_baseline() {
    let stage = baked();
    let web = stage.name("web");
    let image = stage.name("app:2");
    stage.docker(&["commit", "-c", "VOLUME /mnt/addons", &web, &image]);
    let before = engine(&stage);
    assert_eq!(of_image(&stage, &image, &[]), (0, vec![]));
    let (_, report) = stage.check(&["--image", &image]);
    let checks: Vec<&str> = crate::support::docker::names_of(&report);
    assert_eq!(checks, ["lock_files_exist", "container_contents"], "{report:#}");
    assert_eq!(check_of(&report, "container_contents")["subjects"], 2, "{report:#}");
    assert_eq!((engine(&stage), made(&stage, &image)), (before, String::new()), "looking changes nothing");
    shell(&stage, "echo x >>/mnt/addons/shop/order.py && echo x >/etc/proxy/more.conf");
    stage.docker(&["commit", &web, &image]);
    let drifted = vec!["/etc/proxy/more.conf unexpected".to_owned(), "/mnt/addons/shop modified".to_owned()];
    assert_eq!(of_image(&stage, &image, &[]), (2, drifted));
    let none = stage.name("none:1");
    let (code, report) = stage.check(&["--image", &none]);
    let check = check_of(&report, "container_contents").clone();
    assert!(code == 1 && check["error"].to_string().contains("has no image"), "{check:#}");
    assert_eq!((made(&stage, &image), made(&stage, &none)), (String::new(), String::new()));
}

#[test]
fn a_container_that_was_made_of_an_image_is_removed_whatever_ends_the_check() {
    let stage = baked();
    let image = stage.name("app:2");
    // The archive of this takes a while.
    shell(&stage, "/bin/busybox dd if=/dev/zero of=/etc/proxy/zeros bs=1M count=1500");
    stage.docker(&["commit", &stage.name("web"), &image]);
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let child = stage.project.spawn(&["check", "--image", &image]);
        crate::support::wait_until(|| !made(&stage, &image).is_empty());
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_eq!(crate::support::ended(child).code(), code);
        assert_eq!(made(&stage, &image), "");
    }
}

/// Everything that a tree tells of itself, but for what runs leave: names, kinds, sizes, times, modes, owners, links, contents.
fn tree(stage: &Stage) -> String {
    let root = stage.project.root();
    let runs = root.join("audit/runtime");
    let line = "find \"$1\" -path \"$2\" -prune -o -printf '%p %y %i %s %T@ %C@ %m %U %G %l\\n' | LC_ALL=C sort; \
                find \"$1\" -path \"$2\" -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";
    let told =
        std::process::Command::new("sh").args(["-c", line, "sh"]).args([&root, &runs]).output().unwrap();
    assert!(told.status.success());
    // The directory around the runs tells when the first one came.
    let above = format!("{} d ", root.join("audit").display());
    let told = String::from_utf8(told.stdout).unwrap();
    told.lines().filter(|line| !line.starts_with(&above)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn looking_changes_nothing_in_the_tree_and_nothing_on_the_engine() {
    let stage = baked();
    let (web, image) = (stage.name("web"), stage.name("app:2"));
    stage.docker(&["commit", &web, &image]);
    let data = stage.project.path("data");
    std::fs::create_dir_all(data.join("deep")).unwrap();
    std::fs::write(data.join("deep/x"), "1\n").unwrap();
    let bind = format!("-v{}:/data", data.canonicalize().unwrap().display());
    stage.start("other", &stage.name("app:1"), &[&bind]);
    stage.start("ended", &stage.name("app:1"), &[&bind]);
    stage.docker(&["stop", "-t", "0", &stage.name("ended")]);
    std::fs::remove_dir_all(&data).unwrap();
    stage.run(&["check"]);
    let before = (tree(&stage), engine(&stage));
    let of_web = format!("container_contents/{web}:/mnt/addons/shop");
    for args in [
        &["check"][..],
        &["check", "--only", "container_contents"],
        &["check", "--image", &image],
        &["explain", "shop/order.py"],
        &["explain", &web],
        &["explain", &of_web],
        &["selftest"],
    ] {
        stage.run(args);
        assert_eq!((tree(&stage), engine(&stage)), before, "{args:?}");
    }
    stage.docker(&["stop", "-t", "0", &web]);
    let before = (tree(&stage), engine(&stage));
    stage.run(&["check"]);
    assert_eq!((tree(&stage), engine(&stage)), before, "of a container that does not run");
}
