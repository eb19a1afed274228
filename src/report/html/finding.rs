//! One finding on the page: what moved, where it comes from, since when, and what can be done.

use super::Layout;
use super::markup::Markup;
use crate::model::escaped_command;
use crate::model::{
    CauseKind, Change, CheckResult, FileOrigin, Finding, Kind, Part, Provenance, Shown, Since, SubjectSource,
    Value, Versions, Waiver, WayOut, counted, day, name_of,
};
use crate::report::provenance;
use crate::report::text::short;

/// A finding as it folds away and out.
pub(super) fn finding(page: &mut Markup, check: &CheckResult, finding: &Finding, layout: Layout) {
    let mut rest = finding.clone();
    // Where at first only names are seen, the cause stands beside them.
    let cause = if layout.is_folded() { rest.cause.take() } else { None };
    entry(page, finding, cause.as_deref(), layout, |it| {
        if !layout.is_brief() {
            it.put("p class=where", check.labels.topic);
        }
        it.append(&body(&rest, layout));
        ways_out(it, &rest.ways_out);
    });
}

/// What folds away and out under the name of a finding.
pub(super) fn entry(
    page: &mut Markup,
    finding: &Finding,
    cause: Option<&str>,
    layout: Layout,
    content: impl FnOnce(&mut Markup),
) {
    page.within(if layout.is_folded() { "details" } else { "details open" }, |it| {
        it.within("summary", |it| {
            it.within(layout.heading(), |it| it.name(&finding.subject.key));
            it.text(" ");
            it.put("i", word(finding));
            let changed =
                finding.changed().filter(|_| !layout.is_brief() || CauseKind::of(finding).is_alarming());
            if let Some(changed) = changed {
                it.text(" ");
                it.put("code", &changed);
            }
            if let Some(cause) = cause {
                it.text(" ");
                it.put("small", &format!("probably: {cause}"));
            }
        });
        content(it);
    });
}

/// What kind of difference it is, in a word.
fn word(finding: &Finding) -> &'static str {
    match (finding.kind, finding.change) {
        (Kind::Modified, Some(Change::Tag)) => "other tag",
        (Kind::Modified, Some(change)) if change != Change::Content => change.word(),
        (kind, _) => kind.word(),
    }
}

/// All that is said of a finding but what can be done about it.
pub(super) fn body(finding: &Finding, layout: Layout) -> String {
    let mut told = Markup::default();
    facts(&mut told, finding, layout);
    if layout.is_brief() {
        files_in_brief(&mut told, finding);
    }
    let (told, mut page) = (told.into_html(), Markup::default());
    if !told.is_empty() {
        page.within("dl", |it| it.append(&told));
    }
    if !layout.is_brief() {
        files(&mut page, finding);
    }
    lines(&mut page, finding);
    host_entry(&mut page, finding);
    page.into_html()
}

fn facts(page: &mut Markup, finding: &Finding, layout: Layout) {
    if let Some(why) = &finding.reason {
        let is_why = finding.kind == Kind::Unreadable;
        fact(page, if is_why { "Why" } else { "Next" }, |it| it.text(why));
    }
    if let Some(cause) = &finding.cause {
        fact(page, "Probably", |it| it.text(cause));
    }
    for note in finding.notes.iter().filter(|_| finding.acknowledged().is_none()) {
        fact(page, "Note", |it| it.text(note));
    }
    if let Some(provenance) = finding.provenance.as_deref().filter(|told| provenance::is_told(told)) {
        fact(page, "Content", |it| origin(it, provenance, finding.kind, layout));
    }
    for who in &finding.who {
        fact(page, "Who", |it| it.text(&who.line()));
    }
    if let Some(since) = &finding.since {
        fact(page, "Since", |it| it.text(&seen(since, layout)));
    }
    if finding.is_new {
        fact(page, "Since", |it| it.text("new in this run"));
    }
    let is_single = finding.parts.is_empty() && finding.kind == Kind::Modified;
    let has_sides = finding.kind.is_drift() && finding.subject.source != SubjectSource::LockFile;
    // A digest says nothing to a person where the change itself is known.
    let is_said = matches!(finding.expected, Value::Digest(_)) && finding.changed().is_some();
    if !is_said && (is_single || (has_sides && !layout.is_brief())) {
        fact(page, "Expected", |it| it.put("code", &short(&finding.expected)));
        fact(page, "Found", |it| it.put("code", &short(&finding.actual)));
    }
    if let Some(layer) = &finding.layer {
        fact(page, "Layer", |it| it.text(layer));
    }
    let is_bumped = |it: &&Versions| !layout.is_brief() || it.expected != it.actual;
    if let Some(versions) = finding.versions.as_ref().filter(is_bumped).and_then(provenance::versions) {
        fact(page, "Version", |it| it.text(versions.trim_start_matches("manifest version: ")));
    }
    let above = finding.place.strip_suffix(finding.subject.key.as_slice());
    match above.and_then(|above| above.strip_suffix(b"/")).filter(|_| layout.is_brief()) {
        Some(dir) => fact(page, "In", |it| it.name(dir)),
        None if finding.place == finding.subject.key => {}
        None => fact(page, "Place", |it| it.within("code", |it| it.name(&finding.place))),
    }
    if let Some(Waiver { reason, by, until, .. }) = finding.acknowledged() {
        fact(page, "Until", |it| it.text(&day(until)));
        fact(page, "By", |it| it.text(name_of(by)));
        fact(page, "Because", |it| it.text(reason));
    }
}

/// A name and what stands behind it.
pub(super) fn fact(page: &mut Markup, name: &'static str, content: impl FnOnce(&mut Markup)) {
    page.put("dt", name);
    page.within("dd", content);
}

fn origin(page: &mut Markup, told: &Provenance, kind: Kind, layout: Layout) {
    page.text(&provenance::sentence(told, kind));
    let (commits, more) = provenance::between(told);
    if commits.is_empty() || layout.is_brief() {
        return;
    }
    page.within("ul", |it| {
        it.each("li", commits);
        if more > 0 {
            it.put("li", &format!("… and {more} more"));
        }
    });
}

fn seen(since: &Since, layout: Layout) -> String {
    let mut said = vec![format!("{}, seen in {}", day(&since.started_at), counted(since.runs, "run"))];
    if !layout.is_brief() {
        said.push(format!("first in {}", since.run));
        said.extend(since.before.iter().map(|run| format!("as in the baseline in {run}")));
        let changed = since.changed.iter().filter(|changed| **changed != since.run);
        said.extend(changed.map(|run| format!("as it is now since {run}")));
    }
    said.join(", ")
}

/// The files of a module; of one that is wholly there or gone they are folded away.
fn files(page: &mut Markup, finding: &Finding) {
    if finding.parts.is_empty() {
        return;
    }
    let list = |page: &mut Markup| {
        page.within("ul class=files", |it| {
            for part in finding.parts.iter().take(Layout::FILES) {
                file(it, finding, part);
            }
            if finding.parts.len() > Layout::FILES {
                it.put("li", &format!("… and {} more", finding.parts.len() - Layout::FILES));
            }
        });
    };
    if matches!(finding.kind, Kind::Modified | Kind::Unreadable) {
        return list(page);
    }
    page.within("details", |it| {
        it.put("summary", &counted(finding.parts.len(), "file"));
        list(it);
    });
}

fn file(page: &mut Markup, finding: &Finding, part: &Part) {
    page.within("li", |it| {
        it.put("i", part.kind.word());
        it.text(" ");
        it.within("code", |it| it.name(&part.path));
        if part.kind == Kind::Modified {
            it.text(" ");
            match &part.diff {
                Some(diff) => it.put("code", diff),
                None => it.put("code", &format!("{} → {}", short(&part.expected), short(&part.actual))),
            }
        }
        if let Some(why) = &part.reason {
            it.text(&format!(" {why}"));
        }
        if let Some(origin) = origin_of(finding, part) {
            let commit = origin.commit.as_ref().map(provenance::called);
            let commit = commit.map(|commit| format!(": {commit}")).unwrap_or_default();
            it.put("small", &format!(" {}{commit}", origin.origin.word()));
        }
    });
}

/// The files of a module by kind, without what each was and is.
fn files_in_brief(page: &mut Markup, finding: &Finding) {
    for kind in Kind::ALL {
        let of_it = || finding.parts.iter().filter(|part| part.kind == kind);
        if of_it().next().is_none() {
            continue;
        }
        fact(page, kind.word(), |it| {
            for (at, part) in of_it().take(Layout::FEW_FILES).enumerate() {
                it.text(if at > 0 { ", " } else { "" });
                it.within("code", |it| it.name(&part.path));
                let origin = origin_of(finding, part).map(|it| it.origin);
                let origin =
                    origin.filter(|it| Some(*it) != finding.provenance.as_ref().map(|all| all.origin));
                if let Some(origin) = origin {
                    it.text(&format!(" ({})", origin.word()));
                }
            }
            let more = of_it().count().saturating_sub(Layout::FEW_FILES);
            if more > 0 {
                it.text(&format!(" … and {more} more"));
            }
        });
    }
}

fn origin_of<'a>(finding: &'a Finding, part: &Part) -> Option<&'a FileOrigin> {
    finding.provenance.iter().flat_map(|told| &told.files).find(|file| file.path == part.path)
}

/// Which lines differ, where that was asked for.
fn lines(page: &mut Markup, finding: &Finding) {
    if let Some(it) = &finding.shown {
        shown(page, it);
    }
    for part in &finding.parts {
        if let Some(it) = &part.shown {
            page.within("p", |page| page.within("code", |page| page.name(&part.path)));
            shown(page, it);
        }
    }
}

fn shown(page: &mut Markup, shown: &Shown) {
    if !shown.meaning.is_empty() {
        page.within("ul", |it| it.each("li", &shown.meaning));
    }
    if shown.lines.is_empty() {
        return;
    }
    page.within("pre tabindex=0", |it| {
        for line in &shown.lines {
            match line.as_bytes().first() {
                Some(b'+') => it.put("ins", line),
                Some(b'-') => it.put("del", line),
                _ => it.text(line),
            }
            it.fixed("\n");
        }
    });
}

/// All that the host has of a container.
fn host_entry(page: &mut Markup, finding: &Finding) {
    let Some(entry) = &finding.entry else { return };
    page.within("details", |it| {
        it.put("summary", "All that is there");
        it.within("dl", |it| {
            for (name, value) in entry {
                it.within("dt", |it| it.text(name));
                it.within("dd", |it| it.put("code", value));
            }
        });
    });
}

/// What can be done, a command each; a click selects the whole of it.
pub(super) fn ways_out(page: &mut Markup, ways: &[WayOut]) {
    if ways.is_empty() {
        return;
    }
    page.within("dl class=ways", |it| {
        for way in ways {
            it.within("dt", |it| it.text(&way.when));
            it.within("dd", |it| command(it, &escaped_command(&way.command)));
        }
    });
}

/// Longer commands than this, in bytes, fold away behind their beginning.
const LONG: usize = 240;
/// How much of a long command is seen at first.
const BEGINNING: usize = 72;

/// A command, ready to be copied.
pub(super) fn command(page: &mut Markup, text: &str) {
    if text.len() <= LONG {
        return page.put("code", text);
    }
    page.within("details class=long", |it| {
        let beginning: String = text.chars().take(BEGINNING).collect();
        it.put("summary", &format!("{beginning}…"));
        it.put("code", text);
    });
}

/// The findings of one check that are of one sort.
pub(super) fn group(
    page: &mut Markup,
    check: &CheckResult,
    layout: Layout,
    is_of_it: &dyn Fn(&Finding) -> bool,
) {
    for it in check.findings.iter().filter(|finding| is_of_it(finding)) {
        finding(page, check, it, layout);
    }
}
