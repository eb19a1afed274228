//! The content of one file, from this machine and from a server: the same, whatever stands there.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use driftlock::host::docker::Engine;
use driftlock::host::ssh::{Access, EngineAccess, Hop, Identities, Limits, Route, SshHost, Trust};
use driftlock::host::{Content, Host, HostError, Layout, LocalHost, Watch};
use driftlock::model::{Obstacle, Reason};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::Project;
use crate::support::sshd::{Nobody, Server};
use crate::support::wire::Wire;

const LIMIT: u64 = 1 << 20;

fn local(layout: Layout) -> LocalHost {
    LocalHost::new(layout, Engine::None("not asked".to_owned()))
}

fn remote(server: &Server, port: u16, layout: Layout, sudo: bool) -> SshHost {
    let hop = Hop {
        name: "127.0.0.1".to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        user: server.user().to_owned(),
        trust: Trust { fingerprints: vec![server.fingerprint("ed25519")], ..Trust::default() },
        identities: Identities { key: Some(server.key()), ..Identities::default() },
    };
    let access = Access {
        timeout: Duration::from_secs(20),
        sudo,
        engine: EngineAccess::Auto,
        limits: Limits::default(),
    };
    SshHost::new(Route { hops: vec![hop] }, layout, access, Arc::new(Nobody))
}

fn content(host: &dyn Host, path: &[u8]) -> Content {
    host.content(path, LIMIT, &Watch::default()).unwrap()
}

/// A tree with something of every kind; the paths in it, and one of the machine's own.
fn strange_tree() -> (Project, Vec<Vec<u8>>) {
    let project = Project::empty();
    for name in
        ["a b", "-x", "it's", "quo\"te", "back\\slash", "new\nline", "*", "[a]", "$(id)", "é", "empty"]
    {
        project.file(name, if name == "empty" { "" } else { "its content\0\n" });
    }
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    std::fs::write(project.root().join(odd), b"\xff\x00").unwrap();
    std::fs::create_dir(project.path("directory")).unwrap();
    mknodat(CWD, project.path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    drop(UnixListener::bind(project.path("socket")).unwrap());
    for (link, target) in [("link", "a b"), ("to-fifo", "fifo"), ("broken", "nowhere"), ("loop", "loop")] {
        symlink(target, project.path(link)).unwrap();
    }
    let entries = std::fs::read_dir(project.root()).unwrap().flatten();
    let mut paths: Vec<Vec<u8>> = entries.map(|entry| entry.file_name().as_bytes().to_vec()).collect();
    paths.extend([b"gone".to_vec(), b"gone/deeper".to_vec(), b"a b/deeper".to_vec(), b"/dev/zero".to_vec()]);
    paths.push(project.path("it's").as_os_str().as_bytes().to_vec());
    (project, paths)
}

#[test]
fn needs_mounts_here_and_on_a_server_the_same_content_is_read() {
    let (project, paths) = strange_tree();
    let layout = Layout::of_root(&project.root());
    let server = Server::start(|_| {});
    let (here, there) = (local(layout.clone()), remote(&server, server.port, layout, false));
    let mut kinds = [0; 3];
    for path in paths {
        let seen = content(&here, &path);
        assert_eq!(content(&there, &path), seen, "{}", path.escape_ascii());
        match seen {
            Content::Bytes(_) => kinds[0] += 1,
            Content::Unreadable(_) => kinds[1] += 1,
            Content::Gone => kinds[2] += 1,
            Content::TooLarge(_) => {}
        }
    }
    assert_eq!(kinds, [14, 7, 3], "files and a link to one, what is no file, and what is gone");
    for host in [&here as &dyn Host, &there] {
        assert_eq!(content(host, b"link"), Content::Bytes(b"its content\0\n".to_vec()));
        let fifo = Content::Unreadable(Reason::of(Some(Obstacle::NoFile), "it is a FIFO, not a file"));
        assert_eq!(content(host, b"to-fifo"), fifo);
        let large = host.content(b"it's", 12, &Watch::default()).unwrap();
        assert_eq!(large, Content::TooLarge(13));
    }
}

#[test]
fn needs_mounts_where_the_tree_is_not_nothing_is_called_gone() {
    let server = Server::start(|_| {});
    for (layout, why) in [
        (Layout::of_root(Path::new("/nonexistent/erp")), "is not there: /nonexistent/erp"),
        (Layout::new(None, Vec::new()), "set its root or paths"),
    ] {
        let hosts: [&dyn Host; 2] =
            [&local(layout.clone()), &remote(&server, server.port, layout.clone(), false)];
        for host in hosts {
            let told = content(host, b"docker-compose.yml");
            assert!(matches!(&told, Content::Unreadable(said) if said.text().contains(why)), "{told:?}");
        }
    }
}

#[test]
fn needs_mounts_a_connection_that_is_cut_is_an_error_and_no_content() {
    let project = Project::empty();
    let content: String = (0..30_000).map(|number| format!("{number}\n")).collect();
    project.file("x", &content);
    let server = Server::start(|_| {});
    let layout = Layout::of_root(&project.root());
    let whole = Wire::cut_after(server.port, usize::MAX);
    let host = remote(&server, whole.port, layout.clone(), false);
    assert_eq!(host.content(b"x", LIMIT, &Watch::default()), Ok(Content::Bytes(content.into_bytes())));
    let passed = whole.passed.load(Ordering::SeqCst);
    for cut in [passed / 8, passed / 4, passed / 2, passed * 3 / 4, passed - 1_000] {
        let wire = Wire::cut_after(server.port, cut);
        let told = remote(&server, wire.port, layout.clone(), false).content(b"x", LIMIT, &Watch::default());
        assert!(matches!(&told, Err(HostError::Unreachable(why)) if why.len() > 20), "{cut}: {told:?}");
    }
}

#[test]
fn needs_mounts_one_login_serves_every_file_until_its_connection_breaks() {
    let project = Project::empty();
    let server = Server::start(|_| {});
    let host = remote(&server, server.port, Layout::of_root(&project.root()), false);
    for at in 0..4 {
        project.file("x", &format!("content {at}"));
        let bytes = format!("content {at}").into_bytes();
        assert_eq!(content(&host, b"x"), Content::Bytes(bytes));
        assert_eq!(server.logins(), if at < 2 { 1 } else { 2 }, "{}", server.log());
        if at == 1 {
            server.end_sessions();
        }
    }
}

#[test]
fn needs_mounts_login_shells_and_their_noise_do_not_matter() {
    let project = Project::empty();
    project.file("it's $x", "a\0b\n");
    for line in [
        "ForceCommand fish -c \"$SSH_ORIGINAL_COMMAND\"",
        "ForceCommand echo welcome; printf 'a\\0b'; $SSH_ORIGINAL_COMMAND; echo bye",
    ] {
        let server = Server::start(|setup| _ = setup.line(line));
        let host = remote(&server, server.port, Layout::of_root(&project.root()), false);
        assert_eq!(content(&host, b"it's $x"), Content::Bytes(b"a\0b\n".to_vec()), "{line}");
        assert_eq!(content(&host, b"gone"), Content::Gone, "{line}");
    }
    let server = Server::start(|setup| _ = setup.line("ForceCommand echo no shell here; exit 3"));
    let host = remote(&server, server.port, Layout::of_root(&project.root()), false);
    let why = host.content(b"x", LIMIT, &Watch::default()).unwrap_err().to_string();
    assert!(why.contains("does not begin") && why.contains("ended with code 3"), "{why}");
}

#[test]
fn needs_mounts_sudo_reads_the_file_and_says_when_it_may_not() {
    let project = Project::empty();
    project.file("x", "content");
    let put = |text: &str| {
        project.file("fake/sudo", text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(project.path("fake/sudo"), mode).unwrap();
    };
    put("#!/bin/sh\n[ \"$1\" = -n ] || exit 9\nshift\nexec \"$@\"\n");
    let line = format!(
        "ForceCommand PATH={}:$PATH; echo \"$SSH_ORIGINAL_COMMAND\" >>{}; exec $SSH_ORIGINAL_COMMAND",
        project.path("fake").display(),
        project.path("fake/asked").display()
    );
    let server = Server::start(|setup| _ = setup.line(&line));
    let host = remote(&server, server.port, Layout::of_root(&project.root()), true);
    assert_eq!(content(&host, b"x"), Content::Bytes(b"content".to_vec()));
    assert_eq!(project.read("fake/asked"), "sudo -n sh -s\n");
    put("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    let why = host.content(b"x", LIMIT, &Watch::default()).unwrap_err().to_string();
    assert!(why.contains("sudo: a password is required") && why.contains("sudo = true"), "{why}");
}

#[test]
fn needs_mounts_a_run_that_is_cancelled_reads_nothing_more() {
    let server = Server::start(|_| {});
    let silent = Wire::silent();
    let layout = Layout::of_root(Path::new("/"));
    let watch = Watch::default();
    watch.cancel();
    let told = remote(&server, silent.port, layout, false).content(b"etc/passwd", LIMIT, &watch);
    assert_eq!(told, Err(HostError::Interrupted));
}
