//! Trees that somebody made to mislead a shell.

use super::*;

/// Names that shells, `sha256sum` or the framing may stumble over.
pub(super) fn hostile_names() -> Vec<Vec<u8>> {
    // NUL stands between them: it is what no name can hold.
    let names = concat!(
        " \0  two  \0a\nb\0trailing\n\0\n\0cr\r\0\r\n\0back\\slash\0\\\0\\n\0'\0''\0it's\0\"\0`id`\0$(id)\0$HOME\0${x}\0",
        "*\0?\0[a]\0[\0]\0a*b\0.[!.]*\0..?*\0.[\0!\0-\0--\0-n\0-rf\0-a\nb\0-\\\0-'\0.hidden\0..two\0...\0=\0(\0)\0-o\0-a\0",
        "&\0;\0|\0<\0>\0#\0~\0~root\0x~y\0\t\0\x01\0\x7f\0café\0\u{2028}\0H1\0m\0Zdriftlock\00\0driftlock begin\0%s\0%\0",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  x\0x.swp\0x~\0.DS_Store\0x.pyc\0\x1b[31m\0\\000",
    );
    let mut names: Vec<Vec<u8>> = names.split('\0').map(|name| name.as_bytes().to_vec()).collect();
    names.extend(list(&[b"\x81", b"\x88\x89", b"\xff\xfe", b"\xc3"]));
    names.push(vec![b'n'; 255]);
    names.push([&[b'n'; 254][..], b"\n"].concat());
    names
}

fn hostile_module(project: &Project, place: &str) {
    project.module(place);
    for (i, name) in hostile_names().iter().enumerate() {
        project.file([place.as_bytes(), b"/", name].concat(), format!("{i}"));
        project.file([place.as_bytes(), b"/d/", name, b"/", name].concat(), format!("{i} deep"));
        if i % 8 == 2 {
            project.link([place.as_bytes(), b"/links/", name].concat(), [&name[..], b"\n\n"].concat());
            project.link([place.as_bytes(), b"/d/link-", &i.to_string().into_bytes()].concat(), name);
        }
    }
    for pruned in ["__pycache__", ".git", ".hg", ".svn"] {
        project.file(format!("{place}/{pruned}/x"), "no");
        project.file(format!("{place}/sub/{pruned}"), "no");
    }
    hostile_bytecode(project, place);
    for dropped in [".DS_Store", "a.swp", "b~"] {
        project.file(format!("{place}/sub/{dropped}"), "no");
        project.file(format!("{place}/sub/dir/{dropped}/inside"), "yes");
        project.link(format!("{place}/sub/links/{dropped}"), "nowhere");
    }
    project.dir(format!("{place}/empty/empty"));
    project.link(format!("{place}/broken"), "nowhere");
    project.link(format!("{place}/self"), "self");
    project.link(format!("{place}/up"), "..");
    project.fifo(&format!("{place}/sub/fifo"));
    drop(UnixListener::bind(project.path(format!("{place}/sub/socket"))).unwrap());
}

/// Bytecode of all kinds, under names of all kinds.
fn hostile_bytecode(project: &Project, place: &str) {
    let head = |flags: u8| [&b"\xa7\r\r\n"[..], &[flags, 0, 0, 0], b"mtimesize code"].concat();
    for (i, name) in hostile_names().iter().filter(|name| name.len() < 200).enumerate() {
        let source = [place.as_bytes(), b"/code/", name, b".py"].concat();
        if i % 3 == 0 {
            project.file(source, "x = 1");
        }
        let flags = u8::try_from(i % 5).unwrap();
        for tag in [&b".cpython-311.pyc"[..], b".x.cpython-311.opt-1.pyc", b".pyc"] {
            project.file([place.as_bytes(), b"/code/__pycache__/", name, tag].concat(), head(flags));
        }
    }
    for (name, bytes) in
        [("empty", &b""[..]), ("short", b"\xa7\r\r\n\x01\0\0\0"), ("text", b"no bytecode, only text")]
    {
        project.file(format!("{place}/code/__pycache__/{name}.cpython-311.pyc"), bytes);
        project.file(format!("{place}/short/__pycache__/{name}.cpython-311.pyc"), bytes);
    }
    project.file(format!("{place}/__pycache__/top.cpython-311.pyc"), head(1));
    project.file(format!("{place}/__pycache__/deep/__pycache__/x.cpython-311.pyc"), head(0));
    project.file(format!("{place}/__pycache__/.git/x.cpython-311.pyc"), head(1));
    project.file(format!("{place}/dir.py/x"), "a directory");
    project.file(format!("{place}/__pycache__/dir.cpython-311.pyc"), head(0));
    project.file(format!("{place}/__pycache__/dir.pyc/x.pyc"), head(0));
    project.link(format!("{place}/broken.py"), "nowhere");
    project.file(format!("{place}/__pycache__/broken.cpython-311.pyc"), head(0));
    project.link(format!("{place}/__pycache__/link.pyc"), "../x.pyc");
    project.link(format!("{place}/__pycache__/link"), "..");
    project.link(format!("{place}/linked/__pycache__"), "../code/__pycache__");
    project.fifo(&format!("{place}/__pycache__/fifo.pyc"));
    project.fifo(&format!("{place}/__pycache__/fifo"));
    project.file(format!("{place}/static/lib/__pycache__/x.cpython-311.pyc"), head(1));
}

pub(super) fn hostile_tree() -> Project {
    let project = Project::new();
    hostile_module(&project, "addons/whole");
    project.file("addons/whole/static/lib/x.js", "x");
    project.file("addons/whole/static/lib/deep/y.js", "y");
    project.module("addons/ordinary");
    project.module("addons/__pycache__");
    project.file("addons/no_manifest/x.py", "x");
    project.file("addons/manifest_is_a_directory/__manifest__.py/x", "x");
    project.file("addons/older/__openerp__.py", "{}");
    project.file("addons/older_beside_a_directory/__manifest__.py/x", "x");
    project.file("addons/older_beside_a_directory/__openerp__.py", "{}");
    project.file("addons/both/__openerp__.py", "{}");
    project.module("addons/both");
    project.file("addons/manifest_is_a_link/x.py", "x");
    project.link("addons/manifest_is_a_link/__manifest__.py", "nowhere");
    project.file("addons/file", "x");
    project.dir("addons/empty");
    project.link("addons/to_nothing", "nowhere");
    project.link("addons/to_itself", "to_itself");
    project.link("addons/to_a_file", "file");
    project.link("addons/linked", "../elsewhere/module");
    project.module("elsewhere/module");
    project.link("linked_root", "elsewhere");
    project.link("broken_root", "nowhere");
    project.link("looping_root", "looping_root");
    project.file("file_root", "x");
    for (i, name) in hostile_names().iter().filter(|name| name.len() < 200).enumerate() {
        project.file([b"names/", &name[..]].concat(), name);
        if i % 4 != 2 {
            continue;
        }
        project.file([b"stacks/", &name[..], b"/docker-compose.yml"].concat(), name);
        project.module(&["odd roots/of ", &String::from_utf8_lossy(name).replace('/', "")].concat());
        project.file([b"hostile_root/", &name[..], b"/__manifest__.py"].concat(), name);
    }
    project.file("stacks/a/docker-compose.prod.yml", "a");
    project.file("stacks/a/compose.yaml", "a");
    project.file("stacks/a/node_modules/compose.yaml", "a");
    project.file("stacks/file", "x");
    project.dir("stacks/a/docker-compose.dir.yml");
    project.link("stacks/a/docker-compose.link.yml", "docker-compose.prod.yml");
    project.link("stacks/a/docker-compose.broken.yml", "nowhere");
    project.link("stacks/a/docker-compose.loop.yml", "docker-compose.loop.yml");
    project.fifo("stacks/a/docker-compose.fifo.yml");
    project.link("stacks/linked", "a");
    project.link("stacks/to_nothing", "nowhere");
    project.link("stacks/to_itself", "to_itself");
    project.link("stacks/a/up", "..");
    project.link("stacks/a/here", ".");
    project.file("audit/compose.yml", "no");
    project.file(".hidden/compose.yml", "no");
    project.file("compose.yml", "top");
    let deep: Vec<&str> = std::iter::repeat_n("deep", 40).collect();
    project.file(format!("{}/compose.yml", deep.join("/")), "deep");
    project.file(format!("addons/ordinary/{}/x.py", deep.join("/")), "deep");
    project
}

/// Queries of every kind over a hostile tree.
fn all_queries() -> Vec<Query> {
    let named_files = list(&[
        b"stacks/a/docker-compose.prod.yml",
        b"stacks/a/docker-compose.link.yml",
        b"stacks/a/docker-compose.broken.yml",
        b"stacks/a/docker-compose.loop.yml",
        b"stacks/a/docker-compose.fifo.yml",
        b"stacks/a/docker-compose.dir.yml",
        b"stacks/to_itself/docker-compose.yml",
        b"stacks/to_nothing/docker-compose.yml",
        b"stacks/file/docker-compose.yml",
        b"stacks/gone/docker-compose.yml",
        b"stacks/it's/docker-compose.yml",
        b"stacks/\n/docker-compose.yml",
        b"names/-n",
        b"names/\\n",
        b"/usr/bin/true",
        b"/nowhere/at/all",
        b"/",
    ]);
    let named_modules = list(&[
        b"addons/whole",
        b"addons/no_manifest",
        b"addons/gone",
        b"addons/file",
        b"addons/to_nothing",
        b"addons/to_itself",
        b"addons/to_a_file",
        b"addons/empty",
        b"addons/linked",
        b"hostile_root/it's",
        b"gone/at/all",
        b"to_itself/x",
    ]);
    let mut all = Vec::new();
    for texts in [
        &["stacks/*/docker-compose*.yml"][..],
        &["stacks/**/docker-compose*.yml", "stacks/**", "names/*"],
        &["stacks/*", "names/**", "file_root", "gone", "stacks/*/gone", "stacks/gone/*/x"],
        &["**/compose.y?ml", "**/compose.yml", "**/*.[yx]ml", "*/a/[!x]*", "**/stacks/**/*"],
        &[
            "looping_root/*",
            "looping_root/x",
            "broken_root/*",
            "file_root/*",
            "file_root/x",
            "names/?",
            "names/[é-ü]*",
        ],
        &["/usr/bin/tru*", "/usr/bin/true", "/nowhere/*", "./stacks//a/*"],
    ] {
        all.push(Query::Files(files(patterns(texts))));
        all.push(Query::Files(FileQuery { named: named_files.clone(), ..files(patterns(texts)) }));
        let exclude = globs(&[
            "stacks/*/docker-compose.prod.yml",
            "stacks/to_*/**",
            "**/a/**",
            "names/-*",
            "**/*\u{e9}",
        ]);
        all.push(Query::Files(FileQuery { exclude, ..files(patterns(texts)) }));
        let scope = Scope {
            include: Some(globs(&["stacks/a/**", "names/[a-m]*", "**/compose.y*"])),
            ..Scope::default()
        };
        all.push(Query::Files(FileQuery { scope, named: named_files.clone(), ..files(patterns(texts)) }));
    }
    for select in [Select::Detect, Select::Named] {
        let exclude = globs(&["stacks/a/**"]);
        all.push(Query::Files(FileQuery { exclude, named: named_files.clone(), ..files(select.clone()) }));
        all.push(Query::Modules(ModuleQuery { named: named_modules.clone(), ..modules(select) }));
    }
    for texts in [
        &["addons"][..],
        &["*", "addons", "linked_root", "odd roots", "hostile_root"],
        &["**", "broken_root", "looping_root", "file_root", "gone"],
        &["add*", "elsewh?re", "hostile_root", "."],
    ] {
        all.push(Query::Modules(modules(patterns(texts))));
        let exclude = globs(&["*/static/lib/**", "ordinary", "whole/d/*", "**/*.swp", "whole/links/**"]);
        let query = ModuleQuery { exclude, ..modules(patterns(texts)) };
        all.push(Query::Modules(query.clone()));
        all.push(Query::Modules(ModuleQuery { named: named_modules.clone(), ..query.clone() }));
        let scope = Scope {
            include: Some(globs(&["addons/o*/**", "elsewhere/**", "hostile_root/[a-i]*"])),
            ..Scope::default()
        };
        all.push(Query::Modules(ModuleQuery { scope, named: named_modules[..2].to_vec(), ..query }));
    }
    all
}

#[test]
fn a_hostile_tree_is_seen_as_it_is_seen_here() {
    let project = hostile_tree();
    for (number, query) in all_queries().into_iter().enumerate() {
        let (queries, by) = ([query], SHELLS[number % SHELLS.len()]);
        let here = locally(&project.layout(), &queries);
        assert_same(&here, &by_script(by, &project.layout(), &queries, &Programs::Usual), by);
    }
}

#[test]
fn a_hostile_name_is_read_right_without_others_beside_it() {
    let project = Project::new();
    for (i, name) in hostile_names().iter().enumerate() {
        let module = format!("addons/m{i}/");
        project.module(&module);
        project.file([module.as_bytes(), name].concat(), format!("{i}"));
    }
    agree(&project.layout(), &[Query::Modules(modules(patterns(&["addons"])))]);
}

#[test]
fn links_that_lead_back_and_forth_are_not_followed_in_circles() {
    let project = Project::new();
    for name in ["a", "b", "c"] {
        project.file(format!("{name}/compose.yml"), name);
        project.link(format!("{name}/up"), "..");
        project.link(format!("{name}/here"), ".");
        project.link(format!("{name}/other"), "../b");
    }
    for select in [patterns(&["**/compose.yml"]), patterns(&["**"]), Select::Detect] {
        let queries = [Query::Files(files(select))];
        agree(&project.layout(), &queries);
        let survey = Survey::new(&project.layout(), &queries).unwrap();
        let told = run(SHELLS[0], survey.script(), &Programs::Usual).len();
        assert!(told < 10_000, "{told} bytes");
    }
}

#[test]
fn several_queries_at_once_are_answered_as_each_alone() {
    let project = hostile_tree();
    let some: Vec<Query> = all_queries().into_iter().step_by(3).collect();
    agree(&project.layout(), &some);
}

#[test]
#[ignore = "run as an ordinary user by another test"]
fn hostile_tree_of_a_user() {
    a_hostile_tree_is_seen_as_it_is_seen_here();
}

#[test]
fn a_hostile_tree_of_an_ordinary_user_is_seen_as_it_is_seen_here() {
    as_user("hostile::hostile_tree_of_a_user");
}

#[test]
fn nothing_is_written_anywhere() {
    let project = hostile_tree();
    project.dir("home");
    project.dir("tmp");
    let queries: Vec<Query> = all_queries().into_iter().step_by(7).collect();
    let survey = Survey::new(&project.layout(), &queries).unwrap();
    let all = || -> BTreeMap<PathBuf, (i64, i64, u64)> {
        let mut pending = vec![project.root()];
        let mut all = BTreeMap::new();
        while let Some(path) = pending.pop() {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            all.insert(path, (meta.ctime(), meta.ctime_nsec(), meta.len()));
        }
        all
    };
    let before = all();
    for by in SHELLS {
        let root = project.root();
        let inside: [&str; 5] = ["env", "-C", root.to_str().unwrap(), "HOME=home", "TMPDIR=tmp"];
        run(&[&inside[..], by].concat(), survey.script(), &Programs::Usual);
        assert!(before == all(), "{by:?} changes something");
    }
}
