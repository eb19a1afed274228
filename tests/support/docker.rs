//! A project beside a real engine: containers and images with a name of their own, removed when dropped.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Output};
use std::sync::OnceLock;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

use super::world::Alone as _;
use super::{Project, Ran, needs};

/// A project and what it made on an engine. Nothing else on the engine is ever touched.
pub(crate) struct Stage {
    pub(crate) project: Project,
    /// Every container's and every image's name begins with it.
    pub(crate) prefix: String,
    host: Option<String>,
}

impl Stage {
    /// A small project that requires containers, beside the engine that `docker` talks to.
    pub(crate) fn new() -> Self {
        needs_an_engine();
        Self::at(None)
    }

    /// The same beside the engine at `host`.
    pub(crate) fn at(host: Option<&str>) -> Self {
        let prefix = format!("dl{:012x}", RandomState::new().build_hasher().finish() >> 16);
        let stage = Self { project: Project::small(), prefix, host: host.map(str::to_owned) };
        stage.configure("mode = \"required\"");
        stage
    }

    /// Two containers of one image, `web` and `db`, running and accepted.
    pub(crate) fn accepted() -> Self {
        let stage = Self::new();
        let image = stage.image("app:1");
        stage.start("web", &image, &[]);
        stage.start("db", &image, &[]);
        stage.ok(&["export", "--accept"]);
        stage
    }

    /// One container `web` made by hand as Compose would from the stack `erp`, accepted.
    pub(crate) fn composed() -> Self {
        let stage = Self::new();
        let image = stage.image("app:1");
        stage.compose("web", &image, "infra/stacks/erp/docker-compose.yml", "aaaa");
        stage.ok(&["export", "--accept"]);
        stage
    }

    /// Writes the configuration anew, with this in `[docker]` beside the containers of this stage.
    pub(crate) fn configure(&self, docker: &str) {
        let files = "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n[addons]\nroots = []\n";
        let docker = format!("[docker]\n{docker}\ncontainers = [\"{}*\"]\n", self.prefix);
        self.project.file("audit/driftlock.toml", &format!("{files}{docker}"));
    }

    /// The full name of a container or image.
    pub(crate) fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    /// Runs the docker client, which must succeed: what it printed.
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        let output = self.client(args, &[]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {args:?}: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn client(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new("docker");
        command.alone();
        command.args(args).write_stdin(stdin).timeout(Duration::from_secs(60));
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command.output().unwrap()
    }

    /// Makes an image of that short name, another one each time: its full name.
    pub(crate) fn image(&self, short: &str) -> String {
        let name = self.name(short);
        self.import(&["-", &name]);
        name
    }

    /// Makes an image without any tag: its ID.
    pub(crate) fn untagged_image(&self) -> String {
        self.import(&["-"])
    }

    fn import(&self, place: &[&str]) -> String {
        let label = format!("LABEL driftlock.test={}", self.prefix);
        let output = self.client(&[&["import", "-c", &label], place].concat(), tarball());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a container that does nothing, with more options.
    pub(crate) fn start(&self, short: &str, image: &str, options: &[&str]) {
        let name = self.name(short);
        let common = ["run", "-d", "--net", "none", "--name", &name];
        self.docker(&[&common, options, &[image, "/bin/busybox", "sleep", "600"]].concat());
    }

    /// Runs a container of a line of shell, with more options.
    pub(crate) fn run_shell(&self, short: &str, image: &str, options: &[&str], line: &str) {
        let name = self.name(short);
        let common = ["run", "-d", "--net", "none", "--name", &name];
        self.docker(&[&common, options, &[image, "/bin/busybox", "sh", "-c", line]].concat());
    }

    /// Waits until the engine has started a container anew so many times.
    pub(crate) fn wait_for_restarts(&self, short: &str, count: u32) {
        let name = self.name(short);
        let made = self.docker(&["inspect", "--format={{.Created}}", &name]);
        let made = chrono::DateTime::parse_from_rfc3339(&made).unwrap().to_utc();
        super::wait_until(|| {
            // A list tells to the second when a container was made: one of this moment came up for the first time.
            if chrono::Utc::now() < made + Duration::from_secs(4) {
                return false;
            }
            let restarts = self.docker(&["inspect", "--format={{.RestartCount}}", &name]);
            restarts.parse::<u32>().unwrap() >= count
        });
    }

    /// Waits until a container has ended.
    pub(crate) fn wait_for_end(&self, short: &str) {
        let name = self.name(short);
        super::wait_until(|| self.docker(&["inspect", "--format={{.State.Status}}", &name]) == "exited");
    }

    /// Removes a container and runs another one under its name.
    pub(crate) fn recreate(&self, short: &str, image: &str, options: &[&str]) {
        self.remove(short);
        self.start(short, image, options);
    }

    /// Runs a container with the labels that Compose puts on one made from `file` of the project.
    pub(crate) fn compose(&self, short: &str, image: &str, file: &str, hash: &str) {
        let file = self.project.root().join(file);
        let labels = [
            format!("project={}", self.name("erp")),
            format!("service={short}"),
            format!("config-hash={hash}"),
            format!("project.working_dir={}", file.parent().unwrap().display()),
            format!("project.config_files={}", file.display()),
        ];
        let labels = labels.map(|label| format!("--label=com.docker.compose.{label}"));
        self.start(short, image, &labels.each_ref().map(String::as_str));
    }

    /// Removes a container.
    pub(crate) fn remove(&self, short: &str) {
        self.docker(&["rm", "-f", &self.name(short)]);
    }

    /// The binary, asking the engine of this stage.
    pub(crate) fn driftlock(&self, args: &[&str]) -> Command {
        let mut command = self.project.driftlock(args);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Runs the binary.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.driftlock(args).output().unwrap())
    }

    /// Runs the binary and expects exit code 0.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code(), 0, "{args:?}\n{}{}", ran.out(), ran.err());
        ran
    }

    /// Runs `check --format json` with more arguments: the exit code and the report.
    pub(crate) fn check(&self, args: &[&str]) -> (i32, Value) {
        let ran = self.run(&[&["check", "--format", "json"], args].concat());
        (ran.code(), ran.report())
    }

    /// The exit code of a check and its findings, with short names.
    pub(crate) fn drift(&self) -> (i32, Vec<String>) {
        let (code, report) = self.check(&[]);
        (code, drift_of(&report).iter().map(|line| line.replace(&format!("{}-", self.prefix), "")).collect())
    }

    /// The entry of a container in the accepted lock file.
    pub(crate) fn locked(&self, short: &str) -> Value {
        let lock: Value = serde_json::from_str(&self.project.read(LOCK)).unwrap();
        lock["images"][self.name(short)].clone()
    }
}

/// The Unix socket of the engine that `docker` talks to.
pub(crate) fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let path = host.strip_prefix("unix://").map(PathBuf::from);
    path.unwrap_or_else(|| needs::absent(needs::DOCKER, &format!("{host} is no Unix socket")))
}

/// Fails the running test unless an engine answers, and the test's path says that it needs one.
pub(crate) fn needs_an_engine() {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    needs::declared(needs::DOCKER);
    let answers = ANSWERS.get_or_init(|| {
        let mut docker = Command::new("docker");
        docker.alone();
        let version = docker.arg("version").timeout(Duration::from_secs(20)).output();
        version.is_ok_and(|output| output.status.success())
    });
    if !answers {
        needs::absent(needs::DOCKER, "no Docker engine answers");
    }
}

/// The accepted lock file.
pub(crate) const LOCK: &str = "audit/locks/docker_images.lock.json";

impl Drop for Stage {
    fn drop(&mut self) {
        let containers = format!("name={}", self.prefix);
        let images = format!("label=driftlock.test={}", self.prefix);
        let lists: [(&[&str], &[&str]); 2] = [
            (&["ps", "-aq", "--no-trunc", "--filter", &containers], &["rm", "-f", "-v"]),
            (&["images", "-q", "--no-trunc", "--filter", &images], &["rmi", "-f"]),
        ];
        for (list, remove) in lists {
            let ids = self.client(list, &[]).stdout;
            let ids = String::from_utf8_lossy(&ids).into_owned();
            let ids: Vec<&str> = ids.lines().collect();
            if !ids.is_empty() {
                self.client(&[remove, &ids].concat(), &[]);
            }
        }
    }
}

/// Every finding of a report in one line: check, subject, kind, and change where there is one.
pub(crate) fn drift_of(report: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for check in report["checks"].as_array().unwrap() {
        for finding in check["findings"].as_array().unwrap() {
            let words = [&check["name"], &finding["subject"], &finding["kind"], &finding["change"]];
            lines.push(words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

/// One check of a report.
pub(crate) fn check_of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

/// The names of a report's checks.
pub(crate) fn names_of(report: &Value) -> Vec<&str> {
    report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect()
}

/// The root file system of every image: one static program that can wait.
fn tarball() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| {
        let dir = assert_fs::TempDir::new().unwrap();
        let program = dir.path().join("bin/busybox");
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        if std::fs::copy("/bin/busybox", &program).is_err() {
            compile_waiting(&program);
        }
        let tar = Program::new("tar").arg("-C").arg(dir.path()).args(["-cf", "-", "bin"]).output().unwrap();
        assert!(tar.status.success());
        tar.stdout
    })
}

/// Compiles a program that waits as long as the containers live, whatever its arguments.
fn compile_waiting(program: &Path) {
    let source = program.with_file_name("wait.rs");
    std::fs::write(&source, "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)) }").unwrap();
    let mut rustc = Program::new("rustc");
    rustc.args(["-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
    assert!(rustc.arg(program).arg(&source).status().unwrap().success());
}
