//! What Terraform says went wrong, in one line.

use serde::Deserialize;

/// How many characters of a message are told.
const LONGEST: usize = 400;

/// A line of `terraform plan -json`: <https://developer.hashicorp.com/terraform/internals/machine-readable-ui>.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    diagnostic: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    severity: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    detail: String,
    range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u64,
}

/// The error that a line of `plan -json` tells of, in one line; `None` for other lines.
pub(super) fn in_line(line: &[u8]) -> Option<String> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let told = line.diagnostic.filter(|it| line.kind == "diagnostic" && it.severity == "error")?;
    let place = told.range.map(|it| format!("{}:{}: ", it.filename, it.start.line)).unwrap_or_default();
    Some(in_one_line(&format!("{place}{}", [told.summary, told.detail].join(": "))))
}

/// The first error that text for people tells of: `Error: …` in a box of lines.
pub(super) fn in_text(text: &str) -> Option<String> {
    let plain = |line: &str| {
        line.trim_start_matches(|c: char| c.is_whitespace() || "│╷╵".contains(c)).trim_end().to_owned()
    };
    let lines: Vec<String> = text.lines().map(plain).collect();
    // Terraform begins with a sentence that says only that errors follow.
    let is_error =
        |line: &String| line.starts_with("Error: ") && !line.contains("encountered problems during init");
    let first = lines.iter().position(is_error)?;
    let whole =
        lines[first..].iter().take_while(|line| !line.starts_with("Error: ") || **line == lines[first]);
    let whole: Vec<&str> = whole.map(String::as_str).take(8).collect();
    Some(in_one_line(whole.join(" ").trim_start_matches("Error: ")))
}

/// A text in one line, cut where it is long.
pub(super) fn in_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ").trim_end_matches([':', ' ']).to_owned();
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_in_one_line() {
        let line = br#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"No value","detail":"The root\nmodule x.","range":{"filename":"main.tf","start":{"line":3,"column":1,"byte":4},"end":{"line":3,"column":9,"byte":9}}}}"#;
        assert_eq!(in_line(line).unwrap(), "main.tf:3: No value: The root module x.");
        for other in [
            &b"{\"type\":\"version\"}"[..],
            b"not json",
            br#"{"type":"diagnostic","diagnostic":{"severity":"warning"}}"#,
        ] {
            assert_eq!(in_line(other), None);
        }
        let text = "noise\n\u{2577}\n\u{2502} Error: Backend initialization required\n\u{2502} \n\u{2502} Reason: \
                    changed\n\u{2575}\n\u{2577}\n\u{2502} Error: another\n";
        assert_eq!(in_text(text).unwrap(), "Backend initialization required Reason: changed");
        assert_eq!(in_text("fine"), None);
        assert_eq!(in_one_line(&"é".repeat(500)).chars().count(), LONGEST + 1);
    }
}
