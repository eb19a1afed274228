//! Containers of a server over SSH: the same answer by every way to its engine, and why there is none.

use std::fs::{read_to_string, set_permissions, write};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use driftlock::host::docker::Engine;
use driftlock::host::ssh::{Access, EngineAccess, Hop, Identities, Limits, Route, SshHost, Trust};
use driftlock::host::{
    Answer, ContainerQuery, ContainersAnswer, Host, Layout, Limited, LocalHost, Query, Watch,
};
use driftlock::model::Glob;
use serde_json::json;

use crate::support::delay::SlowLink;
use crate::support::docker::{Stage, engine_socket};
use crate::support::dropbear::Dropbear;
use crate::support::engine::{FakeEngine, Reply, id, listed};
use crate::support::needs;
use crate::support::sshd::{Nobody, Server};
use crate::support::{Project, check_of, status, wait_until};

const ERP: &str = "infra/stacks/erp/docker-compose.yml";
/// Where a server is asked for its engine.
const SOCKET: &str = "/var/run/docker.sock";

/// How a server is reached.
struct Way {
    port: u16,
    user: String,
    key: PathBuf,
    known_hosts: PathBuf,
}

impl Way {
    fn to(server: &Server) -> Self {
        Self {
            port: server.port,
            user: server.user().to_owned(),
            key: server.key(),
            known_hosts: server.known_hosts(),
        }
    }

    fn to_dropbear(server: &Dropbear) -> Self {
        Self {
            port: server.port,
            user: server.user().to_owned(),
            key: server.key(),
            known_hosts: server.known_hosts(),
        }
    }

    fn host(&self, root: &Path, engine: EngineAccess) -> SshHost {
        let hop = Hop {
            name: "127.0.0.1".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: self.user.clone(),
            trust: Trust { files: vec![self.known_hosts.clone()], ..Trust::default() },
            identities: Identities { key: Some(self.key.clone()), ..Identities::default() },
        };
        let access =
            Access { timeout: Duration::from_secs(20), sudo: false, engine, limits: Limits::default() };
        SshHost::new(Route { hops: vec![hop] }, Layout::of_root(root), access, Arc::new(Nobody))
    }

    /// What a server answers to the query for the containers of a stage.
    fn ask(&self, stage: &Stage, engine: EngineAccess) -> ContainersAnswer {
        answer_of(&self.host(&stage.project.root(), engine), stage)
    }

    /// The same in words, where it must not have been seen.
    fn refusal(&self, stage: &Stage, engine: EngineAccess) -> String {
        match self.ask(stage, engine) {
            ContainersAnswer::Unreachable(why) => {
                assert!(!why.contains('\n'), "{why:?}");
                why
            }
            other => panic!("{other:?}"),
        }
    }
}

fn answer_of(host: &dyn Host, stage: &Stage) -> ContainersAnswer {
    let query = Query::Containers(ContainerQuery {
        patterns: vec![Glob::new(&format!("{}*", stage.prefix)).unwrap()],
        named: [stage.name("web"), stage.name("named")].into(),
        locked: None,
        mounts: true,
        exclude: Vec::new(),
        contents: Vec::new(),
        environments: false,
        image: None,
        ignores_unnamed: false,
        limited: Limited::default(),
        ports: true,
        states: false,
        clock: || 0,
    });
    match host.observe(&[query], &Watch::default()).unwrap().remove(0) {
        Answer::Containers(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// An answer in words; what other tests have on the same engine is not of this one.
fn told(answer: &ContainersAnswer) -> String {
    let ContainersAnswer::Seen { containers, left_out, .. } = answer else { panic!("{answer:?}") };
    let here = left_out.iter().filter(|left_out| left_out.reason.contains("(--rm)"));
    format!("{containers:?} {:?}", here.collect::<Vec<_>>())
}

/// What this machine itself answers.
fn local(stage: &Stage) -> String {
    let engine = Engine::Unix(engine_socket());
    told(&answer_of(&LocalHost::new(Layout::of_root(&stage.project.root()), engine), stage))
}

/// One container of every kind: of Compose, by itself, named, stopped, with a moved tag, without one, one-off, temporary.
fn every_kind() -> Stage {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.compose("web", &image, ERP, "aaaa");
    stage.start("alone", &image, &[]);
    stage.start("named", &stage.untagged_image(), &[]);
    let published = ["-p", "127.0.0.1::8069", "-p", "127.0.0.1::8070-8072/udp"];
    let name = stage.name("published");
    stage.docker(
        &[&["run", "-d", "--name", &name], &published[..], &[&image, "/bin/busybox", "sleep", "600"]]
            .concat(),
    );
    stage.start("once", &image, &["--label=com.docker.compose.oneoff=True"]);
    stage.start("temporary", &image, &["--rm"]);
    stage.start("stopped", &image, &[]);
    stage.docker(&["stop", "-t", "0", &stage.name("stopped")]);
    stage.image("app:1");
    stage.start("newer", &image, &[]);
    stage
}

/// What is known by the client's two commands: neither digests nor whether a tag moved.
fn by_commands(stage: &Stage) -> String {
    local(stage).replace("tag_moved: true", "tag_moved: false")
}

/// Programs that a server's sessions find, and no others: what is installed on this machine does not matter.
struct Tools {
    dir: assert_fs::TempDir,
}

/// What login shells, the scripts of these tests and the questions to a server call.
const USUAL: [&str; 10] = ["bash", "cat", "csh", "date", "fish", "id", "ls", "ps", "sh", "sleep"];

impl Tools {
    fn new() -> Self {
        let dir = bare_tools(&USUAL);
        set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let tools = Self { dir };
        tools.program("docker", "exec \"$docker\" \"$@\"");
        tools
    }

    /// A program by its shell script; `$docker` is the real client, and each call is noted.
    fn program(&self, name: &str, script: &str) -> &Self {
        let (path, calls) = (self.dir.path().join(name), self.dir.path().join("calls"));
        let host = engine_socket();
        let head = format!(
            "#!/bin/sh\ndocker={}\nexport DOCKER_HOST=unix://{}\necho {name} \"$@\" >>{}\n",
            client().display(),
            host.display(),
            calls.display()
        );
        // Written by another program: one that is open for writing here may not be started.
        let text = format!("{head}{script}\n");
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", &text]).arg(&path);
        assert!(writer.status().unwrap().success());
        self
    }

    /// A sudo that gives rights without a password to these commands of docker alone.
    fn sudo(&self, allowed: &str) -> &Self {
        let script = format!(
            "[ \"$1\" = -n ] || exit 9; shift\ncase \"$*\" in {allowed}) exec \"$docker_as_root\" ;; esac\n\
             echo 'sudo: a password is required' >&2; exit 1"
        );
        let script = script.replace("exec \"$docker_as_root\"", "shift; exec \"$docker\" \"$@\"");
        self.program("sudo", &script)
    }

    /// The calls that were made, without what comes after the command's name.
    fn calls(&self) -> Vec<String> {
        let text = read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect()
    }

    /// A server whose sessions find these, in a login shell that begins with `before`.
    fn server(&self, before: &str, lines: &[&str]) -> Server {
        self.server_of("sh", before, lines)
    }

    /// The same with a login shell.
    fn server_of(&self, shell: &str, before: &str, lines: &[&str]) -> Server {
        let path = self.dir.path().display();
        let force = format!("ForceCommand {before} PATH={path} exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"");
        Server::start(|setup| {
            setup.line(&force);
            for line in lines {
                setup.line(line);
            }
        })
    }
}

/// The docker client.
fn client() -> PathBuf {
    found("docker")
}

/// A program that is installed here.
fn found(program: &str) -> PathBuf {
    let found = Command::new("sh").args(["-c", "command -v -- \"$1\"", "sh", program]).output().unwrap();
    assert!(found.status.success(), "{program} is not installed");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

/// Mounts for a server that has an engine at the usual place, and no other at any place below `/run`.
fn engine_at(socket: &Path, place: &str) -> String {
    format!(
        "touch \"$1/engine.sock\"\nmount --bind {} \"$1/engine.sock\"\n{NO_ENGINE}\ntouch {place}\nmount --bind \"$1/engine.sock\" {place}",
        socket.display()
    )
}

const NO_SOCKETS: &str = "AllowStreamLocalForwarding no";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn through_the_forwarded_socket_the_answer_is_the_local_one() {
    let stage = every_kind();
    let server = server_with(&engine_socket(), &[]);
    let seen = told(&Way::to(&server).ask(&stage, EngineAccess::Auto));
    assert_eq!(seen, local(&stage));
    let file = format!("compose_files: [Some({:?})]", ERP.as_bytes());
    assert!(seen.contains("tag_moved: true") && seen.contains(&file), "{seen}");
    let commands = server.log().matches("Starting session: command").count();
    assert_eq!(commands, 0, "{}", server.log());
}

#[test]
fn without_forwarding_the_clients_stream_gives_the_same() {
    let stage = every_kind();
    let tools = Tools::new();
    let server = tools.server("", &[NO_SOCKETS]);
    assert_eq!(told(&Way::to(&server).ask(&stage, EngineAccess::Auto)), local(&stage));
    assert_eq!(tools.calls(), ["docker system dial-stdio"]);
}

#[test]
fn dropbear_forwards_to_no_socket_and_gives_the_same() {
    let stage = every_kind();
    let server = Dropbear::start_with(&[], &engine_at(&engine_socket(), SOCKET));
    let seen = told(&Way::to_dropbear(&server).ask(&stage, EngineAccess::Auto));
    assert_eq!(seen, local(&stage), "{}", server.log());
}

#[test]
fn sudo_gives_the_same() {
    let stage = every_kind();
    let tools = Tools::new();
    tools.program("docker", "echo 'permission denied while trying' >&2; exit 1").sudo("'docker '*");
    let server = tools.server("", &[NO_SOCKETS]);
    assert_eq!(told(&Way::to(&server).ask(&stage, EngineAccess::Sudo)), local(&stage));
    assert_eq!(tools.calls(), ["sudo -n docker system"]);
}

#[test]
fn two_commands_are_enough_where_sudo_allows_no_other() {
    let stage = every_kind();
    let tools = Tools::new();
    tools.program("docker", "echo 'Got permission denied while trying to connect' >&2; exit 1");
    tools.sudo("'docker ps '*|'docker inspect '*");
    let server = tools.server("", &[]);
    let way = Way::to(&server);
    let two = ["sudo -n docker ps", "sudo -n docker inspect"];
    assert_eq!(told(&way.ask(&stage, EngineAccess::Sudo)), by_commands(&stage));
    assert_eq!(tools.calls(), [&["sudo -n docker system"], &two[..]].concat());
    std::fs::remove_file(tools.dir.path().join("calls")).unwrap();
    assert_eq!(told(&way.ask(&stage, EngineAccess::Cli)), by_commands(&stage));
    assert_eq!(tools.calls()[1..], two, "{:?}", tools.calls());
}

#[test]
fn a_restart_loop_is_one_at_every_moment_by_every_way() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.run_shell("web", &image, &["--restart", "always"], "/bin/busybox sleep 1; exit 1");
    stage.wait_for_restarts("web", 2);
    let tools = Tools::new();
    let server = tools.server("", &[NO_SOCKETS]);
    let way = Way::to(&server);
    for n in 0..15 {
        for engine in [EngineAccess::Cli, EngineAccess::Auto] {
            let seen = told(&way.ask(&stage, engine));
            assert!(seen.contains("state: \"restarting\""), "{n}, {engine:?}: {seen}");
        }
    }
}

#[test]
fn twenty_containers_are_listed_once_and_inspected_once() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    for i in 0..20 {
        let name = stage.name(&format!("c{i}"));
        stage.docker(&["create", "--net", "none", "--name", &name, &image, "/bin/busybox", "true"]);
    }
    let tools = Tools::new();
    tools.program("docker", "case $1 in ps|inspect) exec \"$docker\" \"$@\" ;; esac; exit 5");
    let server = tools.server("", &[NO_SOCKETS]);
    for engine in [EngineAccess::Cli, EngineAccess::Auto] {
        let seen = told(&Way::to(&server).ask(&stage, engine));
        assert_eq!((seen.matches("name: ").count(), &seen), (20, &by_commands(&stage)));
    }
    let expected = ["docker ps --all --no-trunc", "docker inspect --type container"];
    let expected = [&expected[..], &["docker system dial-stdio"], &expected].concat();
    assert_eq!(tools.calls(), expected);
}

#[test]
fn a_container_that_vanishes_between_the_two_commands_is_no_error() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    stage.start("stays", &image, &[]);
    stage.start("goes", &image, &[]);
    let tools = Tools::new();
    let goes = stage.name("goes");
    let script = format!("[ $1 = inspect ] && \"$docker\" rm -f {goes} >/dev/null\nexec \"$docker\" \"$@\"");
    tools.program("docker", &script);
    let server = tools.server("", &[]);
    assert_eq!(told(&Way::to(&server).ask(&stage, EngineAccess::Cli)), by_commands(&stage));
}

#[test]
fn noise_and_other_login_shells_change_nothing() {
    let stage = every_kind();
    let before = "echo welcome; echo 'mail: 3' >&2;";
    for shell in ["sh", "fish", "csh"] {
        let tools = Tools::new();
        let server = tools.server_of(shell, before, &[NO_SOCKETS]);
        let way = Way::to(&server);
        assert_eq!(told(&way.ask(&stage, EngineAccess::Auto)), local(&stage), "{shell}");
        assert_eq!(told(&way.ask(&stage, EngineAccess::Cli)), by_commands(&stage), "{shell}");
    }
}

#[test]
fn no_secret_travels_or_is_told() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    let secret = "s3cr3t-value-0123";
    let options =
        [format!("--env=PASSWORD={secret}"), format!("--label=com.docker.compose.depends_on={secret}")];
    stage.start("web", &image, &options.each_ref().map(String::as_str));
    let tools = Tools::new();
    let heard = tools.dir.path().join("heard");
    write(&heard, "").unwrap();
    // Both outputs are kept apart: on one of them is said which container of another test is gone.
    let force = format!(
        "ForceCommand cd {} && PATH=$PWD sh -c \"$SSH_ORIGINAL_COMMAND\" >out.$$ 2>err.$$; code=$?; \
         cat out.$$ err.$$ >>heard; cat out.$$; cat err.$$ >&2; exit $code",
        tools.dir.path().display()
    );
    let server = Server::start(|setup| {
        setup.line(&force);
    });
    let seen = told(&Way::to(&server).ask(&stage, EngineAccess::Cli));
    let heard = read_to_string(&heard).unwrap();
    for word in [secret, "busybox", "PASSWORD", "depends_on"] {
        assert!(!heard.contains(word) && !seen.contains(word), "{word} in {heard}{seen}");
    }
    assert!(heard.contains(&stage.name("web")) && seen.contains(&stage.name("web")), "{heard}{seen}");
    let says = format!("echo 'DB_PASS={secret} tcp://me:{secret}@host token: {secret}' >&2; exit 1");
    tools.program("docker", &says);
    let server = tools.server("", &[]);
    let told = Way::to(&server).refusal(&stage, EngineAccess::Cli);
    assert!(told.contains("DB_PASS=… tcp://…@host token: …") && !told.contains(secret), "{told}");
}

#[test]
fn a_client_that_hangs_meets_the_deadline_and_is_ended() {
    let stage = Stage::new();
    let tools = Tools::new();
    let pids = tools.dir.path().join("pids");
    tools.program("docker", &format!("echo $$ >>{}; exec sleep 600", pids.display()));
    // Forced commands are told nothing; bash reads its file for commands too.
    let server = Server::start(|setup| {
        setup.shell("/bin/bash").line(NO_SOCKETS);
    });
    let bashrc = format!("echo welcome\nexport PATH={}\n", tools.dir.path().display());
    write(server.home().join(".bashrc"), bashrc).unwrap();
    std::thread::scope(|scope| {
        for engine in [EngineAccess::Auto, EngineAccess::Cli] {
            let (way, stage) = (Way::to(&server), &stage);
            scope.spawn(move || {
                let told = way.refusal(stage, engine);
                assert!(told.contains("docker ") && told.contains("no answer within 10 s"), "{told}");
            });
        }
    });
    let pids = read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    // OpenSSH passes no signal on to sessions of root.
    let asked = || server.log().matches("session_signal_req").count() == 2;
    let are_gone = || !pids.lines().any(|pid| Path::new("/proc").join(pid).exists());
    wait_until(|| are_gone() || (is_root() && asked()));
}

#[test]
fn answers_that_are_none_are_errors() {
    let stage = Stage::new();
    let cases = [
        (
            EngineAccess::Auto,
            "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nhey!'; cat",
            "not the JSON",
        ),
        (
            EngineAccess::Auto,
            "printf 'HTTP/1.1 500 X\\r\\nContent-Length: 4\\r\\n\\r\\nhey!'; cat",
            "answered 500",
        ),
        (EngineAccess::Cli, "echo oops", "no list of containers"),
        (EngineAccess::Cli, "case $1 in ps) echo abc ;; *) echo '{}' ;; esac", "no list of containers"),
        (EngineAccess::Cli, "case $1 in ps) echo abc ;; esac", "exit code 0"),
        (EngineAccess::Cli, "case $1 in ps) echo abc ;; *) kill -9 $PPID ;; esac", "cut short"),
        (EngineAccess::Cli, "echo boom >&2; exit 3", "boom (exit code 3)"),
    ];
    for (engine, script, expected) in cases {
        let tools = Tools::new();
        tools.program("docker", script);
        let server = tools.server("", &[NO_SOCKETS]);
        let told = Way::to(&server).refusal(&stage, engine);
        assert!(told.contains(expected), "{script}: {told}");
    }
}

#[test]
fn an_engine_that_is_down_and_a_password_are_told() {
    let stage = Stage::new();
    let tools = Tools::new();
    tools.program("docker", "export DOCKER_HOST=tcp://127.0.0.1:9; exec \"$docker\" \"$@\"").sudo("nothing");
    let server = tools.server("", &[NO_SOCKETS]);
    let way = Way::to(&server);
    for engine in [EngineAccess::Auto, EngineAccess::Cli] {
        let told = way.refusal(&stage, engine);
        assert!(told.contains("is it running?") && told.contains("tcp://127.0.0.1:9"), "{told}");
    }
    let told = way.refusal(&stage, EngineAccess::Sudo);
    assert!(told.contains("password") && told.contains("NOPASSWD"), "{told}");
    std::fs::remove_file(tools.dir.path().join("sudo")).unwrap();
    let told = way.refusal(&stage, EngineAccess::Sudo);
    assert!(told.contains("no sudo on the server"), "{told}");
}

#[test]
fn a_server_that_runs_no_commands_says_so() {
    let stage = Stage::new();
    let server = Server::start(|setup| {
        setup.line(NO_SOCKETS).line("ForceCommand exit 3");
    });
    for engine in [EngineAccess::Auto, EngineAccess::Cli] {
        let told = Way::to(&server).refusal(&stage, engine);
        assert!(told.contains("login shell"), "{told}");
    }
}

#[test]
fn needs_root_no_permission_names_user_group_and_remedy() {
    needs::root();
    let stage = Stage::new();
    let bare = bare_tools(&USUAL);
    set_permissions(bare.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink(client(), bare.path().join("docker")).unwrap();
    let as_nobody = format!(
        "PATH={} exec {} --reuid 65534 --regid 65534 --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"",
        bare.path().display(),
        found("setpriv").display()
    );
    let server = server_with(&engine_socket(), &[NO_SOCKETS, &format!("ForceCommand {as_nobody}")]);
    let group = Command::new("stat").args(["-L", "-c", "%G"]).arg(engine_socket()).output().unwrap();
    let group = String::from_utf8(group.stdout).unwrap();
    for engine in [EngineAccess::Auto, EngineAccess::Cli] {
        let told = Way::to(&server).refusal(&stage, engine);
        for word in
            ["no permission", SOCKET, "user nobody", &format!("group {}", group.trim()), "docker = \"sudo\""]
        {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
}

/// A directory with these programs alone.
fn bare_tools(names: &[&str]) -> assert_fs::TempDir {
    let dir = assert_fs::TempDir::new().unwrap();
    for name in names {
        symlink(found(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// The shell and what the questions to a server need, and no docker client.
const BARE: [&str; 3] = ["sh", "id", "ls"];

#[test]
fn without_a_client_the_socket_is_asked_for() {
    let stage = Stage::new();
    let bare = bare_tools(&BARE);
    let force = format!("ForceCommand PATH={} sh -c \"$SSH_ORIGINAL_COMMAND\"", bare.path().display());
    let server = server_with(&engine_socket(), &[NO_SOCKETS, &force]);
    let told = Way::to(&server).refusal(&stage, EngineAccess::Cli);
    assert!(told.contains("no docker client is found"), "{told}");
    let told = Way::to(&server).refusal(&stage, EngineAccess::Auto);
    assert!(told.contains(SOCKET) && told.contains("AllowStreamLocalForwarding"), "{told}");
}

#[test]
fn a_server_without_any_engine_says_so() {
    let stage = Stage::new();
    let bare = bare_tools(&BARE);
    let server = Server::start(|setup| {
        setup.mounts(NO_ENGINE);
        setup.line(&format!("ForceCommand PATH={} sh -c \"$SSH_ORIGINAL_COMMAND\"", bare.path().display()));
    });
    match Way::to(&server).ask(&stage, EngineAccess::Auto) {
        ContainersAnswer::NoEngine(why) => assert!(why.contains("no docker client"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// Mounts for a server that has no engine at any place below `/run`.
const NO_ENGINE: &str = "mount -t tmpfs -o mode=755 none /run
[ /var/run -ef /run ] || mount -t tmpfs -o mode=755 none /var/run
mkdir -m 755 /run/sshd";

/// A server that finds the engine of this socket, and no other, at the usual place.
fn server_with(socket: &Path, lines: &[&str]) -> Server {
    Server::start(|setup| {
        setup.mounts(&engine_at(socket, SOCKET));
        for line in lines {
            setup.line(line);
        }
    })
}

#[test]
fn an_engine_behind_a_forwarded_socket_may_lie_or_hang() {
    let stage = Stage::new();
    let lying = FakeEngine::new(|_| Reply::Body(200, "hey".to_owned()));
    let told = Way::to(&server_with(&lying.socket(), &[])).refusal(&stage, EngineAccess::Auto);
    assert!(told.contains(SOCKET) && told.contains("not the JSON"), "{told}");
    let mut calls = lying.calls();
    calls.sort();
    // Both questions are asked at once: the first answer may end it before the second one arrives.
    let all = calls.len();
    calls.dedup();
    assert!((1..=2).contains(&all) && calls.len() == all, "no other way is tried: {calls:?}");
    let hanging = FakeEngine::new(|_| Reply::Silence);
    let told = Way::to(&server_with(&hanging.socket(), &[])).refusal(&stage, EngineAccess::Auto);
    assert!(told.contains("the engine's socket on the server gave no answer within 10 s"), "{told}");
}

#[test]
fn containers_that_the_list_does_not_tell_all_of_are_inspected_once_each() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    for i in 0..12 {
        stage.docker(&["create", "--net", "none", "--name", &stage.name(&format!("c{i:02}")), &image, "x"]);
    }
    let door = FakeEngine::before(&engine_socket());
    let server = server_with(&door.socket(), &[]);
    assert_eq!(told(&Way::to(&server).ask(&stage, EngineAccess::Auto)), local(&stage));
    // One of another test that publishes a port is inspected, too.
    let calls = door.calls();
    let each: std::collections::BTreeSet<_> = calls.iter().collect();
    assert!(each.len() == calls.len() && calls.len() >= 2 + 12, "{calls:?}");
}

#[test]
fn an_engine_at_another_usual_place_is_found() {
    let stage = every_kind();
    let (bare, run) = (bare_tools(&BARE), assert_fs::TempDir::new().unwrap());
    let mounts = engine_at(&engine_socket(), &run.path().join("docker.sock").display().to_string());
    let (run, path) = (run.path().display(), bare.path().display());
    let server = Server::start(|setup| {
        setup.mounts(&mounts);
        setup
            .line(&format!("ForceCommand XDG_RUNTIME_DIR={run} PATH={path} sh -c \"$SSH_ORIGINAL_COMMAND\""));
    });
    assert_eq!(told(&Way::to(&server).ask(&stage, EngineAccess::Auto)), local(&stage));
}

#[test]
fn a_connection_that_breaks_meanwhile_is_told() {
    let stage = Stage::new();
    let tools = Tools::new();
    // The wrapper's grandparent is the session's own server.
    tools.program("docker", "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID)); sleep 5");
    let server = tools.server("", &[NO_SOCKETS]);
    let query = Query::Containers(ContainerQuery {
        patterns: Vec::new(),
        named: [].into(),
        locked: None,
        mounts: true,
        exclude: Vec::new(),
        contents: Vec::new(),
        environments: false,
        image: None,
        ignores_unnamed: false,
        limited: Limited::default(),
        ports: true,
        states: false,
        clock: || 0,
    });
    let host = Way::to(&server).host(&stage.project.root(), EngineAccess::Auto);
    let told = format!("{:?}", host.observe(&[query], &Watch::default()));
    assert!(told.contains("the connection broke"), "{told}");
}

#[test]
fn a_check_of_a_server_compares_its_containers() {
    let stage = Stage::accepted();
    let tools = Tools::new();
    let server = tools.server("", &[NO_SOCKETS]);
    stage.project.file(
        "audit/driftlock.toml",
        &format!(
            "[compose]\nfiles = []\n[addons]\nroots = []\n[docker]\ncontainers = [\"{}*\"]\n",
            stage.prefix
        ),
    );
    let (port, key, known) = (server.port.to_string(), server.key(), server.known_hosts());
    let args = ["--server", "127.0.0.1", "--ssh-port", &port, "--ssh-user", server.user()];
    let args =
        [&args[..], &["--ssh-key", key.to_str().unwrap(), "--known-hosts", known.to_str().unwrap()]].concat();
    let compared = || {
        let (code, report) = stage.check(&args);
        (code, status(&report, "docker_images"), status(&report, "container_state"))
    };
    assert_eq!(compared(), (0, "PASS".to_owned(), "PASS".to_owned()));
    stage.docker(&["stop", "-t", "0", &stage.name("web")]);
    stage.remove("db");
    assert_eq!(compared(), (2, "FAIL".to_owned(), "FAIL".to_owned()));
    tools.program("docker", "echo boom >&2; exit 3");
    assert_eq!(compared().1, "ERROR");
}

#[test]
fn a_container_of_a_server_is_made_anew_there_after_its_compose_file() {
    let project = Project::empty();
    let root = project.root().display().to_string();
    project.file(ERP, "services: {}\n");
    let mut web = listed("web", "app:1", &id("a"), "running");
    let labels = [
        ("config-hash", "1"),
        ("project", "erp"),
        ("service", "web"),
        ("project.working_dir", &format!("{root}/infra/stacks/erp")),
        ("project.config_files", &format!("{root}/{ERP}")),
    ];
    for (label, value) in labels {
        web["Labels"][format!("com.docker.compose.{label}")] = json!(value);
    }
    let engine = FakeEngine::of(vec![web], vec![]);
    let server = server_with(&engine.socket(), &[]);
    let target = server.target("prod", &project.root());
    let config = "[compose]\nfiles = [\"infra/stacks/*/*.yml\"]\n[addons]\nroots = []\n";
    project.file("audit/driftlock.toml", &format!("{config}{target}"));
    project.ok(&["export", "--target", "prod", "--docker", "required", "--accept"]);
    let lock = "audit/locks/docker_images.lock.json";
    let locked = project.read(lock);
    assert!(locked.contains("\"1\""), "{locked}");
    project.file(lock, &locked.replace("\"1\"", "\"2\""));
    project.file(ERP, "services: {hand: {}}\n");
    let (_, report) = project.check(&["--target", "prod"]);
    let finding = &check_of(&report, "compose_applied")["findings"][0];
    let command = finding["ways_out"][0]["command"].as_str().unwrap();
    assert!(
        command.starts_with("ssh -p ") && command.contains("--project-name erp up --detach web"),
        "{command}"
    );
    let note = finding["notes"][0].as_str().unwrap();
    assert!(note.starts_with(&format!("{ERP} drifted, too: ")) && note.ends_with(command), "{note}");
}

#[test]
fn over_a_slow_link_containers_cost_two_round_trips() {
    let stage = Stage::new();
    let image = stage.image("app:1");
    for i in 0..20 {
        let name = stage.name(&format!("c{i}"));
        let label = "--label=com.docker.compose.service=web";
        stage.docker(&["create", "--net", "none", "--name", &name, label, &image, "/bin/busybox", "true"]);
    }
    let one_way = Duration::from_millis(100);
    let server = server_with(&engine_socket(), &[]);
    let link = SlowLink::to(server.port, one_way);
    let known = format!("[127.0.0.1]:{} {}\n", link.port, server.host_key("ed25519"));
    write(server.known_hosts(), known).unwrap();
    let way = Way { port: link.port, ..Way::to(&server) };
    let host = way.host(&stage.project.root(), EngineAccess::Auto);
    // What is sent at once on an idle machine may be sent in pieces on a busy one: never the other way round.
    let is_quick = (0..20).any(|_| {
        link.trips();
        host.observe(&[], &Watch::default()).unwrap();
        let without = link.trips();
        let seen = told(&answer_of(&host, &stage));
        let with = link.trips();
        assert_eq!(seen.matches("name: ").count(), 20);
        println!("round trips: {without} without containers, {with} with 20 of them");
        with <= without + 2
    });
    // One opens the ways to the socket, one is for both lists.
    assert!(is_quick);
}
