//! The check `odoo_modules`: the modules that Odoo has installed in its databases are those on disk.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Check, Evidence, NoBaseline, begun, differences};
use crate::host::{DatabaseAnswer, InstalledModule, MANIFESTS};
use crate::model::{
    Category, Change, CheckLabels, CheckMeta, CheckResult, Finding, Kind, LeftOut, Observation, Observed,
    Reason, Role, Subject, SubjectSource, Unit, Value, escaped,
};
use crate::section;

/// Compares installed modules with those on disk.
pub const ODOO_MODULES: &dyn Check = &OdooModules;

struct OdooModules;

const META: CheckMeta = CheckMeta {
    id: "odoo_modules",
    about: "the databases of Odoo have the modules installed that are on disk, in the same version",
    role: Role::Comparison,
    source: Some(SubjectSource::Database),
    also_reads: &[section::ADDONS],
    also_names: None,
    category: Category::State,
    labels: CheckLabels {
        topic: "Odoo database",
        info: "Checking installed Odoo modules...",
        pass: "All databases run the modules on disk",
        drift: "Odoo module drift",
        unreadable: "Odoo module unreadable",
        noun: "modules",
        verb: "drifted",
        singular: "installed module",
    },
    absence: "no [[odoo]] of audit/driftlock.toml names a database of this place",
    config_cause: None,
    may_be_accepted: false,
};

/// The databases of a place, and what the manifests on its disk say.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    /// Each server's databases.
    pub servers: Vec<DatabaseAnswer>,
    /// The version in the manifest of each module that some database has installed, by the module's place, as it is written;
    /// or why it is not known.
    pub manifests: BTreeMap<Vec<u8>, Result<String, Reason>>,
}

impl Databases {
    /// The names of the modules that some database has.
    #[must_use]
    pub fn modules(&self) -> BTreeSet<&[u8]> {
        let seen = self.servers.iter().flatten().flat_map(|seen| seen.databases.values().flatten());
        seen.flatten().map(|module| module.name.as_bytes()).collect()
    }
}

impl Check for OdooModules {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn compare(&self, case: &Case<'_>) -> Option<CheckResult> {
        let databases = case.databases?;
        let mut result = begun(self, case);
        match Disk::of(databases, case.sections) {
            Ok(disk) => {
                let judged = judge(databases, &disk);
                (result.findings, result.subjects) = (judged.findings, judged.subjects);
                result.errors.extend(judged.errors);
                result.errors.extend(disk.problem);
            }
            Err(why) => {
                result
                    .errors
                    .extend(databases.servers.iter().filter_map(|it| Some(it.as_ref().err()?.to_string())));
                result.errors.push(why);
            }
        }
        Some(result)
    }
}

/// What of databases is not compared.
#[must_use]
pub fn uncompared_modules(databases: &Databases, evidence: &[Evidence]) -> Vec<LeftOut> {
    let without: u64 = databases.servers.iter().flatten().map(|seen| seen.without_table).sum();
    let foreign = Disk::of(databases, evidence).map_or(0, |disk| judge(databases, &disk).foreign);
    let left = |count: u64, reason: &str| {
        (count > 0).then(|| LeftOut { unit: Unit::Subjects, count, reason: reason.to_owned(), remedy: None })
    };
    let without = left(without, "databases without the table ir_module_module");
    let foreign =
        left(foreign, "installed modules of Odoo itself, or of other addon directories than the project's");
    without.into_iter().chain(foreign).collect()
}

/// The project's modules as the disk has them.
struct Disk<'a> {
    /// The places of each name.
    places: BTreeMap<&'a [u8], Vec<&'a [u8]>>,
    seen: &'a Observation,
    /// The names that the baseline has.
    locked: BTreeSet<&'a [u8]>,
    /// The digests of those that differ from the baseline in other files than their manifest, by place.
    moved: BTreeMap<Vec<u8>, Value>,
    manifests: &'a BTreeMap<Vec<u8>, Result<String, Reason>>,
    /// Why it is not known which moved.
    problem: Option<String>,
}

/// What the disk has of an installed module.
enum OnDisk<'a> {
    /// Its version as Odoo takes it, and its digest where it differs from the baseline.
    Version(String, Option<&'a Value>),
    /// Nothing, though the baseline names it.
    Gone,
    /// It cannot be told.
    Unknown(String),
    /// It is none of the project's.
    Foreign,
}

fn is_manifest(path: &[u8]) -> bool {
    MANIFESTS.iter().any(|name| path == &**name)
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

impl<'a> Disk<'a> {
    fn of(databases: &'a Databases, sections: &'a [Evidence]) -> Result<Self, String> {
        let unknown = |why: &str| format!("the modules on disk are not known: {why}");
        let addons = sections.iter().find(|e| e.section.id() == section::ADDONS);
        let addons = addons.ok_or_else(|| unknown("no addon modules are looked at here"))?;
        let seen = match &addons.observed {
            Observed::Seen(seen) => seen,
            Observed::Off(why) | Observed::Skipped(why) | Observed::Failed(why) => return Err(unknown(why)),
        };
        let mut places: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
        for place in seen.state.entries.keys().chain(seen.unreadable.keys()) {
            places.entry(last(place)).or_default().push(place);
        }
        let baseline = addons.baseline.as_ref();
        let moved = baseline.map(|baseline| {
            let (findings, _) = differences(addons.section, baseline, seen);
            // Where the manifest moved, too, the version may be another one than the baseline's.
            let has_manifest = |finding: &Finding| finding.parts.iter().any(|part| is_manifest(&part.path));
            let modified = findings.into_iter().filter(|it| it.kind == Kind::Modified && !has_manifest(it));
            modified.map(|finding| (finding.place, finding.actual)).collect()
        });
        let locked = baseline.map(|baseline| baseline.entries.keys().map(|place| last(place)).collect());
        let no_baseline = baseline.err().map(NoBaseline::in_words);
        Ok(Self {
            places,
            seen,
            locked: locked.unwrap_or_default(),
            moved: moved.unwrap_or_default(),
            manifests: &databases.manifests,
            problem: no_baseline.map(|why| format!("whether modules moved without a new version: {why}")),
        })
    }

    /// What the disk has of a module that a database of `series` has installed.
    fn module(&self, name: &str, series: &str) -> OnDisk<'_> {
        let Some(places) = self.places.get(name.as_bytes()) else {
            return if self.locked.contains(name.as_bytes()) { OnDisk::Gone } else { OnDisk::Foreign };
        };
        let mut versions = BTreeSet::new();
        for place in places {
            if let Some(why) = self.seen.unreadable.get(*place) {
                return OnDisk::Unknown(why.reason.to_string());
            }
            match self.manifests.get(*place) {
                Some(Ok(version)) => drop(versions.insert(adapted(version, series))),
                Some(Err(why)) => return OnDisk::Unknown(why.to_string()),
                None => return OnDisk::Unknown("its manifest was not read".to_owned()),
            }
        }
        let moved = places.iter().find_map(|place| self.moved.get(*place));
        match (versions.pop_first(), versions.is_empty()) {
            (Some(version), true) => OnDisk::Version(version, moved),
            _ => OnDisk::Unknown(
                "two addon roots hold a module of this name, in other versions: which one Odoo loads is not known"
                    .to_owned(),
            ),
        }
    }
}

/// The version of a manifest as Odoo takes it: that of the series is put before one that does not begin with it
/// (`adapt_version` in `odoo/modules/module.py`, equal in series 16 to 18).
fn adapted(version: &str, series: &str) -> String {
    let is_of_series = version.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'));
    if is_of_series { version.to_owned() } else { format!("{series}.{version}") }
}

/// The series of a database: the first two numbers of the installed version of `base`.
fn series_of(modules: &[InstalledModule]) -> Option<String> {
    let base = modules.iter().find(|module| module.name == "base")?.version.as_deref()?;
    let (major, rest) = base.split_once('.')?;
    let (minor, _) = rest.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_series = is_number(minor) && is_number(major.rsplit(['~', '-']).next().unwrap_or_default());
    is_series.then(|| format!("{major}.{minor}"))
}

#[derive(Default)]
struct Judged {
    findings: Vec<Finding>,
    subjects: usize,
    errors: Vec<String>,
    foreign: u64,
}

fn judge(databases: &Databases, disk: &Disk<'_>) -> Judged {
    let mut judged = Judged::default();
    for server in &databases.servers {
        let seen = match server {
            Ok(seen) => seen,
            Err(error) => {
                judged.errors.push(error.to_string());
                continue;
            }
        };
        for (name, modules) in &seen.databases {
            let modules = match modules {
                Ok(modules) => modules,
                Err(error) => {
                    judged.errors.push(error.to_string());
                    continue;
                }
            };
            let Some(series) = series_of(modules) else {
                let why = "no version of the module base says which series of Odoo it is of";
                judged.errors.push(format!("{}: {why}", escaped(name.as_bytes())));
                continue;
            };
            for module in modules {
                let on_disk = disk.module(&module.name, &series);
                let is_left = is_left_over(&module.state);
                if matches!(on_disk, OnDisk::Foreign) && !is_left {
                    judged.foreign += 1;
                    continue;
                }
                judged.subjects += 1;
                judged.findings.extend(found(name, module, &on_disk));
            }
        }
    }
    judged.findings.sort_by(|a, b| a.subject.key.cmp(&b.subject.key));
    judged
}

/// Whether a state is not where Odoo leaves a module when it is done.
fn is_left_over(state: &str) -> bool {
    state != "installed"
}

/// The difference between an installed module and the disk.
fn found(database: &str, module: &InstalledModule, on_disk: &OnDisk<'_>) -> Option<Finding> {
    let key = format!("{database}:{}", module.name);
    let subject = Subject { source: SubjectSource::Database, key: key.into_bytes() };
    let text = |text: String| Value::Text(text);
    let version = module.version.as_deref().unwrap_or("no version");
    let state = if module.state.is_empty() { "no state" } else { &module.state };
    let actual = format!("{version} {state}");
    let shown = |text: &str| escaped(text.as_bytes());
    let modified = |expected: String, actual: String, change: Change, diff: String| {
        let finding = Finding::new(subject.clone(), Kind::Modified, text(expected), text(actual));
        Some(Finding { change: Some(change), diff: Some(diff), ..finding })
    };
    let disk_version = match on_disk {
        OnDisk::Unknown(why) => {
            let finding = Finding::new(subject, Kind::Unreadable, Value::Absent, text(actual));
            return Some(Finding { reason: Some(why.clone()), ..finding });
        }
        OnDisk::Gone => {
            let finding = Finding::new(subject, Kind::Missing, text(actual.clone()), Value::Absent);
            let reason = format!("missing: {actual} in the database, not on disk");
            return Some(Finding { reason: Some(reason), ..finding });
        }
        OnDisk::Foreign => None,
        OnDisk::Version(version, _) => Some(version.as_str()),
    };
    if is_left_over(&module.state) {
        let expected =
            disk_version.map_or_else(|| "installed".to_owned(), |disk| format!("{disk} installed"));
        let on_disk = disk_version.filter(|disk| *disk != version);
        let on_disk = on_disk.map(|disk| format!(", {} on disk", shown(disk))).unwrap_or_default();
        let diff = format!("{} ({}{on_disk})", shown(state), shown(version));
        return modified(expected, actual, Change::State, diff);
    }
    let OnDisk::Version(disk, moved) = on_disk else { return None };
    if disk != version {
        let diff = format!("{} installed, {} on disk", shown(version), shown(disk));
        return modified(format!("{disk} installed"), actual, Change::Version, diff);
    }
    let moved = (*moved)?.text().unwrap_or_default();
    let diff = format!("the content moved since the baseline, the version {} did not", shown(disk));
    modified(format!("{disk} installed"), format!("{actual}, content {moved}"), Change::Content, diff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_taken_as_odoo_takes_them() {
        for (version, series, expected) in [
            ("1.0", "18.0", "18.0.1.0"),
            ("18.0.1.0.0", "18.0", "18.0.1.0.0"),
            ("18.0", "18.0", "18.0.18.0"),
            ("18.01", "18.0", "18.0.18.01"),
            ("17.0.1.0", "18.0", "18.0.17.0.1.0"),
            ("1.2", "saas~17.2", "saas~17.2.1.2"),
        ] {
            assert_eq!(adapted(version, series), expected);
        }
    }

    #[test]
    fn the_series_is_that_of_base() {
        let of = |version: Option<&str>| {
            let version = version.map(str::to_owned);
            series_of(&[InstalledModule { name: "base".to_owned(), state: "installed".to_owned(), version }])
        };
        assert_eq!(of(Some("18.0.1.3")).as_deref(), Some("18.0"));
        assert_eq!(of(Some("saas~17.2.1.3")).as_deref(), Some("saas~17.2"));
        for odd in [None, Some(""), Some("1.3"), Some("x.y.z"), Some("18..1"), Some(".0.1")] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
    }
}
