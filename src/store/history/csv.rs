//! Past runs as CSV (RFC 4180), with nothing in it that a spreadsheet would take for a formula.

use super::Drifter;
use super::table::verdict;
use crate::model::PastRun;

/// A line for each run, oldest first, below a line of headings.
#[must_use]
pub fn csv(runs: &[PastRun]) -> String {
    let mut text =
        "run,target,started_at,started_at_unix,verdict,findings,duration_ms,partial,headline\r\n".to_owned();
    for past in runs {
        let fields = [
            field(&past.run),
            field(past.target.as_deref().unwrap_or_default()),
            field(&past.started_at),
            past.started_at_unix.to_string(),
            verdict(past).to_owned(),
            past.findings().to_string(),
            past.duration_ms.to_string(),
            past.partial.to_string(),
            field(&past.headline),
        ];
        text += &fields.join(",");
        text += "\r\n";
    }
    text
}

/// A line for each subject that ever differed, below a line of headings.
#[must_use]
pub fn csv_of_subjects(drifters: &[Drifter]) -> String {
    let mut text = "target,check,subject,first_seen,last_seen,runs,times,seconds,open\r\n".to_owned();
    for it in drifters {
        let fields = [
            field(it.target.as_deref().unwrap_or_default()),
            field(&it.check),
            field(&it.subject),
            field(&it.first_seen),
            field(&it.last_seen),
            it.runs.to_string(),
            it.times.to_string(),
            it.seconds.to_string(),
            it.is_open.to_string(),
        ];
        text += &fields.join(",");
        text += "\r\n";
    }
    text
}

/// A text as one field. One that begins as a formula does gets an apostrophe before it.
fn field(text: &str) -> String {
    // Some spreadsheets take the wide forms for the narrow ones.
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { ' ' } else { c })
        .collect();
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_and_nothing_else() {
        assert_eq!(field("PASS local: 3 checks passed"), "PASS local: 3 checks passed");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("＝1+1"), "'＝1+1");
        assert_eq!(field("a\x1b]0;x\x07"), "a ]0;x ");
        assert_eq!(field("@x\ny"), "\"'@x\ny\"");
    }
}
