//! The fuzzer's corpus: what must hold of every reader holds of each input that is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzzed::TARGETS;

#[allow(unreachable_pub, reason = "the fuzzer's binaries are another crate")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;

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
        assert!(binary.contains(&format!("driftlock_fuzz::{name}(")), "{name}");
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
