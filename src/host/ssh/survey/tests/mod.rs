//! The script run by local shells: what it tells must lead to the answers that this machine gives itself.

mod framing;
mod give;
mod hostile;
mod patterns;
mod programs;
mod random;
mod remembering;
mod rights;
mod system;
mod targets;

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

use super::{Snapshot, Survey, answer};
use crate::host::docker::Engine;
use crate::host::{
    Answer, FileQuery, FilesAnswer, Host as _, Layout, LocalHost, ModuleQuery, ModulesAnswer, Query, Scope,
    Seen, SeenModule, Select, Watch,
};
use crate::model::{Digest, Glob, Leaf, LeftOut, Tree, TreeBuilder, Unreadable};

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
    FileQuery { select, exclude: vec![], named: vec![], scope: Scope::default(), beside: true }
}

fn modules(select: Select) -> ModuleQuery {
    ModuleQuery {
        select,
        exclude: vec![],
        named: vec![],
        known: BTreeMap::new(),
        scope: Scope::default(),
        all_bytecode: false,
    }
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
    /// A directory where one of them is this script.
    Own(&'static str, String),
    /// The same, with all that lists plain modules.
    OwnBesideFind(&'static str, String),
}

/// Variables of a server that change what programs print, or that shells take for more than that.
const HOSTILE_ENVIRONMENT: [(&str, &str); 20] = [
    ("LC_ALL", "C.UTF-8"),
    ("LC_MESSAGES", "de_DE.UTF-8"),
    ("LANGUAGE", "de"),
    ("QUOTING_STYLE", "shell-escape-always"),
    ("TIME_STYLE", "+%s"),
    ("BLOCK_SIZE", "1K"),
    ("COLUMNS", "20"),
    ("LS_COLORS", "di=01;34"),
    ("POSIXLY_CORRECT", "1"),
    ("GREP_OPTIONS", "--invert-match"),
    ("PERL5OPT", "-Mno::such::module"),
    ("OPENSSL_CONF", "/no/such/file"),
    ("CDPATH", "/"),
    ("GLOBIGNORE", "*"),
    ("BASHOPTS", "nullglob:dotglob"),
    ("ENV", "/no/such/file"),
    ("BASH_FUNC_ls%%", "() { echo no list; }"),
    ("BASH_FUNC_sha256sum%%", "() { echo no digest; }"),
    ("BASH_FUNC_cd%%", "() { :; }"),
    ("TZ", "no zone"),
];

/// What the shell `by` writes when it reads the script.
fn run(by: &[&str], script: &[u8], programs: &Programs) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut script = script.to_vec();
    let link = |name: &str, program: &str| symlink(found(program), dir.path().join(name)).unwrap();
    match programs {
        Programs::Usual => {}
        Programs::Only(names) => names.iter().for_each(|name| link(name, name)),
        Programs::Busybox => {
            for name in ["head", "ls", "od", "readlink", "sha256sum", "tr"] {
                link(name, "busybox");
            }
        }
        Programs::Own(own, text) | Programs::OwnBesideFind(own, text) => {
            let mut others = vec!["head", "ls", "od", "readlink", "sha256sum", "tr"];
            if matches!(programs, Programs::OwnBesideFind(..)) {
                others.extend(["find", "sed", "xargs"]);
            }
            others.iter().filter(|name| *name != own).for_each(|name| link(name, name));
            let program = dir.path().join(own);
            std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let mut shell = Command::new(found(by[0]));
    shell.envs(HOSTILE_ENVIRONMENT);
    if !matches!(programs, Programs::Usual) {
        let text = String::from_utf8(script).unwrap();
        let usual = "PATH=$absolute/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
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
        Answer::Files(FilesAnswer { files, unmatched, left_out, beside }) => {
            let seen = |seen: &Seen| match seen {
                Seen::File(digest, _) => format!("file {digest}"),
                other => format!("{other:?}"),
            };
            let files: BTreeMap<_, _> = files.iter().map(|(path, it)| (shown(path), seen(it))).collect();
            let beside: BTreeMap<_, _> = beside.iter().map(|(path, by)| (shown(path), by)).collect();
            format!("{files:#?}\nbeside {beside:#?}\n{}", rest(unmatched, left_out))
        }
        Answer::Modules(ModulesAnswer { modules, unmatched, left_out }) => {
            let modules: BTreeMap<_, _> =
                modules.iter().map(|(path, it)| (shown(path), module(it))).collect();
            format!("{modules:#?}\n{}", rest(unmatched, left_out))
        }
        Answer::Containers(_) => String::new(),
        Answer::System(facts) => format!("{facts:#?}"),
        Answer::Ports(ports) => format!("{ports:#?}"),
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

/// What a script tells; bash has two that share the modules that are named.
fn by_script(by: &[&str], layout: &Layout, queries: &[Query], programs: &Programs) -> Vec<String> {
    let many = if by == SHELLS[1] { 1 } else { usize::MAX };
    let (survey, second) = Survey::written(layout, queries, None, many).unwrap();
    let mut snapshot = snapshot(by, &survey, programs);
    if let Some(second) = second {
        snapshot.join(self::snapshot(by, &second, programs));
    }
    let watch = Watch::default();
    queries.iter().map(|query| told(&answer(layout, query, &snapshot, &watch).unwrap())).collect()
}

fn snapshot(by: &[&str], survey: &Survey, programs: &Programs) -> Snapshot {
    let output = run(by, survey.script(), programs);
    let mut reader = survey.reader();
    let watch = Watch::default();
    for piece in output.chunks(4099) {
        reader.feed(piece, &watch).unwrap_or_else(|why| panic!("{why}\n{}", shown(&output)));
    }
    reader.finish().unwrap_or_else(|why| panic!("{why}\n{}", shown(&output)))
}

#[test]
fn of_two_scripts_each_asks_for_half_of_what_is_named() {
    let layout = Layout::of_root(Path::new("/srv"));
    let tree = |files: u32| {
        let mut tree = TreeBuilder::default();
        (0..files).for_each(|n| tree.push(n.to_string().into_bytes(), Leaf::File(Digest::of(b"")), None));
        tree.build()
    };
    let sizes = [("m/a", 700), ("m/b", 20), ("m/c", 20), ("m/d", 650), ("m/e", 1)];
    let named = sizes.map(|(name, _)| name.as_bytes().to_vec()).to_vec();
    let known = sizes.map(|(name, files)| (name.as_bytes().to_vec(), tree(files))).into();
    let query =
        |known| vec![Query::Modules(ModuleQuery { named: named.clone(), known, ..modules(Select::Named) })];
    let (many, few) = (query(known), query(BTreeMap::new()));
    let calls = |survey: &Survey| {
        let script = String::from_utf8(survey.script().to_vec()).unwrap();
        let call =
            |line: &str| Some(line.strip_prefix("call module '/srv/m/")?.split('\'').next()?.to_owned());
        script.lines().filter_map(call).collect::<Vec<_>>()
    };
    let (one, two) = Survey::side_by_side(&layout, &many, None, None).unwrap();
    assert_eq!(calls(&one), ["a"]);
    assert_eq!(calls(&two.unwrap()), ["b", "c", "d", "e"]);
    assert_eq!(calls(&Survey::new(&layout, &many).unwrap()), ["a", "b", "c", "d", "e"]);
    let (one, two) = Survey::side_by_side(&layout, &few, None, None).unwrap();
    assert!(calls(&one).len() == 5 && two.is_none(), "few files need no second script");
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

/// Runs an ignored test of this file as an ordinary user, whom rights count for.
fn as_user(test: &str) {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = dir.path().join("tests");
    // By `install`: a file that this process writes may still be open in a child of another test when it is started.
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(std::env::current_exe().unwrap()).arg(&binary);
    assert!(install.status().unwrap().success());
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
