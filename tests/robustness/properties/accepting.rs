//! Accepting what a check saw: the next check passes, and nothing else has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::support::Project;
use crate::support::disk::files_below;
use crate::support::random::cases;

const CONFIG: &str = concat!(
    "[compose]\nfiles = [\"infra/stacks/*/docker-compose*.yml\"]\n",
    "[addons]\nroots = [\"odoo_modules/seisei\", \"odoo_modules/community\"]\n",
    "[files]\ninclude = [\"infra/nginx/*.conf\"]\n",
    "[docker]\nmode = \"off\"\n",
);

/// What may happen to a tree: the path, what becomes of it, and the lock files that tell of it.
const CHANGES: &[(&str, Option<&str>, &[&str])] = &[
    ("infra/stacks/edge/docker-compose.yml", Some("services: {a: {}}\n"), COMPOSE),
    ("infra/stacks/erp/docker-compose.yml", None, COMPOSE),
    ("infra/stacks/new one/docker-compose.yml", Some("services: {}\n"), COMPOSE),
    ("infra/nginx/a.conf", Some("server {}\n"), FILES),
    ("infra/nginx/b\nb.conf", Some("new\n"), FILES),
    ("odoo_modules/seisei/printer/models/order.py", Some("class Other: pass\n"), ADDONS),
    ("odoo_modules/seisei/qr_ordering/models/order.py", None, ADDONS),
    ("odoo_modules/community/ocr/ünïcode \u{202e}.py", Some(""), ADDONS),
    ("odoo_modules/community/printer/__manifest__.py", Some("{}\n"), ADDONS),
];
const COMPOSE: &[&str] = &["compose_sha256.lock.txt"];
const FILES: &[&str] = &["config_sha256.lock.txt"];
const ADDONS: &[&str] = &["odoo_addons_modules.hash.txt", "odoo_addons_files.sha256.txt"];

/// Everything below the root that accepting has no business with: neither lock files, nor runs, nor the record.
fn tree(project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = files_below(&project.root());
    all.retain(|path, _| !path.starts_with("audit") || path.ends_with("driftlock.toml"));
    all
}

fn accepted() -> Project {
    let project = Project::small();
    project.file("audit/driftlock.toml", CONFIG);
    project.file("infra/nginx/a.conf", "");
    project.ok(&["export", "--accept"]);
    project
}

fn apply(project: &Project, (path, content, _): &(&str, Option<&str>, &[&str])) {
    match content {
        Some(text) => project.file(path, text),
        None => std::fs::remove_file(project.path(path)).unwrap(),
    }
}

/// The names of the files whose bytes are others.
fn changed<'a>(
    before: &'a BTreeMap<PathBuf, Vec<u8>>,
    after: &'a BTreeMap<PathBuf, Vec<u8>>,
) -> BTreeSet<&'a Path> {
    let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
    before.keys().chain(after.keys()).filter(differs).map(PathBuf::as_path).collect()
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn what_is_accepted_passes_and_nothing_else_changes(
        changes in subsequence(CHANGES.to_vec(), 1..=CHANGES.len()),
    ) {
        let project = accepted();
        for change in &changes {
            apply(&project, change);
        }
        let (tree_before, locks_before) = (tree(&project), files_below(&project.path("audit/locks")));
        prop_assert_eq!(project.check(&[]).0, 2);
        project.ok(&["accept", "--yes"]);
        let (code, report) = project.check(&[]);
        prop_assert_eq!(code, 0, "{:#}", report);
        prop_assert_eq!(tree(&project), tree_before);
        let locks = files_below(&project.path("audit/locks"));
        let expected: BTreeSet<&Path> = changes.iter().flat_map(|(.., files)| *files).map(Path::new).collect();
        prop_assert_eq!(changed(&locks_before, &locks), expected);
        // An export of the same tree is the same baseline, byte for byte.
        project.ok(&["export", "--accept"]);
        prop_assert_eq!(files_below(&project.path("audit/locks")), locks);
    }
}
