//! A private OpenSSH server: own directory, own host keys, own port, own home; it lets in whoever runs the tests.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use assert_fs::TempDir;
use driftlock::host::ssh::{Prompt, Secret};

use super::daemon::{self, Account, Daemon};

/// What a server shall be.
pub(crate) struct Setup {
    address: String,
    host_keys: Vec<String>,
    certificate: Option<(PathBuf, Vec<String>)>,
    shell: String,
    lines: Vec<String>,
    mounts: String,
}

impl Setup {
    /// It listens here and not on `127.0.0.1`.
    pub(crate) fn listen(&mut self, address: &str) -> &mut Self {
        address.clone_into(&mut self.address);
        self
    }

    /// It has host keys of these types and not only `ed25519`: `rsa`, `ecdsa`.
    pub(crate) fn host_keys(&mut self, kinds: &[&str]) -> &mut Self {
        self.host_keys = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self
    }

    /// Its first host key gets a certificate of a CA's private key, made by `ssh-keygen` with these options;
    /// `-h` makes it a host's.
    pub(crate) fn certify(&mut self, ca: &Path, options: &[&str]) -> &mut Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        self.certificate = Some((ca.to_owned(), options));
        self
    }

    /// Who logs in gets this shell and not `/bin/sh`.
    pub(crate) fn shell(&mut self, path: &str) -> &mut Self {
        path.clone_into(&mut self.shell);
        self
    }

    /// One more line of `sshd_config`; it counts before those that the fixture writes.
    pub(crate) fn line(&mut self, line: &str) -> &mut Self {
        self.lines.push(line.to_owned());
        self
    }

    /// It sees mounts of its own, which this script for `sh` makes.
    pub(crate) fn mounts(&mut self, script: &str) -> &mut Self {
        script.clone_into(&mut self.mounts);
        self
    }

    fn write(&self, dir: &Path, user_line: &str) -> String {
        // Of two lines sshd takes the first; what follows a `Match` belongs to it.
        let at = self.lines.iter().position(|line| line.trim_start().starts_with("Match"));
        let (before, after) = self.lines.split_at(at.unwrap_or(self.lines.len()));
        let mut lines =
            vec![format!("SetEnv {}", daemon::mark(dir)), format!("ListenAddress {}", self.address)];
        lines.extend_from_slice(before);
        lines.extend(self.host_keys.iter().map(|kind| format!("HostKey {}/host_{kind}", dir.display())));
        if self.certificate.is_some() {
            lines.push(format!("HostCertificate {}/host_{}-cert.pub", dir.display(), self.host_keys[0]));
        }
        lines.push(format!("AuthorizedKeysFile {}", dir.join("authorized_keys").display()));
        lines.extend(user_line.lines().map(str::to_owned));
        lines.extend_from_slice(after);
        lines.join("\n") + "\n"
    }
}

/// What every server has unless its test says otherwise.
const LINES: &str = "\
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
PrintMotd no
PrintLastLog no
UseDNS no
LogLevel VERBOSE
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp";

/// A running server; it ends with its sessions when dropped, and with the thread that started it at the latest.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) port: u16,
    address: String,
    user: String,
    daemon: Daemon,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(setup: impl FnOnce(&mut Setup)) -> Self {
        let mut wanted = Setup {
            address: "127.0.0.1".to_owned(),
            host_keys: vec!["ed25519".to_owned()],
            certificate: None,
            shell: "/bin/sh".to_owned(),
            lines: Vec::new(),
            mounts: String::new(),
        };
        setup(&mut wanted);
        let account = Account::mine();
        if account.is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let dir = TempDir::new().unwrap();
        account.move_to(dir.path(), &wanted.shell);
        furnish(dir.path(), &wanted);
        let address = wanted.address;
        let ready = |port| format!("Server listening on {address} port {port}.");
        let (daemon, port) = Daemon::start(dir, &address, ready, |dir, port| {
            let mut command = account.program(dir, "/usr/sbin/sshd");
            command.args(["-D", "-e", "-p", &port.to_string(), "-f"]).arg(dir.join("sshd_config"));
            command
        });
        let server = Self { port, address, user: account.name().to_owned(), daemon };
        server.write_known_hosts(&wanted.host_keys);
        server
    }

    fn write_known_hosts(&self, kinds: &[String]) {
        let lines = kinds.iter().map(|kind| format!("{} {}\n", self.entry(), self.host_key(kind)));
        std::fs::write(self.known_hosts(), lines.collect::<String>()).unwrap();
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Who is let in: whoever runs the tests.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The private key that is let in; its public half lies beside it as `.pub`.
    pub(crate) fn key(&self) -> PathBuf {
        self.daemon.dir().join("user_key")
    }

    /// Lets in another public key; options may stand before it.
    pub(crate) fn authorize(&self, public: &str) {
        let path = self.daemon.dir().join("authorized_keys");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{before}{}\n", public.trim_end())).unwrap();
    }

    /// The public host key of a type: its name and base64.
    pub(crate) fn host_key(&self, kind: &str) -> String {
        let text = std::fs::read_to_string(self.daemon.dir().join(format!("host_{kind}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The certificate of its first host key, in a line.
    pub(crate) fn certificate(&self) -> String {
        let files = std::fs::read_dir(self.dir()).unwrap().flatten();
        let mut files = files.map(|entry| entry.path());
        let file = files.find(|path| path.to_str().unwrap().ends_with("-cert.pub")).unwrap();
        std::fs::read_to_string(file).unwrap()
    }

    /// The fingerprint of the host key of a type.
    pub(crate) fn fingerprint(&self, kind: &str) -> String {
        let public = self.daemon.dir().join(format!("host_{kind}.pub"));
        let said = daemon::keygen(&["-lf", public.to_str().unwrap()]);
        said.split(' ').nth(1).unwrap().to_owned()
    }

    /// How `known_hosts` calls it: `[127.0.0.1]:2222`.
    pub(crate) fn entry(&self) -> String {
        format!("[{}]:{}", self.address, self.port)
    }

    /// A `known_hosts` file with all its keys.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.daemon.dir().join("known_hosts")
    }

    /// The lines of a configuration that make it the target `name`, with the tree at `root`.
    pub(crate) fn target(&self, name: &str, root: &Path) -> String {
        format!(
            "[targets.{name}]\nhost = \"{}\"\nport = {}\nuser = \"{}\"\nssh_key = \"{}\"\nhost_keys = [\"{}\"]\nroot = \"{}\"\n",
            self.address(),
            self.port,
            self.user(),
            self.key().display(),
            self.fingerprint("ed25519"),
            root.display()
        )
    }

    /// The lines of a configuration that make the branch `main` of a repository that lies on it the deployment `name`.
    pub(crate) fn deployment(&self, name: &str, repository: &Path) -> String {
        format!(
            "[[deployments]]\nname = \"{name}\"\n\
             git = {{ url = \"ssh://{}@{}:{}{}\", branch = \"main\", ssh_key = \"{}\", host_keys = [\"{}\"] }}\n",
            self.user(),
            self.address(),
            self.port,
            repository.display(),
            self.key().display(),
            self.fingerprint("ed25519")
        )
    }

    /// A directory of its own, where tests may put files.
    pub(crate) fn dir(&self) -> &Path {
        self.daemon.dir()
    }

    /// The home of whoever logs in.
    pub(crate) fn home(&self) -> PathBuf {
        self.daemon.dir().join("home")
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    /// The server, its sessions and what they run.
    pub(crate) fn family(&self) -> Vec<i32> {
        self.daemon.family()
    }

    /// Freezes it, its sessions and what they run.
    pub(crate) fn stop(&self) {
        self.daemon.stop();
    }

    /// Ends its sessions; it goes on itself.
    pub(crate) fn end_sessions(&self) {
        self.daemon.end_sessions();
    }

    /// How often somebody has logged in.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// Lets all of it go on.
    pub(crate) fn cont(&self) {
        self.daemon.cont();
    }

    /// Runs the real client with more options, which count before those that make it work.
    pub(crate) fn ssh(&self, options: &[&str], command: &str) -> Output {
        let mut client = Command::from_std(self.client(options));
        client.arg(command).timeout(Duration::from_secs(60)).output().unwrap()
    }

    /// The real client, as it would log in with these options. What the server shall do comes behind.
    pub(crate) fn client(&self, options: &[&str]) -> std::process::Command {
        let mut client = std::process::Command::new("ssh");
        client.args(["-F", "none"]).args(options);
        for option in
            ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none"]
        {
            client.args(["-o", option]);
        }
        client.arg("-o").arg(format!("UserKnownHostsFile={}", self.known_hosts().display()));
        client
            .args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "-i"])
            .arg(self.key());
        client.args(["-p", &self.port.to_string(), "-l", &self.user, &self.address]);
        client
    }
}

/// Makes keys, certificate and configuration.
fn furnish(dir: &Path, wanted: &Setup) {
    for kind in &wanted.host_keys {
        daemon::key_pair(&dir.join(format!("host_{kind}")), kind);
    }
    if let Some((ca, options)) = &wanted.certificate {
        let public = dir.join(format!("host_{}.pub", wanted.host_keys[0]));
        let mut args = vec!["-s", ca.to_str().unwrap(), "-I", "test"];
        args.extend(options.iter().map(String::as_str));
        args.push(public.to_str().unwrap());
        daemon::keygen(&args);
    }
    daemon::key_pair(&dir.join("user_key"), "ed25519");
    std::fs::copy(dir.join("user_key.pub"), dir.join("authorized_keys")).unwrap();
    std::fs::write(dir.join("mounts"), &wanted.mounts).unwrap();
    std::fs::write(dir.join("sshd_config"), wanted.write(dir, LINES)).unwrap();
}

/// Somebody who cannot be asked.
pub(crate) struct Nobody;

impl Prompt for Nobody {
    fn passphrase(&self, _: &str) -> Option<Secret> {
        None
    }

    fn believes(&self, _: &str, _: &str) -> bool {
        false
    }

    fn note(&self, _: &str) {}
}
