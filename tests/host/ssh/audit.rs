//! The same audit on a server: what is found there, what it may not have, and many servers at once.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::support::disk::files_below;
use crate::support::dropbear::Dropbear;
use crate::support::git::{commit_all, git};
use crate::support::sshd::Server;
use crate::support::wire::Wire;
use crate::support::{Project, Ran, check_of, findings, status};

/// `[targets.NAME]` for a server on loopback, with the project's own tree.
fn target(name: &str, project: &Project, server: &Server, more: &str) -> String {
    at_port(name, project, server, server.port, more)
}

fn at_port(name: &str, project: &Project, server: &Server, port: u16, more: &str) -> String {
    let print = server.fingerprint("ed25519");
    format!(
        "[targets.{name}]\nhost = \"{}\"\nport = {port}\nuser = \"{}\"\nssh_key = \"{}\"\nhost_keys = [\"{print}\"]\nroot = \"{}\"\n{more}",
        server.address(),
        server.user(),
        server.key().display(),
        project.root().display()
    )
}

/// A project whose configuration ends with targets.
fn with_targets(project: &Project, targets: &str) {
    let before = project.read("audit/driftlock.toml");
    let before = before.split("[targets").next().unwrap().to_owned();
    project.file("audit/driftlock.toml", &format!("{before}{targets}"));
}

fn check(project: &Project, target: &str) -> (i32, Value) {
    project.check(&["--target", target, "--docker", "off"])
}

#[test]
fn the_same_tree_gives_the_same_lock_files_here_and_there() {
    let server = Server::start(|_| {});
    let project = Project::small();
    for name in ["a b", "-x", "it's", "quo\"te", "back\\slash", "new\nline", "*", "[a]", "$(id)", "é"] {
        project.file(&format!("odoo_modules/community/ocr/{name}/{name}"), name);
    }
    symlink("models/order.py", project.path("odoo_modules/community/ocr/link")).unwrap();
    symlink("nowhere\n", project.path("odoo_modules/community/ocr/broken")).unwrap();
    project.file("odoo_modules/community/ocr/__pycache__/x.pyc", "x");
    with_targets(&project, &target("prod", &project, &server, ""));
    project.ok(&["export", "--output", "here", "--docker", "off"]);
    project.ok(&["export", "--target", "prod", "--output", "there", "--docker", "off"]);
    assert_eq!(files_below(&project.path("here")), files_below(&project.path("there")));
    project.ok(&["export", "--accept", "--docker", "off"]);
    assert_eq!(check(&project, "prod").0, 0);
}

#[test]
fn drift_on_a_server_is_found_and_can_be_accepted() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    with_targets(&project, &target("prod", &project, &server, ""));
    project.file("infra/stacks/erp/docker-compose.yml", "drift\n");
    project.file("odoo_modules/seisei/printer/models/order.py", "drift\n");
    std::fs::remove_file(project.path("odoo_modules/community/ocr/models/order.py")).unwrap();
    project.file("infra/stacks/new/docker-compose.yml", "new\n");
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 2, "{report:#}");
    let word = |subject: &str, kind: &str| (subject.to_owned(), kind.to_owned());
    let compose = [
        word("infra/stacks/erp/docker-compose.yml", "modified"),
        word("infra/stacks/new/docker-compose.yml", "unexpected"),
    ];
    assert_eq!(findings(&report, "compose_hashes"), compose);
    assert_eq!(findings(&report, "addon_hashes"), [word("ocr", "modified"), word("printer", "modified")]);
    assert_eq!((&report["mode"], &report["target"]), (&"server".into(), &"prod".into()));
    project.ok(&["accept", "--target", "prod", "--yes"]);
    assert_eq!(check(&project, "prod").0, 0);
}

#[test]
fn one_login_serves_the_look_and_the_lines_of_every_file() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    git(&project, &["init", "--quiet"]);
    commit_all(&project, "r1");
    with_targets(&project, &target("prod", &project, &server, ""));
    let files = ["printer/models/order.py", "printer/__manifest__.py", "printer/__init__.py"];
    for file in &files {
        project.file(&format!("odoo_modules/seisei/{file}"), "other = 7\n");
    }
    let ran = project.run(&["diff", "git:HEAD", "target:prod", "--content"]);
    assert_eq!((ran.out().matches("+other = 7").count(), server.logins()), (3, 1), "{}", ran.out());
    let ran = project.run(&["explain", "printer/models/order.py", "--target", "prod", "--content"]);
    assert_eq!((ran.out().matches("+other = 7").count(), server.logins()), (1, 2), "{}", ran.out());
}

#[test]
fn many_files_are_told_by_two_sessions_or_one_after_the_other_where_one_is_allowed() {
    let project = Project::small();
    for module in 0..4 {
        let dir = format!("odoo_modules/community/wide{module}");
        project.file(&format!("{dir}/__manifest__.py"), "{}\n");
        (0..300).for_each(|n| project.file(&format!("{dir}/{n}.py"), &format!("{module} {n}\n")));
    }
    project.ok(&["export", "--accept", "--docker", "off"]);
    for (sessions, drifts) in [(10, false), (1, false), (1, true)] {
        let server = Server::start(|setup| {
            setup.line(&format!("MaxSessions {sessions}"));
        });
        with_targets(&project, &target("prod", &project, &server, ""));
        if drifts {
            project.file("odoo_modules/community/wide3/7.py", "drift\n");
        }
        let mut command =
            project.driftlock(&["check", "--target", "prod", "--docker", "off", "--format", "json"]);
        let ran = Ran(command.env("DRIFTLOCK_LOG", "debug").output().unwrap());
        let scripts = ran.err().matches("ran a command command=\"sh -s\"").count();
        assert_eq!(scripts, 2, "{sessions}: {}", ran.err());
        let expected: &[(String, String)] =
            if drifts { &[("wide3".to_owned(), "modified".to_owned())] } else { &[] };
        assert_eq!(findings(&ran.report(), "addon_hashes"), expected, "{}", ran.err());
    }
}

#[test]
fn nothing_is_created_on_the_server() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    with_targets(&project, &target("prod", &project, &server, ""));
    let stamp = SystemTime::now();
    assert_eq!(check(&project, "prod").0, 0);
    let mut newer = Vec::new();
    for dir in [server.dir().to_owned(), project.path("infra"), project.path("odoo_modules")] {
        for path in files_below(&dir).into_keys() {
            let meta = std::fs::metadata(dir.join(&path));
            if meta.is_ok_and(|meta| meta.modified().unwrap() >= stamp) {
                newer.push(path);
            }
        }
    }
    newer.retain(|path| path != Path::new("log"));
    assert!(newer.is_empty(), "{newer:?}");
}

#[test]
fn other_servers_and_login_shells_give_the_same() {
    let project = Project::accepted();
    let mut servers = Vec::new();
    for shell in ["fish", "csh", "bash", "dash", "busybox ash"] {
        let program = shell.split(' ').map(str::to_owned).collect::<Vec<_>>().join(" ");
        let line = format!("ForceCommand {program} -c \"$SSH_ORIGINAL_COMMAND\"");
        servers.push((shell, Server::start(|setup| _ = setup.line(&line))));
    }
    let noisy = "ForceCommand echo welcome; printf 'a\\0b'; exec $SSH_ORIGINAL_COMMAND";
    servers.push(("noise", Server::start(|setup| _ = setup.line(noisy))));
    servers.push(("ipv6", Server::start(|setup| _ = setup.listen("::1"))));
    for (name, server) in &servers {
        with_targets(&project, &target("prod", &project, server, ""));
        let (code, report) = check(&project, "prod");
        assert_eq!(code, 0, "{name}: {report:#}");
    }
    let dropbear = Dropbear::start(&[]);
    let known = dropbear.known_hosts().display().to_string();
    with_targets(
        &project,
        &format!(
            "[targets.prod]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\nssh_key = \"{}\"\nknown_hosts = \"{known}\"\nroot = \"{}\"\n",
            dropbear.port,
            dropbear.user(),
            dropbear.key().display(),
            project.root().display()
        ),
    );
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 0, "dropbear: {report:#}");
}

/// A directory with links to a few programs, for a server that has no others.
fn few_programs(project: &Project, names: &[&str]) -> String {
    let dir = project.path("few");
    std::fs::create_dir_all(&dir).unwrap();
    for name in names {
        let _ = symlink(format!("/usr/bin/{name}"), dir.join(name));
    }
    dir.to_str().unwrap().to_owned()
}

#[test]
fn what_a_server_lacks_is_said_in_one_line() {
    let project = Project::accepted();
    let few = few_programs(&project, &["sh", "ls", "readlink", "cat"]);
    // The script looks in the usual places itself: they are hidden from it.
    let hide = format!(
        "ForceCommand sed 's|/usr/local/bin:/usr/bin:/bin|{few}|g; s|:/usr/sbin:/sbin||g' | PATH={few} {few}/sh -s"
    );
    let server = Server::start(|setup| _ = setup.line(&hide));
    with_targets(&project, &target("prod", &project, &server, ""));
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 1, "{report:#}");
    let why = check_of(&report, "server_collection")["error"].as_str().unwrap().to_owned();
    assert!(why.contains("none of sha256sum, shasum and openssl is installed"), "{why}");
    for check in ["compose_hashes", "addon_hashes"] {
        assert_eq!(status(&report, check), "ERROR", "{report:#}");
    }
}

#[test]
fn a_root_that_is_not_there_and_directories_without_rights_are_errors() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    let elsewhere = target("prod", &project, &server, "").replace("root = \"", "root = \"/nonexistent");
    with_targets(&project, &elsewhere);
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 1, "{report:#}");
    assert!(findings(&report, "compose_hashes").iter().all(|(_, kind)| kind == "unreadable"), "{report:#}");
    let dir = project.path("odoo_modules/community/ocr/models");
    std::fs::remove_file(dir.join("order.py")).unwrap();
    std::os::unix::net::UnixListener::bind(dir.join("order.py")).unwrap();
    with_targets(&project, &target("prod", &project, &server, ""));
    let (code, report) = check(&project, "prod");
    assert_eq!(
        (code, findings(&report, "addon_hashes")),
        (1, vec![("ocr".to_owned(), "unreadable".to_owned())])
    );
}

#[test]
fn sudo_reads_as_root_does_and_says_when_it_may_not() {
    let project = Project::accepted();
    let fake = project.path("fake");
    std::fs::create_dir(&fake).unwrap();
    let put = |text: &str| {
        std::fs::write(fake.join("sudo"), text).unwrap();
        std::fs::set_permissions(fake.join("sudo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let line = format!(
        "ForceCommand PATH={}:$PATH; echo \"$SSH_ORIGINAL_COMMAND\" >>{}; exec $SSH_ORIGINAL_COMMAND",
        fake.display(),
        fake.join("asked").display()
    );
    let server = Server::start(|setup| _ = setup.line(&line));
    with_targets(&project, &target("prod", &project, &server, "sudo = true\n"));
    put("#!/bin/sh\n[ \"$1\" = -n ] || exit 9\nshift\nexec \"$@\"\n");
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(project.read("fake/asked"), "sudo -n sh -s\n");
    put("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    let (code, report) = check(&project, "prod");
    let why = check_of(&report, "server_collection")["error"].as_str().unwrap().to_owned();
    assert!(code == 1 && why.contains("sudo: a password is required"), "{why}");
}

#[test]
fn many_targets_at_once_and_a_bad_one_costs_the_others_nothing() {
    let project = Project::accepted();
    let server = Server::start(|setup| _ = setup.line("MaxStartups 100:30:200"));
    let (silent, refusing) = (Wire::silent(), Wire::silent());
    let refused = refusing.port;
    drop(refusing);
    let mut targets = String::new();
    for number in 0..47 {
        let _ = writeln!(targets, "{}", target(&format!("t{number:02}"), &project, &server, ""));
    }
    for (name, port) in [("frozen1", silent.port), ("frozen2", silent.port), ("refusing", refused)] {
        let _ = writeln!(targets, "{}", at_port(name, &project, &server, port, ""));
    }
    with_targets(&project, &targets);
    let ran = project.run(&["check", "--all", "--docker", "off", "--connect-timeout", "5"]);
    assert_eq!(ran.code(), 1, "{}{}", ran.out(), ran.err());
    let out = ran.out();
    let table = &out[out.find("  TARGETS").unwrap_or_else(|| panic!("{out}"))..];
    let table = table.split_once("\n\n").map_or(table, |(table, _)| table);
    assert_eq!(table.matches("PASS").count(), 47, "{table}");
    assert_eq!(table.matches("ERROR").count(), 3, "{table}");
}

#[test]
fn a_busy_server_is_tried_again() {
    let project = Project::accepted();
    let server = Server::start(|setup| _ = setup.line("MaxStartups 2:100:2"));
    let mut targets = String::new();
    for number in 0..6 {
        let _ = writeln!(targets, "{}", target(&format!("t{number}"), &project, &server, ""));
    }
    with_targets(&project, &targets);
    let ran = project.run(&["check", "--all", "--docker", "off", "--jobs", "6"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
}

#[test]
fn what_belongs_on_a_target_and_where_it_lies() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    std::fs::create_dir(project.path("srv")).unwrap();
    std::fs::rename(project.path("infra/stacks"), project.path("srv/releases")).unwrap();
    symlink("releases", project.path("srv/stacks")).unwrap();
    let more = format!(
        "paths = {{ \"infra/stacks\" = \"{}\" }}\ninclude = [\"infra/**\", \"odoo_modules/seisei/**\"]\n",
        project.path("srv/stacks").display()
    );
    with_targets(&project, &target("prod", &project, &server, &more));
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(check_of(&report, "addon_hashes")["subjects"], 2);
    let text = report["coverage"].to_string();
    assert!(text.contains("not included on this target"), "{text}");
}

#[test]
fn the_command_line_goes_before_what_the_target_says() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    let wrong = target("prod", &project, &server, "").replace("user_key", "no_such_key");
    with_targets(&project, &wrong);
    assert_eq!(check(&project, "prod").0, 1);
    let key = server.key().to_str().unwrap().to_owned();
    let (code, report) = project.check(&["--target", "prod", "--docker", "off", "--ssh-key", &key]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn a_pinned_key_is_never_replaced_by_a_new_one() {
    let (server, other) = (Server::start(|_| {}), Server::start(|_| {}));
    let project = Project::accepted();
    let (right, wrong) = (server.fingerprint("ed25519"), other.fingerprint("ed25519"));
    with_targets(&project, &target("prod", &project, &server, "").replace(&right, &wrong));
    let (code, report) = project.check(&[
        "--target",
        "prod",
        "--docker",
        "off",
        "--accept-new-host-key",
        "--known-hosts",
        "new_hosts",
    ]);
    let why = check_of(&report, "server_collection")["error"].as_str().unwrap().to_owned();
    assert!(code == 1 && why.contains(&right) && why.contains(&wrong), "{why}");
    assert!(!project.path("new_hosts").exists());
}

#[test]
fn an_include_that_leaves_nothing_is_no_pass() {
    let server = Server::start(|_| {});
    let project = Project::accepted();
    with_targets(&project, &target("prod", &project, &server, "include = [\"infra/stack/**\"]\n"));
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 1, "{report:#}");
    for check in ["compose_hashes", "addon_hashes"] {
        assert_eq!(status(&report, check), "SKIP", "{report:#}");
    }
}

/// A program of the server that stands before the real one.
fn before_others(dir: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_listing_that_breaks_off_on_the_server_is_no_pass() {
    let project = Project::accepted();
    let fake = project.path("fake");
    let line = format!("ForceCommand PATH={}:$PATH; exec $SSH_ORIGINAL_COMMAND", fake.display());
    let server = Server::start(|setup| _ = setup.line(&line));
    with_targets(&project, &target("prod", &project, &server, ""));
    for (says, reason) in [
        ("echo \"ls: reading directory: Input/output error\" >&2", "input/output error"),
        ("", "it cannot be listed"),
    ] {
        before_others(&fake, "ls", &format!("{says}\n/bin/ls \"$@\"\nexit 1"));
        let (code, report) = check(&project, "prod");
        assert_eq!(code, 1, "{report:#}");
        let text = report.to_string();
        assert!(text.contains(reason), "{reason}: {report:#}");
        assert_eq!(status(&report, "addon_hashes"), "ERROR", "{report:#}");
    }
    let hostile = "printf 'ls: x: \\033[31mboo\\007\\n' >&2; exit 1";
    before_others(&fake, "ls", hostile);
    for command in ["check", "export"] {
        let ran = project.run(&[command, "--target", "prod", "--docker", "off"]);
        assert!(
            ran.code() == 1 && ran.out().contains("boo") && !ran.out().contains('\x1b'),
            "{:?}",
            ran.out()
        );
    }
}

#[test]
fn programs_in_the_audited_tree_are_never_run() {
    let project = Project::accepted();
    let module = project.path("odoo_modules/community/ocr");
    let ran = project.path("was_run");
    before_others(
        &module,
        "sha256sum",
        &format!("echo ran >{}; exec /usr/bin/sha256sum \"$@\"", ran.display()),
    );
    let server =
        Server::start(|setup| _ = setup.line("ForceCommand PATH=:.:$PATH; exec $SSH_ORIGINAL_COMMAND"));
    with_targets(&project, &target("prod", &project, &server, ""));
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 2, "{report:#}");
    assert!(!ran.exists());
}

#[test]
fn files_that_compose_files_name_on_a_server_are_told_of() {
    let server = Server::start(|_| {});
    let (project, there) = (Project::small(), Project::small());
    let erp = "infra/stacks/erp/docker-compose.yml";
    for tree in [&project, &there] {
        tree.file(erp, "include: [db.yaml]\nservices: {web: {image: x, env_file: own.env}}\n");
        tree.file(
            "infra/stacks/erp/db.yaml",
            "services: {db: {image: x, volumes: ['./db.conf:/c', './dir:/d']}}\n",
        );
        tree.file("infra/stacks/erp/dir/x", "x");
    }
    project.ok(&["export", "--accept", "--docker", "off"]);
    there.file("infra/stacks/erp/own.env", "x");
    there.file("infra/stacks/erp/db.conf", "x");
    with_targets(&project, &target("prod", &there, &server, ""));
    let named = |report: &Value| {
        let all = report["coverage"]["subjects"].as_array().unwrap();
        let it = all.iter().find(|it| it["reason"].as_str().unwrap().contains("that compose files name: "));
        it.map(|it| it["reason"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 0, "{report:#}");
    let all = "infra/stacks/erp/db.conf, infra/stacks/erp/db.yaml, infra/stacks/erp/own.env";
    assert_eq!(named(&report), format!("files that compose files name: {all}"));
    // What differs there is read there.
    there.file(erp, "services: {web: {image: x, env_file: [own.env, new.env]}}\n");
    there.file("infra/stacks/erp/new.env", "x");
    let (code, report) = check(&project, "prod");
    assert_eq!(code, 2, "{report:#}");
    let all = "infra/stacks/erp/new.env, infra/stacks/erp/own.env";
    assert_eq!(named(&report), format!("files that compose files name: {all}"));
}
