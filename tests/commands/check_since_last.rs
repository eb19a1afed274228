//! `driftlock check --since-last`: what has not moved is not read again, and nothing that has is missed.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use driftlock::model::Digest;
use serde_json::Value;

use crate::support::disk::{copy, files_below, temporaries};
use crate::support::git::{commit_all, git};
use crate::support::world::Alone as _;
use crate::support::{Project, check_of, findings, wait_until};

const STATE: &str = "audit/runtime/.remembered";
const ORDER: &str = "odoo_modules/community/ocr/models/order.py";
const TRUSTING: [&str; 1] = ["--since-last"];
/// The files of a small project: two compose files, and three modules of two files.
const FILES: u64 = 8;
/// Where in the state the moment of the last full look lies, that of the last look, and the first entry.
const FULL_AT: usize = 48;
const LOOKED_AT: usize = 56;
const ENTRIES: usize = 72;
/// The size of an entry, and of the checksum behind them.
const ENTRY: usize = 88;
const CHECKSUM: usize = 32;

/// Waits until every file is older than the clock's grain.
fn settle(root: &Path) {
    let now = || i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let newest = files_below(root).into_keys().map(|path| root.join(path).metadata().unwrap().ctime()).max();
    wait_until(|| now() > newest.unwrap() + 2);
}

/// An accepted project, settled, whose files were read once.
fn remembered() -> Project {
    let project = Project::accepted();
    settle(&project.root());
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, counts(&report)), (0, (FILES, 0)), "{report:#}");
    project
}

fn counts(report: &Value) -> (u64, u64) {
    let count = |key: &str| report["since_last"][key].as_u64().unwrap_or_else(|| panic!("{report:#}"));
    (count("read"), count("trusted"))
}

fn why_full(report: &Value) -> Option<&str> {
    report["since_last"]["full_because"].as_str()
}

fn state(project: &Project) -> Vec<u8> {
    std::fs::read(project.path(STATE)).unwrap()
}

/// Puts other bytes into the state, which stays this user's alone.
fn put(project: &Project, bytes: &[u8]) {
    std::fs::write(project.path(STATE), bytes).unwrap();
}

/// Changes the state and gives it a checksum that is right.
fn forge(project: &Project, change: impl FnOnce(&mut [u8])) {
    let mut bytes = state(project);
    let covered = bytes.len() - CHECKSUM;
    change(&mut bytes[..covered]);
    let check = *Digest::of(&bytes[..covered]).bytes();
    bytes[covered..].copy_from_slice(&check);
    put(project, &bytes);
}

/// Makes the state say that every file holds `x`: what is trusted shows as drift.
fn poison(project: &Project) {
    forge(project, |bytes| {
        for entry in bytes[ENTRIES..].chunks_exact_mut(ENTRY) {
            entry[ENTRY - CHECKSUM..].copy_from_slice(Digest::of(b"x").bytes());
        }
    });
}

fn moment(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn set_moment(project: &Project, at: usize, to: i64) {
    forge(project, |bytes| bytes[at..at + 8].copy_from_slice(&to.to_be_bytes()));
}

/// Changes a file's content and puts its modification time back.
fn edit_in_secret(path: &Path, text: &str) {
    let before = path.metadata().unwrap();
    std::fs::write(path, text).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = path.metadata().unwrap();
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()));
    assert_eq!((before.ino(), before.mtime()), (after.ino(), after.mtime()));
}

fn drifted(report: &Value) -> Vec<String> {
    findings(report, "addon_hashes").into_iter().map(|(subject, kind)| format!("{subject} {kind}")).collect()
}

#[test]
fn what_has_not_moved_is_trusted_and_the_state_stays_as_it_is() {
    let project = remembered();
    let before = project.path(STATE).metadata().unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o600);
    let full_at = moment(&state(&project), FULL_AT);
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, counts(&report), why_full(&report)), (0, (0, FILES), None));
    assert_eq!(report["since_last"]["full_at_unix"], full_at);
    let after = project.path(STATE).metadata().unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()), "written again");
    assert_eq!(temporaries(&project.root()), Vec::<PathBuf>::new());
}

#[test]
fn only_who_asks_for_it_trusts() {
    let project = remembered();
    poison(&project);
    let (code, report) = project.check(&[]);
    assert_eq!((code, report.get("since_last")), (0, None));
    assert!(!project.run(&["check"]).out().contains("Since last"));
    for args in [["export", "--accept"], ["accept", "--yes"], ["explain", "ocr"], ["ack", "list"]] {
        assert_eq!(project.run(&args).code(), 0, "{args:?}");
    }
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, counts(&report)), (2, (0, FILES)), "the test shows nothing: {report:#}");
}

#[test]
fn trusted_files_are_not_opened() {
    let project = remembered();
    let opened = |args: &[&str]| {
        let log = project.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=open,openat,openat2", "-o"]).arg(&log);
        command.alone();
        command.arg(assert_cmd::cargo::cargo_bin("driftlock")).args(args).current_dir(project.root());
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{args:?}");
        let trace = std::fs::read_to_string(&log).unwrap();
        let names = ["order.py\"", "__manifest__.py\"", "docker-compose.yml\""];
        trace.lines().filter(|line| names.iter().any(|name| line.contains(name))).count()
    };
    assert_eq!(opened(&["check", "--since-last"]), 0);
    assert!(opened(&["check"]) >= usize::try_from(FILES).unwrap(), "the test sees nothing");
}

#[test]
fn an_edit_that_keeps_size_and_time_is_found_and_stays_found() {
    let project = remembered();
    edit_in_secret(&project.path(ORDER), "class 0rder: pass\n");
    for _ in 0..2 {
        let (code, report) = project.check(&TRUSTING);
        assert_eq!((code, counts(&report)), (2, (1, FILES - 1)));
        assert_eq!(drifted(&report), ["ocr modified"]);
    }
    settle(&project.root());
    for (read, trusted) in [(1, FILES - 1), (0, FILES)] {
        let (code, report) = project.check(&TRUSTING);
        assert_eq!((code, counts(&report)), (2, (read, trusted)), "trusted drift is drift");
    }
    edit_in_secret(&project.path(ORDER), "class Order: pass\n");
    assert_eq!(project.check(&TRUSTING).0, 0);
}

#[test]
fn what_is_younger_than_the_grain_or_dated_into_the_future_is_read_each_time() {
    let project = remembered();
    project.file("odoo_modules/community/ocr/new.py", "1");
    let ahead = std::fs::File::options().write(true).open(project.path(ORDER)).unwrap();
    ahead.set_modified(SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    let (_, report) = project.check(&TRUSTING);
    assert_eq!(counts(&report), (2, FILES - 1));
    // Within the same second, and with no trace in the times where these are coarse.
    edit_in_secret(&project.path("odoo_modules/community/ocr/new.py"), "2");
    let (_, report) = project.check(&TRUSTING);
    assert_eq!(counts(&report), (2, FILES - 1));
    assert!(report.to_string().contains(&Digest::of(b"2").to_string()), "{report:#}");
    settle(&project.root());
    for trusted in [FILES - 1, FILES] {
        let (_, report) = project.check(&TRUSTING);
        assert_eq!(counts(&report), (FILES + 1 - trusted, trusted), "the one in the future is never trusted");
    }
}

#[test]
fn files_that_change_places_are_told_apart() {
    let project = remembered();
    let (a, b) = ("infra/stacks/edge/docker-compose.yml", "infra/stacks/erp/docker-compose.yml");
    let (a, b, aside) = (project.path(a), project.path(b), project.path("aside"));
    for (from, to) in [(&a, &aside), (&b, &a), (&aside, &b)] {
        std::fs::rename(from, to).unwrap();
    }
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, findings(&report, "compose_hashes").len()), (2, 2));
    let names = ["odoo_modules/community/ocr/models", "odoo_modules/community/ocr/other"];
    std::fs::create_dir(project.path(names[1])).unwrap();
    std::fs::rename(project.path(ORDER), project.path("odoo_modules/community/ocr/other/order.py")).unwrap();
    assert_eq!(drifted(&project.check(&TRUSTING).1), ["ocr modified"]);
}

#[test]
fn what_is_gone_or_something_else_is_noticed_and_forgotten() {
    let project = remembered();
    let (order, kept) = (project.path(ORDER), project.path("kept.py"));
    std::fs::rename(&order, &kept).unwrap();
    let size = state(&project).len();
    for retype in 0..4 {
        match retype {
            0 => {}
            1 => std::os::unix::fs::symlink(&kept, &order).unwrap(),
            2 => std::fs::create_dir(&order).unwrap(),
            _ => assert!(Command::new("mkfifo").arg(&order).status().unwrap().success()),
        }
        let (code, report) = project.check(&TRUSTING);
        let expected = if retype == 3 { (1, "ocr unreadable") } else { (2, "ocr modified") };
        assert_eq!((code, drifted(&report).join(", ").as_str()), expected, "{retype}");
        assert_eq!(state(&project).len(), size - ENTRY, "{retype}");
        if retype == 2 {
            std::fs::remove_dir(&order).unwrap();
        } else if retype > 0 {
            std::fs::remove_file(&order).unwrap();
        }
    }
    std::fs::rename(&kept, &order).unwrap();
    assert_eq!(counts(&project.check(&TRUSTING).1), (1, FILES - 1));
}

#[test]
fn a_link_to_a_single_file_is_followed_and_what_it_leads_to_is_known() {
    let project = Project::accepted();
    let compose = project.path("infra/stacks/erp/docker-compose.yml");
    std::fs::rename(&compose, project.path("one.yml")).unwrap();
    project.file("two.yml", "services: {web: {image: evil}}\n");
    std::os::unix::fs::symlink(project.path("one.yml"), &compose).unwrap();
    settle(&project.root());
    assert_eq!(project.check(&TRUSTING).0, 0);
    assert_eq!(counts(&project.check(&TRUSTING).1), (0, FILES));
    std::fs::remove_file(&compose).unwrap();
    std::os::unix::fs::symlink(project.path("two.yml"), &compose).unwrap();
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, counts(&report)), (2, (1, FILES - 1)));
    std::fs::remove_file(project.path("two.yml")).unwrap();
    assert_eq!(project.check(&TRUSTING).0, 1, "a broken link is an error");
}

#[test]
fn a_damaged_state_is_never_believed() {
    let project = remembered();
    let good = state(&project);
    edit_in_secret(&project.path(ORDER), "class 0rder: pass\n");
    // Else it would come to be trusted while the cases are tried.
    settle(&project.root());
    let flipped = (0..good.len()).step_by(good.len() / 8).map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    });
    let cut = [0, 1, 15, ENTRIES, good.len() - CHECKSUM, good.len() - 1].map(|at| good[..at].to_vec());
    let longer = [good.as_slice(), b"\n"].concat();
    for (n, bad) in flipped.chain(cut).chain([longer]).enumerate() {
        put(&project, &bad);
        let (code, report) = project.check(&TRUSTING);
        assert_eq!(
            (code, counts(&report), drifted(&report)),
            (2, (FILES, 0), vec!["ocr modified".into()]),
            "{n}"
        );
        assert_eq!(why_full(&report), Some("what was remembered is damaged"), "{n}");
        assert_eq!(project.check(&TRUSTING).1["since_last"]["trusted"], FILES, "{n}: not mended");
    }
}

#[test]
fn what_is_not_a_file_of_this_user_alone_is_never_believed() {
    let project = remembered();
    poison(&project);
    let bytes = state(&project);
    let path = project.path(STATE);
    let open = |mode: u32| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let cases: [(&str, &dyn Fn()); 4] = [
        ("readable", &|| open(0o644)),
        ("writable", &|| open(0o602)),
        ("a link", &|| {
            std::fs::rename(&path, project.path("elsewhere")).unwrap();
            std::os::unix::fs::symlink(project.path("elsewhere"), &path).unwrap();
        }),
        ("a pipe", &|| {
            std::fs::remove_file(&path).unwrap();
            assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
        }),
    ];
    for (name, change) in cases {
        std::fs::remove_file(&path).unwrap();
        put(&project, &bytes);
        open(0o600);
        assert_eq!(project.check(&TRUSTING).0, 2, "{name}: the test shows nothing");
        change();
        let (code, report) = project.check(&TRUSTING);
        assert_eq!((code, counts(&report)), (0, (FILES, 0)), "{name}");
        assert_eq!(
            why_full(&report),
            Some("what was remembered is not a file of this user's alone"),
            "{name}"
        );
        assert_eq!(counts(&project.check(&TRUSTING).1), (0, FILES), "{name}: not mended");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let ran = project.ok(&["check", "--since-last"]);
    assert!(
        ran.err().contains("audit/runtime/.remembered: what was read is not remembered"),
        "{}",
        ran.err()
    );
    assert_eq!(project.ok(&["check", "--since-last", "--quiet"]).err(), "");
}

#[test]
fn a_state_of_another_tree_or_clock_or_day_is_not_believed() {
    let project = remembered();
    poison(&project);
    let bytes = state(&project);
    let copied = Project::empty();
    copy(&project.root(), &copied.root());
    let (code, report) = copied.check(&TRUSTING);
    assert_eq!((code, why_full(&report).unwrap().contains("another machine")), (0, true));
    let (full_at, looked_at) = (moment(&bytes, FULL_AT), moment(&bytes, LOOKED_AT));
    assert_eq!(full_at, looked_at);
    for (at, to, why) in [
        (LOOKED_AT, looked_at + 3600, "the clock stands before the last look"),
        (FULL_AT, full_at - 24 * 60 * 60, "the last one was 1 day ago"),
        (FULL_AT, full_at + 1, "what was remembered is damaged"),
    ] {
        put(&project, &bytes);
        set_moment(&project, at, to);
        let (code, report) = project.check(&TRUSTING);
        assert_eq!((code, counts(&report)), (0, (FILES, 0)), "{why}");
        assert!(why_full(&report).unwrap().starts_with(why.trim_end_matches(" ago")), "{report:#}");
        assert_eq!(report["since_last"]["full_at_unix"], report["started_at_unix"]);
    }
    put(&project, &bytes);
    set_moment(&project, FULL_AT, full_at - 23 * 60 * 60);
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, &report["since_last"]["full_at_unix"]), (2, &Value::from(full_at - 23 * 60 * 60)));
    project.file(ORDER, "changed\n");
    let (_, report) = project.check(&TRUSTING);
    assert_eq!(counts(&report), (1, FILES - 1));
    assert_eq!(report["since_last"]["full_at_unix"], full_at - 23 * 60 * 60, "that was no full look");
}

#[test]
fn a_target_on_this_machine_is_remembered_by_itself() {
    let project = remembered();
    let plain = project.read("audit/driftlock.toml");
    let target = "[targets.here]\nhost = \"local\"\nroot = \".\"\n";
    project.file("audit/driftlock.toml", &format!("{plain}{target}"));
    let own = state(&project);
    let check = || project.check(&["--target", "here", "--since-last"]);
    let (code, report) = check();
    assert_eq!((code, counts(&report)), (0, (FILES, 0)));
    assert_eq!(why_full(&report), Some("no earlier look is remembered"));
    assert_eq!(counts(&check().1), (0, FILES));
    project.file(ORDER, "class Other: pass\n");
    let (code, report) = check();
    assert_eq!((code, counts(&report)), (2, (1, FILES - 1)));
    assert_eq!(state(&project), own, "the own tree's file is not touched");
    assert!(project.path("audit/runtime/.remembered_here").is_file());
}

/// A server over SSH has mounts of its own.
mod needs_mounts {
    use super::*;
    use crate::support::sshd::Server;

    /// The files of the modules: others are few, and read each time.
    const IN_MODULES: u64 = 6;
    /// Those that are read each time.
    const SINGLE: u64 = FILES - IN_MODULES;

    #[test]
    fn a_server_tells_what_has_not_moved_and_modules_that_have_are_read() {
        let project = remembered();
        let server = Server::start(|_| {});
        let plain = project.read("audit/driftlock.toml");
        let target = server.target("prod", &project.root());
        project.file("audit/driftlock.toml", &format!("{plain}{target}docker = \"off\"\n"));
        let check = |args: &[&str]| project.check(&[&["--target", "prod"], args].concat());
        let (code, report) = check(&TRUSTING);
        assert_eq!((code, counts(&report)), (0, (FILES, 0)), "{report:#}");
        assert_eq!(why_full(&report), Some("no earlier look is remembered"));
        let (code, report) = check(&TRUSTING);
        assert_eq!((code, counts(&report), why_full(&report)), (0, (SINGLE, IN_MODULES), None));
        // Whatever is remembered is believed, so nothing was read.
        let place = project.path("audit/runtime/.remembered_prod");
        let kept = std::fs::read(&place).unwrap();
        let mut forged = kept.clone();
        let covered = forged.len() - CHECKSUM;
        for entry in forged[ENTRIES..covered].chunks_exact_mut(ENTRY) {
            entry[ENTRY - CHECKSUM..].copy_from_slice(Digest::of(b"x").bytes());
        }
        let check_of_it = *Digest::of(&forged[..covered]).bytes();
        forged[covered..].copy_from_slice(&check_of_it);
        std::fs::write(&place, &forged).unwrap();
        assert_eq!(check(&TRUSTING).0, 2);
        // Who does not ask for it reads everything, and so does who asks for that.
        assert_eq!(check(&[]).0, 0);
        let configured = project.read("audit/driftlock.toml");
        project.file("audit/driftlock.toml", &format!("[check]\ntrust_stat = true\n{configured}"));
        let (code, report) = check(&["--full"]);
        assert_eq!((code, counts(&report), why_full(&report)), (0, (FILES, 0), Some("it was asked for")));
        assert_eq!(counts(&check(&[]).1), (SINGLE, IN_MODULES));
        let order = project.read(ORDER);
        edit_in_secret(&project.path(ORDER), &"x".repeat(order.len()));
        for _ in 0..2 {
            let (code, report) = check(&TRUSTING);
            assert_eq!(
                (code, drifted(&report), counts(&report)),
                (2, vec!["ocr modified".to_owned()], (SINGLE + 2, IN_MODULES - 2))
            );
        }
        // What somebody else could have written is not believed.
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o660)).unwrap();
        let (_, report) = check(&TRUSTING);
        assert_eq!(why_full(&report), Some("what was remembered is not a file of this user's alone"));
        // Nor what was seen by another way to the same tree.
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
        let other = project
            .read("audit/driftlock.toml")
            .replace("host = \"127.0.0.1\"", "host = \"127.0.0.1\"\npaths = { \"other\" = \"/nowhere\" }");
        project.file("audit/driftlock.toml", &other);
        assert_eq!(counts(&check(&TRUSTING).1).1, 0);
    }
}

#[test]
fn the_configuration_turns_it_on_and_the_command_line_off() {
    let project = remembered();
    let plain = project.read("audit/driftlock.toml");
    let configure = |text: &str| project.file("audit/driftlock.toml", &format!("{plain}{text}"));
    configure("[check]\ntrust_stat = true\n[targets.here]\nhost = \"local\"\nroot = \".\"\n");
    assert_eq!(counts(&project.check(&[]).1), (0, FILES));
    poison(&project);
    assert_eq!(project.check(&[]).0, 2);
    for expected in [(FILES, 0), (0, FILES)] {
        let (code, report) = project.check(&["--target", "here"]);
        assert_eq!((code, counts(&report)), (0, expected), "a target has a file of its own");
    }
    let (code, report) = project.check(&["--full"]);
    assert_eq!((code, counts(&report), why_full(&report)), (0, (FILES, 0), Some("it was asked for")));
    assert_eq!(counts(&project.check(&[]).1), (0, FILES), "what a full look has read is remembered");
    configure("[check]\ntrust_stat = true\nfull_every = \"1h\"\n");
    set_moment(&project, FULL_AT, moment(&state(&project), FULL_AT) - 3600);
    let (_, report) = project.check(&[]);
    assert!(why_full(&report).unwrap().starts_with("the last one was 1 hour"), "{report:#}");
    configure("[check]\nfull_every = \"often\"\n");
    let ran = project.run(&["check"]);
    assert!(ran.code() == 1 && ran.err().contains("full_every is a duration"), "{}", ran.err());
}

#[test]
fn what_only_this_machine_can_have_is_refused_elsewhere() {
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "one");
    let text = project.read("audit/driftlock.toml");
    let targets =
        "[targets.here]\nhost = \"local\"\nroot = \".\"\n[targets.far]\nhost = \"127.0.0.1\"\nroot = \"/\"\n";
    project.file("audit/driftlock.toml", &format!("{text}{targets}"));
    for (args, word) in [
        (["--baseline", "git:HEAD"].as_slice(), "beside a git revision everything is read"),
        (&["--full"], "cannot be used with"),
    ] {
        let ran = project.run(&[&["check", "--since-last"], args].concat());
        assert_eq!(ran.code(), 1, "{args:?}");
        assert!(ran.err().contains(word), "{args:?}: {}", ran.err());
    }
    assert!(!project.path("audit/runtime/latest.json").exists() && !project.path(STATE).exists());
}

#[test]
fn a_check_of_some_checks_trusts_and_forgets_nothing() {
    let project = remembered();
    let before = state(&project);
    let (_, report) = project.check(&["--since-last", "--only", "addon_hashes"]);
    assert_eq!((counts(&report), state(&project) == before), ((0, 6), true));
    std::fs::remove_file(project.path(ORDER)).unwrap();
    let (code, report) = project.check(&["--since-last", "--only", "addon_hashes"]);
    assert_eq!((code, counts(&report), state(&project) == before), (2, (0, 5), true));
    std::fs::remove_file(project.path(STATE)).unwrap();
    project.check(&["--since-last", "--only", "addon_hashes"]);
    assert!(!project.path(STATE).exists());
}

#[test]
fn what_the_kernel_makes_up_is_read_each_time() {
    let project = Project::small();
    let text = project.read("audit/driftlock.toml");
    let text = format!("{text}[files]\ninclude = [\"/proc/sys/kernel/ostype\", \"/sys/kernel/fscaps\"]\n");
    project.file("audit/driftlock.toml", &text);
    project.ok(&["export", "--accept"]);
    settle(&project.root());
    project.check(&TRUSTING);
    let (code, report) = project.check(&TRUSTING);
    assert_eq!((code, counts(&report)), (0, (2, FILES)));
    assert_eq!(check_of(&report, "config_hashes")["subjects"], 2);
}

#[test]
fn checks_at_the_same_time_are_both_right() {
    let project = remembered();
    for round in 0..5 {
        project.file(ORDER, &format!("class Order: {round}\n"));
        let started: Vec<_> = (0..3)
            .map(|_| {
                let mut command = crate::support::world::driftlock();
                command.args(["check", "--since-last", "--quiet"]).current_dir(project.root());
                command.stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut child in started {
            assert_eq!(child.wait().unwrap().code(), Some(2), "{round}");
        }
        let (code, report) = project.check(&TRUSTING);
        // What was edited is read again until it is older than the clock's grain.
        let (read, trusted) = counts(&report);
        assert!(read <= 1 && read + trusted == FILES, "{round}: {report:#}");
        assert_eq!((code, why_full(&report)), (2, None), "{round}");
    }
}

#[test]
fn the_report_tells_of_it_and_is_read_back() {
    let project = remembered();
    let ran = project.ok(&["check", "--since-last"]);
    let line = ran.out().lines().find(|line| line.contains("Since last:")).unwrap().trim().to_owned();
    assert!(line.starts_with("Since last: 0 files read, 8 trusted; last full look 20"), "{line}");
    assert!(project.ok(&["report"]).out().contains(&line));
    for format in ["html", "markdown", "junit", "sarif"] {
        let out = project.ok(&["report", "--format", format]).out();
        assert!(out.contains("Since last: 0 files read, 8 trusted"), "{format}: {out}");
    }
    std::fs::remove_file(project.path(STATE)).unwrap();
    let out = project.ok(&["check", "--since-last"]).out();
    assert!(
        out.contains("  Since last: 8 files read, a full look: no earlier look is remembered\n"),
        "{out}"
    );
}

#[test]
fn what_is_remembered_is_no_run() {
    let project = remembered();
    project.old_export("20200101_000000");
    project.old_export("20200101_000001");
    let listed = project.ok(&["prune", "--dry-run"]);
    let listed = listed.out() + &listed.err();
    assert!(listed.contains("20200101_000000") && !listed.contains("remembered"), "{listed}");
    let state = state(&project);
    project.ok(&["prune"]);
    assert!(!project.path("audit/runtime/20200101_000000").exists());
    assert_eq!(self::state(&project), state);
    let told = project.ok(&["history"]).out();
    assert!(told.contains("  PASS  ") && !told.contains("remembered"), "{told}");
}
