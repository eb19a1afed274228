//! An engine behind TLS, as the docker client reaches it with the same certificates.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_fs::TempDir;

use crate::support::docker::{Stage, engine_socket};
use crate::support::http::Authority;
use crate::support::world::Alone;

/// A relay from TLS on loopback to the engine's socket, for clients that an authority has certified.
struct Relay {
    child: Child,
    port: u16,
}

impl Relay {
    fn start(authority: &Authority) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let dir = authority.directory();
        let file = |name: &str| dir.join(name).display().to_string();
        let listen = format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,verify=1,cert={},key={},cafile={}",
            file("cert.pem"),
            file("key.pem"),
            file("ca.pem")
        );
        let mut socat = Command::new("socat");
        socat.arg(listen).arg(format!("UNIX-CONNECT:{}", engine_socket().display()));
        let child = socat.stderr(Stdio::null()).spawn().unwrap();
        let relay = Self { child, port };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "the relay does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        relay
    }

    /// Makes a command ask the engine behind it, with the certificates of a directory.
    fn lead(&self, command: &mut impl Alone, certificates: &Path) {
        command.variable("DOCKER_HOST", Some(&format!("tcp://127.0.0.1:{}", self.port)));
        command.variable("DOCKER_TLS_VERIFY", Some("1"));
        command.variable("DOCKER_CERT_PATH", certificates.to_str());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_the_docker_client_reaches_is_reached_and_nobody_else() {
    let stage = Stage::new();
    stage.start("web", &stage.image("app:1"), &[]);
    let (mine, other) = (Authority::new(), Authority::new());
    let relay = Relay::start(&mine);
    let made = |files: &[(&Authority, &str)]| {
        let dir = TempDir::new().unwrap();
        for (authority, name) in files {
            std::fs::copy(authority.directory().join(name), dir.path().join(name)).unwrap();
        }
        dir
    };
    let cases = [
        (made(&[(&mine, "ca.pem"), (&mine, "cert.pem"), (&mine, "key.pem")]), None),
        (made(&[(&other, "ca.pem"), (&mine, "cert.pem"), (&mine, "key.pem")]), Some("certificate")),
        (
            made(&[(&mine, "ca.pem"), (&other, "cert.pem"), (&other, "key.pem")]),
            Some("engine at tcp://127.0.0.1"),
        ),
        (made(&[(&mine, "ca.pem")]), Some("engine at tcp://127.0.0.1")),
        (made(&[(&mine, "ca.pem"), (&mine, "cert.pem")]), Some("key.pem")),
        (made(&[(&mine, "cert.pem"), (&mine, "key.pem")]), Some("ca.pem")),
    ];
    for (at, (certificates, why)) in cases.iter().enumerate() {
        let mut docker = Command::new("docker");
        docker.alone().args(["ps", "--quiet"]);
        relay.lead(&mut docker, certificates.path());
        let judged = docker.output().unwrap();
        let mut export =
            stage.driftlock(&["export", "--docker", "required", "--output", &format!("out{at}")]);
        relay.lead(&mut export, certificates.path());
        let ran = export.output().unwrap();
        let told = String::from_utf8_lossy(&ran.stderr);
        let docker_says = String::from_utf8_lossy(&judged.stderr);
        assert_eq!(ran.status.success(), judged.status.success(), "case {at}: {told}\n{docker_says}");
        assert_eq!(ran.status.success(), why.is_none(), "case {at}: {told}");
        let out = String::from_utf8_lossy(&ran.stdout);
        assert!(why.is_none_or(|why| told.contains(why) || out.contains(why)), "case {at}: {told}{out}");
    }
    assert!(stage.project.read("out0/docker_images.lock.json").contains(&stage.name("web")));
}
