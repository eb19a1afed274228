//! `audit/driftlock.toml` and `audit/acknowledged.toml`.

use super::assert_printable;
use driftlock::acknowledge::{self, Acknowledgement, Rules};
use driftlock::config::{self, Config, ConfigError, is_target_name};
use driftlock::model::Moment;

/// The time of the run.
const NOW: i64 = 150;

/// A text is a configuration in which everything has sense, or an error with its place; the same of what somebody
/// answers for.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text) {
        Ok(config) => makes_sense(&config),
        Err(error) => told(&error, config::PATH, text),
    }
    let moment = |text: &str| Some(Moment { text: text.to_owned(), unix: text.parse().ok()? });
    let rules = Rules { checks: &["compose_hashes", "addon_hashes"], moment: &moment, now: NOW };
    match acknowledge::parse(text, &rules) {
        Ok(all) => all.iter().for_each(is_bounded),
        Err(error) => told(&error, acknowledge::PATH, text),
    }
}

fn makes_sense(config: &Config) {
    let relative = [&config.compose_files, &config.addon_roots].into_iter().flatten().flatten();
    for glob in relative.chain(&config.compose_exclude).chain(&config.addon_exclude) {
        assert!(!glob.text().starts_with('/'), "{} leads out of the tree", glob.text());
    }
    for glob in relative_and_absolute(config) {
        assert!(!glob.split('/').any(|part| part == ".."), "{glob} climbs out of the tree");
    }
    for (name, target) in &config.targets {
        assert!(is_target_name(name) && !name.contains(['/', '\0']), "{name:?} would be part of file names");
        let mut places = target.root.iter().chain(target.paths.iter().map(|(_, place)| place));
        assert!(
            target.host.as_deref() == Some("local") || places.all(|place| place.is_absolute()),
            "{name}: a place nowhere"
        );
        let odd = |prefix: &[u8]| prefix.split(|&b| b == b'/').any(|part| matches!(part, b"" | b"." | b".."));
        assert!(!target.paths.iter().any(|(prefix, _)| odd(prefix)), "{name}: a prefix that is no path");
    }
    assert!(config.notify.keys().all(|name| !name.is_empty()), "a notification without a name");
}

fn relative_and_absolute(config: &Config) -> Vec<&str> {
    let lists = [&config.compose_files, &config.addon_roots, &config.files_include];
    let globs =
        lists.into_iter().flatten().flatten().chain(&config.compose_exclude).chain(&config.addon_exclude);
    globs.map(driftlock::model::Glob::text).collect()
}

/// Nobody answers for something without saying so, by name and not for ever.
fn is_bounded(entry: &Acknowledgement) {
    assert!(!entry.reason.trim().is_empty() && !entry.by.trim().is_empty(), "without a reason or a name");
    assert!(entry.since.unix <= entry.until.unix, "it ends before it begins");
}

fn told(error: &ConfigError, path: &str, text: &str) {
    let said = error.to_string();
    assert_printable(&said, false);
    assert!(said.starts_with(&format!("{path}:")), "no file: {said}");
    match error {
        ConfigError::Invalid { line, reason, .. } => {
            let lines = text.bytes().filter(|&b| b == b'\n').count() + 1;
            assert!((1..=lines).contains(line), "{said}, of {lines} lines");
            assert!(!reason.is_empty(), "no reason: {said}");
        }
        ConfigError::Senseless { key, reason, .. } => {
            assert!(!key.is_empty() && !reason.is_empty(), "no key or reason: {said}");
        }
        ConfigError::Unreadable { .. } | ConfigError::Refused { .. } => panic!("a text was read: {said}"),
    }
}
