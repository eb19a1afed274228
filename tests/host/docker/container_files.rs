//! Files inside containers that are in no repository: locked as they lie there, and compared.

use super::container_contents::{contents_by, engine, shell};
use super::container_mounts::{configure, released};
use crate::support::docker::{Stage, check_of};

const LOCK: &str = "audit/locks/container_files.lock.txt";

/// A stage whose container has files of its own in a directory, and a single one; nothing is locked yet.
pub(crate) fn unlocked() -> Stage {
    let stage = released();
    let image = stage.image("app:1");
    stage.start("web", &image, &[]);
    shell(
        &stage,
        "/bin/busybox mkdir -p /etc/app/deep && echo a >/etc/app/a.conf && echo b >'/etc/app/deep/b c' && echo v >/version",
    );
    tables(&stage, "");
    stage
}

fn tables(stage: &Stage, more: &str) {
    let table = |path: &str| {
        format!(
            "[[docker.contents]]\ncontainer = \"{}\"\npath = \"{path}\"\nis = \"locked\"\n",
            stage.name("web*")
        )
    };
    configure(stage, "mode = \"required\"");
    let before = stage.project.read("audit/driftlock.toml");
    stage
        .project
        .file("audit/driftlock.toml", &format!("{before}{}{}{more}", table("/etc/app"), table("/version")));
}

/// Makes changes in the container: a check with these arguments tells each, and a subject is accepted alone.
/// `more` is written behind the tables.
pub(crate) fn locked_and_compared(stage: &Stage, args: &[&str], more: &str) {
    let web = stage.name("web");
    // An older baseline has no such lock file: that is said, and the other checks go on.
    configure(stage, "mode = \"required\"");
    let before = stage.project.read("audit/driftlock.toml");
    stage.project.file("audit/driftlock.toml", &format!("{before}{more}"));
    stage.ok(&["export", "--accept"]);
    assert!(!stage.project.path(LOCK).exists());
    assert_eq!(stage.check(args).0, 0);
    tables(stage, more);
    let (code, report) = stage.check(args);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(check_of(&report, "container_contents")["status"], "ERROR");
    assert!(check_of(&report, "lock_files_exist")["details"].as_str().unwrap().contains("container_files"));
    stage.ok(&["export", "--accept"]);
    let lines = stage.project.read(LOCK);
    let lines: Vec<&str> = lines.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let expected = ["/etc/app/a.conf", "/etc/app/deep/b c", "/version"].map(|path| format!("{web}:{path}"));
    assert_eq!(lines, expected);
    let before = engine(stage);
    assert_eq!(contents_by(stage, args), (0, vec![]));
    assert_eq!(engine(stage), before, "looking changes nothing");
    shell(
        stage,
        "echo x >/etc/app/a.conf; echo n >/etc/app/new; /bin/busybox rm '/etc/app/deep/b c'; echo w >/version",
    );
    let all = [
        "/etc/app/a.conf modified",
        "/etc/app/deep/b c missing",
        "/etc/app/new unexpected",
        "/version modified",
    ];
    assert_eq!(contents_by(stage, args), (2, all.map(str::to_owned).to_vec()));
    let told = stage.run(&[&["check"], args].concat()).out();
    assert!(told.contains(&format!("[FAIL] Container content drift: {web}:/version")), "{told}");
    assert!(told.contains("driftlock accept") || told.contains("accept:"), "{told}");
    let subject = format!("container_contents/{web}:/version");
    stage.ok(&[&["accept", "--yes", "--reason", "new", "--only", &subject], args].concat());
    assert_eq!(contents_by(stage, args), (2, all[..3].iter().map(|it| (*it).to_owned()).collect()));
}

#[test]
fn they_are_locked_compared_and_accepted_one_by_one() {
    let stage = unlocked();
    locked_and_compared(&stage, &[], "");
    // Of a container that does not run the engine's archive tells.
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    assert_eq!(contents_by(&stage, &[]).1.len(), 3);
}

#[test]
fn what_is_not_looked_at_is_no_pass() {
    let stage = unlocked();
    stage.ok(&["export", "--accept"]);
    let error = |stage: &Stage| {
        let (code, report) = stage.check(&["--only", "container_contents"]);
        let check = check_of(&report, "container_contents").clone();
        assert_eq!((code, &check["status"]), (1, &"ERROR".into()), "{report:#}");
        check["error"].as_str().unwrap().to_owned()
    };
    // A table is taken out, and its files are locked still.
    let text = stage.project.read("audit/driftlock.toml");
    stage.project.file("audit/driftlock.toml", &text.replace("path = \"/etc/app\"", "path = \"/etc/other\""));
    assert!(
        error(&stage).contains("/etc/app/a.conf is locked, and no [[docker.contents]]"),
        "{}",
        error(&stage)
    );
    configure(&stage, "mode = \"required\"");
    assert!(error(&stage).contains("is locked, and no [[docker.contents]]"));
    stage.project.file("audit/driftlock.toml", &text);
    // A file that nobody may open, a link on the way.
    shell(&stage, "/bin/busybox rm /version && /bin/busybox mkfifo /version");
    let (code, found) = contents_by(&stage, &[]);
    assert_eq!((code, found), (1, vec!["/version unreadable".to_owned()]));
    shell(&stage, "/bin/busybox rm /version");
    assert_eq!(contents_by(&stage, &[]), (2, vec!["/version missing".to_owned()]));
    shell(&stage, "echo v >/version");
    shell(&stage, "/bin/busybox mv /etc/app /etc/real && /bin/busybox ln -s real /etc/app");
    assert!(error(&stage).contains("/etc/app is a link"));
    shell(&stage, "/bin/busybox rm /etc/app && /bin/busybox mv /etc/real /etc/app");
    assert_eq!(contents_by(&stage, &[]), (0, vec![]));
    // The container is gone: so are its files.
    stage.remove("web");
    let (_, report) = stage.check(&[]);
    assert_eq!(check_of(&report, "container_contents")["status"], "ERROR", "{report:#}");
    stage.project.file(LOCK, "nonsense\n");
    assert!(error(&stage).contains("container_files.lock.txt:1"));
}

#[test]
fn selftest_proves_that_they_are_compared() {
    let stage = unlocked();
    stage.ok(&["export", "--accept"]);
    let told = stage.ok(&["selftest"]).out();
    for what in [
        "a file in a container has other bytes than accepted",
        "a file is gone from a container",
        "a file is in a container that nobody accepted",
    ] {
        assert!(told.contains(&format!("[PASS] {what}")), "{told}");
    }
}
