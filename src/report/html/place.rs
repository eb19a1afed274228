//! What the page tells of one place: its checks, what could not be looked at, what moved, and on what ground.

use super::finding::{command, fact, finding, group, ways_out};
use super::markup::{Markup, badge, section as part};
use super::{Layout, timeline};
use crate::model::printable;
use crate::model::{
    BaselineOrigin, Cause, CauseKind, CheckResult, Finding, LeftOut, Mode, PastEvent, PastEvents, Report,
    SectionId, Status, SubjectSource, Unit, counted, day, time_of_day,
};
use crate::report::causes;
use crate::report::provenance::minute;
use crate::report::several::{InCommon, seconds};
use crate::report::text;
use crate::section;

/// Everything below the headline of one report. What `common` has is told elsewhere on the page.
pub(super) fn place(page: &mut Markup, report: &Report, layout: Layout, common: &InCommon<'_>) {
    warnings(page, report);
    unseen(page, report, layout);
    moved(page, report, layout, common);
    resolved(page, report, layout);
    acknowledged(page, report, layout);
    checks(page, report, layout);
    timeline::timeline(page, report, layout);
    events(page, report, layout);
    coverage(page, report, layout);
    run(page, report, layout);
}

/// What must be known before anything else is read.
fn warnings(page: &mut Markup, report: &Report) {
    let mut said = Vec::new();
    if report.verdict.nothing_compared {
        said.push(
            "Nothing was compared: nothing that was asked for is configured or found. driftlock init looks for it."
                .to_owned(),
        );
    }
    if let Some(pause) = &report.pause {
        let (since, until) = (time_of_day(&pause.since), time_of_day(&pause.until));
        said.push(format!(
            "A deploy is announced since {since} (until {until}) by {}: {}",
            pause.by, pause.reason
        ));
    }
    said.extend(text::since_last(report).map(|line| format!("{line}.")));
    if report.partial {
        said.push("Only some checks ran: this says nothing of the others.".to_owned());
    }
    if let (Status::Error, Some(when)) = (report.status(), report.last_success) {
        said.push(format!("Everything was last looked at on {} UTC.", minute(when)));
    }
    for notice in &report.notices {
        let failed = notice.error.as_ref();
        said.extend(failed.map(|why| format!("The notification {} was not delivered: {why}", notice.name)));
    }
    page.each("p class=note", said);
}

fn checks(page: &mut Markup, report: &Report, layout: Layout) {
    part(page, layout, "Checks", |it, _| {
        it.table("table class=checks", ["Check", "Verdict", "Compared", "Result"], |it| {
            for check in &report.checks {
                row(it, check);
            }
        });
    });
}

fn row(page: &mut Markup, check: &CheckResult) {
    page.within("tr", |it| {
        let name = if check.labels.opens_server_run() { "Server" } else { check.labels.topic };
        it.with("th scope=row", &[("title", check.id)], |it| it.text(name));
        it.within("td", |it| badge(it, check.status()));
        it.within("td class=count", |it| it.text(&check.subjects.to_string()));
        it.within("td", |it| {
            it.text(&result(check));
            it.each("p", &check.notes);
            uses(it, check);
        });
    });
}

/// Which container has which part of the baseline.
fn uses(it: &mut Markup, check: &CheckResult) {
    if check.uses.is_empty() {
        return;
    }
    it.within("details", |it| {
        it.put("summary", "what containers use");
        it.within("ul", |it| {
            for used in &check.uses {
                let stale = if used.stale { ", which is stale" } else { "" };
                let text = format!("{} is used by {} at {}{stale}", used.place, used.container, used.path);
                it.put("li", &printable(&text));
            }
        });
    });
}

/// What came of a check, in a sentence.
fn result(check: &CheckResult) -> String {
    let labels = check.labels;
    let such = |is_such: fn(&Finding) -> bool| check.findings.iter().filter(|it| is_such(it)).count();
    let (open, unreadable) = (such(Finding::is_open_drift), such(|it| !it.kind.is_drift()));
    let acknowledged = check.acknowledged();
    let mut said = Vec::new();
    match (check.status(), &check.skip) {
        (Status::Pass, _) if acknowledged > 0 => {
            return format!("{}, but for {acknowledged} acknowledged", labels.pass);
        }
        (Status::Pass, _) => said.push(labels.pass.to_owned()),
        (Status::Skip, Some(why)) => said.push(why.clone()),
        _ => {}
    }
    if open > 0 {
        said.push(format!("{} {}", counted(open, labels.singular), labels.verb));
    }
    if unreadable > 0 {
        said.push(format!("{} unreadable", counted(unreadable, labels.singular)));
    }
    if !check.errors.is_empty() {
        said.push("could not be carried out".to_owned());
    }
    if acknowledged > 0 {
        said.push(format!("{acknowledged} acknowledged"));
    }
    said.join(", ")
}

/// The parts of each check that `is_of_it` names, under the check's name.
fn by_check(
    page: &mut Markup,
    report: &Report,
    layout: Layout,
    title: &str,
    is_of_it: &dyn Fn(&CheckResult, &Finding) -> bool,
    has_more: &dyn Fn(&CheckResult) -> bool,
    more: &dyn Fn(&mut Markup, &CheckResult),
) {
    let is_in = |check: &&CheckResult| has_more(check) || check.findings.iter().any(|it| is_of_it(check, it));
    let checks: Vec<&CheckResult> = report.checks.iter().filter(is_in).collect();
    if checks.is_empty() {
        return;
    }
    part(page, layout, title, |it, layout| {
        for check in checks {
            it.put(layout.heading(), check.labels.topic);
            more(it, check);
            group(it, check, layout.below(), &|finding| is_of_it(check, finding));
        }
    });
}

fn unseen(page: &mut Markup, report: &Report, layout: Layout) {
    let is_of_it = |_: &CheckResult, finding: &Finding| !finding.kind.is_drift();
    let has_more = |check: &CheckResult| !check.errors.is_empty();
    by_check(page, report, layout, "What could not be looked at", &is_of_it, &has_more, &|it, check| {
        it.each("p class=why", &check.errors);
        ways_out(it, &check.ways_out);
    });
}

/// What moved, the most alarming first.
fn moved(page: &mut Markup, report: &Report, layout: Layout, common: &InCommon<'_>) {
    let mut all = report.causes();
    for cause in &mut all {
        cause.members.retain(|it| it.finding.is_open_drift() && !common.has(it.check, it.finding));
    }
    all.retain(|cause| !cause.members.is_empty());
    let elsewhere =
        |check: &CheckResult| check.findings.iter().filter(|finding| common.has(check, finding)).count();
    if all.is_empty() && report.checks.iter().all(|check| elsewhere(check) == 0) {
        return;
    }
    let is_grouped = all.iter().map(|cause| cause.members.len()).sum::<usize>() > GROUPED;
    part(page, layout, "What moved", |it, layout| {
        for check in report.checks.iter().filter(|check| elsewhere(check) > 0) {
            it.within("p", |it| {
                it.text(&format!("{}: ", counted(elsewhere(check), check.labels.singular)));
                it.put("a href=#common", "drift on several targets");
            });
        }
        for one in &all {
            cause(it, one, layout, is_grouped);
        }
    });
}

/// More findings than these are told by their causes, and fold away below them.
const GROUPED: usize = 10;

/// One cause, with the commands for all of it where there are many findings.
fn cause(page: &mut Markup, cause: &Cause<'_>, layout: Layout, is_grouped: bool) {
    let class = match cause.kind {
        kind if kind.is_alarming() => "cause alarm",
        CauseKind::Unexpected | CauseKind::Pending | CauseKind::OtherForm | CauseKind::OlderRule => "cause",
        _ => "cause late",
    };
    page.with(layout.heading(), &[("class", class)], |it| {
        it.text(cause.kind.words());
        it.put("small", &format!(" {}", cause.count()));
    });
    let each = |it: &mut Markup, layout: Layout| {
        for member in &cause.members {
            finding(it, member.check, member.finding, layout);
        }
    };
    if !is_grouped || cause.members.len() == 1 {
        return each(page, layout.below());
    }
    page.put("p", &causes::below_heading(cause));
    let ways = causes::ways(cause);
    if !ways.is_empty() {
        page.within("dl class=ways", |it| {
            for (word, text) in ways {
                it.within("dt", |it| it.text(word));
                it.within("dd", |it| command(it, &text));
            }
        });
    }
    page.within(if cause.kind.is_alarming() { "details open" } else { "details" }, |it| {
        it.put("summary", &cause.count());
        each(it, layout.below());
    });
}

/// What the run before found and is over.
fn resolved(page: &mut Markup, report: &Report, layout: Layout) {
    if report.resolved.is_empty() {
        return;
    }
    part(page, layout, "Resolved", |it, _| {
        it.put("p", "The run before found these, and this one has not found them any more.");
        let singular = |check: &str| {
            let its = report.checks.iter().find(|it| it.id == check);
            its.map_or_else(|| check.to_owned(), |it| it.labels.singular.to_owned())
        };
        let list = |it: &mut Markup| {
            it.within("ul", |it| {
                for over in &report.resolved {
                    it.within("li", |it| {
                        it.put("i", over.kind.word());
                        it.text(" ");
                        it.within("code", |it| it.name(&over.subject));
                        it.put("small", &format!(" {}", singular(&over.check)));
                    });
                }
            });
        };
        if report.resolved.len() <= GROUPED {
            return list(it);
        }
        it.within("details", |it| {
            it.put("summary", &counted(report.resolved.len(), "subject"));
            list(it);
        });
    });
}

fn acknowledged(page: &mut Markup, report: &Report, layout: Layout) {
    let is_of_it = |_: &CheckResult, finding: &Finding| finding.acknowledged().is_some();
    by_check(page, report, layout, "Acknowledged", &is_of_it, &|_| false, &|_, _| {});
}

/// What watchers recorded: how many events of each name, and the newest.
fn events(page: &mut Markup, report: &Report, layout: Layout) {
    let PastEvents { counts, newest } = &report.past_events;
    if newest.is_empty() {
        return;
    }
    part(page, layout, "Events of the last 30 days", |it, _| {
        let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        it.put("p", &format!("{}.", counts.join(", ")));
        it.within("details", |it| {
            it.put("summary", &format!("The newest {}", newest.len()));
            it.table("table class=events", ["When (UTC)", "Event", "Subject", "What changed"], |it| {
                for event in newest {
                    event_row(it, event);
                }
            });
        });
        it.put("p", "driftlock events shows all of them.");
    });
}

fn event_row(page: &mut Markup, event: &PastEvent) {
    page.within("tr", |it| {
        it.put("th scope=row", &minute(event.at));
        it.within("td", |it| {
            it.text(event.name);
            if let Some(severity) = event.severity {
                it.put("p", severity.word());
            }
        });
        it.within("td", |it| {
            if let Some(subject) = &event.subject {
                it.within("code", |it| it.name(subject.as_bytes()));
            }
            if let Some(check) = &event.check {
                it.put("p", check);
            }
        });
        it.within("td", |it| it.text(event.change.as_deref().unwrap_or_default()));
    });
}

fn coverage(page: &mut Markup, report: &Report, layout: Layout) {
    if report.sections_off.is_empty() && report.left_out.is_empty() {
        return;
    }
    part(page, layout, "Not looked at", |it, _| {
        it.within("ul", |it| {
            for off in &report.sections_off {
                it.put("li", &format!("{}: {}", in_words(&off.section), off.reason));
            }
            for (section, LeftOut { unit, count: n, reason, remedy }) in &report.left_out {
                let unit = if *unit == Unit::Files { "file" } else { "subject" };
                let n = counted(usize::try_from(*n).unwrap_or(usize::MAX), unit);
                let remedy = remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
                it.put("li", &format!("{}: {n}, {reason}{remedy}", in_words(section)));
            }
        });
    });
}

/// What a section names, in the plural: `addon modules`.
fn in_words(section: &SectionId) -> String {
    section::meta_of(SubjectSource::Section(*section))
        .map_or_else(|| section.to_string(), |meta| meta.nouns.1.to_owned())
}

/// What was run, when, and against which baseline.
fn run(page: &mut Markup, report: &Report, layout: Layout) {
    let title = if report.mode == Mode::Diff { "This comparison" } else { "This run" };
    part(page, layout, title, |it, _| {
        it.within("dl", |it| {
            fact(it, "Run", |it| it.put("code", &report.run));
            fact(it, "Begun", |it| {
                it.with("time", &[("datetime", &report.started_at)], |it| it.text(&report.started_at));
                it.text(&format!(", {} s", seconds(report.duration_ms)));
            });
            fact(it, "Host", |it| it.text(&report.host));
            if let Some(target) = &report.target {
                fact(it, "Target", |it| it.text(target));
            }
            fact(it, "Mode", |it| it.text(report.mode.word()));
            if let Some(other) = &report.compared {
                fact(it, "Compared", |it| it.text(other));
            }
            baseline(it, &report.baseline);
            fact(it, "Exit code", |it| it.text(&report.verdict.exit.code().to_string()));
            let sent: Vec<&str> =
                report.notices.iter().filter(|it| it.error.is_none()).map(|it| it.name.as_str()).collect();
            if !sent.is_empty() {
                fact(it, "Notified", |it| it.text(&sent.join(", ")));
            }
            if let Some(place) = &report.location {
                fact(it, "Report", |it| it.put("code", place));
            }
        });
    });
}

fn baseline(page: &mut Markup, baseline: &BaselineOrigin) {
    fact(page, "Baseline", |it| it.put("code", &baseline.from));
    fact(page, "Its digest", |it| it.put("code", &baseline.digest.to_string()));
    if let Some(commit) = &baseline.commit {
        fact(page, "At commit", |it| {
            it.put("code", commit);
            if baseline.dirty == Some(true) {
                it.text(", from which the lock files differ");
            }
        });
    }
}

/// When and where, in a line below the headline.
pub(super) fn whereabouts(page: &mut Markup, report: &Report) {
    page.within("p class=where", |it| {
        // Without a target, the host is what the headline is about.
        if report.target.is_some() || report.compared.is_some() {
            it.text(&format!("{} · ", report.host));
        }
        it.with("time", &[("datetime", &report.started_at)], |it| it.text(&day(&report.started_at)));
        let commit = report.baseline.commit.iter().map(|id| format!(" at {}", id.get(..12).unwrap_or(id)));
        let changed = if report.baseline.dirty == Some(true) { ", with changes" } else { "" };
        let commit: String = commit.chain([changed.to_owned()]).collect();
        it.text(&match &report.compared {
            Some(other) => format!(" · {} compared with {other}", report.baseline.from),
            None => format!(" · compared with {}{commit}", report.baseline.from),
        });
    });
}
