//! Chromium without a window: what a page is once a browser has laid it out.

use std::path::Path;
use std::process::Command;

use assert_fs::TempDir;

/// Runs Chromium on a page, bounded in time and with a profile of its own; what it printed.
pub(crate) fn chromium(page: &Path, options: &[&str]) -> String {
    let profile = TempDir::new().unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "100", "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .env("HOME", profile.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
