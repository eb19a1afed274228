//! Runs that were made long ago: by a script that makes many, or one by one.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::Project;

impl Project {
    /// Makes `count` runs of the last `days` days after the newest report of this project.
    pub(crate) fn many_runs(&self, count: usize, days: u32) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make_runs.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(self.root()).args([count.to_string(), days.to_string(), "500".to_owned()]);
        assert!(python.status().unwrap().success());
    }

    /// A run of a check with this name, of which `change` makes what it should be.
    pub(crate) fn old_check(&self, name: &str, target: Option<&str>, change: impl FnOnce(&mut Value)) {
        let mut report = self.latest();
        report["run"] = name.into();
        report["target"] = target.into();
        if let Some(began) = began(name) {
            report["started_at_unix"] = began.into();
        }
        change(&mut report);
        self.file(&format!("audit/runtime/{name}/drift_report.json"), &format!("{report:#}\n"));
        self.file(&format!("audit/runtime/{name}/drift_report.txt"), "as it was told\n");
    }

    /// A run of an export with this name: the lock files of the baseline.
    pub(crate) fn old_export(&self, name: &str) {
        std::fs::create_dir_all(self.path("audit/runtime").join(name)).unwrap();
        for entry in std::fs::read_dir(self.path("audit/locks")).unwrap().map(Result::unwrap) {
            let to = self.path("audit/runtime").join(name).join(entry.file_name());
            std::fs::copy(entry.path(), &to).unwrap();
            // Of an export its files alone tell when it was made.
            if let Some(began) = began(name) {
                let file = std::fs::File::options().append(true).open(&to).unwrap();
                file.set_modified(UNIX_EPOCH + Duration::from_secs(began)).unwrap();
            }
        }
    }
}

/// The moment that a run's name tells, in seconds since 1970.
fn began(name: &str) -> Option<u64> {
    let stamp = name.get(..15).unwrap_or_default();
    let began = chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%d_%H%M%S").ok()?;
    u64::try_from(began.and_utc().timestamp()).ok()
}
