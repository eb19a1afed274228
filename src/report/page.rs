//! Text for a terminal that grows line by line, with colour where that is wanted.

use std::fmt::Write as _;

use console::Style;

use super::text::{INDENT, Line};
use crate::model::printable;

/// What frames a title.
pub(super) const RULE: &str = "========================================";

/// Text that grows line by line.
pub(super) struct Page {
    pub(super) out: String,
    pub(super) colour: bool,
}

impl Page {
    /// Adds lines.
    pub(super) fn lines(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            match &line {
                Line::Fact(tag, text) => self.fact(tag, text),
                Line::Detail(_) => self.painted(&line.plain()),
                Line::Diff(text) => {
                    // What was added is green, what was removed red.
                    let style = match text.as_bytes().first() {
                        Some(b'+') => Style::new().green(),
                        Some(b'-') => Style::new().red(),
                        Some(b'@') => Style::new().cyan(),
                        _ => Style::new(),
                    };
                    let painted = style.force_styling(self.colour).apply_to(line.text());
                    self.painted(&format!("{INDENT}{painted}"));
                }
            }
        }
    }

    /// Adds what begins a part of the page.
    pub(super) fn title(&mut self, text: &str) {
        for line in ["", RULE, &format!("  {text}"), RULE] {
            self.line(line);
        }
    }

    /// Adds a fact behind its tag.
    pub(super) fn fact(&mut self, tag: &str, text: &str) {
        let painted = self.paint(tag, &format!("[{tag}]"));
        self.painted(&format!("{painted} {}", printable(text)));
    }

    /// A line in which a terminal obeys nothing, whatever it is made of.
    pub(super) fn line(&mut self, text: &str) {
        self.painted(&printable(text));
    }

    /// A line that may have colours, and whose parts are known to be harmless.
    pub(super) fn painted(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Gives a text the colour of a word.
    pub(super) fn paint(&self, word: &str, text: &str) -> String {
        let style = match word {
            "PASS" => Style::new().green(),
            "FAIL" | "ERROR" => Style::new().red(),
            "SKIP" | "ACK" => Style::new().yellow(),
            _ => return text.to_owned(),
        };
        style.force_styling(self.colour).apply_to(text).to_string()
    }
}
