//! The report of a fleet: each difference once, whoever has it; new against known; and who gave no result.

use super::{EDGE, fleet};

#[test]
fn the_same_edit_on_many_targets_is_one_line() {
    let names: Vec<String> = (0..40).map(|at| format!("web{at:02}")).collect();
    let project = fleet(&names);
    for name in &names[..30] {
        project.file(&format!("servers/{name}/{EDGE}"), "drift\n");
    }
    project.run(&["fleet", "check", "--quiet"]);
    for name in &names[30..38] {
        project.file(&format!("servers/{name}/{EDGE}"), "drift\n");
    }
    std::fs::remove_dir_all(project.path("servers/web38")).unwrap();
    let ran = project.run(&["fleet", "check", "--format", "fleet"]);
    let lines: Vec<String> = ran.out().lines().skip(4).map(str::to_owned).collect();
    assert_eq!(lines[0], "40 targets: 1 PASS, 38 FAIL, 1 ERROR", "{}", ran.out());
    let same: Vec<&String> =
        lines.iter().filter(|line| line.contains(EDGE) && line.contains("on 38")).collect();
    let listed =
        "web30, web31, web32, web33, web34, web35, web36, web37, web00, web01, web02, web03 and 26 more";
    assert_eq!(same.len(), 1, "{}", ran.out());
    assert!(same[0].starts_with(&format!("  Compose drift: {EDGE}")), "{}", same[0]);
    assert!(same[0].ends_with(&format!("on 38 (8 new, 30 known): {listed}")), "{}", same[0]);
    let without = lines.iter().position(|line| line == "WITHOUT A WHOLE RESULT").unwrap();
    assert!(lines[without + 1].ends_with(": on 1: web38"), "{}", ran.out());
    assert_eq!(ran.code(), 1);
    let whole = project.run(&["fleet", "check", "--format", "fleet", "--details"]).out();
    assert!(whole.contains("web29") && !whole.contains(" more"), "{whole}");
}
