//! A private Dropbear server: own directory, own host key, own port, and a home directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_fs::TempDir;

use super::daemon::{self, Account, Daemon};

/// A running server; it ends with its sessions when dropped, and with the thread that started it at the latest.
pub(crate) struct Dropbear {
    /// Where it listens, on `127.0.0.1`.
    pub(crate) port: u16,
    user: String,
    daemon: Daemon,
}

impl Dropbear {
    /// Starts a server with more options and waits until it listens.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, "")
    }

    /// The same with mounts of its own, which this script for `sh` makes.
    pub(crate) fn start_with(options: &[&str], mounts: &str) -> Self {
        let account = Account::mine();
        let dir = TempDir::new().unwrap();
        account.move_to(dir.path(), "/bin/sh");
        std::fs::write(dir.path().join("mounts"), mounts).unwrap();
        furnish(dir.path());
        let ready = |_| "Not backgrounding".to_owned();
        let (daemon, port) = Daemon::start(dir, "127.0.0.1", ready, |dir, port| {
            let mut command = account.program(dir, "dropbear");
            command.args(["-F", "-E", "-e", "-r"]).arg(dir.join("host_key"));
            command.args(["-p", &format!("127.0.0.1:{port}"), "-P"]).arg(dir.join("pid")).args(options);
            command
        });
        let known = format!("[127.0.0.1]:{port} {}", public(&daemon.dir().join("host_key")));
        std::fs::write(daemon.dir().join("known_hosts"), known).unwrap();
        Self { port, user: account.name().to_owned(), daemon }
    }

    /// Who is let in: whoever runs the tests.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The private key that is let in, in the format of OpenSSH.
    pub(crate) fn key(&self) -> PathBuf {
        self.daemon.dir().join("user_key")
    }

    /// A `known_hosts` file with its key.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.daemon.dir().join("known_hosts")
    }

    /// The home of whoever logs in.
    pub(crate) fn home(&self) -> PathBuf {
        self.daemon.dir().join("home")
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }
}

/// Makes keys, and a home that lets one in.
fn furnish(dir: &Path) {
    daemon::key_pair(&dir.join("user_key"), "ed25519");
    let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(dir.join("host_key")).output();
    assert!(made.unwrap().status.success());
    std::fs::create_dir(dir.join("home/.ssh")).unwrap();
    std::fs::copy(dir.join("user_key.pub"), dir.join("home/.ssh/authorized_keys")).unwrap();
}

/// The public half of a key of Dropbear: its type and base64.
fn public(key: &Path) -> String {
    let output = Command::new("dropbearkey").arg("-y").arg("-f").arg(key).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap();
    line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n"
}
