//! `[packages]`, `[services]`, `[ports]` and `[[probes]]`: which of a machine's state is compared.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, compile, is_target_name, senseless};
use crate::model::{Category, Glob, in_words, printable_path, seconds};

/// The time for a probe where nothing is configured.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that may be configured for a probe: a server's script may say nothing for twice as long.
const LONGEST_PROBE: Duration = Duration::from_secs(300);
/// More links on the way to a file lead nowhere.
const LINKS: usize = 40;
/// The bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;
/// The bit of a directory's mode that lets each user remove their own files alone.
const STICKY: u32 = 0o1000;

/// `[packages]` or `[ports]`.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Whether they are compared.
    pub enabled: bool,
    /// Patterns of subjects that are not.
    pub ignore: Vec<Glob>,
    /// Patterns of containers whose packages are compared, too.
    pub containers: Vec<Glob>,
}

/// `[[probes]]`: a program whose output is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name.
    pub name: String,
    /// The program and its arguments; none where only a fact is read.
    pub run: Vec<String>,
    /// The fact of Ansible's that is read in its place, on targets with a fact cache.
    pub fact: Option<String>,
    /// The category of what differs.
    pub category: Category,
    /// The longest that it may take.
    pub timeout: Duration,
}

/// `[[probes]]`, and whether they may be run.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// All of them, each with a name of its own.
    pub all: Vec<Probe>,
    /// Why none of them is run: somebody else could have written the configuration.
    pub refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListed {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    ignore: Vec<String>,
}

/// `[packages]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPackages {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    containers: Vec<String>,
}

impl RawPackages {
    pub(super) fn checked(self) -> Result<Listed, ConfigError> {
        let listed = RawListed { enabled: self.enabled, ignore: self.ignore }.checked("packages")?;
        Ok(Listed { containers: compile("packages.containers", &self.containers, false)?, ..listed })
    }
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServices {
    units: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    name: String,
    #[serde(default)]
    run: Vec<String>,
    fact: Option<String>,
    category: Option<Category>,
    timeout: Option<String>,
}

impl RawListed {
    /// The same, whose subjects hold brackets that are no part of a pattern.
    pub(super) fn bracketed(mut self) -> Self {
        self.ignore.iter_mut().for_each(|text| *text = text.replace('[', "[[]"));
        self
    }

    pub(super) fn checked(self, key: &str) -> Result<Listed, ConfigError> {
        let ignore = compile(&format!("{key}.ignore"), &self.ignore, false)?;
        Ok(Listed { enabled: self.enabled, ignore, containers: Vec::new() })
    }
}

/// Whether a text is the name of a unit of systemd, as `systemd.unit(5)` has it.
#[must_use]
pub fn is_unit_name(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    text.contains('.') && !text.starts_with(['-', '.']) && text.bytes().all(is_letter)
}

impl RawServices {
    pub(super) fn checked(self) -> Result<Vec<String>, ConfigError> {
        match self.units.iter().find(|unit| !is_unit_name(unit)) {
            Some(odd) => {
                Err(senseless("services.units", &format!("\"{odd}\" is no unit, like \"docker.service\"")))
            }
            None => Ok(self.units),
        }
    }
}

/// Whether a text is the name of a fact.
fn is_fact_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether words are a program that can be run, with its arguments; else why not.
pub(super) fn program_is_sound(run: &[String]) -> Result<(), String> {
    match run.first() {
        None => Err("it runs nothing".to_owned()),
        Some(program) if program.is_empty() || program.starts_with('-') => {
            Err(format!("\"{program}\" is no program"))
        }
        Some(program) if program.contains('/') && !program.starts_with('/') => {
            let rule = "a program is found by its name, or by an absolute path";
            Err(format!("\"{program}\" is relative; {rule}"))
        }
        Some(_) if run.iter().any(|word| word.contains('\0')) => Err("an argument has a NUL".to_owned()),
        Some(_) => Ok(()),
    }
}

/// The longest that a program may take, by what is configured; else why not.
pub(super) fn checked_timeout(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(PROBE_TIMEOUT) };
    let length = seconds(text).and_then(|it| u64::try_from(it).ok()).map(Duration::from_secs);
    let length = length.filter(|it| !it.is_zero() && *it <= LONGEST_PROBE);
    length.ok_or_else(|| format!("\"{text}\": it is 1s to 5m"))
}

pub(super) fn checked_probes(raw: Vec<RawProbe>) -> Result<Probes, ConfigError> {
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for RawProbe { name, run, fact, category, timeout } in raw {
        let bad = |key: &str, reason: &str| Err(senseless(&format!("probes.{key}"), reason));
        if !is_target_name(&name) {
            return bad("name", &format!("\"{name}\": it is letters, digits, \".\", \"_\" and \"-\""));
        }
        if !names.insert(name.clone()) {
            return bad("name", &format!("\"{name}\" stands here a second time"));
        }
        if fact.as_ref().is_some_and(|fact| !is_fact_name(fact)) {
            return bad("fact", "a fact is named by letters, digits and \"_\", like \"getent_passwd\"");
        }
        let is_program = fact.is_none() || !run.is_empty();
        if let Err(why) = program_is_sound(&run).or_else(|why| if is_program { Err(why) } else { Ok(()) }) {
            return bad("run", &format!("\"{name}\": {why}"));
        }
        let timeout = match checked_timeout(timeout.as_deref()) {
            Ok(timeout) => timeout,
            Err(why) => return bad("timeout", &why),
        };
        let category = category.unwrap_or(Category::Configuration);
        all.push(Probe { name, run, fact, category, timeout });
    }
    let refused = (!all.is_empty()).then(|| "the probes stand in no file of this machine".to_owned());
    Ok(Probes { all, refused })
}

/// Why others than this user and root could have written a file: by its owner and mode, and by those of each directory on the
/// way to it, links followed. As ssh has it for its own files; where only owners may remove, root's directories may be
/// everybody's.
pub(crate) fn written_by_others(path: &Path) -> Option<String> {
    let way = match way_to(path) {
        Ok(way) => way,
        Err(error) => return Some(format!("{}: {}", printable_path(path), in_words(&error))),
    };
    let user = rustix::process::geteuid().as_raw();
    let trouble = |(path, meta): &(PathBuf, Metadata)| {
        let is_sticky = meta.is_dir() && meta.uid() == 0 && meta.mode() & STICKY != 0;
        let (path, mode) = (printable_path(path), meta.mode() & 0o7777);
        if meta.uid() != user && meta.uid() != 0 {
            Some(format!("{path} belongs to user {}, and must be yours or root's", meta.uid()))
        } else if mode & OTHERS_WRITE != 0 && !is_sticky && !meta.is_symlink() {
            Some(format!("others may write {path} (mode {mode:o}): run chmod go-w {path}"))
        } else {
            None
        }
    };
    way.iter().find_map(trouble)
}

/// All that decides what a path leads to: each directory and link on the way, and what is at its end.
fn way_to(path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let absolute = std::path::absolute(path)?;
    let mut rest: VecDeque<OsString> = absolute.components().map(|it| it.as_os_str().to_owned()).collect();
    let (mut here, mut way, mut links) = (PathBuf::new(), Vec::new(), 0);
    while let Some(part) = rest.pop_front() {
        if part == Component::ParentDir.as_os_str() {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let meta = std::fs::symlink_metadata(&next)?;
        if meta.is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(io::Error::other("too many links"));
            }
            let target = std::fs::read_link(&next)?;
            for part in target.components().rev() {
                rest.push_front(part.as_os_str().to_owned());
            }
        } else {
            here.clone_from(&next);
        }
        way.push((next, meta));
    }
    Ok(way)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::config::Config;

    fn error(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(error("[services]\nunits = [\"docker\"]\n").contains("is no unit"));
        assert!(error("[services]\nunits = [\"--all.service\"]\n").contains("is no unit"));
        assert!(error("[packages]\nignore = [\"[\"]\n").contains("packages.ignore"));
        assert!(error("[ports]\nenable = true\n").contains("did you mean `enabled`?"));
        let probe = |rest: &str| error(&format!("[[probes]]\nname = \"a\"\n{rest}\n"));
        assert!(probe("run = []").contains("runs nothing"));
        assert!(probe("run = [\"./x\"]").contains("is relative"));
        assert!(probe("run = [\"x\"]\ntimeout = \"1h\"").contains("1s to 5m"));
        assert!(probe("run = [\"x\"]\ncategory = \"odd\"").contains("unknown variant `odd`"));
        assert!(probe("run = [\"x\"]\n[[probes]]\nname = \"a\"\nrun = [\"y\"]").contains("a second time"));
        assert!(error("[[probes]]\nname = \"a b\"\nrun = [\"x\"]\n").contains("probes.name"));
    }

    #[test]
    fn a_file_counts_where_nobody_else_can_have_written_it() {
        let dir = assert_fs::TempDir::new().unwrap();
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let (inner, file) = (dir.path().join("a"), dir.path().join("a/file"));
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(&file, "").unwrap();
        mode(&inner, 0o755);
        mode(&file, 0o644);
        assert_eq!(written_by_others(&file), None);
        mode(&file, 0o664);
        assert!(written_by_others(&file).unwrap().contains("mode 664"));
        mode(&file, 0o644);
        mode(&inner, 0o777);
        assert!(written_by_others(&file).unwrap().contains("others may write"));
        // Who may write where a link lies decides where it leads.
        mode(&inner, 0o755);
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        mode(&open, 0o777);
        symlink(&file, open.join("link")).unwrap();
        symlink(open.join("link"), dir.path().join("way")).unwrap();
        assert!(written_by_others(&dir.path().join("way")).unwrap().contains("/open"));
        assert!(written_by_others(&dir.path().join("gone")).is_some());
    }
}
