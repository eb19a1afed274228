//! `scripts/image.sh` and `deploy/Dockerfile`: the image is built, and its driftlock looks at a mounted project.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use assert_fs::TempDir;

use crate::support::deploy::{Ended, demo, in_repository, ok, program, run, shipped};
use crate::support::docker::{Stage, needs_an_engine};
use crate::support::{Project, wait_until};

/// An image with a name of its own; it is removed when dropped.
struct Image(String);

impl Image {
    /// Builds it around the binary that is tested: a static one takes minutes.
    fn build() -> Self {
        needs_an_engine();
        let image = Self(format!("dlimage{:x}", RandomState::new().build_hasher().finish()));
        let built = run(program(in_repository("scripts/image.sh").to_str().unwrap()).args([
            "--tag",
            &image.0,
            "--binary",
            env!("CARGO_BIN_EXE_driftlock"),
        ]));
        assert_eq!(built.code, 0, "{}", built.err);
        image
    }

    /// Runs driftlock on a project as `docs/operations.md` says: everything read-only but the runs.
    fn run(&self, project: &Project, options: &[&str], args: &[&str]) -> Ended {
        let (root, runs) = (project.root(), project.root().join("audit/runtime"));
        std::fs::create_dir_all(&runs).unwrap();
        ok(program("chmod").args(["-R", "a+rX"]).arg(&root));
        ok(program("chmod").arg("a+rwx").arg(&runs));
        let mut command = program("docker");
        command.args(["run", "--rm", "--network", "none", "--read-only"]);
        command.arg("--volume").arg(format!("{}:/project:ro", root.display()));
        command.arg("--volume").arg(format!("{}:/project/audit/runtime", runs.display()));
        run(command.args(options).arg(&self.0).args(args))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = program("docker").args(["rmi", "-f", &self.0]).output();
    }
}

#[test]
fn needs_docker_the_image_checks_a_mounted_project_without_git_and_without_rights() {
    let image = Image::build();
    let project = demo();
    let pass = image.run(&project, &[], &[]);
    assert_eq!((pass.code, pass.err.as_str()), (0, ""), "{}", pass.out);
    assert!(pass.out.contains("OVERALL: PASS"), "{}", pass.out);
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let drift = image.run(&project, &[], &["check", "--quiet"]);
    assert_eq!(drift.code, 2, "{}", drift.err);
    assert!(drift.out.contains("changed (1) (there is no git here to ask)"), "{}", drift.out);
    assert!(project.read("audit/runtime/latest.json").contains("\"overall\": \"FAIL\""));
    let refused = image.run(&project, &[], &["check", "--baseline", "git:HEAD"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("git could not be started"), "{}", refused.err);
    let config = ok(program("docker").args(["image", "inspect", "--format", "{{.Config.User}}", &image.0]));
    assert_eq!(config.trim(), "65534:65534");
    let closed = program("docker").args(["run", "--rm", &image.0]).output().unwrap();
    assert_eq!(closed.status.code(), Some(1), "no project is mounted");
}

#[test]
fn needs_docker_the_image_asks_the_engine_whose_socket_it_is_given() {
    let image = Image::build();
    let stage = Stage::accepted();
    let socket = crate::support::docker::engine_socket();
    let group = ok(program("stat").args(["-L", "-c", "%g"]).arg(&socket));
    let mount = format!("{}:/var/run/docker.sock", socket.display());
    let options = ["--volume", &mount, "--group-add", group.trim()];
    let asked = image.run(&stage.project, &options, &["check"]);
    assert_eq!(asked.code, 0, "{}{}", asked.out, asked.err);
    assert!(asked.out.contains("[PASS] Docker images match baseline"), "{}", asked.out);
    let alone = image.run(&stage.project, &[], &["check"]);
    assert_eq!(alone.code, 1, "{}", alone.out);
    assert!(alone.out.contains("no Docker engine here"), "{}", alone.out);
}

/// The agent of `deploy/compose`, beside a project of its own; what it left behind goes when dropped.
struct ComposedAgent {
    dir: TempDir,
    name: String,
}

impl ComposedAgent {
    /// The files as they are shipped, but for the image and the port, which the engine chooses.
    fn of(image: &Image) -> Self {
        let (dir, name) = (TempDir::new().unwrap(), format!("{}c", image.0));
        let text = shipped("compose/compose.yml");
        let (shipped_image, port) = ("image: driftlock:0.1.0", "[\"127.0.0.1:8870:8870\"]");
        assert!(text.contains(shipped_image) && text.contains(port), "{text}");
        let text = text.replace(shipped_image, &format!("image: {}", image.0));
        std::fs::write(dir.path().join("compose.yml"), text.replace(port, "[\"127.0.0.1::8870\"]")).unwrap();
        std::fs::write(dir.path().join("serve.toml"), shipped("compose/serve.toml")).unwrap();
        let (dir_text, state) = (dir.path().display().to_string(), dir.path().join("state"));
        ok(program("chmod").args(["755", &dir_text]));
        ok(program("install").args(["-d", "-m", "700", "-o", "65534", "-g", "65534"]).arg(state));
        Self { dir, name }
    }

    fn compose(&self, project: &Project, args: &[&str]) -> String {
        let mut command = program("docker-compose");
        // Compose is a Python program of the system with modules of its own.
        command.current_dir(self.dir.path()).env("COMPOSE_PROJECT_NAME", &self.name).env_remove("PYTHONPATH");
        ok(command.env("DRIFTLOCK_PROJECT", project.root()).args(args))
    }
}

impl Drop for ComposedAgent {
    fn drop(&mut self) {
        let mut down = program("docker-compose");
        down.current_dir(self.dir.path()).env("COMPOSE_PROJECT_NAME", &self.name).env_remove("PYTHONPATH");
        let _ = down.args(["down", "--volumes", "--timeout", "1"]).output();
    }
}

#[test]
fn needs_docker_the_agent_of_the_compose_file_checks_answers_and_ends() {
    let image = Image::build();
    let (agent, project) = (ComposedAgent::of(&image), demo());
    ok(program("chmod").args(["-R", "a+rX"]).arg(project.root()));
    // As the head of the file says.
    let run = ["run", "--rm", "driftlock", "serve", "token", "ops", "--role", "operate"];
    let said = agent.compose(&project, &[&run[..], &["--config", "/etc/driftlock/serve.toml"]].concat());
    let token = said.lines().last().unwrap().trim().to_owned();
    agent.compose(&project, &["up", "-d"]);
    let address = agent.compose(&project, &["port", "driftlock", "8870"]);
    let get = |path: &str, more: &[&str]| {
        let mut curl = program("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--header"]);
        let out = curl.arg(format!("Authorization: Bearer {token}")).args(more);
        let out = out.arg(format!("http://{}{path}", address.trim())).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let verdict = || {
        let all: serde_json::Value = serde_json::from_str(&get("/drift/report", &[])).unwrap_or_default();
        all["verdict"].as_str().unwrap_or_default().to_owned()
    };
    wait_until(|| get("/readyz", &[]) == "ready\n");
    wait_until(|| verdict() == "pass");
    project.file("odoo_modules/seisei/qr_ordering/models/order.py", "# hotfix\n");
    let json = ["--header", "Content-Type: application/json", "--data", "{}"];
    assert_eq!(get("/drift/reconcile", &json), "{\"queued\":[\"erp\"]}");
    wait_until(|| verdict() == "fail");
    // What it knows is in its volume, and SIGTERM ends it before the engine kills it.
    agent.compose(&project, &["stop"]);
    let container = format!("{}_driftlock_1", agent.name);
    let ended = ok(program("docker").args(["inspect", "--format", "{{.State.ExitCode}}", &container]));
    assert_eq!(ended.trim(), "143");
    assert!(agent.dir.path().join("state/erp/audit/state/events").is_dir());
}

#[test]
fn hadolint_finds_nothing_wrong_with_the_dockerfile() {
    let hadolint = in_repository("target/python/bin/hadolint");
    let judged = run(program(hadolint.to_str().unwrap()).arg(in_repository("deploy/Dockerfile")));
    assert_eq!((judged.code, judged.out.as_str()), (0, ""), "scripts/python.sh fetches it\n{}", judged.err);
}

#[test]
fn the_script_says_what_it_lacks() {
    let script = in_repository("scripts/image.sh");
    let told = |args: &[&str]| run(program(script.to_str().unwrap()).args(args));
    assert_eq!(told(&["--help"]).code, 0);
    assert!(told(&["--binary", "/nonexistent"]).err.contains("/nonexistent is no program"));
    assert!(told(&["--tag"]).err.contains("--tag needs a value"));
    assert_eq!(told(&["--nonsense"]).code, 1);
}
