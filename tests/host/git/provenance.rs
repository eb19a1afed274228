//! Where what a host holds comes from: commits that are named, and files that no commit ever held.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::dice::Dice;
use crate::support::git::{Files, History, Made, commit_all, git, locked};
use crate::support::random::seed;
use crate::support::{Project, check_of, wait_until};

const CHECKS: [&str; 3] = ["compose_hashes", "addon_hashes", "config_hashes"];
pub(super) const COMPOSE: &str = "infra/stacks/erp/docker-compose.yml";
pub(super) const ADA: &str = "Ada <ada@example.org>";

/// Every finding on files of a report, by subject.
pub(super) fn findings(report: &Json) -> BTreeMap<String, Json> {
    let checks = CHECKS.iter().map(|check| check_of(report, check));
    let all = checks.flat_map(|check| check["findings"].as_array().unwrap().clone());
    all.map(|finding| (finding["subject"].as_str().unwrap().to_owned(), finding)).collect()
}

/// The report of a check that had time to search the whole history, as it may not have on a busy machine.
pub(super) fn searched(project: &Project, args: &[&str]) -> Json {
    let mut report = Json::Null;
    wait_until(|| {
        report = project.check(args).1;
        !report.to_string().contains("not enough time")
    });
    report
}

pub(super) fn provenance(project: &Project, args: &[&str], subject: &str) -> Json {
    let report = searched(project, args);
    findings(&report).remove(subject).unwrap_or_else(|| panic!("{subject}: {report:#}"))["provenance"].clone()
}

pub(super) fn text(text: &str) -> Made {
    Made::File(text.as_bytes().to_vec())
}

pub(super) const CONFIGURATION: &str = "\
[compose]\nfiles = [\"infra/stacks/*/docker-compose.yml\"]\n\
[addons]\nroots = [\"odoo_modules/*\"]\nexclude = [\"*/static/lib/**\"]\n\
[files]\ninclude = [\"config/*.conf\"]\n[docker]\nmode = \"off\"\n";

/// What a project begins with.
pub(super) fn beginning() -> Files {
    let mut files = Files::new();
    files.insert("audit/driftlock.toml".to_owned(), text(CONFIGURATION));
    for stack in ["edge", "erp", "mail"] {
        let path = format!("infra/stacks/{stack}/docker-compose.yml");
        files.insert(path, text(&format!("services: {{{stack}: 0}}\n")));
    }
    for module in ["a/printer", "a/ocr", "b/stock"] {
        let place = format!("odoo_modules/{module}");
        files.insert(
            format!("{place}/__manifest__.py"),
            text(&format!("{{'name': '{module}', 'version': '18.0.0'}}\n")),
        );
        files.insert(format!("{place}/models/one.py"), text(&format!("one = '{module}'\n")));
        files.insert(format!("{place}/models/two.py"), text(&format!("two = '{module}'\n")));
        files.insert(format!("{place}/link"), Made::Link("models/one.py".to_owned()));
        files.insert(format!("{place}/static/lib/big.js"), text("1\n"));
    }
    files.insert("config/traefik.conf".to_owned(), text("level = 0\n"));
    files.insert("README.md".to_owned(), text("about\n"));
    files
}

pub(super) fn put(files: &mut Files, path: &str, content: &str) {
    files.insert(path.to_owned(), text(content));
}

/// One random change of a tree.
fn turn(files: &mut Files, number: usize, dice: &mut Dice) {
    let of = |files: &Files, end: &str| -> Vec<String> {
        files.keys().filter(|path| path.ends_with(end)).cloned().collect()
    };
    let pick = |all: &[String], dice: &mut Dice| all[dice.roll(all.len())].clone();
    match dice.roll(12) {
        0 | 1 => put(files, &pick(&of(files, ".yml"), dice), &format!("services: {{n: {number}}}\n")),
        2 | 3 => put(files, &pick(&of(files, ".py"), dice), &format!("n = {number}\n# 'version'\n")),
        4 => put(files, &pick(&of(files, ".conf"), dice), &format!("level = {number}\n")),
        5 => put(files, &format!("infra/stacks/s{number}/docker-compose.yml"), &format!("s: {number}\n")),
        6 => {
            let place = format!("odoo_modules/b/m{number}");
            put(files, &format!("{place}/__manifest__.py"), &format!("{{'version': '{number}'}}\n"));
            put(files, &format!("{place}/models/x.py"), &format!("x = {number}\n"));
        }
        7 => {
            let all = of(files, ".yml");
            if all.len() > 2 {
                files.remove(&pick(&all, dice));
            }
        }
        8 => {
            let all = of(files, "/__manifest__.py");
            if all.len() > 2 {
                let place = pick(&all, dice).replace("__manifest__.py", "");
                files.retain(|path, _| !path.starts_with(&place));
            }
        }
        9 => {
            let place = pick(&of(files, "/__manifest__.py"), dice).replace("__manifest__.py", "");
            let moved: Files = files
                .iter()
                .filter(|(path, _)| path.starts_with(&place))
                .map(|(p, m)| (p.clone(), m.clone()))
                .collect();
            files.retain(|path, _| !path.starts_with(&place));
            files.extend(
                moved
                    .into_iter()
                    .map(|(path, made)| (path.replace(&place, &format!("odoo_modules/a/r{number}/")), made)),
            );
        }
        10 => {
            let place = pick(&of(files, "/__manifest__.py"), dice).replace("__manifest__.py", "");
            files.insert(format!("{place}link"), Made::Link(format!("models/{number}.py")));
            files.insert(format!("{place}static/lib/big.js"), text(&format!("{number}\n")));
        }
        _ => put(
            files,
            "README.md",
            &format!(
                "{number}
"
            ),
        ),
    }
}

/// A history with branches and merges, some of which hold content of their own. The trees by number, the first at 1.
fn long_history(project: &Project) -> (Vec<String>, Vec<Files>) {
    let mut dice = Dice(seed());
    let mut history = History::default();
    let mut trees = vec![Files::new(), beginning()];
    let mut tip = history.commit("main", ADA, "begin", &[], &locked(&trees[1]));
    while trees.len() <= 130 {
        let number = trees.len();
        if dice.roll(8) == 0 {
            // A branch of three commits beside two of the trunk, merged: what the branch changed wins.
            let fork = tip;
            let mut side = fork;
            let before = trees[fork].clone();
            for _ in 0..3 {
                let mut files = trees[side].clone();
                turn(&mut files, trees.len(), &mut dice);
                side = history.commit("side", ADA, "side", &[side], &locked(&files));
                trees.push(files);
            }
            for _ in 0..2 {
                let mut files = trees[tip].clone();
                turn(&mut files, trees.len(), &mut dice);
                tip = history.commit("main", ADA, "trunk", &[tip], &locked(&files));
                trees.push(files);
            }
            let mut merged = trees[tip].clone();
            let paths: BTreeSet<&String> = before.keys().chain(trees[side].keys()).collect();
            for path in paths {
                match (before.get(path), trees[side].get(path)) {
                    (old, new) if old == new => {}
                    (_, Some(new)) => drop(merged.insert(path.clone(), new.clone())),
                    (_, None) => drop(merged.remove(path)),
                }
            }
            if dice.roll(2) == 0 {
                merged.insert(COMPOSE.to_owned(), text(&format!("evil: {}\n", trees.len())));
            }
            tip = history.commit("main", ADA, "merge", &[tip, side], &locked(&merged));
            trees.push(merged);
            continue;
        }
        let mut files = trees[tip].clone();
        turn(&mut files, number, &mut dice);
        tip = history.commit("main", ADA, &format!("change {number}"), &[tip], &locked(&files));
        trees.push(files);
    }
    (history.put(project), trees)
}

/// The subjects of a tree: where each lies, and what is there.
fn subjects(files: &Files) -> BTreeMap<String, Files> {
    let mut subjects: BTreeMap<String, Files> = BTreeMap::new();
    for (path, made) in files {
        let module = files.keys().find_map(|manifest| {
            let place = manifest.strip_suffix("/__manifest__.py")?;
            path.strip_prefix(place).filter(|rest| rest.starts_with('/')).map(|_| place.to_owned())
        });
        let is_single = path.starts_with("infra/") || path.starts_with("config/");
        let place = module.or_else(|| is_single.then(|| path.clone()));
        if let Some(place) = place.filter(|_| !path.contains("/static/lib/")) {
            subjects.entry(place).or_default().insert(path.clone(), made.clone());
        }
    }
    subjects
}

/// Whether git says that one commit is an ancestor of another.
fn is_ancestor(project: &Project, old: &str, new: &str) -> bool {
    let mut git = Command::new("git");
    git.arg("-C").arg(project.root()).args(["merge-base", "--is-ancestor", old, new]);
    git.status().unwrap().success()
}

/// The place of a finding.
fn place(finding: &Json) -> String {
    finding.get("place").unwrap_or(&finding["subject"]).as_str().unwrap().to_owned()
}

/// Holds one finding to the trees of the history: `base` is the baseline's, `host` what is checked out.
fn hold(
    project: &Project,
    finding: &Json,
    ids: &[String],
    trees: &[Files],
    base: usize,
    host: usize,
) -> String {
    let told = &finding["provenance"];
    let verdict = told["verdict"].as_str().unwrap_or_else(|| panic!("{finding:#}")).to_owned();
    let place = place(finding);
    if verdict == "absent" {
        assert_eq!(finding["kind"], "missing", "{finding:#}");
        let added = told["commits"][0]["id"].as_str().unwrap_or_else(|| panic!("{finding:#}"));
        let number = ids.iter().position(|id| id == added).unwrap();
        assert!(subjects(&trees[number]).contains_key(&place), "{finding:#}");
        return verdict;
    }
    assert!(["stale", "ahead", "diverged"].contains(&verdict.as_str()), "{base} {host} {finding:#}");
    assert!(told.get("unsearched").is_none(), "{finding:#}");
    let named = told["commit"]["id"].as_str().unwrap_or_else(|| panic!("{finding:#}"));
    let at = ids.iter().position(|id| id == named).unwrap();
    let there = |at: usize| subjects(&trees[at]).remove(&place);
    if there(at) != there(host) {
        // A renamed module is of a commit where it had another name.
        let contents = |at: usize| {
            let all = subjects(&trees[at]);
            all.into_iter()
                .map(|(place, files)| {
                    files
                        .into_iter()
                        .map(|(path, made)| (path[place.len()..].to_owned(), made))
                        .collect::<Files>()
                })
                .collect::<Vec<_>>()
        };
        let here: Files = there(host)
            .unwrap_or_else(|| panic!("{finding:#}"))
            .into_iter()
            .map(|(path, made)| (path[place.len()..].to_owned(), made))
            .collect();
        assert!(contents(at).contains(&here), "{base} {host} {finding:#}");
    }
    if let Some(baseline) = told.get("baseline_commit") {
        let baseline = baseline["id"].as_str().unwrap();
        let number = ids.iter().position(|id| id == baseline).unwrap();
        assert_eq!(there(number), there(base), "{finding:#}");
        let expected = relation(project, named, baseline);
        assert_eq!(verdict, expected, "{finding:#}");
    } else {
        assert_eq!(
            (verdict.as_str(), finding["kind"].as_str().unwrap()),
            ("ahead", "unexpected"),
            "{finding:#}"
        );
    }
    verdict
}

/// How one commit stands to another, as git tells it.
pub(super) fn relation(project: &Project, host: &str, base: &str) -> &'static str {
    match (is_ancestor(project, host, base), is_ancestor(project, base, host)) {
        (true, _) => "stale",
        (_, true) => "ahead",
        _ => "diverged",
    }
}

// Checks out one commit after the other, and compares each with the lock files of another.
#[test]
fn pairs_of_a_long_history_are_told_apart() {
    let project = Project::empty();
    let (ids, trees) = long_history(&project);
    let mut dice = Dice(seed());
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..50 {
        let (base, host) = (1 + dice.roll(ids.len() - 1), 1 + dice.roll(ids.len() - 1));
        git(&project, &["checkout", "--quiet", "--force", "--detach", &ids[host]]);
        let report = searched(&project, &["--baseline", &format!("git:{}", ids[base])]);
        let found = findings(&report);
        let (before, now) = (subjects(&trees[base]), subjects(&trees[host]));
        let places: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let differing: BTreeSet<String> =
            places.into_iter().filter(|place| before.get(*place) != now.get(*place)).cloned().collect();
        assert_eq!(found.values().map(place).collect::<BTreeSet<_>>(), differing, "{base} {host}");
        let truth = relation(&project, &ids[host], &ids[base]);
        for finding in found.values() {
            let verdict = hold(&project, finding, &ids, &trees, base, host);
            // What a branch beside both brought in belongs to neither side's line; what is absent is yet to come.
            let is_right = truth == "diverged"
                || verdict == truth
                || verdict == "diverged"
                || (verdict == "absent" && truth == "stale");
            assert!(is_right, "{truth}, {base} {host} {finding:#}");
            *verdicts.entry(verdict).or_default() += 1;
        }
    }
    let count = |verdict: &str| verdicts.get(verdict).copied().unwrap_or_default();
    let all: usize = verdicts.values().sum();
    println!("{verdicts:?}");
    assert!(count("stale") > 0 && count("ahead") > 0 && count("diverged") * 2 < all, "{verdicts:?}");
}

#[test]
fn a_branch_that_was_never_merged_has_diverged() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    for (number, branch) in [(2, "main"), (3, "side")] {
        files.insert(COMPOSE.to_owned(), text(&format!("n: {number}\n")));
        history.commit(branch, ADA, branch, &[1], &locked(&files));
    }
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "side"]);
    let told = provenance(&project, &["--baseline", "git:main"], COMPOSE);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"diverged".into(), &ids[3].clone().into()));
    assert!(told.get("distance").is_none());
}

#[test]
fn files_edited_by_hand_are_called_so_and_no_other_is() {
    let project = Project::empty();
    let (ids, _) = long_history(&project);
    let mut dice = Dice(seed());
    for round in 0..10 {
        let (base, host) = (1 + dice.roll(ids.len() - 1), 1 + dice.roll(ids.len() - 1));
        git(&project, &["checkout", "--quiet", "--force", "--detach", &ids[host]]);
        let listed = git(&project, &["ls-files", "infra", "odoo_modules", "config"]);
        let all: Vec<&str> = listed
            .lines()
            .filter(|path| !path.contains("/static/lib/") && !path.ends_with("/link"))
            .collect();
        let edited: BTreeSet<&str> = (0..3).map(|_| all[dice.roll(all.len())]).collect();
        for path in &edited {
            project.file(path, &format!("by hand {round} {path}\n"));
        }
        let report = searched(&project, &["--baseline", &format!("git:{}", ids[base])]);
        for finding in findings(&report).values() {
            let place = place(finding);
            let is_edited =
                edited.iter().any(|path| *path == place || path.starts_with(&format!("{place}/")));
            let verdict = &finding["provenance"]["verdict"];
            assert_eq!(*verdict == "edited by hand", is_edited, "{finding:#}");
            if is_edited {
                assert!(finding["provenance"]["mtime"].as_i64().unwrap() > 1_700_000_000, "{finding:#}");
                for file in finding["provenance"]["files"].as_array().into_iter().flatten() {
                    let path = format!("{place}/{}", file["path"].as_str().unwrap());
                    assert_eq!(file["verdict"] == "edited by hand", edited.contains(&*path), "{finding:#}");
                }
            }
        }
    }
}

/// A project whose compose file has had `n` contents, one commit each; the lock files are of commit `locked_at`.
pub(super) fn steps(n: usize, locked_at: usize) -> (Project, Vec<String>) {
    let project = Project::empty();
    let mut history = History::default();
    for number in 1..=n {
        let mut files = beginning();
        files.insert(COMPOSE.to_owned(), text(&format!("n: {number}\n")));
        let mut of_lock = files.clone();
        of_lock.insert(COMPOSE.to_owned(), text(&format!("n: {locked_at}\n")));
        let locks = locked(&of_lock).into_iter().filter(|(path, _)| path.starts_with("audit/locks/"));
        files.extend(locks);
        let parents: Vec<usize> = (number > 1).then_some(number - 1).into_iter().collect();
        history.commit("main", ADA, &format!("step {number}"), &parents, &files);
    }
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    (project, ids)
}

#[test]
fn a_stale_file_is_said_to_be_so_many_commits_behind() {
    let (project, ids) = steps(9, 9);
    project.file(COMPOSE, "n: 2\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!((&told["verdict"], &told["distance"]), (&"stale".into(), &7.into()));
    assert_eq!(
        (&told["commit"]["id"], &told["baseline_commit"]["id"]),
        (&ids[2].clone().into(), &ids[9].clone().into())
    );
    let subjects: Vec<&str> = told["commits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|commit| commit["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["step 9", "step 8", "step 7", "step 6", "step 5", "step 4", "step 3"]);
    let text = project.run(&["check"]).out();
    let short = &ids[2][..12];
    assert!(
        text.contains(&format!(
            "       stale: the content of {short} (2023-11-14, Ada: \"step 2\"), 7 commits behind\n"
        )),
        "{text}"
    );
    assert!(text.contains("Ada: \"step 5\")\n         … and 2 more\n"), "{text}");
}

#[test]
fn a_host_that_is_ahead_is_no_older_one() {
    let (project, ids) = steps(5, 2);
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!((&told["verdict"], &told["distance"]), (&"ahead".into(), &3.into()));
    assert_eq!(told["commit"]["id"], ids[5]);
}

#[test]
fn what_is_missing_is_judged_by_what_is_there() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    files.insert("config/new.conf".to_owned(), text("new\n"));
    history.commit("main", ADA, "adds it", &[1], &locked(&files));
    files.insert(COMPOSE.to_owned(), text("n: 3\n"));
    history.commit("main", ADA, "three", &[2], &locked(&files));
    files.remove("config/new.conf");
    let ids = {
        history.commit("main", ADA, "four", &[3], &locked(&files));
        history.put(&project)
    };
    let at = |host: usize, base: usize| {
        git(&project, &["checkout", "--quiet", "--force", "--detach", &ids[host]]);
        provenance(&project, &["--baseline", &format!("git:{}", ids[base])], "config/new.conf")
    };
    let told = at(1, 3);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"stale".into(), &ids[1].clone().into()));
    assert_eq!(told["commits"][0]["subject"], "adds it");
    let told = at(4, 3);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"ahead".into(), &ids[4].clone().into()));
    let told = at(1, 2);
    assert_eq!(told["verdict"], "absent", "nothing that the host has tells of a later removal: {told:#}");
    git(&project, &["branch", "--force", "main", &ids[3]]);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    std::fs::remove_file(project.path("config/new.conf")).unwrap();
    let told = provenance(&project, &[], "config/new.conf");
    assert_eq!(told["verdict"], "absent");
    assert!(told["words"].as_str().unwrap().contains("adds it"), "{told:#}");
}

#[test]
fn a_module_of_several_commits_is_mixed() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    let (one, two) = ("odoo_modules/a/printer/models/one.py", "odoo_modules/a/printer/models/two.py");
    history.commit("main", ADA, "one", &[], &locked(&files));
    for (number, path) in [(2, one), (3, two), (4, one)] {
        files.insert(path.to_owned(), text(&format!("n = {number}\n")));
        history.commit("main", ADA, &format!("step {number}"), &[number - 1], &locked(&files));
    }
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(one, "one = 'a/printer'\n");
    project.file(two, "n = 3\n");
    let told = provenance(&project, &[], "printer");
    assert_eq!(
        (&told["verdict"], &told["files"][0]["commit"]["id"]),
        (&"mixed".into(), &ids[1].clone().into())
    );
    project.file(two, "two = 'a/printer'\n");
    let told = provenance(&project, &[], "printer");
    assert_eq!(
        (&told["verdict"], &told["commit"]["id"], &told["distance"]),
        (&"stale".into(), &ids[1].clone().into(), &3.into())
    );
    project.file(one, "by hand\n");
    let report = searched(&project, &[]);
    let finding = &findings(&report)["printer"];
    assert_eq!(finding["provenance"]["verdict"], "edited by hand");
    assert_eq!(finding["provenance"]["files"][1]["commit"]["id"], ids[1]);
    assert_eq!(finding["manifest_version"]["expected"], "18.0.0");
    let text = project.run(&["check"]).out();
    assert!(text.contains("       manifest version: 18.0.0, unchanged\n"), "{text}");
    assert!(text.contains("         models/one.py: edited by hand\n"), "{text}");
}

#[test]
fn a_manifest_that_was_bumped_tells_both_versions() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    let manifest = "odoo_modules/a/printer/__manifest__.py";
    files.insert(
        manifest.to_owned(),
        text("{\n    \"name\": \"Printer\",\n    \"version\": \"18.0.1\",\n}\n"),
    );
    history.commit("main", ADA, "bump", &[1], &locked(&files));
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(manifest, "{'name': 'a/printer', 'version': '18.0.0'}\n");
    let text = project.run(&["check"]).out();
    assert!(text.contains("       manifest version: 18.0.1 → 18.0.0\n"), "{text}");
}

#[test]
fn only_a_whole_history_proves_an_edit() {
    let (source, ids) = steps(9, 9);
    let project = Project::empty();
    let url = format!("file://{}", source.root().display());
    git(&project, &["clone", "--quiet", "--depth", "3", &url, "."]);
    project.file(COMPOSE, "n: 8\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"stale".into(), &ids[8].clone().into()));
    project.file(COMPOSE, "n: 2\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!(told["verdict"], "unknown");
    assert!(told["unsearched"].as_str().unwrap().contains("shallow"), "{told:#}");
}

#[test]
fn a_baseline_whose_commit_is_gone_is_compared_by_content() {
    let (project, _) = steps(4, 4);
    project.file(COMPOSE, "by hand\n");
    let mut checks = checks_of(&project);
    let ask = driftlock::provenance::Trace {
        root: &project.root(),
        anchor: Some("0123456789012345678901234567890123456789".to_owned()),
        exclude: &[],
        cache: None,
        budget: Duration::from_secs(20),
    };
    driftlock::provenance::trace(&mut checks, &ask, &driftlock::host::Watch::default());
    let told = checks[0].findings[0].provenance.clone().unwrap();
    assert_eq!(told.origin, driftlock::model::Origin::Unknown);
    assert!(told.unsearched.unwrap().contains("012345678901 is not in this repository any more"));
    project.file(COMPOSE, "n: 3\n");
    let mut checks = checks_of(&project);
    driftlock::provenance::trace(&mut checks, &ask, &driftlock::host::Watch::default());
    let told = checks[0].findings[0].provenance.clone().unwrap();
    assert_eq!((told.origin, told.distance), (driftlock::model::Origin::Stale, 1));
    assert!(told.unsearched.is_some());
}

/// A check with one finding: the compose file as it is, against the fourth content of [`steps`].
fn checks_of(project: &Project) -> Vec<driftlock::model::CheckResult> {
    use driftlock::model::{CheckResult, Digest, Finding, Kind, SectionId, Subject, Value};
    let check = driftlock::check::CHECKS.iter().find(|check| check.id() == "compose_hashes").unwrap();
    let subject = Subject::of_section(SectionId("compose"), COMPOSE);
    let actual = Digest::of(&std::fs::read(project.path(COMPOSE)).unwrap());
    let expected = Digest::of(b"n: 4\n");
    let finding = Finding::new(subject, Kind::Modified, Value::Digest(expected), Value::Digest(actual));
    vec![CheckResult { findings: vec![finding], ..CheckResult::new(check.meta()) }]
}

#[test]
fn a_damaged_or_missing_object_proves_nothing() {
    for damage in [None, Some(&b"not zlib"[..])] {
        let (project, _) = steps(4, 4);
        let object = git(&project, &["rev-parse", &format!("main~2:{COMPOSE}")]);
        for pack in std::fs::read_dir(project.path(".git/objects/pack")).unwrap() {
            std::fs::rename(
                pack.as_ref().unwrap().path(),
                project.path(".git").join(pack.unwrap().file_name()),
            )
            .unwrap();
        }
        unpack(&project);
        let path = project.path(&format!(".git/objects/{}/{}", &object[..2], &object[2..]));
        std::fs::remove_file(&path).unwrap();
        if let Some(bytes) = damage {
            std::fs::write(&path, bytes).unwrap();
        }
        project.file(COMPOSE, "by hand\n");
        let told = provenance(&project, &[], COMPOSE);
        assert_eq!(told["verdict"], "unknown", "{told:#}");
        assert!(told["unsearched"].as_str().unwrap().contains("git fsck"), "{told:#}");
        project.file(COMPOSE, "n: 1\n");
        assert_eq!(provenance(&project, &[], COMPOSE)["verdict"], "stale");
    }
}

/// Makes loose objects of the packs that lie in `.git`.
fn unpack(project: &Project) {
    for entry in std::fs::read_dir(project.path(".git")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "pack") {
            let mut git = Command::new("git");
            git.arg("-C").arg(project.root()).args(["unpack-objects", "-q"]);
            assert!(git.stdin(std::fs::File::open(path).unwrap()).status().unwrap().success());
        }
    }
}

#[test]
fn a_lost_tree_leaves_the_rest_unsearched() {
    let (project, _) = steps(4, 4);
    for pack in std::fs::read_dir(project.path(".git/objects/pack")).unwrap() {
        std::fs::rename(pack.as_ref().unwrap().path(), project.path(".git").join(pack.unwrap().file_name()))
            .unwrap();
    }
    unpack(&project);
    let tree = git(&project, &["rev-parse", "main~2:infra"]);
    std::fs::remove_file(project.path(&format!(".git/objects/{}/{}", &tree[..2], &tree[2..]))).unwrap();
    project.file(COMPOSE, "by hand\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(
        told["unsearched"].as_str().unwrap().contains("git could not read the whole history"),
        "{told:#}"
    );
}

#[test]
fn what_lies_in_another_repository_is_not_judged() {
    let (source, _) = steps(2, 2);
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file(
        "audit/driftlock.toml",
        "[compose]\nfiles = [\"sub/infra/stacks/*/docker-compose.yml\"]\n[addons]\nroots = []\n",
    );
    let url = format!("file://{}", source.root().display());
    git(&project, &["submodule", "--quiet", "add", &url, "sub"]);
    project.ok(&["export", "--accept"]);
    commit_all(&project, "all");
    let subject = format!("sub/{COMPOSE}");
    project.file(&subject, "n: 1\n");
    let ran = project.run(&["check", "--format", "json"]).report();
    let told = &check_of(&ran, "compose_hashes")["findings"][0]["provenance"];
    assert_eq!(told["verdict"], "unknown");
    assert!(told["unsearched"].as_str().unwrap().starts_with("sub is another repository"), "{told:#}");
}

#[test]
fn a_submodule_inside_a_module_is_not_judged() {
    let (source, _) = steps(2, 2);
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("audit/driftlock.toml", "[compose]\nfiles = []\n[addons]\nroots = [\"mods\"]\n");
    project.file("mods/x/__manifest__.py", "{}\n");
    let url = format!("file://{}", source.root().display());
    git(&project, &["submodule", "--quiet", "add", &url, "mods/x/vendor"]);
    project.ok(&["export", "--accept"]);
    commit_all(&project, "all");
    project.file(&format!("mods/x/vendor/{COMPOSE}"), "n: 1\n");
    let report = project.run(&["check", "--format", "json"]).report();
    let told = &check_of(&report, "addon_hashes")["findings"][0]["provenance"];
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("a submodule"), "{told:#}");
}

#[test]
fn older_names_are_followed() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    let body: String = (0..40).map(|n| format!("line: {n}\n")).collect();
    let (old, new) = ("infra/stacks/old/docker-compose.yml", "infra/stacks/new/docker-compose.yml");
    files.insert(old.to_owned(), text(&format!("{body}a: 1\n")));
    history.commit("main", ADA, "one", &[], &locked(&files));
    files.insert(old.to_owned(), text(&format!("{body}a: 2\n")));
    history.commit("main", ADA, "two", &[1], &locked(&files));
    let moved = files.remove(old).unwrap();
    files.insert(new.to_owned(), moved);
    history.commit("main", ADA, "rename", &[2], &locked(&files));
    files.insert(new.to_owned(), text(&format!("{body}a: 4\n")));
    history.commit("main", ADA, "four", &[3], &locked(&files));
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(new, &format!("{body}a: 1\n"));
    let told = provenance(&project, &[], new);
    assert_eq!(
        (&told["verdict"], &told["commit"]["id"], &told["distance"]),
        (&"stale".into(), &ids[1].clone().into(), &3.into())
    );
}

#[test]
fn a_history_that_is_too_long_is_searched_as_far_as_time_allows() {
    let project = Project::empty();
    let mut history = History::default();
    let first = locked(&beginning());
    history.commit("main", ADA, "begin", &[], &first);
    let compose = ["edge", "erp", "mail"].map(|stack| format!("infra/stacks/{stack}/docker-compose.yml"));
    for number in 2..=20_000 {
        history.change(
            "main",
            &format!("step {number}"),
            &compose[number % 3],
            format!("n: {number}\n").as_bytes(),
        );
    }
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    for path in &compose {
        project.file(path, "by hand\n");
    }
    for module in ["a/printer", "a/ocr", "b/stock"] {
        project.file(&format!("odoo_modules/{module}/models/one.py"), "by hand\n");
    }
    project.file("config/traefik.conf", "by hand\n");
    for number in 0..3 {
        project.file(&format!("config/{number}.conf"), "by hand\n");
    }
    let (_, report) = project.check(&[]);
    let found = findings(&report);
    println!("{}", found["config/traefik.conf"]["provenance"]["words"]);
    assert_eq!(found.len(), 10);
    for finding in found.values() {
        let told = &finding["provenance"];
        let is_edited = told["verdict"] == "edited by hand";
        assert!(is_edited || told["unsearched"].is_string(), "{finding:#}");
    }
    let mut checks = checks_of(&project);
    let ask = driftlock::provenance::Trace {
        root: &project.root(),
        anchor: None,
        exclude: &[],
        cache: None,
        budget: Duration::from_millis(40),
    };
    driftlock::provenance::trace(&mut checks, &ask, &driftlock::host::Watch::default());
    let told = checks[0].findings[0].provenance.clone().unwrap();
    println!("{:?}", told.unsearched);
    assert_eq!(told.origin, driftlock::model::Origin::Unknown);
    assert!(told.unsearched.unwrap().contains("not enough time"));
    let watch = driftlock::host::Watch::default();
    watch.cancel();
    let ask = driftlock::provenance::Trace { budget: Duration::from_mins(10), ..ask };
    checks[0].findings[0].provenance = None;
    driftlock::provenance::trace(&mut checks, &ask, &watch);
    let told = checks[0].findings[0].provenance.take();
    let is_known = told.is_some_and(|it| it.origin != driftlock::model::Origin::Unknown);
    assert!(!is_known, "it was searched to the end");
}

#[test]
fn a_git_that_says_nothing_is_not_waited_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let (project, _) = steps(2, 2);
    project.file(COMPOSE, "n: 1\n");
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file()).unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = log ] && exec sleep 600; done\nexec {} \"$@\"\n",
        real.display()
    );
    let slow = Project::empty();
    slow.file("git", &script);
    std::fs::set_permissions(slow.path("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut check = project.driftlock(&["check", "--format", "json"]);
    let output = check.env("PATH", format!("{}:{path}", slow.root().display())).output().unwrap();
    let report = crate::support::Ran(output).report();
    let told = &findings(&report)[COMPOSE]["provenance"];
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("not enough time"), "{told:#}");
}

#[test]
fn without_git_or_a_repository_the_terminal_is_silent() {
    let project = Project::accepted();
    project.file(COMPOSE, "other\n");
    let told = |ran: crate::support::Ran| {
        let report = ran.report();
        check_of(&report, "compose_hashes")["findings"][0]["provenance"].clone()
    };
    let json = told(project.run(&["check", "--format", "json"]));
    assert_eq!(
        (&json["verdict"], &json["unsearched"]),
        (&"unknown".into(), &"this project is in no git repository".into())
    );
    assert!(!project.run(&["check"]).out().contains("provenance"));
    let mut check = project.driftlock(&["check", "--format", "json"]);
    let ran = crate::support::Ran(check.env("PATH", "/nonexistent").output().unwrap());
    assert_eq!(told(ran)["unsearched"], "there is no git here to ask");
}

#[test]
fn a_project_below_the_uppermost_directory_is_found_there() {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("shop/audit/driftlock.toml", CONFIGURATION);
    project.file(&format!("shop/{COMPOSE}"), "n: 1\n");
    project.file("shop/config/a.conf", "x\n");
    project.file("shop/odoo_modules/a/x/__manifest__.py", "{'version': '1'}\n");
    project.file("shop/odoo_modules/a/x/y.py", "1\n");
    commit_all(&project, "one");
    project.file(&format!("shop/{COMPOSE}"), "n: 2\n");
    project.file("shop/odoo_modules/a/x/y.py", "2\n");
    project.ok(&["--root", "shop", "export", "--accept"]);
    commit_all(&project, "two");
    project.file(&format!("shop/{COMPOSE}"), "n: 1\n");
    project.file("shop/odoo_modules/a/x/y.py", "1\n");
    let report = project.run(&["--root", "shop", "check", "--format", "json"]).report();
    for finding in findings(&report).values() {
        assert_eq!(
            (&finding["provenance"]["verdict"], &finding["provenance"]["distance"]),
            (&"stale".into(), &1.into()),
            "{finding:#}"
        );
    }
    assert_eq!(findings(&report).len(), 2);
}

#[test]
fn links_on_the_way_are_followed_inside_the_repository() {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.file("releases/y/docker-compose.yml", "n: 1\n");
    project.file("config/a.conf", "x\n");
    project.file("odoo_modules/a/x/__manifest__.py", "{}\n");
    std::fs::create_dir_all(project.path("infra/stacks")).unwrap();
    std::os::unix::fs::symlink("../../releases/y", project.path("infra/stacks/x")).unwrap();
    commit_all(&project, "one");
    project.file("releases/y/docker-compose.yml", "n: 2\n");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "two");
    project.file("releases/y/docker-compose.yml", "n: 1\n");
    let subject = "infra/stacks/x/docker-compose.yml";
    assert_eq!(provenance(&project, &[], subject)["verdict"], "stale");
    let elsewhere = Project::empty();
    elsewhere.file("docker-compose.yml", "n: 1\n");
    std::fs::remove_file(project.path("infra/stacks/x")).unwrap();
    std::os::unix::fs::symlink(elsewhere.root(), project.path("infra/stacks/x")).unwrap();
    let told = provenance(&project, &[], subject);
    assert!(told["unsearched"].as_str().unwrap().contains("leads out of the repository"), "{told:#}");
}

#[test]
fn hostile_names_are_escaped() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    let author = "A\x1b[31mda\u{202e} <ada@example.org>";
    history.commit("main", author, ":100644 \x1b]0;x\x07\u{202e}", &[], &locked(&files));
    files.insert(COMPOSE.to_owned(), text("n: 2\n"));
    history.commit("main", author, "", &[1], &locked(&files));
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(COMPOSE, "services: {erp: 0}\n");
    let text = project.run(&["check"]).out();
    assert!(
        text.contains("A\\x1b[31mda\\u{202e}: \":100644 \\x1b]0;x\\x07\\u{202e}\"), 1 commit behind"),
        "{text}"
    );
    assert!(!text.contains(['\x1b', '\u{202e}']));
}

#[test]
fn line_endings_are_those_of_a_checkout() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    files.insert(".gitattributes".to_owned(), text("*.yml text eol=crlf\n*.py text eol=crlf\n"));
    history.commit("main", ADA, "one", &[], &files);
    files.insert(COMPOSE.to_owned(), text("n: 2\nm: 3\n"));
    files.insert("odoo_modules/a/ocr/models/one.py".to_owned(), text("n = 2\n"));
    history.commit("main", ADA, "two", &[1], &files);
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    assert_eq!(project.read(COMPOSE), "n: 2\r\nm: 3\r\n");
    project.ok(&["export", "--accept"]);
    git(&project, &["checkout", "--quiet", "--force", "main~1"]);
    let report = searched(&project, &[]);
    let found = findings(&report);
    assert_eq!(found.len(), 2);
    for finding in found.values() {
        let told = &finding["provenance"];
        assert_eq!(
            (&told["verdict"], &told["commit"]["id"]),
            (&"stale".into(), &ids[1].clone().into()),
            "{finding:#}"
        );
    }
    let digest = driftlock::model::Digest::of(b"n: 2\r\nm: 3\r\n");
    let watch = driftlock::host::Watch::default();
    let bytes = driftlock::provenance::content(
        &project.root(),
        COMPOSE.as_bytes(),
        digest,
        Duration::from_secs(20),
        &watch,
    );
    assert_eq!(bytes.unwrap().unwrap(), b"n: 2\r\nm: 3\r\n");
}

#[test]
fn a_wrong_memory_decides_nothing() {
    let (project, ids) = steps(6, 6);
    project.file(COMPOSE, "n: 2\n");
    provenance(&project, &[], COMPOSE);
    let memory = project.path("audit/runtime/blob_digests.txt");
    // The second run finds the directory that the first one made.
    provenance(&project, &[], COMPOSE);
    let text = std::fs::read_to_string(&memory).unwrap();
    let blob = git(&project, &["rev-parse", &format!("{}:{COMPOSE}", ids[4])]);
    let digest = driftlock::model::Digest::of(b"n: 2\n").to_string();
    let lie = format!("{blob} {digest}");
    let check = driftlock::model::Digest::of(lie.as_bytes()).to_string();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(&blob))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    std::fs::write(&memory, format!("{lines}{lie} {}\ngarbage\n", &check[..8])).unwrap();
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!(told["commit"]["id"], ids[2]);
    assert!(!std::fs::read_to_string(&memory).unwrap().contains(&lie));
}

/// A history in which `main` (3) merges `side` (2), which changed the compose file, as it is.
fn merged() -> (Project, Vec<String>) {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    put(&mut files, COMPOSE, "n: 2\n");
    history.commit("side", ADA, "two", &[1], &locked(&files));
    put(&mut files, COMPOSE, "n: 3\n");
    history.commit("main", ADA, "three", &[1], &locked(&files));
    history.commit("main", ADA, "merge", &[3, 2], &locked(&files));
    let ids = history.put(&project);
    (project, ids)
}

#[test]
fn what_a_merge_left_behind_is_before_it() {
    let (project, ids) = merged();
    git(&project, &["checkout", "--quiet", "--force", "--detach", &ids[2]]);
    let told = provenance(&project, &["--baseline", &format!("git:{}", ids[4])], COMPOSE);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"stale".into(), &ids[2].clone().into()));
    assert_eq!(told["baseline_commit"]["id"], ids[4]);
    git(&project, &["checkout", "--quiet", "--force", "--detach", &ids[4]]);
    let told = provenance(&project, &["--baseline", &format!("git:{}", ids[2])], COMPOSE);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"ahead".into(), &ids[4].clone().into()));
}

#[test]
fn a_branch_that_nobody_merged_is_neither_the_baseline_nor_a_removal() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    put(&mut files, COMPOSE, "n: 1\n");
    let locks = locked(&files).into_iter().filter(|(path, _)| path.starts_with("audit/locks/"));
    let locks: Files = locks.collect();
    history.commit("main", ADA, "one", &[], &locked(&files));
    put(&mut files, COMPOSE, "n: 2\n");
    files.extend(locks);
    history.commit("main", ADA, "two", &[1], &files);
    put(&mut files, COMPOSE, "n: 1\n");
    files.remove("config/traefik.conf");
    history.commit("try", ADA, "back to one", &[2], &files);
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!((&told["verdict"], &told["commit"]["id"]), (&"ahead".into(), &ids[2].clone().into()));
    assert_eq!(told["baseline_commit"]["id"], ids[1]);
    std::fs::remove_file(project.path("config/traefik.conf")).unwrap();
    assert_eq!(provenance(&project, &[], "config/traefik.conf")["verdict"], "absent");
}

#[test]
fn many_modules_and_merges_take_no_longer_than_others() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    files.insert("audit/driftlock.toml".to_owned(), text(&CONFIGURATION.replace("odoo_modules/*", "mods")));
    for module in 0..200 {
        put(&mut files, &format!("mods/m{module}/__manifest__.py"), "{}\n");
        put(&mut files, &format!("mods/m{module}/a.py"), "a\n");
        put(&mut files, &format!("mods/m{module}/b.py"), "b\n");
    }
    history.commit("main", ADA, "begin", &[], &locked(&files));
    let mut tip = 1;
    for number in 0..1_500 {
        let path = |n: usize, file: &str| format!("mods/m{}/{file}.py", n % 200);
        let one = (path(number, "a"), format!("a = {number}\n"));
        let two = (path(number + 1, "b"), format!("b = {number}\n"));
        let side = history.patch("side", "side", &[tip], &[(&one.0, &one.1)]);
        let trunk = history.patch("main", "trunk", &[tip], &[(&two.0, &two.1)]);
        tip = history.patch("main", "merge", &[trunk, side], &[(&one.0, &one.1)]);
    }
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    for module in 0..200 {
        project.file(&format!("mods/m{module}/b.py"), "by hand\n");
    }
    let (_, report) = project.check(&[]);
    for finding in findings(&report).values() {
        let told = &finding["provenance"];
        assert!(told["verdict"] == "edited by hand" || told["unsearched"].is_string(), "{finding:#}");
    }
}

#[test]
fn a_lost_blob_of_a_file_that_does_not_differ_makes_no_half_deploy() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    history.commit("main", ADA, "one", &[], &locked(&files));
    put(&mut files, "odoo_modules/a/ocr/models/one.py", "n = 2\n");
    history.commit("main", ADA, "two", &[1], &locked(&files));
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    for pack in std::fs::read_dir(project.path(".git/objects/pack")).unwrap() {
        let pack = pack.unwrap();
        std::fs::rename(pack.path(), project.path(".git").join(pack.file_name())).unwrap();
    }
    unpack(&project);
    let object = git(&project, &["rev-parse", "main:odoo_modules/a/ocr/models/two.py"]);
    std::fs::remove_file(project.path(&format!(".git/objects/{}/{}", &object[..2], &object[2..]))).unwrap();
    project.file("odoo_modules/a/ocr/models/one.py", "one = 'a/ocr'\n");
    let told = provenance(&project, &[], "ocr");
    assert_eq!(told["verdict"], "unknown", "{told:#}");
}

#[test]
fn behind_a_link_nothing_is_said_to_be_edited() {
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.file("config/a.conf", "x\n");
    project.file("odoo_modules/a/x/__manifest__.py", "{}\n");
    project.file("infra/stacks/x/docker-compose.yml", "n: 1\n");
    commit_all(&project, "plain");
    std::fs::remove_dir_all(project.path("infra/stacks/x")).unwrap();
    project.file("releases/y/docker-compose.yml", "n: 2\n");
    std::os::unix::fs::symlink("../../releases/y", project.path("infra/stacks/x")).unwrap();
    project.ok(&["export", "--accept"]);
    commit_all(&project, "a link");
    project.file("releases/y/docker-compose.yml", "n: 1\n");
    let told = provenance(&project, &[], "infra/stacks/x/docker-compose.yml");
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("a link is on the way"), "{told:#}");
}

#[test]
fn a_module_that_moved_with_a_new_manifest_is_followed() {
    let project = Project::empty();
    let mut history = History::default();
    let mut files = beginning();
    let (old, new) = ("odoo_modules/b/old", "odoo_modules/b/new");
    let body: String = (0..40).map(|n| format!("n = {n}\n")).collect();
    put(&mut files, &format!("{old}/__manifest__.py"), "{'name': 'old'}\n");
    put(&mut files, &format!("{old}/models/one.py"), &body);
    put(&mut files, &format!("{old}/models/two.py"), "two\n");
    history.commit("main", ADA, "one", &[], &locked(&files));
    files.retain(|path, _| !path.starts_with(old));
    put(
        &mut files,
        &format!("{new}/__manifest__.py"),
        "# all of it is new, and nothing is as it was\n[1, 2, 3]\n",
    );
    put(&mut files, &format!("{new}/models/one.py"), &body);
    put(&mut files, &format!("{new}/models/two.py"), "something else that is longer\n");
    history.commit("main", ADA, "moved", &[1], &locked(&files));
    let ids = history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(&format!("{new}/__manifest__.py"), "{'name': 'old'}\n");
    project.file(&format!("{new}/models/two.py"), "two\n");
    let told = provenance(&project, &[], "new");
    assert_eq!(
        (&told["verdict"], &told["commit"]["id"]),
        (&"stale".into(), &ids[1].clone().into()),
        "{told:#}"
    );
}

#[test]
fn what_was_a_submodule_once_is_not_said_to_be_edited() {
    let (source, _) = steps(2, 2);
    let project = Project::empty();
    git(&project, &["init", "--quiet"]);
    project.file("audit/driftlock.toml", CONFIGURATION);
    project.file("config/a.conf", "x\n");
    project.file("odoo_modules/a/x/__manifest__.py", "{}\n");
    let url = format!("file://{}", source.root().display());
    git(&project, &["submodule", "--quiet", "add", &url, "infra/stacks/x"]);
    commit_all(&project, "as a submodule");
    git(&project, &["rm", "--quiet", "--force", "infra/stacks/x"]);
    project.file("infra/stacks/x/docker-compose.yml", "n: 2\n");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "plain");
    project.file("infra/stacks/x/docker-compose.yml", "n: 1\n");
    let told = provenance(&project, &[], "infra/stacks/x/docker-compose.yml");
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("submodule once"), "{told:#}");
}

#[test]
fn other_line_endings_are_no_edit() {
    for (stored, held) in
        [("n: 1\nm: 2\n", "n: 1\r\nm: 2\r\n"), ("n: 1\r\nm\r\n", "n: 1\nm\n"), ("n\0\n", "n\0\r\n")]
    {
        let project = Project::empty();
        let mut history = History::default();
        let mut files = beginning();
        put(&mut files, COMPOSE, stored);
        history.commit("main", ADA, "one", &[], &locked(&files));
        put(&mut files, COMPOSE, "n: 5\n");
        history.commit("main", ADA, "two", &[1], &locked(&files));
        let ids = history.put(&project);
        git(&project, &["checkout", "--quiet", "--force", "main"]);
        project.file(COMPOSE, held);
        let told = provenance(&project, &[], COMPOSE);
        let found = (&told["verdict"], &told["commit"]["id"], &told["forms"][0]);
        // What is stored with CR LF and held with LF ends its lines as the baseline does.
        let form = if stored.contains('\r') { Json::Null } else { "with other line endings".into() };
        let wanted = (&"stale".into(), &ids[1].clone().into(), &form);
        assert_eq!(found, wanted, "{told:#}");
    }
}

#[test]
fn a_memory_that_hides_something_makes_no_edit() {
    let (project, ids) = steps(6, 6);
    project.file(COMPOSE, "n: 3\n");
    provenance(&project, &[], COMPOSE);
    provenance(&project, &[], COMPOSE);
    let memory = project.path("audit/runtime/blob_digests.txt");
    let blob = git(&project, &["rev-parse", &format!("{}:{COMPOSE}", ids[2])]);
    let lie = format!("{blob} {}", driftlock::model::Digest::of(b"other"));
    let check = driftlock::model::Digest::of(lie.as_bytes()).to_string();
    let text = std::fs::read_to_string(&memory).unwrap();
    let lines: String = text.lines().filter(|l| !l.starts_with(&blob)).map(|l| format!("{l}\n")).collect();
    std::fs::write(&memory, format!("{lines}{lie} {}\n", &check[..8])).unwrap();
    project.file(COMPOSE, "n: 2\n");
    let told = provenance(&project, &[], COMPOSE);
    assert_eq!(
        (&told["verdict"], &told["commit"]["id"]),
        (&"stale".into(), &ids[2].clone().into()),
        "{told:#}"
    );
}

#[test]
fn a_file_that_was_renamed_very_often_is_not_said_to_be_edited() {
    let project = Project::empty();
    let mut history = History::default();
    let body: String = (0..40).map(|n| format!("line: {n}\n")).collect();
    let path = |number: usize| format!("infra/stacks/s{number}/docker-compose.yml");
    for number in 0..15 {
        let mut files = beginning();
        put(&mut files, &path(number), &format!("{body}a: {number}\n"));
        let parents: Vec<usize> = (number > 0).then_some(number).into_iter().collect();
        history.commit("main", ADA, "renamed", &parents, &locked(&files));
    }
    history.put(&project);
    git(&project, &["checkout", "--quiet", "--force", "main"]);
    project.file(&path(14), &format!("{body}a: 1\n"));
    let told = provenance(&project, &[], &path(14));
    assert_eq!(told["verdict"], "unknown", "{told:#}");
    assert!(told["unsearched"].as_str().unwrap().contains("too often"), "{told:#}");
}
