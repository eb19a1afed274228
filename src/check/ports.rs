//! The check `ports`: the programs of the baseline listen where it has them, and nothing else does.

use super::system::{Rules, compare};
use super::{Case, Check};
use crate::host::Facts;
use crate::model::{Category, Change, CheckLabels, CheckMeta, CheckResult, Entry};
use crate::section::{self, fact, facts, is_open_to_all};

/// Compares listening ports.
pub(super) struct Ports;

const META: CheckMeta = CheckMeta::of_section(
    section::PORTS,
    "ports",
    "the programs of the baseline listen on its ports, and nothing listens on any other",
    CheckLabels {
        topic: "Listening ports",
        info: "Checking listening ports...",
        pass: "All listening ports match baseline",
        drift: "Port drift",
        unreadable: "Ports",
        noun: "ports",
        verb: "drifted",
        singular: "port",
    },
);

const RULES: Rules = Rules {
    // A lock file that knows no program was written by somebody who could not see it.
    change: |old, new| {
        // One that was written before containers were named, or by somebody who could not ask the engine, has what holds the port.
        let is_it = |program: &&String| [new.get("program"), new.get(fact::HOLDER)].contains(&Some(program));
        old.get("program").filter(|program| !is_it(program)).map(|_| Change::Config)
    },
    in_words,
    category,
};

/// The program or container that listens.
fn in_words(entry: &Entry) -> String {
    facts(entry).remove("program").unwrap_or_else(|| "a program that is not known".to_owned())
}

/// A port that is new and open to every address concerns who may reach the machine.
fn category(old: Option<&Facts>, new: Option<&Facts>) -> Category {
    if old.is_none() && new.is_some_and(is_open_to_all) { Category::Security } else { Category::Network }
}

impl Check for Ports {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        compare(self, case, &RULES)
    }
}
