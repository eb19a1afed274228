//! Run directories under `audit/runtime/`: their names, their order, and that they appear whole or not at all.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{CWD, Mode, OFlags};
use serde::Deserialize;

use crate::atomic::{DraftDir, read_file, replace_file, sweep};

/// Where runs lie, relative to the root.
pub const PATH: &str = "audit/runtime";

/// The file beside the runs that remembers the SHA-256 of blobs.
pub const CACHE: &str = "blob_digests.txt";

/// The hidden file beside the runs that remembers what a check has read.
pub const REMEMBERED: &str = ".remembered";

/// The report of a check's run.
const REPORT: &str = "drift_report.json";

/// How much of a report is read at first to learn when its run began: the end of it, behind all findings.
const TAIL: u64 = 2048;

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
        draft.write_all(&files(&name))?;
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

/// The newest run of `target` that holds one of `files`, as [`newest_first`] has it.
///
/// # Errors
/// When the runs cannot be listed.
pub fn newest(root: &Path, target: Option<&str>, files: &[&str], now: i64) -> io::Result<Option<PathBuf>> {
    let mut runs = listed(root)?.runs;
    runs.retain(|run| run.target.as_deref() == target);
    let holds = |run: &&Run| files.iter().any(|file| run.path.join(file).is_file());
    Ok(newest_first(runs, now).iter().find(holds).map(|run| run.path.clone()))
}

/// Puts runs in their order, the newest first: the one order for whoever asks which run is newer. Names are local time,
/// which is another one in another zone and comes twice in autumn, so they count for nothing. What began after `now`
/// (seconds since 1970) was dated by a clock that was wrong, and comes last.
#[must_use]
pub fn newest_first(runs: Vec<Run>, now: i64) -> Vec<Run> {
    let mut runs: Vec<(Moment, Run)> = runs.into_par_iter().map(|run| (run.moment(), run)).collect();
    runs.sort_by_cached_key(|(moment, run)| {
        (moment.began > now, Reverse((*moment, run.number)), run.name.clone())
    });
    runs.into_iter().map(|(_, run)| run).collect()
}

/// When a run began, and for runs of one second when what it left was written: what orders runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970.
    pub began: i64,
    /// Seconds since 1970, and nanoseconds.
    pub written: (i64, i64),
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

impl Run {
    /// When it was, by its report: or where it has none that tells, as an export, by when its files were written.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match opened(&self.path.join(REPORT)) {
            Ok((file, meta)) => {
                let written = written(&meta);
                let began = began(&file, meta.len()).or_else(|| self.began_otherwise());
                Moment { began: began.unwrap_or(written.0), written }
            }
            Err(_) => self.moment_of_files(),
        }
    }

    /// The same where its report was read already and says when the run `began`.
    #[must_use]
    pub fn moment_of(&self, began: i64) -> Moment {
        let meta = self.path.join(REPORT).metadata();
        Moment { began, written: meta.map_or((began, 0), |meta| written(&meta)) }
    }

    fn moment_of_files(&self) -> Moment {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(Metadata::is_file);
        let written = files.map(|meta| written(&meta)).max().unwrap_or_default();
        Moment { began: written.0, written }
    }

    /// When it began by a report that is laid out in another way than driftlock does.
    fn began_otherwise(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Began {
            started_at_unix: i64,
        }
        let bytes = read_file(&self.path.join(REPORT)).ok()?;
        serde_json::from_slice::<Began>(&bytes).ok().map(|it| it.started_at_unix)
    }
}

/// Opens a regular file without waiting for anybody.
fn opened(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn written(meta: &Metadata) -> (i64, i64) {
    (meta.mtime(), meta.mtime_nsec())
}

/// When the run of a report began, by the line that says it: it stands behind the findings, so the end of the file is enough.
/// `None` where there is no such line.
fn began(report: &File, length: u64) -> Option<i64> {
    // Nothing within a text begins a line.
    const LINE: &str = "\n  \"started_at_unix\": ";
    let mut size = TAIL.min(length);
    loop {
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        report.read_exact_at(&mut bytes, length - size).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        if let Some((_, rest)) = text.rsplit_once(LINE) {
            return rest.split([',', '\n']).next()?.parse().ok();
        }
        if size == length {
            return None;
        }
        size = size.saturating_mul(16).min(length);
    }
}

/// What lies where the runs lie.
#[derive(Debug, Default)]
pub struct Listed {
    /// The runs, sorted by name, the last one first; which is newer, [`newest_first`] tells.
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
    // What an undo has put aside.
    let is_aside = name.starts_with("aside.");
    name.starts_with('.') || is_aside || name == CACHE || stem.is_some_and(is_of)
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
        assert_eq!(newest(root.path(), None, &["f"], i64::MAX).unwrap(), Some(second));
    }

    /// The runs of a root, the newest first, as seen at the moment 1,000.
    fn order(root: &Path) -> Vec<String> {
        let runs = newest_first(listed(root).unwrap().runs, 1_000);
        runs.into_iter().map(|run| run.name).collect()
    }

    fn report(root: &Path, name: &str, text: &str) {
        let dir = root.join(PATH).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(REPORT), text).unwrap();
    }

    #[test]
    fn runs_are_ordered_by_when_they_began_and_not_by_name() {
        let root = tempfile::tempdir().unwrap();
        let laid_out = |unix: i64| {
            let text = format!("\\n  \\\"started_at_unix\\\": 9,{}", "x".repeat(10_000));
            format!("{{\n  \"a\": \"{text}\",\n  \"started_at_unix\": {unix},\n  \"b\": \"{text}\"\n}}\n")
        };
        report(root.path(), "20261025_025900", &laid_out(100));
        report(root.path(), "20261025_020100", &laid_out(200));
        report(root.path(), "20200101_000000", "{\"started_at_unix\":300}");
        report(root.path(), "20991231_235959", &laid_out(4_070_908_800));
        report(root.path(), "20100101_000000", &laid_out(1_001));
        let future = ["20991231_235959", "20100101_000000"];
        let past = ["20200101_000000", "20261025_020100", "20261025_025900"];
        assert_eq!(order(root.path()), [&past[..], &future].concat());
    }

    #[test]
    fn of_one_second_what_was_written_last_is_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let names = ["20260129_154215_3", "20260129_154215", "20260129_154215_2"];
        for (n, name) in names.iter().enumerate() {
            report(root.path(), name, "{\n  \"started_at_unix\": 7,\n}");
            let file = File::open(root.path().join(PATH).join(name).join(REPORT)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(9_000_000_000 + n as u64);
            file.set_modified(time).unwrap();
        }
        assert_eq!(order(root.path()), [names[2], names[1], names[0]]);
    }

    #[test]
    fn what_tells_no_moment_is_ordered_by_when_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        for (name, at) in [("20260101_000000", 10), ("20260101_000001", 30), ("20260101_000002", 20)] {
            let text = if at == 30 { "{\"cut\": " } else { "{\n  \"started_at_unix\": 15,\n" };
            report(root.path(), name, text);
            let dir = root.path().join(PATH).join(name);
            if at != 30 {
                std::fs::rename(dir.join(REPORT), dir.join("lock.txt")).unwrap();
            }
            let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            File::open(file).unwrap().set_modified(time).unwrap();
        }
        assert_eq!(order(root.path()), ["20260101_000001", "20260101_000002", "20260101_000000"]);
    }
}
