//! `scripts/image.sh` and `deploy/Dockerfile`: the image is built, and its driftlock looks at a mounted project.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use crate::support::Project;
use crate::support::deploy::{Ended, demo, in_repository, ok, program, run};
use crate::support::docker::{Stage, needs_an_engine};

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
