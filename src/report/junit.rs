//! `JUnit` XML, as CI systems read test results: a suite for each report, a case for each check.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{FormatMeta, Presentation, Reporter, details, headline, text};
use crate::model::{CheckResult, Report, Status, printable};

/// Test results for GitLab, Jenkins and everything else that reads `JUnit`.
pub(super) struct Junit;

const META: FormatMeta = FormatMeta {
    id: "junit",
    about: "test results for a CI system, in the XML of JUnit",
    ..FormatMeta::NONE
};

impl Reporter for Junit {
    fn meta(&self) -> &'static FormatMeta {
        &META
    }

    fn render(&self, reports: &[Report], _view: Presentation) -> Vec<u8> {
        // Writing to memory cannot fail.
        document(reports).unwrap_or_default()
    }
}

type Xml = Writer<Vec<u8>>;

/// One test case.
struct Case {
    name: String,
    /// What it is instead of passed: the element, and its `type`.
    outcome: Option<(&'static str, &'static str)>,
    message: String,
    text: String,
}

fn document(reports: &[Report]) -> io::Result<Vec<u8>> {
    let suites: Vec<(&Report, Vec<Case>)> = reports.iter().map(|report| (report, cases(report))).collect();
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<&Case> = suites.iter().flat_map(|(_, cases)| cases).collect();
    let milliseconds = reports.iter().map(|report| report.duration_ms).sum();
    let totals = totals(&all, milliseconds);
    xml.create_element("testsuites")
        .with_attribute(("name", "driftlock"))
        .with_attributes(pairs(&totals))
        .write_inner_content(|xml| suites.iter().try_for_each(|(report, cases)| suite(xml, report, cases)))?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn suite(xml: &mut Xml, report: &Report, cases: &[Case]) -> io::Result<()> {
    let properties = [
        ("headline", headline(report)),
        ("run", report.run.clone()),
        ("baseline", report.baseline.from.clone()),
        ("driftlock", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let since_last = text::since_last(report).map(|line| ("since_last", line));
    let pause = text::deploying(report).map(|line| ("pause", line));
    let started = report.started_at.get(..19).unwrap_or(&report.started_at);
    let totals = totals(&cases.iter().collect::<Vec<_>>(), report.duration_ms);
    xml.create_element("testsuite")
        .with_attribute(("name", printable(report.about()).as_str()))
        .with_attributes(pairs(&totals))
        .with_attribute(("timestamp", printable(started).as_str()))
        .with_attribute(("hostname", printable(&report.host).as_str()))
        .write_inner_content(|xml| {
            xml.create_element("properties").write_inner_content(|xml| {
                properties.into_iter().chain(since_last).chain(pause).try_for_each(|(name, value)| {
                    let value = printable(&value);
                    let attributes = [("name", name), ("value", value.as_str())];
                    xml.create_element("property").with_attributes(attributes).write_empty().map(drop)
                })
            })?;
            cases.iter().try_for_each(|case| write_case(xml, report, case))
        })?;
    Ok(())
}

/// The counts that readers compare with what they have read, and the seconds.
fn totals(cases: &[&Case], milliseconds: u64) -> [(&'static str, String); 5] {
    let count = |element: &str| {
        let such = cases.iter().filter(|case| case.outcome.is_some_and(|(name, _)| name == element));
        such.count().to_string()
    };
    [
        ("tests", cases.len().to_string()),
        ("failures", count("failure")),
        ("errors", count("error")),
        ("skipped", count("skipped")),
        ("time", format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)),
    ]
}

fn pairs<'a>(attributes: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    attributes.iter().map(|(name, value)| (*name, value.as_str()))
}

fn write_case(xml: &mut Xml, report: &Report, case: &Case) -> io::Result<()> {
    // What stands before the last dot is taken for a package.
    let class = format!("driftlock.{}", printable(report.about()).replace('.', "_"));
    let element = xml
        .create_element("testcase")
        .with_attributes([("classname", class.as_str()), ("name", case.name.as_str())]);
    match case.outcome {
        None if case.text.is_empty() => element.write_empty()?,
        None => element.write_inner_content(|xml| {
            xml.create_element("system-out").write_text_content(BytesText::new(&case.text)).map(drop)
        })?,
        Some((outcome, kind)) => element.write_inner_content(|xml| {
            let outcome = xml.create_element(outcome).with_attribute(("message", case.message.as_str()));
            let outcome = if kind.is_empty() { outcome } else { outcome.with_attribute(("type", kind)) };
            outcome.write_text_content(BytesText::new(&case.text)).map(drop)
        })?,
    };
    Ok(())
}

fn cases(report: &Report) -> Vec<Case> {
    let beyond = text::beyond_checks(report).map(|(id, why)| Case {
        name: id.to_owned(),
        outcome: Some(("error", "error")),
        message: why.to_owned(),
        text: String::new(),
    });
    report.checks.iter().map(case).chain(beyond).collect()
}

fn case(check: &CheckResult) -> Case {
    let outcome = match check.status() {
        Status::Pass => None,
        Status::Fail => Some(("failure", "drift")),
        Status::Error => Some(("error", "error")),
        Status::Skip => Some(("skipped", "")),
    };
    let (message, text) = (printable(&details(check)), text::found_plainly(check).join("\n"));
    Case { name: check.id.to_owned(), outcome, message, text }
}
