//! Markdown for a comment on a merge request: short where all is well, long lists folded, and of a size that is taken.

use std::fmt::Write as _;

use super::causes;
use super::several::InCommon;
use super::{FormatMeta, Presentation, Reporter, headline, text};
use crate::model::{Cause, CheckResult, Finding, Kind, Report, Status, WayOut, escaped, printable};

/// A comment for a merge request.
pub(super) struct Markdown;

/// How many findings stand open before the others are folded.
const OPEN: usize = 5;
/// How many of what is over are named.
const RESOLVED: usize = 20;
/// How many bytes a page may have: GitHub takes 65,536 characters in a comment.
const LIMIT: usize = 60_000;

const META: FormatMeta = FormatMeta {
    id: "markdown",
    about: "a comment for a merge request, in the Markdown of GitHub and GitLab",
    ..FormatMeta::NONE
};

impl Reporter for Markdown {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        page(reports).into_bytes()
    }
}

/// All reports on one page.
pub(super) fn page(reports: &[Report]) -> String {
    let common = InCommon::of(reports);
    let mut page = Page::default();
    if reports.len() > 1 {
        page.targets(reports);
    }
    for report in reports {
        page.report(report, &common, reports.len() > 1);
    }
    page.in_common(&common);
    if page.left_out > 0 {
        let findings = if page.left_out == 1 { "finding" } else { "findings" };
        let _ = writeln!(page.out, "\n… and {} more {findings}: the JSON report lists all.", page.left_out);
    }
    page.out
}

#[derive(Default)]
struct Page {
    out: String,
    /// How many findings there was no room for.
    left_out: usize,
}

impl Page {
    /// A line for each target.
    fn targets(&mut self, reports: &[Report]) {
        self.out += "| target | verdict | findings | seconds |\n|---|---|---:|---:|\n";
        for report in reports {
            let (name, verdict) = (cell(report.about()), bold(report.status()));
            let (seconds, tenths) = (report.duration_ms / 1000, report.duration_ms % 1000 / 100);
            let _ = writeln!(self.out, "| {name} | {verdict} | {} | {seconds}.{tenths} |", report.findings());
        }
    }

    fn report(&mut self, report: &Report, common: &InCommon<'_>, is_one_of_several: bool) {
        let causes = report.causes();
        let open =
            causes.iter().flat_map(|cause| &cause.members).filter(|it| !common.has(it.check, it.finding));
        let mut blocks: Vec<String> = open.map(|it| block(it.check, it.finding)).collect();
        let mut folded = Vec::new();
        for check in &report.checks {
            let answered = check.findings.iter().filter(|finding| finding.acknowledged().is_some());
            folded.extend(answered.map(|finding| block(check, finding)));
        }
        let is_many = blocks.len() > OPEN;
        let whole: String = report.checks.iter().map(of_check).collect();
        let beyond = text::beyond_checks(report).map(|(_, why)| format!("**ERROR:** {}\n", code(why)));
        let is_quiet = blocks.is_empty()
            && whole.is_empty()
            && report.resolved.is_empty()
            && report.status() == Status::Pass;
        if is_one_of_several && is_quiet {
            return;
        }
        let mut head = format!("### {}\n", code(&headline(report)));
        let lines = [text::release(report), text::since_last(report), text::deploying(report)];
        let lines = lines.into_iter().flatten();
        head.extend(lines.map(|line| format!("\n{}\n", code(&line))));
        if report.status() == Status::Pass {
            let compared: usize = report.checks.iter().filter(|c| c.compares).map(|c| c.subjects).sum();
            let _ = writeln!(head, "\n{compared} compared with {}.", code(&report.baseline.from));
        } else {
            head += &table(report);
        }
        head += &resolved(report);
        head.extend(
            beyond.into_iter().chain((!whole.is_empty()).then_some(whole)).map(|text| format!("\n{text}")),
        );
        if !self.takes(&head) {
            self.left_out += blocks.len() + folded.len();
            return;
        }
        if is_many {
            for cause in &causes {
                self.takes(&of_cause(cause));
            }
            self.fold("findings", &blocks);
            self.fold("acknowledged", &folded);
            return;
        }
        let rest = blocks.split_off(blocks.len().min(OPEN));
        self.blocks(&blocks);
        self.fold("more", &rest);
        self.fold("acknowledged", &folded);
    }

    /// Drift on several targets, each difference once.
    fn in_common(&mut self, common: &InCommon<'_>) {
        let each = common.shared.iter().map(|shared| {
            let targets: Vec<String> = shared.on.iter().map(|(target, _)| code(target)).collect();
            let on = format!(" on {} (here: as on {})", targets.join(", "), targets[0]);
            block_on(shared.check, shared.on[0].1, &on)
        });
        let blocks: Vec<String> = each.collect();
        if blocks.is_empty() || !self.takes("### Drift on several targets\n") {
            self.left_out += blocks.len();
            return;
        }
        let (open, rest) = blocks.split_at(blocks.len().min(OPEN));
        self.blocks(open);
        self.fold("more", rest);
    }

    /// Appends what there is room for.
    fn takes(&mut self, text: &str) -> bool {
        let gap = usize::from(!self.out.is_empty());
        if self.out.len() + gap + text.len() > LIMIT {
            return false;
        }
        self.out += &"\n"[..gap];
        self.out += text;
        true
    }

    fn blocks(&mut self, blocks: &[String]) {
        self.left_out += blocks.iter().filter(|block| !self.takes(block)).count();
    }

    fn fold(&mut self, what: &str, blocks: &[String]) {
        if blocks.is_empty() {
            return;
        }
        if !self.takes(&format!("<details><summary>{} {what}</summary>\n", blocks.len())) {
            self.left_out += blocks.len();
            return;
        }
        self.blocks(blocks);
        self.out += "\n</details>\n";
    }
}

/// The checks of a report; what stands in it holds no names.
fn table(report: &Report) -> String {
    let mut table = "\n| check | result | compared | found |\n|---|---|---:|---|\n".to_owned();
    for check in &report.checks {
        let count = |such: &dyn Fn(&Finding) -> bool| check.findings.iter().filter(|f| such(f)).count();
        let found = [
            (count(&Finding::is_open_drift), check.labels.verb),
            (count(&|finding| !finding.kind.is_drift()), "unreadable"),
            (check.acknowledged(), "acknowledged"),
        ];
        let found =
            found.iter().filter(|(count, _)| *count > 0).map(|(count, verb)| format!("{count} {verb}"));
        let found = found.collect::<Vec<_>>().join(", ");
        let _ =
            writeln!(table, "| `{}` | {} | {} | {found} |", check.id, bold(check.status()), check.subjects);
    }
    table
}

/// What is over since the run before, in a line.
fn resolved(report: &Report) -> String {
    let named: Vec<String> =
        report.resolved.iter().take(RESOLVED).map(|it| code(&escaped(&it.subject))).collect();
    let more = report.resolved.len().saturating_sub(RESOLVED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if named.is_empty() {
        String::new()
    } else {
        format!("\n**Resolved** since the run before: {}{more}\n", named.join(", "))
    }
}

fn bold(status: Status) -> String {
    match status {
        Status::Fail | Status::Error => format!("**{}**", status.word()),
        Status::Pass | Status::Skip => status.word().to_owned(),
    }
}

/// What is said of a check as a whole: why it failed or was skipped, and what is worth knowing.
fn of_check(check: &CheckResult) -> String {
    let topic = check.labels.topic;
    let mut text = String::new();
    for error in &check.errors {
        let _ = writeln!(text, "- **ERROR** {topic}: {}", code(&escaped(error.as_bytes())));
    }
    if let Some(why) = check.skip.as_ref().filter(|_| check.status() == Status::Skip) {
        let _ = writeln!(text, "- SKIP {topic}: {}", code(&escaped(why.as_bytes())));
    }
    for note in &check.notes {
        let _ = writeln!(text, "- {topic}: {}", code(&escaped(note.as_bytes())));
    }
    text + &commands(&check.ways_out)
}

/// What findings have in common, and the commands for all of them.
fn of_cause(cause: &Cause<'_>) -> String {
    let lines: Vec<String> =
        causes::ways(cause).into_iter().flat_map(|(word, command)| [format!("# {word}"), command]).collect();
    let commands = if lines.is_empty() { String::new() } else { format!("\n{}", fenced("sh", &lines)) };
    format!("**{}:** {}\n{commands}", causes::heading(cause), code(&causes::released(cause)))
}

fn block(check: &CheckResult, finding: &Finding) -> String {
    block_on(check, finding, "")
}

/// A finding with all that is known of it.
fn block_on(check: &CheckResult, finding: &Finding, on: &str) -> String {
    let what = check.labels.title(finding);
    let name = code(&escaped(&finding.subject.key));
    let mut details = text::details_of(finding);
    // Of a single file that differs the details begin with it.
    let is_said = finding.parts.is_empty() && finding.kind == Kind::Modified;
    details.extend(text::expected_and_found(finding).filter(|_| !is_said));
    details.extend(finding.is_new.then(|| "new".to_owned()));
    let mut text = format!("**{what}:** {name}{on}\n");
    if !details.is_empty() {
        let _ = write!(text, "\n{}", fenced("text", &details));
    }
    text + &commands(text::ways_out(finding))
}

/// Commands with what each is for.
fn commands(ways: &[WayOut]) -> String {
    if ways.is_empty() {
        return String::new();
    }
    let lines = ways.iter().flat_map(|way| [format!("# {}", way.when), way.command.clone()]);
    format!("\n{}", fenced("sh", &lines.collect::<Vec<_>>()))
}

/// Lines as they are, whatever they hold.
fn fenced(language: &str, lines: &[String]) -> String {
    let text: String = lines.iter().map(|line| printable(line) + "\n").collect();
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}{language}\n{text}{fence}\n")
}

/// A text in which nothing means anything: no markup, no link, nobody who is called by `@`.
fn code(text: &str) -> String {
    let text = printable(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let needs_room = text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let room = if needs_room { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

/// The same in a table, where a bar would begin the next cell.
fn cell(text: &str) -> String {
    code(&text.replace('|', "\\u{7c}"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_code_span() {
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(" a"), "`  a `");
        assert_eq!(code("x\n\ny<script>\u{202e}"), "`x\\n\\ny<script>\\u{202e}`");
        assert_eq!(fenced("sh", &["a ```` b".to_owned()]), "`````sh\na ```` b\n`````\n");
    }
}
