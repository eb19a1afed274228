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

proptest! {
    #![proptest_config(crate::random::cases(24))]

    #[test]
    fn random_modules_are_seen_as_they_are_seen_here(
        things in prop::collection::btree_map(path(), thing(), 0..12),
        by in prop::sample::select(SHELLS.to_vec()),
    ) {
        let project = Project::new();
        project.module("addons/m");
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
}
