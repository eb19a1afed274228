//! Names from `ssh_config`, jump hosts, and questions at the terminal: as `ssh` has them.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::sshd::Server;
use crate::support::{Project, Ran, check_of, status};

/// How the question about a host key ends.
const ASKED: &str = "(yes/no/[fingerprint])?";
/// How the question for a passphrase begins.
const PASSPHRASE: &str = "Enter passphrase for key";

/// A user whose `ssh` reads a configuration of the test's own.
pub(super) struct User {
    pub(super) project: Project,
    bin: PathBuf,
}

impl User {
    /// `ssh -F` with this text; without a text there is no `ssh` at all.
    pub(super) fn with(config: Option<&str>) -> Self {
        let project = Project::accepted();
        let bin = project.path("bin");
        std::fs::create_dir_all(project.path("home/.ssh")).unwrap();
        std::fs::create_dir(&bin).unwrap();
        if let Some(config) = config {
            project.file("ssh_config", config);
            let wrapper = format!(
                "#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n",
                project.path("ssh_config").display()
            );
            project.file("bin/ssh", &wrapper);
            std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { project, bin }
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.project.driftlock(args);
        command.envs(variables.iter().copied());
        command.env("PATH", &self.bin).env("HOME", self.project.path("home")).env_remove("SSH_AUTH_SOCK");
        Ran(command.output().unwrap())
    }

    /// Collects the state of a server as far as the file checks go: none is configured for `--server`.
    pub(super) fn collect(&self, more: &[&str]) -> Value {
        self.collect_with(more, &[])
    }

    /// The same, with variables.
    pub(super) fn collect_with(&self, more: &[&str], variables: &[(&str, &str)]) -> Value {
        self.run_with(&[&["check", "--format", "json", "--docker", "off"], more].concat(), variables).report()
    }

    /// The real client, with the same configuration.
    pub(super) fn ssh(&self) -> Command {
        let mut command = Command::new(self.bin.join("ssh"));
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    /// The configuration, with more lines at its end in place of those that stood there before.
    pub(super) fn config_more(&self, lines: &str) {
        const MARK: &str = "  # more\n";
        let text = self.project.read("ssh_config");
        let before = text.split(MARK).next().unwrap();
        self.project.file("ssh_config", &format!("{before}{MARK}{lines}"));
    }
}

pub(super) fn collected(report: &Value) -> bool {
    status(report, "server_collection") == "PASS"
}

pub(super) fn why(report: &Value) -> String {
    assert_eq!(report["exit_code"], 1, "{report:#}");
    check_of(report, "server_collection")["error"].as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

/// A Host of `ssh_config`.
fn host(name: &str, server: &Server, more: &str) -> String {
    format!(
        "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n{more}",
        server.port,
        server.user(),
        server.key().display(),
        server.known_hosts().display()
    )
}

#[test]
fn a_name_of_ssh_config_works_as_in_ssh() {
    let server = Server::start(|_| {});
    let user = User::with(Some(&host("erp", &server, "")));
    assert!(collected(&user.collect(&["--server", "erp"])));
    let other = why(&user.collect(&["--server", "erp", "--ssh-user", "nobody-here"]));
    assert!(other.contains("nobody-here@erp"), "the command line goes first: {other}");
    let config = format!("{}[targets.prod]\nhost = \"erp\"\n", user.project.read("audit/driftlock.toml"));
    user.project.file("audit/driftlock.toml", &config);
    assert!(collected(&user.collect(&["--target", "prod"])));
    user.project.file("audit/driftlock.toml", &format!("{config}port = 1\n"));
    assert!(why(&user.collect(&["--target", "prod"])).contains("127.0.0.1:1"), "the configuration goes next");
}

#[test]
fn an_alias_stands_for_the_address_among_known_hosts() {
    let server = Server::start(|_| {});
    let known = std::fs::read_to_string(server.known_hosts()).unwrap();
    std::fs::write(server.known_hosts(), known.replace(&server.entry(), "erp-prod")).unwrap();
    let user = User::with(Some(&host("erp", &server, "  HostKeyAlias erp-prod\n")));
    assert!(collected(&user.collect(&["--server", "erp"])));
    let user = User::with(Some(&host("erp", &server, "")));
    assert!(!collected(&user.collect(&["--server", "erp"])));
}

#[test]
fn jump_hosts_are_gone_through_and_each_is_judged() {
    let (first, second, last) = (Server::start(|_| {}), Server::start(|_| {}), Server::start(|_| {}));
    let mut config = host("first", &first, "");
    config += &host("second", &second, "");
    config += &host("erp", &last, "  ProxyJump first,second\n");
    let user = User::with(Some(&config));
    assert!(collected(&user.collect(&["--server", "erp"])), "two jump hosts");
    for log in [first.log(), second.log()] {
        assert!(log.contains("Accepted publickey"), "{log}");
    }
    for (server, name) in [(&first, "first"), (&second, "second"), (&last, "erp")] {
        let known = std::fs::read_to_string(server.known_hosts()).unwrap();
        std::fs::write(server.known_hosts(), "").unwrap();
        let said = why(&user.collect(&["--server", "erp"]));
        assert!(said.contains(name) && said.contains("SHA256:"), "{name}: {said}");
        std::fs::write(server.known_hosts(), known).unwrap();
    }
}

#[test]
fn a_jump_host_before_many_targets_never_has_to_reset_a_connection() {
    let jump = Server::start(|setup| _ = setup.line("MaxStartups 20:100:20"));
    let last = Server::start(|setup| _ = setup.line("MaxStartups 200"));
    let (mut config, mut targets) = (host("jump", &jump, ""), String::new());
    for at in 0..60 {
        config += &host(&format!("erp{at}"), &last, "  ProxyJump jump\n");
        let _ = write!(targets, "[targets.erp{at}]\nhost = \"erp{at}\"\ndocker = \"off\"\n");
    }
    let user = User::with(Some(&config));
    user.project.file("audit/driftlock.toml", &(user.project.read("audit/driftlock.toml") + &targets));
    let args = ["check", "--all", "--jobs", "60", "--connect-timeout", "60", "--format", "json"];
    let reports = user.run(&args).report();
    let reports = reports["reports"].as_array().unwrap();
    assert_eq!(reports.iter().filter(|report| collected(report)).count(), 60);
    let log = jump.log();
    assert!(!log.contains("MaxStartups"), "{log}");
}

#[test]
fn a_jump_host_that_refuses_or_cannot_is_said() {
    let jump = Server::start(|setup| _ = setup.line("AllowTcpForwarding no"));
    let last = Server::start(|_| {});
    let config = host("jump", &jump, "") + &host("erp", &last, "  ProxyJump jump\n");
    let said = why(&User::with(Some(&config)).collect(&["--server", "erp"]));
    assert!(said.contains("jump") && said.contains("forbids forwarding"), "{said}");
    let jump = Server::start(|_| {});
    let mut config = host("jump", &jump, "");
    let _ = write!(config, "Host erp\n  HostName 127.0.0.1\n  Port 1\n  ProxyJump jump\n");
    let said = why(&User::with(Some(&config)).collect(&["--server", "erp"]));
    assert!(said.contains("cannot reach"), "{said}");
    let said = why(&User::with(Some("Host erp\n  ProxyJump erp2\nHost erp2\n  ProxyJump erp\n"))
        .collect(&["--server", "erp"]));
    assert!(said.contains("jump hosts"), "{said}");
}

#[test]
fn what_ssh_config_says_and_cannot_be_done_is_an_error() {
    let user = User::with(Some("Host erp\n  ProxyCommand nc %h %p\n"));
    let ran = user.run(&["check", "--server", "erp"]);
    assert_eq!(ran.code(), 1);
    assert!(format!("{}{}", ran.out(), ran.err()).contains("ProxyCommand"), "{}{}", ran.out(), ran.err());
    let user = User::with(Some("Host erp\n  NoSuchWord yes\n"));
    let ran = user.run(&["check", "--server", "erp"]);
    assert_eq!(ran.code(), 1);
    let said = format!("{}{}", ran.out(), ran.err());
    assert!(
        said.contains("ssh -G erp: ") && said.to_lowercase().contains("bad configuration option"),
        "{said}"
    );
}

#[test]
fn without_ssh_the_command_line_is_enough() {
    let server = Server::start(|_| {});
    let user = User::with(None);
    let port = server.port.to_string();
    let (key, known) = (server.key(), server.known_hosts());
    let options = ["--server", "127.0.0.1", "--ssh-port", &port, "--ssh-key", key.to_str().unwrap()];
    let known = ["--known-hosts", known.to_str().unwrap()];
    assert!(collected(&user.collect(&[&options[..], &known].concat())));
    std::fs::copy(server.known_hosts(), user.project.path("home/.ssh/known_hosts")).unwrap();
    assert!(collected(&user.collect(&options)), "the user's own known_hosts");
}

/// Runs the binary on a terminal of its own; each text is typed once the one before it is shown. Gives all that
/// was shown and the exit code.
fn at_terminal(user: &User, args: &[&str], typed: &[(&str, &str)]) -> (String, i32) {
    let binary = assert_cmd::cargo::cargo_bin("driftlock");
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let line = format!("'{}' {}", binary.display(), quoted.join(" "));
    let mut command = Command::new("/usr/bin/timeout");
    command.args(["60", "/usr/bin/script", "-qec", &line, "/dev/null"]).current_dir(user.project.root());
    command.env("PATH", &user.bin).env("HOME", user.project.path("home")).env("SHELL", "/bin/sh");
    command.env_remove("SSH_AUTH_SOCK").env_remove("DRIFTLOCK_SSH_PASSPHRASE");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    let mut from = 0;
    for (wait_for, text) in typed {
        loop {
            let now = String::from_utf8_lossy(&shown[from..]).into_owned();
            if now.contains(wait_for) {
                break;
            }
            let n = output.read(&mut buffer).unwrap();
            assert!(n > 0, "{wait_for} was not shown: {now}");
            shown.extend_from_slice(&buffer[..n]);
        }
        from = shown.len();
        input.write_all(format!("{text}\n").as_bytes()).unwrap();
    }
    // The input stays open until all is shown: its end would be typed, too.
    output.read_to_end(&mut shown).unwrap();
    drop(input);
    (String::from_utf8_lossy(&shown).into_owned(), child.wait().unwrap().code().unwrap_or(-1))
}

#[test]
fn an_unknown_key_is_asked_about_at_a_terminal_and_recorded() {
    let server = Server::start(|_| {});
    let user = User::with(None);
    let (port, key) = (server.port.to_string(), server.key());
    let options = [
        "check",
        "--docker",
        "off",
        "--server",
        "127.0.0.1",
        "--ssh-port",
        &port,
        "--ssh-key",
        key.to_str().unwrap(),
    ];
    let known = user.project.path("home/.ssh/known_hosts");
    let (shown, code) = at_terminal(&user, &options, &[(ASKED, "no")]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("SHA256:") && shown.contains("(yes/no/[fingerprint])"), "{shown}");
    assert!(!known.exists(), "{shown}");
    let (shown, _) = at_terminal(&user, &options, &[(ASKED, "perhaps"), ("Please type", "yes")]);
    assert!(shown.contains("Please type") && shown.contains("Server state collected"), "{shown}");
    let recorded = std::fs::read_to_string(&known).unwrap();
    assert_eq!(recorded.trim_end(), format!("{} {}", server.entry(), server.host_key("ed25519")));
    assert!(collected(&user.collect(&options[3..])), "it is known from now on");
}

#[test]
fn elsewhere_an_unknown_key_is_recorded_only_on_request() {
    let server = Server::start(|_| {});
    let user = User::with(None);
    let (port, key) = (server.port.to_string(), server.key());
    let options = ["--server", "127.0.0.1", "--ssh-port", &port, "--ssh-key", key.to_str().unwrap()];
    let said = why(&user.collect(&options));
    assert!(said.contains("SHA256:") && said.contains("--accept-new-host-key"), "{said}");
    assert!(collected(&user.collect(&[&options[..], &["--accept-new-host-key"]].concat())));
    assert!(collected(&user.collect(&options)), "it is known from now on");
    let known = user.project.path("home/.ssh/known_hosts");
    let other = Server::start(|_| {});
    let wrong = std::fs::read_to_string(&known)
        .unwrap()
        .replace(&server.host_key("ed25519"), &other.host_key("ed25519"));
    std::fs::write(&known, &wrong).unwrap();
    let said = why(&user.collect(&[&options[..], &["--accept-new-host-key"]].concat()));
    assert!(
        said.contains("ssh-keygen -R") && said.contains("known_hosts:1"),
        "changed is never accepted: {said}"
    );
    assert_eq!(std::fs::read_to_string(&known).unwrap(), wrong);
}

#[test]
fn a_passphrase_is_asked_for_at_a_terminal_and_not_shown() {
    let server = Server::start(|_| {});
    let user = User::with(None);
    let path = server.dir().join("locked").to_str().unwrap().to_owned();
    crate::support::daemon::keygen(&["-q", "-t", "ed25519", "-a", "1", "-N", "correct horse", "-f", &path]);
    server.authorize(&std::fs::read_to_string(format!("{path}.pub")).unwrap());
    let (port, known) = (server.port.to_string(), server.known_hosts());
    let options = [
        "check",
        "--docker",
        "off",
        "--server",
        "127.0.0.1",
        "--ssh-port",
        &port,
        "--ssh-key",
        &path,
        "--known-hosts",
        known.to_str().unwrap(),
    ];
    let (shown, _) =
        at_terminal(&user, &options, &[(PASSPHRASE, "battery staple"), (PASSPHRASE, "correct horse")]);
    assert!(
        shown.contains("Enter passphrase for key") && shown.contains("Server state collected"),
        "{shown}"
    );
    assert!(!shown.contains("battery") && !shown.contains("horse"), "{shown}");
}

#[test]
fn no_passphrase_is_asked_for_a_key_that_may_not_be_used() {
    let server = Server::start(|_| {});
    let path = server.dir().join("locked").to_str().unwrap().to_owned();
    crate::support::daemon::keygen(&["-q", "-t", "ed25519", "-a", "1", "-N", "correct horse", "-f", &path]);
    server.authorize(&std::fs::read_to_string(format!("{path}.pub")).unwrap());
    for (option, told) in [
        ("PubkeyAcceptedAlgorithms ssh-ed25519", "no passphrase was given"),
        ("PubkeyAcceptedAlgorithms rsa-sha2-512", "its kind is not in PubkeyAcceptedAlgorithms"),
    ] {
        let user = User::with(Some(&host("erp", &server, &format!("  {option}\n"))));
        let said = why(&user.collect(&["--server", "erp", "--ssh-key", &path]));
        assert!(said.contains(told), "{option}: {said}");
    }
}

#[test]
fn an_rsa_key_logs_in_with_a_hash_that_is_allowed_and_with_no_other() {
    let server = Server::start(|_| {});
    let path = server.dir().join("rsa").to_str().unwrap().to_owned();
    crate::support::daemon::keygen(&["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", &path]);
    server.authorize(&std::fs::read_to_string(format!("{path}.pub")).unwrap());
    for (names, may) in [
        ("rsa-sha2-256", true),
        ("rsa-sha2-512", true),
        ("ssh-rsa", false),
        ("rsa-sha2-512-cert-v01@openssh.com", false),
    ] {
        let user = User::with(Some(&host("erp", &server, &format!("  PubkeyAcceptedAlgorithms {names}\n"))));
        let report = user.collect(&["--server", "erp", "--ssh-key", &path]);
        assert_eq!(collected(&report), may, "{names}: {report:#}");
    }
}

#[test]
fn a_file_that_is_named_is_read_and_no_other() {
    let (server, other) = (Server::start(|_| {}), Server::start(|_| {}));
    std::fs::create_dir_all(server.dir().join("elsewhere/.ssh")).unwrap();
    let named = server.dir().join("elsewhere/.ssh/known_hosts");
    std::fs::write(&named, format!("{} {}\n", server.entry(), other.host_key("ed25519"))).unwrap();
    let right = server.known_hosts().display().to_string();
    let user = User::with(Some(&host("erp", &server, "").replace(&right, &named.display().to_string())));
    std::fs::copy(server.known_hosts(), user.project.path("home/.ssh/known_hosts")).unwrap();
    let said = why(&user.collect(&["--server", "erp"]));
    assert!(said.contains("elsewhere/.ssh/known_hosts:1"), "{said}");
}

#[test]
fn keys_that_ssh_config_revokes_are_refused() {
    let (server, other) = (Server::start(|_| {}), Server::start(|_| {}));
    let revoked = server.dir().join("revoked");
    let config = host("erp", &server, &format!("  RevokedHostKeys {}\n", revoked.display()));
    let user = User::with(Some(&config));
    std::fs::write(&revoked, format!("{}\n", other.host_key("ed25519"))).unwrap();
    assert!(collected(&user.collect(&["--server", "erp"])), "another key is revoked");
    std::fs::write(&revoked, format!("# out of use\n{} old\n", server.host_key("ed25519"))).unwrap();
    assert!(why(&user.collect(&["--server", "erp"])).contains("revokes"));
    std::fs::write(&revoked, "no key\n").unwrap();
    assert!(why(&user.collect(&["--server", "erp"])).contains("is no list of public keys"));
    std::fs::write(&revoked, "SSHKRL\n\0\n").unwrap();
    assert!(why(&user.collect(&["--server", "erp"])).contains("cannot be read to its end"));
    std::fs::remove_file(&revoked).unwrap();
    assert!(why(&user.collect(&["--server", "erp"])).contains("cannot be read"));
}

/// What `ssh_config` may say, and the words in which a server is refused by it; none where it is let pass.
const SAID: &[(&str, Option<&str>)] = &[
    ("HostKeyAlgorithms ssh-ed25519", Some("HostKeyAlgorithms")),
    ("HostKeyAlgorithms rsa-sha2-512", None),
    ("HostKeyAlgorithms ^rsa-sha2-256", None),
    ("HostKeyAlgorithms -rsa*", Some("HostKeyAlgorithms")),
    ("HostKeyAlgorithms +ssh-rsa", None),
    ("HostKeyAlgorithms ssh-rsa", Some("HostKeyAlgorithms")),
    ("RequiredRSASize 2048", None),
    ("RequiredRSASize 3072", Some("RequiredRSASize")),
    ("KexAlgorithms ecdh-sha2-nistp384", None),
    ("KexAlgorithms sntrup761x25519-sha512@openssh.com", Some("KexAlgorithms")),
    ("Ciphers aes256-ctr\n  MACs hmac-sha2-256", None),
    ("Ciphers 3des-cbc", Some("Ciphers")),
    ("MACs umac-64@openssh.com", Some("MACs")),
    ("KnownHostsCommand /bin/true", None),
    ("KnownHostsCommand /bin/false", Some("KnownHostsCommand")),
    ("KnownHostsCommand true", Some("KnownHostsCommand")),
    ("PubkeyAuthentication no", Some("PubkeyAuthentication")),
    ("PubkeyAcceptedAlgorithms rsa-sha2-512", Some("PubkeyAcceptedAlgorithms")),
    ("PubkeyAcceptedAlgorithms ssh-ed25519", None),
    ("StrictHostKeyChecking no\n  VerifyHostKeyDNS yes\n  UpdateHostKeys yes", None),
    ("CheckHostIP yes", None),
];

#[test]
fn what_ssh_config_says_of_algorithms_counts_as_in_ssh() {
    let server = Server::start(|setup| _ = setup.host_keys(&["rsa"]));
    for (option, refused) in SAID {
        let user = User::with(Some(&host("erp", &server, &format!("  {option}\n"))));
        let report = user.collect(&["--server", "erp"]);
        assert_eq!(collected(&report), refused.is_none(), "{option}: {report:#}");
        if let Some(word) = refused {
            assert!(why(&report).contains(word), "{option}: {}", why(&report));
        }
    }
}

#[test]
fn nobody_is_asked_about_a_new_key_where_ssh_asks_nobody() {
    let server = Server::start(|_| {});
    std::fs::write(server.known_hosts(), "").unwrap();
    for option in ["StrictHostKeyChecking yes", "BatchMode yes"] {
        let user = User::with(Some(&host("erp", &server, &format!("  {option}\n"))));
        let (shown, code) = at_terminal(&user, &["check", "--docker", "off", "--server", "erp"], &[]);
        assert!(
            code == 1 && !shown.contains(ASKED) && shown.contains("--accept-new-host-key"),
            "{option}: {shown}"
        );
    }
}

#[test]
fn the_key_of_a_jump_host_is_revoked_by_its_authority() {
    let (jump, last) = (Server::start(|_| {}), Server::start(|_| {}));
    let dir = assert_fs::TempDir::new().unwrap();
    let ca = dir.path().join("ca");
    crate::support::daemon::key_pair(&ca, "ed25519");
    let certified = Server::start(|setup| _ = setup.certify(&ca, &["-h", "-n", "127.0.0.1"]));
    let public = std::fs::read_to_string(ca.with_extension("pub")).unwrap();
    for (first, passes) in [(&jump, true), (&certified, false)] {
        let known = std::fs::read_to_string(first.known_hosts()).unwrap();
        std::fs::write(first.known_hosts(), format!("@revoked {} {public}{known}", first.entry())).unwrap();
        let config = host("first", first, "") + &host("erp", &last, "  ProxyJump first\n");
        let report = User::with(Some(&config)).collect(&["--server", "erp"]);
        assert_eq!(collected(&report), passes, "{report:#}");
        assert!(passes || why(&report).contains("revokes"), "{report:#}");
    }
}

#[test]
fn every_option_of_ssh_is_in_the_docs() {
    let docs = std::fs::read_to_string("docs/servers.md").unwrap().to_lowercase();
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-G", "-J", "x", "-o", "HostKeyAlias=x"]);
    let more =
        ["RevokedHostKeys=/x", "KnownHostsCommand=/bin/true", "IdentityAgent=none", "CertificateFile=/x"];
    let output = command.args(more.iter().flat_map(|option| ["-o", option])).arg("erp").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let options: std::collections::BTreeSet<&str> =
        said.lines().filter_map(|line| line.split(' ').next()).collect();
    let missing: Vec<_> = options
        .iter()
        .filter(|option| **option != "host" && !docs.contains(&format!("`{}`", option.to_lowercase())))
        .collect();
    assert!(options.len() > 60 && missing.is_empty(), "{missing:?}");
}
