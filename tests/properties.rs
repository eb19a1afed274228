//! Properties of a module's digest, over random trees with random names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
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

/// The files of a module: path and content.
type Files = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes a module with a manifest and `files`, in that order.
fn write<'a>(module: &Path, files: impl IntoIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>) {
    std::fs::create_dir_all(module).unwrap();
    std::fs::write(module.join("__manifest__.py"), "{}\n").unwrap();
    for (path, content) in files {
        let place = module.join(OsStr::from_bytes(path));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
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
fn digest<'a>(files: impl IntoIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>) -> String {
    let dir = TempDir::new().unwrap();
    write(&dir.path().join("root/module"), files);
    let modules = observe(dir.path());
    assert_eq!(modules.len(), 1);
    modules[&b"root/module"[..]].digest().to_string()
}

/// The digest as the contract defines it: SHA-256 of what `sha256sum` prints for the sorted files.
fn by_definition(files: &Files) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    let mut all = files.clone();
    all.insert(b"__manifest__.py".to_vec(), b"{}\n".to_vec());
    let mut manifest = Vec::new();
    for (path, content) in &all {
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
        manifest.extend([mark.as_bytes(), hex(content).as_bytes(), b"  ", &text, b"\n"].concat());
    }
    hex(&manifest)
}

/// A file's name: any bytes, often awkward ones; none that is left out by default.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let awkward = prop::sample::select(b" \\\n\r\t'\"#@*-.a\xff\xc3\xa9".to_vec());
    let byte = prop_oneof![awkward, any::<u8>()].prop_filter("no name", |b| !matches!(b, 0 | b'/'));
    let usable = |name: &Vec<u8>| !matches!(name.as_slice(), b"." | b"..") && !name.ends_with(b"~");
    prop::collection::vec(byte, 1..8).prop_filter("special", usable)
}

/// A path of one or two components; directories have names that no file has.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let dir = prop::option::of(prop::sample::select(vec!["directory/", "data\ndir/", "directory/deeper/"]));
    (dir, name()).prop_map(|(dir, name)| [dir.unwrap_or_default().as_bytes(), &name].concat())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..6)
}

fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), content(), 0..6)
}

/// One edit of a tree.
#[derive(Debug, Clone)]
enum Edit {
    Content(Index, Vec<u8>),
    Rename(Index, Vec<u8>),
    Remove(Index),
    Add(Vec<u8>, Vec<u8>),
    Nothing,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<Index>(), content()).prop_map(|(at, new)| Edit::Content(at, new)),
        (any::<Index>(), path()).prop_map(|(at, new)| Edit::Rename(at, new)),
        any::<Index>().prop_map(Edit::Remove),
        (path(), content()).prop_map(|(at, new)| Edit::Add(at, new)),
        Just(Edit::Nothing),
    ]
}

fn edited(files: &Files, edit: Edit) -> Files {
    let mut files = files.clone();
    let nth = |at: Index, files: &Files| (!files.is_empty()).then(|| at.index(files.len()));
    let path = |at: Index, files: &Files| nth(at, files).and_then(|n| files.keys().nth(n).cloned());
    match edit {
        Edit::Content(at, new) => drop(path(at, &files).map(|path| files.insert(path, new))),
        Edit::Rename(at, new) => {
            if let Some(old) = path(at, &files).and_then(|path| files.remove(&path)) {
                files.insert(new, old);
            }
        }
        Edit::Remove(at) => drop(path(at, &files).map(|path| files.remove(&path))),
        Edit::Add(at, new) => drop(files.insert(at, new)),
        Edit::Nothing => {}
    }
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

fn few() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

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
    fn the_order_of_creation_does_not_matter(
        (files, order) in files().prop_flat_map(|files| {
            let order: Vec<_> = files.clone().into_iter().collect();
            (Just(files), Just(order).prop_shuffle())
        }),
    ) {
        let shuffled = order.iter().map(|(path, content)| (path, content));
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
