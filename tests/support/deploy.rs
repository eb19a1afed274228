//! The files below `deploy/`, and shells and programs that are run with them, each for a bounded time.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_fs::TempDir;

use super::Project;
use super::git::{commit_all, git};
use super::world::Alone as _;

/// A file or directory of this repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file below `deploy/`.
pub(crate) fn shipped(path: &str) -> String {
    std::fs::read_to_string(in_repository("deploy").join(path)).unwrap()
}

/// A program to be run for a minute at most, with the binary that is tested before every other one.
pub(crate) fn program(name: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_driftlock")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "60", name]).alone();
    command.env("PATH", format!("{}:{path}:/usr/sbin", binary.display()));
    command.env("PYTHONPATH", in_repository("target/python"));
    command
}

/// What a program ended with and printed, on both outputs.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Ended { code, out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs a program, which must succeed: what it printed.
pub(crate) fn ok(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.code, 0, "{command:?}\n{}{}", ended.out, ended.err);
    ended.out
}

/// A YAML document as JSON, read by a parser nobody here wrote.
pub(crate) fn yaml(text: &str) -> serde_json::Value {
    let parse = "import sys, json, ruamel.yaml; json.dump(ruamel.yaml.YAML(typ='safe', pure=True).load(sys.argv[1]), sys.stdout)";
    serde_json::from_str(&ok(program("python3").args(["-c", parse, text]))).unwrap()
}

/// The demo deployment in a git repository, accepted and committed, without runs.
pub(crate) fn demo() -> Project {
    let project = Project::empty();
    let from = in_repository("demo");
    ok(program("cp").arg("-R").args([from.join("infra"), from.join("odoo_modules")]).arg(project.root()));
    git(&project, &["init", "-q"]);
    project.ok(&["init"]);
    project.ok(&["export", "--accept", "--docker", "off"]);
    commit_all(&project, "release 18.1");
    project
}

/// The demo deployment as a clone of a repository, to which it is pushed.
pub(crate) struct Clone {
    pub(crate) project: Project,
    pub(crate) upstream: TempDir,
}

impl Clone {
    pub(crate) fn new() -> Self {
        let clone = Self { project: demo(), upstream: TempDir::new().unwrap() };
        ok(clone.program("git").args(["init", "-q", "--bare"]).arg(clone.upstream.path()));
        clone
    }

    /// A program to be run there, without settings of git and without an engine.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = program(name);
        command.current_dir(self.project.root()).env("HOME", "/nonexistent");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        command
    }

    /// Pushes from one of its work trees.
    pub(crate) fn push_from(&self, dir: &Path, args: &[&str]) -> Ended {
        let mut push = self.program("git");
        run(push.current_dir(dir).args(["push", "-q"]).arg(self.upstream.path()).args(args))
    }
}
