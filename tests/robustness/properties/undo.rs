//! Undo over random histories: each command that a check prints brings its finding back to the baseline, and nothing else in
//! the tree, the index or the references changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use driftlock::model::{Digest, Finding, Report};

use crate::support::Project;
use crate::support::dice::Dice;

/// How many histories are tried where `DRIFTLOCK_UNDO_CASES` does not say otherwise.
const CASES: u64 = 12;
const UNDO: &str = "undo";
/// Names that a shell, git or a glob may take for something else.
const NAMES: [&[u8]; 14] = [
    b"web",
    b"erp",
    b"a b",
    b"it's",
    b"st*r",
    b"[x]",
    b":(top)m",
    b":x",
    b"-dash",
    b"q\"$HOME`id`",
    b"100%",
    b"new\nline",
    b"latin\xe9",
    b"back\\slash",
];
const TEXTS: [&str; 6] = [
    "one\n",
    "two\nlines\n",
    "three\nlines\nhere\n",
    "one\n# a fix\n",
    "services: {}\n",
    "a\nb\nc\nd\ne\nf\n",
];
const CONFIG: &str = "[compose]\nfiles = [\"stacks/*/docker-compose.yml\"]\n[addons]\nroots = [\"addons/*\"]\n\
                      exclude = [\"*/static/lib/**\"]\n[docker]\nmode = \"off\"\n";

/// The text of a file.
fn some_text(dice: &mut Dice) -> String {
    TEXTS[dice.roll(TEXTS.len())].to_owned()
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    File(Vec<u8>, u32),
    Link(PathBuf),
}

/// A work tree with a project in it, and a target's tree beside.
struct World {
    tree: PathBuf,
    root: PathBuf,
    server: PathBuf,
    binary: PathBuf,
    dice: Dice,
    clock: i64,
    has_stash: bool,
    _kept: Project,
}

impl World {
    fn new(seed: u64) -> Self {
        let kept = Project::empty();
        let mut dice = Dice(seed);
        let tree = kept.root().join("tree");
        let root = if dice.once_in(3) { tree.join("sub/erp") } else { tree.clone() };
        fs::create_dir_all(root.join("audit")).unwrap();
        let server = kept.root().join("server");
        let binary = PathBuf::from(kept.driftlock(&[]).get_program());
        let mut world =
            Self { tree, root, server, binary, dice, clock: 1_790_000_000, has_stash: false, _kept: kept };
        world.git(&["init", "--quiet", "-b", "main"]);
        world.write(
            Path::new("audit/driftlock.toml"),
            &format!(
                "{CONFIG}[targets.prod]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n",
                world.server.display()
            ),
        );
        fs::write(world.tree.join(".gitignore"), "audit/runtime/\n*.ignored\n").unwrap();
        for _ in 0..2 {
            world.add_stack();
            world.add_module();
        }
        world.commit();
        world
    }

    fn run(&self, dir: &Path, program: &OsStr, args: &[&OsStr]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
        for (key, value) in
            [("NAME", "Ada"), ("EMAIL", "ada@example.org"), ("DATE", &format!("{} +0000", self.clock))]
        {
            command.env(format!("GIT_AUTHOR_{key}"), value).env(format!("GIT_COMMITTER_{key}"), value);
        }
        command.output().unwrap()
    }

    /// Runs git at the top; what it cannot do is left undone.
    fn git(&self, args: &[&str]) -> Vec<u8> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        self.run(&self.tree, OsStr::new("git"), &args).stdout
    }

    fn driftlock(&self, dir: &Path, args: &[&str]) -> Output {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        self.run(dir, self.binary.as_os_str(), &args)
    }

    fn commit(&mut self) {
        self.clock += [0, 0, 3600, 60, -7200][self.dice.roll(5)];
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    }

    fn write(&self, path: &Path, text: &str) {
        let path = self.root.join(path);
        if path.parent().is_some_and(|dir| fs::create_dir_all(dir).is_ok()) {
            let _ = fs::write(path, text);
        }
    }

    fn name(&mut self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(self.dice.one_of(&NAMES)))
    }

    fn add_stack(&mut self) {
        let path = Path::new("stacks").join(self.name()).join("docker-compose.yml");
        let text = some_text(&mut self.dice);
        self.write(&path, &text);
    }

    fn add_module(&mut self) {
        let module = Path::new("addons").join(self.dice.one_of(&["one", "two"])).join(self.name());
        for file in ["__manifest__.py", "models/order.py", "models/line.py", "static/lib/v.js"] {
            let text = some_text(&mut self.dice);
            self.write(&module.join(file), &text);
        }
        if self.dice.once_in(3) {
            let _ = symlink("models/order.py", self.root.join(module).join("link.py"));
        }
    }

    /// The directories directly below one of the project.
    fn dirs(base: &Path, below: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(base.join(below)) else { return Vec::new() };
        let mut all: Vec<PathBuf> =
            entries.map(|entry| Path::new(below).join(entry.unwrap().file_name())).collect();
        all.retain(|path| base.join(path).is_dir());
        all.sort();
        all
    }

    fn stacks(base: &Path) -> Vec<PathBuf> {
        Self::dirs(base, "stacks")
    }

    fn modules(base: &Path) -> Vec<PathBuf> {
        Self::dirs(base, "addons").iter().flat_map(|root| Self::dirs(base, root.to_str().unwrap())).collect()
    }

    fn one_of(&mut self, paths: Vec<PathBuf>) -> Option<PathBuf> {
        let at = if paths.is_empty() { return None } else { self.dice.roll(paths.len()) };
        paths.into_iter().nth(at)
    }

    /// Something that people do between two commits.
    fn live(&mut self) {
        let root = self.root.clone();
        let (stack, module) = (self.one_of(Self::stacks(&root)), self.one_of(Self::modules(&root)));
        let text = some_text(&mut self.dice);
        match (self.dice.roll(13), stack, module) {
            (0 | 1, Some(stack), _) => self.write(&stack.join("docker-compose.yml"), &text),
            (2 | 3, _, Some(module)) => {
                let file = self.dice.one_of(&[
                    "__manifest__.py",
                    "models/order.py",
                    "views/new.py",
                    "static/lib/v.js",
                ]);
                self.write(&module.join(file), &text);
            }
            (4, Some(stack), _) => {
                let to = root.join("stacks").join(self.name());
                if !to.exists() {
                    let _ = fs::rename(root.join(&stack), to);
                }
            }
            (5, _, Some(module)) => {
                let to =
                    root.join("addons").join(self.dice.one_of(&["one", "two", "three"])).join(self.name());
                if !to.exists() {
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    let _ = fs::rename(root.join(module), &to);
                }
            }
            (6, Some(stack), _) if !root.join(&stack).is_symlink() => {
                let shared = root.join("shared");
                fs::create_dir_all(&shared).unwrap();
                let name = format!("s{}", self.dice.roll(1000));
                if fs::rename(root.join(&stack), shared.join(&name)).is_ok() {
                    symlink(Path::new("../shared").join(name), root.join(stack)).unwrap();
                }
            }
            (7, ..) => {
                let rule = self.dice.one_of(&[
                    "*.py text eol=crlf\n",
                    "*.yml text eol=crlf\n",
                    "* -text\n",
                    "*.py export-ignore ident\n",
                ]);
                fs::write(self.tree.join(".gitattributes"), rule).unwrap();
                self.commit();
                self.git(&["rm", "--quiet", "-r", "--cached", "."]);
                self.git(&["reset", "--quiet", "--hard"]);
            }
            (8, Some(stack), _) => {
                self.commit();
                self.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
                self.write(&stack.join("docker-compose.yml"), &text);
                self.commit();
                self.git(&["checkout", "--quiet", "main"]);
                if self.dice.once_in(2) {
                    self.git(&["merge", "--quiet", "-X", "theirs", "--no-edit", "side"]);
                    self.git(&["merge", "--abort"]);
                }
            }
            (9, ..) => {
                self.git(&["add", "--all"]);
                self.git(&["commit", "--quiet", "--amend", "--allow-empty", "--no-edit"]);
            }
            (10, _, Some(module)) if !self.has_stash => {
                self.write(&module.join("models/order.py"), "put aside\n");
                self.git(&["stash", "--quiet"]);
                self.has_stash = true;
            }
            (11, _, Some(module)) => drop(fs::remove_file(root.join(module).join("models/line.py"))),
            _ => {
                if self.dice.once_in(2) {
                    self.add_module();
                } else {
                    self.add_stack();
                }
            }
        }
        if !self.dice.once_in(4) {
            self.commit();
        }
    }

    /// Something that a hand does to what is compared, or beside it.
    fn drift(&mut self, base: &Path) {
        let (stack, module) = (self.one_of(Self::stacks(base)), self.one_of(Self::modules(base)));
        let at = |path: PathBuf| base.join(path);
        let put = |path: PathBuf, text: &str| {
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
                let _ = fs::write(path, text);
            }
        };
        let hand = format!("by hand {}\n", self.dice.roll(1_000_000));
        let is_own = base == self.root;
        match (self.dice.roll(20), stack, module) {
            (0 | 1, Some(stack), _) => put(at(stack).join("docker-compose.yml"), &hand),
            (2 | 3, _, Some(module)) => put(at(module).join("models/order.py"), &hand),
            (4, Some(stack), _) => drop(fs::remove_file(at(stack).join("docker-compose.yml"))),
            (5, _, Some(module)) => drop(fs::remove_dir_all(at(module))),
            (6, _, Some(module)) => {
                let name = self.dice.one_of(&["x.py", "models/x.py", "x.ignored", "models/it's.py"]);
                put(at(module.clone()).join(name), &hand);
                if is_own && self.dice.once_in(2) {
                    self.git(&["add", "--all", "."]);
                }
            }
            (7, ..) => put(at(Path::new("addons/one").join(self.name())).join("__manifest__.py"), &hand),
            (8, ..) => put(at(Path::new("stacks").join(self.name())).join("docker-compose.yml"), &hand),
            (9, _, Some(module)) => {
                let path = at(module).join("models/order.py");
                let _ = fs::remove_file(&path);
                let _ = symlink("/etc/hostname", path);
            }
            (10, _, Some(module)) => {
                let path = at(module).join("models/order.py");
                let _ = fs::remove_file(&path);
                put(path.join("inside.py"), &hand);
            }
            (11, _, Some(module)) => {
                let path = at(module).join("models");
                let _ = fs::remove_dir_all(&path);
                if self.dice.once_in(2) { put(path, &hand) } else { drop(symlink("static", path)) }
            }
            (12, Some(stack), _) if is_own => {
                let path = at(stack).join("docker-compose.yml");
                let flag = self.dice.one_of(&["--skip-worktree", "--assume-unchanged"]);
                let args = [OsStr::new("update-index"), OsStr::new(flag), OsStr::new("--"), path.as_os_str()];
                self.run(&self.tree, OsStr::new("git"), &args);
                put(path, &hand);
            }
            (13, Some(stack), _) => {
                // Another name of the same file keeps its content.
                let path = at(stack).join("docker-compose.yml");
                let _ = fs::hard_link(&path, base.join("other-name"));
                if let Ok(mut file) = fs::OpenOptions::new().append(true).open(path) {
                    let _ = std::io::Write::write_all(&mut file, hand.as_bytes());
                }
            }
            (14, ..) if is_own => {
                fs::write(self.tree.join(".gitattributes"), "*.py text eol=crlf\n").unwrap();
            }
            (15, _, Some(module)) => {
                let path = at(module).join("models/line.py");
                put(path.clone(), &hand);
                let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755));
            }
            // Another release of it, as a deploy that did not reach this place leaves it.
            (16.., _, Some(module)) => {
                for file in ["__manifest__.py", "models/order.py", "models/line.py"] {
                    put(at(module.clone()).join(file), &some_text(&mut self.dice));
                }
            }
            _ => {}
        }
    }

    /// Work that no commit has, beside what is compared; `over_others` has it written over committed files, too.
    fn other_work(base: &Path, over_others: bool) {
        let mut paths = vec![PathBuf::from("notes.txt"), PathBuf::from("stacks/new.ignored")];
        paths.extend(Self::stacks(base).into_iter().map(|stack| stack.join(".env")));
        for module in Self::modules(base) {
            if over_others {
                paths.push(module.join("static/lib/v.js"));
            }
            paths.push(module.join("models/__pycache__/order.cpython-311.pyc"));
            paths.push(module.join("README~"));
        }
        for path in paths {
            let path = base.join(path);
            if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                let _ = fs::write(path, "not committed\n");
            }
        }
    }

    /// All that stands below the tree and the server, but for git's own and the runs.
    fn standing(&self) -> BTreeMap<PathBuf, Standing> {
        let mut all = BTreeMap::new();
        let mut pending = vec![self.tree.clone(), self.server.clone()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().map(Result::unwrap) {
                let path = entry.path();
                if path.ends_with(".git") {
                    continue;
                }
                if path.ends_with("audit/runtime") {
                    let beside = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
                    let is_aside =
                        |it: &PathBuf| it.file_name().is_some_and(|it| it.as_bytes().starts_with(b"aside."));
                    pending.extend(beside.filter(is_aside));
                    continue;
                }
                let meta = path.symlink_metadata().unwrap();
                if meta.is_dir() {
                    pending.push(path);
                } else if meta.is_symlink() {
                    all.insert(path.clone(), Standing::Link(fs::read_link(&path).unwrap()));
                } else {
                    all.insert(path.clone(), Standing::File(fs::read(&path).unwrap(), meta.mode() & 0o7777));
                }
            }
        }
        all
    }

    /// What git has beside the work tree.
    fn own_of_git(&self) -> Vec<Vec<u8>> {
        let asked: [&[&str]; 5] = [
            &["for-each-ref"],
            &["rev-parse", "HEAD"],
            &["stash", "list"],
            &["ls-files", "-s"],
            &["ls-files", "-v"],
        ];
        asked.into_iter().map(|args| self.git(args)).collect()
    }

    fn check(&self, dir: &Path, target: bool) -> (Option<i32>, Option<Report>) {
        let mut args = vec!["check", "--format", "json"];
        if target {
            args.extend(["--target", "prod"]);
        }
        let ran = self.driftlock(dir, &args);
        let read = || driftlock::report::json::read(&ran.stdout, &driftlock::check::meta).unwrap();
        (ran.status.code(), (!ran.stdout.is_empty()).then(read))
    }
}

/// What came of all cases.
#[derive(Debug, Default)]
struct Outcome {
    cases: u64,
    restored: usize,
    restored_whole: usize,
    stored: usize,
    checked_out: usize,
    aside: usize,
    notes: BTreeMap<String, usize>,
}

impl Outcome {
    fn count(&mut self, command: &str) {
        let has = |text: &str| usize::from(command.contains(text));
        self.restored += has(" restore --source=");
        self.restored_whole += has(" restore --overlay");
        self.stored += has(" cat-file blob ");
        self.checked_out += has(" checkout-index ");
        self.aside += has("mktemp -d audit/runtime/aside") + has("/audit/runtime/aside");
    }
}

fn open(report: &Report) -> Vec<(String, Finding)> {
    let checks = report.checks.iter().filter(|check| check.id.ends_with("_hashes"));
    checks
        .flat_map(|check| check.findings.iter().map(|finding| (check.id.to_owned(), finding.clone())))
        .collect()
}

/// The files that a finding's undo may write, with their digests, and what it may move away.
fn may_touch(base: &Path, finding: &Finding) -> (BTreeMap<PathBuf, String>, Vec<PathBuf>) {
    let place = base.join(OsStr::from_bytes(&finding.place));
    let real = |path: PathBuf| {
        let dir = path.parent().unwrap();
        dir.canonicalize().map_or(path.clone(), |dir| dir.join(path.file_name().unwrap()))
    };
    let (mut written, mut moved) = (BTreeMap::new(), Vec::new());
    if finding.parts.is_empty() {
        match finding.expected.text() {
            Some(digest) => drop(written.insert(real(place), digest)),
            None => moved.push(real(place)),
        }
        return (written, moved);
    }
    if finding.expected.text().is_none() {
        moved.push(real(place.clone()));
    }
    // Links above a module are followed, those in it are not.
    let module = place.canonicalize().unwrap_or_else(|_| real(place));
    for part in &finding.parts {
        let path = module.join(OsStr::from_bytes(&part.path));
        match part.expected.text() {
            Some(digest) => {
                // What stands in its way goes, too.
                moved.push(path.clone());
                written.insert(path, digest);
            }
            None => moved.push(path),
        }
    }
    (written, moved)
}

fn is_as(standing: &Standing, value: &str) -> bool {
    match standing {
        Standing::File(bytes, _) => Digest::of(bytes).to_string() == value,
        Standing::Link(text) => format!("@{}", Digest::of(text.as_os_str().as_bytes())) == value,
    }
}

/// Runs one command, and holds what it did against what its finding allows.
fn undo(world: &World, dir: &Path, base: &Path, finding: &Finding, command: &str) {
    let (written, moved) = may_touch(base, finding);
    let (before, git) = (world.standing(), world.own_of_git());
    let ran = world.run(dir, OsStr::new("timeout"), &["60", "sh", "-c", command].map(OsStr::new));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command}: {said}");
    let after = world.standing();
    assert_eq!(world.own_of_git(), git, "{command}: the index, the references or what was put aside changed");
    let is_aside = |path: &Path| path.components().any(|it| it.as_os_str().as_bytes().starts_with(b"aside."));
    let mut gone: Vec<Standing> = Vec::new();
    for (path, was) in &before {
        match after.get(path) {
            Some(is) if is == was => {}
            Some(is) => {
                let wanted = written.get(path);
                assert!(
                    wanted.is_some_and(|wanted| is_as(is, wanted)),
                    "{command}: {} changed: {was:?}, {is:?}",
                    path.display()
                );
            }
            None => {
                assert!(moved.iter().any(|it| path.starts_with(it)), "{command}: {} is gone", path.display());
                gone.push(was.clone());
            }
        }
    }
    let mut new_aside: Vec<Standing> = Vec::new();
    for (path, is) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        if is_aside(path) {
            new_aside.push(is.clone());
            continue;
        }
        let wanted = written.get(path);
        assert!(wanted.is_some_and(|wanted| is_as(is, wanted)), "{command}: {} is new", path.display());
    }
    // A directory or link in the way may have been replaced by a file of the baseline.
    let aside: BTreeSet<Standing> = new_aside.into_iter().collect();
    assert!(gone.iter().all(|it| aside.contains(it)), "{command}: something is gone: {gone:?}");
    for (path, wanted) in &written {
        let is = after.get(path);
        assert!(
            is.is_some_and(|is| is_as(is, wanted)),
            "{command}: {} is not as in the baseline: {is:?}",
            path.display()
        );
    }
}

fn case(seed: u64, outcome: &mut Outcome) {
    let mut world = World::new(seed);
    let steps = 2 + world.dice.roll(6);
    let accepted_at = world.dice.roll(steps);
    let target = world.dice.once_in(3);
    for step in 0..steps {
        world.live();
        if step == accepted_at {
            let ran = world.driftlock(&world.root, &["export", "--accept", "--quiet"]);
            if !ran.status.success() {
                return;
            }
            if target {
                let _ = fs::remove_dir_all(&world.server);
                crate::support::disk::copy(&world.root, &world.server);
                let _ = fs::remove_dir_all(world.server.join(".git"));
            }
        }
    }
    let base = if target { world.server.clone() } else { world.root.clone() };
    let over_others = world.dice.once_in(2);
    World::other_work(&base, over_others);
    if target {
        World::other_work(&world.root, over_others);
    }
    for _ in 0..=world.dice.roll(4) {
        world.drift(&base);
    }
    let dir = [world.root.clone(), world.root.join("stacks")][world.dice.roll(2)].clone();
    let dir = if dir.is_dir() { dir } else { world.root.clone() };
    let (_, report) = world.check(&dir, target);
    let Some(report) = report else { return };
    outcome.cases += 1;
    let mut undone: Vec<(String, Vec<u8>)> = Vec::new();
    for (check, finding) in open(&report) {
        let command = finding.ways_out.iter().find(|way| way.when == UNDO).map(|way| way.command.clone());
        let Some(command) = command else {
            let note = finding.notes.first().cloned().unwrap_or_else(|| format!("{:?}", finding.kind));
            let note: String = note.split(" at ").next().unwrap_or_default().chars().take(90).collect();
            *outcome.notes.entry(note).or_default() += 1;
            continue;
        };
        outcome.count(&command);
        undo(&world, &dir, &base, &finding, &command);
        undone.push((check, finding.subject.key.clone()));
    }
    let (_, report) = world.check(&dir, target);
    let still = open(&report.unwrap());
    for (check, finding) in &still {
        let key = (check.clone(), finding.subject.key.clone());
        assert!(!undone.contains(&key), "it was undone, and is there again: {finding:#?}");
    }
}

#[test]
fn each_printed_undo_brings_back_its_finding_and_touches_nothing_else() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = number("DRIFTLOCK_UNDO_SEED").unwrap_or(now.as_secs() % 1_000_000_000 * 1000);
    let mut outcome = Outcome::default();
    for seed in first..first + number("DRIFTLOCK_UNDO_CASES").unwrap_or(CASES) {
        println!("to run this one alone: DRIFTLOCK_UNDO_SEED={seed} DRIFTLOCK_UNDO_CASES=1");
        case(seed, &mut outcome);
    }
    println!("{outcome:#?}");
    assert!(outcome.cases > 0, "no case came to a report");
}
