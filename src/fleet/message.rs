//! What goes through the queue: results, and the text that their signatures are of.

use serde::{Deserialize, Serialize};

use crate::model::Digest;

/// The format of tasks and results. A worker and a caller of different formats do not understand each other.
pub(super) const FORMAT: &str = "driftlock.fleet/1";
/// The namespace in which results are signed.
pub(super) const NAMESPACE: &str = "driftlock-fleet";

/// What came of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResultKind {
    /// A report.
    Report,
    /// Nothing was looked at, for the reason that stands in place of the report.
    Failure,
}

impl ResultKind {
    fn word(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Failure => "failure",
        }
    }
}

/// A result as a worker puts it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FleetResult {
    /// [`FORMAT`].
    pub(super) schema: String,
    /// The version of driftlock that made it.
    pub(super) version: String,
    /// The worker's name: a hint for people.
    pub(super) worker: String,
    /// The sweep it belongs to.
    pub(super) sweep: String,
    /// The target.
    pub(super) target: String,
    /// The digest of the baseline that was compared with, in hex.
    pub(super) baseline: String,
    /// What it is.
    pub(super) kind: ResultKind,
    /// The report in JSON, or the reason why there is none.
    pub(super) body: String,
}

/// A result of any format, as far as that says which.
#[derive(Deserialize)]
pub(super) struct AnyResult {
    /// Its format.
    pub(super) schema: String,
    /// The version of driftlock that made it.
    #[serde(default)]
    pub(super) version: String,
    /// The worker's name.
    #[serde(default)]
    pub(super) worker: String,
    /// The target.
    #[serde(default)]
    pub(super) target: String,
}

impl FleetResult {
    /// The text that is signed: lines that `printf` and `sha256sum` make as well.
    pub(super) fn signed_text(&self) -> Vec<u8> {
        let Self { schema, sweep, target, baseline, kind, body, .. } = self;
        let (kind, body) = (kind.word(), Digest::of(body.as_bytes()));
        format!("{schema}\nsweep {sweep}\ntarget {target}\nbaseline {baseline}\n{kind} {body}\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_counts_is_signed() {
        let result = FleetResult {
            schema: FORMAT.to_owned(),
            version: "1".to_owned(),
            worker: "w".to_owned(),
            sweep: "s".to_owned(),
            target: "t".to_owned(),
            baseline: "b".to_owned(),
            kind: ResultKind::Report,
            body: "{}".to_owned(),
        };
        let text = result.signed_text();
        let others = [
            FleetResult { sweep: "x".to_owned(), ..result.clone() },
            FleetResult { target: "x".to_owned(), ..result.clone() },
            FleetResult { baseline: "x".to_owned(), ..result.clone() },
            FleetResult { kind: ResultKind::Failure, ..result.clone() },
            FleetResult { body: "x".to_owned(), ..result.clone() },
        ];
        assert!(others.iter().all(|other| other.signed_text() != text));
        assert!(
            String::from_utf8(text)
                .unwrap()
                .starts_with("driftlock.fleet/1\nsweep s\ntarget t\nbaseline b\nreport ")
        );
    }
}
