//! Faults at random moments lose nothing; `scripts/faults.sh` tries them more often. It draws a seed and prints it.

use std::path::Path;
use std::process::Command;

use crate::support::needs;

/// What `scripts/faults.sh` prints on both outputs, and whether it succeeds.
fn faults(args: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/faults.sh");
    let mut faults = Command::new(script);
    let ran = faults.args(args).env("DRIFTLOCK", env!("CARGO_BIN_EXE_driftlock")).output().unwrap();
    let told = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (ran.status.success(), told.concat())
}

/// Tries each of some faults twice.
fn assert_nothing_is_lost(is_wanted: impl Fn(&str) -> bool) {
    let (_, list) = faults(&["list"]);
    let wanted: Vec<&str> = list.lines().filter(|fault| is_wanted(fault)).collect();
    let (has_passed, told) = faults(&[&["2"], &wanted[..]].concat());
    assert!(has_passed, "{told}");
    let rows: Vec<&str> = told.lines().filter(|line| line.contains(" | 2 | ")).collect();
    assert!(!rows.is_empty() && rows.len() == wanted.len(), "{wanted:?}\n{told}");
    assert!(rows.iter().all(|line| line.ends_with("| 0 | 0 |")), "{told}");
}

fn is_of_a_disk(fault: &str) -> bool {
    fault.contains(" disk ")
}

#[test]
fn nothing_is_lost_whatever_fails_and_whenever() {
    assert_nothing_is_lost(|fault| !is_of_a_disk(fault));
}

#[test]
fn needs_root_needs_mounts_needs_fuse_nothing_is_lost_on_disks_that_fail() {
    needs::root();
    needs::declared(needs::MOUNTS);
    needs::declared(needs::FUSE);
    assert_nothing_is_lost(is_of_a_disk);
}
