//! Text for a terminal that grows line by line, with colour where that is wanted.

use std::fmt::Write as _;

use super::text::{INDENT, Line};
use crate::model::printable;

/// What frames a title.
pub(super) const RULE: &str = "========================================";

/// Colours, by their numbers in SGR (ECMA-48).
#[derive(Debug, Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

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
                    let colour = match text.as_bytes().first() {
                        Some(b'+') => Some(Colour::Green),
                        Some(b'-') => Some(Colour::Red),
                        Some(b'@') => Some(Colour::Cyan),
                        _ => None,
                    };
                    let painted = self.coloured(colour, &line.text());
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
        let colour = match word {
            "PASS" => Some(Colour::Green),
            "FAIL" | "ERROR" => Some(Colour::Red),
            "SKIP" | "ACK" => Some(Colour::Yellow),
            _ => None,
        };
        self.coloured(colour, text)
    }

    fn coloured(&self, colour: Option<Colour>, text: &str) -> String {
        match colour.filter(|_| self.colour) {
            Some(colour) => format!("\x1b[{}m{text}\x1b[0m", colour as u8),
            None => text.to_owned(),
        }
    }
}
