//! Real trees: addon modules as they are published, held against coreutils and against every kind of change.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::disk::{copy, files_below, runs};
use crate::support::world::Alone as _;
use crate::support::{Project, findings};

/// How many modules a tree must have to be worth the name.
const MODULES: usize = 25;

/// Unpacked modules: what `DRIFTLOCK_WHEELS` names, or what lies below the target directory, if anything.
fn published() -> Option<PathBuf> {
    let given = std::env::var_os("DRIFTLOCK_WHEELS").map(PathBuf::from);
    if let Some(dir) = &given {
        assert!(dir.is_dir(), "DRIFTLOCK_WHEELS: {}: there is no such directory", dir.display());
    }
    let usual = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("wheels/addons");
    given.or(Some(usual)).filter(|dir| dir.is_dir() && names_in(dir).len() >= MODULES)
}

/// The names in a directory, sorted.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Modules of a similar shape, for a machine without the published ones.
fn generate(root: &Project) {
    for module in 0..30 {
        let dir = format!("addons/module_{module:02}");
        root.file(&format!("{dir}/__manifest__.py"), &format!("{{'name': 'Module {module}'}}\n"));
        root.file(&format!("{dir}/__init__.py"), "from . import models\n");
        root.file(&format!("{dir}/models/__init__.py"), "");
        for model in 0..=module % 5 {
            let class = format!("class Model{model}:\n    _name = 'module.{module}.{model}'\n");
            root.file(&format!("{dir}/models/model_{model}.py"), &class.repeat(20));
            root.file(&format!("{dir}/views/view {model}.xml"), "<odoo/>\n");
        }
        for language in ["de", "fr", "pt_BR", "zh_CN"] {
            root.file(&format!("{dir}/i18n/{language}.po"), "msgid \"\"\nmsgstr \"\"\n");
        }
        root.file(&format!("{dir}/static/description/größe @2x.svg"), &"<svg/>".repeat(5000));
    }
}

/// A project that holds the tree as its addon root, and a file for each other section.
fn project(by_link: bool) -> Project {
    let project = Project::empty();
    match published() {
        Some(dir) if by_link => std::os::unix::fs::symlink(dir, project.path("addons")).unwrap(),
        Some(dir) => copy(&dir, &project.path("addons")),
        None => generate(&project),
    }
    project.file("stacks/erp/docker-compose.yml", "services: {}\n");
    project.file("conf/odoo.conf", "[options]\n");
    project.file(
        "audit/driftlock.toml",
        "[compose]\nfiles = [\"stacks/*/*.yml\"]\n[addons]\nroots = [\"addons\"]\n[files]\ninclude = [\"conf/*\"]\n",
    );
    project.ok(&["export", "--accept"]);
    project
}

/// The lines of a lock file: digest and name.
fn lines(project: &Project, file: &str) -> Vec<(String, String)> {
    let text = project.read(&format!("audit/locks/{file}"));
    text.lines().map(|line| (line[..64].to_owned(), line[66..].to_owned())).collect()
}

fn shell(dir: &Path, script: &str) -> Output {
    let output = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn coreutils_say_the_same() {
    let project = project(true);
    assert_eq!(project.check(&[]).0, 0);
    for file in ["compose_sha256.lock.txt", "config_sha256.lock.txt", "odoo_addons_files.sha256.txt"] {
        let checked = shell(&project.root(), &format!("sha256sum --strict -c audit/locks/{file}"));
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), lines(&project, file).len());
    }
    let modules = lines(&project, "odoo_addons_modules.hash.txt");
    assert!(modules.len() >= MODULES, "{}", modules.len());
    assert_eq!(names_in(&project.path("addons")).len(), modules.len());
    for (digest, module) in modules {
        let printed = shell(&project.path("addons").join(&module), COMMAND);
        assert_eq!(String::from_utf8_lossy(&printed.stdout), format!("{digest}  -\n"), "{module}");
    }
}

/// The command of the contract that prints a module's digest.
const COMMAND: &str = r"find . \( -name .git -o -name .hg -o -name .svn \) -prune -o -type f ! -name .DS_Store ! -name '*.swp' ! -name '*~' ! -regex '.*/__pycache__/[^/]*\.pyc\(\.[0-9]+\)?' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum -- | sha256sum";

#[test]
fn exporting_twice_gives_the_same_bytes() {
    let project = project(true);
    project.ok(&["export"]);
    let runs = runs(&project.root());
    let read = |run: &String| files_below(&project.path("audit/runtime").join(run));
    let (first, second) = (read(&runs[0]), read(&runs[1]));
    assert_eq!((runs.len(), first.len()), (2, 4));
    assert_eq!(first, second);
    assert_eq!(first, files_below(&project.path("audit/locks")));
}

#[test]
fn what_python_leaves_behind_is_no_drift() {
    let project = project(false);
    let modules: Vec<_> = names_in(&project.path("addons")).into_iter().step_by(3).collect();
    let mut python = Command::new("python3");
    python.args(["-m", "compileall", "-q"]).args(&modules).current_dir(project.path("addons"));
    python.output().expect("python3 is needed");
    let caches = shell(&project.root(), "find addons -name '*.pyc' -path '*/__pycache__/*'");
    assert!(caches.stdout.len() > 1000, "python has written nothing");
    let (code, report) = project.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let reasons = report["coverage"].to_string();
    assert!(reasons.contains("excluded by default"), "what was left out is counted: {reasons}");
    project.file(&format!("addons/{}/loose.pyc", modules[0]), "");
    let (code, report) = project.check(&[]);
    assert_eq!((code, findings(&report, "addon_hashes").len()), (2, 1), "this one python would import");
}

#[test]
fn the_same_tree_elsewhere_gives_the_same_lock_files() {
    let here = project(true);
    let there = project(false);
    let root = there.root();
    shell(&root, "chmod -R u=rwX,go= addons && find addons -type f -name '*.py' -exec chmod 755 {} +");
    shell(&root, "find addons stacks conf -exec touch -h -d @86400 {} +");
    if std::fs::metadata(&root).unwrap().uid() == 0 {
        shell(&root, "chown -R 12345:54321 addons stacks");
    }
    there.ok(&["export"]);
    let run = there.path("audit/runtime").join(runs(&root).pop().unwrap());
    assert_eq!(files_below(&run), files_below(&here.path("audit/locks")));
}

/// Checks, and expects drift of one module alone; gives the finding.
fn only_finding(project: &Project, module: &str, kind: &str) -> serde_json::Value {
    let (code, report) = project.check(&[]);
    assert_eq!(code, 2, "{module}");
    assert_eq!(findings(&report, "addon_hashes"), [(module.to_owned(), kind.to_owned())]);
    assert_eq!(report["summary"]["failed"], 1);
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "addon_hashes").unwrap();
    assert_eq!(check["details"], format!("1 modules drifted: {module};"));
    check["findings"][0].clone()
}

/// The same for one file of one module.
fn only_file(project: &Project, module: &str, file: &str, kind: &str) {
    let finding = only_finding(project, module, "modified");
    assert_eq!(finding["files"].as_array().unwrap().len(), 1, "{finding:#}");
    assert_eq!((&finding["files"][0]["path"], &finding["files"][0]["kind"]), (&file.into(), &kind.into()));
}

#[test]
fn each_change_alone_is_found_alone() {
    let project = project(false);
    let addons = project.path("addons");
    let modules = names_in(&addons);
    for module in modules.iter().step_by(17) {
        let files = files_below(&addons.join(module));
        let (path, bytes) = files.iter().filter(|(_, bytes)| !bytes.is_empty()).nth(2).unwrap();
        let (name, place) = (path.to_str().unwrap(), addons.join(module).join(path));
        let mut other = bytes.clone();
        other[bytes.len() / 2] ^= 1;
        std::fs::write(&place, other).unwrap();
        only_file(&project, module, name, "modified");
        std::fs::remove_file(&place).unwrap();
        only_file(&project, module, name, "missing");
        std::fs::write(&place, bytes).unwrap();
        std::fs::write(addons.join(module).join("new"), "").unwrap();
        only_file(&project, module, "new", "unexpected");
        std::fs::remove_file(addons.join(module).join("new")).unwrap();
    }
    let (first, last) = (&modules[0], &modules[modules.len() - 1]);
    std::fs::rename(addons.join(first), project.path("aside")).unwrap();
    let finding = only_finding(&project, first, "missing");
    assert_eq!(finding["files"].as_array().unwrap().len(), files_below(&project.path("aside")).len());
    std::fs::rename(project.path("aside"), addons.join(first)).unwrap();
    copy(&addons.join(last), &addons.join("zz_new"));
    only_finding(&project, "zz_new", "unexpected");
    std::fs::remove_dir_all(addons.join("zz_new")).unwrap();
    assert_eq!(project.check(&[]).0, 0, "all is as it was");
}

/// What a check opened, by the kernel's word, and how often.
fn opened(project: &Project) -> BTreeMap<String, usize> {
    let trace = project.path("trace");
    let mut command = Command::new("strace");
    command.alone();
    command.args(["-f", "-qq", "-y", "-e", "trace=openat,openat2,open", "-o"]).arg(&trace);
    let ended =
        command.arg(env!("CARGO_BIN_EXE_driftlock")).arg("check").current_dir(project.root()).output();
    let ended = ended.expect("strace is there: scripts/test.sh installs it");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let mut times = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let path = line.rsplit_once('<').and_then(|(_, end)| end.strip_suffix('>'));
        let below = path.and_then(|path| path.split_once("/addons/"));
        *times.entry(below.map_or(String::new(), |(_, path)| path.to_owned())).or_default() += 1;
    }
    times.remove("");
    times
}

#[test]
fn no_directory_and_no_file_of_a_module_is_opened_twice() {
    let project = project(false);
    let times = opened(&project);
    let files = files_below(&project.path("addons")).len();
    assert!(times.len() > files, "{} paths of {files} files were opened", times.len());
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
