//! An ordinary user, whom rights keep from looking.

use super::*;

/// A shell cannot tell what stands in a directory that may be read and not be entered: it may know less there
/// than this machine, and must not know better.
fn assert_no_better(here: &[String], there: &[String]) {
    let subjects = |told: &[String]| -> Vec<(usize, String)> {
        let lines = |(query, text): (usize, &String)| -> Vec<(usize, String)> {
            text.lines().take_while(|line| *line != "}").map(|line| (query, line.to_owned())).collect()
        };
        told.iter().enumerate().flat_map(lines).collect()
    };
    let is_unreadable = |line: &str| line.to_lowercase().contains("\": \"unreadable");
    let (here, there) = (subjects(here), subjects(there));
    for known in there.iter().filter(|(_, line)| !is_unreadable(line)) {
        assert!(here.contains(known), "{known:?} is not so");
    }
    for (query, unreadable) in here.iter().filter(|(_, line)| is_unreadable(line)) {
        let subject = unreadable.split("\": \"").next().unwrap();
        let also = |(other, line): &(usize, String)| {
            other == query && is_unreadable(line) && line.starts_with(subject)
        };
        assert!(there.iter().any(also), "{unreadable} is not unreadable by the script");
    }
}

#[test]
fn rights_are_seen_as_they_are_seen_here() {
    as_user("rights::rights");
}

#[test]
#[ignore = "run as an ordinary user by another test"]
fn rights() {
    let project = Project::new();
    for name in ["a", "b"] {
        project.module(&format!("addons/{name}"));
        project.file(format!("stacks/{name}/docker-compose.yml"), name);
        project.file(format!("addons/{name}/models/it's.py"), "x");
        project.file(format!("addons/{name}/models/a\nb.py"), "x");
    }
    project.link("addons/linked", "a");
    project.link("stacks/linked", "a");
    project.link("stacks/b/docker-compose.link.yml", "../a/docker-compose.yml");
    let named_files = list(&[b"stacks/a/docker-compose.yml", b"stacks/a/gone.yml", b"stacks/gone"]);
    let named_modules = list(&[b"addons/a", b"addons/gone", b"addons/a/gone"]);
    let mut queries = Vec::new();
    for select in [
        patterns(&["stacks/*/docker-compose*.yml", "**/*.yml", "stacks/*/gone.yml", "st*/**"]),
        Select::Detect,
    ] {
        queries.push(Query::Files(files(select.clone())));
        queries.push(Query::Files(FileQuery { named: named_files.clone(), ..files(select) }));
    }
    for select in [patterns(&["addons", "addons/*", "**"]), Select::Detect] {
        queries.push(Query::Modules(modules(select.clone())));
        queries.push(Query::Modules(ModuleQuery { named: named_modules.clone(), ..modules(select) }));
    }
    let mut shells = SHELLS.iter().cycle();
    for path in [
        "stacks/a/docker-compose.yml",
        "stacks/a",
        "stacks",
        "addons/a/models/order.py",
        "addons/a/models/it's.py",
        "addons/a/models/a\nb.py",
        "addons/a/models",
        "addons/a/__manifest__.py",
        "addons/a",
        "addons",
        "",
    ] {
        for mode in [0o000, 0o111, 0o333, 0o444] {
            let before = std::fs::metadata(project.path(path)).unwrap().permissions();
            let layout = project.layout();
            project.mode(path, mode);
            let here = locally(&layout, &queries);
            let by = shells.next().unwrap();
            let there = by_script(by, &layout, &queries, &Programs::Usual);
            if mode == 0o444 && !path.contains('.') {
                assert_no_better(&here, &there);
            } else {
                assert_same(&here, &there, by);
            }
            std::fs::set_permissions(layout.places().next().unwrap().1.join(path), before).unwrap();
        }
    }
}
