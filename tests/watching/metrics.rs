//! The metrics that a watcher writes beside those of its reports.

use std::process::{Command, Stdio};

use crate::support::watcher::Watcher;
use crate::support::{Project, wait_until};

const ORDER: &str = "odoo_modules/seisei/qr_ordering/models/order.py";

/// The value of a series, by its name and the labels before the project.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(series) && line.contains("project="))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn events_watches_and_reports_are_in_one_file_which_a_check_goes_on_with() {
    let project = Project::accepted();
    let file = project.path("driftlock.prom");
    let mut watcher = Watcher::start(&project, &["--metrics", file.to_str().unwrap()]);
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until(|| value(&read(), "driftlock_status{target=\"local\"") == Some(0.0));
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    let events = "driftlock_events_total{target=\"local\",event=\"drift.detected\"";
    wait_until(|| value(&read(), events) == Some(1.0));
    wait_until(|| value(&read(), "driftlock_status{target=\"local\"") == Some(1.0));
    let is_there = |text: &str| {
        assert_eq!(value(text, events), Some(1.0), "{text}");
        assert!(value(text, "driftlock_watch_watches{target=\"local\"").unwrap() > 3.0, "{text}");
        assert_eq!(value(text, "driftlock_watch_unwatched{target=\"local\""), Some(0.0));
        assert_eq!(value(text, "driftlock_watch_overflows_total{target=\"local\""), Some(0.0));
        assert!(value(text, "driftlock_watch_lag_seconds{target=\"local\"").is_some(), "{text}");
    };
    is_there(&read());
    let format = format!("prometheus={}", file.display());
    assert_eq!(project.run(&["check", "--format", &format]).code(), 2);
    is_there(&read());
    // A series that repeats, or one without its kind, is an error there.
    let mut promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), read().as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success());
    // Nobody watches any more: that is no figure of 0.
    let (code, _) = watcher.end();
    assert_eq!(code, 143);
    let text = read();
    assert!(!text.contains("driftlock_watch") && !text.contains("driftlock_events"), "{text}");
    assert_eq!(value(&text, "driftlock_status{target=\"local\""), Some(1.0));
}

#[test]
fn metrics_that_cannot_be_written_are_told_and_watching_goes_on() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &["--metrics", "/nowhere/driftlock.prom"]);
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    let ran = project.run(&["watch", "--metrics", "audit/driftlock.toml"]);
    assert!(ran.code() == 1 && ran.err().contains("no place for a report"), "{}", ran.err());
}

#[test]
fn the_history_counts_events_and_names_the_command_that_shows_them() {
    let project = Project::accepted();
    let mut watcher = Watcher::start(&project, &[]);
    assert!(!project.ok(&["history", "--target", "local"]).out().is_empty());
    project.file(ORDER, "import os\n");
    watcher.wait_for_subject(0, "drift.detected", "qr_ordering");
    watcher.end();
    let told = project.ok(&["history"]).out();
    let line = "\nEvents: 1 drift.detected, 1 watch.started\n  see: driftlock events --since 30d\n";
    assert!(told.ends_with(line), "{told}");
    let told = project.ok(&["history", "--format", "json"]).out();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["events"], serde_json::json!({ "drift.detected": 1, "watch.started": 1 }));
}

#[test]
fn the_page_of_a_report_shows_the_events_of_its_place() {
    let project = Project::accepted();
    let page = || project.ok(&["report", "--format", "html"]).out();
    project.check(&[]);
    assert!(!page().contains("Events of the last 30 days"));
    let mut watcher = Watcher::start(&project, &[]);
    for round in 0..30 {
        let from = watcher.events.len();
        project.file(ORDER, &format!("<b>{round}\n"));
        watcher.wait_for(from, |event| event["subject"] == "qr_ordering");
    }
    project.file("odoo_modules/seisei/printer/models/<b>.py", "x\n");
    watcher.wait_for_subject(0, "drift.detected", "printer");
    watcher.end();
    let journal = project.path("audit/state/events");
    let file = std::fs::read_dir(&journal).unwrap().flatten().find(|it| it.file_name() != ".lock").unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    // Of another place, and older than thirty days.
    let line = text.lines().find(|line| line.contains("qr_ordering")).unwrap();
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let (mut elsewhere, mut old) = (event.clone(), event);
    (elsewhere["target"], elsewhere["event"]) = ("other".into(), "drift.escalated".into());
    let then = old["detected_at_unix"].as_i64().unwrap() - 31 * 86_400;
    (old["detected_at_unix"], old["event"]) = (then.into(), "drift.acknowledged".into());
    std::fs::write(file.path(), format!("{old}\nno event\n{text}{elsewhere}\n")).unwrap();
    assert_eq!(project.run(&["check", "--format", "html=page.html"]).code(), 2);
    for page in [project.read("page.html"), page()] {
        let (_, events) = page.split_once("Events of the last 30 days").unwrap();
        let (events, _) = events.split_once("</section>").unwrap();
        assert!(events.contains("<p>29 drift.changed, 2 drift.detected, 1 watch.started.</p>"), "{events}");
        assert_eq!(events.matches("<tr>").count(), 26, "{events}");
        let newest = events.find("printer").unwrap();
        assert!(newest < events.find("qr_ordering").unwrap(), "{events}");
        assert!(!events.contains("<b>") && events.contains("&lt;b&gt;.py"), "{events}");
    }
}
