//! The journal of a project, or of one deployment of an agent.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// All events of the journal below a root, oldest first; none where there is no journal. Every line is whole.
pub(crate) fn events(root: &Path) -> Vec<Value> {
    let Ok(entries) = std::fs::read_dir(root.join("audit/state/events")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The name of the newest event of a subject.
pub(crate) fn last_of(root: &Path, subject: &str) -> Option<String> {
    let newest = events(root).into_iter().rfind(|event| event["subject"] == subject)?;
    Some(newest["event"].as_str().unwrap().to_owned())
}
