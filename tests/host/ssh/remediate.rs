//! Repairs on a server.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::remediate::{host_file, released};
use crate::support::dice::Dice;
use crate::support::disk::{files_below, temporaries};
use crate::support::http::{Answer, HttpServer};
use crate::support::redis::Redis;
use crate::support::sshd::Server;
use crate::support::watcher::Watcher;
use crate::support::{Project, Ran, needs, random, wait_until};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const ORDER: &str = "odoo_modules/seisei/printer/models/order.py";

/// A project, a server that has a copy of it, and the host's own file that names that as a target.
fn on_server(
    setup: impl FnOnce(&mut crate::support::sshd::Setup),
) -> (Project, Server, (tempfile::TempDir, String)) {
    let sshd = Server::start(setup);
    let project = released(|_| {});
    let tree = sshd.dir().join("erp");
    for dir in ["infra", "odoo_modules"] {
        crate::support::disk::copy(&project.path(dir), &tree.join(dir));
    }
    let target = sshd.target("prod", &tree) + "docker = \"off\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + &target));
    crate::support::git::commit_all(&project, "target");
    let host = host_file(&target);
    (project, sshd, host)
}

fn remediate(project: &Project, host: &str, args: &[&str]) -> Ran {
    project.run(&[&["remediate", "--target", "prod", "--host-config", host], args].concat())
}

#[test]
fn files_of_a_server_are_repaired_whole_with_owner_and_mode() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    fs::write(tree.join(EDGE), "by hand\n").unwrap();
    fs::set_permissions(tree.join(EDGE), fs::Permissions::from_mode(0o4640)).unwrap();
    fs::remove_file(tree.join(ORDER)).unwrap();
    fs::create_dir_all(tree.join("odoo_modules/seisei/printer/wizard")).unwrap();
    fs::write(tree.join("odoo_modules/seisei/printer/wizard/it's $(x).py"), "extra\n").unwrap();
    fs::create_dir_all(tree.join("odoo_modules/seisei/rogue/a")).unwrap();
    fs::write(tree.join("odoo_modules/seisei/rogue/__manifest__.py"), "{}\n").unwrap();
    fs::write(tree.join("odoo_modules/seisei/rogue/a/b.py"), "1\n").unwrap();
    let none = project.run(&["remediate", "--target", "prod", "**", "--yes"]);
    assert_eq!(none.code(), 1);
    assert!(none.err().contains("connects and plans only where that says so"), "{}", none.err());
    let ran = remediate(&project, &host, &["**", "--yes"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let here = |dir: &str| files_below(&project.path(dir));
    for dir in ["infra", "odoo_modules"] {
        assert_eq!(files_below(&tree.join(dir)), here(dir));
    }
    assert_eq!(tree.join(EDGE).metadata().unwrap().mode() & 0o7777, 0o640);
    assert!(!tree.join("odoo_modules/seisei/rogue").exists());
    assert!(!tree.join("odoo_modules/seisei/printer/wizard").exists());
    assert_eq!(temporaries(&tree), [] as [std::path::PathBuf; 0]);
    let one = fs::read_dir(project.path("audit/state/replaced")).unwrap().flatten().next().unwrap().path();
    let kept = files_below(&one);
    assert!(
        kept.values().any(|bytes| bytes == b"by hand\n") && kept.values().any(|bytes| bytes == b"extra\n")
    );
    assert_eq!(project.run(&["check", "--target", "prod"]).code(), 0);
}

#[test]
fn nothing_is_written_through_a_link_of_a_server_nor_to_a_file_with_other_names() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let outside = sshd.dir().join("outside");
    crate::support::disk::copy(&tree.join("odoo_modules/seisei/printer/models"), &outside);
    fs::write(outside.join("order.py"), "theirs\n").unwrap();
    fs::rename(tree.join("infra/stacks/edge"), tree.join("aside")).unwrap();
    symlink(tree.join("aside"), tree.join("infra/stacks/edge")).unwrap();
    fs::write(tree.join("aside/docker-compose.yml"), "by hand\n").unwrap();
    let ran = remediate(&project, &host, &["compose_hashes/**", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains("link") && ran.err().contains("nothing was changed"), "{}", ran.err());
    fs::write(tree.join(ORDER), "by hand\n").unwrap();
    fs::hard_link(tree.join(ORDER), tree.join("other-name")).unwrap();
    let ran = remediate(&project, &host, &["printer", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.out());
    assert!(ran.err().contains("the file has 2 names"), "{}", ran.err());
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(read(&tree.join("aside/docker-compose.yml")), "by hand\n");
    assert_eq!(
        (read(&outside.join("order.py")).as_str(), read(&tree.join("other-name")).as_str()),
        ("theirs\n", "by hand\n")
    );
}

#[test]
fn a_link_to_a_directory_of_a_server_is_replaced_itself() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let outside = sshd.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("theirs"), "theirs\n").unwrap();
    fs::remove_file(tree.join(ORDER)).unwrap();
    symlink(&outside, tree.join(ORDER)).unwrap();
    let ran = remediate(&project, &host, &["printer", "--yes"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert!(tree.join(ORDER).symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(tree.join(ORDER)).unwrap(), "class Order: pass\n");
    let names = fs::read_dir(&outside).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["theirs"]);
}

#[test]
fn a_repair_whose_connection_breaks_leaves_each_file_old_or_repaired() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let good = files_below(&tree);
    let names = ["a.py", "b.py", "c.py", "d.py"];
    for trial in 0..4 {
        fs::write(tree.join(EDGE), "by hand\n").unwrap();
        fs::write(tree.join(ORDER), "by hand\n").unwrap();
        for name in names {
            fs::write(tree.join("odoo_modules/seisei/printer").join(name), "x".repeat(100_000)).unwrap();
        }
        let child = project.spawn(&["remediate", "--target", "prod", "--host-config", &host, "**", "--yes"]);
        // Some files are not there any more: it has begun.
        let is_begun = || !tree.join("odoo_modules/seisei/printer/a.py").exists();
        if trial % 2 == 0 {
            crate::support::wait_until(is_begun);
        } else {
            crate::support::wait_until(|| sshd.logins() > 0);
        }
        sshd.end_sessions();
        let ran = crate::support::ended(child);
        assert!([0, 1, 2].contains(&ran.code()), "{}", ran.err());
        for (path, bytes) in files_below(&tree) {
            let is_old = [&b"by hand\n"[..], "x".repeat(100_000).as_bytes()].contains(&bytes.as_slice());
            let is_temporary = path.to_string_lossy().contains("/.driftlock-tmp-");
            assert!(is_old || good.get(&path) == Some(&bytes) || is_temporary, "{}", path.display());
        }
        for left in temporaries(&tree) {
            fs::remove_dir_all(left).unwrap();
        }
        if project.run(&["check", "--target", "prod"]).code() == 2 {
            let ran = remediate(&project, &host, &["**", "--yes"]);
            assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
        }
        assert_eq!(files_below(&tree), good);
    }
}

/// All below a directory but temporaries: the text of links, the mode and bytes of files.
fn whole(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if path.file_name().unwrap().to_string_lossy().starts_with(".driftlock-tmp-") {
            continue;
        }
        let what = if meta.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_dir() {
            all.extend(whole(&path));
            continue;
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            format!("file {:o} {text}", meta.mode() & 0o7777)
        };
        all.insert(path, what);
    }
    all
}

#[test]
fn drift_of_a_server_at_random_is_repaired_also_after_a_kill_and_nothing_else_is_changed() {
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let tree = sshd.dir().join("erp");
    let outside = sshd.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("theirs"), "theirs\n").unwrap();
    fs::write(tree.join("infra/notes.txt"), "notes\n").unwrap();
    let before = whole(&tree);
    let mut dice = Dice(random::seed());
    let (mut repaired, mut killed) = (0, 0);
    for _ in 0..crate::support::rounds(6) {
        for _ in 0..=dice.roll(4) {
            let path = dice.one_of(&before.keys().collect::<Vec<_>>()).clone();
            if path.ends_with("notes.txt") {
                continue;
            }
            let is_module = path.starts_with(tree.join("odoo_modules")) && !path.ends_with("__manifest__.py");
            match dice.roll(4) {
                0 => drop(fs::remove_file(&path)),
                1 if is_module => {
                    let _ = fs::remove_file(&path);
                    symlink(&outside, &path).unwrap();
                }
                2 if is_module => fs::write(path.with_extension("orig.py"), "left\n").unwrap(),
                _ => {
                    let _ = fs::remove_file(&path);
                    fs::write(&path, format!("by hand {}\n", dice.roll(1000))).unwrap();
                }
            }
        }
        let drifted = whole(&tree);
        repaired += usize::from(drifted != before);
        let args = ["remediate", "--target", "prod", "--host-config", &host, "**", "--yes"];
        if drifted != before && dice.once_in(3) {
            let mut child = project.spawn(&args);
            std::thread::sleep(Duration::from_millis(dice.roll(600) as u64));
            let _ = child.kill();
            killed += usize::from(crate::support::ended(child).code() == -1);
            sshd.end_sessions();
            for (path, now) in whole(&tree) {
                let is_whole = [&before, &drifted].iter().any(|state| state.get(&path) == Some(&now));
                assert!(is_whole, "{}: {now}", path.display());
            }
            for left in temporaries(&tree) {
                fs::remove_dir_all(left).unwrap();
            }
        }
        let code = project.run(&["check", "--target", "prod"]).code();
        assert!([0, 2].contains(&code));
        if code == 2 {
            let ran = project.run(&args);
            assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
            assert_eq!(project.run(&["check", "--target", "prod"]).code(), 0);
        }
        assert_eq!(whole(&tree), before);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
    println!("{repaired} were repaired, {killed} of them were killed before");
}

/// A playbook that copies the released file to a server: the playbook's place, and the table of the host's own file that runs it.
struct Playbook {
    dir: tempfile::TempDir,
    modules: PathBuf,
    file: PathBuf,
    table: String,
}

impl Playbook {
    fn new(project: &Project, sshd: &Server) -> Self {
        let modules = std::env::var_os("DRIFTLOCK_ANSIBLE")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ansible"), PathBuf::from);
        let dir = tempfile::tempdir().unwrap();
        let [inventory, file] = ["hosts", "play.yml"].map(|name| dir.path().join(name));
        let line = format!(
            "prod ansible_host={} ansible_port={} ansible_user={} ansible_ssh_private_key_file={} \
             ansible_ssh_common_args='-o UserKnownHostsFile={}' ansible_python_interpreter=/usr/bin/python3\n",
            sshd.address(),
            sshd.port,
            sshd.user(),
            sshd.key().display(),
            sshd.known_hosts().display()
        );
        fs::write(&inventory, line).unwrap();
        let task = format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.copy:\n        src: {}\n        dest: {}\n        mode: preserve\n",
            project.path(ORDER).display(),
            sshd.dir().join("erp").join(ORDER).display()
        );
        fs::write(&file, task).unwrap();
        let table = format!(
            "[remediations.ansible]\nrun = [\"python3\", \"{}\", \"-i\", \"{}\", \"--limit\", \"{{target}}\", \"{}\"]\nenv = [\"ANSIBLE_*\", \"PYTHON*\", \"LC_ALL\"]\n",
            modules.join("bin/ansible-playbook").display(),
            inventory.display(),
            file.display()
        );
        Self { dir, modules, file, table }
    }

    /// The variables with which Ansible runs. No connection of its outlives it.
    fn variables(&self) -> [(&'static str, std::ffi::OsString); 5] {
        [
            ("PYTHONPATH", self.modules.clone().into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("ANSIBLE_HOME", self.dir.path().into()),
            ("ANSIBLE_SSH_ARGS", "-o ControlMaster=no".into()),
        ]
    }
}

#[test]
fn needs_ansible_a_playbook_repairs_a_server() {
    needs::declared(needs::ANSIBLE);
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let (tree, playbook) = (sshd.dir().join("erp"), Playbook::new(&project, &sshd));
    let text = fs::read_to_string(&host).unwrap();
    fs::write(&host, text + &playbook.table).unwrap();
    fs::write(tree.join(ORDER), "by hand\n").unwrap();
    let args =
        ["remediate", "--target", "prod", "--host-config", &host, "printer", "--with", "ansible", "--yes"];
    let ran = Ran(project.driftlock(&args).envs(playbook.variables()).output().unwrap());
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    assert!(ran.out().contains("Resolved: addon_hashes/printer\n"), "{}", ran.out());
    assert_eq!(fs::read_to_string(tree.join(ORDER)).unwrap(), "class Order: pass\n");
    // What the playbook cannot do is escalated.
    fs::write(tree.join(ORDER), "by hand\n").unwrap();
    fs::write(
        &playbook.file,
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.fail: {msg: no}\n",
    )
    .unwrap();
    let ran = Ran(project.driftlock(&args).envs(playbook.variables()).output().unwrap());
    assert_eq!(ran.code(), 2, "{}{}", ran.out(), ran.err());
    assert!(
        ran.out().contains("Escalated: addon_hashes/printer: python3 ended with exit code 2"),
        "{}",
        ran.out()
    );
}

/// An agent of the server says that a file changed → it is looked at → the event is published → a change request is opened → a playbook
/// repairs → it is looked at again → the events are published → the change request is closed.
#[test]
fn needs_ansible_from_the_hint_of_an_agent_to_the_closed_change_request() {
    needs::declared(needs::ANSIBLE);
    let (project, sshd, (_dir, host)) = on_server(|_| {});
    let (tree, playbook) = (sshd.dir().join("erp"), Playbook::new(&project, &sshd));
    let (redis, desk) = (Redis::start(""), HttpServer::start());
    let body = "{\"number\": \"CHG7\"}";
    let created =
        format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    desk.answer(&[Answer::Raw(created)]);
    let requests = "[change_requests.desk]\nkind = \"webhook\"\nurl_env = \"DESK\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + requests));
    let policy = "[[policy]]\nname = \"by playbook\"\nmatch = { check = \"addon_hashes\" }\nauto_change_request = \"desk\"\nauto_remediate = \"ansible\"\n";
    project.file("audit/policies.toml", policy);
    crate::support::git::commit_all(&project, "policies");
    let more = format!(
        "{requests}{}[remediation]\nallow = [\"run\"]\n[events.redis]\nurl = \"redis://127.0.0.1:{}\"\nlisten = [\"drift.file_changed\"]\n",
        playbook.table, redis.port
    );
    let text = fs::read_to_string(&host).unwrap();
    fs::write(&host, text + &more).unwrap();
    let mut command = crate::support::world::driftlock();
    command.current_dir(project.root()).env("DESK", desk.url()).envs(playbook.variables());
    // Nothing but the hint leads to a look in time.
    let args = ["--docker", "off", "--target", "prod", "--host-config", &host, "--reconcile", "1h"];
    let mut watcher = Watcher::of(command, &args);
    fs::write(tree.join(ORDER), "by hand\n").unwrap();
    redis.ask(&["XADD", "drift.file_changed", "*", "path", ORDER]);
    watcher.wait_for_subject(0, "drift.remediated", "printer");
    watcher.wait_for_subject(0, "drift.resolved", "printer");
    assert_eq!(fs::read_to_string(tree.join(ORDER)).unwrap(), "class Order: pass\n");
    wait_until(|| desk.count() >= 2);
    wait_until(|| !redis.stream("drift.resolved").is_empty());
    let taken = desk.taken();
    let told: Vec<_> = taken.iter().map(|it| it.headers["driftlock-event"].as_str()).collect();
    assert_eq!(told, ["change_request.opened", "change_request.closed"]);
    assert_eq!(taken[0].json()["drift"]["subject"], "printer");
    assert_eq!(taken[1].json()["reference"], "CHG7");
    let numbers = ["detected", "remediated", "resolved"].map(|name| {
        let events = redis.stream(&format!("drift.{name}"));
        assert!(events.len() == 1 && events[0]["target"] == "prod", "{name}: {events:#?}");
        events[0]["seq"].as_u64().unwrap()
    });
    // The end of the drift may be seen before the repair tells of itself.
    assert!(numbers[1..].iter().all(|later| *later > numbers[0]), "{numbers:?}");
    assert_eq!(watcher.end().0, 143);
}
