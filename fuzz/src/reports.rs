//! Reports that were written once and may have been tampered with since.

use super::assert_printable;
use driftlock::check;
use driftlock::model::{PastRun, Status, escaped};
use driftlock::report::json::{bytes_of, read, read_all, read_run};
use driftlock::report::{Presentation, REPORTERS};
use driftlock::store::history::{csv, csv_of_subjects, drifters, json, table};

/// What is read as a past run, or as a report to be shown again, is shown in every format with nothing in it that a
/// terminal obeys; it passes only where all in it do; and shown as JSON it is the same report.
pub fn reports(bytes: &[u8]) {
    match read_run(bytes) {
        Ok(run) => shown_over_time(&run),
        Err(why) => assert_printable(&escaped(why.to_string().as_bytes()), false),
    }
    let Ok(reports) = read_all(bytes, &check::meta) else { return };
    if reports.is_empty() {
        return;
    }
    for report in &reports {
        let clean = |status: Status| matches!(status, Status::Pass | Status::Skip);
        let is_well = report.checks.iter().all(|check| clean(check.status()));
        assert!(report.verdict.overall != Status::Pass || is_well, "it passes, and a check of it does not");
    }
    for reporter in REPORTERS {
        let text = reporter.render(&reports, Presentation::default());
        let text = String::from_utf8(text).unwrap_or_else(|_| panic!("{}: no text", reporter.id()));
        if reporter.meta().is_plain {
            assert_printable(&text, true);
        }
    }
    let kept: Vec<Vec<u8>> = reports.iter().map(bytes_of).collect();
    for bytes in kept {
        let again = read(&bytes, &check::meta).map(|report| bytes_of(&report));
        assert_eq!(again.ok(), Some(bytes), "another report");
    }
}

/// A run among others: with itself a day later, and with what has no findings.
fn shown_over_time(run: &PastRun) {
    let mut later = run.clone();
    later.started_at_unix = later.started_at_unix.saturating_add(86_400);
    let mut quiet = later.clone();
    quiet.checks.iter_mut().for_each(|check| check.subjects.clear());
    let runs = [run.clone(), later, quiet];
    let subjects = drifters(&runs);
    for it in &subjects {
        assert!(it.seconds >= 0 && it.runs <= runs.len() * run.findings(), "{it:?}");
    }
    assert_printable(&table(&runs, &subjects), true);
    let document = json(&runs, &subjects, &std::collections::BTreeMap::new());
    assert!(serde_json::from_str::<serde_json::Value>(&document).is_ok(), "no JSON: {document}");
    assert_eq!(fields(&csv(&runs)), vec![9; runs.len() + 1], "the table has other fields");
    assert_eq!(
        fields(&csv_of_subjects(&subjects)),
        vec![9; subjects.len() + 1],
        "the table has other fields"
    );
}

/// How many fields each record of a CSV file has (RFC 4180), none of which begins as a formula.
fn fields(csv: &str) -> Vec<usize> {
    let (mut records, mut count, mut quoted, mut start) = (Vec::new(), 1, false, true);
    let mut rest = csv.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => (count, start) = (count + 1, true),
            '\r' if !quoted && rest.next_if_eq(&'\n').is_some() => {
                records.push(count);
                (count, start) = (1, true);
            }
            c => {
                let is_sign = c == '-' && rest.peek().is_some_and(char::is_ascii_digit);
                assert!(
                    !start || is_sign || !"=+-@\t\r\n＝＋－＠".contains(c),
                    "a formula begins with {c:?}"
                );
                start = false;
            }
        }
    }
    records
}
