//! A project in a temporary directory, and the binary run in it.

pub(crate) mod agent;
pub(crate) mod browser;
pub(crate) mod cases;
pub(crate) mod daemon;
pub(crate) mod delay;
pub(crate) mod deploy;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod docker;
pub(crate) mod dropbear;
pub(crate) mod engine;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod listening;
pub(crate) mod mail;
pub(crate) mod needs;
mod past;
pub(crate) mod postgres;
pub(crate) mod random;
pub(crate) mod redis;
pub(crate) mod sshd;
pub(crate) mod strace;
pub(crate) mod terminal;
pub(crate) mod told;
mod user;
pub(crate) mod watcher;
pub(crate) mod wire;
pub(crate) mod world;

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_fs::TempDir;
use assert_fs::prelude::*;

/// The longest that anything may take that must not hang: a guard, and no measure of speed.
pub(crate) const GUARD: Duration = Duration::from_secs(120);

/// A temporary project; it is removed when dropped.
pub(crate) struct Project {
    dir: TempDir,
}

impl Project {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// Two compose stacks, two addon roots with three modules, and a configuration that names them.
    pub(crate) fn small() -> Self {
        let project = Self::empty();
        project.file(
            "audit/driftlock.toml",
            concat!(
                "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n",
                "[addons]\nroots = [\"odoo_modules/seisei\", \"odoo_modules/community\"]\n",
            ),
        );
        project.file("infra/stacks/edge/docker-compose.yml", "services: {}\n");
        project.file("infra/stacks/erp/docker-compose.yml", "services: {web: {image: odoo}}\n");
        for module in ["seisei/qr_ordering", "seisei/printer", "community/ocr"] {
            project.file(&format!("odoo_modules/{module}/__manifest__.py"), "{'name': 'x'}\n");
            project.file(&format!("odoo_modules/{module}/models/order.py"), "class Order: pass\n");
        }
        project
    }

    /// A small project whose baseline is what is there.
    pub(crate) fn accepted() -> Self {
        let project = Self::small();
        project.ok(&["export", "--accept"]);
        project
    }

    /// An accepted project in which these files have changed.
    pub(crate) fn drifted(paths: &[&str]) -> Self {
        let project = Self::accepted();
        for path in paths {
            project.file(path, "changed\n");
        }
        project
    }

    /// The root, with links resolved.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// A path below the root.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file, directories above it made.
    pub(crate) fn file(&self, path: &str, text: &str) {
        self.dir.child(path).write_str(text).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// The binary, to be run at the root; it is killed where it hangs.
    pub(crate) fn driftlock(&self, args: &[&str]) -> Command {
        let mut command = Command::from_std(world::driftlock());
        command.current_dir(self.dir.path()).args(args);
        command.timeout(GUARD);
        command
    }

    /// Starts the binary at the root.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = world::driftlock();
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The newest report.
    pub(crate) fn latest(&self) -> serde_json::Value {
        serde_json::from_str(&self.read("audit/runtime/latest.json")).unwrap()
    }

    /// Runs the binary at the root.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.driftlock(args).output().unwrap())
    }

    /// Runs the binary and expects exit code 0.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code(), 0, "{args:?}\n{}{}", ran.out(), ran.err());
        ran
    }

    /// Runs `check --format json` with more arguments: the exit code and the report, held to the schema.
    pub(crate) fn check(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let ran = self.run(&[&["check", "--format", "json"], args].concat());
        (ran.code(), ran.report())
    }
}

/// What a run of the binary gave.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Standard output as a report, after holding it to the published schema.
    pub(crate) fn report(&self) -> serde_json::Value {
        let report = serde_json::from_slice(&self.0.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}{}", self.out(), self.err()));
        assert_valid(&report);
        report
    }
}

/// Holds a report to `docs/report.schema.json`.
pub(crate) fn assert_valid(report: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{report:#}");
}

/// The findings of one check of a report: subject and kind.
pub(crate) fn findings(report: &serde_json::Value, check: &str) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|c| c["name"] == check).unwrap_or_else(|| panic!("no {check}: {report:#}"));
    let word = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    check["findings"].as_array().unwrap().iter().map(|f| (word(f, "subject"), word(f, "kind"))).collect()
}

/// One check of a report.
pub(crate) fn check_of<'a>(report: &'a serde_json::Value, check: &str) -> &'a serde_json::Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|c| c["name"] == check).unwrap_or_else(|| panic!("no {check}: {report:#}"))
}

/// Polls until `done` holds, and panics where it never does.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < GUARD, "nothing happened within {GUARD:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the end of a process that was started with [`Project::spawn`]; one that hangs is killed.
pub(crate) fn ended(child: Child) -> Ran {
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, output) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    Ran(output.recv_timeout(GUARD).unwrap_or_else(|_| {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        panic!("it did not end within {GUARD:?}")
    }))
}

/// Waits until a second has begun that is later than `second`, in seconds since 1970: runs are named by the second.
pub(crate) fn wait_for_second_after(second: u64) {
    wait_until(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() > second);
}

/// Whether a running process has `path` open.
pub(crate) fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path))
}

/// The status of one check of a report.
pub(crate) fn status(report: &serde_json::Value, check: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let found =
        checks.iter().find(|c| c["name"] == check).unwrap_or_else(|| panic!("no {check}: {report:#}"));
    found["status"].as_str().unwrap().to_owned()
}

/// How often a long random test goes round: so often, or as often as `DRIFTLOCK_ROUNDS` says.
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("DRIFTLOCK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
