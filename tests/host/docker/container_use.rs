//! Which run first saw what a container was not restarted for.

use super::container_mounts::{FILE, accept, configure, released, start};
use crate::support::docker::{Stage, check_of};
use crate::support::wait_until;

/// What a whole check notes of the container, and the name of its run.
fn told(stage: &Stage) -> (String, String) {
    let (_, report) = stage.check(&[]);
    let notes = check_of(&report, "container_mounts")["notes"].as_array().cloned().unwrap_or_default();
    let note = notes.iter().find_map(|it| it.as_str().filter(|it| it.contains("was not restarted")));
    (note.unwrap_or_default().to_owned(), report["run"].as_str().unwrap().to_owned())
}

#[test]
fn the_run_that_first_saw_what_is_there_now_is_named() {
    let stage = released();
    start(&stage, &[("erp/mods", "/mnt/addons"), (FILE, "/etc/app.conf")]);
    let (note, _) = told(&stage);
    assert_eq!(note, "");
    let started = chrono::Utc::now().timestamp();
    wait_until(|| chrono::Utc::now().timestamp() > started + 1);
    stage.project.file("erp/mods/shop/order.py", "# written in place\n");
    let (note, first) = told(&stage);
    assert!(note.contains("order.py changed 2") && !note.contains("first seen"), "{note}");
    // It is drift in one run, the baseline in the next, and both have the same content.
    accept(&stage);
    let by_first = format!(", first seen by run {first}");
    assert!(told(&stage).0.ends_with(&by_first));
    assert!(told(&stage).0.ends_with(&by_first), "an unbroken line");
    configure(&stage, "mode = \"required\"\nnot_restarted = \"fail\"");
    let (_, report) = stage.check(&[]);
    let layer = check_of(&report, "container_mounts")["findings"][0]["layer"].as_str().unwrap().to_owned();
    assert!(layer.ends_with(&by_first), "{layer}");
    // Another content, and back: the line is broken in between.
    configure(&stage, "mode = \"required\"");
    stage.project.file("erp/mods/shop/order.py", "# another\n");
    assert!(!told(&stage).0.contains("first seen"));
    stage.project.file("erp/mods/shop/order.py", "# written in place\n");
    let (note, back) = told(&stage);
    assert!(!note.contains("first seen"), "{note}");
    assert!(told(&stage).0.ends_with(&format!(", first seen by run {back}")));
}
