//! Layouts of targets: prefixes that lie elsewhere, links, and nothing at all.

use super::*;

/// A layout whose prefixes lie all over the place.
fn scattered() -> (Project, Layout) {
    let project = Project::new();
    for (at, name) in ["erp", "srv", "other"].iter().enumerate() {
        for stack in ["a", "b", "special", ".hidden"] {
            project.file(format!("{name}/stacks/{stack}/docker-compose.yml"), format!("{at}"));
            project.file(format!("{name}/infra/stacks/{stack}/docker-compose.yml"), format!("infra {at}"));
        }
        project.module(&format!("{name}/addons/one"));
        project.module(&format!("{name}/addons/two"));
    }
    project.file("srv/special/docker-compose.yml", "special");
    project.file("srv/special/deep/docker-compose.yml", "special");
    project.file("etc/one.conf", "one");
    project.file("erp/conf/two.conf", "two");
    project.file("erp/conf/one.conf", "hidden");
    project.module("modules/mounted");
    project.module("modules/in_the_middle");
    project.module("srv/roots/r/m");
    project.link("srv/linked", "stacks");
    let place = |path: &str| project.path(path);
    let exceptions = vec![
        (b"infra/stacks".to_vec(), place("srv/stacks")),
        (b"infra/stacks/special".to_vec(), place("srv/special")),
        (b"infra/linked".to_vec(), place("srv/linked")),
        (b"infra/gone".to_vec(), place("srv/gone")),
        (b"conf/one.conf".to_vec(), place("etc/one.conf")),
        (b"conf/gone.conf".to_vec(), place("etc/gone.conf")),
        (b"addons/mounted".to_vec(), place("modules/mounted")),
        (b"addons/two/models".to_vec(), place("modules/in_the_middle")),
        (b"far/away/roots".to_vec(), place("srv/roots")),
        (b"far/.away/compose".to_vec(), place("srv/stacks")),
        (b"files/docker-compose.yml".to_vec(), place("srv/special/docker-compose.yml")),
    ];
    let layout = Layout::new(Some(place("erp")), exceptions);
    (project, layout)
}

fn queries_for_targets() -> Vec<Query> {
    let named_files = list(&[
        b"infra/stacks/a/docker-compose.yml",
        b"infra/stacks/special/docker-compose.yml",
        b"infra/stacks/gone/docker-compose.yml",
        b"infra/gone/docker-compose.yml",
        b"conf/one.conf",
        b"conf/gone.conf",
        b"stacks/a/docker-compose.yml",
        b"nowhere/x",
    ]);
    let named_modules =
        list(&[b"addons/one", b"addons/mounted", b"addons/two", b"addons/gone", b"infra/gone/m", b"far/x/m"]);
    let scope = Scope {
        include: Some(globs(&["infra/stacks/a/**", "addons/**", "conf/*", "far/away/roots/**"])),
        ..Scope::default()
    };
    let mut all = Vec::new();
    for texts in [
        &["infra/stacks/*/docker-compose*.yml"][..],
        &["**/docker-compose.yml", "conf/*", "infra/*", "infra/**", "in*/st*/sp*/**"],
        &["infra/stacks", "infra/stacks/special", "infra/linked/*/*", "infra/gone/*", "conf/one.conf", "**"],
    ] {
        for scope in [Scope::default(), scope.clone()] {
            for named in [vec![], named_files.clone()] {
                let exclude = globs(&["infra/stacks/b/**", "**/deep/*"]);
                let query = FileQuery { named, scope: scope.clone(), ..files(patterns(texts)) };
                all.push(Query::Files(query.clone()));
                all.push(Query::Files(FileQuery { exclude, ..query }));
            }
        }
    }
    for select in
        [Select::Detect, Select::Named, patterns(&["addons", "far/away/roots/*"]), patterns(&["**"])]
    {
        for scope in [Scope::default(), scope.clone()] {
            let named = named_modules.clone();
            let query = ModuleQuery { scope: scope.clone(), ..modules(select.clone()) };
            all.push(Query::Modules(ModuleQuery { named, ..query.clone() }));
            all.push(Query::Modules(query));
            if matches!(select, Select::Detect) {
                let named = named_files.clone();
                all.push(Query::Files(FileQuery { named, scope, ..files(select.clone()) }));
            }
        }
    }
    all
}

#[test]
fn a_target_is_seen_where_its_layout_places_it() {
    let (project, layout) = scattered();
    let exceptions = || {
        let places = layout.places().filter(|(prefix, _)| !prefix.is_empty());
        places.map(|(prefix, place)| (prefix.to_vec(), place.to_owned())).collect::<Vec<_>>()
    };
    let link = project.path("link");
    project.link("link", "erp");
    let layouts = [
        layout.clone(),
        Layout::new(None, exceptions()),
        Layout::new(Some(project.path("gone")), exceptions()),
        Layout::new(Some(project.path("etc/one.conf")), vec![]),
        Layout::new(Some(link), vec![]),
        Layout::of_root(&project.path("erp/")),
    ];
    for (number, layout) in layouts.iter().enumerate() {
        let (queries, by) = (queries_for_targets(), SHELLS[number % SHELLS.len()]);
        let here = locally(layout, &queries);
        assert_same(&here, &by_script(by, layout, &queries, &Programs::Usual), by);
        // One query alone is not helped by what is told for another.
        let alone = queries_for_targets().into_iter().skip(number % 3).step_by(3);
        for (query, by) in alone.zip(SHELLS.iter().cycle()) {
            let queries = [query];
            let here = locally(layout, &queries);
            assert_same(&here, &by_script(by, layout, &queries, &Programs::Usual), by);
        }
    }
}
