//! The alterations that are tried on a copy, and how each is made.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::copy::{Copy, Node, is_excluded, path_of};
use crate::baseline;
use crate::config::OnUnexpected;
use crate::host::MANIFEST;
use crate::model::{Glob, SectionId, escaped};
use crate::section::find;

/// One thing that is done to a copy.
pub(super) struct Alteration {
    /// What is done, in words: `one bit of a file is changed`.
    pub(super) what: &'static str,
    /// What it is done to, relative to the project's root.
    pub(super) path: PathBuf,
    /// The check that must notice it.
    pub(super) check: &'static str,
    /// The subject that it must name; none where the lock file itself is altered.
    pub(super) place: Option<Vec<u8>>,
    /// The act; `Err` says why it cannot be tried.
    pub(super) act: Result<Act, String>,
}

/// What is done to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Other bytes are written.
    Write(Vec<u8>),
    /// It is removed, with all below it.
    Remove,
    /// It is renamed.
    Rename(PathBuf),
    /// A link is put in its place.
    Link(PathBuf),
    /// A FIFO is put in its place.
    Fifo,
    /// All rights are taken away.
    Close,
    /// It is copied beside itself.
    Duplicate(PathBuf),
}

impl Alteration {
    /// Does it below `root`; tells why not where it has no effect here.
    pub(super) fn apply(&self, act: &Act, root: &Path) -> std::io::Result<Option<&'static str>> {
        let path = root.join(&self.path);
        match act {
            Act::Write(bytes) => {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(&path, bytes)?;
            }
            Act::Remove => remove(&path)?,
            Act::Rename(to) => std::fs::rename(&path, root.join(to))?,
            Act::Link(target) => {
                remove(&path)?;
                symlink(target, &path)?;
            }
            Act::Fifo => {
                remove(&path)?;
                mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
            }
            Act::Close => {
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0))?;
                if File::open(&path).is_ok() {
                    return Ok(Some("rights do not count for this user, who may read everything"));
                }
            }
            Act::Duplicate(to) => duplicate(&path, &root.join(to))?,
        }
        Ok(None)
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    }
}

fn duplicate(from: &Path, to: &Path) -> std::io::Result<()> {
    let stat = from.symlink_metadata()?;
    if stat.is_symlink() {
        return symlink(std::fs::read_link(from)?, to);
    }
    if !stat.is_dir() {
        to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        duplicate(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Everything that is tried on a copy of files.
pub(super) fn of_files(copy: &Copy) -> Vec<Alteration> {
    let mut all = Vec::new();
    for (section, check) in [("compose", "compose_hashes"), ("config", "config_hashes")] {
        let places = copy.subjects.get(&SectionId(section));
        for (at, place) in places.into_iter().flatten().enumerate() {
            of_file(&mut all, copy, check, place);
            if at == 0 {
                new_file(&mut all, copy, section, check, place);
            }
        }
    }
    for (at, place) in copy.subjects.get(&SectionId("addons")).into_iter().flatten().enumerate() {
        of_module(&mut all, copy, place);
        if at == 0 {
            of_modules(&mut all, copy, place);
        }
    }
    for section in ["compose", "addons", "config"] {
        of_lock_files(&mut all, copy, SectionId(section));
    }
    all
}

/// The ways in which the bytes of a file can differ.
fn of_bytes(bytes: &[u8]) -> Vec<(&'static str, Result<Act, String>)> {
    let flipped = |at: usize| {
        let mut other = bytes.to_vec();
        other[at] ^= 1;
        Ok(Act::Write(other))
    };
    let empty = || Err("the file is empty".to_owned());
    vec![
        ("the first bit of a file is changed", if bytes.is_empty() { empty() } else { flipped(0) }),
        (
            "a bit in the last byte of a file is changed",
            if bytes.is_empty() { empty() } else { flipped(bytes.len() - 1) },
        ),
        ("a byte is appended", Ok(Act::Write([bytes, b"\n"].concat()))),
        ("a file is emptied", if bytes.is_empty() { empty() } else { Ok(Act::Write(Vec::new())) }),
    ]
}

fn of_file(all: &mut Vec<Alteration>, copy: &Copy, check: &'static str, place: &[u8]) {
    let path = path_of(place);
    let mut acts = of_bytes(copy.bytes(&path));
    acts.extend([
        ("a file is removed", Ok(Act::Remove)),
        ("a file is renamed", Ok(Act::Rename(beside(&path, ".driftlock_selftest")))),
        ("a link to nothing replaces a file", Ok(Act::Link("driftlock_selftest_nowhere".into()))),
        ("a FIFO replaces a file", Ok(Act::Fifo)),
        ("the right to read a file is taken away", Ok(Act::Close)),
    ]);
    for (what, act) in acts {
        all.push(Alteration { what, path: path.clone(), check, place: Some(place.to_vec()), act });
    }
}

/// A path with more at its end.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

/// A file that nobody accepted, in a directory of its own beside that of one that somebody did.
fn new_file(all: &mut Vec<Alteration>, copy: &Copy, section: &str, check: &'static str, place: &[u8]) {
    let path = path_of(place);
    let dir = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default();
    let new = if dir == Path::new("") {
        PathBuf::from("driftlock_selftest")
    } else {
        beside(dir, "-driftlock-selftest")
    };
    let mut candidates = vec![new.join(name), beside(&path, ".driftlock_selftest")];
    let patterns: Option<&[Glob]> = match section {
        "compose" => copy.config().compose_files.as_deref(),
        _ => copy.config().files_include.as_deref(),
    };
    let is_covered = |new: &PathBuf| {
        let new = new.as_os_str().as_bytes();
        let is_left_out =
            section == "compose" && crate::model::any_match(&copy.config().compose_exclude, new);
        !is_left_out && patterns.is_none_or(|globs| crate::model::any_match(globs, new))
    };
    candidates.retain(is_covered);
    let (to, act) = match candidates.into_iter().next() {
        Some(to) => (to.clone(), Ok(Act::Duplicate(to))),
        None => {
            (path.clone(), Err("the patterns name single files, so no other one is looked for".to_owned()))
        }
    };
    let place = Some(to.as_os_str().as_bytes().to_vec());
    all.push(Alteration { what: "a file is added", path, check, place, act });
}

const ADDONS: &str = "addon_hashes";

/// The bytecode of an empty file, as Python 3.11 writes it: magic, flags, and a hash or time and size of the source.
fn bytecode(flags: u8) -> Vec<u8> {
    let mut bytes = vec![0xa7, 0x0d, 0x0d, 0x0a, flags];
    bytes.extend([0; 11]);
    bytes.extend(b"\xe3\0\0\0\0");
    bytes
}

fn of_module(all: &mut Vec<Alteration>, copy: &Copy, place: &[u8]) {
    let module = path_of(place);
    let mut push = |what, path: PathBuf, act| {
        all.push(Alteration { what, path, check: ADDONS, place: Some(place.to_vec()), act });
    };
    let nodes: BTreeMap<&Path, &Node> = copy.below(&module).collect();
    let is_file = |(path, node): (&&Path, &&Node)| match node {
        Node::File(bytes) if !path.ends_with(path_of(MANIFEST)) => Some((path.to_path_buf(), bytes.clone())),
        _ => None,
    };
    let files: Vec<(PathBuf, Vec<u8>)> =
        nodes.iter().filter_map(|(path, node)| is_file((path, node))).collect();
    let manifest = module.join(path_of(MANIFEST));
    let code = files.iter().find(|(path, _)| path.extension().is_some_and(|ending| ending == "py"));
    let (file, bytes) =
        code.or(files.first()).cloned().unwrap_or_else(|| (manifest.clone(), copy.bytes(&manifest).to_vec()));
    for (what, act) in of_bytes(&bytes) {
        push(what, file.clone(), act);
    }
    push("a file is removed", file.clone(), Ok(Act::Remove));
    push(
        "a file is renamed",
        file.clone(),
        unless_excluded(copy, place, &beside(&file, "x"), Act::Rename(beside(&file, "x"))),
    );
    let twin = module.join("driftlock_selftest.txt");
    push("a file is copied", file.clone(), unless_excluded(copy, place, &twin, Act::Duplicate(twin.clone())));
    push("a link replaces a file", file.clone(), Ok(Act::Link("driftlock_selftest_nowhere".into())));
    push("a FIFO replaces a file", file.clone(), Ok(Act::Fifo));
    push("the right to read a file is taken away", file.clone(), Ok(Act::Close));
    push("the right to look into a module is taken away", module.clone(), Ok(Act::Close));
    push("two files change their content", file.clone(), swapped(&files, &bytes));
    push(
        "a file is added",
        module.join("driftlock_selftest.py"),
        unless_excluded(copy, place, &module.join("driftlock_selftest.py"), Act::Write(b"x = 1\n".to_vec())),
    );
    push("the manifest is removed", manifest, Ok(Act::Remove));
    for (path, _) in nodes.iter().filter(|(_, node)| matches!(node, Node::Link(_))).take(1) {
        push(
            "a link leads elsewhere",
            path.to_path_buf(),
            Ok(Act::Link("driftlock_selftest_elsewhere".into())),
        );
        push("a file replaces a link", path.to_path_buf(), Ok(Act::Write(b"x = 1\n".to_vec())));
    }
    of_bytecode(&mut push, copy, place, &file);
}

/// The content of another file in place of a file's own.
fn swapped(files: &[(PathBuf, Vec<u8>)], bytes: &[u8]) -> Result<Act, String> {
    let other = files.iter().find(|(_, other)| other != bytes);
    other.map(|(_, other)| Act::Write(other.clone())).ok_or_else(|| "no two files differ".to_owned())
}

fn unless_excluded(copy: &Copy, place: &[u8], path: &Path, act: Act) -> Result<Act, String> {
    let inner = path.strip_prefix(path_of(place)).unwrap_or(path);
    match inner.to_str() {
        Some(inner) if is_excluded(copy.config(), place, inner) => {
            Err(format!("the configuration leaves {} out", escaped(inner.as_bytes())))
        }
        _ => Ok(act),
    }
}

/// Python code in a form that is no source.
fn of_bytecode(
    push: &mut dyn FnMut(&'static str, PathBuf, Result<Act, String>),
    copy: &Copy,
    place: &[u8],
    file: &Path,
) {
    let dir = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("x");
    let cache = dir.join("__pycache__");
    for (what, path, flags) in [
        ("bytecode is added that Python runs unseen", cache.join(format!("{stem}.cpython-311.pyc")), 1),
        ("bytecode is added that has no source", cache.join("driftlock_selftest.cpython-311.pyc"), 0),
        ("bytecode is added beside the sources", dir.join("driftlock_selftest.pyc"), 0),
    ] {
        push(what, path.clone(), unless_excluded(copy, place, &path, Act::Write(bytecode(flags))));
    }
    push(
        "a link stands for the cache of bytecode",
        cache.clone(),
        unless_excluded(copy, place, &cache, Act::Link("driftlock_selftest_nowhere".into())),
    );
}

fn of_modules(all: &mut Vec<Alteration>, copy: &Copy, place: &[u8]) {
    let module = path_of(place);
    let to = module.with_file_name("driftlock_selftest");
    let new = Some(to.as_os_str().as_bytes().to_vec());
    let is_out = is_excluded(copy.config(), to.as_os_str().as_bytes(), "__manifest__.py");
    let out = || Err("the configuration leaves it out".to_owned());
    for (what, place, act) in [
        ("a module is removed", Some(place.to_vec()), Ok(Act::Remove)),
        ("a module is renamed", Some(place.to_vec()), Ok(Act::Rename(to.clone()))),
        ("a module is added", new, if is_out { out() } else { Ok(Act::Duplicate(to.clone())) }),
        (
            "a link to nothing replaces a module",
            Some(place.to_vec()),
            Ok(Act::Link("driftlock_selftest_nowhere".into())),
        ),
    ] {
        all.push(Alteration { what, path: module.clone(), check: ADDONS, place, act });
    }
}

/// What a lock file may say instead of what was accepted.
fn of_lock_files(all: &mut Vec<Alteration>, copy: &Copy, section: SectionId) {
    let check = match section.0 {
        "compose" => "compose_hashes",
        "addons" => ADDONS,
        _ => "config_hashes",
    };
    for name in find(section).into_iter().flat_map(|section| section.lock_files()) {
        let path = Path::new(baseline::PATH).join(name);
        let bytes = copy.bytes(&path);
        if bytes.is_empty() {
            continue;
        }
        let first = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |cut| cut + 1);
        let mut digit = bytes.to_vec();
        if let Some(at) = bytes.iter().position(u8::is_ascii_hexdigit) {
            digit[at] = if digit[at] == b'0' { b'1' } else { b'0' };
        }
        let none = || Err("the lock file has one line".to_owned());
        for (what, act) in [
            ("one digit of a lock file is changed", Ok(Act::Write(digit))),
            (
                "a line of a lock file is removed",
                if first == bytes.len() { none() } else { Ok(Act::Write(bytes[first..].to_vec())) },
            ),
            ("a line of a lock file is doubled", Ok(Act::Write([&bytes[..first], bytes].concat()))),
            ("a lock file ends in the middle of a line", Ok(Act::Write(bytes[..bytes.len() - 1].to_vec()))),
            ("a lock file is emptied", Ok(Act::Write(Vec::new()))),
            ("a lock file is removed", Ok(Act::Remove)),
            ("the right to read a lock file is taken away", Ok(Act::Close)),
        ] {
            all.push(Alteration { what, path: path.clone(), check, place: None, act });
        }
    }
}

/// Everything that is tried on the lock file of containers that run here.
pub(super) fn of_containers(copy: &Copy) -> Vec<Alteration> {
    let Some(file) = find(SectionId("images")).and_then(|section| section.lock_files().first()) else {
        return Vec::new();
    };
    let path = Path::new(baseline::PATH).join(file);
    let Ok(lock) = serde_json::from_slice::<serde_json::Value>(copy.bytes(&path)) else { return Vec::new() };
    let Some((name, _)) = lock["images"].as_object().and_then(|images| images.iter().next()) else {
        return Vec::new();
    };
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut other = lock.clone();
        change(&mut other["images"]);
        let bytes = serde_json::to_vec_pretty(&other).map_err(|error| error.to_string());
        bytes.map(|bytes| Act::Write([&bytes[..], b"\n"].concat()))
    };
    let set =
        |field: &'static str, value: String| with(&move |images| images[name][field] = value.clone().into());
    let ignored =
        copy.config().docker.as_ref().is_some_and(|docker| docker.unexpected == OnUnexpected::Ignore);
    let without = |images: &mut serde_json::Value| {
        images.as_object_mut().map(|images| images.remove(name));
        images["driftlock-selftest"] =
            serde_json::json!({"image": "x:1", "imageId": format!("sha256:{}", "0".repeat(64))});
    };
    let added = |images: &mut serde_json::Value| {
        images["driftlock-selftest"] =
            serde_json::json!({"image": "x:1", "imageId": format!("sha256:{}", "0".repeat(64))});
    };
    let known = |field: &str| lock["images"][name][field].as_str().map(str::to_owned);
    let state = known("state").map(|state| if state == "running" { "exited" } else { "running" }.to_owned());
    let unknown = |what: &str| Err(format!("{what} is not known of the container"));
    let of = |name: &str| Some(name.as_bytes().to_vec());
    let rows: Vec<(&'static str, &'static str, Option<Vec<u8>>, Result<Act, String>)> = vec![
        (
            "a container runs another image than accepted",
            "docker_images",
            of(name),
            set("imageId", format!("sha256:{}", "0".repeat(64))),
        ),
        (
            "a container runs another tag than accepted",
            "docker_images",
            of(name),
            set("image", "driftlock-selftest:1".to_owned()),
        ),
        ("an accepted container is not there", "docker_images", of("driftlock-selftest"), with(&added)),
        (
            "a container runs that nobody accepted",
            "docker_images",
            of(name),
            if ignored { Err("the configuration ignores such".to_owned()) } else { with(&without) },
        ),
        (
            "a container is in another state than accepted",
            "container_state",
            of(name),
            state.map_or_else(|| unknown("the state"), |state| set("state", state)),
        ),
        (
            "a container has another configuration than accepted",
            "compose_applied",
            of(name),
            known("composeConfigHash").map_or_else(
                || unknown("a configuration of Compose"),
                |_| set("composeConfigHash", "0".repeat(64)),
            ),
        ),
        ("a lock file is removed", "docker_images", None, Ok(Act::Remove)),
    ];
    rows.into_iter()
        .map(|(what, check, place, act)| Alteration { what, path: path.clone(), check, place, act })
        .collect()
}
