//! Projects whose checks end in every way there is, for what must be able to tell of each.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use super::docker::LOCK;
use super::engine::{FakeEngine, id, listed};
use super::git::{commit_all, git};
use super::{Project, Ran};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";
const PRINTER: &str = "odoo_modules/seisei/printer";
/// What markup, terminals and people who read must not fall for; each is one component of a path.
pub(crate) const HOSTILE: [&[u8]; 9] = [
    b"<script>alert(1)<!script>",
    b"\"><img src=x onerror=alert(1)>",
    b"' onmouseover='alert(1)",
    b"&amp;&lt;b&gt;",
    b"<!--",
    b"new\nline\x1b[31m",
    "gpj.\u{202e}exe\u{fffe}".as_bytes(),
    b"latin\xe9\xff",
    b"]]><![CDATA[",
];

/// A project, and how it is checked.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) project: Project,
    args: Vec<&'static str>,
    engine: Option<FakeEngine>,
}

impl Case {
    /// Checks it, with more arguments.
    pub(crate) fn check(&self, more: &[&str]) -> Ran {
        let args = [&["check"], self.args.as_slice(), more].concat();
        let mut command = self.project.driftlock(&args);
        command.env(
            "DOCKER_HOST",
            self.engine.as_ref().map_or("unix:///nowhere.sock".to_owned(), FakeEngine::host),
        );
        Ran(command.output().unwrap())
    }
}

/// The name of every kind.
pub(crate) const KINDS: [&str; 13] = [
    "pass",
    "fail",
    "skip",
    "partial",
    "unreadable",
    "malformed",
    "nothing",
    "hostile",
    "paused",
    "target",
    "several",
    "unreachable",
    "containers",
];

/// The case of a name.
pub(crate) fn case(name: &'static str) -> Case {
    let new =
        |project: Project, args: &[&'static str]| Case { name, project, args: args.to_vec(), engine: None };
    match name {
        "pass" => new(Project::accepted(), &[]),
        "fail" => new(drifted(), &[]),
        "skip" => new(without_engine(), &[]),
        "partial" => new(drifted(), &["--only", "addon_hashes"]),
        "unreadable" => new(unreadable(), &[]),
        "malformed" => new(malformed(), &[]),
        "nothing" => new(Project::small(), &[]),
        "hostile" => new(hostile(), &[]),
        "paused" => new(paused(), &["--honour-pause"]),
        "target" => new(deployed(), &["--target", "here"]),
        "several" => new(deployed(), &["--all"]),
        "unreachable" => new(far(), &["--target", "far"]),
        "containers" => {
            let (project, engine) = containers();
            Case { engine: Some(engine), ..new(project, &[]) }
        }
        _ => panic!("there is no case {name}"),
    }
}

/// A baseline with a container, and no engine that was ever compared: its checks are skipped.
pub(crate) fn without_engine() -> Project {
    let project = Project::accepted();
    let image = format!("sha256:{}", "a".repeat(64));
    let lock = format!(
        "{{\n  \"images\": {{\n    \"web\": {{\n      \"image\": \"odoo:18\",\n      \"imageId\": \"{image}\"\n    }}\n  }}\n}}\n"
    );
    project.file("audit/locks/docker_images.lock.json", &lock);
    project
}

/// Drift of every kind in a module tree under git, seen twice, one of it acknowledged.
pub(crate) fn drifted() -> Project {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    project.file(".gitignore", "audit/runtime/\n");
    project.file(&format!("{PRINTER}/models/tray.py"), "one\n");
    commit_all(&project, "first <b>release</b>");
    project.file(&format!("{PRINTER}/models/tray.py"), "two\n");
    symlink("order.py", project.path(&format!("{PRINTER}/models/link.py"))).unwrap();
    project.ok(&["export", "--accept"]);
    commit_all(&project, "second release");
    project.file(&format!("{PRINTER}/models/tray.py"), "one\n");
    std::fs::remove_file(project.path(&format!("{PRINTER}/models/link.py"))).unwrap();
    symlink("tray.py", project.path(&format!("{PRINTER}/models/link.py"))).unwrap();
    project.file(EDGE, "services: {proxy: {image: traefik}}\n");
    std::fs::remove_dir_all(project.path("odoo_modules/community/ocr")).unwrap();
    project.file("odoo_modules/seisei/quick/__manifest__.py", "{}\n");
    assert_eq!(project.check(&[]).0, 2);
    project.ok(&["ack", "quick", "--until", "7d", "--reason", "vendor <is> on it", "--by", "Ada <a@b.c>"]);
    project
}

fn unreadable() -> Project {
    let project = Project::accepted();
    mkfifoat(CWD, project.path("infra/stacks/erp/docker-compose.fifo.yml"), Mode::RUSR).unwrap();
    mkfifoat(CWD, project.path("odoo_modules/community/ocr/pipe"), Mode::RUSR).unwrap();
    project
}

fn malformed() -> Project {
    let project = Project::accepted();
    project.file("audit/locks/compose_sha256.lock.txt", "no digest\n");
    std::fs::remove_file(project.path("audit/locks/odoo_addons_modules.hash.txt")).unwrap();
    project
}

/// Names that are markup, as compose files, modules, and files in modules.
pub(crate) fn hostile() -> Project {
    let project = Project::accepted();
    for name in HOSTILE {
        for path in [&b"infra/stacks/"[..], b"odoo_modules/seisei/", b"odoo_modules/seisei/printer/"] {
            let dir = project.root().join(OsStr::from_bytes(&[path, name].concat()));
            std::fs::create_dir_all(&dir).unwrap();
            for file in ["docker-compose.yml", "__manifest__.py"] {
                std::fs::write(dir.join(file), "{}\n").unwrap();
            }
        }
    }
    project
}

fn paused() -> Project {
    let project = Project::accepted();
    project.file(EDGE, "services: {proxy: {image: traefik}}\n");
    project.ok(&["pause", "--for", "20m", "--reason", "release <18.2>"]);
    project
}

/// Targets on this machine: one as released, one with drift of its own and one that shares drift with `here`.
fn deployed() -> Project {
    let project = Project::accepted();
    let mut toml = project.read("audit/driftlock.toml");
    for name in ["clean", "here", "there"] {
        let place = format!("host = \"local\"\nroot = \"servers/{name}\"\ndocker = \"off\"");
        writeln!(toml, "[targets.{name}]\n{place}").unwrap();
        for tree in ["infra", "odoo_modules"] {
            super::disk::copy(&project.path(tree), &project.path(&format!("servers/{name}/{tree}")));
        }
    }
    project.file("audit/driftlock.toml", &toml);
    for name in ["here", "there"] {
        project.file(&format!("servers/{name}/{EDGE}"), "services: {proxy: {image: traefik}}\n");
    }
    project.file(&format!("servers/here/{PRINTER}/models/order.py"), "class Order: hand\n");
    project
}

fn far() -> Project {
    let project = Project::accepted();
    let far = "[targets.far]\nhost = \"127.0.0.1\"\nport = 1\nroot = \"/opt/erp\"\n";
    project.file("audit/driftlock.toml", &(project.read("audit/driftlock.toml") + far));
    project
}

/// Containers of another tag, in another state, gone and new.
fn containers() -> (Project, FakeEngine) {
    let project = Project::empty();
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = []\n");
    let one = |image: &str, digit| json!({"image": image, "imageId": id(digit), "state": "running"});
    let images = json!({"web": one("app:1", "a"), "db": one("db:1", "b"), "gone": one("app:1", "a")});
    project.file(LOCK, &json!({"images": images}).to_string());
    let all = vec![
        listed("web", "app:2", &id("c"), "running"),
        listed("db", "db:1", &id("b"), "exited"),
        listed("new", "app:1", &id("a"), "running"),
    ];
    (project, FakeEngine::of(all, vec![]))
}
