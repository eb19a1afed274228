//! Everything known of one subject, ready to be told.

use super::{BaselineOrigin, CheckResult, Since, WayOut};

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
