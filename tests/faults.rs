//! Faults at random moments lose nothing; `scripts/faults.sh` tries them more often.

use std::path::Path;
use std::process::Command;

#[test]
fn nothing_is_lost_whatever_fails_and_whenever() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/faults.sh");
    let mut faults = Command::new(script);
    let ran = faults.arg("2").env("DRIFTLOCK", env!("CARGO_BIN_EXE_driftlock")).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}");
    let rows = told.lines().filter(|line| line.starts_with("| ") && line.contains(" | 2 | ")).count();
    assert!(rows >= 18, "{told}");
    assert!(
        told.lines().filter(|line| line.contains(" | 2 | ")).all(|line| line.ends_with("| 0 | 0 |")),
        "{told}"
    );
}
