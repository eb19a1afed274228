//! A private Dropbear server: own directory, own host key, own port, and a home directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_fs::TempDir;

use super::daemon::{self, Daemon};

/// Gives the account another home by laying another `/etc/passwd` over the real one, for this program alone.
const IN_ITS_HOME: &str = "mount --bind \"$1/passwd\" /etc/passwd && shift && exec \"$@\"";

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
        let account = daemon::account();
        let fields: Vec<&str> = account.split(':').collect();
        let dir = TempDir::new().unwrap();
        furnish(dir.path(), &account);
        let ready = |_| "Not backgrounding".to_owned();
        let (daemon, port) = Daemon::start(dir, "127.0.0.1", ready, |dir, port| {
            let mut command = with_own_home(dir, fields[2], fields[3]);
            command.args(["setpriv", "--pdeathsig", "KILL", "dropbear", "-F", "-E", "-e", "-r"]);
            command.arg(dir.join("host_key")).args(["-p", &format!("127.0.0.1:{port}"), "-P"]);
            command.arg(dir.join("pid")).args(options);
            command
        });
        let known = format!("[127.0.0.1]:{port} {}", public(&daemon.dir().join("host_key")));
        std::fs::write(daemon.dir().join("known_hosts"), known).unwrap();
        Self { port, user: fields[0].to_owned(), daemon }
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

/// A program in a mount namespace where the account's home is in `dir`; an ordinary user makes that as root of a
/// namespace of users, and is themselves again in another one.
fn with_own_home(dir: &Path, user: &str, group: &str) -> Command {
    let mut command = Command::new("unshare");
    let as_root: &[&str] = if user == "0" { &["--mount"] } else { &["--map-root-user", "--mount"] };
    command.args(as_root).args(["sh", "-c", IN_ITS_HOME, "sh"]).arg(dir);
    if user != "0" {
        command.arg("unshare").arg(format!("--map-user={user}")).arg(format!("--map-group={group}"));
    }
    daemon::clean(&mut command, dir);
    command
}

/// Makes keys, the home and the list of accounts.
fn furnish(dir: &Path, account: &str) {
    daemon::key_pair(&dir.join("user_key"), "ed25519");
    let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(dir.join("host_key")).output();
    assert!(made.unwrap().status.success());
    std::fs::create_dir_all(dir.join("home/.ssh")).unwrap();
    std::fs::copy(dir.join("user_key.pub"), dir.join("home/.ssh/authorized_keys")).unwrap();
    let mut fields: Vec<&str> = account.split(':').collect();
    let home = dir.join("home");
    fields[5] = home.to_str().unwrap();
    let others = std::fs::read_to_string("/etc/passwd").unwrap();
    let others = others.lines().filter(|line| line.split(':').next() != Some(fields[0]));
    let lines = std::iter::once(fields.join(":")).chain(others.map(str::to_owned));
    std::fs::write(dir.join("passwd"), lines.map(|line| line + "\n").collect::<String>()).unwrap();
}

/// The public half of a key of Dropbear: its type and base64.
fn public(key: &Path) -> String {
    let output = Command::new("dropbearkey").arg("-y").arg("-f").arg(key).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap();
    line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n"
}
