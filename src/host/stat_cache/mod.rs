//! A cache of digests by stat: a file whose stat is that of an earlier scan is not read again.
//!
//! Trusted is a file whose device, inode, size, and both times to the nanosecond have not moved. Cached is only what
//! such a comparison can be relied on for: see [`StatCache::note`].

mod disk;
mod origin;
mod server;
mod store;
mod table;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, FileType, Stat as RawStat};

pub(super) use disk::CachedDisk;
pub use origin::ServerStart;
pub use server::ServerCache;
pub(super) use server::{StatWords, stat_words};
pub(super) use table::StatKey;
use table::{CacheTable, CachedFile, Header, written};

use super::Watch;
use super::read::{Links, ReadError, facts, hash_stated_at, kind_of};
use crate::control::held;
use crate::model::{Digest, Stat, lasting};

/// By how many seconds a file's times must be older than the look: file systems that count whole seconds, or two, exist,
/// and a change within one such step leaves no trace.
const GRAIN: i64 = 2;

/// The reason for a full scan: nothing is trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FullScanReason {
    /// It was asked for.
    #[error("it was asked for")]
    Asked,
    /// There is nothing to trust.
    #[error("no earlier look is remembered")]
    Nothing,
    /// There is something, and it cannot be read.
    #[error("what was remembered cannot be read: {0}")]
    Unreadable(String),
    /// The file belongs to somebody else, or is open to others.
    #[error("what was remembered is not a file of this user's alone")]
    Exposed,
    /// The file is not what was written.
    #[error("what was remembered is damaged")]
    Damaged,
    /// It tells of something else.
    #[error("what was remembered is of another machine, start of it, tree, user or version")]
    Foreign,
    /// The clock stands before the last look.
    #[error("the clock stands before the last look")]
    Ahead,
    /// A server does not tell one state of a file from another.
    #[error(
        "the server does not tell what has not moved: that needs find of GNU, and no exclude in [addons]"
    )]
    Untold,
    /// It is time again.
    #[error("the last one was {} ago", lasting(*.0))]
    Due(i64),
}

/// The file of a cache, and the rules for it.
#[derive(Debug, Clone)]
pub struct CachePolicy<'a> {
    /// The file.
    pub path: PathBuf,
    /// The project's root.
    pub root: &'a Path,
    /// The moment, before anything is read, in seconds since 1970.
    pub now: i64,
    /// After how many seconds everything is read again.
    pub full_every: i64,
}

/// The digests of earlier scans during one scan, and those that this one adds.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    header: Header,
    full_because: Option<FullScanReason>,
    known: CacheTable,
    trusted: Vec<AtomicBool>,
    fresh: Mutex<Vec<CachedFile>>,
    devices: Mutex<BTreeMap<u64, bool>>,
    counts: [AtomicU64; 2],
}

impl CachePolicy<'_> {
    /// Recalls what an earlier look has read, or why nothing of it can be trusted.
    #[must_use]
    pub fn recall(self) -> StatCache {
        let origin = origin::origin(self.root);
        self.recall_of(origin)
    }

    fn recall_of(self, origin: Option<Digest>) -> StatCache {
        let now = self.now;
        let recalled = store::read(&self.path).and_then(CacheTable::read);
        let usable = recalled.and_then(|(header, table)| {
            self.why_full(&header, origin).map_or(Ok((header.full_at, table)), Err)
        });
        match usable {
            Ok((full_at, table)) => self.begin(origin, full_at, table, None),
            Err(why) => self.begin(origin, now, CacheTable::default(), Some(why)),
        }
    }

    /// Trusts nothing, and remembers what is read.
    #[must_use]
    pub fn renew(self) -> StatCache {
        let origin = origin::origin(self.root);
        self.renew_of(origin)
    }

    fn renew_of(self, origin: Option<Digest>) -> StatCache {
        let now = self.now;
        self.begin(origin, now, CacheTable::default(), Some(FullScanReason::Asked))
    }

    fn why_full(&self, header: &Header, origin: Option<Digest>) -> Option<FullScanReason> {
        let age = self.now.saturating_sub(header.full_at);
        if Some(header.origin) != origin {
            Some(FullScanReason::Foreign)
        } else if self.now < header.looked_at {
            Some(FullScanReason::Ahead)
        } else {
            (age >= self.full_every).then_some(FullScanReason::Due(age))
        }
    }

    fn begin(
        self,
        origin: Option<Digest>,
        full_at: i64,
        known: CacheTable,
        why: Option<FullScanReason>,
    ) -> StatCache {
        // What cannot be told apart from others is never written, so the origin does not matter then.
        let (path, now) = (origin.map(|_| self.path).unwrap_or_default(), self.now);
        let origin = origin.unwrap_or_else(|| Digest::of(b""));
        StatCache {
            path,
            header: Header { origin, full_at, looked_at: now },
            full_because: why,
            trusted: (0..known.len()).map(|_| AtomicBool::new(false)).collect(),
            known,
            fresh: Mutex::default(),
            devices: Mutex::default(),
            counts: Default::default(),
        }
    }
}

impl StatCache {
    /// The number of files that were read so far, and of those that were trusted.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let [read, trusted] = &self.counts;
        (read.load(Ordering::Relaxed), trusted.load(Ordering::Relaxed))
    }

    /// When the last full look began, in seconds since 1970: this one, if it is one.
    #[must_use]
    pub fn full_at(&self) -> i64 {
        self.header.full_at
    }

    /// The reason why nothing is trusted; none where something may be.
    #[must_use]
    pub fn full_because(&self) -> Option<&FullScanReason> {
        self.full_because.as_ref()
    }

    /// Remembers for the next look what this one has met, unless that is what the earlier one has written. What it has
    /// not met is forgotten.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is then untouched.
    pub fn keep(&self) -> std::io::Result<()> {
        let fresh = held(&self.fresh);
        let is_trusted = |at: &usize| self.trusted[*at].load(Ordering::Relaxed);
        let still: Vec<usize> = (0..self.known.len()).filter(is_trusted).collect();
        let is_as_before = fresh.is_empty() && still.len() == self.known.len();
        if self.path.as_os_str().is_empty() || (is_as_before && self.full_because.is_none()) {
            return Ok(());
        }
        let entries = still.into_iter().map(|at| self.known.entry(at)).chain(fresh.iter().copied());
        store::write(&self.path, &written(&self.header, entries.collect()))
    }

    /// The digest of a file, remembered or read. What stands there now decides: a link or a directory is never trusted.
    fn hash(
        &self,
        dir: impl AsFd,
        path: &[u8],
        links: Links,
        watch: &Watch,
    ) -> Result<(Digest, Stat), ReadError> {
        let flags = if links == Links::Refuse { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        if let Ok(stat) = rustix::fs::statat(&dir, path, flags)
            && let Some(digest) = self.trusts(&stat)
        {
            return Ok((digest, facts(&stat)));
        }
        let (digest, stat) = hash_stated_at(&dir, path, links, watch)?;
        self.note(&stat, digest, || store::keeps_times(&dir, path, stat.st_dev));
        Ok((digest, facts(&stat)))
    }

    /// The position of a file of this stat among those that are known, and its digest; not trusted yet.
    pub(super) fn known(&self, key: &StatKey) -> Option<(usize, Digest)> {
        let at = self.known.find(key)?;
        Some((at, self.known.entry(at).1))
    }

    /// Takes a file for what is known of it.
    pub(super) fn trust(&self, at: usize) {
        self.trusted[at].store(true, Ordering::Relaxed);
        self.counts[1].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a file of a server that was read.
    pub(super) fn count_read(&self) {
        self.counts[0].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a file of a server that was read between two equal stats, by a look that began at this moment of the server's clock.
    pub(super) fn note_of_server(&self, told: &StatWords, digest: Digest, began: i64) {
        if told.keeps_times && told.key.is_settled(began.min(self.header.looked_at)) {
            held(&self.fresh).push((told.key, digest));
        }
    }

    fn trusts(&self, stat: &RawStat) -> Option<Digest> {
        if kind_of(stat) != FileType::RegularFile {
            return None;
        }
        let (at, digest) = self.known(&StatKey::of(stat))?;
        self.trust(at);
        Some(digest)
    }

    /// Notes a file that was read, unless a change of it might leave no trace: one that is younger than the clock's grain
    /// or dated into the future, and any on a file system that does not set a time with every change.
    fn note(&self, stat: &RawStat, digest: Digest, keeps_times: impl FnOnce() -> bool) {
        self.counts[0].fetch_add(1, Ordering::Relaxed);
        let print = StatKey::of(stat);
        let is_sure = || *held(&self.devices).entry(stat.st_dev).or_insert_with(keeps_times);
        if print.is_settled(self.header.looked_at) && is_sure() {
            held(&self.fresh).push((print, digest));
        }
    }
}

/// What earlier checks of a place have read.
#[derive(Debug, Clone)]
pub enum Remembered {
    /// On this machine's disks.
    Here(Arc<StatCache>),
    /// On those of a server.
    There(Arc<ServerCache>),
}

impl Remembered {
    /// The cache; none of a server that has not said yet which start it is.
    #[must_use]
    pub fn cache(&self) -> Option<&StatCache> {
        match self {
            Self::Here(cache) => Some(cache),
            Self::There(cache) => cache.begun(),
        }
    }

    /// The reason why everything is read.
    #[must_use]
    pub fn full_because(&self) -> Option<&FullScanReason> {
        match self {
            Self::Here(cache) => cache.full_because(),
            Self::There(cache) => cache.full_because(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_has_taken_the_place_of_a_file_is_not_followed_to_what_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "1").unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        let opened = std::fs::File::open(dir.path()).unwrap();
        let changed = rustix::fs::stat(&path).unwrap().st_ctime;
        let recalled = |now: i64| {
            let place = dir.path().join("state");
            CachePolicy { path: place, root: dir.path(), now, full_every: 100 }.recall()
        };
        let hash = |remembered: &StatCache, name: &str, links: Links| {
            remembered.hash(&opened, name.as_bytes(), links, &Watch::default()).map(|(digest, _)| digest)
        };
        let first = recalled(changed + 10);
        assert_eq!(hash(&first, "file", Links::Refuse), Ok(Digest::of(b"1")));
        first.keep().unwrap();
        let second = recalled(changed + 11);
        assert_eq!(hash(&second, "file", Links::Refuse), Ok(Digest::of(b"1")));
        assert_eq!(hash(&second, "link", Links::Follow), Ok(Digest::of(b"1")));
        assert_eq!(second.counts(), (0, 2));
        assert_eq!(hash(&second, "link", Links::Refuse), Err(ReadError::Changed));
    }
}
