//! The document: its head, the verdict, the targets, and what several of them have in common.

use super::Layout;
use super::finding::{body, entry, ways_out};
use super::markup::{Markup, badge, section};
use super::place::{place, whereabouts};
use crate::model::{Report, Status, counted};
use crate::report::headline;
use crate::report::several::{InCommon, alike, seconds};

pub(crate) const STYLE: &str = include_str!("style.css");
/// Nothing is loaded and nothing runs, whatever a name may hold.
const HEAD: &str = "\
<!DOCTYPE html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">
<meta name=viewport content=\"width=device-width, initial-scale=1\">
<meta name=color-scheme content=\"light dark\">
<meta name=robots content=noindex>
<meta name=generator content=driftlock>
<link rel=icon href=data:,>
";

/// One page for all reports of an invocation.
pub(super) fn document(reports: &[Report]) -> String {
    let mut page = Markup::default();
    page.fixed(HEAD);
    page.put("title", &title(reports));
    page.fixed("\n<style>\n");
    page.fixed(STYLE);
    page.fixed("</style>\n</head>\n<body>\n");
    page.put("header", "driftlock");
    page.within("main", |it| match reports {
        [one] => alone(it, one),
        several => together(it, several),
    });
    page.within("footer", |it| {
        it.put("p", concat!("Made by driftlock ", env!("CARGO_PKG_VERSION"), "."));
        if Layout::of(reports).is_brief() {
            it.fixed("<p>Of so many findings not everything is said here, and of each only the first files; <code>drift_report.json</code> and driftlock explain leave nothing out.</p>");
        }
        it.fixed("<p>Digests are cut to their first twelve digits; <code>drift_report.json</code> has them whole. A click on a command selects all of it.</p>");
    });
    page.fixed("\n</body>\n</html>\n");
    page.into_html()
}

/// The verdict over all of them: an error goes before drift.
fn worst(reports: &[Report]) -> Status {
    if reports.is_empty() { Status::Error } else { Status::worst(reports.iter().map(Report::status)) }
}

fn title(reports: &[Report]) -> String {
    let said = match reports {
        [one] => format!("{}: {}", project_and_place(one), said(one)),
        several => said_of_all(several),
    };
    format!("{} {said} – driftlock", worst(reports).word())
}

/// What was looked at: the target or the machine; of a comparison both sides.
fn place_of(report: &Report) -> String {
    match (&report.target, &report.compared) {
        (Some(target), _) => target.clone(),
        (None, Some(other)) => format!("{} → {other}", report.baseline.from),
        (None, None) => report.host.clone(),
    }
}

/// The project's name, the last component of its root, where that is known.
pub(super) fn project_of(report: &Report) -> Option<&str> {
    report.project.rsplit('/').next().filter(|name| !name.is_empty())
}

/// The place, with the project in front of it where one is known.
fn project_and_place(report: &Report) -> String {
    match project_of(report) {
        Some(project) => format!("{project} on {}", place_of(report)),
        None => place_of(report),
    }
}

/// The headline without its verdict and what it is about.
fn said(report: &Report) -> String {
    let headline = headline(report);
    let start = format!("{} {}: ", report.verdict.overall.word(), report.about());
    headline.strip_prefix(&start).unwrap_or(&headline).to_owned()
}

fn said_of_all(reports: &[Report]) -> String {
    let passed = reports.iter().filter(|report| report.status() == Status::Pass).count();
    let all = counted(reports.len(), "target");
    match reports.len() - passed {
        0 => format!("{all} as released"),
        n => format!("{n} of {all} not as released"),
    }
}

/// The verdict, large.
fn verdict(page: &mut Markup, status: Status, said: &str, more: impl FnOnce(&mut Markup)) {
    let tag = match status {
        Status::Pass => "div class=\"verdict pass\"",
        Status::Fail | Status::Skip => "div class=\"verdict fail\"",
        Status::Error => "div class=\"verdict error\"",
    };
    page.within(tag, |it| {
        it.within("h1", |it| {
            badge(it, status);
            it.text(" ");
            it.text(said);
        });
        more(it);
    });
}

fn alone(page: &mut Markup, report: &Report) {
    verdict(page, report.status(), &project_and_place(report), |it| {
        it.put("p class=lead", &said(report));
        release(it, report);
        whereabouts(it, report);
    });
    let one = std::slice::from_ref(report);
    place(page, report, Layout::of(one), &InCommon::of(one));
}

fn together(page: &mut Markup, reports: &[Report]) {
    let (layout, common) = (Layout::of(reports), InCommon::of(reports));
    let by_verdict = worst_first(reports);
    verdict(page, worst(reports), &said_of_all(reports), |it| {
        if let Some(project) = reports.first().and_then(project_of) {
            it.put("p class=where", project);
        }
    });
    section(page, layout, "Targets", |it, _| table(it, &by_verdict));
    in_common(page, &common, layout);
    for (at, report) in by_verdict.into_iter().enumerate() {
        page.with("article", &[("id", &anchor(at))], |it| {
            it.within(layout.heading(), |it| {
                badge(it, report.status());
                it.text(" ");
                it.text(&place_of(report));
            });
            it.put("p class=lead", &said(report));
            release(it, report);
            whereabouts(it, report);
            let content = |it: &mut Markup| place(it, report, layout.below(), &common);
            if report.status() != Status::Pass {
                return content(it);
            }
            it.within("details", |it| {
                it.put("summary", "What was compared");
                content(it);
            });
        });
    }
}

/// The reports, those of one verdict in their own order: errors, drift, and what passed.
fn worst_first(reports: &[Report]) -> Vec<&Report> {
    let mut all: Vec<&Report> = reports.iter().collect();
    all.sort_by_key(|report| match report.status() {
        Status::Error => 0,
        Status::Fail => 1,
        Status::Pass | Status::Skip => 2,
    });
    all
}

/// The release that all of it is of, but for a few subjects.
fn release(page: &mut Markup, report: &Report) {
    if let Some(release) = &report.release {
        page.put("p class=where", &release.words());
    }
}

/// The place of a report on the page.
fn anchor(at: usize) -> String {
    format!("target-{}", at + 1)
}

/// A line for each target, which leads to it.
fn table(page: &mut Markup, reports: &[&Report]) {
    page.table("table", ["Target", "Verdict", "Findings", "Seconds"], |it| {
        for (at, report) in reports.iter().enumerate() {
            it.within("tr", |it| {
                let link = format!("#{}", anchor(at));
                it.within("th scope=row", |it| {
                    it.with("a", &[("href", &link)], |it| it.text(report.about()));
                    if report.status() != Status::Pass {
                        it.put("p", &said(report));
                    }
                });
                it.within("td", |it| badge(it, report.status()));
                it.put("td class=count", &report.findings().to_string());
                it.put("td class=count", &seconds(report.duration_ms));
            });
        }
    });
}

/// Drift on several targets, each difference once.
fn in_common(page: &mut Markup, common: &InCommon<'_>, layout: Layout) {
    if common.shared.is_empty() {
        return;
    }
    page.within("section id=common", |it| {
        it.put(layout.heading(), "Drift on several targets");
        let below = layout.below();
        for shared in &common.shared {
            entry(it, shared.on[0].1, None, below, |it| {
                for (on, told) in alike(shared, |finding| body(finding, below)) {
                    let names: Vec<&str> = on.iter().map(|(target, _)| *target).collect();
                    it.put("p class=on", &format!("On {}", names.join(", ")));
                    it.append(&told);
                    ways_out(it, &on[0].1.ways_out);
                    if names.len() > 1 && !on[0].1.ways_out.is_empty() {
                        it.put("p", &format!("The same for {}.", names[1..].join(", ")));
                    }
                }
            });
        }
    });
}
