//! Which runs are old enough to go: never the newest of a place, and never what driftlock did not make.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use serde::Deserialize;

use crate::atomic::{Unfit, read_file, remove_dir};
use crate::baseline::{Locks, Source};
use crate::check::NoBaseline;
use crate::check::read_section;
use crate::model::escaped;
use crate::report::{REPORTERS, json};
use crate::section::SECTIONS;
use crate::section::lock_file_names;
use crate::store::runs;
use crate::store::runs::{Listed, Moment, Run};

/// What is known when it is asked which runs may go.
pub struct Ask<'a> {
    /// The project.
    pub root: &'a Path,
    /// Runs before this stamp are old.
    pub first: &'a str,
    /// The moment in seconds since 1970: a run after it comes from a clock that was wrong.
    pub now: i64,
    /// Into how many runs of a place that are not old is looked at most for a newer report and a newer export than the
    /// old ones. Where none is among them, the newest old one stays.
    pub patience: usize,
    /// Whether a target of this name is configured.
    pub is_target: &'a dyn Fn(&str) -> bool,
}

/// Tells whether a run holds something.
type Holds<'a> = dyn Fn(&Run) -> bool + 'a;

/// The old runs, and what becomes of each.
#[derive(Debug, Default)]
pub struct Sorted {
    /// They may go.
    pub removable: Vec<Run>,
    /// They stay, and why.
    pub kept: Vec<(Run, String)>,
    /// How many are not old.
    pub young: usize,
    /// What is no run, by name, and why.
    pub foreign: Vec<(OsString, &'static str)>,
}

impl Ask<'_> {
    /// Sorts the runs. Only where some are old more is read than their names.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn sort(&self) -> std::io::Result<Sorted> {
        let Listed { runs, foreign } = runs::listed(self.root)?;
        let old = runs.partition_point(|run| run.stamp.as_str() >= self.first);
        let mut sorted = Sorted { young: old, foreign, ..Sorted::default() };
        if old == runs.len() {
            return Ok(sorted);
        }
        let runtime = self.root.join(runs::PATH);
        let newest = self.newest(&runs, old, &File::open(&runtime)?.into());
        for (at, run) in runs.into_iter().enumerate().skip(old) {
            match newest.get(&at) {
                Some(why) => sorted.kept.push((run, why.clone())),
                None => match judge(&run.path, &runtime) {
                    Ok(_) => sorted.removable.push(run),
                    // Somebody else has removed it meanwhile.
                    Err(Unfit::Refused(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(why) => sorted.kept.push((run, why.to_string())),
                },
            }
        }
        Ok(sorted)
    }

    /// The newest report and the newest export of each place that has old runs, by their index, and what they are.
    /// What a clock that was wrong has dated into the future is not the newest alone, nor is what may be another's.
    fn newest(&self, runs: &[Run], old: usize, runtime: &OwnedFd) -> BTreeMap<usize, String> {
        let whole = |run: &Run| schema_of(&run.path).is_some_and(|it| !it.partial);
        let report = |run: &Run| is_report(&run.path);
        let export = |run: &Run| is_export(runtime, run);
        let kinds: [(&str, &Holds<'_>); 3] =
            [("report", &whole), ("report of some checks", &report), ("export", &export)];
        let wanted: BTreeSet<Option<&str>> = runs[old..].iter().flat_map(|run| self.places(run)).collect();
        let mut places: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            for place in self.places(run).filter(|place| wanted.contains(place)) {
                places.entry(place).or_default().push(at);
            }
        }
        let mut all = BTreeMap::new();
        for (place, its) in places {
            let name = place.map_or_else(|| "this machine".to_owned(), |name| escaped(name.as_bytes()));
            let (young, old): (Vec<usize>, Vec<usize>) = its.iter().partition(|at| **at < old);
            let some: Vec<usize> = young.into_iter().take(self.patience).chain(old).collect();
            let mut some: Vec<(Moment, usize)> =
                some.into_par_iter().map(|at| (runs[at].moment(), at)).collect();
            some.sort_by_key(|(moment, at)| (Reverse(*moment), *at));
            for (what, holds) in kinds {
                let mut found = [false; 3];
                for (moment, at) in some.iter().filter(|(_, at)| holds(&runs[*at])) {
                    let now = self.also(found, *moment, &runs[*at]);
                    if std::mem::replace(&mut found, now) != now {
                        all.entry(*at).or_insert_with(|| format!("it is the newest {what} of {name}"));
                    }
                    if found == [true; 3] {
                        break;
                    }
                }
            }
        }
        all
    }

    /// What has been found when `run` is found, too: any run, one that is not dated into the future, one that of those
    /// is no other place's.
    fn also(&self, found: [bool; 3], moment: Moment, run: &Run) -> [bool; 3] {
        let is_past = moment.began <= self.now;
        let is_certain = is_past && self.places(run).count() == 1;
        [true, found[1] || is_past, found[2] || is_certain]
    }

    /// The places that a run may be of: a number behind the stamp may be the name of a target, too.
    fn places<'r>(&self, run: &'r Run) -> impl Iterator<Item = Option<&'r str>> + use<'r> {
        let literal =
            run.name.get(run.stamp.len() + 1..).filter(|name| run.number > 1 && (self.is_target)(name));
        std::iter::once(run.target.as_deref()).chain(literal.map(Some))
    }
}

/// Removes an old run; `false`: it is gone already.
///
/// # Errors
/// Why it stays.
pub fn remove(root: &Path, run: &Run) -> Result<bool, Unfit> {
    let runtime = root.join(runs::PATH);
    match remove_dir(&run.path, &|place| judge(place, &runtime)) {
        Ok(()) => Ok(true),
        Err(Unfit::Refused(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// The files of a run that driftlock made, and nobody has put anything into.
fn judge(place: &Path, runtime: &Path) -> Result<Vec<OsString>, Unfit> {
    let around = std::fs::metadata(runtime)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, place, flags, Mode::empty()).map_err(std::io::Error::from)?;
    let owners = [rustix::process::geteuid().as_raw(), around.uid()];
    let is_own = |stat: &Stat| owners.contains(&stat.st_uid);
    let stat = rustix::fs::fstat(&dir).map_err(std::io::Error::from)?;
    if stat.st_dev != around.dev() {
        return Err(Unfit::Foreign("another file system is mounted there".to_owned()));
    }
    if !is_own(&stat) {
        return Err(Unfit::Foreign("it belongs to another user".to_owned()));
    }
    let files = files_in(&dir, &|stat| is_own(stat) && stat.st_dev == around.dev())?;
    is_of_driftlock(place, &files)?;
    Ok(files)
}

/// The names of the files in a directory; anything that driftlock writes into no run is refused.
fn files_in(dir: &OwnedFd, is_own: &dyn Fn(&Stat) -> bool) -> Result<Vec<OsString>, Unfit> {
    let known = written();
    let mut files = Vec::new();
    for entry in Dir::read_from(dir).map_err(std::io::Error::from)? {
        let entry = entry.map_err(std::io::Error::from)?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let foreign = |why: &str| Err(Unfit::Foreign(format!("it holds \"{}\", {why}", escaped(name))));
        if !known.iter().any(|known| known.as_bytes() == name) {
            return foreign("which driftlock has not written");
        }
        let stat = rustix::fs::statat(dir.as_fd(), entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        match stat.map_err(std::io::Error::from)? {
            stat if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return foreign("which is no file");
            }
            stat if !is_own(&stat) => return foreign("which belongs to another user"),
            _ => files.push(OsString::from_vec(name.to_vec())),
        }
    }
    files.sort();
    Ok(files)
}

/// Every file that driftlock writes into a run.
fn written() -> Vec<&'static str> {
    let reports = REPORTERS.iter().filter_map(|reporter| reporter.kept_as()).chain([json::SIGNATURE]);
    reports.chain(lock_file_names()).collect()
}

/// Whether the files say what driftlock writes: the scripts before it wrote some of the same names.
fn is_of_driftlock(place: &Path, files: &[OsString]) -> Result<(), Unfit> {
    let foreign = |why: String| Err(Unfit::Foreign(why));
    if files.is_empty() {
        return foreign("it is empty".to_owned());
    }
    let has = |name: &str| files.iter().any(|file| file == name);
    if has(json::FILE) && !is_report(place) {
        return foreign(format!("its {} is not one of driftlock", json::FILE));
    }
    let locks = lock_file_names();
    if !has(json::FILE) && !locks.iter().any(|name| has(name)) {
        return foreign("it holds neither a report nor a lock file".to_owned());
    }
    let source = Source::Directory { path: place.to_owned(), name: "it".to_owned() };
    let locks = Locks::read(&source, None, &locks).map_err(|error| Unfit::Foreign(error.to_string()))?;
    for section in SECTIONS {
        if let Err(NoBaseline::Malformed(why)) = read_section(*section, &locks.group(section.lock_files())) {
            return foreign(format!(
                "a lock file in it is not one of driftlock: {}",
                escaped(why.as_bytes())
            ));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
    #[serde(default)]
    partial: bool,
}

/// Whether a run holds a whole report.
fn is_report(place: &Path) -> bool {
    schema_of(place).is_some()
}

/// What kind of report a run holds.
fn schema_of(place: &Path) -> Option<Schema> {
    let bytes = read_file(&place.join(json::FILE)).ok()?;
    serde_json::from_slice::<Schema>(&bytes).ok().filter(|it| it.schema == json::SCHEMA)
}

/// Whether a run in `runtime` holds what an export has seen. Many may be asked: the way to `runtime` is gone once.
fn is_export(runtime: &OwnedFd, run: &Run) -> bool {
    let is_there = |name: &str| {
        let path = format!("{}/{name}", run.name);
        rustix::fs::statat(runtime, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    };
    !is_there(json::FILE) && lock_file_names().iter().any(|name| is_there(name))
}
