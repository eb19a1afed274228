//! Which lines differ: fetches both versions of a file that differs, and makes sure that they are the ones that were
//! compared.

use super::backups;
use crate::control::waits;
use crate::model::SubjectKind;
use std::time::Duration;

use crate::content::{Difference, Extent, FileRole, Version};
use crate::git::Revision;
use crate::host::{Content, Host, Watch};
use crate::model::{CheckResult, Digest, Finding, Part, Shown, Value, escaped};
use crate::project::Project;
use crate::provenance;
use crate::section;

/// A longer file is not fetched, in bytes.
const LONGEST: u64 = 1 << 20;
/// How many files are shown at most.
const FILES: usize = 100;
/// How long the history of one file may be searched for its content.
const PATIENCE: Duration = waits::FILE_HISTORY.most;

/// How much is shown with or without `--show-content`.
pub(crate) fn extent(show_content: bool) -> Extent {
    if show_content { Extent::Everything } else { Extent::Disclosed }
}

/// Where the content of a side can be had.
#[derive(Clone, Copy)]
pub(crate) enum Store<'a> {
    /// On a machine, as it is now.
    Machine(&'a dyn Host),
    /// In a commit.
    Commit(&'a Revision),
    /// Wherever the repository's history holds it: of a lock file only digests are known.
    History,
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(crate) struct Versions<'a> {
    /// How it is called.
    pub(crate) name: &'a str,
    /// Where its content can be had.
    pub(crate) store: Store<'a>,
}

/// Both sides of a comparison.
pub(crate) struct Lines<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// What was expected.
    pub(crate) before: Versions<'a>,
    /// What was found.
    pub(crate) after: Versions<'a>,
    /// How much of the difference is shown.
    pub(crate) extent: Extent,
    /// Tells when the user ends the run.
    pub(crate) watch: &'a Watch,
}

/// A file that differs, and what each side has of it.
struct Differing<'a> {
    path: Vec<u8>,
    expected: &'a Value,
    actual: &'a Value,
    role: FileRole,
}

impl Lines<'_> {
    /// Puts the lines that differ on every finding on a file, and on every file of a module that is on both sides.
    pub(crate) fn show(&self, checks: &mut [CheckResult]) {
        let mut left = FILES;
        for finding in checks.iter_mut().flat_map(|check| &mut check.findings) {
            self.show_finding(finding, &mut left);
        }
    }

    fn show_finding(&self, finding: &mut Finding, left: &mut usize) {
        let source = finding.subject.source;
        let kind = section::kind_of(source);
        if !finding.kind.is_drift() || !kind.is_some_and(SubjectKind::has_files) {
            return;
        }
        if kind == Some(SubjectKind::Tree) {
            let place = finding.place.clone();
            if finding.kind == crate::model::Kind::Modified {
                finding.parts.iter_mut().for_each(|part| self.show_part(&place, part, left));
            }
            return;
        }
        let differing = Differing {
            path: finding.place.clone(),
            expected: &finding.expected,
            actual: &finding.actual,
            role: if section::meta_of(source).is_some_and(|meta| meta.holds_compose_files) {
                FileRole::Compose
            } else {
                FileRole::Configuration
            },
        };
        finding.shown = Some(Box::new(self.shown(&differing, left)));
    }

    fn show_part(&self, module: &[u8], part: &mut Part, left: &mut usize) {
        if !part.kind.is_drift() {
            return;
        }
        let path = [module, b"/", &part.path].concat();
        let differing =
            Differing { path, expected: &part.expected, actual: &part.actual, role: FileRole::Module };
        part.shown = Some(Box::new(self.shown(&differing, left)));
    }

    fn shown(&self, differing: &Differing<'_>, left: &mut usize) -> Shown {
        let said = |why: String| Shown { meaning: Vec::new(), lines: vec![why] };
        if *left == 0 || self.watch.is_cancelled() {
            return said(format!("not shown: these are more than {FILES} files"));
        }
        *left -= 1;
        if [differing.expected, differing.actual].iter().any(|value| matches!(value, Value::Link(_))) {
            return said("a symbolic link: only digests of where it leads are compared".to_owned());
        }
        let before = self.bytes(self.before, &differing.path, differing.expected);
        let after = self.bytes(self.after, &differing.path, differing.actual);
        match (before, after) {
            (Ok(before), Ok(after)) => {
                let path = String::from_utf8_lossy(&differing.path);
                let name = |side: Versions<'_>| format!("{path} ({})", side.name);
                let (old, new) = (name(self.before), name(self.after));
                let before = Version { name: &old, bytes: before.as_deref() };
                let after = Version { name: &new, bytes: after.as_deref() };
                let difference = Difference::between(&path, differing.role, &before, &after, self.extent);
                Shown { meaning: difference.meaning_lines(), lines: difference.lines }
            }
            (Err(why), Ok(_)) | (Ok(_), Err(why)) => said(format!("its lines are not shown: {why}")),
            (Err(why), Err(other)) => said(format!("its lines are not shown: {why}; {other}")),
        }
    }

    /// The bytes behind a value; `None` where nothing is there.
    ///
    /// # Errors
    /// When the bytes cannot be had, or are not the ones that were compared.
    fn bytes(&self, side: Versions<'_>, path: &[u8], value: &Value) -> Result<Option<Vec<u8>>, NoBytes> {
        let Value::Digest(digest) = value else { return Ok(None) };
        let name = escaped(side.name.as_bytes());
        let bytes = match side.store {
            Store::Machine(host) => self.on_machine(host, path)?,
            Store::Commit(revision) => match stored_in(revision, path, *digest) {
                Some(bytes) => bytes,
                None => self.in_history(&name, path, *digest)?,
            },
            Store::History => match self.left_on_machine(path, *digest) {
                Some(bytes) => bytes,
                None => self.in_history(&name, path, *digest)?,
            },
        };
        if Digest::of(&bytes) == *digest {
            return Ok(Some(bytes));
        }
        Err(NoBytes::Changed(name))
    }

    fn on_machine(&self, host: &dyn Host, path: &[u8]) -> Result<Vec<u8>, NoBytes> {
        let answered = host.content(path, LONGEST, self.watch);
        match answered.map_err(|error| NoBytes::Unreadable(escaped(error.to_string().as_bytes())))? {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Gone => Err(NoBytes::Gone),
            Content::TooLarge(bytes) => Err(NoBytes::TooLarge(bytes)),
            Content::Unreadable(why) => Err(NoBytes::Unreadable(escaped(why.text().as_bytes()))),
        }
    }

    /// An earlier version that the machine on the other side keeps.
    fn left_on_machine(&self, path: &[u8], digest: Digest) -> Option<Vec<u8>> {
        let sides = [self.before.store, self.after.store];
        sides.into_iter().find_map(|store| match store {
            Store::Machine(host) => backups::earlier(host, path, digest, LONGEST, self.watch),
            Store::Commit(_) | Store::History => None,
        })
    }

    fn in_history(&self, name: &str, path: &[u8], digest: Digest) -> Result<Vec<u8>, NoBytes> {
        if path.starts_with(b"/") {
            return Err(NoBytes::Outside(name.to_owned()));
        }
        let found = provenance::content(&self.project.root, path, digest, PATIENCE, self.watch);
        let found = found.map_err(|error| NoBytes::Unreadable(error.to_string()))?;
        found.ok_or_else(|| NoBytes::NoCommit(name.to_owned()))
    }
}

/// Reason why the bytes behind a digest cannot be shown. Names in it are escaped.
#[derive(Debug, thiserror::Error)]
enum NoBytes {
    #[error("it has changed on {0} since it was looked at")]
    Changed(String),
    #[error("it is gone since it was looked at")]
    Gone,
    #[error("it has {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Unreadable(String),
    #[error("of {0} only its digest is known: it lies outside the repository")]
    Outside(String),
    #[error("of {0} only its digest is known: no commit was found that holds it")]
    NoCommit(String),
}

/// The bytes of a file as a commit stores them, where these are the ones that are wanted.
fn stored_in(revision: &Revision, path: &[u8], digest: Digest) -> Option<Vec<u8>> {
    let repository = revision.repository();
    let name = [revision.commit.as_bytes(), b":", &repository.path(path)].concat();
    repository.content(&name).ok()?.filter(|bytes| Digest::of(bytes) == digest)
}
