//! The format `html`: sound markup, nothing loaded, nothing run, and what a browser makes of it on a desk, a phone and
//! paper.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64;
use serde_json::Value;

use crate::support::browser::chromium;
use crate::support::cases::{HOSTILE, KINDS, case, drifted, hostile};
use crate::support::git::{commit_all, git};
use crate::support::{Project, Ran};

const EDGE: &str = "infra/stacks/edge/docker-compose.yml";

/// What html5lib says of pages; it must find nothing wrong with any.
fn judged(pages: &[PathBuf]) -> Vec<Value> {
    let output =
        Command::new("/usr/bin/python3").args(["-c", include_str!("html.py")]).args(pages).output().unwrap();
    assert!(output.status.success(), "{pages:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes a page of the project with a command, as a file in it; what html5lib says of it.
fn page(project: &Project, args: &[&str]) -> Value {
    let ran = project.run(&[args, &["--format", "html=page.html"]].concat());
    assert!(project.path("page.html").exists(), "{}", ran.err());
    judged(&[project.path("page.html")]).remove(0)
}

fn texts(page: &Value, key: &str) -> Vec<String> {
    page[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn text(page: &Value) -> &str {
    page["text"].as_str().unwrap()
}

/// Pages of every kind that there is, by name.
fn pages(into: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for case in KINDS.map(case) {
        let path = into.join(format!("{}.html", case.name));
        case.check(&["--format", &format!("html={}", path.display())]);
        pages.push(path);
    }
    let path = into.join("fleet.html");
    std::fs::copy(fleet().1, &path).unwrap();
    pages.push(path);
    let project = drifted();
    let path = into.join("diff.html");
    let option = format!("html={}", path.display());
    project.run(&["diff", "git:HEAD~1", "git:HEAD", "--content", "--format", &option]);
    pages.push(path);
    pages
}

#[test]
fn a_page_of_every_kind_is_sound_and_says_what_the_terminal_says() {
    for case in KINDS.map(case) {
        let said = case.check(&["--format", "terminal", "--format", "html=page.html"]);
        let page = judged(&[case.project.path("page.html")]).remove(0);
        let facts: Vec<String> = said.out().lines().filter_map(fact).collect();
        for fact in facts {
            let flat = text(&page).replace('\n', " ");
            assert!(flat.contains(&fact), "{}: nothing of {fact:?} in {flat}", case.name);
        }
        let verdict = match said.code() {
            _ if !said.out().contains("OVERALL: FAIL") => "PASS",
            1 => "ERROR",
            _ => "FAIL",
        };
        assert!(texts(&page, "headings")[0].starts_with(verdict), "{}: {page:#}", case.name);
        assert!(page["title"].as_str().unwrap().starts_with(verdict), "{}: {page:#}", case.name);
    }
}

/// Of a line of the terminal report what a page must say, too: the subject, the reason, the cause, the command.
fn fact(line: &str) -> Option<String> {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest.to_owned());
    if let Some(rest) = line.strip_prefix("       ") {
        let is_way = rest.contains(": driftlock ") || rest.contains(": git ") || rest.contains(": rm ");
        return if is_way || rest.starts_with("probably") {
            rest.split_once(": ").map(|it| it.1.to_owned())
        } else {
            None
        };
    }
    match line.get(..6)? {
        "[FAIL]" | "[ERROR" | "[ACK] " if !line.contains("Nothing was compared") => after(": "),
        "[PASS]" => line.get(7..).map(str::to_owned),
        _ => None,
    }
}

#[test]
fn a_browser_shows_them_on_a_desk_and_on_a_phone_in_light_and_in_dark() {
    let project = Project::empty();
    let pages = pages(&project.root());
    let frames: String =
        pages.iter().flat_map(|path| [1280, 390, 320].map(|width| frame(path, width))).collect();
    let script = include_str!("html.js");
    project.file("frames.html", &format!("<!DOCTYPE html><script>{script}</script><body>{frames}</body>"));
    for (scheme, ground) in [("1", "rgb(245, 246, 248)"), ("0", "rgb(13, 16, 20)")] {
        let setting = format!("--blink-settings=preferredColorScheme={scheme}");
        let dumped = chromium(&project.path("frames.html"), &["--dump-dom", &setting]);
        let told = dumped.split_once("<body>told:").and_then(|(_, rest)| rest.split_once(":told"));
        let told = told.unwrap_or_else(|| panic!("{dumped}")).0;
        let told: Value = serde_json::from_slice(&BASE64.decode(told.as_bytes()).unwrap()).unwrap();
        let told = told.as_array().unwrap_or_else(|| panic!("{told}"));
        assert_eq!(told.len(), pages.len() * 3);
        for page in told {
            let name = &page["name"];
            assert_eq!(page["ground"], ground, "{name}: the scheme that was asked for");
            assert!(page["texts"].as_u64().unwrap() > 20, "{page:#}");
            assert_eq!(page["faint"], Value::Array(vec![]), "{name} {scheme}");
            assert_eq!(page["wide"], Value::Array(vec![]), "{name} is wider than its frame");
            assert_eq!(page["alerts"], 0, "{name}");
            let tags = page["tags"].to_string();
            assert!(!tags.contains("script") && !tags.contains("img"), "{name}: {tags}");
        }
    }
}

/// A page in a frame of its own; `alert` in it would be counted.
fn frame(path: &Path, width: u32) -> String {
    let page = std::fs::read_to_string(path).unwrap();
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    let name = path.file_stem().unwrap().to_string_lossy();
    format!(
        "<iframe title=\"{name} at {width}\" width={width} height=900 style=\"border:0;display:block\" srcdoc=\"{page}\"></iframe>"
    )
}

#[test]
fn hostile_names_are_shown_and_nothing_else() {
    let page = page(&hostile(), &["check"]);
    let headings = texts(&page, "headings");
    for name in HOSTILE {
        let shown = driftlock::model::escaped(name);
        assert!(
            headings.iter().any(|it| it.starts_with(&format!("{shown} ")) || *it == shown),
            "{shown}: {headings:#?}"
        );
        assert!(
            headings.iter().any(|it| it.contains(&format!("infra/stacks/{shown}/"))),
            "{shown}: {headings:#?}"
        );
        assert!(text(&page).contains(&format!("{shown}/docker-compose.yml")), "{shown} in a module");
    }
    let hidden = |c: char| c != '\n' && driftlock::model::is_hidden(c);
    assert!(!page.to_string().contains(hidden), "{page:#}");
}

/// The files of the module that a deploy has left behind.
const FILES: [&str; 4] =
    ["__manifest__.py", "models/sale_order_line.py", "views/sale_order_views.xml", "i18n/de.po"];

/// A project with one module that a deploy has left behind, or has half reached, under git.
fn left_behind(is_half: bool) -> Project {
    let project = Project::small();
    git(&project, &["init", "--quiet"]);
    let write = |files: &[&str], text: &str| {
        for file in files {
            project.file(&format!("odoo_modules/community/NAME/{file}"), &format!("{text} {file}\n"));
        }
    };
    write(&FILES, "one");
    commit_all(&project, "sale: the first of two releases");
    write(&FILES, "two");
    project.ok(&["export", "--accept"]);
    commit_all(&project, "sale: the second of two releases");
    write(if is_half { &FILES[1..] } else { &FILES }, "one");
    project
}

/// The report of such a project, with that finding three hundred times, under names as long as real ones.
fn three_hundred(is_half: bool) -> Value {
    let project = left_behind(is_half);
    project.check(&[]);
    let (_, mut report) = project.check(&[]);
    let check = report["checks"].as_array_mut().unwrap().iter_mut().find(|it| it["name"] == "addon_hashes");
    let findings = check.unwrap()["findings"].as_array_mut().unwrap();
    let one = findings.remove(0).to_string();
    let named = |n: usize| one.replace("NAME", &format!("account_invoice_extension_{n}"));
    findings.extend((0..300).map(|n| serde_json::from_str::<Value>(&named(n)).unwrap()));
    report
}

#[test]
fn a_page_of_three_hundred_findings_is_small_and_can_be_printed() {
    let project = Project::empty();
    for (is_half, word) in [(true, "mixed: 3 files of another commit"), (false, "stale: the content of")] {
        project.file("report.json", &three_hundred(is_half).to_string());
        project.ok(&["report", "report.json", "--format", "html=page.html"]);
        let page = judged(&[project.path("page.html")]).remove(0);
        let size = std::fs::metadata(project.path("page.html")).unwrap().len();
        assert!(size < 300_000, "{size} bytes");
        let headings = texts(&page, "headings");
        assert_eq!(headings.iter().filter(|it| it.starts_with("account_invoice_extension_")).count(), 300);
        let commands = texts(&page, "commands");
        for command in ["driftlock accept ", "driftlock ack ", "git restore "] {
            assert_eq!(commands.iter().filter(|it| it.starts_with(command)).count(), 300, "{command}");
        }
        for there in ["seen in 2 runs", word, FILES[1], FILES[2], FILES[3]] {
            assert_eq!(text(&page).matches(there).count(), 300, "{there}");
        }
    }

    let pdf = project.path("page.pdf");
    chromium(
        &project.path("page.html"),
        &["--no-pdf-header-footer", &format!("--print-to-pdf={}", pdf.display())],
    );
    let printed = Command::new("pdftotext").arg("-raw").args([&pdf, Path::new("-")]).output().unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    for there in ["i18n/de.po", "git restore", "stale: the content of"] {
        assert!(printed.matches(there).count() >= 300, "{there} is folded away on paper");
    }
}

/// Gives a run another day, so many before now, and another end.
fn age(project: &Project, days: i64, hours: i64, from: &Value, name: &str) {
    let mut report = from.clone();
    let then = from["started_at_unix"].as_i64().unwrap() - days * 86_400 - hours * 3_600;
    let stamp = Command::new("date")
        .args(["-d", &format!("@{then}"), "+%Y%m%d_%H%M%S %Y-%m-%dT%H:%M:%S%:z"])
        .output();
    let stamp = String::from_utf8(stamp.unwrap().stdout).unwrap();
    let (stamp, time) = stamp.trim().split_once(' ').unwrap();
    report["started_at_unix"] = then.into();
    report["started_at"] = time.into();
    report["timestamp"] = stamp.into();
    report["run"] = format!("{stamp}{name}").into();
    project.file(&format!("audit/runtime/{stamp}{name}/drift_report.json"), &report.to_string());
}

#[test]
fn thirty_days_are_shown_by_day_and_told_in_words() {
    let project = Project::accepted();
    let (_, passed) = project.check(&[]);
    project.file(EDGE, "services: {proxy: {}}\n");
    let (_, failed) = project.check(&[]);
    std::fs::remove_dir_all(project.path("audit/runtime")).unwrap();
    for hours in 0..3 {
        age(&project, 5, hours, &passed, "");
    }
    age(&project, 4, 0, &failed, "");
    age(&project, 4, 0, &passed, "_2");
    age(&project, 29, 0, &passed, "");
    age(&project, 31, 0, &failed, "");
    let mut broken = failed.clone();
    (broken["exit_code"], broken["target"]) = (1.into(), "other".into());
    age(&project, 3, 0, &broken, "_other");
    let mut partial = failed.clone();
    partial["partial"] = true.into();
    age(&project, 2, 0, &partial, "");
    let page = page(&project, &["check"]);
    let days = texts(&page, "days");
    assert_eq!(days.len(), 30);
    let told: Vec<&str> = days.iter().map(|day| day.split_once(": ").unwrap().1).collect();
    let fail = "FAIL, 2 runs, at most 1 finding";
    assert_eq!((told[0], told[25]), ("PASS, 1 run, at most 0 findings", fail), "{days:#?}");
    assert_eq!(told[29], "FAIL, 1 run, at most 1 finding", "the run itself, and nothing of older ones");
    let passed = told.iter().filter(|day| day.starts_with("PASS, 3 runs")).count();
    // Three hours before midnight may be of two days.
    assert!(passed == 1 || told.iter().filter(|day| day.starts_with("PASS")).count() == 3, "{days:#?}");
    assert!(
        told[27] == "no run kept" && told[26] == "no run kept",
        "some checks, and another target: {days:#?}"
    );
    let label = texts(&page, "labels").join("");
    assert!(label.starts_with("Of 30 days ") && label.contains(" 2 failed, 0 had an error"), "{label}");
    assert!(text(&page).contains("The last 30 days"));
}

#[test]
fn every_target_has_its_own_past() {
    let case = case("several");
    case.check(&[]);
    let few = page(&case.project, &["check", "--all"]);
    assert_eq!(texts(&few, "labels").len(), 0, "runs of one day are no chart: {few:#}");
    let (_, all) = case.project.check(&["--all"]);
    for report in all["reports"].as_array().unwrap() {
        let name = format!("_{}", report["target"].as_str().unwrap());
        (1..3).for_each(|days| age(&case.project, days, 0, report, &name));
    }
    let page = page(&case.project, &["check", "--all"]);
    assert_eq!(texts(&page, "labels").len(), 3, "{page:#}");
    assert_eq!(texts(&page, "days").len(), 90);
    let headings = texts(&page, "headings");
    let tops: Vec<&str> = headings.iter().map(String::as_str).collect();
    assert_eq!(tops[0], "FAIL 2 of 3 targets not as released");
    assert!(
        tops.contains(&"PASS clean")
            && tops.contains(&"FAIL here")
            && tops.contains(&"Drift on several targets")
    );
    assert_eq!(
        headings.iter().filter(|it| it.starts_with(EDGE)).count(),
        1,
        "what both have is told once: {headings:?}"
    );
}

#[test]
fn the_lines_that_differ_are_shown() {
    let project = drifted();
    let ran: Ran =
        project.run(&["diff", "git:HEAD~1", "git:HEAD", "--content", "--format", "html=page.html"]);
    assert_eq!(ran.code(), 2, "{}", ran.err());
    let page = judged(&[project.path("page.html")]).remove(0);
    assert!(!text(&page).contains("The last 30 days"), "a comparison has no past");
    assert!(text(&page).contains("-one\n") && text(&page).contains("+two\n"), "{page:#}");
    assert!(texts(&page, "headings")[0].contains("git:HEAD~1 → git:HEAD"), "{page:#}");
}

#[test]
fn an_unwritable_file_is_an_error_and_the_verdict_is_still_told() {
    let project = Project::accepted();
    let ran = project.run(&["check", "--format", "html=no/such/dir/page.html"]);
    assert_eq!(ran.code(), 1);
    let mut said = String::new();
    let _ = write!(said, "{}{}", ran.out(), ran.err());
    assert!(said.contains("OVERALL: PASS") && said.contains("no/such/dir"), "{said}");
}

#[test]
fn checks_that_were_skipped_are_told_and_are_no_pass() {
    let case = case("skip");
    let page = case.project.path("skip.html");
    assert_eq!(case.check(&["--format", &format!("html={}", page.display())]).code(), 0);
    let text = std::fs::read_to_string(page).unwrap();
    assert_eq!(text.matches(">SKIP<").count(), 5, "{text}");
    assert!(text.contains("docker_images"), "{text}");
}

/// A project whose baseline twenty targets have, of which three do not have all of it; its page.
fn fleet() -> (Project, PathBuf) {
    let project = Project::accepted();
    let mut config = project.read("audit/driftlock.toml");
    for number in 1..=20 {
        let root = project.path(&format!("hosts/{number:02}"));
        let name = format!("web-{number:02}");
        let _ = write!(
            config,
            "\n[targets.{name}]\nhost = \"local\"\nroot = \"{}\"\ndocker = \"off\"\n",
            root.display()
        );
        std::fs::create_dir_all(&root).unwrap();
        for part in ["infra", "odoo_modules"] {
            let copied = Command::new("cp").arg("-r").args([project.path(part), root.join(part)]).status();
            assert!(copied.unwrap().success());
        }
    }
    project.file("audit/driftlock.toml", &config);
    project.file("hosts/07/odoo_modules/seisei/printer/models/order.py", "by hand\n");
    project.file(&format!("hosts/12/{EDGE}"), "services: {proxy: {}}\n");
    std::fs::remove_dir_all(project.path("hosts/19/infra")).unwrap();
    let path = project.path("fleet.html");
    project.run(&["check", "--all", "--format", "html=fleet.html"]);
    (project, path)
}

#[test]
fn of_a_fleet_the_worst_stands_first_and_what_passed_is_folded() {
    let (project, path) = fleet();
    let page = judged(&[path]).remove(0);
    let headings = texts(&page, "headings");
    assert_eq!(headings[0], "FAIL 3 of 20 targets not as released");
    let places: Vec<&String> = headings.iter().filter(|it| it.contains("web-")).collect();
    assert!(places[..3].iter().all(|it| it.starts_with("FAIL")), "{places:?}");
    assert!(places[3..].iter().all(|it| it.starts_with("PASS")), "{places:?}");
    assert_eq!(places.len(), 20);
    let html = project.read("fleet.html");
    assert_eq!(html.matches("<details><summary>What was compared</summary>").count(), 17);
}

#[test]
fn a_page_names_the_project_and_its_sections_in_words() {
    let project = Project::accepted();
    let name = project.root().file_name().unwrap().to_string_lossy().into_owned();
    project.file("odoo_modules/seisei/printer/models/order.py", "by hand\n");
    let page = page(&project, &["check"]);
    let headings = texts(&page, "headings");
    assert!(headings[0].starts_with(&format!("FAIL {name} on ")), "{headings:?}");
    assert!(headings.contains(&"Addon modules".to_owned()) || text(&page).contains("Addon modules"));
    assert!(!text(&page).contains("addon_hashes:"), "{page:#}");
    let at = |what: &str| text(&page).find(what).unwrap_or_else(|| panic!("{what}: {page:#}"));
    assert!(at("What moved") < at("All compose files match baseline"), "findings stand below the verdict");
}
