//! What must hold of every reader, whatever it is given. There for tests and for the fuzzer in `fuzz/` alone: no build
//! that is shipped has this room.

#![allow(clippy::missing_panics_doc, reason = "a target panics where something does not hold")]

mod allowed_signers;
mod configuration;
mod framed_output;
mod images_lock;
mod known_hosts;
mod names;
mod reports;
mod text_locks;

pub use allowed_signers::allowed_signers;
pub use configuration::configuration;
pub use framed_output::framed_output;
pub use images_lock::images_lock;
pub use known_hosts::known_hosts;
pub use names::names;
pub use reports::reports;
pub use text_locks::text_locks;

use crate::model::is_hidden;

/// A target: its name, and what panics where something does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. A new one is a new file, a line here, a file in `fuzz/fuzz_targets` and a few seeds in `fuzz/corpus`.
pub const TARGETS: &[Target] = &[
    ("allowed_signers", allowed_signers),
    ("configuration", configuration),
    ("framed_output", framed_output),
    ("images_lock", images_lock),
    ("known_hosts", known_hosts),
    ("names", names),
    ("reports", reports),
    ("text_locks", text_locks),
];

/// Asserts that a terminal shows a text as it is; `lines` says whether it may have line ends.
fn assert_printable(text: &str, lines: bool) {
    let odd = text.chars().find(|&c| is_hidden(c) && !(lines && c == '\n'));
    assert!(odd.is_none(), "{odd:?} gets through: {text:?}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::TARGETS;

    fn fuzz(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
    }

    fn names_in(dir: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz(dir)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_target_has_a_binary_a_corpus_and_a_dictionary() {
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names_in("fuzz_targets"), targets);
        assert_eq!(names_in("corpus"), targets);
        assert_eq!(names_in("dictionaries"), targets);
        let manifest = std::fs::read_to_string(fuzz("Cargo.toml")).unwrap();
        for name in targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
            let binary = std::fs::read_to_string(fuzz(&format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(binary.contains(&format!("fuzzed::{name}(")), "{name}");
        }
    }

    #[test]
    fn the_corpus_holds() {
        let mut failed = Vec::new();
        for (name, target) in TARGETS {
            let seeds = std::fs::read_dir(fuzz(&format!("corpus/{name}"))).unwrap();
            let seeds: BTreeSet<PathBuf> = seeds.map(|seed| seed.unwrap().path()).collect();
            assert!(seeds.len() > 3, "{name} has no corpus");
            for seed in seeds {
                let bytes = std::fs::read(&seed).unwrap();
                if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                    failed.push(seed);
                }
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
