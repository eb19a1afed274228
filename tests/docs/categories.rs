//! The table of categories in `docs/system.md` names each category, checks that there are, and tests that plant what it tells of.

use std::fs;
use std::path::Path;

/// Text of all Rust files below a directory.
fn sources(dir: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

/// What stands in backquotes in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_category_has_checks_and_tests_that_plant_it() {
    let text = fs::read_to_string("docs/system.md").unwrap();
    let table = text.split("## What kind of drift").nth(1).unwrap().split("\n##").next().unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .skip(1)
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected = [
        "configuration",
        "package",
        "service",
        "user",
        "network",
        "firmware",
        "state",
        "security",
        "infrastructure",
    ];
    assert_eq!(names, expected);
    let tests = sources(Path::new("tests"));
    for row in rows {
        let (checks, plants) = (quoted(row[2]), quoted(row[3]));
        assert!(!checks.is_empty() && !plants.is_empty(), "{row:?}");
        for check in checks {
            assert!(driftlock::check::find(check).is_some(), "no check is called {check}");
        }
        for test in plants {
            assert!(tests.contains(&format!("fn {test}()")), "no test is called {test}");
        }
    }
}
