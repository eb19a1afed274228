//! Everything known of one subject, ready to be told.

use std::borrow::Cow;

use super::{BaselineOrigin, CheckResult};

/// Everything known of one subject on one host.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What kind of thing it is: `addon module`.
    pub noun: &'static str,
    /// Its name as reports give it.
    pub key: Vec<u8>,
    /// The file in it that is asked for, where one is.
    pub part: Option<Vec<u8>>,
    /// Where it lies in the repository; for most subjects the name itself.
    pub place: Vec<u8>,
    /// Where it lies on the host, where that is elsewhere.
    pub lies_at: Option<Vec<u8>>,
    /// The machine's name, or a server's address as it was called.
    pub host: String,
    /// The target's name, if one was asked for.
    pub target: Option<String>,
    /// What was compared with.
    pub baseline: BaselineOrigin,
    /// What the baseline has of it: a digest, or facts in a line.
    pub expected: Option<String>,
    /// What the host has.
    pub actual: Option<String>,
    /// The checks that read it, each with its findings on this subject alone.
    pub checks: Vec<CheckResult>,
    /// Since when it differs, where runs tell it.
    pub since: Option<Since>,
    /// Who made the baseline's entry what it is, where that is recorded.
    pub acceptance: Option<AcceptedBy>,
    /// What can be done about it, and the command of each.
    pub ways_out: Vec<WayOut>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
}

/// Since when a subject differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The first run of an unbroken line in which it differed.
    pub run: String,
    /// When that was, in RFC 3339 with offset.
    pub started_at: String,
    /// How many runs saw it differ.
    pub runs: usize,
    /// The newest run before these in which it was as in the baseline.
    pub before: Option<String>,
    /// The first of these runs that saw what is there now, where that is a later one.
    pub changed: Option<String>,
    /// Whether that one is the run that is being made: its name is settled last.
    pub is_this_run: bool,
}

/// One line of `audit/accepted.jsonl`, as far as one subject goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedBy {
    /// When, in RFC 3339 with offset.
    pub time: String,
    /// Who.
    pub by: String,
    /// Why, where that was said.
    pub reason: Option<String>,
    /// The run that was accepted.
    pub run: String,
    /// What the baseline got: a digest, an image.
    pub new: Option<String>,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayOut {
    /// When that is the right thing: `it was meant`.
    pub when: Cow<'static, str>,
    /// The command, as a shell takes it.
    pub command: String,
}

/// What differs inside a file, without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What it means, for files whose meaning is known: `services.web.image: odoo:18 → odoo:18.1`.
    pub meaning: Vec<String>,
    /// A unified diff, or a sentence that says why there is none.
    pub lines: Vec<String>,
}

impl WayOut {
    /// A command, and when it is the right one.
    #[must_use]
    pub fn new(when: &'static str, command: impl Into<String>) -> Self {
        Self { when: Cow::Borrowed(when), command: command.into() }
    }
}
