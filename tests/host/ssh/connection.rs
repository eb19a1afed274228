//! Reaching a server over SSH: who is let in, what is said when it does not go, and that nothing ever hangs.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::support::daemon;
use crate::support::sshd::Server;
use crate::support::wire::Wire;
use crate::support::{Project, check_of, status, wait_until};

/// Options for `--server 127.0.0.1` that log in at `server` on `port`.
fn options(server: &Server, port: u16) -> Vec<String> {
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let list = [
        "--server".to_owned(),
        "127.0.0.1".to_owned(),
        "--ssh-port".to_owned(),
        port.to_string(),
        "--ssh-user".to_owned(),
        server.user().to_owned(),
        "--ssh-key".to_owned(),
        text(server.key()),
        "--known-hosts".to_owned(),
        text(server.known_hosts()),
    ];
    list.to_vec()
}

/// One attempt to collect a server's state: its exit code and its report. One that hangs is killed, and has none.
struct Tried {
    code: i32,
    report: Value,
}

impl Tried {
    fn collected(&self) -> bool {
        status(&self.report, "server_collection") == "PASS"
    }

    fn why(&self) -> String {
        assert_eq!(self.code, 1, "{:#}", self.report);
        assert_eq!(status(&self.report, "server_collection"), "ERROR", "{:#}", self.report);
        assert_eq!(self.report["overall"], "FAIL");
        let why = check_of(&self.report, "server_collection")["error"].as_str().unwrap().to_owned();
        assert!(!why.contains('\n') && why.len() < 600, "{why}");
        why
    }
}

/// A small project from which servers are looked at, without the user's own keys and agent.
struct Laptop {
    project: Project,
    variables: Vec<(String, String)>,
}

impl Laptop {
    fn new() -> Self {
        let project = Project::accepted();
        std::fs::create_dir(project.path("home")).unwrap();
        let home = project.path("home").to_str().unwrap().to_owned();
        let variables = vec![("HOME".to_owned(), home), ("SSH_AUTH_SOCK".to_owned(), String::new())];
        Self { project, variables }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn try_with(&self, options: &[String], more: &[&str]) -> Tried {
        let mut args = vec!["check", "--format", "json"];
        args.extend(options.iter().map(String::as_str));
        args.extend(more);
        let mut command = self.project.driftlock(&args);
        command.envs(self.variables.iter().cloned());
        let ran = crate::support::Ran(command.output().unwrap());
        Tried { code: ran.code(), report: ran.report() }
    }
}

/// Makes a key pair with `ssh-keygen` and lets it in.
fn key(server: &Server, name: &str, options: &[&str]) -> String {
    let path = server.dir().join(name).to_str().unwrap().to_owned();
    daemon::keygen(&[&["-q", "-f", &path], options].concat());
    server.authorize(&std::fs::read_to_string(format!("{path}.pub")).unwrap());
    path
}

#[test]
fn keys_of_every_kind_and_form_log_in() {
    let server = Server::start(|_| {});
    let laptop = Laptop::new();
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("ecdsa256", &["-t", "ecdsa"]),
        ("ecdsa384", &["-t", "ecdsa", "-b", "384"]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa.pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa.pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa.sec1", &["-t", "ecdsa", "-m", "PEM"]),
        ("ecdsa.pkcs8", &["-t", "ecdsa", "-m", "PKCS8"]),
    ] {
        let path = key(&server, name, &[kind, &["-N", ""]].concat());
        let mut wanted = options(&server, server.port);
        wanted[7] = path;
        assert!(laptop.try_with(&wanted, &[]).collected(), "{name}");
    }
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let server = Server::start(|_| {});
    for (name, kind) in [
        ("ed25519", &["-t", "ed25519", "-a", "1"][..]),
        ("rsa.pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa.pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
    ] {
        let mut wanted = options(&server, server.port);
        wanted[7] = key(&server, name, &[kind, &["-N", "correct horse"]].concat());
        let right = Laptop::new().with("DRIFTLOCK_SSH_PASSPHRASE", "correct horse");
        assert!(right.try_with(&wanted, &[]).collected(), "{name}");
        let wrong = Laptop::new().with("DRIFTLOCK_SSH_PASSPHRASE", "battery staple").try_with(&wanted, &[]);
        assert!(
            wrong.why().contains("the passphrase in DRIFTLOCK_SSH_PASSPHRASE is wrong"),
            "{}",
            wrong.why()
        );
        assert!(!wrong.report.to_string().contains("battery"), "{:#}", wrong.report);
        let none = Laptop::new().try_with(&wanted, &[]).why();
        assert!(none.contains("encrypted") && none.contains("DRIFTLOCK_SSH_PASSPHRASE"), "{none}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_refused_in_words() {
    let server = Server::start(|_| {});
    let laptop = Laptop::new();
    let why = |path: &str| {
        let mut wanted = options(&server, server.port);
        path.clone_into(&mut wanted[7]);
        laptop.try_with(&wanted, &[]).why()
    };
    let key_of_server = server.key();
    let open = server.dir().join("open");
    std::fs::copy(&key_of_server, &open).unwrap();
    for mode in [0o640, 0o604, 0o644] {
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = why(open.to_str().unwrap());
        assert!(said.contains("chmod 600") && said.contains(&format!("{mode:04o}")), "{said}");
    }
    assert!(why("/nonexistent/key").contains("/nonexistent/key: there is no such private key"));
    let put = |name: &str, text: &[u8]| {
        let path = server.dir().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let public = std::fs::read(key_of_server.with_extension("pub")).unwrap();
    assert!(why(&put("public", &public)).contains("public key"));
    assert!(why(&put("text", b"hello\n")).contains("no private key"));
    assert!(why(&put("bytes", b"\xff\xfe\n")).contains("no private key"));
    let mut damaged = std::fs::read_to_string(&key_of_server).unwrap();
    damaged.replace_range(60..100, &"A".repeat(40));
    assert!(why(&put("damaged", damaged.as_bytes())).contains("damaged"));
    assert!(why(server.dir().to_str().unwrap()).contains("private key"));
    let foreign =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n";
    assert!(why(&put("foreign", foreign.as_bytes())).contains("ssh-keygen -p -f"));
}

#[test]
fn who_is_not_let_in_is_told_what_was_tried() {
    let server = Server::start(|_| {});
    let laptop = Laptop::new();
    let mut wanted = options(&server, server.port);
    "nobody-here".clone_into(&mut wanted[5]);
    let why = laptop.try_with(&wanted, &[]).why();
    assert!(
        why.contains("nobody-here@127.0.0.1: permission denied; tried: ") && why.contains("SHA256:"),
        "{why}"
    );
    let stranger = server.dir().join("stranger");
    daemon::key_pair(&stranger, "ed25519");
    let mut wanted = options(&server, server.port);
    wanted[7] = stranger.to_str().unwrap().to_owned();
    let why = laptop.try_with(&wanted, &[]).why();
    assert!(why.contains("stranger (SHA256:") && why.contains("not accepted"), "{why}");
    wanted.drain(6..8);
    let why = laptop.try_with(&wanted, &[]).why();
    assert!(why.contains("there is no key to log in with") && why.contains("--ssh-key"), "{why}");
}

#[test]
fn default_identities_and_a_user_certificate_log_in() {
    let ca = assert_fs::TempDir::new().unwrap();
    daemon::key_pair(&ca.path().join("ca"), "ed25519");
    let line = format!("TrustedUserCAKeys {}", ca.path().join("ca.pub").display());
    let server = Server::start(|setup| _ = setup.line(&line));
    let laptop = Laptop::new();
    let ssh = laptop.project.path("home/.ssh");
    std::fs::create_dir(&ssh).unwrap();
    std::fs::copy(server.key(), ssh.join("id_ed25519")).unwrap();
    let mut wanted = options(&server, server.port);
    wanted.drain(6..8);
    assert!(laptop.try_with(&wanted, &[]).collected(), "the default identity");
    let certified = ca.path().join("user");
    daemon::key_pair(&certified, "ed25519");
    let (authority, public) = (ca.path().join("ca"), certified.with_extension("pub"));
    let (authority, public) = (authority.to_str().unwrap(), public.to_str().unwrap());
    daemon::keygen(&["-q", "-s", authority, "-I", "test", "-n", server.user(), public]);
    let mut wanted = options(&server, server.port);
    wanted[7] = certified.to_str().unwrap().to_owned();
    assert!(laptop.try_with(&wanted, &[]).collected(), "the certificate");
    std::fs::remove_file(ca.path().join("user-cert.pub")).unwrap();
    assert!(laptop.try_with(&wanted, &[]).why().contains("not accepted"), "without it");
}

/// An agent of the test's own.
struct Agent {
    dir: assert_fs::TempDir,
    child: std::process::Child,
}

impl Agent {
    fn start() -> Self {
        let dir = assert_fs::TempDir::new().unwrap();
        let socket = dir.path().join("socket");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(std::process::Stdio::null());
        let agent = Self { child: command.spawn().unwrap(), dir };
        wait_until(|| socket.exists());
        agent
    }

    fn socket(&self) -> String {
        self.dir.path().join("socket").to_str().unwrap().to_owned()
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", self.socket()).output();
        assert!(added.unwrap().status.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_agents_keys_log_in_and_too_many_of_them_are_said() {
    let server = Server::start(|setup| _ = setup.line("MaxAuthTries 6"));
    let mut wanted = options(&server, server.port);
    wanted.drain(6..8);
    let agent = Agent::start();
    agent.add(&server.key());
    let laptop = Laptop::new().with("SSH_AUTH_SOCK", &agent.socket());
    assert!(laptop.try_with(&wanted, &[]).collected(), "one key in the agent");
    let crowded = Agent::start();
    for number in 0..20 {
        let path = crowded.dir.path().join(format!("key{number}"));
        daemon::key_pair(&path, "ed25519");
        crowded.add(&path);
    }
    crowded.add(&server.key());
    let laptop = Laptop::new().with("SSH_AUTH_SOCK", &crowded.socket());
    let tried = laptop.try_with(&wanted, &[]);
    assert!(tried.why().contains("keys; name the right one with --ssh-key"), "{}", tried.why());
    assert!(laptop.try_with(&options(&server, server.port), &[]).collected(), "a named key goes first");
    let dead = Laptop::new().with("SSH_AUTH_SOCK", "/nonexistent/agent");
    assert!(dead.try_with(&wanted, &[]).why().contains("the agent at /nonexistent/agent cannot be used"));
    assert!(dead.try_with(&options(&server, server.port), &[]).collected(), "a key needs no agent");
}

#[test]
fn what_is_no_server_is_said_in_time() {
    let server = Server::start(|_| {});
    let laptop = Laptop::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let why = laptop.try_with(&options(&server, closed), &[]).why();
    assert!(why.contains("connection refused"), "{why}");
    let mut unknown = options(&server, server.port);
    "no-such-host.invalid".clone_into(&mut unknown[1]);
    assert!(laptop.try_with(&unknown, &[]).why().contains("there is no address of a host of this name"));
    let silent = Wire::silent();
    let tried = laptop.try_with(&options(&server, silent.port), &["--connect-timeout", "1"]);
    assert!(tried.why().contains("no answer within 1 s"), "{}", tried.why());
    for nonsense in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\xff\x1b[31m",
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-x\r\nSSH-2.0-x\r\n",
    ] {
        let wire = Wire::babbling(nonsense);
        let tried = laptop.try_with(&options(&server, wire.port), &["--connect-timeout", "3"]);
        assert!(!tried.why().contains('\x1b'), "{}", tried.why());
    }
}

#[test]
fn a_connection_that_is_cut_anywhere_is_an_error() {
    let server = Server::start(|_| {});
    let laptop = Laptop::new();
    // Digests do not shrink: the last tenth of the answer is far from its end.
    for number in 0..400 {
        laptop.project.file(&format!("odoo_modules/community/ocr/data/{number}"), &number.to_string());
    }
    laptop.project.ok(&["export", "--accept"]);
    let known = std::fs::read_to_string(server.known_hosts()).unwrap();
    let through = |wire: &Wire| {
        let line = known.replace(&server.port.to_string(), &wire.port.to_string());
        std::fs::write(server.known_hosts(), line).unwrap();
        target(&laptop, &server, wire.port);
        laptop.try_with(&on_target(), &["--docker", "off", "--connect-timeout", "2"])
    };
    let whole = Wire::cut_after(server.port, usize::MAX);
    assert_eq!(through(&whole).code, 0, "nothing is cut");
    // How well an answer is compressed depends on how it comes in pieces, but 32 bytes of each digest always pass.
    let all = 400 * 32;
    assert!(whole.passed.load(Ordering::SeqCst) > all);
    for bytes in [1, 30, 300, all / 8, all / 4, all / 2, all * 2 / 3, all * 3 / 4, all * 9 / 10] {
        let tried = through(&Wire::cut_after(server.port, bytes));
        tried.why();
    }
}

/// Looks at the target, and does something to the server once it runs the command.
fn while_it_runs(laptop: &Laptop, server: &Server, act: impl FnOnce()) -> Tried {
    target(laptop, server, server.port);
    std::thread::scope(|scope| {
        let trying = scope.spawn(|| laptop.try_with(&on_target(), &["--docker", "off"]));
        wait_until(|| server.log().contains("Starting session"));
        act();
        trying.join().unwrap()
    })
}

#[test]
fn a_frozen_server_is_noticed() {
    let server = Server::start(|setup| _ = setup.line("ForceCommand echo started >&2; exec sleep 600"));
    let laptop = Laptop::new();
    let tried = while_it_runs(&laptop, &server, || server.stop());
    server.cont();
    assert!(tried.why().contains("answers nothing any more"), "{}", tried.why());
    server.stop();
    let before = laptop.try_with(&on_target(), &["--connect-timeout", "1"]);
    server.cont();
    assert!(before.why().contains("no answer within 1 s"), "{}", before.why());
}

#[test]
fn a_server_that_is_killed_in_the_middle_is_an_error() {
    let server = Server::start(|setup| _ = setup.line("ForceCommand sleep 600"));
    let laptop = Laptop::new();
    let tried = while_it_runs(&laptop, &server, || {
        for pid in server.family() {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    assert!(tried.why().contains("the connection broke"), "{}", tried.why());
}

#[test]
fn nothing_but_a_whole_answer_of_the_script_counts() {
    let laptop = Laptop::new();
    for (command, word) in [
        ("exit 3", "3"),
        ("true", ""),
        ("echo welcome", ""),
        ("yes", ""),
        ("cat", ""),
        ("kill -9 $$", ""),
        ("head -c 300", ""),
    ] {
        let server = Server::start(|setup| _ = setup.line(&format!("ForceCommand {command}")));
        target(&laptop, &server, server.port);
        let tried = laptop.try_with(&on_target(), &["--docker", "off"]);
        assert!(tried.why().contains(word), "{command}: {}", tried.why());
    }
}

/// Options for the target `prod`.
fn on_target() -> [String; 2] {
    ["--target".to_owned(), "prod".to_owned()]
}

/// Configures the target `prod`: the laptop's own tree on the server, reached through `port`.
fn target(laptop: &Laptop, server: &Server, port: u16) {
    let project = &laptop.project;
    let before = project.read("audit/driftlock.toml");
    let before = before.split("[targets").next().unwrap();
    let text = format!(
        "{before}[targets.prod]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{}\"\nssh_key = \"{}\"\n\
         known_hosts = \"{}\"\nroot = \"{}\"\n",
        server.user(),
        server.key().display(),
        server.known_hosts().display(),
        project.root().display()
    );
    project.file("audit/driftlock.toml", &text);
}

/// What the docs say of one kind of algorithm: those that driftlock speaks, and those that it does not.
fn documented(kind: &str) -> [BTreeSet<String>; 2] {
    let docs =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/servers.md")).unwrap();
    let row = docs.lines().find(|line| line.starts_with(&format!("| `{kind}` | spoken"))).unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let (spoken, not) = row.split_once("spoken").unwrap().1.split_once("; not spoken").unwrap();
    [names(spoken), names(not)]
}

#[test]
fn a_server_that_has_one_algorithm_alone_is_reached_or_refused_by_its_name() {
    let laptop = Laptop::new();
    for (kind, option, with) in
        [("kex", "KexAlgorithms", ""), ("cipher", "Ciphers", ""), ("mac", "MACs", "Ciphers aes256-ctr")]
    {
        let [spoken, not] = documented(kind);
        let all = Command::new("ssh").args(["-Q", kind]).output().unwrap();
        let all = String::from_utf8(all.stdout).unwrap();
        for name in all.lines() {
            let server = Server::start(|setup| {
                setup.line(&format!("{option} {name}"));
                setup.line(with);
            });
            let judge = server.ssh(&["-o", &format!("{option}=+{name}")], "true");
            assert!(judge.status.success(), "{name}: {}", String::from_utf8_lossy(&judge.stderr));
            // The largest groups take their time where nothing was optimised and others work, too.
            let mut patient = options(&server, server.port);
            patient.extend(["--connect-timeout", "120"].map(str::to_owned));
            let tried = laptop.try_with(&patient, &[]);
            assert_eq!(tried.collected(), spoken.contains(name), "{name}: {:#}", tried.report);
            assert_eq!(!tried.collected(), not.contains(name), "{name}");
            if !tried.collected() {
                assert!(tried.why().contains(name), "{name}: {}", tried.why());
            }
        }
    }
}
