//! The proof on a real engine: a container of its own goes on with what was replaced under it, and with a file of its own that
//! differs, while the files of the host are all as accepted.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::copy::{Copy, Node};
use super::{Laboratory, Trial, told};
use crate::check::{CONTAINER_CONTENTS, CONTAINER_MOUNTS};
use crate::config::{Config, DockerMode};
use crate::error::Failure;
use crate::host::HostError;
use crate::host::docker::{EngineError, OwnContainer};
use crate::model::{Change, CheckResult, Status, Subject};
use crate::project::Project;
use crate::section::IMAGES;

/// The link that leads to the release, from the root of the invented project.
const LINK: &str = "current";
/// A file that is mounted by itself.
const FILE: &str = "proxy/app.conf";
/// A file that lies in the container's image.
const INSIDE: &str = "inside/shop.conf";
/// The places in the container.
const ADDONS_AT: &str = "/mnt/addons";
const FILE_AT: &str = "/etc/app.conf";
const INSIDE_AT: &str = "srv/inside/shop.conf";

const RELEASED: &[u8] = b"as released\n";
const BEFORE: &[u8] = b"as it was before\n";

/// One deploy that a container does not hear of: how it was before, and the deploy.
struct Deploy {
    what: &'static str,
    path: &'static str,
    at: &'static str,
    before: fn(&Path) -> std::io::Result<()>,
    act: fn(&Path) -> std::io::Result<()>,
}

const DEPLOYS: [Deploy; 2] = [
    Deploy {
        what: "a link whose target a container has mounted is switched",
        path: LINK,
        at: ADDONS_AT,
        before: |root| switch(root, "old"),
        act: |root| switch(root, "new"),
    },
    Deploy {
        what: "a file that a container has mounted is replaced",
        path: FILE,
        at: FILE_AT,
        before: |root| replace(root, BEFORE),
        act: |root| replace(root, RELEASED),
    },
];

const CHANGED_INSIDE: &str = "a file in a container is other than the baseline has it";

/// Tries all of it; what cannot be tried is told with the reason.
pub(super) fn carry_out(
    laboratory: &Laboratory<'_>,
    project: &Project,
    trials: &mut Vec<Trial>,
) -> Result<(), Failure> {
    let not_tried =
        |what: &str, path: &str, why: &str| Trial::not_tried(what, path.to_owned(), why.to_owned());
    let none = |trials: &mut Vec<Trial>, why: &str| {
        trials.extend(DEPLOYS.map(|deploy| not_tried(deploy.what, deploy.path, why)));
        trials.push(not_tried(CHANGED_INSIDE, INSIDE_AT, why));
    };
    let mode = project.config.docker.as_ref().map_or(DockerMode::Auto, |docker| docker.mode);
    if mode == DockerMode::Off {
        none(trials, "the configuration turns containers off");
        return Ok(());
    }
    let proof = match Proof::begin(laboratory) {
        Ok(proof) => proof,
        Err(NotBegun::Engine(error)) => {
            none(trials, &error.to_string());
            return Ok(());
        }
        Err(NotBegun::Copy(failure)) => return Err(failure),
    };
    let before = laboratory.unaltered(&proof.copy)?;
    let is_good = before.is_none();
    trials.push(Trial::unaltered("a container has what was released", before));
    if !is_good {
        return Ok(());
    }
    let checks = proof.copy.check(laboratory.watch)?;
    let mut undone = None;
    if let Some(why) = skipped(&checks, CONTAINER_MOUNTS.id()) {
        trials.extend(DEPLOYS.map(|deploy| not_tried(deploy.what, deploy.path, why)));
    } else {
        for deploy in DEPLOYS {
            trials.push(proof.deploy(laboratory, &deploy)?);
            undone = undone.or(proof.mended(laboratory, deploy.what)?);
        }
    }
    if let Some(why) = skipped(&checks, CONTAINER_CONTENTS) {
        trials.push(not_tried(CHANGED_INSIDE, INSIDE_AT, why));
    } else {
        trials.push(proof.change_inside(laboratory)?);
        undone = undone.or(proof.mended(laboratory, CHANGED_INSIDE)?);
    }
    trials.push(Trial::unaltered("a container is made anew and has what was released", undone));
    Ok(())
}

/// Why a check was not carried out.
fn skipped<'a>(checks: &'a [CheckResult], id: &str) -> Option<&'a str> {
    let check = checks.iter().find(|check| check.id == id && check.status() == Status::Skip)?;
    Some(check.skip.as_deref().unwrap_or("it was skipped"))
}

/// An invented project and a container that has its files.
struct Proof {
    container: OwnContainer,
    copy: Copy,
    name: String,
}

/// Why there is no proof.
enum NotBegun {
    /// The engine does not do what it takes.
    Engine(EngineError),
    /// The project could not be written.
    Copy(Failure),
}

impl Proof {
    fn begin(laboratory: &Laboratory<'_>) -> Result<Self, NotBegun> {
        let name = OwnContainer::new_name();
        let config = configuration(&name).map_err(NotBegun::Copy)?;
        let copy = Copy::invented(config, nodes(), laboratory.engine.clone(), laboratory.watch);
        let mut copy = copy.map_err(NotBegun::Copy)?;
        let mounted = [(LINK, ADDONS_AT), (FILE, FILE_AT)].map(|(path, at)| (copy.root().join(path), at));
        let files = [(INSIDE_AT, RELEASED)];
        let container =
            OwnContainer::start(&laboratory.engine, name.clone(), &files, &mounted, laboratory.watch);
        let container = container.map_err(NotBegun::Engine)?;
        let locked =
            json!({"image": container.reference(), "imageId": container.image_id(), "state": "running"});
        let lock = json!({ "images": { &name: locked } });
        copy.lock(IMAGES, format!("{lock:#}\n").as_bytes()).map_err(NotBegun::Copy)?;
        Ok(Self { container, copy, name })
    }

    /// Deploys beside the container: all is as accepted but for what the container has.
    fn deploy(&self, laboratory: &Laboratory<'_>, deploy: &Deploy) -> Result<Trial, Failure> {
        let root = self.copy.root();
        let failed = |error: std::io::Error| Failure::at(&root, &error);
        (deploy.before)(&root).map_err(failed)?;
        done(self.container.recreate())?;
        (deploy.act)(&root).map_err(failed)?;
        let checks = self.copy.check(laboratory.watch)?;
        let names = |check: &CheckResult| {
            let subject = self.subject(deploy.at);
            check.findings.iter().any(|it| it.subject == subject && it.change == Some(Change::Stale))
        };
        Ok(alone(deploy.what, deploy.path, CONTAINER_MOUNTS.id(), names, &checks))
    }

    /// Changes a file inside the container.
    fn change_inside(&self, laboratory: &Laboratory<'_>) -> Result<Trial, Failure> {
        done(self.container.write(INSIDE_AT, BEFORE))?;
        let checks = self.copy.check(laboratory.watch)?;
        let subject = self.subject(&format!("/{INSIDE_AT}"));
        let names = |check: &CheckResult| check.findings.iter().any(|it| it.subject == subject);
        Ok(alone(CHANGED_INSIDE, INSIDE_AT, CONTAINER_CONTENTS, names, &checks))
    }

    fn subject(&self, at: &str) -> Subject {
        Subject::of_section(IMAGES, format!("{}:{at}", self.name).into_bytes())
    }

    /// Why a check does not pass once the container was made anew, if it does not.
    fn mended(&self, laboratory: &Laboratory<'_>, what: &str) -> Result<Option<String>, Failure> {
        if laboratory.interrupt.code().is_some() {
            return Err(HostError::Interrupted.into());
        }
        done(self.container.recreate())?;
        Ok(laboratory.unaltered(&self.copy)?.map(|why| format!("after \"{what}\": {why}")))
    }
}

/// The error of an engine in the middle of it.
fn done<T>(asked: Result<T, EngineError>) -> Result<T, Failure> {
    asked.map_err(|error| Failure::new(error.to_string()))
}

/// What came of an alteration that one check alone must notice.
fn alone(
    what: &str,
    path: &str,
    check: &'static str,
    names: impl Fn(&CheckResult) -> bool,
    checks: &[CheckResult],
) -> Trial {
    let others = checks.iter().filter(|other| other.id != check && other.status() != Status::Pass);
    let others: Vec<String> = others.filter(|other| other.status() != Status::Skip).map(told).collect();
    let trial = Trial::judged(what, path.to_owned(), check, names, checks);
    if others.is_empty() {
        trial
    } else {
        Trial { status: "not noticed", reason: Some(others.join("; ")), ..trial }
    }
}

/// The configuration of the invented project, whose only container has this name.
fn configuration(name: &str) -> Result<Config, Failure> {
    let text = format!(
        "[compose]\nfiles = []\n[addons]\nroots = [\"{LINK}\"]\n[files]\ninclude = [\"proxy/*\", \"inside/*\"]\n\
         [docker]\ncontainers = [\"{name}\"]\nunused = \"ignore\"\n\
         [[docker.contents]]\ncontainer = \"{name}\"\npath = \"/srv/inside\"\nis = \"inside\"\n"
    );
    Config::parse(&text).map_err(|error| Failure::new(error.to_string()))
}

/// Its files: two releases of a module, the link to the new one, and files beside.
fn nodes() -> Vec<(PathBuf, Node)> {
    let file = |path: &str, bytes: &[u8]| (PathBuf::from(path), Node::File(bytes.to_vec()));
    let mut all =
        vec![(PathBuf::from(LINK), Node::Link("new".into())), file(FILE, RELEASED), file(INSIDE, RELEASED)];
    for (release, bytes) in [("old", BEFORE), ("new", RELEASED)] {
        all.push(file(&format!("{release}/shop/__manifest__.py"), b"{'name': 'shop'}\n"));
        all.push(file(&format!("{release}/shop/order.py"), &[b"# ", bytes].concat()));
    }
    all
}

/// Leads the link to another release, as deploy tools do.
fn switch(root: &Path, release: &str) -> std::io::Result<()> {
    let next = root.join("next");
    symlink(release, &next)?;
    std::fs::rename(next, root.join(LINK))
}

/// Replaces the file, as editors and deploy tools do.
fn replace(root: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let next = root.join("next");
    std::fs::write(&next, bytes)?;
    std::fs::rename(next, root.join(FILE))
}
