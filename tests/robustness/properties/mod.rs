//! Properties of a module's digest, over random trees with random names; of lock files, and of accepting.

mod accepting;
mod caches;
mod locks;
mod undo;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use assert_fs::TempDir;
use driftlock::host::docker::Engine;
use driftlock::host::{
    Answer, Host as _, Layout, LocalHost, ModuleQuery, Query, Scope, SeenModule, Select, Watch,
};
use driftlock::model::{Entry, Glob, Leaf, SectionId, State, Tree, Value};
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest as _, Sha256};

use crate::support::random::cases;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    File(Vec<u8>),
    Link(Vec<u8>),
}

impl Thing {
    /// The content, or where the link leads to.
    fn bytes(&self) -> &[u8] {
        let (Self::File(bytes) | Self::Link(bytes)) = self;
        bytes
    }
}

/// The files and links of a module, by path.
type Files = BTreeMap<Vec<u8>, Thing>;

/// Writes a module with a manifest and `files`, in that order.
fn write<'a>(module: &Path, files: impl IntoIterator<Item = (&'a Vec<u8>, &'a Thing)>) {
    std::fs::create_dir_all(module).unwrap();
    std::fs::write(module.join("__manifest__.py"), "{}\n").unwrap();
    for (path, thing) in files {
        let place = module.join(OsStr::from_bytes(path));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        match thing {
            Thing::File(content) => std::fs::write(place, content).unwrap(),
            Thing::Link(target) => symlink(OsStr::from_bytes(target), place).unwrap(),
        }
    }
}

/// The modules of the addon root `root`, by place, as this machine sees them.
fn observe(root: &Path) -> BTreeMap<Vec<u8>, Tree> {
    let select = Select::Patterns(vec![Glob::new("root").unwrap()]);
    let query = ModuleQuery {
        select,
        exclude: vec![],
        named: vec![],
        known: BTreeMap::new(),
        scope: Scope::default(),
        all_bytecode: false,
    };
    let host = LocalHost::new(Layout::of_root(root), Engine::None("not asked".to_owned()));
    let answers = host.observe(&[Query::Modules(query)], &Watch::default()).unwrap();
    let [Answer::Modules(modules)] = &answers[..] else { panic!("another answer") };
    let whole = modules.modules.iter().map(|(place, seen)| match seen {
        SeenModule::Whole(tree) => (place.clone(), tree.clone()),
        _ => panic!("not read"),
    });
    whole.collect()
}

/// The digest of a module with `files`, written in the order in which they come.
fn digest<'a>(files: impl IntoIterator<Item = (&'a Vec<u8>, &'a Thing)>) -> String {
    digest_beside(files, &[])
}

/// The same with empty directories in it.
fn digest_beside<'a>(files: impl IntoIterator<Item = (&'a Vec<u8>, &'a Thing)>, empty: &[&str]) -> String {
    let dir = TempDir::new().unwrap();
    let module = dir.path().join("root/module");
    write(&module, files);
    for name in empty {
        std::fs::create_dir_all(module.join(name)).unwrap();
    }
    let modules = observe(dir.path());
    assert_eq!(modules.len(), 1);
    modules[&b"root/module"[..]].digest().to_string()
}

/// The digest as the contract defines it: SHA-256 of what `sha256sum` prints for the sorted files.
fn by_definition(files: &Files) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    let mut all = files.clone();
    all.insert(b"__manifest__.py".to_vec(), Thing::File(b"{}\n".to_vec()));
    let mut manifest = Vec::new();
    for (path, thing) in &all {
        let text: Vec<u8> = path
            .iter()
            .flat_map(|b| match b {
                b'\\' => br"\\".to_vec(),
                b'\n' => br"\n".to_vec(),
                b'\r' => br"\r".to_vec(),
                b => vec![*b],
            })
            .collect();
        let mark = if text == *path { "" } else { "\\" };
        let kind = if matches!(thing, Thing::Link(_)) { b" @" } else { b"  " };
        manifest.extend([mark.as_bytes(), hex(thing.bytes()).as_bytes(), kind, &text, b"\n"].concat());
    }
    hex(&manifest)
}

/// Random names are shorter than every name that a test gives: none of them is ever meant by both.
const LONGEST: usize = 7;

/// Whether a module leaves out a file or directory of this name.
fn is_left_out(name: &[u8]) -> bool {
    matches!(name, b".git" | b".hg" | b".svn") || name.ends_with(b".swp") || name.ends_with(b"~")
}

/// A file's name: any bytes, often awkward ones; none that is left out by default.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let awkward = prop::sample::select(b" \\\n\r\t'\"#@*-.a\xff\xc3\xa9".to_vec());
    let byte = prop_oneof![awkward, any::<u8>()].prop_filter("no name", |b| !matches!(b, 0 | b'/'));
    let usable = |name: &Vec<u8>| !matches!(name.as_slice(), b"." | b"..") && !is_left_out(name);
    prop::collection::vec(byte, 1..=LONGEST).prop_filter("special", usable)
}

/// A directory with a slash at its end, or none; no file has such a name.
fn directory() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "directory/", "data\ndir/", "directory/and deeper/"])
}

/// A path of one component or several.
fn path() -> impl Strategy<Value = Vec<u8>> {
    (directory(), name()).prop_map(|(dir, name)| [dir.as_bytes(), &name].concat())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..6)
}

/// A file, or a link that leads anywhere or nowhere.
fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![3 => content().prop_map(Thing::File), 1 => name().prop_map(Thing::Link)]
}

fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), thing(), 0..6)
}

/// One edit of a tree.
#[derive(Debug, Clone)]
enum Edit {
    Put(Index, Thing),
    /// One bit of a content, or of where a link leads to.
    Flip(Index, Index),
    /// A file becomes a link to what was its content, and a link a file of that.
    Turn(Index),
    Rename(Index, Vec<u8>),
    /// The same name in another directory.
    Move(Index, &'static str),
    Remove(Index),
    Add(Vec<u8>, Thing),
    Nothing,
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || any::<Index>();
    prop_oneof![
        (at(), thing()).prop_map(|(at, new)| Edit::Put(at, new)),
        (at(), at()).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        at().prop_map(Edit::Turn),
        (at(), path()).prop_map(|(at, new)| Edit::Rename(at, new)),
        (at(), directory()).prop_map(|(at, to)| Edit::Move(at, to)),
        at().prop_map(Edit::Remove),
        (path(), thing()).prop_map(|(at, new)| Edit::Add(at, new)),
        Just(Edit::Nothing),
    ]
}

/// A thing that differs in one bit, where the file system holds it.
fn flipped(thing: &Thing, bit: Index) -> Option<Thing> {
    let mut bytes = thing.bytes().to_vec();
    if bytes.is_empty() {
        return None;
    }
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    match thing {
        Thing::File(_) => Some(Thing::File(bytes)),
        Thing::Link(_) => (!bytes.contains(&0)).then_some(Thing::Link(bytes)),
    }
}

/// The other kind of thing with the same bytes, where there is such a link.
fn turned(thing: &Thing) -> Option<Thing> {
    match thing {
        Thing::Link(target) => Some(Thing::File(target.clone())),
        Thing::File(content) if content.is_empty() || content.contains(&0) => None,
        Thing::File(content) => Some(Thing::Link(content.clone())),
    }
}

fn edited(files: &Files, edit: Edit) -> Files {
    let mut files = files.clone();
    let (mut put, mut gone) = (None, None);
    let nth = |at: Index| {
        let (path, thing) = files.iter().nth(at.index(files.len().max(1)))?;
        Some((path.clone(), thing.clone()))
    };
    match edit {
        Edit::Put(at, new) => put = nth(at).map(|(path, _)| (path, new)),
        Edit::Flip(at, bit) => put = nth(at).and_then(|(path, thing)| Some((path, flipped(&thing, bit)?))),
        Edit::Turn(at) => put = nth(at).and_then(|(path, thing)| Some((path, turned(&thing)?))),
        Edit::Rename(at, new) => {
            gone = nth(at).map(|(path, _)| path);
            put = nth(at).map(|(_, thing)| (new, thing));
        }
        Edit::Move(at, to) => {
            gone = nth(at).map(|(path, _)| path);
            let name = |path: &[u8]| path.rsplit(|&b| b == b'/').next().unwrap().to_vec();
            put = nth(at).map(|(path, thing)| ([to.as_bytes(), &name(&path)].concat(), thing));
        }
        Edit::Remove(at) => gone = nth(at).map(|(path, _)| path),
        Edit::Add(at, new) => put = Some((at, new)),
        Edit::Nothing => {}
    }
    gone.map(|path| files.remove(&path));
    files.extend(put);
    files
}

/// What a state says of one module: its place, its digest and its files.
type Told = (Vec<u8>, Value, Vec<(Vec<u8>, Leaf)>);

/// What a state says, without what was free to look at.
fn told(state: &State) -> Vec<Told> {
    let files = |entry: &Entry| {
        let tree = entry.tree.as_ref().map(Tree::iter).into_iter().flatten();
        tree.map(|(path, leaf)| (path.to_vec(), leaf)).collect()
    };
    state.entries.iter().map(|(place, e)| (place.clone(), e.value.clone(), files(e))).collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn digests_are_equal_when_names_and_contents_are(before in files(), edit in edit()) {
        let after = edited(&before, edit);
        prop_assert_eq!(digest(&before) == digest(&after), before == after);
    }

    #[test]
    fn the_digest_is_the_one_of_the_definition(files in files()) {
        prop_assert_eq!(digest(&files), by_definition(&files));
    }

    #[test]
    fn empty_directories_do_not_count(files in files()) {
        let empty = ["empty directory", "directory/also empty/and deeper", "data\ndir/also empty"];
        prop_assert_eq!(digest_beside(&files, &empty), digest(&files));
    }

    #[test]
    fn the_order_of_creation_does_not_matter(
        (files, order) in files().prop_flat_map(|files| {
            let order: Vec<_> = files.clone().into_iter().collect();
            (Just(files), Just(order).prop_shuffle())
        }),
    ) {
        let shuffled = order.iter().map(|(path, thing)| (path, thing));
        prop_assert_eq!(digest(shuffled), by_definition(&files));
    }

    #[test]
    fn lock_files_are_read_back_as_they_were_written(modules in prop::collection::btree_map(name(), files(), 1..4)) {
        let dir = TempDir::new().unwrap();
        for (name, files) in &modules {
            write(&dir.path().join("root").join(OsStr::from_bytes(name)), files);
        }
        let entry = |(place, tree): (Vec<u8>, Tree)| {
            (place, Entry { value: Value::Digest(tree.digest()), tree: Some(tree), stat: None })
        };
        let state = State { entries: observe(dir.path()).into_iter().map(entry).collect() };
        prop_assert_eq!(state.entries.len(), modules.len());
        let section = driftlock::section::find(SectionId("addons")).unwrap();
        let texts = section.print(&state);
        let read = section.parse(&[("modules", &texts[0]), ("files", &texts[1])]);
        prop_assert_eq!(told(&read.unwrap()), told(&state));
    }
}
