//! The SHA-256 of blobs: read from git at most once, remembered between runs, and never believed unread.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::cache::Cache;
use crate::git::{End, Form, Limit, Repository};
use crate::model::Digest;

/// What is known of blobs.
pub(super) struct Digests {
    cache: Cache,
    /// From the disk; taken back when one of them proves wrong.
    remembered: HashMap<String, Digest>,
    read: HashMap<(String, Form), Option<Digest>>,
    /// Whether the time was over before all that was asked for was read.
    pub(super) was_cut: bool,
}

impl Digests {
    pub(super) fn new(cache: Option<&Path>) -> Self {
        let cache = Cache::read(cache);
        Self { remembered: cache.all(), cache, read: HashMap::new(), was_cut: false }
    }

    /// The digest of a blob in a form; `None` where it is not known.
    pub(super) fn get(&self, blob: &str, form: Form) -> Option<Digest> {
        let read = self.read.get(&(blob.to_owned(), form)).copied();
        let stored = || self.remembered.get(blob).copied().filter(|_| form == Form::Stored);
        read.unwrap_or_else(stored)
    }

    /// Whether a blob was asked for, and git could not give it.
    pub(super) fn is_unreadable(&self, blob: &str) -> bool {
        self.read.get(&(blob.to_owned(), Form::Stored)) == Some(&None)
    }

    /// Reads those of `blobs`, in their order, that are not known yet. A remembered one that is among `wanted`, so that
    /// a verdict might stand on it, is read again; when it was wrong, nothing remembered is believed any more.
    pub(super) fn learn(
        &mut self,
        repository: &Repository,
        blobs: &[&str],
        form: Form,
        wanted: &dyn Fn(Digest) -> bool,
        limit: &Limit<'_>,
    ) {
        let mut again: Vec<&str> = Vec::new();
        let mut fresh: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        for blob in blobs.iter().copied().filter(|blob| seen.insert(*blob)) {
            if self.read.contains_key(&(blob.to_owned(), form)) {
                continue;
            }
            match self.remembered.get(blob).filter(|_| form == Form::Stored) {
                Some(digest) if wanted(*digest) => again.push(blob),
                Some(_) => {}
                None => fresh.push(blob),
            }
        }
        let believed: Vec<Option<Digest>> =
            again.iter().map(|blob| self.remembered.get(*blob).copied()).collect();
        self.ask(repository, &again, form, limit);
        let is_right = |(blob, believed): (&&str, &Option<Digest>)| {
            self.read.get(&((*blob).to_owned(), form)).is_none_or(|read| read == believed)
        };
        if !again.iter().zip(&believed).all(is_right) {
            self.remembered.clear();
            self.cache.clear();
            return self.learn(repository, blobs, form, wanted, limit);
        }
        self.ask(repository, &fresh, form, limit);
    }

    /// Reads all other forms of those of `blobs` of which they are not known yet.
    pub(super) fn learn_forms(&mut self, repository: &Repository, blobs: &[&str], limit: &Limit<'_>) {
        let mut seen = HashSet::new();
        let mut new = blobs.to_vec();
        new.retain(|blob| {
            seen.insert(*blob) && !self.read.contains_key(&((*blob).to_owned(), Form::LineFeeds))
        });
        if new.is_empty() {
            return;
        }
        let names: Vec<Vec<u8>> = new.iter().map(|blob| blob.as_bytes().to_vec()).collect();
        let Ok((digests, end)) = repository.digests_in(&names, &Form::OTHERS, limit) else {
            self.was_cut = true;
            return;
        };
        self.was_cut |= end == End::Cut;
        for (blob, digests) in new.iter().zip(digests) {
            let each = Form::OTHERS.into_iter().zip(digests);
            self.read.extend(each.map(|(form, digest)| (((*blob).to_owned(), form), digest)));
        }
    }

    fn ask(&mut self, repository: &Repository, blobs: &[&str], form: Form, limit: &Limit<'_>) {
        if blobs.is_empty() {
            return;
        }
        let names: Vec<Vec<u8>> = blobs.iter().map(|blob| blob.as_bytes().to_vec()).collect();
        let Ok((digests, end)) = repository.digests(&names, form, limit) else {
            self.was_cut = true;
            return;
        };
        self.was_cut |= end == End::Cut;
        for (blob, digest) in blobs.iter().zip(digests) {
            // After a cut it is not known which were not there and which were not reached.
            if digest.is_some() || end != End::Cut {
                self.read.insert(((*blob).to_owned(), form), digest);
            }
            if let Some(digest) = digest.filter(|_| form == Form::Stored)
                && self.remembered.insert((*blob).to_owned(), digest).is_none()
            {
                self.cache.add(blob, digest);
            }
        }
    }

    /// How much was read.
    pub(super) fn count(&self) -> usize {
        self.read.len()
    }

    /// Keeps what was read for the next run.
    pub(super) fn keep(&self) {
        self.cache.write();
    }
}
