//! SSH keys in a directory of their own, what `ssh-keygen` makes of them, and an agent that holds some.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use assert_fs::TempDir;

use super::wait_until;

/// A directory of keys, by name.
pub(crate) struct Keys {
    dir: TempDir,
}

/// Runs `ssh-keygen`, with something on its standard input.
fn ssh_keygen(dir: &Path, args: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Output {
    let stdin = dir.join(format!("stdin-{:?}", std::thread::current().id()));
    std::fs::write(&stdin, input).unwrap();
    let mut command = Command::new("ssh-keygen");
    command
        .current_dir(dir)
        .args(args)
        .stdin(std::fs::File::open(stdin).unwrap())
        .env_remove("SSH_AUTH_SOCK");
    command.envs(variables.iter().copied()).output().unwrap()
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// Makes a key of a kind: `ed25519`, `rsa -b 2048`, `ecdsa -b 384`.
    pub(crate) fn make(&self, name: &str, kind: &str) -> &Self {
        self.make_with(name, kind, "")
    }

    /// The same under a passphrase.
    pub(crate) fn make_with(&self, name: &str, kind: &str, passphrase: &str) -> &Self {
        let kind: Vec<&str> = kind.split(' ').collect();
        let args = [&["-q", "-N", passphrase, "-C", name, "-f", name, "-t"], kind.as_slice()].concat();
        self.done(&args);
        self
    }

    /// Puts a key that has none under a passphrase.
    pub(crate) fn encrypt(&self, name: &str, passphrase: &str) {
        self.done(&["-q", "-p", "-P", "", "-N", passphrase, "-f", name]);
    }

    /// Certifies a key with a CA's: `NAME-cert.pub`.
    pub(crate) fn certify(&self, ca: &str, name: &str, options: &[&str]) {
        let public = format!("{name}.pub");
        self.done(&[&["-q", "-s", ca, "-I", "id"], options, &[public.as_str()]].concat());
    }

    fn done(&self, args: &[&str]) {
        let output = ssh_keygen(self.dir.path(), args, b"", &[]);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The path of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into the directory, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.text_path(name)
    }

    /// Kind and base64 of a public key.
    pub(crate) fn public(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// What `ssh-keygen -Y sign` makes of a message.
    pub(crate) fn sign(&self, name: &str, namespace: &str, message: &[u8]) -> Vec<u8> {
        let output =
            ssh_keygen(self.dir.path(), &["-q", "-Y", "sign", "-n", namespace, "-f", name], message, &[]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Whether `ssh-keygen -Y verify` accepts a signature, at a time where one is given.
    pub(crate) fn verifies(&self, case: &Verify<'_>) -> bool {
        let unique = format!("{:?}", std::thread::current().id());
        let (signers, signature) = (format!("signers-{unique}"), format!("signature-{unique}"));
        std::fs::write(self.path(&signers), case.signers).unwrap();
        std::fs::write(self.path(&signature), case.signature).unwrap();
        let mut args =
            vec!["-Y", "verify", "-f", &signers, "-I", case.who, "-n", case.namespace, "-s", &signature];
        let time = case.time.map(|time| format!("-Overify-time={time}"));
        args.extend(time.as_deref());
        let zone = [("TZ", case.zone)];
        ssh_keygen(self.dir.path(), &args, case.message, &zone).status.success()
    }
}

/// What `ssh-keygen -Y verify` is asked.
pub(crate) struct Verify<'a> {
    pub(crate) signers: &'a [u8],
    pub(crate) who: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) signature: &'a [u8],
    pub(crate) message: &'a [u8],
    pub(crate) time: Option<&'a str>,
    pub(crate) zone: &'a str,
}

/// An agent of its own; it ends when dropped.
pub(crate) struct Agent {
    child: Child,
    dir: TempDir,
}

impl Agent {
    /// Starts an agent that holds these keys.
    pub(crate) fn holding(keys: &Keys, names: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(dir.path().join("socket")).stdout(Stdio::null());
        let agent = Self { child: command.spawn().unwrap(), dir };
        wait_until(|| std::os::unix::net::UnixStream::connect(agent.path()).is_ok());
        for name in names {
            agent.add(&keys.path(name));
        }
        agent
    }

    /// Gives it one more key.
    pub(crate) fn add(&self, key: &Path) {
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(key).env("SSH_AUTH_SOCK", self.path());
        assert!(add.status().unwrap().success(), "{}", key.display());
    }

    /// Gives it one more key under a comment that need not be UTF-8; the key's file has it afterwards.
    pub(crate) fn add_with_comment(&self, key: &Path, comment: &OsStr) {
        let mut change = Command::new("ssh-keygen");
        change.args(["-q", "-c", "-C"]).arg(comment).arg("-f").arg(key);
        assert!(change.stdout(Stdio::null()).status().unwrap().success());
        self.add(key);
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
