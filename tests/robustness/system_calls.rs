//! What driftlock does to the machine it runs on, by a trace of its system calls as an ordinary user.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_fs::TempDir;

use crate::support::Project;
use crate::support::disk::files_below;
use crate::support::git::{commit_all, git};

/// One system call: its name, its arguments, and the paths in them, resolved.
struct Call {
    name: String,
    text: String,
    paths: Vec<PathBuf>,
}

impl Call {
    /// Reads a line of `strace -f -y`; `None` for one that failed, or is no whole call.
    fn read(line: &str, root: &Path) -> Option<Self> {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, text) = line.split_once('(')?;
        let (arguments, result) = text.rsplit_once(" = ")?;
        if result.starts_with('-') {
            return None;
        }
        let mut around = root.to_owned();
        let mut paths = Vec::new();
        for argument in arguments.split(", ") {
            if let Some((_, rest)) = argument.split_once('<').filter(|(before, _)| !before.contains('"')) {
                around = PathBuf::from(rest.split('>').next()?);
            } else if let Some(rest) = argument.strip_prefix('"') {
                paths.push(around.join(rest.split('"').next()?));
            }
        }
        Some(Self { name: name.to_owned(), text: arguments.to_owned(), paths })
    }

    fn writes(&self) -> bool {
        match self.name.as_str() {
            "open" | "openat" | "openat2" => {
                ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| self.text.contains(flag))
            }
            "execve" | "connect" => false,
            _ => true,
        }
    }
}

/// The calls of driftlock and of all that it starts.
fn trace(project: &Project, args: &[&str], code: i32) -> Vec<Call> {
    let calls = "trace=open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,\
                 linkat,symlink,symlinkat,chmod,fchmodat,chown,fchownat,truncate,mknod,mknodat,execve,connect";
    // A file for each thread: in one file a call of one would be cut by those of others.
    let out = TempDir::new().unwrap();
    std::fs::set_permissions(out.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let trace = out.path().join("trace");
    let options = ["strace", "-ff", "-qq", "-y", "-s", "4096", "-e", "signal=none", "-e", calls, "-o"];
    let by = [&options[..], &[trace.to_str().unwrap()]].concat();
    let ran = project.as_user_by(&by, args, &[("HOME", "/nonexistent")]);
    assert_eq!(ran.code(), code, "{args:?} {}{}", ran.out(), ran.err());
    let traces = files_below(out.path()).into_values();
    let text: String = traces.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    let calls: Vec<Call> = text.lines().filter_map(|line| Call::read(line, &project.root())).collect();
    assert!(calls.len() > 5, "{text}");
    calls
}

const MODULE: &str = "odoo_modules/seisei/qr_ordering";

/// A project under git with links, bytecode and code that must not run, of which one file differs if that is wanted.
fn project(differs: bool) -> Project {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    project.file("outside/secret.py", "secret\n");
    symlink("../../../../outside", project.path(&format!("{MODULE}/models/out"))).unwrap();
    symlink("../../../../outside/secret.py", project.path(&format!("{MODULE}/models/secret.py"))).unwrap();
    project.file(
        &format!("{MODULE}/models/__pycache__/order.cpython-311.pyc"),
        "0\r\r\n\0\0\0\0time and size, code",
    );
    project.file(&format!("{MODULE}/run.sh"), "#!/bin/sh\nexec touch ran\n");
    std::fs::set_permissions(project.path(&format!("{MODULE}/run.sh")), PermissionsExt::from_mode(0o755))
        .unwrap();
    project.ok(&["export", "--accept"]);
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    commit_all(&project, "release");
    std::fs::create_dir(project.path("audit/runtime")).unwrap();
    if differs {
        project.file(&format!("{MODULE}/models/order.py"), "class Order: hotfix\n");
    }
    project.hand_over();
    project
}

#[test]
fn files_of_modules_are_opened_so_that_nothing_is_followed_or_waited_for() {
    let project = project(false);
    let (root, module) = (project.root(), project.root().join(MODULE));
    let mut opened = 0;
    for call in trace(&project, &["check", "--docker", "off"], 0) {
        assert!(
            !call.paths.iter().any(|path| path.starts_with(root.join("outside"))),
            "{}({}",
            call.name,
            call.text
        );
        let is_below = |path: &PathBuf| path.starts_with(&module) && *path != module;
        if call.name.starts_with("open") && call.paths.iter().any(is_below) {
            opened += 1;
            let flags: &[&str] = match call.name.as_str() {
                "openat2" if call.text.contains("O_PATH") => {
                    &["O_NOFOLLOW", "RESOLVE_NO_SYMLINKS", "RESOLVE_BENEATH"]
                }
                "openat2" => &["O_NOFOLLOW", "O_NONBLOCK", "RESOLVE_NO_SYMLINKS", "RESOLVE_BENEATH"],
                // A kernel without it: each step by itself.
                _ => &["O_NOFOLLOW"],
            };
            assert!(flags.iter().all(|flag| call.text.contains(flag)), "{}({}", call.name, call.text);
        }
    }
    assert!(opened >= 7, "{opened}");
}

/// Whether a path lies in a temporary directory of driftlock's, where git checks out what a commit holds.
fn is_temporary(path: &Path) -> bool {
    let below = path.strip_prefix(std::env::temp_dir()).ok().and_then(|below| below.iter().next());
    below.is_some_and(|name| name.as_encoded_bytes().starts_with(b".driftlock-tmp-"))
}

#[test]
fn a_check_writes_below_audit_runtime_alone_and_runs_git_alone() {
    for (differs, args) in [
        (false, &["check", "--docker", "off"][..]),
        (true, &["check", "--docker", "off"]),
        (true, &["check", "--docker", "off", "--baseline", "git:HEAD"]),
        (true, &["explain", "qr_ordering"]),
        (true, &["history"]),
    ] {
        let project = project(differs);
        let runtime = project.root().join("audit/runtime");
        let code = if differs && args[0] == "check" { 2 } else { 0 };
        if args[0] == "history" {
            assert_eq!(project.as_user(&["check", "--docker", "off"]).code(), 2);
        }
        for call in trace(&project, args, code) {
            let said = format!("{args:?}: {}({}", call.name, call.text);
            if call.writes() {
                let may_be = |path: &PathBuf| {
                    path.starts_with(&runtime) || path == Path::new("/dev/null") || is_temporary(path)
                };
                assert!(!call.paths.is_empty() && call.paths.iter().all(may_be), "{said}");
                let is_top = call.paths[0].parent() == Some(&std::env::temp_dir());
                assert!(!call.name.starts_with("mkdir") || !is_top || call.text.contains("0700"), "{said}");
            }
            if call.name == "execve" {
                let name = call.paths[0].file_name().unwrap();
                assert!(name == "git" || name == "driftlock", "{said}");
            }
            assert!(call.name != "connect" || call.text.contains("AF_UNIX"), "{said}");
        }
        assert!(!project.path("ran").exists());
    }
}

#[test]
fn what_is_written_is_as_open_as_the_mask_says() {
    for (mask, mode) in [("022", 0o644), ("077", 0o600)] {
        let project = project(false);
        let by = ["sh", "-c", &format!("umask {mask}; exec \"$0\" \"$@\"")];
        assert_eq!(project.as_user_by(&by, &["check", "--docker", "off"], &[]).code(), 0);
        for file in files_below(&project.path("audit/runtime")).into_keys() {
            let meta = std::fs::metadata(project.path("audit/runtime").join(&file)).unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, mode, "{}", file.display());
        }
    }
}
