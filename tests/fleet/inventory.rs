//! Hosts of an Ansible inventory as targets: of the real `ansible-inventory`, and of programs that answer badly.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{EDGE, Worker, sweep, table};
use crate::support::agent::{AgentProcess, token};
use crate::support::redis::Redis;
use crate::support::sshd::Server;
use crate::support::{Project, needs};

/// `[commands.hosts]` that prints a file.
fn printing(file: &Path) -> String {
    format!("[commands.hosts]\nrun = [\"cat\", \"{}\"]\n", file.display())
}

/// `[inventory]` whose targets are reached with the key of a server, and have the project's own tree.
fn inventory(server: &Server, root: &Path) -> String {
    format!(
        "[inventory]\ncommand = \"hosts\"\n[inventory.target]\nssh_key = \"{}\"\nhost_keys = [\"{}\"]\nroot = \"{}\"\ndocker = \"off\"\n",
        server.key().display(),
        server.fingerprint("ed25519"),
        root.display()
    )
}

/// The hosts of a group `web` at a server, one that nobody answers for, and secrets.
fn hosts(server: &Server) -> String {
    let (address, port, user) = (server.address(), server.port, server.user());
    let there =
        format!("\"ansible_host\": \"{address}\", \"ansible_port\": {port}, \"ansible_user\": \"{user}\"");
    format!(
        "{{\"_meta\": {{\"hostvars\": {{\"web1\": {{{there}, \"ansible_ssh_pass\": \"s3cr3t\"}}, \"web2\": {{{there}}},
        \"other\": {{\"ansible_host\": \"127.0.0.1\", \"ansible_port\": 1}}}}}},
        \"web\": {{\"hosts\": [\"web1\", \"web2\"]}}, \"db\": {{\"hosts\": [\"other\"]}}, \"prod\": {{\"children\": [\"web\", \"db\"]}}}}"
    )
}

fn configure(project: &Project, more: &str) {
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + more));
}

fn verdicts(out: &str) -> Vec<String> {
    let words = |line: &String| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    table(out)[1..].iter().map(words).collect()
}

/// The mode of the newest report of a target.
fn mode(project: &Project, target: &str) -> String {
    let report = project.read(&format!("audit/runtime/latest.{target}.json"));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    report["mode"].as_str().unwrap().to_owned()
}

#[test]
fn needs_mounts_and_needs_ansible_hosts_of_an_inventory_are_checked_as_targets_are() {
    needs::declared(needs::ANSIBLE);
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    let modules = std::env::var_os("DRIFTLOCK_ANSIBLE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ansible"), PathBuf::from);
    let (address, port, user) = (server.address(), server.port, server.user());
    let mut hosts = String::from("all:\n  children:\n    web:\n      hosts:\n");
    for name in ["web1", "web2"] {
        writeln!(
            hosts,
            "        {name}: {{ansible_host: {address}, ansible_port: {port}, ansible_user: {user}, ansible_ssh_pass: s3cr3t}}"
        )
        .unwrap();
    }
    hosts.push_str("    prod:\n      children: {web: {}}\n");
    project.file("hosts.yml", &hosts);
    let (modules, file) = (modules.display().to_string(), project.path("hosts.yml"));
    let run = format!(
        "[\"env\", \"PYTHONPATH={modules}\", \"PYTHONDONTWRITEBYTECODE=1\", \"python3\", \"{modules}/bin/ansible-inventory\", \"-i\", \
         \"{}\", \"--list\"]",
        file.display()
    );
    let commands = format!("[commands.hosts]\nrun = {run}\ntimeout = \"2m\"\n");
    configure(&project, &(commands + &inventory(&server, &project.root())));
    for args in [&["check", "--all"][..], &["check", "--target", "@prod"], &["fleet", "check"]] {
        let ran = project.run(args);
        assert_eq!(
            (ran.code(), verdicts(&ran.out())),
            (0, vec!["web1 PASS".into(), "web2 PASS".into()]),
            "{}",
            ran.err()
        );
        assert!(!format!("{}{}", ran.out(), ran.err()).contains("s3cr3t"));
    }
    assert!(server.logins() >= 6);
    let status = project.run(&["status", "--target", "web1", "--target", "web2"]);
    assert_eq!(status.code(), 0, "{}", status.out());
    assert!(!status.out().contains("no target of audit/driftlock.toml"), "{}", status.out());
}

#[test]
fn needs_mounts_targets_of_the_configuration_go_first_and_the_program_runs_only_where_it_is_needed() {
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    let seen = project.path("asked");
    let file = project.path("hosts.json");
    project.file("hosts.json", &hosts(&server));
    let script = format!("echo $HOME >> {}; cat {}", seen.display(), file.display());
    let commands = format!("[commands.hosts]\nrun = [\"sh\", \"-c\", \"{script}\"]\n");
    let own = "[targets.web2]\nhost = \"local\"\nroot = \".\"\n[groups]\nboth = [\"@web\", \"web2\"]\n";
    configure(&project, &(commands + own + &inventory(&server, &project.root())));
    assert_eq!(project.run(&["check", "--target", "web2"]).code(), 0);
    assert_eq!(project.run(&["check"]).code(), 0);
    project.run(&["status"]);
    project.run(&["history"]);
    assert!(!seen.exists(), "nobody had to know its hosts");
    let both = project.run(&["check", "--target", "@both"]);
    assert_eq!((both.code(), verdicts(&both.out()).len()), (0, 2), "{}{}", both.out(), both.err());
    assert_eq!(mode(&project, "web2"), "local", "the configuration says what web2 is");
    assert_eq!(mode(&project, "web1"), "server");
    let home = Command::new("sh").args(["-c", "getent passwd $(id -u) | cut -d : -f 6"]).output().unwrap();
    let lines = std::fs::read_to_string(&seen).unwrap();
    assert!(lines.starts_with(std::str::from_utf8(&home.stdout).unwrap()), "{lines}");
    let all = project.run(&["check", "--all"]);
    assert_eq!((all.code(), verdicts(&all.out())[0].as_str()), (1, "other ERROR"), "{}", all.out());
    let explained = project.run(&["explain", EDGE, "--target", "web1"]);
    assert_eq!(explained.code(), 0, "{}", explained.err());
    let config = project.read("audit/driftlock.toml");
    let web = config.replace("command = \"hosts\"\n", "command = \"hosts\"\ngroups = [\"web\"]\n");
    project.file("audit/driftlock.toml", &web);
    let chosen = project.run(&["check", "--all"]);
    assert_eq!((chosen.code(), verdicts(&chosen.out()).len()), (0, 2), "{}", chosen.out());
}

#[test]
fn needs_mounts_an_agent_looks_at_the_hosts_that_the_inventory_of_its_own_machine_lists() {
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    project.file("hosts.json", &hosts(&server));
    let list = inventory(&server, &project.root());
    let host = printing(&project.path("hosts.json")) + &list;
    project.file("host.toml", &host);
    let agent_of = "[serve]\nlisten = \"127.0.0.1:0\"\n[[deployments]]\nname = \"web\"\ntargets = [\"@web\"]\ninterval = \"1h\"\n";
    configure(&project, &(agent_of.to_owned() + &list));
    let detail = token(&project, "detail", "detail", &[]);
    let agent = AgentProcess::start(&project, &["--host-config", "host.toml"]);
    let seen = agent.wait_for_runs(&detail, 1);
    let places = seen["deployments"][0]["places"].as_array().unwrap();
    let told: Vec<_> = places.iter().map(|it| (it["target"].as_str(), it["overall"].as_str())).collect();
    assert_eq!(told, [(Some("web1"), Some("PASS")), (Some("web2"), Some("PASS"))], "{seen:#}");
    assert!(!seen.to_string().contains("s3cr3t"));
    // The program stands in no file of the host: what the project says of it does not run.
    project.file("host.toml", &list);
    configure(&project, &printing(&project.path("hosts.json")));
    assert_eq!(agent.post("/drift/reconcile", &detail, &serde_json::json!({})).status, 403);
    let operate = token(&project, "operate", "operate", &[]);
    drop(agent);
    let agent = AgentProcess::start(&project, &["--host-config", "host.toml"]);
    let seen = agent.wait_for_runs(&operate, 1);
    assert_eq!(seen["deployments"][0]["verdict"], "error", "{seen:#}");
}

#[test]
fn needs_mounts_a_program_that_answers_badly_is_an_error_that_says_what_to_do() {
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    let config = project.read("audit/driftlock.toml");
    let with = |run: &str, more: &str| {
        let commands = format!("[commands.hosts]\nrun = {run}\ntimeout = \"1s\"\n");
        project.file(
            "audit/driftlock.toml",
            &format!("{config}{commands}{}{more}", inventory(&server, &project.root())),
        );
        let ran = project.run(&["check", "--all"]);
        assert!(ran.code() == 1 && !ran.err().contains("s3cr3t"), "{run}: {}{}", ran.out(), ran.err());
        ran.err()
    };
    let host = |variables: &str| format!("{{\"_meta\": {{\"hostvars\": {{\"web1\": {{{variables}}}}}}}}}");
    project.file("template", &host("\"ansible_host\": \"{{ s3cr3t }}\""));
    project.file("here", &host("\"ansible_host\": \"local\""));
    project.file("user", &host("\"ansible_user\": \"u:s3cr3t\""));
    project.file("name", "{\"_meta\": {\"hostvars\": {\"../x\": {}}}}");
    project.file("good", &hosts(&server));
    let cat = |name: &str| format!("[\"cat\", \"{}\"]", project.path(name).display());
    for (run, more, why) in [
        ("[\"false\"]".to_owned(), "", "[commands.hosts]: it ended with exit code 1"),
        ("[\"sleep\", \"100\"]".to_owned(), "", "[commands.hosts]: it did not end in time"),
        ("[\"cat\", \"/dev/zero\"]".to_owned(), "", "[commands.hosts]: "),
        ("[\"no-such-program\"]".to_owned(), "", "no-such-program is not there"),
        ("[\"echo\", \"s3cr3t\"]".to_owned(), "", "it is not JSON"),
        ("[\"echo\", \"{}\"]".to_owned(), "", "no _meta.hostvars"),
        (cat("template"), "", "ansible_host of the host web1 is a template"),
        (cat("here"), "", "the host web1: "),
        (cat("user"), "", "no name of a user"),
        (cat("name"), "", "a target's name is letters"),
        (cat("good"), "[groups]\nx = [\"nobody\"]\n", "groups.x: \"nobody\" is neither a target"),
    ] {
        let said = with(&run, more);
        assert!(said.contains(why), "{run}: {said}");
    }
    let none = with(&cat("good"), "");
    assert!(none.is_empty() || !none.contains("[inventory]"), "{none}");
    project.file("audit/driftlock.toml", &format!("{config}[inventory]\ncommand = \"none\"\n"));
    let undefined = project.run(&["check", "--all"]);
    assert!(undefined.err().contains("no [commands.none] defines the program"), "{}", undefined.err());
    for (text, why) in [
        ("command = \"x\"\ngroups = []\n", "inventory.groups: an empty list"),
        ("command = \"x\"\n[inventory.target]\nhost = \"x\"\n", "inventory.target: every host"),
        ("command = \"x\"\n[inventory.target]\nroot = \"x\"\n", "inventory.target: \"x\" is relative"),
        ("command = \"x\"\n[inventory.target]\npassword = \"x\"\n", "unknown field `password`"),
    ] {
        project.file("audit/driftlock.toml", &format!("{config}[inventory]\n{text}"));
        let ran = project.run(&["check"]);
        assert!(ran.code() == 1 && ran.err().contains(why), "{text}: {}", ran.err());
    }
}

#[test]
fn needs_mounts_what_others_may_write_is_not_run() {
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    project.file("hosts.json", &hosts(&server));
    configure(&project, &(printing(&project.path("hosts.json")) + &inventory(&server, &project.root())));
    let toml = project.path("audit/driftlock.toml");
    std::fs::set_permissions(&toml, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let ran = project.run(&["check", "--target", "web1"]);
    assert!(ran.code() == 1 && ran.err().contains("was not run: others may write"), "{}", ran.err());
    assert_eq!(server.logins(), 0);
}

#[test]
fn needs_mounts_a_worker_asks_the_inventory_of_its_own_host_file_alone() {
    let (project, server) = (Project::accepted(), Server::start(|_| {}));
    let host = tempfile::tempdir().unwrap();
    let (file, own) = (host.path().join("hosts.json"), host.path().join("host.toml"));
    std::fs::write(&file, hosts(&server)).unwrap();
    let table = printing(&file) + &inventory(&server, &project.root());
    configure(&project, &table);
    project.ok(&["fleet", "enrol"]);
    std::fs::write(&own, "").unwrap();
    let redis = Redis::start("");
    let _worker = Worker::start(&project, &redis, &["--host-config", own.to_str().unwrap()]);
    let ran = sweep(&project, &redis, &["--target", "@web"]);
    assert_eq!((ran.code(), server.logins()), (1, 0), "{}", ran.out());
    std::fs::write(&own, &table).unwrap();
    let ran = sweep(&project, &redis, &["--target", "@web"]);
    assert_eq!((ran.code(), verdicts(&ran.out()).len()), (0, 2), "{}{}", ran.out(), ran.err());
    assert!(server.logins() > 0);
    let other = sweep(&project, &redis, &["--target", "other"]);
    assert_eq!(other.code(), 1);
}
