//! Other forms of what stood at files: other line ends, what a checkout writes, what an archive holds, what a pointer names.

use std::collections::{BTreeMap, BTreeSet};

use super::guise::{BlobAt, Guise};
use super::search::{Search, Sought};
use super::tree::Standing;
use crate::git::{End, Ends, Form, Mode};
use crate::model::{Digest, Value};

/// How many commits' archives are looked into.
const ARCHIVES: usize = 60;
/// How many commits are candidates for that.
const CANDIDATES: usize = 400;
/// How many blobs are read for pointers.
const POINTERS: usize = 50;
/// The longest text that is taken for a pointer of Git LFS.
const POINTER: usize = 1024;

/// The directories above a path, and itself.
fn up(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cuts = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at]);
    cuts.chain([path])
}

impl Search<'_> {
    /// Asks what becomes of the files that differ, and how what the baseline's commit has comes out here.
    pub(super) fn look_at_attributes(&mut self, sought: &[Sought]) {
        let mut paths = BTreeSet::new();
        for one in sought {
            for (path, ..) in one.files() {
                paths.insert(path);
            }
            paths.insert(one.path.clone());
        }
        self.learn_attributes(&paths);
        let files = sought.iter().flat_map(Sought::files).map(|(path, ..)| path);
        let is_changed = |path: &Vec<u8>| {
            let attributes = self.attributes_of(path);
            attributes.is_converted || attributes.has_filter
        };
        let files: BTreeSet<Vec<u8>> = files.filter(is_changed).collect();
        let bases: Vec<String> =
            [&self.base, &self.head].into_iter().flatten().map(|it| it.id.clone()).collect();
        let asked = bases.iter().flat_map(|base| files.iter().map(|path| (base.clone(), path.clone())));
        let asked: Vec<(String, Vec<u8>)> = asked.collect();
        self.trees.stand(self.repository, &asked, &self.limit);
        let there = asked.iter().filter_map(|(base, path)| match self.trees.standing(base, path) {
            Standing::Object(blob) => Some((blob.to_owned(), path.clone())),
            _ => None,
        });
        let there: Vec<BlobAt> = there.collect();
        self.learn_pointers(&there);
        self.learn_checked_out(there, false);
    }

    /// Asks for the attributes of those of `paths` of which they are not known. `true` when there were any.
    pub(super) fn learn_attributes(&mut self, paths: &BTreeSet<Vec<u8>>) -> bool {
        // What is said of a directory holds of all that is in it.
        let all: BTreeSet<Vec<u8>> = paths.iter().flat_map(|path| up(path)).map(<[u8]>::to_vec).collect();
        let new: Vec<Vec<u8>> = all.into_iter().filter(|path| !self.attributes.contains_key(path)).collect();
        if new.is_empty() {
            return false;
        }
        let attributes = self.repository.attributes(&new, &self.limit).unwrap_or_default();
        self.attributes.extend(new.into_iter().zip(attributes));
        true
    }

    /// Whether an archive leaves out a file, as far as it is known.
    pub(super) fn is_left_out(&self, path: &[u8]) -> bool {
        up(path).any(|path| self.attributes_of(path).is_left_out)
    }

    /// Computes the other forms of all that stood at these files; not of what an archive holds. `true` when there were any
    /// that were not known.
    pub(super) fn learn_forms(&mut self, lost: &BTreeSet<Vec<u8>>) -> bool {
        let mut files = Vec::new();
        for path in lost {
            for (_, touch) in
                self.touches(path).into_iter().filter(|(_, touch)| touch.mode == Some(Mode::File))
            {
                let file = (touch.step, (touch.object.clone(), path.clone()));
                files.push(file);
            }
        }
        // The newest first, as far as the time goes.
        files.sort();
        let blobs: Vec<&str> = files.iter().map(|(_, (blob, _))| blob.as_str()).collect();
        let known = self.digests.count();
        self.digests.learn_forms(self.repository, &blobs, &self.limit);
        let is_new = self.digests.count() > known;
        let files: Vec<BlobAt> = files.into_iter().map(|(_, file)| file).collect();
        self.learn_pointers(&files);
        self.learn_checked_out(files, false) || is_new
    }

    /// Computes what a checkout writes of these: of all, or of those that it may convert here. `true` when there were any
    /// new ones.
    pub(super) fn learn_checked_out(&mut self, files: Vec<BlobAt>, is_elsewhere: bool) -> bool {
        let mut new = BTreeSet::new();
        let is_new = |(blob, path): &BlobAt| {
            let attributes = self.attributes_of(path);
            let is_known =
                || self.guises.of(blob, path).iter().any(|(guise, _)| matches!(guise, Guise::CheckedOut(_)));
            (attributes.is_converted || is_elsewhere)
                && !attributes.has_filter
                && !is_known()
                && new.insert((blob.clone(), path.clone()))
        };
        let files: Vec<BlobAt> = files.into_iter().filter(is_new).collect();
        let asked: Vec<(&str, &[u8])> =
            files.iter().map(|(blob, path)| (blob.as_str(), path.as_slice())).collect();
        for ends in if asked.is_empty() { &[][..] } else { &Ends::ALL } {
            let Ok((digests, end)) = self.repository.checked_out(&asked, *ends, &self.limit) else {
                continue;
            };
            self.digests.was_cut |= end == End::Cut;
            for ((blob, path), digest) in asked.iter().zip(digests) {
                if let Some(digest) = digest {
                    self.guises.add(blob, path, Guise::CheckedOut(*ends), digest);
                }
            }
        }
        !files.is_empty()
    }

    /// Reads what pointers of Git LFS name.
    fn learn_pointers(&mut self, files: &[BlobAt]) {
        for (blob, path) in files
            .iter()
            .filter(|(_, path)| self.attributes.get(path).is_some_and(|it| it.has_filter))
            .take(POINTERS)
        {
            let is_known = self.guises.of(blob, path).iter().any(|(guise, _)| *guise == Guise::Fetched);
            if is_known || self.limit.is_over() {
                continue;
            }
            let is_short = self
                .repository
                .object(blob.as_bytes())
                .is_ok_and(|it| it.is_some_and(|it| it.size < POINTER as u64));
            let text = is_short.then(|| self.repository.content(blob.as_bytes()).ok().flatten()).flatten();
            if let Some(digest) = text.as_deref().and_then(named_by_pointer) {
                self.guises.add(blob, path, Guise::Fetched, digest);
            }
        }
    }

    /// Looks into archives of commits for files in which git fills in what the commit is: of what the baseline is of and
    /// what is checked out before others. `true` when something was found.
    pub(super) fn look_into_archives(&mut self, sought: &[Sought]) -> bool {
        let mut wanted: BTreeMap<Vec<u8>, BTreeSet<Digest>> = BTreeMap::new();
        for (path, expected, actual) in sought.iter().flat_map(Sought::files) {
            let attributes = self.attributes_of(&path);
            if !attributes.is_substituted || attributes.has_filter {
                continue;
            }
            let lost = [expected, actual].into_iter().filter(|value| self.matches(&path, value).is_empty());
            let lost =
                lost.filter_map(|value| if let Value::Digest(digest) = value { Some(*digest) } else { None });
            wanted.entry(path.clone()).or_default().extend(lost);
        }
        wanted.retain(|_, lost| !lost.is_empty());
        let mut commits: Vec<String> =
            [&self.base, &self.head].into_iter().flatten().map(|it| it.id.clone()).collect();
        let Some(like) = commits.first().cloned().filter(|_| !wanted.is_empty()) else { return false };
        commits.extend(self.record.commits.iter().map(|commit| commit.id.clone()));
        commits.extend(self.graph.newest(CANDIDATES, &like));
        let mut known = BTreeSet::new();
        commits.retain(|commit| known.insert(commit.clone()));
        let asked = commits.iter().flat_map(|it| wanted.keys().map(|path| (it.clone(), path.clone())));
        let asked: Vec<(String, Vec<u8>)> = asked.collect();
        self.trees.stand(self.repository, &asked, &self.limit);
        let forms = [&[Form::Stored], &Form::OTHERS[..]].concat();
        let (mut left, mut has_found) = (ARCHIVES, false);
        for (commit, path) in asked {
            let Some(lost) = wanted.get_mut(&path).filter(|lost| !lost.is_empty()) else { continue };
            let Standing::Object(blob) = self.trees.standing(&commit, &path) else { continue };
            if left == 0 || self.limit.is_over() {
                self.digests.was_cut = true;
                return has_found;
            }
            left -= 1;
            let archived = self.repository.archived(&commit, &path, &forms, &self.limit);
            for (form, digest) in archived.into_iter().flatten().flat_map(|it| forms.iter().zip(it)) {
                let Some(digest) = digest.filter(|digest| lost.remove(digest)) else { continue };
                self.guises.add(blob, &path, Guise::Archived(*form), digest);
                has_found = true;
            }
        }
        let is_whole =
            self.graph.len() <= CANDIDATES && self.graph.end == End::Whole && !self.setting.is_shallow;
        let searched = wanted.into_keys().filter(|path| is_whole && !self.has_passing_fact(path));
        self.archives_searched = searched.collect();
        has_found
    }

    /// Whether an archive fills in what is of the day on which it is made: branches, tags, notes and signatures.
    fn has_passing_fact(&self, path: &[u8]) -> bool {
        let blobs = self.blobs_at(&[path.to_vec()].into());
        blobs.into_iter().any(|blob| {
            let text = self.repository.content(blob.as_bytes()).ok().flatten();
            text.is_none_or(|text| {
                text.windows(2).any(|it| it[0] == b'%' && matches!(it[1], b'd' | b'D' | b'(' | b'N' | b'G'))
            })
        })
    }
}

/// The SHA-256 that a pointer of Git LFS names.
fn named_by_pointer(text: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with("version https://"))?;
    let hex = text.lines().find_map(|line| line.strip_prefix("oid sha256:"))?;
    Digest::parse(hex.as_bytes())
}
