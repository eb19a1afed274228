//! What compose files name and nobody locked: it is told of as not compared.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use crate::atomic::{LARGEST_TEXT, read_file_within};
use crate::audit::target::Aim;
use crate::check::Evidence;
use crate::host::{Host, HostError, NameSearch, NamedFiles, Watch};
use crate::model::{
    Digest, Glob, LeftOut, Observation, Observed, State, SubjectKind, Unit, Value, any_match, escaped,
};
use crate::project::Project;
use crate::section::{ADDONS, COMPOSE, CONFIG};

/// The number of files that are named before the rest is only counted.
const NAMED: usize = 3;

/// Counts, beside what was left out of the compose section, the files that its files name and no section covers. An empty
/// list in `[files]` says that nobody wants to know, and a run of some checks does not ask.
///
/// # Errors
/// When `watch` was cancelled.
pub(crate) fn count(
    project: &Project,
    (aim, host): (&Aim, &dyn Host),
    evidence: &mut [Evidence],
    watch: &Watch,
) -> Result<(), HostError> {
    let config = &project.config;
    let is_off = config.files_include.as_ref().is_some_and(Vec::is_empty) && aim.scope.files.is_empty();
    let is_asked = |id| evidence.iter().any(|e| e.section.id() == id);
    if is_off || ![COMPOSE, ADDONS, CONFIG].into_iter().all(is_asked) {
        return Ok(());
    }
    let Some(compose) = evidence.iter().find(|e| e.section.id() == COMPOSE).and_then(seen_of) else {
        return Ok(());
    };
    let covered = Covered::of(evidence);
    let is_known = |path: &[u8]| covered.holds(path) || any_match(&config.compose_exclude, path);
    let content = |path: &[u8]| aim.server().and_then(|_| content_here(project, &compose.state, path));
    let search = NameSearch { host, layout: &aim.layout, content: &content, is_known: &is_known, watch };
    let left_out = match search.from(compose.state.entries.keys().cloned()) {
        Ok(found) => told(&found, aim),
        Err(HostError::Interrupted) => return Err(HostError::Interrupted),
        Err(HostError::Unreachable(why)) => vec![LeftOut {
            unit: Unit::Subjects,
            count: compose.state.entries.len() as u64,
            reason: format!("compose files of which it is not known what they name: {why}"),
            remedy: None,
        }],
    };
    put(evidence, |_| left_out);
    Ok(())
}

/// Says that names were not followed, because what is trusted is not opened. A full look follows them.
pub(crate) fn pass_over(evidence: &mut [Evidence]) {
    put(evidence, |seen| {
        let count = seen.state.entries.len() as u64;
        let reason = "compose files that were not read again for the names of other files".to_owned();
        (count > 0)
            .then_some(LeftOut { unit: Unit::Subjects, count, reason, remedy: None })
            .into_iter()
            .collect()
    });
}

/// Counts more as left out of the compose section.
fn put(evidence: &mut [Evidence], left_out: impl FnOnce(&Observation) -> Vec<LeftOut>) {
    let compose = evidence.iter_mut().find(|e| e.section.id() == COMPOSE);
    if let Some(Evidence { observed: Observed::Seen(seen), .. }) = compose {
        let more = left_out(seen);
        seen.left_out.extend(more);
    }
}

fn seen_of(e: &Evidence) -> Option<&Observation> {
    if let Observed::Seen(seen) = &e.observed { Some(seen) } else { None }
}

/// The bytes of a server's file where the project's own tree has the same ones.
fn content_here(project: &Project, seen: &State, path: &[u8]) -> Option<Vec<u8>> {
    let Value::Digest(digest) = seen.entries.get(path)?.value else { return None };
    let place = project.root.join(std::ffi::OsStr::from_bytes(path));
    read_file_within(&place, LARGEST_TEXT).ok().filter(|bytes| Digest::of(bytes) == digest)
}

/// What the sections cover: files, and all that lies in modules.
struct Covered<'a> {
    files: BTreeSet<&'a [u8]>,
    modules: BTreeSet<&'a [u8]>,
}

impl<'a> Covered<'a> {
    fn of(evidence: &'a [Evidence]) -> Self {
        let mut covered = Self { files: BTreeSet::new(), modules: BTreeSet::new() };
        for e in evidence {
            let places = match e.section.meta().kind {
                SubjectKind::File => &mut covered.files,
                SubjectKind::Tree => &mut covered.modules,
                SubjectKind::Container | SubjectKind::Resource | SubjectKind::System => continue,
            };
            places.extend(e.baseline.iter().flat_map(|state| state.entries.keys()).map(Vec::as_slice));
            if let Some(seen) = seen_of(e) {
                places.extend(seen.state.entries.keys().chain(seen.unreadable.keys()).map(Vec::as_slice));
            }
        }
        covered
    }

    fn holds(&self, path: &[u8]) -> bool {
        let mut above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
        self.files.contains(path) || above.any(|dir| self.modules.contains(dir))
    }
}

/// What is told of the files that were found, and of what is not known.
fn told(found: &NamedFiles, aim: &Aim) -> Vec<LeftOut> {
    let counted = |count: usize, reason: String, remedy: Option<String>| {
        (count > 0).then_some(LeftOut { unit: Unit::Subjects, count: count as u64, reason, remedy })
    };
    let noun = |count: usize, one: &'static str, many: &'static str| if count == 1 { one } else { many };
    let (files, unresolved, unknown) = (&found.files, &found.unresolved, &found.unknown);
    let why = unknown.iter().map(|(path, why)| format!("{} ({why})", escaped(path)));
    let all = [
        counted(
            files.len(),
            format!(
                "{} that compose files name: {}",
                noun(files.len(), "file", "files"),
                listed(files.iter().map(|path| escaped(path)))
            ),
            Some(remedy(files, aim)),
        ),
        counted(
            unresolved.len(),
            format!(
                "{} with names of files that Compose alone can resolve: {}",
                noun(unresolved.len(), "compose file", "compose files"),
                listed(unresolved.iter().map(|path| escaped(path)))
            ),
            None,
        ),
        counted(
            unknown.len(),
            format!(
                "{} of which it is not known what they name: {}",
                noun(unknown.len(), "compose file", "compose files"),
                listed(why)
            ),
            None,
        ),
    ];
    all.into_iter().flatten().collect()
}

/// What brings them into the comparison.
fn remedy(files: &BTreeSet<Vec<u8>>, aim: &Aim) -> String {
    let pattern =
        |path: &Vec<u8>| Some(toml::Value::from(Glob::literal(std::str::from_utf8(path).ok()?)).to_string());
    let patterns: Option<Vec<String>> = files.iter().map(pattern).collect();
    let what =
        patterns.filter(|all| all.len() <= NAMED).map_or_else(|| "them".to_owned(), |all| all.join(", "));
    let own = aim.target.iter().map(|name| format!(", or to files in [targets.{name}]")).collect::<String>();
    format!("add {what} to include in [files]{own}")
}

fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let count = all.len();
    let mut names: Vec<String> = all.take(NAMED).collect();
    if count > NAMED {
        names.push(format!("and {} more", count - NAMED));
    }
    names.join(", ")
}
