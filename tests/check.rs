//! `driftlock check`: what passes, what drifts, and how it is told.

use crate::support::{Project, findings, status};

#[test]
fn what_was_accepted_passes() {
    let project = Project::accepted();
    let (code, report) = project.check(&[]);
    assert_eq!((code, report["overall"].as_str()), (0, Some("PASS")));
    assert_eq!(report["summary"]["total"], 3);
    let kept = std::fs::read_dir(project.path("audit/runtime")).unwrap().count();
    assert_eq!(kept, 3, "an export, a check and latest.json");
}

/// A name, a change, and the check, subject and kind that it must give.
type Case<'a> = (&'a str, &'a dyn Fn(&Project), &'a str, &'a str, &'a str);

#[test]
fn each_change_alone_is_found_alone() {
    let manifest = "odoo_modules/seisei/printer/__manifest__.py";
    let cases: [Case; 6] = [
        (
            "byte",
            &|p| p.file("odoo_modules/community/ocr/models/order.py", "class 0rder: pass\n"),
            "addon_hashes",
            "ocr",
            "modified",
        ),
        (
            "less",
            &|p| std::fs::remove_file(p.path("odoo_modules/community/ocr/models/order.py")).unwrap(),
            "addon_hashes",
            "ocr",
            "modified",
        ),
        ("more", &|p| p.file("odoo_modules/community/ocr/new.py", ""), "addon_hashes", "ocr", "modified"),
        (
            "gone",
            &|p| std::fs::remove_dir_all(p.path("odoo_modules/seisei/printer")).unwrap(),
            "addon_hashes",
            "printer",
            "missing",
        ),
        (
            "new",
            &|p| p.file("odoo_modules/seisei/extra/__manifest__.py", "{}"),
            "addon_hashes",
            "extra",
            "unexpected",
        ),
        (
            "no manifest",
            &|p| std::fs::remove_file(p.path(manifest)).unwrap(),
            "addon_hashes",
            "printer",
            "modified",
        ),
    ];
    for (name, change, check, subject, kind) in cases {
        let project = Project::accepted();
        change(&project);
        let (code, report) = project.check(&[]);
        assert_eq!(code, 2, "{name}");
        assert_eq!(findings(&report, check), [(subject.to_owned(), kind.to_owned())], "{name}");
        assert_eq!(status(&report, "compose_hashes"), "PASS", "{name}");
    }
}
