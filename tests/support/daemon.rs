//! A server of a test: in a directory of its own, frozen, thawed and ended together with all that it started.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_fs::TempDir;
use rustix::process::{Pid, Signal, kill_process};

use super::needs;

/// A name in the environment of what the server starts; its value is the server's directory.
const MARK: &str = "DRIFTLOCK_TEST_SERVER";

/// A running server. It belongs to the thread that started it and ends with that thread at the latest.
pub(crate) struct Daemon {
    child: Child,
    dir: TempDir,
}

impl Daemon {
    /// Starts a server on a free port of an address, and waits until its log has the words that `ready` makes
    /// of the port: the log is its own, whereas anybody could answer at the port.
    pub(crate) fn start(
        dir: TempDir,
        address: &str,
        ready: impl Fn(u16) -> String,
        command: impl Fn(&Path, u16) -> Command,
    ) -> (Self, u16) {
        for _ in 0..20 {
            let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
            let mut child = spawn(command(dir.path(), port), dir.path());
            if gets_ready(&mut child, dir.path(), &ready(port)) {
                return (Self { child, dir }, port);
            }
            let log = log_in(dir.path());
            assert!(log.contains("Address already in use"), "the server did not start:\n{log}");
        }
        panic!("no port of {address} stays free");
    }

    /// What the server wrote so far.
    pub(crate) fn log(&self) -> String {
        log_in(self.dir.path())
    }

    /// The directory that is the server's own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server and all that it started.
    pub(crate) fn family(&self) -> Vec<i32> {
        let mark = mark(self.dir.path());
        let mut others: Vec<(i32, i32)> = processes();
        let mut family = vec![i32::try_from(self.child.id()).unwrap()];
        family.extend(others.iter().map(|(pid, _)| *pid).filter(|pid| is_marked(*pid, &mark)));
        while let Some(at) = others.iter().position(|(_, parent)| family.contains(parent)) {
            family.push(others.swap_remove(at).0);
        }
        family.sort_unstable();
        family.dedup();
        family
    }

    /// Freezes the server and all that it started.
    pub(crate) fn stop(&self) {
        let mut stopped = Vec::new();
        // What is not frozen yet may start more meanwhile.
        loop {
            let family = self.family();
            if family == stopped {
                return;
            }
            signal(&family, Signal::STOP);
            stopped = family;
        }
    }

    /// Ends all that it started; the server itself goes on.
    pub(crate) fn end_sessions(&self) {
        let server = i32::try_from(self.child.id()).unwrap();
        let sessions: Vec<i32> = self.family().into_iter().filter(|pid| *pid != server).collect();
        signal(&sessions, Signal::KILL);
    }

    /// Lets them go on.
    pub(crate) fn cont(&self) {
        signal(&self.family(), Signal::CONT);
    }
}

#[allow(clippy::print_stderr, reason = "shown where the test failed only")]
impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
        self.stop();
        signal(&self.family(), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The account that runs the tests, with another home: a line of `/etc/passwd`.
pub(crate) struct Account(String);

impl Account {
    /// The account as it is.
    pub(crate) fn mine() -> Self {
        let id = Command::new("id").arg("-u").output().unwrap().stdout;
        let id = String::from_utf8(id).unwrap();
        let output = Command::new("getent").args(["passwd", id.trim()]).output().unwrap();
        Self(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn field(&self, at: usize) -> &str {
        self.0.split(':').nth(at).unwrap()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.field(0)
    }

    /// Whether it is root's.
    pub(crate) fn is_root(&self) -> bool {
        self.field(2) == "0"
    }

    /// Makes a home in `dir` for it with this login shell, and the list of accounts that says so. What a real home runs
    /// at login may be slow, or break when it is killed.
    pub(crate) fn move_to(&self, dir: &Path, shell: &str) {
        let home = dir.join("home");
        std::fs::create_dir(&home).unwrap();
        let mut fields: Vec<&str> = self.0.split(':').collect();
        fields[5] = home.to_str().unwrap();
        fields[6] = shell;
        let others = std::fs::read_to_string("/etc/passwd").unwrap();
        let others = others.lines().filter(|line| line.split(':').next() != Some(self.name()));
        let lines = std::iter::once(fields.join(":")).chain(others.map(str::to_owned));
        std::fs::write(dir.join("passwd"), lines.map(|line| line + "\n").collect::<String>()).unwrap();
    }

    /// A program that has the list of accounts in `dir` for its `/etc/passwd`, sees nothing of this environment, and
    /// dies with the thread that starts it. An ordinary user lays that file over the real one as root of a namespace
    /// of users, and is themselves again in another one.
    pub(crate) fn program(&self, dir: &Path, path: &str) -> Command {
        needs::declared(needs::MOUNTS);
        let mut command = Command::new("unshare");
        let way_back = [format!("--map-user={}", self.field(2)), format!("--map-group={}", self.field(3))];
        if !self.is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "--propagation", "slave", "sh", "-c", LAID_OVER, "sh"]).arg(dir);
        if !self.is_root() {
            command.arg("unshare").args(way_back);
        }
        command.args(["setpriv", "--pdeathsig", "KILL", path]);
        let search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        command.env_clear().env("PATH", search).env(MARK, dir);
        command
    }
}

/// Lays a list of accounts over the real one, and does what a script `mounts` beside it says, for the program that
/// follows alone.
const LAID_OVER: &str = "set -e; mount --bind \"$1/passwd\" /etc/passwd; \
    if [ -f \"$1/mounts\" ]; then . \"$1/mounts\"; fi; shift; exec \"$@\"";

/// The mark of a server in an environment: `NAME=VALUE`.
pub(crate) fn mark(dir: &Path) -> String {
    format!("{MARK}={}", dir.display())
}

/// Makes a key pair with `ssh-keygen`, the public half beside it as `.pub`.
pub(crate) fn key_pair(path: &Path, kind: &str) {
    let path = path.to_str().unwrap();
    // Short, because long keys are slow to find.
    let bits: &[&str] = if kind == "rsa" { &["-b", "2048"] } else { &[] };
    keygen(&[&["-t", kind, "-N", "", "-C", "test", "-f", path], bits].concat());
}

/// Runs `ssh-keygen`, which must succeed: what it printed.
pub(crate) fn keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen").arg("-q").args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn log_in(dir: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(dir.join("log")).unwrap()).into_owned()
}

fn spawn(mut command: Command, dir: &Path) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("log")).unwrap());
    command.spawn().unwrap()
}

/// Whether the words are in the log before the server ends.
fn gets_ready(child: &mut Child, dir: &Path, words: &str) -> bool {
    let end = Instant::now() + super::GUARD;
    loop {
        let over = child.try_wait().unwrap().is_some();
        if log_in(dir).contains(words) {
            return true;
        }
        if over {
            return false;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server does not get ready:\n{}", log_in(dir));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn signal(family: &[i32], signal: Signal) {
    for pid in family {
        let _ = kill_process(Pid::from_raw(*pid).unwrap(), signal);
    }
}

/// All processes with their parents.
fn processes() -> Vec<(i32, i32)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in brackets and may hold anything.
        let mut words = stat.rsplit_once(')')?.1.split_whitespace();
        Some((pid, words.nth(1)?.parse().ok()?))
    })
    .collect()
}

fn is_marked(pid: i32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
