//! Who logs in, and by what `ssh_config` says that key and host are known: whom `ssh` lets in driftlock lets in.

use std::os::unix::fs::PermissionsExt as _;

use super::config::{User, collected, why};
use crate::support::keys::{Agent, Keys};
use crate::support::sshd::Server;

/// A server that knows one user by a key of `mine`, or by what the authority `ca` certifies.
struct Scene {
    server: Server,
    keys: Keys,
    user: String,
}

impl Scene {
    fn new() -> Self {
        let keys = Keys::new();
        keys.make("ca", "ed25519")
            .make("mine", "ed25519")
            .make("other", "ed25519")
            .make("signed", "rsa -b 2048");
        let trusted = format!("TrustedUserCAKeys {}", keys.path("ca.pub").display());
        let server = Server::start(|setup| _ = setup.line(&trusted));
        server.authorize(&keys.public("mine"));
        let user = server.user().to_owned();
        keys.certify("ca", "signed", &["-n", &user]);
        std::fs::rename(keys.path("signed-cert.pub"), keys.path("elsewhere.pub")).unwrap();
        for name in ["mine", "other"] {
            std::fs::copy(keys.path(&format!("{name}.pub")), keys.path(&format!("half-{name}.pub"))).unwrap();
        }
        Self { server, keys, user }
    }

    /// A user with these lines about the server; KEYS stands for the directory of the keys.
    fn user(&self, lines: &[&str]) -> User {
        let keys = self.keys.path("").display().to_string();
        let lines: String = lines.iter().map(|line| format!("  {}\n", line.replace("KEYS", &keys))).collect();
        let known = if lines.contains("KnownHosts") { String::new() } else { self.known_hosts() };
        User::with(Some(&format!(
            "Host erp\n  HostName 127.0.0.1\n  Port {}\n  User {}\n{known}{lines}",
            self.server.port, self.user
        )))
    }

    fn known_hosts(&self) -> String {
        format!("  UserKnownHostsFile {}\n", self.server.known_hosts().display())
    }

    /// Whether `ssh` gets in, and driftlock, and why it does not.
    fn both(user: &User) -> (bool, bool, String) {
        let mut ssh = user.ssh();
        let options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null"];
        ssh.args(options.iter().flat_map(|option| ["-o", option])).args(["erp", "true"]);
        let ssh = ssh.output().unwrap().status.success();
        let report = user.collect(&["--server", "erp"]);
        let ours = collected(&report);
        (ssh, ours, if ours { String::new() } else { why(&report) })
    }
}

#[test]
fn whose_key_or_certificate_lets_ssh_in_is_let_in() {
    let scene = Scene::new();
    let odd = "M\u{fc}ller".chars().map(|c| c as u8).collect::<Vec<u8>>();
    let text = scene.keys.public("other");
    let agents = [Agent::holding(&scene.keys, &["other", "mine"]), Agent::holding(&scene.keys, &["signed"])];
    let [both, signed] = agents.each_ref().map(|agent| format!("IdentityAgent {}", agent.socket()));
    let old = Agent::holding(&scene.keys, &[]);
    // A comment in Latin-1, as keys of long ago have it.
    std::fs::copy(scene.keys.path("other"), scene.keys.path("old")).unwrap();
    let line = [text.split(' ').take(2).collect::<Vec<_>>().join(" ").as_bytes(), b" ", &odd, b"\n"].concat();
    std::fs::write(scene.keys.path("old.pub"), line).unwrap();
    old.add_with_comment(&scene.keys.path("old"), std::os::unix::ffi::OsStrExt::from_bytes(&odd[..]));
    old.add(&scene.keys.path("mine"));
    let odd = format!("IdentityAgent {}", old.socket());
    let (both, signed, odd) = (both.as_str(), signed.as_str(), odd.as_str());
    let cases: &[(&[&str], bool)] = &[
        (&["IdentityAgent none", "IdentityFile KEYSmine"], true),
        (&["IdentityAgent none", "IdentityFile none"], false),
        (&[odd, "IdentityFile none"], true),
        (&[both, "IdentityFile none"], true),
        (&[both, "IdentityFile KEYShalf-mine.pub", "IdentitiesOnly yes"], true),
        (&[both, "IdentityFile KEYShalf-mine", "IdentitiesOnly yes"], true),
        (&[both, "IdentityFile KEYShalf-other.pub", "IdentitiesOnly yes"], false),
        (&[both, "IdentityFile KEYShalf-other.pub"], true),
        (&["IdentityAgent none", "IdentityFile KEYShalf-mine.pub"], false),
        (&["IdentityAgent none", "IdentityFile KEYShalf-mine"], false),
        (&["IdentityAgent none", "IdentityFile KEYSsigned"], false),
        (&["IdentityAgent none", "IdentityFile KEYSsigned", "CertificateFile KEYSelsewhere.pub"], true),
        (&["IdentityAgent none", "IdentityFile KEYSother", "CertificateFile KEYSelsewhere.pub"], false),
        (&["IdentityAgent none", "IdentityFile KEYSsigned", "CertificateFile KEYSmissing.pub"], false),
        (&[signed, "IdentityFile none", "CertificateFile KEYSelsewhere.pub"], true),
        (&["IdentityAgent none", "IdentityFile KEYS%%/../mine"], false),
        (&["IdentityAgent none", "IdentityFile ${NO_SUCH_VARIABLE}/mine"], false),
        (&["IdentityAgent none", "IdentityFile KEYS%q"], false),
    ];
    for (lines, lets_in) in cases {
        let (ssh, ours, why) = Scene::both(&scene.user(lines));
        assert_eq!((ssh, ours), (*lets_in, *lets_in), "{lines:?}: {why}");
    }
    let half = scene.user(&["IdentityAgent none", "IdentityFile KEYShalf-mine.pub"]);
    let why = Scene::both(&half).2;
    assert!(why.contains("half-mine.pub") && why.contains("no agent holds the private one"), "{why}");
}

#[test]
fn what_stands_in_the_name_of_a_key_is_put_there_as_ssh_does() {
    let scene = Scene::new();
    let user = scene.user(&[]);
    let mut tried = 0;
    for token in ["%h", "%i", "%k", "%L", "%l", "%n", "%p", "%r", "%u", "%%", "${USER_OF_TEST}"] {
        // `ssh` itself tells which file it looks for.
        user.config_more(&format!(
            "  IdentityAgent none\n  IdentityFile {}x-{token}-y\n",
            scene.keys.path("").display()
        ));
        let mut ssh = user.ssh();
        ssh.env("USER_OF_TEST", "somebody").args(["-v", "-o", "BatchMode=yes", "erp", "true"]);
        let said = String::from_utf8_lossy(&ssh.output().unwrap().stderr).into_owned();
        let name = said.lines().find_map(|line| line.split_once("identity file ")?.1.split_once(" type"));
        let name = name.unwrap_or_else(|| panic!("{token}: {said}")).0.to_owned();
        std::fs::copy(scene.keys.path("mine"), &name).unwrap();
        let report = user.collect_with(&["--server", "erp"], &[("USER_OF_TEST", "somebody")]);
        assert!(collected(&report), "{token}: {name}: {report:#}");
        std::fs::remove_file(&name).unwrap();
        tried += 1;
    }
    assert_eq!(tried, 11);
}

#[test]
fn a_command_that_knows_host_keys_is_asked_as_ssh_asks_it() {
    let scene = Scene::new();
    let log = scene.keys.path("log");
    let program = scene.keys.path("knows");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>'{}'\n/bin/cat '{}'\n",
        log.display(),
        scene.server.known_hosts().display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let command = "KnownHostsCommand KEYSknows '%I %H' \"%t\" %K %f %h %n %p %r %u %k %i a\\ b %%";
    let with = |command: &str| {
        scene.user(&["IdentityAgent none", "IdentityFile KEYSmine", "UserKnownHostsFile /dev/null", command])
    };
    let user = with(command);
    let report = |user: &User| {
        let _ = std::fs::remove_file(&log);
        let (ssh, ours, why) = Scene::both(user);
        (ssh, ours, why, std::fs::read_to_string(&log).unwrap_or_default())
    };
    let (ssh, ours, why, log) = report(&user);
    assert!(ssh && ours, "{why}");
    let lines: Vec<&str> = log.lines().collect();
    let (by_ssh, by_us) = lines.split_at(lines.len() / 2);
    assert_eq!(by_ssh, by_us, "asked for the same, and as often");
    assert!(lines.len() >= 4, "{log}");
    for (command, word) in [
        ("KnownHostsCommand /bin/false", "KnownHostsCommand"),
        ("KnownHostsCommand /nonexistent/x", "KnownHostsCommand"),
        ("KnownHostsCommand knows", "whole path"),
        ("KnownHostsCommand /bin/true", "no known_hosts file knows that host"),
    ] {
        let (ssh, ours, why, _) = report(&with(command));
        assert!(!ssh && !ours && why.contains(word), "{command}: {ssh} {ours} {why}");
    }
}

#[test]
fn an_ssh_that_is_not_openssh_is_not_asked() {
    let scene = Scene::new();
    let user = User::with(None);
    std::os::unix::fs::symlink("/usr/bin/dbclient", user.project.path("bin/ssh")).unwrap();
    let server = format!("{}@127.0.0.1:{}", scene.user, scene.server.port);
    std::fs::copy(scene.server.known_hosts(), user.project.path("home/.ssh/known_hosts")).unwrap();
    std::fs::copy(scene.keys.path("mine"), user.project.path("home/.ssh/id_ed25519")).unwrap();
    let report = user.collect(&["--server", &server]);
    assert!(collected(&report), "{report:#}");
}

#[test]
fn why_an_account_runs_nothing_is_told_wherever_it_is_said() {
    let many = "printf 'a\\nb\\nc\\nd\\n'; exit 1";
    let odd_sudo = "echo 'sudo: unable to resolve host erp: Name or service not known' >&2; \
        echo 'sudo: a password is required' >&2; exit 1";
    for (line, sudo, words) in [
        ("ForceCommand /usr/sbin/nologin", false, "This account is currently not available."),
        ("ForceCommand internal-sftp", false, "This service allows sftp connections only."),
        (&format!("ForceCommand {many}"), false, "b; c; d"),
        (&format!("ForceCommand {odd_sudo}"), true, "a password is required"),
    ] {
        let server = Server::start(|setup| _ = setup.line(line));
        let user = User::with(None);
        let sudo = if sudo { "sudo = true\n" } else { "" };
        let target = server.target("prod", &user.project.root()) + sudo;
        let config = user.project.read("audit/driftlock.toml") + &target;
        user.project.file("audit/driftlock.toml", &config);
        let said = why(&user.collect(&["--target", "prod"]));
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[test]
fn what_a_server_shows_who_may_not_log_in_is_told() {
    let scene = Scene::new();
    let banner = scene.keys.write("banner", "Your account has expired;\nplease \x1b[31mask\x1b[0m\n");
    let server = Server::start(|setup| _ = setup.line(&format!("Banner {banner}")));
    let user = User::with(None);
    let target = server.target("prod", &user.project.root());
    let target = target.replace(&server.key().display().to_string(), &scene.keys.text_path("other"));
    let config = user.project.read("audit/driftlock.toml") + &target;
    user.project.file("audit/driftlock.toml", &config);
    let said = why(&user.collect(&["--target", "prod"]));
    assert!(said.contains("the server says: Your account has expired;; please \\x1b[31mask"), "{said}");
}
