//! The SSH servers of the tests themselves: that they answer, freeze, and leave nothing behind.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::support::daemon::key_pair;
use crate::support::dropbear::Dropbear;
use crate::support::sshd::Server;
use crate::support::wait_until;

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The first bytes that a new connection brings within a second.
fn banner(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut bytes = [0; 4];
    match stream.read_exact(&mut bytes) {
        Ok(()) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn the_real_client_gets_in_by_every_kind_of_host_key() {
    let server = Server::start(|setup| {
        setup.host_keys(&["ed25519", "ecdsa", "rsa"]);
    });
    for kind in ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"] {
        let option = format!("HostKeyAlgorithms={kind}");
        assert_eq!(said(&server.ssh(&["-o", &option], "echo $((6*7))")), "42");
    }
    assert!(server.log().contains(&format!("Accepted publickey for {}", server.user())), "{}", server.log());
    assert_eq!(server.address(), "127.0.0.1");
}

#[test]
fn a_line_of_the_configuration_counts() {
    let server = Server::start(|setup| {
        setup.line("MaxAuthTries 1").line("Match all").line("ForceCommand echo forced");
    });
    assert_eq!(said(&server.ssh(&[], "echo asked")), "forced");
}

#[test]
fn whoever_logs_in_has_a_home_and_a_shell_of_the_test() {
    let server = Server::start(|_| {});
    std::fs::write(server.home().join("here"), "").unwrap();
    assert_eq!(said(&server.ssh(&[], "pwd; ls; echo ~")).lines().collect::<Vec<_>>(), {
        let home = server.home().to_str().unwrap().to_owned();
        [home.clone(), "here".to_owned(), home]
    });
    for (shell, asks) in [("/usr/bin/fish", "echo $version"), ("/bin/csh", "echo $shell")] {
        let server = Server::start(|setup| {
            setup.shell(shell);
        });
        assert!(!said(&server.ssh(&[], asks)).is_empty(), "{shell}");
    }
}

#[test]
fn a_host_certificate_is_offered() {
    let dir = assert_fs::TempDir::new().unwrap();
    let ca = dir.path().join("ca");
    key_pair(&ca, "ed25519");
    let server = Server::start(|setup| {
        setup.certify(&ca, &["-h", "-n", "127.0.0.1"]);
    });
    let public = std::fs::read_to_string(ca.with_extension("pub")).unwrap();
    std::fs::write(server.known_hosts(), format!("@cert-authority {} {public}", server.entry())).unwrap();
    assert_eq!(said(&server.ssh(&[], "echo in")), "in");
}

#[test]
fn another_key_may_be_let_in() {
    let server = Server::start(|setup| {
        setup.listen("::1");
    });
    let key = server.dir().join("other_key");
    key_pair(&key, "ecdsa");
    let options = ["-o", "IdentityFile=none", "-i", key.to_str().unwrap()];
    server.authorize(&std::fs::read_to_string(key.with_extension("pub")).unwrap());
    assert_eq!(said(&server.ssh(&options, "echo in")), "in");
    let print = said(&std::process::Command::new("ssh-keygen").arg("-lf").arg(&key).output().unwrap());
    assert!(server.log().contains(print.split(' ').nth(1).unwrap()), "{print}\n{}", server.log());
}

#[test]
fn a_server_freezes_with_its_sessions_and_leaves_nothing_behind() {
    let server = Server::start(|_| {});
    let family = std::thread::scope(|scope| {
        // What leaves the session behind belongs to the server nevertheless.
        let session =
            scope.spawn(|| server.ssh(&[], "setsid sleep 600 >/dev/null 2>&1 </dev/null & sleep 601"));
        let runs = |seconds: &str| {
            let commands = server.family().into_iter();
            let mut commands = commands.filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
            commands.any(|command| command == format!("sleep\0{seconds}\0").into_bytes())
        };
        wait_until(|| runs("600") && runs("601"));
        assert_eq!(banner(server.port).as_deref(), Some("SSH-"));
        server.stop();
        assert_eq!(banner(server.port), None);
        server.cont();
        assert_eq!(banner(server.port).as_deref(), Some("SSH-"));
        let family = server.family();
        assert!(family.len() >= 4, "{family:?}");
        drop_sessions(&family);
        assert!(!session.join().unwrap().status.success());
        family
    });
    drop(server);
    wait_until(|| !family.iter().any(|pid| is_alive(*pid)));
}

/// Ends the commands of sessions.
fn drop_sessions(family: &[i32]) {
    for pid in family {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command == b"sleep\x00601\x00" {
            let pid = rustix::process::Pid::from_raw(*pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[test]
fn dropbear_lets_in_without_a_look_at_the_real_home() {
    let server = Dropbear::start(&["-W", "65536"]);
    let mut client = std::process::Command::new("ssh");
    client.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "IdentityAgent=none",
    ]);
    client.arg("-o").arg(format!("UserKnownHostsFile={}", server.known_hosts().display()));
    client.args(["-o", "ConnectTimeout=20", "-o", "IdentitiesOnly=yes", "-i"]).arg(server.key());
    client.args(["-p", &server.port.to_string(), "-l", server.user(), "127.0.0.1", "pwd"]);
    assert_eq!(said(&client.output().unwrap()), server.home().to_str().unwrap(), "{}", server.log());
}
