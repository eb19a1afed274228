//! The alterations of addon modules.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::cli::commands::selftest::alteration::{Act, Alteration, NotTried};
use crate::cli::commands::selftest::alteration::{beside, of_bytes};
use crate::cli::commands::selftest::copy::{Copy, Node, is_excluded, path_of};
use crate::host::MANIFESTS;
use crate::model::escaped;
use crate::section::ADDONS;

/// The check that must notice them.
pub(crate) const CHECK: &str = "addon_hashes";

/// Adds everything that is tried on the modules of a copy.
pub(crate) fn of_modules(all: &mut Vec<Alteration>, copy: &Copy) {
    let places = copy.subjects.get(&ADDONS);
    for (at, place) in places.into_iter().flatten().enumerate() {
        let module = Module::of(copy, place);
        module.of_files(all);
        module.of_links(all);
        module.of_bytecode(all);
        if at == 0 {
            module.as_a_whole(all);
        }
    }
}

/// A module of the copy.
struct Module<'a> {
    copy: &'a Copy,
    place: &'a [u8],
    path: PathBuf,
    manifest: PathBuf,
    /// The file that most is tried on: code, if there is any.
    file: PathBuf,
    bytes: &'a [u8],
}

impl<'a> Module<'a> {
    fn of(copy: &'a Copy, place: &'a [u8]) -> Self {
        let path = path_of(place);
        let manifest = path.join(path_of(copy.manifest_of(place).unwrap_or(MANIFESTS[0])));
        let files =
            || copy.below(&path).filter(|(_, node)| matches!(node, Node::File(_))).map(|(file, _)| file);
        let is_code =
            |file: &&Path| file.extension().is_some_and(|ending| ending == "py") && **file != manifest;
        let file =
            files().find(is_code).or_else(|| files().find(|file| **file != manifest)).unwrap_or(&manifest);
        let file = file.to_owned();
        Self { copy, place, bytes: copy.bytes(&file), path, manifest, file }
    }

    fn push(&self, all: &mut Vec<Alteration>, what: &'static str, path: &Path, act: Result<Act, NotTried>) {
        let place = Some(self.place.to_vec());
        all.push(Alteration { what, path: path.to_owned(), check: CHECK, place, act });
    }

    /// The act, unless the configuration leaves out what it makes.
    fn unless_excluded(&self, path: &Path, act: Act) -> Result<Act, NotTried> {
        let inner = path.strip_prefix(&self.path).unwrap_or(path);
        match inner.to_str() {
            Some(inner) if is_excluded(self.copy.config(), self.place, inner) => {
                Err(NotTried::LeftOut(escaped(inner.as_bytes())))
            }
            _ => Ok(act),
        }
    }

    fn of_files(&self, all: &mut Vec<Alteration>) {
        let file = &self.file;
        for (what, act) in of_bytes(self.bytes) {
            self.push(all, what, file, act);
        }
        let renamed = beside(file, "x");
        let twin = self.path.join("driftlock_selftest.txt");
        let new = self.path.join("driftlock_selftest.py");
        for (what, path, act) in [
            ("a file is removed", file, Ok(Act::Remove)),
            ("a file is renamed", file, self.unless_excluded(&renamed, Act::Rename(renamed.clone()))),
            ("a file is copied", file, self.unless_excluded(&twin, Act::Duplicate(twin.clone()))),
            ("a link replaces a file", file, Ok(Act::Link("driftlock_selftest_nowhere".into()))),
            ("a FIFO replaces a file", file, Ok(Act::Fifo)),
            ("two files change their content", file, self.other_content()),
            ("the right to read a file is taken away", file, Ok(Act::Close)),
            ("the right to look into a module is taken away", &self.path, Ok(Act::Close)),
            ("a file is added", &new, self.unless_excluded(&new, Act::Write(b"x = 1\n".to_vec()))),
            ("the manifest is removed", &self.manifest, Ok(Act::Remove)),
        ] {
            self.push(all, what, path, act);
        }
    }

    /// The content of another file in place of the file's own.
    fn other_content(&self) -> Result<Act, NotTried> {
        let mut contents = self.copy.below(&self.path).filter_map(|(_, node)| match node {
            Node::File(bytes) => Some(bytes),
            Node::Link(_) => None,
        });
        let other = contents.find(|bytes| *bytes != self.bytes);
        other.map(|other| Act::Write(other.clone())).ok_or(NotTried::Alike)
    }

    fn of_links(&self, all: &mut Vec<Alteration>) {
        let links = self.copy.below(&self.path).filter(|(_, node)| matches!(node, Node::Link(_)));
        for (link, _) in links.take(1) {
            self.push(
                all,
                "a link leads elsewhere",
                link,
                Ok(Act::Link("driftlock_selftest_elsewhere".into())),
            );
            self.push(all, "a file replaces a link", link, Ok(Act::Write(b"x = 1\n".to_vec())));
        }
    }

    /// Python code in a form that is no source.
    fn of_bytecode(&self, all: &mut Vec<Alteration>) {
        let dir = self.file.parent().unwrap_or(Path::new(""));
        let stem = self.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("x");
        let cache = dir.join("__pycache__");
        for (what, path, flags) in [
            ("bytecode is added that Python runs unseen", cache.join(format!("{stem}.cpython-311.pyc")), 1),
            ("bytecode is added that has no source", cache.join("driftlock_selftest.cpython-311.pyc"), 0),
            ("bytecode is added beside the sources", dir.join("driftlock_selftest.pyc"), 0),
        ] {
            let act = self.unless_excluded(&path, Act::Write(bytecode(flags)));
            self.push(all, what, &path, act);
        }
        let script = cache.join("driftlock_selftest.js");
        let act = self.unless_excluded(&script, Act::Write(b"x = 1\n".to_vec()));
        self.push(all, "a script is added among the bytecode", &script, act);
        let act = self.unless_excluded(&cache, Act::Link("driftlock_selftest_nowhere".into()));
        self.push(all, "a link stands for the cache of bytecode", &cache, act);
    }

    fn as_a_whole(&self, all: &mut Vec<Alteration>) {
        let to = self.path.with_file_name("driftlock_selftest");
        let new = to.as_os_str().as_bytes();
        let name = self.manifest.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let added = if is_excluded(self.copy.config(), new, name) {
            Err(NotTried::LeftOut("it".to_owned()))
        } else {
            Ok(Act::Duplicate(to.clone()))
        };
        self.push(all, "a module is removed", &self.path, Ok(Act::Remove));
        self.push(all, "a module is renamed", &self.path, Ok(Act::Rename(to.clone())));
        let link = Ok(Act::Link("driftlock_selftest_nowhere".into()));
        self.push(all, "a link to nothing replaces a module", &self.path, link);
        let (path, place) = (self.path.clone(), Some(new.to_vec()));
        all.push(Alteration { what: "a module is added", path, check: CHECK, place, act: added });
    }
}

/// The bytecode of an empty file, as Python 3.11 writes it: magic, flags, and a hash or time and size of the source.
fn bytecode(flags: u8) -> Vec<u8> {
    let mut bytes = vec![0xa7, 0x0d, 0x0d, 0x0a, flags];
    bytes.extend([0; 11]);
    bytes.extend(b"\xe3\0\0\0\0");
    bytes
}
