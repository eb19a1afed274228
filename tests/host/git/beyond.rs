//! What git cannot know, what is no release, what stands elsewhere, and edits that git is told to overlook: held to what git
//! itself tells.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value as Json;

use super::provenance::{
    ADA, COMPOSE, CONFIGURATION, beginning, findings, provenance, put, searched, steps, text,
};
use crate::support::dice::Dice;
use crate::support::git::{Files, History, Made, commit_all, git, locked};
use crate::support::random::seed;
use crate::support::world::Alone as _;
use crate::support::{Project, Ran};

/// A committed project: a compose file, a file of `[files]`, a module.
fn committed() -> Project {
    let project = Project::empty();
    let mut history = History::default();
    history.commit("main", ADA, "one", &[], &locked(&beginning()));
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project
}

fn verdict(project: &Project, subject: &str) -> (String, Json) {
    let told = provenance(project, &[], subject);
    (told["verdict"].as_str().unwrap().to_owned(), told)
}

/// The text of a check.
fn told(project: &Project) -> String {
    project.run(&["check"]).out()
}

#[test]
fn what_git_ignores_or_never_tracked_is_not_said_to_be_edited() {
    let ignored = "git ignores it, so no commit tells who wrote it";
    let unknown = "git does not track it, so no commit tells who wrote it";
    for (place, rule, why) in [
        (".gitignore", "config/a.conf\n", ignored),
        (".git/info/exclude", "config/*\n!config/traefik.conf\n", ignored),
        ("elsewhere", "a.conf\n", ignored),
        (".gitignore", "*.pyc\n", unknown),
    ] {
        let project = committed();
        project.file(place, rule);
        if place == "elsewhere" {
            git(&project, &["config", "core.excludesFile", project.path(place).to_str().unwrap()]);
        }
        project.file("config/a.conf", "TAG=1\n");
        project.ok(&["export", "--accept"]);
        git(&project, &["add", "audit"]);
        git(&project, &["commit", "--quiet", "--message", "baseline"]);
        project.file("config/a.conf", "TAG=2\n");
        project.file("config/traefik.conf", "level = by hand\n");
        let (found, told) = verdict(&project, "config/a.conf");
        assert_eq!((found.as_str(), told["unsearched"].as_str().unwrap()), ("untracked", why), "{told:#}");
        assert!(told["mtime"].as_i64().unwrap() > 1_700_000_000, "{told:#}");
        assert_eq!(verdict(&project, "config/traefik.conf").0, "edited by hand");
    }
}

#[test]
fn what_git_tracked_once_and_does_not_any_more_is_not_said_to_be_edited() {
    let project = committed();
    git(&project, &["rm", "--quiet", "--cached", "config/traefik.conf"]);
    project.file(".gitignore", "config/traefik.conf\n");
    commit_all(&project, "not tracked any more");
    project.file("config/traefik.conf", "level = 5\n");
    assert_eq!(verdict(&project, "config/traefik.conf").0, "untracked");
    project.file(".gitignore", "");
    let (found, told) = verdict(&project, "config/traefik.conf");
    assert_eq!(found, "untracked");
    assert!(told["unsearched"].as_str().unwrap().contains("not track it any more"), "{told:#}");
    // What it was when it was tracked is known all the same.
    project.file("config/traefik.conf", "level = 9\n");
    project.ok(&["export", "--accept"]);
    project.file("config/traefik.conf", "level = 0\n");
    assert_ne!(verdict(&project, "config/traefik.conf").0, "untracked");
}

#[test]
fn an_untracked_module_is_not_said_to_be_edited_and_what_is_added_to_a_tracked_one_is() {
    let project = committed();
    let own = "odoo_modules/b/own";
    project.file(&format!("{own}/__manifest__.py"), "{'version': '1'}\n");
    project.file(&format!("{own}/a.py"), "a = 1\n");
    let (found, unexpected) = verdict(&project, "own");
    assert_eq!(found, "untracked", "{unexpected:#}");
    project.file("odoo_modules/a/printer/local.cfg", "x = 1\n");
    project.file(".git/info/exclude", "local.cfg\n");
    project.ok(&["export", "--accept"]);
    project.file(&format!("{own}/a.py"), "a = 2\n");
    project.file(&format!("{own}/b.py"), "b = 1\n");
    assert_eq!(verdict(&project, "own").0, "untracked");
    project.file("odoo_modules/a/printer/local.cfg", "x = 2\n");
    assert_eq!(verdict(&project, "printer").0, "untracked");
    project.file("odoo_modules/a/printer/hack.py", "import os\n");
    let (found, told) = verdict(&project, "printer");
    assert_eq!(found, "edited by hand", "{told:#}");
    assert_eq!(
        (&told["files"][0]["verdict"], &told["files"][1]["verdict"]),
        (&"edited by hand".into(), &"untracked".into()),
        "{told:#}"
    );
}

#[test]
fn a_project_that_the_repository_around_it_does_not_hold_is_not_said_to_be_edited() {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file(".bashrc", "x\n");
    commit_all(&project, "dotfiles");
    for (path, made) in beginning() {
        if let Made::File(bytes) = made {
            project.file(&format!("erp/{path}"), &String::from_utf8(bytes).unwrap());
        }
    }
    project.ok(&["--root", "erp", "export", "--accept"]);
    project.file(&format!("erp/{COMPOSE}"), "by hand\n");
    project.file("erp/odoo_modules/a/ocr/models/one.py", "by hand\n");
    let report = project.run(&["--root", "erp", "check", "--format", "json"]).report();
    assert_eq!(findings(&report).len(), 2);
    for finding in findings(&report).values() {
        let told = &finding["provenance"];
        assert_eq!(told["verdict"], "untracked", "{finding:#}");
        assert!(told["unsearched"].as_str().unwrap().contains("holds no file of it"), "{finding:#}");
    }
    assert!(!project.run(&["--root", "erp", "check"]).out().contains("by hand"));
}

#[test]
fn what_is_checked_out_at_another_path_is_named_by_that() {
    let project = committed();
    let edge = "infra/stacks/edge/docker-compose.yml";
    std::fs::copy(project.path(edge), project.path(COMPOSE)).unwrap();
    let (found, told) = verdict(&project, COMPOSE);
    assert_eq!((found.as_str(), told["held_as"].as_str().unwrap()), ("copied", edge), "{told:#}");
    assert_eq!(told["commit"]["id"], git(&project, &["rev-parse", "HEAD"]));
    let said = self::told(&project);
    assert!(said.contains(&format!("holds exactly this as {edge}\n")), "{said}");
    assert!(!said.contains("no commit") && !said.contains("by hand"), "{said}");
    // A module that is another one's copy, as a whole and in part.
    project.file("odoo_modules/a/printer/models/one.py", "one = 'a/ocr'\n");
    let (found, told) = verdict(&project, "printer");
    assert_eq!(found, "copied");
    assert_eq!(told["files"][0]["held_as"], "odoo_modules/a/ocr/models/one.py", "{told:#}");
    project.file("odoo_modules/a/printer/models/two.py", "by hand\n");
    let (found, told) = verdict(&project, "printer");
    assert_eq!(found, "edited by hand");
    assert!(told.get("commit").is_none(), "{told:#}");
    let said = self::told(&project);
    assert!(said.contains("undo discards the present content of models/two.py: no commit"), "{said}");
    // What is empty is the same everywhere.
    project.file("odoo_modules/a/ocr/empty.py", "");
    git(&project, &["add", "--all", "odoo_modules/a/ocr"]);
    git(&project, &["commit", "--quiet", "--message", "empty"]);
    project.file("config/traefik.conf", "");
    assert_eq!(verdict(&project, "config/traefik.conf").0, "edited by hand");
}

#[test]
fn a_copy_that_nobody_accepted_may_be_put_aside() {
    let project = committed();
    std::fs::create_dir_all(project.path("infra/stacks/new")).unwrap();
    std::fs::copy(project.path(COMPOSE), project.path("infra/stacks/new/docker-compose.yml")).unwrap();
    let report = searched(&project, &[]);
    let finding = &findings(&report)["infra/stacks/new/docker-compose.yml"];
    assert_eq!(finding["provenance"]["verdict"], "copied", "{finding:#}");
    assert!(finding["ways_out"].to_string().contains("mv "), "{finding:#}");
}

#[test]
fn what_was_stashed_or_dropped_is_no_release() {
    let (project, ids) = steps(4, 3);
    git(&project, &["reset", "--quiet", "--hard", &ids[3]]);
    project.file(COMPOSE, "n: 4\n");
    let (found, told) = verdict(&project, COMPOSE);
    assert_eq!((found.as_str(), &told["commit"]["id"]), ("unreleased", &ids[4].clone().into()), "{told:#}");
    project.file(COMPOSE, "stashed\n");
    git(&project, &["stash", "--quiet"]);
    project.file(COMPOSE, "stashed\n");
    let (found, told) = verdict(&project, COMPOSE);
    assert_eq!(found, "unreleased");
    assert!(told["commit"]["subject"].as_str().unwrap().contains("main"), "{told:#}");
    let said = self::told(&project);
    assert!(said.contains("which no branch or tag leads to: it was stashed or dropped"), "{said}");
    assert!(
        said.contains("undo discards the present content") && !said.contains("a release was deployed"),
        "{said}"
    );
    // Staged before it was stashed, and a file that was not tracked.
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(COMPOSE, "staged\n");
    git(&project, &["add", COMPOSE]);
    git(&project, &["stash", "--quiet"]);
    project.file(COMPOSE, "staged\n");
    assert_eq!(verdict(&project, COMPOSE).0, "unreleased");
    // A stash of what a commit has is that commit's.
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    git(&project, &["checkout", "--quiet", &ids[1], "--", COMPOSE]);
    git(&project, &["stash", "--quiet"]);
    git(&project, &["stash", "pop", "--quiet"]);
    let (found, told) = verdict(&project, COMPOSE);
    assert_eq!((found.as_str(), &told["commit"]["id"]), ("stale", &ids[1].clone().into()), "{told:#}");
    git(&project, &["checkout", "--quiet", "--force", &ids[1], "--", COMPOSE]);
    git(&project, &["stash", "--quiet"]);
    git(&project, &["checkout", "--quiet", &ids[1], "--", COMPOSE]);
    assert_eq!(verdict(&project, COMPOSE).0, "stale");
}

#[test]
fn a_commit_that_nothing_leads_to_is_no_release() {
    let (project, ids) = steps(3, 3);
    project.file(COMPOSE, "dangling\n");
    git(&project, &["add", COMPOSE]);
    let tree = git(&project, &["write-tree"]);
    git(&project, &["commit-tree", "-p", &ids[3], "-m", "dangling", &tree]);
    git(&project, &["reset", "--quiet"]);
    assert_eq!(verdict(&project, COMPOSE).0, "edited by hand");
    for name in [
        "refs/original/refs/heads/main",
        "refs/bisect/bad",
        "refs/replace/0123456789012345678901234567890123456789",
    ] {
        let commit = git(&project, &["commit-tree", "-p", &ids[3], "-m", name, &tree]);
        git(&project, &["update-ref", name, &commit]);
        let (found, told) = verdict(&project, COMPOSE);
        assert_eq!(found, "edited by hand", "{name}: {told:#}");
    }
    git(&project, &["tag", "v1", "refs/bisect/bad"]);
    assert_eq!(verdict(&project, COMPOSE).0, "ahead");
}

#[test]
fn what_a_fetch_left_behind_in_a_shallow_clone_may_be_a_release() {
    let (source, ids) = steps(3, 3);
    let project = Project::empty();
    let url = format!("file://{}", source.root().display());
    git(&source, &["reset", "--quiet", "--hard", &ids[2]]);
    git(&project, &["clone", "--quiet", "--depth", "1", &url, "."]);
    git(&source, &["reset", "--quiet", "--hard", &ids[3]]);
    git(&project, &["fetch", "--quiet", "--depth", "1"]);
    git(&project, &["reset", "--quiet", "--hard", "origin/main"]);
    project.file(COMPOSE, "n: 2\n");
    let (found, told) = verdict(&project, COMPOSE);
    assert_eq!((found.as_str(), &told["commit"]["id"]), ("unknown", &ids[2].clone().into()), "{told:#}");
    assert!(told["words"].as_str().unwrap().contains("shallow"), "{told:#}");
}

/// Variables of which git would heed each.
const FOREIGN: [(&str, &str); 12] = [
    ("GIT_DIR", "/nonexistent"),
    ("GIT_WORK_TREE", "/nonexistent"),
    ("GIT_INDEX_FILE", "/nonexistent"),
    ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
    ("GIT_SHALLOW_FILE", "/nonexistent"),
    ("GIT_NAMESPACE", "other"),
    ("GIT_PREFIX", "infra/"),
    ("GIT_REPLACE_REF_BASE", "refs/heads/"),
    ("GIT_TRACE", "1"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_DIFF_OPTS", "-u0"),
    ("GIT_ICASE_PATHSPECS", "1"),
];

/// The report of a check in the environment of somebody who calls from elsewhere.
fn checked_from_elsewhere(project: &Project, variables: &[(&str, &str)]) -> Json {
    loop {
        let mut check = project.driftlock(&["check", "--format", "json"]);
        let report = Ran(check.envs(variables.iter().copied()).output().unwrap()).report();
        if !report.to_string().contains("not enough time") {
            return report;
        }
    }
}

#[test]
fn no_variable_of_git_and_no_setting_hides_an_edit() {
    let (project, ids) = steps(3, 3);
    for (name, value) in FOREIGN {
        project.file(COMPOSE, "n: 2\n");
        let found = findings(&checked_from_elsewhere(&project, &[(name, value)]));
        assert_eq!(found[COMPOSE]["provenance"]["commit"]["id"], ids[2], "{name}");
    }
    let ways: [&[&[&str]]; 8] = [
        &[&["update-index", "--skip-worktree", COMPOSE]],
        &[&["update-index", "--assume-unchanged", COMPOSE]],
        &[&["config", "core.checkStat", "minimal"], &["config", "core.trustctime", "false"]],
        &[&["config", "core.fsmonitor", "/bin/true"], &["update-index", "--fsmonitor"]],
        &[&["config", "diff.relative", "true"], &["config", "diff.ignoreSubmodules", "all"]],
        &[&["config", "core.fileMode", "false"], &["config", "core.symlinks", "false"]],
        &[&["config", "core.ignoreCase", "true"], &["config", "core.ignoreStat", "true"]],
        &[&["sparse-checkout", "set", "--no-cone", "/config/", "/audit/"]],
    ];
    for way in ways {
        git(&project, &["checkout", "--quiet", "--force", "main"]);
        project.file(COMPOSE, "n: 3\n");
        let time = project.path(COMPOSE).metadata().unwrap().modified().unwrap();
        git(&project, &["update-index", "--refresh"]);
        for args in way {
            git(&project, args);
        }
        for (content, verdict) in [("n: 2\n", "stale"), ("n: x\n", "edited by hand")] {
            project.file(COMPOSE, content);
            let file = std::fs::File::options().append(true).open(project.path(COMPOSE)).unwrap();
            file.set_modified(time).unwrap();
            let told = provenance(&project, &[], COMPOSE);
            assert_eq!(told["verdict"], verdict, "{way:?} {told:#}");
        }
        // What leads back does so although git takes the file for unchanged.
        let undo =
            findings(&project.check(&[]).1)[COMPOSE]["ways_out"][0]["command"].as_str().unwrap().to_owned();
        let ran =
            Command::new("sh").alone().args(["-ec", &undo]).current_dir(project.root()).output().unwrap();
        assert!(ran.status.success(), "{way:?} {undo}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(project.read(COMPOSE), "n: 3\n", "{way:?} {undo}");
    }
}

#[test]
fn a_submodule_that_its_own_settings_hide_is_seen() {
    let (source, _) = steps(2, 2);
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.file("config/a.conf", "x\n");
    project.file("odoo_modules/a/x/__manifest__.py", "{}\n");
    let url = format!("file://{}", source.root().display());
    git(&project, &["submodule", "--quiet", "add", &url, "infra/stacks/x"]);
    git(&project, &["config", "--file", ".gitmodules", "submodule.infra/stacks/x.ignore", "all"]);
    git(&project, &["config", "diff.ignoreSubmodules", "all"]);
    commit_all(&project, "as a submodule");
    git(&project, &["rm", "--quiet", "--force", "infra/stacks/x"]);
    project.file(
        ".gitmodules",
        &format!("[submodule \"infra/stacks/x\"]\npath = infra/stacks/x\nurl = {url}\nignore = all\n"),
    );
    project.file("infra/stacks/x/docker-compose.yml", "n: 2\n");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "plain");
    project.file("infra/stacks/x/docker-compose.yml", "n: 1\n");
    let (found, told) = verdict(&project, "infra/stacks/x/docker-compose.yml");
    assert_eq!(found, "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("submodule"), "{told:#}");
}

#[test]
fn replaced_objects_and_names_that_look_like_patterns_mislead_nobody() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    let names = ["config/:(top)a.conf", "config/*.conf", "config/[a-z].conf", "config/!x.conf"];
    for (number, name) in names.iter().enumerate() {
        put(&mut files, name, &format!("old {number}\n"));
    }
    history.commit("main", ADA, "one", &[], &locked(&files));
    for (number, name) in names.iter().enumerate() {
        put(&mut files, name, &format!("new {number}\n"));
    }
    history.commit("main", ADA, "two", &[1], &locked(&files));
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    let old = git(&project, &["rev-parse", &format!("{}:config/*.conf", ids[1])]);
    let other = git(&project, &["rev-parse", "main:README.md"]);
    git(&project, &["replace", &old, &other]);
    for (number, name) in names.iter().enumerate() {
        project.file(name, &format!("old {number}\n"));
    }
    let found = findings(&searched(&project, &[]));
    assert_eq!(found.len(), names.len());
    for finding in found.values() {
        let told = &finding["provenance"];
        assert_eq!(
            (&told["verdict"], &told["commit"]["id"]),
            (&"stale".into(), &ids[1].clone().into()),
            "{finding:#}"
        );
    }
}

/// A file by a number that stays when it is renamed: its path and content.
type Tracked = BTreeMap<usize, (String, String)>;

fn content(file: usize, number: usize) -> String {
    let body: String = (0..30).map(|line| format!("file {file} line {line}\n")).collect();
    format!("{body}n: {number}\n")
}

fn tree_of(tracked: &Tracked) -> Files {
    let mut files = beginning();
    files.insert(
        "audit/driftlock.toml".to_owned(),
        text(&CONFIGURATION.replace("config/*.conf", "config/**")),
    );
    files.extend(tracked.values().map(|(path, content)| (path.clone(), text(content))));
    files
}

/// A random history: commits, branches, and merges that rename or edit what neither parent does.
struct Grown {
    ids: Vec<String>,
    trees: Vec<Tracked>,
    parents: Vec<Vec<usize>>,
    /// For each file the commits that gave it its present name, and those it has had.
    renames: BTreeMap<usize, Vec<usize>>,
    tip: usize,
}

impl Grown {
    fn new(project: &Project, dice: &mut Dice) -> Self {
        let mut history = History::default();
        let first: Tracked = (0..6).map(|n| (n, (format!("config/f{n}.conf"), content(n, 0)))).collect();
        let mut grown = Self {
            ids: Vec::new(),
            trees: vec![Tracked::new()],
            parents: vec![vec![]],
            renames: BTreeMap::new(),
            tip: 0,
        };
        grown.tip = grown.commit(&mut history, "main", &[], first);
        while grown.trees.len() < 40 {
            let number = grown.trees.len();
            let mut next = grown.trees[grown.tip].clone();
            if dice.once_in(3) {
                let mut side = grown.tip;
                let fork = grown.trees[grown.tip].clone();
                for _ in 0..=dice.roll(2) {
                    let mut files = grown.trees[side].clone();
                    let file = dice.roll(6);
                    files.get_mut(&file).unwrap().1 = content(file, grown.trees.len());
                    side = grown.commit(&mut history, "side", &[side], files);
                }
                let mut trunk = next.clone();
                let file = dice.roll(6);
                trunk.get_mut(&file).unwrap().1 = content(file, grown.trees.len());
                let trunk = grown.commit(&mut history, "main", &[grown.tip], trunk);
                next = grown.trees[trunk].clone();
                for (file, made) in &grown.trees[side] {
                    if fork[file] != *made {
                        next.insert(*file, made.clone());
                    }
                }
                grown.change(&mut next, dice);
                grown.tip = grown.commit(&mut history, "main", &[trunk, side], next);
            } else {
                let file = dice.roll(6);
                next.get_mut(&file).unwrap().1 = content(file, number);
                if dice.once_in(3) {
                    grown.change(&mut next, dice);
                }
                grown.tip = grown.commit(&mut history, "main", &[grown.tip], next);
            }
        }
        grown.ids = history.put(project);
        git(project, &["checkout", "--quiet", "--force", "main"]);
        grown
    }

    /// Edits or renames one file in the commit to come.
    fn change(&mut self, files: &mut Tracked, dice: &mut Dice) {
        // The commit that a merge makes is the next one.
        let (file, number) = (dice.roll(6), self.trees.len());
        let renames = self.renames.entry(file).or_default();
        if dice.once_in(2) && renames.len() < 4 {
            renames.push(number);
            files.get_mut(&file).unwrap().0 = format!("config/d{number}/f{file}.conf");
        } else {
            files.get_mut(&file).unwrap().1 = content(file, 1_000 + number);
        }
    }

    fn commit(&mut self, history: &mut History, branch: &str, parents: &[usize], files: Tracked) -> usize {
        history.commit(branch, ADA, "step", parents, &tree_of(&files));
        self.parents.push(parents.to_vec());
        self.trees.push(files);
        self.trees.len() - 1
    }

    fn ancestors(&self, of: usize) -> BTreeSet<usize> {
        let (mut found, mut pending) = (BTreeSet::new(), vec![of]);
        while let Some(next) = pending.pop() {
            if found.insert(next) {
                pending.extend(&self.parents[next]);
            }
        }
        found
    }

    /// The commits of which the content of a file can be here under its present name: those before each commit that renamed it
    /// since.
    fn sources(&self, file: usize) -> Vec<usize> {
        let renames = self.renames.get(&file).cloned().unwrap_or_default();
        let is_source = |at: &usize| {
            let later = renames.iter().filter(|rename| !self.ancestors(*at).contains(rename));
            later.clone().all(|rename| self.ancestors(*rename).contains(at))
        };
        self.ancestors(self.tip).into_iter().filter(|at| *at > 0).filter(is_source).collect()
    }
}

#[test]
fn random_states_are_judged_as_git_itself_would() {
    let mut dice = Dice(seed());
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..3 {
        let project = Project::empty();
        let grown = Grown::new(&project, &mut dice);
        project.file("config/untracked.conf", "untracked\n");
        project.file("config/ignored.conf", "ignored\n");
        project.file(".git/info/exclude", "ignored.conf\n");
        project.ok(&["export", "--accept"]);
        let path = |file: usize| grown.trees[grown.tip][&file].0.clone();
        for name in ["stashed", "dropped"] {
            for file in 0..6 {
                project.file(&path(file), &content(file, 5_000 + name.len()));
            }
            if name == "stashed" {
                git(&project, &["stash", "--quiet"]);
            } else {
                git(&project, &["commit", "--quiet", "--all", "--message", name]);
                git(&project, &["reset", "--quiet", "--hard", "HEAD~1"]);
            }
        }
        for round in 0..6 {
            // What the index was told to overlook goes with it.
            std::fs::remove_file(project.path(".git/index")).unwrap();
            git(&project, &["reset", "--quiet", "--hard", "main"]);
            let mut wanted: BTreeMap<String, &str> = BTreeMap::new();
            for file in 0..6 {
                let now = &grown.trees[grown.tip][&file].1;
                let (made, verdict) = match dice.roll(5) {
                    0 => (content(file, 9_000 + round), "edited by hand"),
                    1 => (content(file, 5_007), "unreleased"),
                    2 => (grown.trees[grown.tip][&((file + 1) % 6)].1.clone(), "copied"),
                    _ => {
                        let sources = grown.sources(file);
                        (grown.trees[dice.one_of(&sources)][&file].1.clone(), "stale")
                    }
                };
                if made == *now {
                    continue;
                }
                project.file(&path(file), &made);
                if dice.once_in(3) {
                    let how = dice.one_of(&["--skip-worktree", "--assume-unchanged"]);
                    git(&project, &["update-index", how, &path(file)]);
                    wanted.insert(path(file), verdict);
                    continue;
                }
                wanted.insert(path(file), verdict);
            }
            for (path, number) in [("config/untracked.conf", 1), ("config/ignored.conf", 2)] {
                project.file(path, &format!("{number} {round}\n"));
                wanted.insert(path.to_owned(), "untracked");
            }
            let report = checked_from_elsewhere(&project, &[dice.one_of(&FOREIGN)]);
            let found = findings(&report);
            assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
            for (path, finding) in &found {
                let told = &finding["provenance"];
                assert_eq!(told["verdict"], wanted[path], "{finding:#}");
                hold_to_git(&project, path, told);
                *verdicts.entry(wanted[path].to_owned()).or_default() += 1;
            }
        }
    }
    println!("{verdicts:?}");
    assert_eq!(verdicts.len(), 5, "{verdicts:?}");
}

/// Asks git whether a file is as its provenance says: which branches and which commits hold the blob that it would be.
fn hold_to_git(project: &Project, path: &str, told: &Json) {
    let blob = git(project, &["hash-object", "--no-filters", path]);
    let holds = |walk: &[&str]| {
        !git(project, &[&["log", "--format=%H", "--find-object", &blob][..], walk].concat()).is_empty()
    };
    let is_kept = holds(&["-m", "--branches", "--tags"]);
    let is_dropped = holds(&["-m", "--reflog"]);
    match told["verdict"].as_str().unwrap() {
        "edited by hand" | "untracked" => assert!(!is_kept && !is_dropped, "{told:#}"),
        "unreleased" => assert!(!is_kept && is_dropped, "{told:#}"),
        _ => assert!(is_kept, "{told:#}"),
    }
    if let Some(commit) = told["commit"]["id"].as_str() {
        let listed = git(project, &["ls-tree", "-r", commit]);
        let held_as = told["held_as"].as_str();
        let is_there = |line: &str| line.contains(&blob) && held_as.is_none_or(|path| line.ends_with(path));
        assert!(listed.lines().any(is_there), "{path} {told:#}\n{listed}");
    }
}

#[test]
fn what_a_merge_alone_renamed_or_edited_is_found() {
    let project = Project::empty();
    let mut history = History::default();
    let (old, new) = ("odoo_modules/b/old", "odoo_modules/b/new");
    let module = |dir: &str, number: usize| {
        let mut files = beginning();
        put(
            &mut files,
            &format!("{dir}/__manifest__.py"),
            &format!("{{'name': 'it', 'version': '{number}'}}\n"),
        );
        put(&mut files, &format!("{dir}/models/one.py"), &content(1, number));
        put(&mut files, COMPOSE, &content(2, number));
        files
    };
    history.commit("main", ADA, "one", &[], &locked(&module(old, 1)));
    history.commit("main", ADA, "two", &[1], &locked(&module(old, 2)));
    let mut side = module(old, 1);
    put(&mut side, "README.md", "side\n");
    history.commit("side", ADA, "side", &[1], &locked(&side));
    // Neither parent has this name, nor this content of the compose file.
    history.commit("main", ADA, "merge", &[2, 3], &locked(&module(new, 4)));
    history.commit("main", ADA, "five", &[4], &locked(&module(new, 5)));
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    for at in [1, 2, 4] {
        for (path, made) in
            module(new, at).iter().filter(|(path, _)| path.starts_with(new) || *path == COMPOSE)
        {
            let Made::File(bytes) = made else { continue };
            std::fs::write(project.path(path), bytes).unwrap();
        }
        let found = findings(&searched(&project, &[]));
        for subject in [COMPOSE, "new"] {
            let told = &found[subject]["provenance"];
            assert_eq!(
                (&told["verdict"], &told["commit"]["id"]),
                (&"stale".into(), &ids[at].clone().into()),
                "{told:#}"
            );
        }
    }
}
