//! SARIF 2.1.0, for code scanning: a run for each report, a rule for each check, a result for each finding.
//!
//! What could not be looked at is a notification of the invocation, as the standard has it, and a result as well: who
//! shows results alone must not take an error for peace.

mod wire;

use std::collections::BTreeMap;

use wire::{
    ArtifactLocation, AutomationDetails, Configuration, Driver, Invocation, Level, Location, Log,
    LogicalLocation, Message, Notification, PhysicalLocation, Region, Rule, RuleProperties, RuleReference,
    Run, Suppression, Tool, UriBase,
};

use super::text::utc;
use super::{FormatMeta, Presentation, Reporter, headline, place, text};
use crate::model::{
    CheckResult, Digest, Finding, Report, Status, SubjectKind, Waiver, day, escaped, name_of, printable,
    shown_json,
};
use crate::section;

/// Results for code scanning.
pub(super) struct Sarif;

/// What paths are relative to.
const ROOT: &str = "%SRCROOT%";

const META: FormatMeta =
    FormatMeta { id: "sarif", about: "results for code scanning, in SARIF 2.1.0", ..FormatMeta::NONE };

impl Reporter for Sarif {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        let log = Log {
            schema: "https://json.schemastore.org/sarif-2.1.0.json",
            version: "2.1.0",
            runs: reports.iter().map(run).collect(),
        };
        let text = serde_json::to_string_pretty(&log).unwrap_or_default();
        (shown_json(text) + "\n").into_bytes()
    }
}

fn run(report: &Report) -> Run {
    let beyond = text::beyond_checks(report);
    let rules = report.checks.iter().map(|check| rule(check.id, check.labels.pass));
    let rules = rules.chain(beyond.map(|(id, _)| rule(id, "The run looked at something, and ended well")));
    let version = env!("CARGO_PKG_VERSION");
    let driver = Driver { name: "driftlock", version, semantic_version: version, rules: rules.collect() };
    let description = text(&["the top of the repository".to_owned()]);
    let (run, about) = (printable(&report.run), printable(report.about()));
    let properties = [
        ("target", about.clone()),
        ("run", run.clone()),
        ("verdict", report.status().word().to_owned()),
        ("baseline", printable(&report.baseline.from)),
        ("fingerprint", report.fingerprint().to_string()),
    ];
    Run {
        tool: Tool { driver },
        // Code scanning takes what stands before the last slash for the category of the results.
        automation_details: AutomationDetails {
            id: format!("driftlock/{about}{}/{run}", some_checks(report)),
        },
        invocations: [invocation(report)],
        original_uri_base_ids: BTreeMap::from([(ROOT, UriBase { description })]),
        results: results(report),
        properties: BTreeMap::from(properties),
    }
}

/// What sets the results of some checks apart from those of all: they must not stand in for them.
fn some_checks(report: &Report) -> String {
    if !report.partial {
        return String::new();
    }
    let ids: Vec<&str> = report.checks.iter().filter(|check| check.compares).map(|check| check.id).collect();
    format!("/{}", ids.join("+"))
}

fn rule(id: &'static str, holds: &str) -> Rule {
    let full = format!("{holds}. What is there was compared with the baseline that the repository holds.");
    let help =
        "driftlock explain SUBJECT tells everything that is known of one subject, and what can be done.";
    Rule {
        id,
        short_description: text(&[holds.to_owned()]),
        full_description: text(&[full]),
        help: text(&[help.to_owned()]),
        default_configuration: Configuration { level: Level::Error },
        properties: RuleProperties { tags: ["drift"], severity: Level::Error, precision: "very-high" },
    }
}

fn invocation(report: &Report) -> Invocation {
    let seconds = i64::try_from(report.duration_ms / 1000).unwrap_or_default();
    Invocation {
        execution_successful: report.status() != Status::Error,
        exit_code: report.verdict.exit.code(),
        exit_code_description: headline(report),
        start_time_utc: utc(report.started_at_unix),
        end_time_utc: utc(report.started_at_unix.saturating_add(seconds)),
        machine: printable(&report.host),
        tool_execution_notifications: notifications(report),
    }
}

/// What could not be looked at, and why; what was skipped; a deploy that is announced.
fn notifications(report: &Report) -> Vec<Notification> {
    let mut all = Vec::new();
    let whole = |level: Level, line: String| Notification {
        level,
        message: text(&[line]),
        associated_rule: None,
        locations: Vec::new(),
    };
    let lines = text::since_last(report).into_iter().chain(text::deploying(report));
    all.extend(lines.map(|line| whole(Level::Note, line)));
    for (index, check) in report.checks.iter().enumerate() {
        let rule = Some(RuleReference { id: check.id, index });
        let of_check = |level: Level, why: &str| Notification {
            associated_rule: rule.clone(),
            ..whole(level, format!("{}: {}", check.labels.topic, escaped(why.as_bytes())))
        };
        all.extend(check.errors.iter().map(|error| of_check(Level::Error, error)));
        let skipped = check.skip.iter().filter(|_| check.status() == Status::Skip);
        all.extend(skipped.map(|why| of_check(Level::Note, &format!("skipped: {why}"))));
        for finding in check.findings.iter().filter(|finding| !finding.kind.is_drift()) {
            all.push(Notification {
                level: Level::Error,
                message: text(&account(check, finding)),
                associated_rule: rule.clone(),
                locations: locations(report, finding),
            });
        }
    }
    all.extend(text::beyond_checks(report).map(|(_, why)| whole(Level::Error, why.to_owned())));
    all
}

fn results(report: &Report) -> Vec<wire::Finding> {
    let mut all = Vec::new();
    for (index, check) in report.checks.iter().enumerate() {
        all.extend(check.findings.iter().map(|finding| result(report, check, index, finding)));
        all.extend(check.errors.iter().map(|error| {
            let why = format!("{}: {}", check.labels.topic, escaped(error.as_bytes()));
            failure(
                report,
                check.id,
                index,
                &std::iter::once(why).chain(text::ways(&check.ways_out)).collect::<Vec<_>>(),
            )
        }));
    }
    let beyond = text::beyond_checks(report);
    all.extend(beyond.map(|(id, why)| failure(report, id, report.checks.len(), &[why.to_owned()])));
    all
}

fn result(report: &Report, check: &CheckResult, rule_index: usize, finding: &Finding) -> wire::Finding {
    let lines = account(check, finding);
    let ways = text::ways(text::ways_out(finding));
    let value = |name, value: Option<String>| value.map(|value| (name, printable(&value)));
    let properties = [
        value("kind", Some(finding.kind.word().to_owned())),
        value("subject", Some(escaped(&finding.subject.key))),
        value("change", finding.change.map(|change| change.word().to_owned())),
        value("expected", finding.expected.text()),
        value("actual", finding.actual.text()),
        value("since", finding.since.as_ref().map(|since| since.started_at.clone())),
    ];
    let acknowledged = finding.acknowledged();
    wire::Finding {
        rule_id: check.id,
        rule_index,
        // Who shows suppressed results all the same must not fail by them.
        level: if acknowledged.is_some() { Level::Note } else { Level::Error },
        message: text(&lines.into_iter().chain(ways).collect::<Vec<_>>()),
        locations: locations(report, finding),
        partial_fingerprints: fingerprints(finding.fingerprint(check.id)),
        suppressions: acknowledged.map(suppression).into_iter().collect(),
        properties: properties.into_iter().flatten().collect(),
    }
}

/// What a check could not do, as a result.
fn failure(report: &Report, rule_id: &'static str, rule_index: usize, lines: &[String]) -> wire::Finding {
    wire::Finding {
        rule_id,
        rule_index,
        level: Level::Error,
        message: text(lines),
        locations: vec![location(&place::configuration(report), Vec::new())],
        partial_fingerprints: fingerprints(Digest::of(format!("{rule_id}\0error").as_bytes())),
        suppressions: Vec::new(),
        properties: BTreeMap::from([("kind", "error".to_owned())]),
    }
}

fn suppression(answer: &Waiver) -> Suppression {
    let Waiver { reason, by, until, .. } = answer;
    let justification = printable(&format!("until {} by {}: {reason}", day(until), name_of(by)));
    Suppression { kind: "external", status: "accepted", justification }
}

/// The first name is the one that code scanning goes by.
fn fingerprints(fingerprint: Digest) -> BTreeMap<&'static str, String> {
    ["primaryLocationLineHash", "driftlock/v1"].map(|name| (name, fingerprint.to_string())).into()
}

/// What is said of a finding, its ways out left out.
fn account(check: &CheckResult, finding: &Finding) -> Vec<String> {
    std::iter::once(text::title(check, finding)).chain(text::details_of(finding)).collect()
}

/// A message of lines. What would be a link in it is none.
fn text(lines: &[String]) -> Message {
    let text = lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n");
    let has_link = text.contains("](");
    Message { text: if has_link { text.replace('[', "\\[").replace(']', "\\]") } else { text } }
}

/// The files that a finding is about, under the name of the module or container that they belong to.
fn locations(report: &Report, finding: &Finding) -> Vec<Location> {
    let kind = match section::kind_of(finding.subject.source) {
        Some(SubjectKind::Tree) => Some("module"),
        Some(SubjectKind::Container | SubjectKind::Resource | SubjectKind::System) => Some("resource"),
        Some(SubjectKind::File) | None => None,
    };
    let name = escaped(&finding.subject.key);
    let logical = |kind| LogicalLocation { name: name.clone(), fully_qualified_name: name.clone(), kind };
    place::files(report, finding)
        .iter()
        .map(|path| location(path, kind.map(logical).into_iter().collect()))
        .collect()
}

fn location(path: &[u8], logical_locations: Vec<LogicalLocation>) -> Location {
    let is_absolute = path.starts_with(b"/");
    let uri = if is_absolute { format!("file://{}", encoded(path)) } else { encoded(path) };
    let artifact_location = ArtifactLocation { uri, uri_base_id: (!is_absolute).then_some(ROOT) };
    // A file differs as a whole; readers want a line.
    let physical_location = PhysicalLocation { artifact_location, region: Region { start_line: 1 } };
    Location { physical_location, logical_locations }
}

/// A path as a URI has it: everything but letters, digits and `-._~/` by its bytes.
fn encoded(path: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    path.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_byte_by_byte() {
        assert_eq!(encoded(b"a b/%c:d?#\xff"), "a%20b/%25c%3Ad%3F%23%FF");
        assert_eq!(encoded("é[1]".as_bytes()), "%C3%A9%5B1%5D");
        let absolute = location(b"/etc/x", Vec::new()).physical_location.artifact_location;
        assert_eq!((absolute.uri.as_str(), absolute.uri_base_id), ("file:///etc/x", None));
    }

    #[test]
    fn a_name_is_no_link() {
        assert_eq!(text(&["[a](http://x)".to_owned()]).text, "\\[a\\](http://x)");
        assert_eq!(text(&["[a] b".to_owned(), "c\nd".to_owned()]).text, "[a] b\nc\\nd");
    }
}
