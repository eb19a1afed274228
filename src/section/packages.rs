//! The packages section: what dpkg, apk or rpm has installed.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{self, Table};
use super::{Ask, Plan, Section, SectionMeta};
use crate::baseline::LockError;
use crate::config::DockerMode;
use crate::host::{Answer, Facts, SystemFacts, SystemQuery};
use crate::model::{
    Entry, Finding, Glob, Kind, Observed, Reason, SectionId, State, SubjectKind, Unreadable, any_match,
    quoted,
};

/// Packages, where `[packages]` is there.
pub(super) struct Packages;

/// The section's id.
pub const ID: SectionId = SectionId("packages");

const META: SectionMeta = SectionMeta::new(
    ID,
    "installed packages of dpkg, apk or rpm: the version, architecture and state of each",
    SubjectKind::System,
    ("package", "packages"),
    &["packages.lock.txt"],
);

const TABLE: Table = Table {
    columns: &["name", "version", "arch", "state"],
    optional: 1,
    noun: "package",
    place: |facts| Some(format!("{}:{}", facts.get("name")?, facts.get("arch")?)),
};

/// Words of rpm and apk for architectures that dpkg calls otherwise.
const NOT_OF_DPKG: [&str; 8] = ["x86_64", "noarch", "aarch64", "i686", "armv7", "armv7hl", "none", "x86"];

impl Section for Packages {
    fn meta(&self) -> &'static SectionMeta {
        &META
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let enabled = ask.setting.config.packages.as_ref().map(|it| it.enabled);
        facts::ask_if(ask, enabled, SystemQuery::Packages)
    }

    fn containers<'a>(&self, ask: &Ask<'a>) -> &'a [Glob] {
        let packages = ask.setting.config.packages.as_ref().filter(|_| ask.setting.docker != DockerMode::Off);
        packages.map(|it| it.containers.as_slice()).unwrap_or_default()
    }

    fn interpret(&self, ask: &Ask<'_>, answer: Answer) -> Observed {
        let ignore = ask.setting.config.packages.iter().flat_map(|it| &it.ignore);
        // A pattern is one over names, whatever the architecture.
        let of_any =
            ignore.flat_map(|glob| [Some(glob.clone()), Glob::new(&format!("{}:*", glob.text())).ok()]);
        let ignore: Vec<Glob> = of_any.flatten().collect();
        match facts::facts_of(answer) {
            Ok(mut known) => {
                let untold = facts::completed(ask, &mut known);
                let kept = kept(ask, self.containers(ask), &mut known);
                // What is said of a container as a whole is no package that a pattern could name.
                let (failed, known): (SystemFacts, SystemFacts) =
                    known.into_iter().partition(|(place, told)| told.is_err() && !place.contains(&b':'));
                let reason = "states of packages, such as hold, which Ansible's facts do not tell";
                let seen = facts::left_out(facts::observed(ask, known, &ignore), untold, reason);
                let seen = facts::left_out(seen, kept.off.len() as u64, OFF);
                let seen = facts::assumed(seen, kept.off, &OFF.into());
                let seen = facts::assumed(seen, kept.failed, &"its container was not looked into".into());
                failing(seen, failed)
            }
            Err(why) => Observed::Failed(why.to_string()),
        }
    }

    fn parse(&self, files: &[(&str, &[u8])]) -> Result<State, LockError> {
        TABLE.parse(files)
    }

    fn print(&self, state: &State) -> Vec<Vec<u8>> {
        TABLE.print(state)
    }

    fn names<'a>(&self, places: &BTreeSet<&'a [u8]>) -> BTreeMap<&'a [u8], Vec<u8>> {
        facts::short_names(places)
    }

    fn undo(&self, finding: &Finding) -> Result<String, Reason> {
        let known = finding.baseline_entry.as_ref().or(finding.entry.as_ref());
        let word = |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_default();
        let key = quoted(&String::from_utf8_lossy(&finding.subject.key));
        let Some(known) = known else { return Err("it is not known what the baseline has".into()) };
        let (version, arch) = (word(known, "version"), word(known, "arch"));
        if container_of(&finding.place).is_some() {
            return Err("the packages of a container are those of its image: make it anew of the image of the baseline".into());
        }
        if key.starts_with('-') || version.contains(' ') {
            return Err("do it with the package manager by hand".into());
        }
        let name = quoted(&word(known, "name"));
        let is_removed = finding.kind == Kind::Unexpected;
        if !NOT_OF_DPKG.contains(&arch.as_str()) {
            if is_removed {
                return Ok(format!("apt-get remove {key}"));
            }
            let hold = |facts: Option<&Facts>| {
                facts.is_some_and(|it| word(it, "state").split(',').any(|it| it == "hold"))
            };
            let install = format!("apt-get install {key}={}", quoted(&version));
            let now = finding.entry.as_ref();
            let mark = match (hold(finding.baseline_entry.as_ref()), hold(now)) {
                (true, false) => format!("apt-mark hold {key}"),
                (false, true) => format!("apt-mark unhold {key}"),
                _ => String::new(),
            };
            let is_of_version =
                now.is_some_and(|it| word(it, "version") == version && word(it, "state").is_empty());
            let is_held = now.is_some_and(|it| word(it, "version") == version && word(it, "state") == "hold");
            return Ok(match mark.as_str() {
                "" => install,
                _ if is_of_version || is_held => mark,
                mark if mark.starts_with("apt-mark hold") => format!("{install} && {mark}"),
                mark => format!("{mark} && {install}"),
            });
        }
        let is_apk = version
            .rsplit_once("-r")
            .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()));
        Ok(match (is_apk, is_removed) {
            (true, true) => format!("apk del {name}"),
            (true, false) => format!("apk add {name}={}", quoted(&version)),
            (false, true) => format!("dnf remove {name}"),
            (false, false) => {
                format!("dnf install {}", quoted(&format!("{}-{version}.{arch}", word(known, "name"))))
            }
        })
    }
}

/// The container that a place is of: `CONTAINER:NAME:ARCHITECTURE`; `None` for a package of the machine.
fn container_of(place: &[u8]) -> Option<&[u8]> {
    let parts: Vec<&[u8]> = place.split(|&b| b == b':').collect();
    (parts.len() > 2).then(|| parts[0])
}

/// Said of packages in containers that nobody is to look into.
const OFF: &str = "packages in containers, because docker is off";

/// Packages of which the baseline's entry stands for what is there.
#[derive(Default)]
struct KeptPackages {
    /// Those in containers, where docker is off.
    off: Vec<Vec<u8>>,
    /// Those in containers that could not be looked into.
    failed: Vec<Vec<u8>>,
}

/// The same observation, in which these containers could not be looked into.
fn failing(mut observed: Observed, containers: SystemFacts) -> Observed {
    if let Observed::Seen(seen) = &mut observed {
        let failed = containers.into_iter().filter_map(|(name, told)| Some((name, told.err()?)));
        seen.unreadable
            .extend(failed.map(|(name, reason)| (name, Unreadable { reason, ..Unreadable::default() })));
    }
    observed
}

/// Keeps what the baseline has of containers that were not looked at, which is told once and not for each package.
fn kept(ask: &Ask<'_>, containers: &[Glob], known: &mut SystemFacts) -> KeptPackages {
    let is_off = ask.setting.docker == DockerMode::Off;
    let failed: Vec<Glob> = known
        .iter()
        .filter(|(place, told)| told.is_err() && !place.contains(&b':'))
        .filter_map(|(place, _)| Glob::new(std::str::from_utf8(place).ok()?).ok())
        .collect();
    let mut kept = KeptPackages::default();
    let mut unnamed = None;
    for (place, entry) in ask.baseline.iter().flat_map(|state| &state.entries) {
        let Some(container) = container_of(place) else { continue };
        let is_looked_at = any_match(containers, container);
        if is_looked_at && !any_match(&failed, container) {
            continue;
        }
        if is_off {
            kept.off.push(place.clone());
        } else {
            kept.failed.push(place.clone());
            unnamed = unnamed.or(Some(container).filter(|_| !is_looked_at));
        }
        known.insert(place.clone(), Ok(facts::facts(entry)));
    }
    if let Some(container) = unnamed {
        let why = "its packages are locked, and containers in [packages] does not name it: name it, or export the packages anew";
        known.insert(container.to_vec(), Err(why.into()));
    }
    kept
}

/// What a package is, in few words: its version, and its state where that is not the usual one.
#[must_use]
pub fn package_in_words(entry: &Entry) -> String {
    let facts = facts::facts(entry);
    let state = facts.get("state").map(|state| format!(" ({state})")).unwrap_or_default();
    facts.get("version").cloned().unwrap_or_default() + &state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_a_sorted_table_that_reads_back() {
        let text = "a\t1\tall\na-b\t1:2~x\tamd64\thold\nlibc6\t2\tamd64\nlibc6\t2\ti386\n";
        let state = Packages.parse(&[("f", text.as_bytes())]).unwrap();
        assert_eq!(String::from_utf8(Packages.print(&state).remove(0)).unwrap(), text);
        let places: BTreeSet<&[u8]> = state.entries.keys().map(Vec::as_slice).collect();
        let names: Vec<String> =
            Packages.names(&places).into_values().map(|name| String::from_utf8(name).unwrap()).collect();
        assert_eq!(names, ["a-b", "a", "libc6:amd64", "libc6:i386"]);
    }

    #[test]
    fn a_table_that_is_none_is_an_error_with_its_line() {
        let why = |text: &str| Packages.parse(&[("f", text.as_bytes())]).unwrap_err().to_string();
        assert!(why("").contains("it is empty") && why("a\t1\tall").contains("cut off"));
        for text in ["a\t1\n", "a\t1\tall\t\n", "a\t1\tall\thold\tx\n", "a\t\x1b\tall\n", "a\t1\tall\r\n"] {
            assert!(why(text).starts_with("f:1: "), "{text:?}: {}", why(text));
        }
        assert!(why("a\t1\tall\na\t2\tall\n").contains("f:2: a:all stands here a second time"));
    }
}
