//! The cache of a server: its clock and its start count, which it tells before anything else, and so do its stats as find prints them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::origin::{self, ServerStart};
use super::store;
use super::table::{CacheTable, StatKey};
use super::{CachePolicy, FullScanReason, StatCache};

/// The cache of a server, which begins when the server has said which start it is.
#[derive(Debug)]
pub struct ServerCache {
    path: PathBuf,
    place: Vec<u8>,
    full_every: i64,
    renews: bool,
    begun: OnceLock<(ServerStart, StatCache)>,
}

impl ServerCache {
    /// The cache in a file, of a place that is told apart from others by `place`; where it `renews`, nothing is trusted.
    #[must_use]
    pub fn new(path: PathBuf, place: Vec<u8>, full_every: i64, renews: bool) -> Self {
        Self { path, place, full_every, renews, begun: OnceLock::new() }
    }

    /// Begins, where nothing has begun it; `None` where another start of the server did, or another machine.
    pub(in crate::host) fn begin(&self, told: &ServerStart) -> Option<&StatCache> {
        let (start, cache) = self.begun.get_or_init(|| {
            let policy = CachePolicy {
                path: self.path.clone(),
                root: Path::new(""),
                now: told.clock,
                full_every: self.full_every,
            };
            let origin = origin::of_server(&self.place, told);
            let cache = if self.renews { policy.renew_of(origin) } else { policy.recall_of(origin) };
            (told.clone(), cache)
        });
        (ServerStart { clock: start.clock, ..told.clone() } == *start).then_some(cache)
    }

    /// Whether anything may be trusted; before the server has said anything, whether there is anything.
    pub(in crate::host) fn recalls(&self) -> bool {
        let is_any = || store::read(&self.path).and_then(CacheTable::read).is_ok_and(|(_, it)| it.len() > 0);
        !self.renews && self.begun().map_or_else(is_any, |cache| cache.full_because().is_none())
    }

    /// The cache, where it has begun.
    #[must_use]
    pub fn begun(&self) -> Option<&StatCache> {
        self.begun.get().map(|(_, cache)| cache)
    }

    /// The reason why everything is read.
    #[must_use]
    pub fn full_because(&self) -> Option<&FullScanReason> {
        self.begun().map_or(Some(&FullScanReason::Untold), StatCache::full_because)
    }
}

/// The stat of a file as a server tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct StatWords {
    /// The key.
    pub(in crate::host) key: StatKey,
    /// Whether its disk sets a time with every change.
    pub(in crate::host) keeps_times: bool,
}

/// Reads `DEVICE:INODE:SIZE:MTIME:CTIME:FILESYSTEM`, times with nine or more digits behind the point; `None` where it is none,
/// or from before 1970: such a file is read.
pub(in crate::host) fn stat_words(text: &[u8]) -> Option<StatWords> {
    let fields: Vec<&[u8]> = text.split(|&b| b == b':').collect();
    let [device, inode, size, modified, changed, system] = fields[..] else { return None };
    let number = |digits: &[u8]| {
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse::<u64>().ok()
    };
    let time = |text: &[u8]| {
        let point = text.iter().position(|&b| b == b'.')?;
        let (whole, rest) = (number(&text[..point])?, &text[point + 1..]);
        number(rest)?;
        Some([whole, number(rest.get(..9)?)?])
    };
    let ([modified, modified_rest], [changed, changed_rest]) = (time(modified)?, time(changed)?);
    let words =
        [number(device)?, number(inode)?, number(size)?, modified, modified_rest, changed, changed_rest];
    Some(StatWords { key: StatKey::of_words(words), keeps_times: store::is_sure(system) })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::model::Digest;

    #[test]
    fn the_words_of_find_are_those_of_stat() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let form = ["-type", "f", "-printf", "%D:%i:%s:%T@:%C@:%F"];
        let told = Command::new("find").arg(dir.path()).args(form).output().unwrap().stdout;
        let words = stat_words(&told).unwrap();
        assert_eq!(words.key, StatKey::of(&rustix::fs::stat(dir.path().join("f")).unwrap()));
        for odd in [
            "",
            "1:2:3:4:5:ext4",
            "1:2:3:-4.000000000:5.000000000:ext4",
            "1:2:3:4.00000000:5.000000000:ext4",
            "1:2:3:4.000000000:5.000000000:ext4:x",
            "1:+2:3:4.000000000:5.000000000:ext4",
            "1:2:3:4.00000000x:5.000000000:ext4",
        ] {
            assert_eq!(stat_words(odd.as_bytes()), None, "{odd}");
        }
        let of = |system: &str| {
            stat_words(format!("1:2:3:4.0000000000:5.0000000000:{system}").as_bytes()).unwrap()
        };
        assert!(of("ext4").keeps_times && !of("nfs4").keeps_times && !of("fuse.sshfs").keeps_times);
    }

    #[test]
    fn what_another_start_or_user_or_clock_has_seen_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remembered");
        let start = |clock: i64, boot: &str, user: &str| ServerStart {
            clock,
            boot: boot.into(),
            machine: b"m".to_vec(),
            user: user.into(),
        };
        let cache = |place: &str, renews: bool| ServerCache::new(path.clone(), place.into(), 100, renews);
        let words = stat_words(b"1:2:3:4.000000000:5.000000000:ext4").unwrap();
        let digest = Digest::of(b"x");
        let first = cache("a", false);
        assert_eq!(first.full_because(), Some(&FullScanReason::Untold));
        let begun = first.begin(&start(1000, "b", "0")).unwrap();
        assert_eq!(begun.full_because(), Some(&FullScanReason::Nothing));
        begun.note_of_server(&words, digest, 1000);
        // Neither one that is too young, nor one on a disk that keeps no times.
        let young = stat_words(b"1:3:3:4.000000000:999.000000000:ext4").unwrap();
        begun.note_of_server(&young, digest, 1000);
        begun.note_of_server(&stat_words(b"1:4:3:4.000000000:5.000000000:nfs").unwrap(), digest, 1000);
        assert!(first.begin(&start(1001, "c", "0")).is_none(), "it was started anew meanwhile");
        begun.keep().unwrap();
        let known = |place: &str, renews: bool, told: &ServerStart| {
            let cache = cache(place, renews);
            let begun = cache.begin(told).unwrap();
            (begun.known(&words.key).map(|(_, digest)| digest), begun.full_because().cloned())
        };
        assert_eq!(known("a", false, &start(1050, "b", "0")), (Some(digest), None));
        let foreign = (None, Some(FullScanReason::Foreign));
        assert_eq!(known("b", false, &start(1050, "b", "0")), foreign);
        assert_eq!(known("a", false, &start(1050, "c", "0")), foreign);
        assert_eq!(known("a", false, &start(1050, "b", "1")), foreign);
        assert_eq!(known("a", false, &start(1050, "", "0")), foreign);
        assert_eq!(known("a", false, &start(999, "b", "0")), (None, Some(FullScanReason::Ahead)));
        assert_eq!(known("a", false, &start(1100, "b", "0")), (None, Some(FullScanReason::Due(100))));
        assert_eq!(known("a", true, &start(1050, "b", "0")), (None, Some(FullScanReason::Asked)));
        let again = cache("a", false);
        let begun = again.begin(&start(1050, "b", "0")).unwrap();
        assert!(begun.known(&young.key).is_none());
        begun.trust(begun.known(&words.key).unwrap().0);
        assert_eq!(begun.counts(), (0, 1));
    }
}
