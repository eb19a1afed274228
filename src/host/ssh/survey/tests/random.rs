//! Random modules with random names.

use proptest::prelude::*;

use super::*;

/// A name of awkward bytes, often; it is shorter than every directory that it may lie beside.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let awkward = prop::sample::select(b" \\\n\r\t'\"#@*?[]!-.~$`a\xff\x81\xc3\xa9".to_vec());
    let byte = prop_oneof![3 => awkward, 1 => 1u8..].prop_filter("no name", |b| *b != b'/');
    prop::collection::vec(byte, 1..6).prop_filter("no name", |name| !matches!(&name[..], b"." | b".."))
}

/// A path of directories that no file is named like, and a name.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let directory =
        prop::sample::select(vec!["", "directory/", "directory/it's deeper/", "data\ndir/", "-directory/"]);
    (directory, name()).prop_map(|(directory, name)| [directory.as_bytes(), &name].concat())
}

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>),
    Link(Vec<u8>),
}

fn thing() -> impl Strategy<Value = Thing> {
    let content = prop::collection::vec(any::<u8>(), 0..4);
    prop_oneof![4 => content.prop_map(Thing::File), 1 => name().prop_map(Thing::Link)]
}

/// A path with directories of bytecode on the way, and a name that Python may have given or not.
fn cached() -> impl Strategy<Value = Vec<u8>> {
    let directories = prop::sample::select(vec![
        "__pycache__/",
        "__pycache__/",
        "code/__pycache__/",
        "__pycache__/deep/",
        "__pycache__/__pycache__/",
        "two\nlines/__pycache__/",
        "x__pycache__/",
        "__pycache__/a.pyc/",
        "code/",
        "",
    ]);
    let names = prop::sample::select(vec![
        "a.cpython-311.pyc",
        "b.cpython-311.pyc",
        "a.pyc",
        ".pyc",
        "a.cpython-311.pyc.12",
        "a.pyc.12a",
        "a.pyc.1.pyc.2",
        "a.pyc.",
        "x\ny.a.pyc",
        "a.pyo",
        "a.js",
        "__pycache__",
        ".DS_Store",
        "a.swp",
        "a.py",
        "-a.b.pyc",
        "a.pyc",
    ]);
    (directories, names).prop_map(|(directories, name)| [directories, name].concat().into_bytes())
}

/// Bytecode, checked or not, or nothing of the kind.
fn code() -> impl Strategy<Value = Thing> {
    let head = |flags: u8| [&b"\xa7\r\r\n"[..], &[flags, 0, 0, 0], b"mtimesize code"].concat();
    prop_oneof![
        4 => (0u8..4).prop_map(move |flags| Thing::File(head(flags))),
        2 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Thing::File),
        1 => name().prop_map(Thing::Link),
    ]
}

/// Whether a path can be made: nothing else has taken its place, or that of a directory above it.
fn is_free(project: &Project, path: &[u8]) -> bool {
    let path = project.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).is_ok() && std::fs::symlink_metadata(path).is_err()
}

proptest! {
    #![proptest_config(crate::random::cases(24))]

    #[test]
    fn random_modules_are_seen_as_they_are_seen_here(
        things in prop::collection::btree_map(path(), thing(), 0..12),
        by in prop::sample::select(SHELLS.to_vec()),
    ) {
        let project = Project::new();
        for path in ["addons/m", "addons/before", "addons/plain"] {
            project.module(path);
        }
        for (path, thing) in &things {
            let path = [b"addons/m/", &path[..]].concat();
            match thing {
                Thing::File(content) => project.file(path, content),
                Thing::Link(target) => project.link(path, target),
            }
        }
        let queries =
            [Query::Modules(modules(patterns(&["addons"]))), Query::Files(files(patterns(&["addons/m/**", "addons/*/*"])))];
        let here = locally(&project.layout(), &queries);
        prop_assert_eq!(here, by_script(by, &project.layout(), &queries, &Programs::Usual));
    }

    #[test]
    fn random_bytecode_is_seen_as_it_is_seen_here(
        things in prop::collection::vec((cached(), code()), 0..24),
        all_bytecode in any::<bool>(),
        exclude in prop::sample::select(vec!["none", "*/__pycache__/**", "**/*.pyc", "**/*.pyc.*", "*/code/__pycache__/a.*"]),
        by in prop::sample::select(SHELLS.to_vec()),
    ) {
        let project = Project::new();
        project.file("addons/m/__openerp__.py", "{}\n");
        for (path, thing) in &things {
            let path = [b"addons/m/", &path[..]].concat();
            match thing {
                _ if !is_free(&project, &path) => {}
                Thing::File(content) => project.file(path, content),
                Thing::Link(target) => project.link(path, target),
            }
        }
        let query = ModuleQuery { all_bytecode, exclude: globs(&[exclude]), ..modules(patterns(&["addons"])) };
        let queries = [Query::Modules(query)];
        let here = locally(&project.layout(), &queries);
        prop_assert_eq!(here, by_script(by, &project.layout(), &queries, &Programs::Usual));
    }

    #[test]
    fn compose_files_that_no_pattern_matches_are_noticed_as_they_are_here(
        paths in prop::collection::btree_set("(|s/(a|b|\\.c|node_modules|audit)/(|d/)|audit/)(docker-|my-)?compose(\\.x|-y|r|\\.)?\\.(yml|yaml)", 0..14),
        texts in prop::collection::vec(prop::sample::select(vec![
            "s/*/docker-compose*.yml", "s/*/docker-compose.yml", "s/a/compose.yml", "**/compose.yml", "s/**/docker-compose*.yml",
            "compose.yaml", "docker-compose.yml", "s/**", "*/*/compose.y*ml", "**/a/docker-compose.yml",
        ]), 1..4),
        by in prop::sample::select(SHELLS.to_vec()),
    ) {
        let project = Project::new();
        for path in &paths {
            project.file(path, "x");
        }
        project.link("s/linked", "a");
        project.link("s/a/up", "..");
        project.link("s/a/compose.loop.yml", "compose.loop.yml");
        project.dir("s/a/compose-directory.yml");
        let queries = [Query::Files(FileQuery { exclude: globs(&["s/b/*.x.yml"]), ..files(patterns(&texts)) })];
        let here = locally(&project.layout(), &queries);
        prop_assert_eq!(here, by_script(by, &project.layout(), &queries, &Programs::Usual));
    }
}
