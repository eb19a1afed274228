//! Finding repository paths by pattern: only directories that a pattern can reach are read.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;

use super::Layout;
use super::compose_names::{is_compose_name, is_detected_compose_file};
use super::read::ReadError;
use super::storage::{Asked, DirectoryId, Storage};
use crate::model::{Glob, Reason, any_match, is_wild};

/// The number of directories that may be reached through links below one `**`: a bound for trees whose links lead
/// back and forth.
pub(super) const LINKED_DIRECTORIES: usize = 100_000;

/// The paths that patterns led to.
#[derive(Default)]
pub(super) struct FoundPaths {
    /// Paths that matched, each with its reason if it could not be reached.
    pub(super) paths: BTreeMap<Vec<u8>, Option<Reason>>,
    /// The number of excluded matches; a directory counts once.
    pub(super) excluded: u64,
    /// Links out of the tree behind which detection went no further.
    pub(super) beyond: u64,
    /// Compose files that lie where others would have matched, if they were to be noticed.
    pub(super) beside: BTreeSet<Vec<u8>>,
}

/// The kind of a pattern's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Files: a directory counts only where the last component names it more closely than `*` or `**`.
    Files,
    /// Directories.
    Directories,
}

/// A directory, what lies above it, and whether a link led there.
#[derive(Clone)]
struct Position<'a> {
    path: Vec<u8>,
    above: Option<&'a Ancestor<'a>>,
    linked: bool,
    /// Whether what lies in it is noticed while it is listed for another purpose.
    noticed: bool,
}

impl<'a> Position<'a> {
    fn below(&self, path: Vec<u8>) -> Position<'a> {
        Position { path, above: self.above, linked: self.linked, noticed: false }
    }
}

/// Identity of the directories above, to notice a link that leads back.
struct Ancestor<'a> {
    id: DirectoryId,
    above: Option<&'a Ancestor<'a>>,
}

impl Ancestor<'_> {
    fn holds(&self, id: DirectoryId) -> bool {
        self.id == id || self.above.is_some_and(|above| above.holds(id))
    }
}

/// Expands patterns over one layout.
pub(super) struct Walker<'a> {
    disk: &'a dyn Storage,
    layout: &'a Layout,
    exclude: &'a [Glob],
    want: Want,
    /// Whether compose files are noticed that lie beside what matches.
    notices: bool,
    linked: usize,
    found: FoundPaths,
}

/// Expands one pattern; with `notices`, compose files are noted that lie where matches of it would.
pub(super) fn expand(
    disk: &dyn Storage,
    layout: &Layout,
    glob: &Glob,
    exclude: &[Glob],
    want: Want,
    notices: bool,
) -> FoundPaths {
    let mut walker = Walker { disk, layout, exclude, want, notices, linked: 0, found: FoundPaths::default() };
    let (start, parts) = match glob.text().strip_prefix('/') {
        Some(rest) => (b"/".to_vec(), rest),
        None => (Vec::new(), glob.text()),
    };
    let parts: Vec<&str> = parts.split('/').filter(|part| !part.is_empty()).collect();
    walker.descend(&Position { path: start, above: None, linked: false, noticed: false }, &parts);
    walker.found
}

impl Walker<'_> {
    fn descend(&mut self, place: &Position<'_>, parts: &[&str]) {
        match parts {
            [] => self.emit(&place.path, None),
            ["**", rest @ ..] => self.descend_all(place, rest),
            [part, rest @ ..] if is_wild(part) => self.descend_matching(place, part, rest),
            [part, rest @ ..] => {
                let path = child(&place.path, part.as_bytes());
                if rest.is_empty() {
                    self.emit_existing(&path);
                    self.look_beside(place);
                } else if !self.prune(&path) {
                    self.descend(&place.below(path), rest);
                }
            }
        }
    }

    fn descend_matching(&mut self, place: &Position<'_>, part: &str, rest: &[&str]) {
        let Ok(pattern) = Glob::new(part) else { return };
        for (name, kind) in self.list(&place.path, Asked::Matching(part)) {
            if !pattern.matches(&name) {
                if rest.is_empty() {
                    self.notice(&place.path, &name, kind);
                }
                continue;
            }
            let path = child(&place.path, &name);
            if !rest.is_empty() {
                if may_hold(kind) && !self.prune(&path) {
                    self.descend(&place.below(path), rest);
                }
            } else if self.suits(&path, kind, part) {
                self.emit(&path, None);
            }
        }
    }

    /// `**`: this directory and everything below, links followed unless they lead back.
    fn descend_all(&mut self, place: &Position<'_>, rest: &[&str]) {
        let id = self.layout.locate(&place.path);
        let id = id.and_then(|host| self.disk.directory_id(&host).ok().flatten());
        if id.is_some_and(|id| place.above.is_some_and(|above| above.holds(id))) {
            return;
        }
        let here = id.map(|id| Ancestor { id, above: place.above });
        let place = Position { above: here.as_ref().or(place.above), ..place.clone() };
        let is_end = rest.len() == 1;
        if !rest.is_empty() {
            self.descend(&Position { noticed: is_end, ..place.clone() }, rest);
        } else if self.want == Want::Directories && id.is_some() {
            self.emit(&place.path, None);
        }
        let deeper: Vec<&str> = ["**"].into_iter().chain(rest.iter().copied()).collect();
        let emits = rest.is_empty() && self.want == Want::Files;
        for (name, kind) in self.list(&place.path, if emits { Asked::All } else { Asked::Directories }) {
            let path = child(&place.path, &name);
            if is_end {
                self.notice(&place.path, &name, kind);
            }
            if self.is_directory(&path, kind) {
                let linked = place.linked || kind == FileType::Symlink;
                if !self.prune(&path) && self.may_enter(&path, linked) {
                    self.descend(&Position { linked, ..place.below(path) }, &deeper);
                }
            } else if emits {
                self.emit(&path, None);
            }
        }
    }

    /// Counts directories behind links, and refuses when there is no end of them.
    fn may_enter(&mut self, path: &[u8], linked: bool) -> bool {
        self.linked += usize::from(linked);
        let bounded = self.linked <= LINKED_DIRECTORIES;
        if self.linked == LINKED_DIRECTORIES + 1 {
            self.note(path, format!("links lead to more than {LINKED_DIRECTORIES} directories").into());
        }
        bounded
    }

    /// Whether the end of a pattern may be this entry.
    fn suits(&mut self, path: &[u8], kind: FileType, part: &str) -> bool {
        match self.want {
            Want::Directories => self.is_directory(path, kind),
            Want::Files if part == "*" => !self.is_directory(path, kind),
            Want::Files => true,
        }
    }

    /// Whether an entry is a directory or a link to one; noted where that cannot be told.
    fn is_directory(&mut self, path: &[u8], kind: FileType) -> bool {
        if !may_hold(kind) {
            return false;
        }
        match self.layout.locate(path).map(|host| self.disk.directory_id(&host)) {
            Some(Ok(id)) => id.is_some(),
            Some(Err(error)) => {
                self.note(path, error.into());
                false
            }
            None => true,
        }
    }

    fn note(&mut self, path: &[u8], why: Reason) {
        let name = if path.is_empty() { b"." } else { path };
        self.found.paths.insert(name.to_vec(), Some(why));
    }

    fn emit_existing(&mut self, path: &[u8]) {
        let Some(host) = self.layout.locate(path) else { return };
        match self.disk.exists(&host) {
            Ok(()) => self.emit(path, None),
            Err(ReadError::Refused(why)) => self.emit(path, Some(why)),
            Err(_) => {}
        }
    }

    fn emit(&mut self, path: &[u8], trouble: Option<Reason>) {
        if any_match(self.exclude, path) {
            self.found.excluded += 1;
        } else {
            self.found.paths.entry(path.to_vec()).or_insert(trouble);
        }
    }

    /// Notices what lies in the directory of a single file that a pattern names. That it cannot be listed is no trouble:
    /// the file was asked for, and nothing else.
    fn look_beside(&mut self, place: &Position<'_>) {
        if !self.notices || place.noticed {
            return;
        }
        let Some(host) = self.layout.locate(&place.path) else { return };
        for (name, kind) in self.disk.entries(&host, Asked::Beside).unwrap_or_default() {
            self.notice(&place.path, &name, kind);
        }
    }

    /// Notes an entry of a directory that detection would take for a compose file, unless it is excluded.
    fn notice(&mut self, dir: &[u8], name: &[u8], kind: FileType) {
        if !self.notices || self.want != Want::Files || !is_compose_name(name) {
            return;
        }
        let path = child(dir, name);
        let is_directory = || {
            let host = self.layout.locate(&path).filter(|_| may_hold(kind));
            host.is_some_and(|host| self.disk.is_directory(&host))
        };
        if is_detected_compose_file(&path) && !any_match(self.exclude, &path) && !is_directory() {
            self.found.beside.insert(path);
        }
    }

    fn prune(&mut self, dir: &[u8]) -> bool {
        let covered = self.exclude.iter().any(|glob| glob.covers(dir) || glob.matches(dir));
        self.found.excluded += u64::from(covered);
        covered
    }

    /// The entries of a repository directory; one that cannot be read stands among the findings.
    fn list(&mut self, dir: &[u8], asked: Asked<'_>) -> Vec<(Vec<u8>, FileType)> {
        let mut entries = match self.layout.locate(dir).map(|host| self.disk.entries(&host, asked)) {
            None | Some(Err(ReadError::Gone | ReadError::Changed | ReadError::Cancelled)) => Vec::new(),
            Some(Ok(entries)) => entries,
            Some(Err(ReadError::Refused(why))) => {
                self.note(dir, why.behind("this directory cannot be listed"));
                Vec::new()
            }
        };
        let mounted = self.layout.mounted_in(dir);
        entries.retain(|(name, _)| !mounted.contains(&name.as_slice()));
        entries.extend(mounted.into_iter().map(|name| (name.to_vec(), FileType::Unknown)));
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        entries.dedup();
        entries
    }
}

/// A repository path below another.
pub(super) fn child(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        b"" => name.to_vec(),
        b"/" => [b"/", name].concat(),
        dir => [dir, b"/", name].concat(),
    }
}

/// Whether an entry of this kind may lead to a directory.
pub(super) fn may_hold(kind: FileType) -> bool {
    matches!(kind, FileType::Directory | FileType::Symlink | FileType::Unknown)
}
