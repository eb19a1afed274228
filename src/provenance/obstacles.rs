//! What stands in the way of writing a finding's files: links, directories, other repositories.

use crate::model::SubjectKind;
use crate::section::kind_of;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::places::{Places, as_path};
use super::undo_source::{Finder, NoSource, Wanted};
use crate::git::{End, Form, GitError, Mode};
use crate::model::{Digest, Finding, Holder, Kind, Value, joined};

impl Finder<'_> {
    /// The files that must be written, where nothing stands in the way of that; `attributes` are the files of attributes that
    /// move with any of the findings.
    pub(super) fn wanted<'f>(
        &self,
        places: &Places<'_>,
        finding: &'f Finding,
        attributes: &[Vec<u8>],
    ) -> Result<Wanted<'f>, NoSource> {
        if finding.place.starts_with(b"/") {
            return Err(NoSource::Outside);
        }
        if finding.parts.iter().any(|part| part.kind == Kind::Unreadable) {
            return Err(NoSource::Unread);
        }
        let to = places.find(&finding.place)?;
        self.links_are_committed(&finding.place)?;
        let is_module = kind_of(finding.subject.source) == Some(SubjectKind::Tree);
        if is_module && finding.parts.is_empty() {
            return Err(NoSource::Unlisted);
        }
        let files: Vec<(&[u8], &Value)> = if is_module {
            let parts = finding.parts.iter().filter(|part| part.expected != Value::Absent);
            parts.map(|part| (part.path.as_slice(), &part.expected)).collect()
        } else {
            vec![(&[][..], &finding.expected)]
        };
        let named = files.iter().map(|(inner, _)| joined(&to, inner));
        if named.chain([finding.place.clone()]).any(|path| path.ends_with(b"\n")) {
            return Err(NoSource::LineFeed);
        }
        // What moves with another file would decide how this one comes out.
        let is_alone = |path: &Vec<u8>| files.len() == 1 && *path == joined(&finding.place, files[0].0);
        let may_restore = self.passed_over.is_some() && attributes.iter().all(is_alone);
        let aside = if self.in_tree { self.aside(&to, &files, finding)? } else { Vec::new() };
        let wanted = Wanted { holders: self.holders(&to, finding), to, is_module, files, aside, may_restore };
        if wanted.has_links() && !may_restore {
            return Err(if self.in_tree { NoSource::LinkNotRestored } else { NoSource::LinkOnTarget });
        }
        let stands_on = |inner: &[u8]| {
            finding.parts.iter().any(|part| part.kind == Kind::Unexpected && is_below(&part.path, inner))
        };
        if !self.in_tree && wanted.files.iter().any(|(inner, _)| stands_on(inner)) {
            return Err(NoSource::DirectoryOnTarget);
        }
        Ok(wanted)
    }

    /// The commits to ask, what is checked out before all others.
    fn holders(&self, to: &[u8], finding: &Finding) -> Vec<Holder> {
        let head = Holder { commit: self.head.commit.clone(), path: to.to_vec() };
        let known = finding.provenance.iter().flat_map(|provenance| provenance.holders.iter().cloned());
        [head.clone()].into_iter().chain(known.filter(|holder| *holder != head)).collect()
    }

    /// Fails where a link on the way to a place is not as what is checked out has it: a link that was switched is to be
    /// switched back, and what lies behind it now is to be left alone.
    fn links_are_committed(&self, place: &[u8]) -> Result<(), NoSource> {
        let top = self.repository.top();
        let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
        let mut dir = self.root.to_owned();
        for name in place.split(|&b| b == b'/') {
            dir.push(OsStr::from_bytes(name));
            if !dir.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                continue;
            }
            let text = std::fs::read_link(&dir).unwrap_or_default();
            let above = dir.parent().and_then(|above| above.canonicalize().ok()).unwrap_or_default();
            let real = above.join(OsStr::from_bytes(name));
            let Ok(path) = real.strip_prefix(&top) else { continue };
            let path = path.as_os_str().as_bytes();
            let known = self.links.borrow().get(path).copied();
            let is_committed = match known {
                Some(known) => known,
                None => self.is_committed_link(path, text.as_os_str().as_bytes())?,
            };
            self.links.borrow_mut().insert(path.to_vec(), is_committed);
            if !is_committed {
                return Err(NoSource::OtherLink(path.to_vec()));
            }
        }
        Ok(())
    }

    fn is_committed_link(&self, path: &[u8], text: &[u8]) -> Result<bool, GitError> {
        let Some(listed) = self.committed.get(path) else {
            let inside = [path, b"/"].concat();
            let first = self.committed.range(inside.clone()..).next();
            return Ok(first.is_none_or(|(path, _)| !path.starts_with(&inside)));
        };
        let object = [listed.object.clone().into_bytes()];
        let (digests, end) = self.repository.digests(&object, Form::Stored, &self.limit)?;
        if end == End::Cut {
            return Err(GitError::Interrupted);
        }
        Ok(listed.mode == Mode::Link && digests == [Some(Digest::of(text))])
    }

    /// What stands in the way of the files: directories, and what is no directory above them. It is part of the finding,
    /// and is put aside; anything else that stands there is a reason to do nothing.
    fn aside(
        &self,
        to: &[u8],
        files: &[(&[u8], &Value)],
        finding: &Finding,
    ) -> Result<Vec<Vec<u8>>, NoSource> {
        let top = self.repository.top();
        let at = |path: &[u8]| top.join(as_path(path)).symlink_metadata().ok();
        let is_blocked = |path: &[u8]| at(path).is_some_and(|meta| !meta.is_dir());
        let is_module = kind_of(finding.subject.source) == Some(SubjectKind::Tree);
        let blocking = above(to).find(|path| is_blocked(path));
        if let Some(path) = blocking.or_else(|| (is_module && is_blocked(to)).then_some(to)) {
            return Err(NoSource::NoDirectory(path.to_vec()));
        }
        let mut aside: Vec<Vec<u8>> = Vec::new();
        for (inner, _) in files {
            let blocking = above(inner).find(|path| is_blocked(&joined(to, path)));
            let meta = at(&joined(to, inner));
            let is_directory = meta.as_ref().is_some_and(std::fs::Metadata::is_dir);
            let Some(path) = blocking.or_else(|| is_directory.then_some(*inner)) else {
                if meta.is_some_and(|meta| !meta.is_file() && !meta.is_symlink()) {
                    return Err(NoSource::NoFile);
                }
                continue;
            };
            if !is_module {
                return Err(NoSource::DirectoryInPlace);
            }
            if !aside.iter().any(|known| known == path) {
                aside.push(path.to_vec());
            }
        }
        Ok(aside)
    }
}

/// The directories above a path, the uppermost first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}
