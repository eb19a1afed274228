//! What the systemd service allows is enough: a check without any other right, and the system calls it makes.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use crate::support::Project;
use crate::support::deploy::{Ended, demo, ok, program, run, shipped};
use crate::support::disk::files_below;
use crate::support::docker::{Stage, engine_socket};
use crate::support::git::{commit_all, git};
use crate::support::needs;
use crate::support::sshd::Server;

/// Runs `"$@"` where nothing but `$RUNS` can be written, without capabilities, as a user who owns nothing else.
///
/// Only the super-user can become somebody else; for others it is the user alone without rights.
const SANDBOX: &str = r#"
set -eu
mount --make-rprivate / 2>/dev/null || { echo unable; exit 0; }
mount --bind "$RUNS" "$RUNS"
awk '{ print $5 }' /proc/self/mountinfo | while read -r place; do
    case $place in "$RUNS" | /dev | /dev/* | /proc | /proc/* | /sys | /sys/*) continue ;; esac
    mount -o remount,bind,ro "$place" 2>/dev/null || :
done
if touch "$RUNS/../probe" 2>/dev/null; then echo 'audit/ can be written'; exit 99; fi
if [ "$BECOME" = yes ]; then
    set -- --reuid 65534 --regid 65534 --groups "$GROUPS_OF" $AMBIENT "$@"
fi
cd "$RUNS/../.." && exec setpriv --no-new-privs --bounding-set=$BOUNDING "$@"
"#;

/// The rights of the service: none, or those of `read-everything.conf`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    None,
    ReadEverything,
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The demo deployment, which everybody can reach and read, as a checkout on a server.
fn readable() -> Project {
    let project = demo();
    open_to_others(&project);
    project
}

fn open_to_others(project: &Project) {
    std::fs::create_dir_all(project.path("audit/runtime")).unwrap();
    ok(program("cp").arg(env!("CARGO_BIN_EXE_driftlock")).arg(project.path("audit/runtime/driftlock")));
    ok(program("chmod").args(["-R", "a+rX"]).arg(project.root()));
}

/// Runs the binary in the sandbox.
fn sandboxed(project: &Project, args: &[&str], rights: Rights, group: u32) -> Ended {
    needs::declared(needs::MOUNTS);
    let runs = project.root().join("audit/runtime");
    let (ambient, bounding) = match rights {
        Rights::None => ("--inh-caps=-all", "-all"),
        Rights::ReadEverything => {
            ("--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search", "-all,+dac_read_search")
        }
    };
    let mut command = program("unshare");
    if is_root() {
        ok(program("chown").args(["-R", "65534:65534"]).arg(&runs));
    } else {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", SANDBOX, "sh"]).arg(runs.join("driftlock")).args(args);
    command.env("RUNS", &runs).env("BECOME", if is_root() { "yes" } else { "no" });
    command.env("GROUPS_OF", group.to_string()).env("AMBIENT", ambient).env("BOUNDING", bounding);
    let ended = run(command.env("HOME", "/nonexistent"));
    if ended.out == "unable\n" || ended.err.starts_with("unshare: ") {
        needs::absent(needs::MOUNTS, &format!("no sandbox can be made here: {}", ended.err));
    }
    ended
}

#[test]
fn needs_mounts_a_check_writes_only_its_runs() {
    let project = readable();
    let before = files_below(&project.path("audit/locks"));
    let quiet = ["check", "--quiet", "--docker", "off"];
    let pass = sandboxed(&project, &quiet, Rights::None, 65534);
    assert_eq!((pass.code, pass.out.as_str(), pass.err.as_str()), (0, "", ""));
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let drift = sandboxed(&project, &quiet, Rights::None, 65534);
    assert_eq!(drift.code, 2, "{}{}", drift.out, drift.err);
    // Whose edit it is takes a search of the history, which ends early on a busy machine.
    assert!(drift.out.contains("(1)") && drift.out.contains(": qr_ordering"), "{}", drift.out);
    assert!(drift.err.is_empty(), "{}", drift.err);
    let latest = project.latest();
    assert_eq!(latest["overall"], "FAIL");
    assert_eq!(files_below(&project.path("audit/locks")), before);
}

#[test]
fn needs_root_needs_mounts_closed_files_are_an_error_until_the_service_may_read_everything() {
    needs::root();
    let project = readable();
    let closed = project.path("odoo_modules/seisei/qr_ordering/models/order.py");
    std::fs::set_permissions(closed, PermissionsExt::from_mode(0o600)).unwrap();
    let quiet = ["check", "--quiet", "--docker", "off"];
    let refused = sandboxed(&project, &quiet, Rights::None, 65534);
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.out.contains("[ERROR] Addon unreadable: qr_ordering"), "{}", refused.out);
    let read = sandboxed(&project, &quiet, Rights::ReadEverything, 65534);
    assert_eq!((read.code, read.out.as_str()), (0, ""), "{}", read.err);
}

#[test]
fn needs_docker_needs_mounts_the_group_of_its_socket_is_enough_to_ask_the_engine() {
    let stage = Stage::accepted();
    let socket = engine_socket();
    open_to_others(&stage.project);
    let group = std::fs::metadata(&socket).unwrap().gid();
    let asked = sandboxed(&stage.project, &["check", "--quiet"], Rights::None, group);
    assert_eq!((asked.code, asked.out.as_str()), (0, ""), "{}", asked.err);
    if is_root() {
        let refused = sandboxed(&stage.project, &["check"], Rights::None, 65534);
        assert_eq!(refused.code, 1);
        assert!(refused.out.contains("is not in the socket's group"), "{}", refused.out);
    }
}

/// The system calls of a set as systemd lists them, with those of the sets in it.
fn calls_of(set: &str, calls: &mut BTreeSet<String>) {
    let listed = ok(program("systemd-analyze").args(["--no-pager", "syscall-filter", set]));
    for word in listed.lines().filter(|line| line.starts_with("    ")).map(str::trim) {
        match word.chars().next() {
            Some('@') => calls_of(word, calls),
            Some('#') | None => {}
            Some(_) => _ = calls.insert(word.to_owned()),
        }
    }
}

/// What `SystemCallFilter=` of the service lets through.
fn allowed() -> BTreeSet<String> {
    let (mut allowed, unit) = (BTreeSet::new(), shipped("systemd/driftlock.service"));
    for filter in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let mut calls = BTreeSet::new();
        calls_of(filter.trim_start_matches('~'), &mut calls);
        if filter.starts_with('~') {
            allowed.retain(|call| !calls.contains(call));
        } else {
            allowed.extend(calls);
        }
    }
    assert!(allowed.contains("openat") && !allowed.contains("mount"));
    allowed
}

/// What a trace of `strace -f` holds: the names of calls, and the families of sockets.
fn traced(trace: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = std::fs::read(trace).unwrap();
    let text = String::from_utf8_lossy(&text);
    let (mut calls, mut families) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let Some((call, arguments)) = line.split_once('(') else { continue };
        if call.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            calls.insert(call.to_owned());
        }
        if call == "socket" {
            families.insert(arguments.split(',').next().unwrap().to_owned());
        }
    }
    (calls, families)
}

/// Runs the binary under strace, and holds what it asks of the kernel to the service.
fn hold_to_the_service(dir: &Path, args: &[&str], code: i32) {
    let trace = dir.join("trace");
    let mut command = program("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&trace);
    let ended = run(command.arg(env!("CARGO_BIN_EXE_driftlock")).args(args).current_dir(dir));
    assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
    let (calls, families) = traced(&trace);
    assert!(calls.len() > 20, "{calls:?}");
    let refused: Vec<_> = calls.difference(&allowed()).cloned().collect();
    assert!(refused.is_empty(), "the service refuses {refused:?} to {args:?}");
    let unit = shipped("systemd/driftlock.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();
    let known: BTreeSet<_> = line.split(' ').map(str::to_owned).collect();
    assert!(families.is_subset(&known), "{families:?} of {args:?} are not all in {line}");
}

#[test]
fn the_service_refuses_no_call_of_a_check_with_git() {
    let project = demo();
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    hold_to_the_service(&project.root(), &["check", "--docker", "off"], 2);
    project.file(".gitattributes", "*.py text eol=lf\n");
    commit_all(&project, "attributes");
    git(&project, &["config", "core.autocrlf", "input"]);
    hold_to_the_service(&project.root(), &["check", "--docker", "off", "--baseline", "git:HEAD"], 2);
}

#[test]
fn needs_docker_needs_mounts_the_service_refuses_no_call_of_a_check_of_containers_and_servers() {
    let stage = Stage::accepted();
    hold_to_the_service(&stage.project.root(), &["check"], 0);
    let server = Server::start(|_| {});
    let project = demo();
    let more = format!(
        "\n[targets.production]\nhost = \"{}\"\nport = {}\nuser = \"{}\"\nssh_key = \"{}\"\nknown_hosts = \"{}\"\nroot = \"{}\"\ndocker = \"off\"\n",
        server.address(),
        server.port,
        server.user(),
        server.key().display(),
        server.known_hosts().display(),
        project.root().display(),
    );
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &more));
    hold_to_the_service(&project.root(), &["check", "--target", "production"], 0);
}
