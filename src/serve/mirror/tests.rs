//! Tests of mirrors, against repositories on this disk, a real SSH server, and a server that wants a token.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::config::Config;
use crate::git::Repository;

/// A guard against hanging.
const GUARD: Duration = waits::SELFTEST.most;
/// The interval between looks.
const TICK: Duration = Duration::from_millis(10);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < GUARD, "{what}");
        std::thread::sleep(TICK);
    }
}

/// A repository with a work tree, and a directory for mirrors beside it.
struct Origin {
    dir: tempfile::TempDir,
}

impl Origin {
    fn new() -> Self {
        let origin = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(origin.repository()).unwrap();
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin.write("audit/driftlock.toml", "# one\n");
        origin.commit("one");
        origin
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_with(args, b"")
    }

    fn git_with(&self, args: &[&str], input: &[u8]) -> String {
        let file = self.dir.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut git = Command::new("git");
        git.arg("-C").arg(self.repository()).args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
        ]);
        git.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.stdin(File::open(file).unwrap()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.repository().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The mirror of what the text of a `git` table names.
    fn mirror_of(&self, git: &str) -> Mirror {
        let text = format!("[[deployments]]\nname = \"a\"\ngit = {{ {git} }}\n");
        let config = Config::parse(&text).unwrap_or_else(|error| panic!("{git}: {error}"));
        let source = config.deployments[0].git.clone().unwrap();
        Mirror::open(&self.dir.path().join("mirror"), &source, &Environment::of_process()).unwrap()
    }

    fn mirror(&self) -> Mirror {
        self.mirror_of(&format!("url = \"{}\", branch = \"main\"", self.repository().display()))
    }
}

fn never() -> bool {
    false
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_branch_is_fetched_and_the_files_of_its_commit_are_written() {
    let origin = Origin::new();
    let first = origin.git(&["rev-parse", "HEAD"]);
    let mirror = origin.mirror();
    let expected = FetchedCommit { commit: first.clone(), before: None, is_forced: false };
    assert_eq!(mirror.fetch(&never).unwrap(), expected);
    assert_eq!(mirror.fetch(&never).unwrap(), expected, "nothing has moved");
    let tree = mirror.tree(&first, &never).unwrap();
    assert_eq!(read(&tree.join("audit/driftlock.toml")), "# one\n");
    origin.write("audit/driftlock.toml", "# two\n");
    origin.git(&["tag", "v1"]);
    let second = origin.commit("two");
    let moved = FetchedCommit { commit: second.clone(), before: Some(first.clone()), is_forced: false };
    assert_eq!(mirror.fetch(&never).unwrap(), moved);
    let other = mirror.tree(&second, &never).unwrap();
    assert_eq!(
        (read(&tree.join("audit/driftlock.toml")), read(&other.join("audit/driftlock.toml"))),
        ("# one\n".into(), "# two\n".into())
    );
    // A history and tags are there, for what says which release something is of.
    let repository = Repository::around(&other).unwrap();
    assert_eq!(repository.resolve("v1").unwrap().commit, first);
    assert_eq!(repository.resolve("HEAD").unwrap().commit, second);
    assert!(repository.index().is_ok());
    assert_eq!(std::fs::metadata(mirror.dir.join(TREES)).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_push_by_force_is_noticed() {
    let origin = Origin::new();
    let mirror = origin.mirror();
    let lost = origin.commit("lost");
    mirror.fetch(&never).unwrap();
    origin.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    let back = origin.git(&["rev-parse", "HEAD"]);
    let fetched = mirror.fetch(&never).unwrap();
    assert_eq!(fetched, FetchedCommit { commit: back.clone(), before: Some(lost.clone()), is_forced: true });
    let other = origin.commit("another");
    assert_eq!(mirror.fetch(&never).unwrap().before, Some(back));
    origin.git(&["reset", "--quiet", "--hard", &lost]);
    assert_eq!(
        mirror.fetch(&never).unwrap(),
        FetchedCommit { commit: lost, before: Some(other), is_forced: true }
    );
    // A tag that has moved is no reason to fetch nothing.
    origin.git(&["tag", "v1"]);
    mirror.fetch(&never).unwrap();
    origin.git(&["tag", "--force", "v1", "HEAD^"]);
    mirror.fetch(&never).unwrap();
}

#[test]
fn what_is_gone_is_an_error_and_an_earlier_commit_does_not_take_its_place() {
    let origin = Origin::new();
    let mirror = origin.mirror();
    mirror.fetch(&never).unwrap();
    origin.git(&["branch", "--move", "main", "other"]);
    let why = mirror.fetch(&never).unwrap_err().to_string();
    assert!(why.contains("git could not fetch") && why.contains("refs/heads/main"), "{why}");
    std::fs::rename(origin.repository(), origin.dir.path().join("away")).unwrap();
    let why = mirror.fetch(&never).unwrap_err().to_string();
    assert!(why.contains("/origin") && why.contains("does not"), "{why}");
    std::fs::rename(origin.dir.path().join("away"), origin.repository()).unwrap();
    origin.git(&["branch", "--move", "other", "main"]);
    mirror.fetch(&never).unwrap();
    assert!(mirror.tree(&"a".repeat(40), &never).is_err());
    assert!(mirror.tree("../../x", &never).is_err());
}

#[test]
fn nothing_of_a_repository_runs_and_nothing_is_written_beside_its_files() {
    let origin = Origin::new();
    let program = origin.dir.path().join("program");
    let ran = origin.dir.path().join("ran");
    std::fs::write(&program, format!("#!/bin/sh\ntouch '{}'\n", ran.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let run = program.to_str().unwrap();
    for key in [
        "filter.evil.smudge",
        "filter.evil.process",
        "core.fsmonitor",
        "uploadpack.packObjectsHook",
        "core.sshCommand",
    ] {
        origin.git(&["config", key, run]);
    }
    for hook in ["post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change"] {
        std::fs::copy(&program, origin.repository().join(".git/hooks").join(hook)).unwrap();
    }
    let _ = std::fs::remove_file(&ran);
    origin.git(&["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "status"]);
    origin
        .write(".gitattributes", "*.txt filter=evil\n*.lfs filter=lfs diff=lfs merge=lfs\n* export-subst\n");
    origin.write("a.txt", "$Format:%H$\n");
    origin.write("b.lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    origin.write("-rf", "x");
    origin.write("line\nfeed", "y");
    origin.write(
        ".gitmodules",
        &format!("[submodule \"s\"]\n path = s\n url = ext::{run}\n update = !{run}\n"),
    );
    let head = origin.git(&["rev-parse", "HEAD"]);
    let quiet = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "filter.evil.process=",
        "-c",
        "filter.evil.smudge=",
    ];
    origin.git(&[&quiet[..], &["add", "--all"]].concat());
    origin
        .git(&[&quiet[..], &["update-index", "--add", "--cacheinfo", &format!("160000,{head},s")]].concat());
    origin.git(&[&quiet[..], &["commit", "--quiet", "--message", "hostile"]].concat());
    let _ = std::fs::remove_file(&ran);
    let mirror = origin.mirror();
    let commit = mirror.fetch(&never).unwrap().commit;
    let tree = mirror.tree(&commit, &never).unwrap();
    mirror.prune(&[&commit], &never).unwrap();
    assert!(!ran.exists());
    assert_eq!(read(&tree.join("a.txt")), "$Format:%H$\n");
    assert!(read(&tree.join("b.lfs")).starts_with("version "));
    assert_eq!((read(&tree.join("-rf")), read(&tree.join("line\nfeed"))), ("x".into(), "y".into()));
    assert_eq!(std::fs::read_dir(tree.join("s")).unwrap().count(), 0);
}

#[test]
fn trees_that_no_checkout_makes_are_refused() {
    let origin = Origin::new();
    let blob = origin.git_with(&["hash-object", "-w", "--stdin"], b"x");
    let link = origin.git_with(&["hash-object", "-w", "--stdin"], b"../../..");
    let raw = |id: &str| data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap();
    let entry =
        |mode: &str, name: &str, id: &str| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &raw(id)].concat();
    let object =
        |bytes: &[u8]| origin.git_with(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], bytes);
    let inner = object(&entry("100644", "config", &blob));
    let up = object(&entry("100644", "escaped", &blob));
    let doubled = [entry("120000", "a", &link), entry("40000", "a", &up)].concat();
    let trees =
        [entry("40000", ".git", &inner), entry("40000", "..", &up), entry("40000", ".GIT", &inner), doubled];
    for (n, bytes) in trees.iter().enumerate() {
        let tree = object(bytes);
        let commit = origin.git(&["commit-tree", "-m", "x", &tree]);
        origin.git(&["update-ref", "refs/heads/main", &commit]);
        let mirror = origin.mirror();
        let result = mirror.fetch(&never).and_then(|fetched| mirror.tree(&fetched.commit, &never));
        assert!(result.is_err(), "{n}: {result:?}");
        let escaped =
            Command::new("find").arg(origin.dir.path()).args(["-name", "escaped"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&escaped.stdout), "", "{n}");
    }
}

#[test]
fn what_decides_what_is_compared_is_no_link() {
    for (path, link, target) in [
        ("", "audit", "/etc"),
        ("", "audit/locks", "/etc"),
        ("", "audit/locks/deep/x.txt", "../../../../../etc/passwd"),
        ("erp", "erp", "/"),
    ] {
        let origin = Origin::new();
        let place = origin.repository().join(link);
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, &place).unwrap();
        origin.commit("link");
        let url = origin.repository();
        let mirror =
            origin.mirror_of(&format!("url = \"{}\", branch = \"main\", path = \"{path}\"", url.display()));
        let commit = mirror.fetch(&never).unwrap().commit;
        let why = mirror.tree(&commit, &never).unwrap_err().to_string();
        assert!(why.contains(&format!("{link} is a symbolic link")), "{link}: {why}");
    }
    let origin = Origin::new();
    origin.write("erp/audit/driftlock.toml", "# below\n");
    symlink("../elsewhere", origin.repository().join("erp/module")).unwrap();
    origin.commit("another link");
    let at = |path: &str| {
        let url = origin.repository();
        origin.mirror_of(&format!("url = \"{}\", branch = \"main\", path = \"{path}\"", url.display()))
    };
    let commit = at("erp").fetch(&never).unwrap().commit;
    assert_eq!(read(&at("erp").tree(&commit, &never).unwrap().join("audit/driftlock.toml")), "# below\n");
    assert!(matches!(at("gone").tree(&commit, &never), Err(MirrorError::NoProject { .. })));
}

#[test]
fn old_work_trees_are_removed_and_broken_ones_written_anew() {
    let origin = Origin::new();
    let mirror = origin.mirror();
    let first = mirror.fetch(&never).unwrap().commit;
    let tree = mirror.tree(&first, &never).unwrap();
    // A process that was killed in the middle has left a part of it, and its locks.
    std::fs::remove_file(mirror.dir.join(TREES).join(format!("{first}{WHOLE}"))).unwrap();
    std::fs::remove_file(tree.join("audit/driftlock.toml")).unwrap();
    let repository = mirror.dir.join(REPOSITORY);
    for lock in ["packed-refs.lock", "refs/heads/main.lock", "config.lock"] {
        std::fs::write(repository.join(lock), "").unwrap();
    }
    assert_eq!(mirror.tree(&first, &never).unwrap(), tree);
    assert_eq!(read(&tree.join("audit/driftlock.toml")), "# one\n");
    let second = origin.commit("two");
    mirror.fetch(&never).unwrap();
    let kept = mirror.tree(&second, &never).unwrap();
    mirror.prune(&[&second], &never).unwrap();
    assert!(!tree.exists() && kept.join("audit/driftlock.toml").exists());
    assert_eq!(std::fs::read_dir(mirror.dir.join(TREES)).unwrap().count(), 2);
    assert_eq!(mirror.tree(&first, &never).unwrap(), tree);
    // So is a repository that is none any more.
    std::fs::remove_file(repository.join("HEAD")).unwrap();
    assert_eq!(mirror.fetch(&never).unwrap().commit, second);
    // Another repository is never taken for this one.
    let other = Origin::new();
    let third = other.commit("of another one");
    let url = other.repository();
    let moved = origin.mirror_of(&format!("url = \"{}\", branch = \"main\"", url.display()));
    assert_eq!(moved.fetch(&never).unwrap(), FetchedCommit { commit: third, before: None, is_forced: false });
    assert!(moved.tree(&second, &never).is_err());
}

#[test]
fn a_mirror_is_opened_while_it_is_made() {
    let origin = Origin::new();
    let (mirror, is_over) = (origin.mirror(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                origin.mirror();
            }
        });
        let made = (0..100).try_for_each(|_| {
            let _ = std::fs::remove_file(mirror.dir.join(SOURCE));
            mirror.repository().map(drop)
        });
        is_over.store(true, Ordering::Relaxed);
        made.unwrap();
    });
}

#[test]
fn two_processes_do_not_share_a_mirror_and_whoever_is_cancelled_ends() {
    let origin = Origin::new();
    let mirror = origin.mirror();
    assert!(matches!(mirror.fetch(&|| true), Err(MirrorError::Interrupted)));
    let held = mirror.hold().unwrap();
    assert!(matches!(mirror.fetch(&never), Err(MirrorError::Held(_))));
    drop(held);
    // A server that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for url in [format!("ssh://git@127.0.0.1:{port}/x"), format!("http://127.0.0.1:{port}/x")] {
        let mirror = origin.mirror_of(&format!("url = \"{url}\", branch = \"main\""));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _connection = silent.accept().unwrap();
                is_over.store(true, Ordering::Relaxed);
                wait_until("it ends", || !is_over.load(Ordering::Relaxed));
            });
            let result = mirror.fetch(&|| is_over.load(Ordering::Relaxed));
            is_over.store(false, Ordering::Relaxed);
            assert!(matches!(result, Err(MirrorError::Interrupted)), "{url}: {result:?}");
        });
    }
}

/// A program that ends with the test.
struct Ends(Child);

impl Ends {
    fn start(program: &mut Command, tied: &[&str]) -> Self {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program.get_program())
            .args(program.get_args())
            .args(tied);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private SSH server that lets in whoever has `user_key`.
struct SshServer {
    port: u16,
    dir: tempfile::TempDir,
    _process: Ends,
}

impl SshServer {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["host_key", "other_key", "user_key"] {
            let mut keygen = Command::new("ssh-keygen");
            assert!(
                keygen
                    .args(["-q", "-N", "", "-t", "ed25519", "-f"])
                    .arg(path(name))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        std::fs::copy(path("user_key.pub"), path("authorized_keys")).unwrap();
        let _ = std::fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let lines = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nStrictModes no\n\
             PermitRootLogin yes\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            dir.path().display()
        );
        std::fs::write(path("sshd_config"), lines).unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
        let process = Ends::start(&mut sshd, &[]);
        wait_until("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, dir, _process: process }
    }

    fn fingerprint(&self, name: &str) -> String {
        let mut keygen = Command::new("ssh-keygen");
        let output = keygen.arg("-lf").arg(self.dir.path().join(format!("{name}.pub"))).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    /// A `git` table for a repository on this server.
    fn source(&self, origin: &Origin, host_key: Option<&str>, key: &str) -> String {
        let pinned = host_key
            .map(|name| format!(", host_keys = [\"{}\"]", self.fingerprint(name)))
            .unwrap_or_default();
        let user = Environment::of_process().user().to_owned();
        format!(
            "url = \"ssh://{user}@127.0.0.1:{}{}\", branch = \"main\", ssh_key = \"{}\"{pinned}",
            self.port,
            origin.repository().display(),
            self.dir.path().join(key).display()
        )
    }
}

#[test]
fn a_git_server_is_known_by_its_host_key() {
    let (origin, server) = (Origin::new(), SshServer::start());
    let mirror = |pinned: Option<&str>, key: &str| origin.mirror_of(&server.source(&origin, pinned, key));
    let (own, other) = (server.fingerprint("host_key"), server.fingerprint("other_key"));
    let why = mirror(None, "user_key").fetch(&never).unwrap_err();
    assert!(matches!(why, MirrorError::Unseen(_)), "{why:?}");
    let why = why.to_string();
    assert!(
        why.contains(&format!("host_keys = [\"{own}\"]")) && why.contains("nobody has accepted"),
        "{why}"
    );
    let why = mirror(Some("other_key"), "user_key").fetch(&never).unwrap_err().to_string();
    assert!(why.contains(&own) && !why.contains(&other), "{why}");
    let known = mirror(Some("host_key"), "user_key");
    assert_eq!(known.fetch(&never).unwrap().commit, origin.git(&["rev-parse", "HEAD"]));
    let line = read(&known.dir.join(KNOWN_HOSTS));
    assert!(line.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port)), "{line}");
    // Another key does not get in, and one that lies open is not used.
    let why = mirror(Some("host_key"), "other_key").fetch(&never).unwrap_err().to_string();
    assert!(why.contains("Permission denied"), "{why}");
    std::fs::set_permissions(server.dir.path().join("user_key"), PermissionsExt::from_mode(0o644)).unwrap();
    let why = mirror(Some("host_key"), "user_key").fetch(&never).unwrap_err().to_string();
    assert!(why.contains("chmod 600"), "{why}");
}

#[test]
fn a_mirror_in_a_directory_of_any_name_is_reached_by_ssh() {
    let (origin, server) = (Origin::new(), SshServer::start());
    let mirror = origin.mirror_of(&server.source(&origin, Some("host_key"), "user_key"));
    let dir = origin.dir.path().join("it's 100% \"odd\" $HOME \\ {}");
    let mirror = Mirror::open(&dir, &mirror.source, &mirror.environment).unwrap();
    let commit = mirror.fetch(&never).unwrap().commit;
    assert!(mirror.tree(&commit, &never).unwrap().join("audit/driftlock.toml").exists());
}

#[test]
fn a_token_is_read_from_its_file_and_stands_nowhere_else() {
    let origin = Origin::new();
    origin.git(&["update-server-info"]);
    let path = |name: &str| origin.dir.path().join(name);
    let secret = "tok-3n-0f-a-ho7se";
    let write = |text: &str, mode| {
        std::fs::write(path("token"), text).unwrap();
        std::fs::set_permissions(path("token"), PermissionsExt::from_mode(mode)).unwrap();
    };
    std::fs::write(path("secret"), secret).unwrap();
    std::fs::write(path("web.py"), include_str!("web.py")).unwrap();
    let mut python = Command::new("python3");
    python.arg(path("web.py")).arg(origin.dir.path()).arg("robot");
    let _server = Ends::start(python.arg(path("secret")).arg(path("port")).arg(path("found")), &[]);
    wait_until("the server listens", || path("port").exists());
    let url = format!("http://127.0.0.1:{}/origin/.git", read(&path("port")));
    let mirror = || {
        origin.mirror_of(&format!(
            "url = \"{url}\", branch = \"main\", token_file = \"{}\"",
            path("token").display()
        ))
    };
    write(&format!("robot:{secret}\n"), 0o600);
    assert_eq!(mirror().fetch(&never).unwrap().commit, origin.git(&["rev-parse", "HEAD"]));
    let found = read(&path("found"));
    assert!(found.starts_with("asked\n") && found.lines().all(|line| line == "asked"), "{found}");
    let held = Command::new("grep").args(["-r", "-l", secret]).arg(&mirror().dir).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&held.stdout), "");
    // A token alone has the user that servers of tokens take, and here another one is wanted.
    for text in [secret, "robot:wrong-t0ken"] {
        write(text, 0o600);
        let why = mirror().fetch(&never).unwrap_err().to_string();
        assert!(why.contains("Authentication failed") && !why.contains(text), "{why}");
    }
    write("\n", 0o600);
    assert!(matches!(mirror().fetch(&never), Err(MirrorError::NoToken(_))));
    write(secret, 0o640);
    assert!(matches!(mirror().fetch(&never), Err(MirrorError::Open { mode: 0o640, .. })));
    std::fs::remove_file(path("token")).unwrap();
    assert!(matches!(mirror().fetch(&never), Err(MirrorError::Disk(..))));
    let without = origin.mirror_of(&format!("url = \"{url}\", branch = \"main\""));
    let why = without.fetch(&never).unwrap_err().to_string();
    assert!(why.contains("127.0.0.1"), "{why}");
}
