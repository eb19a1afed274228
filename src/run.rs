//! Run directories under `audit/runtime/`: their names, and that they appear whole or not at all.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::{DraftDir, replace_file, sweep};

/// Where runs lie, relative to the root.
pub const PATH: &str = "audit/runtime";

/// The file beside the runs that remembers the SHA-256 of blobs.
pub const CACHE: &str = "blob_digests.txt";

/// The hidden file beside the runs that remembers what a check has read.
pub const REMEMBERED: &str = ".remembered";

/// Files of a run: name and bytes.
pub type Files = Vec<(String, Vec<u8>)>;

/// The name of the `n`-th run (from 1) with one stamp: `<stamp>`, `<stamp>_2`, `<stamp>_2_<target>`.
#[must_use]
pub fn name(stamp: &str, target: Option<&str>, n: usize) -> String {
    let number = if n > 1 { format!("_{n}") } else { String::new() };
    let target = target.map(|target| format!("_{target}")).unwrap_or_default();
    format!("{stamp}{number}{target}")
}

/// Writes a new run below `root`; `files` is asked for the content under the name it will have. What
/// killed runs have left in `audit/` is cleared away.
///
/// # Errors
/// When the directory cannot be written; nothing of the run is then left.
pub fn create(
    root: &Path,
    stamp: &str,
    target: Option<&str>,
    files: &mut dyn FnMut(&str) -> Files,
) -> io::Result<PathBuf> {
    let runtime = root.join(PATH);
    std::fs::create_dir_all(&runtime)?;
    runtime.parent().into_iter().for_each(sweep);
    for n in 1.. {
        let name = name(stamp, target, n);
        let place = runtime.join(&name);
        if place.symlink_metadata().is_ok() {
            continue;
        }
        let mut draft = DraftDir::new_in(&runtime)?;
        for (file, bytes) in files(&name) {
            draft.write(&file, &bytes)?;
        }
        if draft.put(&place)? {
            return Ok(place);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Writes the files of a run into `dir`, which may exist; files of the same names are replaced.
///
/// # Errors
/// When one of them cannot be written.
pub fn write_into(dir: &Path, files: &Files) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (file, bytes) in files {
        replace_file(&dir.join(file), bytes)?;
    }
    Ok(())
}

/// Makes `report` the newest whole one: `latest.json`, or `latest.<target>.json`.
///
/// # Errors
/// When it cannot be written.
pub fn set_latest(root: &Path, target: Option<&str>, report: &[u8]) -> io::Result<()> {
    replace_file(&latest(root, target), report)
}

/// Where the newest whole report of a place is copied to.
#[must_use]
pub fn latest(root: &Path, target: Option<&str>) -> PathBuf {
    let name = target.map_or_else(|| "latest.json".to_owned(), |target| format!("latest.{target}.json"));
    root.join(PATH).join(name)
}

/// The targets that have a newest whole report, sorted by name.
#[must_use]
pub fn targets(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(PATH)) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let target = |name: String| Some(name.strip_prefix("latest.")?.strip_suffix(".json")?.to_owned());
    let mut targets: Vec<String> = names.filter_map(target).collect();
    targets.sort_unstable();
    targets
}

/// Splits a run's name into its stamp, its number and its target; `None` for a name that is none.
#[must_use]
pub fn parse_name(name: &str) -> Option<(&str, usize, Option<&str>)> {
    let (stamp, rest) = name.split_at_checked(15)?;
    let is_stamp = |(at, b): (usize, u8)| if at == 8 { b == b'_' } else { b.is_ascii_digit() };
    if !stamp.bytes().enumerate().all(is_stamp) {
        return None;
    }
    let Some(rest) = rest.strip_prefix('_') else { return rest.is_empty().then_some((stamp, 1, None)) };
    let (number, target) = rest.split_once('_').map_or((rest, None), |(n, target)| (n, Some(target)));
    match number.parse() {
        Ok(n) if n > 1 => Some((stamp, n, target)),
        _ => Some((stamp, 1, Some(rest))),
    }
}

/// The newest run of `target` that holds one of `files`, by name; one that is dated after the stamp `now` only where there
/// is no other.
///
/// # Errors
/// When the runs cannot be listed.
pub fn newest(root: &Path, target: Option<&str>, files: &[&str], now: &str) -> io::Result<Option<PathBuf>> {
    let is_it = |run: &&Run| {
        run.target.as_deref() == target && files.iter().any(|file| run.path.join(file).is_file())
    };
    let runs = all(root)?;
    let past = runs.iter().filter(|run| run.stamp.as_str() <= now).find(is_it);
    Ok(past.or_else(|| runs.iter().find(is_it)).map(|run| run.path.clone()))
}

/// One run's directory.
#[derive(Debug, Clone)]
pub struct Run {
    /// The directory.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// When it began: `YYYYMMDD_HHMMSS`, local time.
    pub stamp: String,
    /// Which one of its second it is, from 1.
    pub number: usize,
    /// The target that its name gives.
    pub target: Option<String>,
}

/// All runs, newest first by name.
///
/// # Errors
/// When they cannot be listed.
pub fn all(root: &Path) -> io::Result<Vec<Run>> {
    Ok(listed(root)?.runs)
}

/// What lies where the runs lie.
#[derive(Debug, Default)]
pub struct Listed {
    /// The runs, newest first by name.
    pub runs: Vec<Run>,
    /// What driftlock has not put there, by name, and why it is no run.
    pub foreign: Vec<(OsString, &'static str)>,
}

/// Lists what lies where the runs lie.
///
/// # Errors
/// When it cannot be listed.
pub fn listed(root: &Path) -> io::Result<Listed> {
    let mut listed = Listed::default();
    let entries = match std::fs::read_dir(root.join(PATH)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listed),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (os_name, kind) = (entry.file_name(), entry.file_type()?);
        let name = os_name.to_string_lossy().into_owned();
        match parse_name(&name) {
            Some((stamp, number, target)) if kind.is_dir() => {
                let (stamp, target) = (stamp.to_owned(), target.map(str::to_owned));
                listed.runs.push(Run { path: entry.path(), stamp, number, target, name });
            }
            Some(_) if kind.is_symlink() => listed.foreign.push((os_name, "it is a link")),
            Some(_) => listed.foreign.push((os_name, "it is no directory")),
            None if is_kept_beside(&name) => {}
            None => listed.foreign.push((os_name, "its name is not that of a run")),
        }
    }
    listed.runs.sort_by(|a, b| (&b.stamp, b.number, &b.name).cmp(&(&a.stamp, a.number, &a.name)));
    listed.foreign.sort();
    Ok(listed)
}

/// Whether something of this name in `audit/runtime` is a run, or what driftlock itself keeps beside the runs.
#[must_use]
pub fn is_own(name: &str) -> bool {
    parse_name(name).is_some() || is_kept_beside(name)
}

/// Whether driftlock itself keeps a file of this name beside the runs; whatever begins with a dot is hidden.
fn is_kept_beside(name: &str) -> bool {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".lock"));
    let kinds = ["latest", "pause", "notified"];
    let is_of = |stem: &str| {
        kinds
            .iter()
            .any(|kind| stem.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    name.starts_with('.') || name == CACHE || stem.is_some_and(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_made() {
        for (target, n) in [(None, 1), (None, 12), (Some("production"), 1), (Some("a_b.c"), 2)] {
            let made = name("20260129_154215", target, n);
            assert_eq!(parse_name(&made), Some(("20260129_154215", n, target)), "{made}");
        }
        for no in [
            "latest.json",
            "20260129",
            "20260129-154215",
            "20260129_15421x",
            "20260129_154215x",
            "1234567é123456",
            "1234567é1234567",
        ] {
            assert_eq!(parse_name(no), None, "{no}");
        }
    }

    #[test]
    fn what_is_no_run_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let runtime = root.path().join(PATH);
        std::fs::create_dir_all(runtime.join("20260129_154215_p")).unwrap();
        std::fs::create_dir_all(runtime.join("notes")).unwrap();
        let own = [
            "latest.json",
            "latest.p.json",
            "pause.p.json",
            "notified.a.json",
            "notified.a.lock",
            CACHE,
            ".lock",
        ];
        for file in own.into_iter().chain(["20260129_154216", "latest", "latestx.json"]) {
            std::fs::write(runtime.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("20260129_154215_p", runtime.join("20260129_154217")).unwrap();
        let listed = listed(root.path()).unwrap();
        assert_eq!(
            listed.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(),
            ["20260129_154215_p"]
        );
        let names: Vec<_> = listed.foreign.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["20260129_154216", "20260129_154217", "latest", "latestx.json", "notes"]);
    }

    #[test]
    fn a_second_run_in_one_second_gets_a_number() {
        let root = tempfile::tempdir().unwrap();
        let make = || create(root.path(), "20260129_154215", None, &mut |n| vec![("f".into(), n.into())]);
        assert!(make().unwrap().ends_with("20260129_154215"));
        let second = make().unwrap();
        assert!(second.ends_with("20260129_154215_2"));
        assert_eq!(std::fs::read_to_string(second.join("f")).unwrap(), "20260129_154215_2");
        assert_eq!(newest(root.path(), None, &["f"], "20260129_154215").unwrap(), Some(second));
    }
}
