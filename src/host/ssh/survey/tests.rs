//! The script run by local shells: what it tells must lead to the answers that this machine gives itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_fs::TempDir;

use super::{Survey, answer};
use crate::host::docker::Engine;
use crate::host::{
    Answer, FileQuery, FilesAnswer, Host as _, Layout, LocalHost, ModuleQuery, ModulesAnswer, Query, Scope,
    Seen, SeenModule, Select, Watch,
};
use crate::model::{Glob, Leaf, LeftOut, Tree, Unreadable};

/// The user that rights count for.
const NOBODY: u32 = 65534;

/// The shells that a server may have as `sh`.
const SHELLS: [&[&str]; 3] = [&["dash", "-s"], &["bash", "-s"], &["busybox", "ash", "-s"]];

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::new(text).unwrap()).collect()
}

fn list(texts: &[&[u8]]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.to_vec()).collect()
}

fn files(select: Select) -> FileQuery {
    FileQuery { select, exclude: vec![], named: vec![], scope: Scope::default() }
}

fn modules(select: Select) -> ModuleQuery {
    ModuleQuery { select, exclude: vec![], named: vec![], scope: Scope::default() }
}

fn patterns(texts: &[&str]) -> Select {
    Select::Patterns(globs(texts))
}

/// Where a server's programs are found, in place of the usual directories.
enum Programs {
    Usual,
    /// A directory of these alone.
    Only(&'static [&'static str]),
    /// A directory where busybox has these names.
    Busybox,
    /// A directory where `sha256sum` is this script.
    Own(String),
}

/// What the shell `by` writes when it reads the script.
fn run(by: &[&str], script: &[u8], programs: &Programs) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut script = script.to_vec();
    let mut link = |name: &str, program: &str| symlink(found(program), dir.path().join(name)).unwrap();
    match programs {
        Programs::Usual => {}
        Programs::Only(names) => names.iter().for_each(|name| link(name, name)),
        Programs::Busybox => ["ls", "readlink", "sha256sum"].iter().for_each(|name| link(name, "busybox")),
        Programs::Own(text) => {
            ["ls", "readlink"].iter().for_each(|name| link(name, name));
            let program = dir.path().join("sha256sum");
            std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let mut shell = Command::new(found(by[0]));
    if !matches!(programs, Programs::Usual) {
        let text = String::from_utf8(script).unwrap();
        let usual = "PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
        assert!(text.contains(usual));
        script = text.replace(usual, &format!("PATH={}", dir.path().display())).into_bytes();
        shell.env("PATH", dir.path());
    }
    shell.args(&by[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    let sent = std::thread::spawn(move || drop(input.write_all(&script)));
    let output = shell.wait_with_output().unwrap();
    sent.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{by:?} complains");
    output.stdout
}

fn found(program: &str) -> PathBuf {
    let places = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let mut paths = places.iter().map(|place| Path::new(place).join(program));
    paths.find(|path| path.exists()).unwrap_or_else(|| panic!("{program} is not installed"))
}

/// An answer as text; what a host tells of a file beside its content is left out.
fn told(answer: &Answer) -> String {
    match answer {
        Answer::Files(FilesAnswer { files, unmatched, left_out }) => {
            let seen = |seen: &Seen| match seen {
                Seen::File(digest, _) => format!("file {digest}"),
                other => format!("{other:?}"),
            };
            let files: BTreeMap<_, _> = files.iter().map(|(path, it)| (shown(path), seen(it))).collect();
            format!("{files:#?}\n{}", rest(unmatched, left_out))
        }
        Answer::Modules(ModulesAnswer { modules, unmatched, left_out }) => {
            let modules: BTreeMap<_, _> =
                modules.iter().map(|(path, it)| (shown(path), module(it))).collect();
            format!("{modules:#?}\n{}", rest(unmatched, left_out))
        }
        Answer::Containers(_) => String::new(),
    }
}

fn rest(unmatched: &[Glob], left_out: &[LeftOut]) -> String {
    let unmatched: Vec<&str> = unmatched.iter().map(Glob::text).collect();
    format!("unmatched {unmatched:#?}\nleft out {left_out:#?}")
}

fn module(seen: &SeenModule) -> String {
    let tree = |tree: &Tree| {
        let line = |(path, leaf): (&[u8], Leaf)| format!("{} {leaf:?}", shown(path));
        tree.iter().map(line).collect::<Vec<_>>()
    };
    match seen {
        SeenModule::Whole(whole) => format!("whole {:#?}", tree(whole)),
        SeenModule::Gone => "gone".to_owned(),
        SeenModule::Unreadable(Unreadable { reason, parts, tree: held }) => {
            let parts: Vec<_> = parts.iter().map(|(path, why)| (shown(path), why)).collect();
            format!("unreadable {reason} {parts:#?} {:#?}", held.as_ref().map(tree))
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn locally(layout: &Layout, queries: &[Query]) -> Vec<String> {
    let host = LocalHost::new(layout.clone(), Engine::None("not asked".to_owned()));
    host.observe(queries, &Watch::default()).unwrap().iter().map(told).collect()
}

fn by_script(by: &[&str], layout: &Layout, queries: &[Query], programs: &Programs) -> Vec<String> {
    let survey = Survey::new(layout, queries).unwrap();
    let output = run(by, survey.script(), programs);
    let mut reader = survey.reader();
    let watch = Watch::default();
    for piece in output.chunks(4099) {
        reader.feed(piece, &watch).unwrap_or_else(|why| panic!("{why}\n{}", shown(&output)));
    }
    let snapshot = reader.finish().unwrap_or_else(|why| panic!("{why}\n{}", shown(&output)));
    queries.iter().map(|query| told(&answer(layout, query, &snapshot, &watch).unwrap())).collect()
}

/// Expects each shell to lead to the answers of this machine, and gives these.
fn agree(layout: &Layout, queries: &[Query]) -> Vec<String> {
    let here = locally(layout, queries);
    for by in SHELLS {
        assert_same(&here, &by_script(by, layout, queries, &Programs::Usual), by);
    }
    here
}

fn assert_same(here: &[String], there: &[String], by: &[&str]) {
    for (here, there) in here.iter().zip(there) {
        let differs = |(here, there): &(&str, &str)| here != there;
        let line = here.lines().zip(there.lines()).position(|pair| differs(&pair));
        let around = |text: &str| {
            let from = line.unwrap_or(0).saturating_sub(4);
            text.lines().skip(from).take(12).collect::<Vec<_>>().join("\n")
        };
        assert!(here == there, "{by:?}\n--- here\n{}\n--- by the script\n{}", around(here), around(there));
    }
    assert_eq!(here.len(), there.len());
}

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
        let also = |(other, line): &(usize, String)| other == query && is_unreadable(line) && line.starts_with(subject);
        assert!(there.iter().any(also), "{unreadable} is not unreadable by the script");
    }
}

/// A tree to be looked at.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(TempDir::new().unwrap());
        std::fs::set_permissions(project.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        project
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn layout(&self) -> Layout {
        Layout::of_root(&self.root())
    }

    fn path(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.root().join(OsStr::from_bytes(path.as_ref()))
    }

    fn file(&self, path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn dir(&self, path: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(path)).unwrap();
    }

    fn link(&self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(OsStr::from_bytes(target.as_ref()), path).unwrap();
    }

    fn module(&self, path: &str) {
        self.file(format!("{path}/__manifest__.py"), "{}\n");
        self.file(format!("{path}/models/order.py"), "class Order: pass\n");
    }

    fn fifo(&self, path: &str) {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            self.path(path),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.path(path), PermissionsExt::from_mode(mode)).unwrap();
    }
}

/// Names that shells, `sha256sum` or the framing may stumble over.
fn hostile_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b" "[..],
        b"  two  ",
        b"a\nb",
        b"trailing\n",
        b"\n",
        b"cr\r",
        b"\r\n",
        b"back\\slash",
        b"\\",
        b"\\n",
        b"'",
        b"''",
        b"it's",
        b"\"",
        b"`id`",
        b"$(id)",
        b"$HOME",
        b"${x}",
        b"*",
        b"?",
        b"[a]",
        b"[",
        b"]",
        b"a*b",
        b".[!.]*",
        b"..?*",
        b".[",
        b"!",
        b"-",
        b"--",
        b"-n",
        b"-rf",
        b"-a\nb",
        b"-\\",
        b"-'",
        b".hidden",
        b"..two",
        b"...",
        b"=",
        b"(",
        b")",
        b"-o",
        b"-a",
        b"&",
        b";",
        b"|",
        b"<",
        b">",
        b"#",
        b"~",
        b"~root",
        b"x~y",
        b"\t",
        b"\x01",
        b"\x7f",
        b"\x81",
        b"\x88\x89",
        b"\xff\xfe",
        b"\xc3",
        b"caf\xc3\xa9",
        b"H1",
        b"m",
        b"Zdriftlock",
        b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  x",
        b"0",
        b".",
        b"..",
        b"\xe2\x80\xa8",
        b"x.swp",
        b"x~",
        b".DS_Store",
        b"x.pyc",
        b"\x1b[31m",
        b"%s",
        b"%",
        b"\\000",
        b"driftlock begin",
    ]
    .iter()
    .map(|name| name.to_vec())
    .filter(|name| !matches!(name.as_slice(), b"." | b".."))
    .collect();
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

fn hostile() -> Project {
    let project = Project::new();
    hostile_module(&project, "addons/whole");
    project.file("addons/whole/static/lib/x.js", "x");
    project.file("addons/whole/static/lib/deep/y.js", "y");
    project.module("addons/ordinary");
    project.module("addons/__pycache__");
    project.file("addons/no_manifest/x.py", "x");
    project.file("addons/manifest_is_a_directory/__manifest__.py/x", "x");
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
        b"/etc/passwd",
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
        &["/etc/host*", "/etc/hostname", "/nowhere/*", "./stacks//a/*"],
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
        let scope = Scope { include: Some(globs(&["stacks/a/**", "names/[a-m]*", "**/compose.y*"])) };
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
        let scope = Scope { include: Some(globs(&["addons/o*/**", "elsewhere/**", "hostile_root/[a-i]*"])) };
        all.push(Query::Modules(ModuleQuery { scope, named: named_modules[..2].to_vec(), ..query }));
    }
    all
}

#[test]
fn a_hostile_tree_is_seen_as_it_is_seen_here() {
    let project = hostile();
    for (number, query) in all_queries().into_iter().enumerate() {
        let (queries, by) = ([query], SHELLS[number % SHELLS.len()]);
        let here = locally(&project.layout(), &queries);
        assert_same(&here, &by_script(by, &project.layout(), &queries, &Programs::Usual), by);
    }
}

#[test]
fn several_queries_at_once_are_answered_as_each_alone() {
    let project = hostile();
    let some: Vec<Query> = all_queries().into_iter().step_by(3).collect();
    agree(&project.layout(), &some);
}

#[test]
fn every_program_that_hashes_will_do() {
    let project = hostile();
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(files(patterns(&["names/*", "stacks/*/docker-compose*.yml"]))),
    ];
    let here = locally(&project.layout(), &queries);
    let programs = [
        Programs::Only(&["ls", "readlink", "sha256sum"]),
        Programs::Only(&["ls", "readlink", "shasum", "perl"]),
        Programs::Only(&["ls", "readlink", "openssl"]),
        Programs::Busybox,
    ];
    for programs in programs {
        for by in SHELLS {
            assert_same(&here, &by_script(by, &project.layout(), &queries, &programs), by);
        }
    }
}

#[test]
fn without_a_program_that_hashes_there_is_one_clear_error() {
    let project = Project::new();
    let survey = Survey::new(&project.layout(), &[Query::Files(files(patterns(&["*"])))]).unwrap();
    let output = run(SHELLS[0], survey.script(), &Programs::Only(&["ls", "readlink"]));
    let mut reader = survey.reader();
    let why = reader.feed(&output, &Watch::default()).unwrap_err();
    assert_eq!(
        why,
        "none of sha256sum, shasum and openssl is installed on the server: install coreutils there"
    );
    assert_eq!(reader.finish().unwrap_err(), why);
}

#[test]
fn the_account_may_have_any_shell() {
    let project = Project::new();
    project.module("addons/it's");
    project.file("stacks/a !$x/docker-compose.yml", "a");
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(files(patterns(&["stacks/*/docker-compose*.yml"]))),
    ];
    let here = locally(&project.layout(), &queries);
    for by in [["fish", "-c", "sh -s"], ["csh", "-c", "sh -s"], ["bash", "-c", "exec sh -s"]] {
        assert_same(&here, &by_script(&by, &project.layout(), &queries, &Programs::Usual), &by);
    }
}

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
    let scope =
        Scope { include: Some(globs(&["infra/stacks/a/**", "addons/**", "conf/*", "far/away/roots/**"])) };
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
        agree(layout, &queries_for_targets());
        // One query alone is not helped by what is told for another.
        let alone = queries_for_targets().into_iter().skip(number % 3).step_by(3);
        for (query, by) in alone.zip(SHELLS.iter().cycle()) {
            let queries = [query];
            let here = locally(layout, &queries);
            assert_same(&here, &by_script(by, layout, &queries, &Programs::Usual), by);
        }
    }
}

/// Runs an ignored test of this file as an ordinary user, whom rights count for.
fn as_user(test: &str) {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = dir.path().join("tests");
    // By `cp`: a file that this process writes may still be open in a child of another test when it is started.
    assert!(
        Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&binary).status().unwrap().success()
    );
    let mut command = Command::new(binary);
    command.args(["--ignored", "--exact", &format!("host::ssh::survey::tests::{test}")]).current_dir("/");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn rights_are_seen_as_they_are_seen_here() {
    as_user("rights");
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
            for by in SHELLS {
                let there = by_script(by, &layout, &queries, &Programs::Usual);
                if mode == 0o444 && !path.contains('.') {
                    assert_no_better(&here, &there);
                } else {
                    assert_same(&here, &there, by);
                }
            }
            std::fs::set_permissions(layout.places().next().unwrap().1.join(path), before).unwrap();
        }
    }
}

#[test]
#[ignore = "run as an ordinary user by another test"]
fn hostile_tree_of_a_user() {
    a_hostile_tree_is_seen_as_it_is_seen_here();
}

#[test]
fn a_hostile_tree_of_an_ordinary_user_is_seen_as_it_is_seen_here() {
    as_user("hostile_tree_of_a_user");
}

#[test]
fn a_module_that_moves_is_looked_at_again() {
    let project = Project::new();
    project.module("addons/moving");
    // The first of its files: it is there again when the others have been hashed, so whenever it is listed.
    project.file("addons/moving/A.py", "x");
    let victim = project.path("addons/moving/A.py");
    let (victim, queries) = (victim.display(), [Query::Modules(modules(patterns(&["addons"])))]);
    let observe =
        |text: String| by_script(SHELLS[0], &project.layout(), &queries, &Programs::Own(text)).remove(0);
    let sha256sum = found("sha256sum");
    let real = sha256sum.display();
    let always = format!("if [ $# = 0 ]; then : >'{victim}'; else /bin/rm '{victim}'; fi; exec {real} \"$@\"");
    let kept_vanishing = observe(always);
    assert!(kept_vanishing.contains("files in it kept vanishing while it was read"), "{kept_vanishing}");
    let once = observe(format!("/bin/rm -f '{victim}'; exec {real} \"$@\""));
    assert_eq!(once, locally(&project.layout(), &queries)[0]);
    assert!(once.contains("whole") && !once.contains("A.py"), "{once}");
}

#[test]
fn a_file_that_cannot_be_read_has_its_reason() {
    let project = Project::new();
    project.module("addons/a");
    project.file("addons/a/broken.py", "broken");
    let queries = [Query::Modules(modules(patterns(&["addons"])))];
    let sha256sum = found("sha256sum");
    let real = sha256sum.display();
    let text = format!(
        "[ $# = 0 ] || exit 1; text=$({real}); [ \"${{text%% *}}\" != {} ] || {{ echo 'sha256sum: -: Input/output error' >&2; exit 1; }}; echo \"$text\"",
        crate::model::Digest::of(b"broken")
    );
    // Busybox takes its own program, wherever others are found.
    for by in &SHELLS[..2] {
        let seen = by_script(by, &project.layout(), &queries, &Programs::Own(text.clone())).remove(0);
        assert!(seen.contains("1 of its paths could not be read"), "{seen}");
        assert!(seen.contains("broken.py") && seen.contains("input/output error"), "{seen}");
        assert!(seen.contains("models/order.py File("), "{seen}");
    }
}

/// What the script writes for a small tree, and the survey that asked.
fn small_output() -> (Project, Survey, Vec<u8>) {
    let project = Project::new();
    project.module("addons/a");
    project.link("addons/a/link", "target");
    project.file("addons/a/odd\n.py", "x");
    project.file("stacks/a/docker-compose.yml", "a");
    let queries = [
        Query::Modules(modules(patterns(&["addons"]))),
        Query::Files(FileQuery { named: list(&[b"gone"]), ..files(patterns(&["stacks/*/*.yml"])) }),
    ];
    let survey = Survey::new(&project.layout(), &queries).unwrap();
    let output = run(SHELLS[0], survey.script(), &Programs::Usual);
    (project, survey, output)
}

/// Reads an output in pieces of one size.
fn read(survey: &Survey, output: &[u8], size: usize) -> Result<super::Snapshot, String> {
    let mut reader = survey.reader();
    for piece in output.chunks(size) {
        let _ = reader.feed(piece, &Watch::default());
    }
    reader.finish()
}

#[test]
fn an_output_that_is_cut_short_is_an_error() {
    let (_project, survey, output) = small_output();
    assert!(read(&survey, &output, 7).is_ok());
    for end in 0..output.len() {
        let why = read(&survey, &output[..end], 64).unwrap_err();
        assert!(why.contains("cut short") || why.contains("does not begin"), "{end}: {why}");
    }
}

#[test]
fn noise_around_the_output_does_not_matter() {
    let (_project, survey, output) = small_output();
    let begin = output.iter().skip(1).position(|&b| b == 0).unwrap();
    for noise in [&b"Welcome!\n"[..], b"\0", b"\0\0driftlock", &output[..begin - 1], &[b'x'; 100_000]] {
        for size in [1, 10, 1 << 20] {
            let noisy = [noise, &output, noise].concat();
            assert!(read(&survey, &noisy, size).is_ok(), "{}", shown(&noise[..noise.len().min(50)]));
        }
    }
}

#[test]
fn an_output_that_the_script_does_not_write_is_an_error() {
    let (project, survey, output) = small_output();
    let another = Survey::new(&project.layout(), &[Query::Files(files(patterns(&["*"])))]).unwrap();
    assert!(read(&another, &output, 64).unwrap_err().contains("does not begin"));
    let text = String::from_utf8(output).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        read(&survey, text.replacen(from, to, 1).as_bytes(), 64).unwrap_err()
    };
    let (calls, after) = text.rsplit_once(' ').map(|(_, calls)| calls.split_once('\0').unwrap()).unwrap();
    assert_eq!(after, "");
    assert!(changed(&format!(" {calls}\0"), " 1\0").contains("wrong number of results"));
    for (from, to) in [
        ("\0H", "\0H9"),
        ("\0H", "\0Hx"),
        ("\0m\0", "\0"),
        ("\0m\0", "\0m\0m\0"),
        ("\0.\0", "\0.\0.\0.\0.\0.\0.\0.\0.\0"),
        ("  __manifest__.py\n", " __manifest__.py\n"),
        ("  __manifest__.py\n", "  gone/__manifest__.py\n"),
        ("\0emodels\0", "\0e\0"),
        ("\0emodels\0", "\0\0"),
        ("\0emodels\0", "\0~models\0"),
        ("\0h", "\0hx"),
        ("\0t", "\0tx"),
        ("\0F", "\0F/x\0x\0F"),
    ] {
        let why = changed(from, to);
        assert!(why.contains("garbled") || why.contains("wrong number"), "{from:?} {to:?}: {why}");
    }
}

#[test]
fn an_output_without_an_end_is_given_up() {
    let (_project, survey, output) = small_output();
    let begin = output.iter().skip(1).position(|&b| b == 0).unwrap() + 2;
    let mut reader = survey.reader();
    reader.feed(&output[..begin], &Watch::default()).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let why = (0..100).find_map(|_| reader.feed(&piece, &Watch::default()).err());
    assert!(why.unwrap().contains("no end"));
}

#[test]
fn nothing_is_written_anywhere() {
    let project = hostile();
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

#[test]
fn real_modules_are_seen_as_they_are_seen_here() {
    let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/wheels");
    if wheels.join("addons").is_dir() {
        let query = ModuleQuery { exclude: globs(&["*/static/lib/**"]), ..modules(patterns(&["addons"])) };
        let here = agree(&Layout::of_root(&wheels), &[Query::Modules(query)]);
        assert!(here[0].contains("whole"), "{}", here[0]);
    }
}

#[test]
fn containers_alone_need_no_script() {
    let query = crate::host::ContainerQuery { patterns: vec![], named: std::collections::BTreeSet::new() };
    assert!(Survey::new(&Layout::of_root(Path::new("/")), &[Query::Containers(query)]).is_none());
}
