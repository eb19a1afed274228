//! The bytes that are kept of a look: strict to read, searched where they lie.
//!
//! A header, an entry of 88 bytes for each file, sorted by device and inode, and SHA-256 over all of it. Numbers are
//! big-endian, so that keys compare as bytes do.

use rustix::fs::Stat as RawStat;

use super::{FullScanReason, GRAIN};
use crate::model::Digest;

/// The first bytes; the number is that of the format.
const MAGIC: &[u8; 16] = b"driftlock seen 1";
/// Magic, origin, two moments and the number of entries.
const HEADER: usize = MAGIC.len() + DIGEST + 3 * WORD;
/// A number.
const WORD: usize = 8;
/// A digest.
const DIGEST: usize = 32;
/// Device, inode, size, and two times of two numbers each.
const PRINT: usize = 7 * WORD;
/// Of these the device and the inode.
const KEY: usize = 2 * WORD;
/// One entry: the print and the digest.
const ENTRY: usize = PRINT + DIGEST;

/// The stat of a file: as long as all of it stands still, so does the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) struct StatKey([u8; PRINT]);

/// A file that was read: what the system kept about it, and the digest.
pub(super) type CachedFile = (StatKey, Digest);

/// The place and the time of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which machine, tree, user and version looked.
    pub(super) origin: Digest,
    /// When the last full look began, in seconds since 1970.
    pub(super) full_at: i64,
    /// When this one did.
    pub(super) looked_at: i64,
}

/// The entries of an earlier look, sorted.
#[derive(Debug, Default)]
pub(super) struct CacheTable {
    bytes: Vec<u8>,
    count: usize,
}

impl StatKey {
    /// The key of a `stat`.
    pub(super) fn of(stat: &RawStat) -> Self {
        let words: [[u8; WORD]; 7] = [
            stat.st_dev.to_be_bytes(),
            stat.st_ino.to_be_bytes(),
            stat.st_size.to_be_bytes(),
            stat.st_mtime.to_be_bytes(),
            stat.st_mtime_nsec.to_be_bytes(),
            stat.st_ctime.to_be_bytes(),
            stat.st_ctime_nsec.to_be_bytes(),
        ];
        let mut print = [0; PRINT];
        print.copy_from_slice(words.as_flattened());
        Self(print)
    }

    /// The key of device, inode, size, and the two times in seconds and nanoseconds.
    pub(super) fn of_words(words: [u64; 7]) -> Self {
        let mut print = [0; PRINT];
        print.copy_from_slice(words.map(u64::to_be_bytes).as_flattened());
        Self(print)
    }

    /// Its device and inode.
    pub(super) fn key(&self) -> &[u8] {
        &self.0[..KEY]
    }

    /// Whether both its times are clearly older than `moment`: what changes the file from then on gives it another one.
    pub(super) fn is_settled(&self, moment: i64) -> bool {
        let is_old = |word: usize| signed(&self.0, word * WORD).saturating_add(GRAIN) < moment;
        is_old(3) && is_old(5)
    }
}

impl CacheTable {
    /// Reads bytes that [`written`] has made, all of them or none.
    pub(super) fn read(bytes: Vec<u8>) -> Result<(Header, Self), FullScanReason> {
        let covered = bytes.len().checked_sub(DIGEST).ok_or(FullScanReason::Damaged)?;
        let (content, check) = bytes.split_at(covered);
        let is_whole = content.starts_with(MAGIC) && content.len() >= HEADER;
        if !is_whole || Digest::of(content).bytes() != check {
            return Err(FullScanReason::Damaged);
        }
        let words = MAGIC.len() + DIGEST;
        let header = Header {
            origin: digest(content, MAGIC.len()),
            full_at: signed(content, words),
            looked_at: signed(content, words + WORD),
        };
        let count =
            usize::try_from(signed(content, words + 2 * WORD)).map_err(|_| FullScanReason::Damaged)?;
        if count.checked_mul(ENTRY) != Some(content.len() - HEADER) {
            return Err(FullScanReason::Damaged);
        }
        let table = Self { bytes, count };
        if table.is_sound(&header) { Ok((header, table)) } else { Err(FullScanReason::Damaged) }
    }

    /// Whether what is written in it can have been: in order, and of files that were settled when they were read.
    fn is_sound(&self, header: &Header) -> bool {
        let mut before: Option<StatKey> = None;
        (0..self.count).all(|at| {
            let (print, _) = self.entry(at);
            let is_next = before.is_none_or(|before| before.key() < print.key());
            before = Some(print);
            is_next && print.is_settled(header.looked_at)
        }) && header.full_at <= header.looked_at
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The entry at a position below [`CacheTable::len`].
    pub(super) fn entry(&self, at: usize) -> CachedFile {
        let mut print = [0; PRINT];
        print.copy_from_slice(&self.bytes[HEADER + at * ENTRY..][..PRINT]);
        (StatKey(print), digest(&self.bytes, HEADER + at * ENTRY + PRINT))
    }

    /// The position of the entry that tells of the same file as it is now.
    pub(super) fn find(&self, print: &StatKey) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let there = &self.bytes[HEADER + middle * ENTRY..][..PRINT];
            match there[..KEY].cmp(print.key()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return (there == print.0).then_some(middle),
            }
        }
        None
    }
}

/// The bytes that are kept. Of entries that contradict each other none is.
pub(super) fn written(header: &Header, mut entries: Vec<CachedFile>) -> Vec<u8> {
    entries.sort_unstable();
    entries.dedup();
    let is_alone = |group: &&[CachedFile]| group.len() == 1;
    let kept = entries.chunk_by(|a, b| a.0.key() == b.0.key()).filter(is_alone).flatten();
    let kept: Vec<&CachedFile> = kept.collect();
    let mut bytes = Vec::with_capacity(HEADER + kept.len() * ENTRY + DIGEST);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(header.origin.bytes());
    for word in [header.full_at, header.looked_at, i64::try_from(kept.len()).unwrap_or(-1)] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    for (print, digest) in kept {
        bytes.extend_from_slice(&print.0);
        bytes.extend_from_slice(digest.bytes());
    }
    let check = Digest::of(&bytes);
    bytes.extend_from_slice(check.bytes());
    bytes
}

fn signed(bytes: &[u8], at: usize) -> i64 {
    let mut word = [0; WORD];
    word.copy_from_slice(&bytes[at..][..WORD]);
    i64::from_be_bytes(word)
}

fn digest(bytes: &[u8], at: usize) -> Digest {
    let mut raw = [0; DIGEST];
    raw.copy_from_slice(&bytes[at..][..DIGEST]);
    Digest::from_bytes(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: fn() -> Header = || Header { origin: Digest::of(b"here"), full_at: 900, looked_at: 1000 };

    fn print(ino: u64, ctime: i64) -> StatKey {
        let words = [1, ino, 5, 0, 0, ctime.cast_unsigned(), 7];
        let mut print = [0; PRINT];
        print.copy_from_slice(words.map(u64::to_be_bytes).as_flattened());
        StatKey(print)
    }

    fn some() -> Vec<u8> {
        let entry = |ino| (print(ino, 10), Digest::of(&[u8::try_from(ino).unwrap()]));
        written(&HEAD(), vec![entry(3), entry(1), entry(2), entry(1)])
    }

    /// The bytes with another checksum that is right.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - DIGEST);
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(check.bytes());
        bytes
    }

    #[test]
    fn what_is_written_is_found_again_and_nothing_else() {
        let (header, table) = CacheTable::read(some()).unwrap();
        assert_eq!((header, table.len()), (HEAD(), 3));
        for ino in 1..=3 {
            let at = table.find(&print(ino, 10)).unwrap();
            assert_eq!(table.entry(at).1, Digest::of(&[u8::try_from(ino).unwrap()]));
            assert_eq!(table.find(&print(ino, 11)), None);
        }
        assert_eq!((table.find(&print(0, 10)), table.find(&print(4, 10))), (None, None));
        let none = CacheTable::read(written(&HEAD(), Vec::new())).unwrap().1;
        assert_eq!(none.find(&print(1, 10)), None);
    }

    #[test]
    fn each_byte_that_is_lost_or_flipped_is_noticed() {
        let good = some();
        for length in 0..good.len() {
            assert_eq!(
                CacheTable::read(good[..length].to_vec()).unwrap_err(),
                FullScanReason::Damaged,
                "{length}"
            );
        }
        assert!(CacheTable::read([good.as_slice(), b"x"].concat()).is_err());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(CacheTable::read(bad).unwrap_err(), FullScanReason::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn what_nobody_can_have_written_is_refused_though_the_checksum_is_right() {
        let change = |at: usize, byte: u8| {
            let mut bad = some();
            bad[at] = byte;
            CacheTable::read(sealed(bad)).map(drop)
        };
        assert_eq!(change(0, b'd'), Ok(()));
        let (count, first) = (HEADER - 1, HEADER);
        for (at, byte) in [(0, b'D'), (count, 2), (count, 4), (count - 7, 0x80), (first + KEY - 1, 2)] {
            assert_eq!(change(at, byte), Err(FullScanReason::Damaged), "byte {at}");
        }
        // A full look after the look, and a file that was not settled.
        assert_eq!(change(HEADER - 2 * WORD - 8, 1), Err(FullScanReason::Damaged));
        assert_eq!(change(first + 5 * WORD, 1), Err(FullScanReason::Damaged));
        assert_eq!(CacheTable::read(sealed(vec![0; DIGEST])).unwrap_err(), FullScanReason::Damaged);
    }

    #[test]
    fn what_contradicts_itself_is_not_kept() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let bytes = written(&HEAD(), vec![(print(1, 10), one), (print(1, 10), other), (print(2, 10), one)]);
        let table = CacheTable::read(bytes).unwrap().1;
        assert_eq!((table.len(), table.find(&print(1, 10))), (1, None));
    }

    #[test]
    fn only_what_is_clearly_older_is_settled() {
        assert!(print(1, 10).is_settled(13) && !print(1, 10).is_settled(12));
        assert!(!print(1, 14).is_settled(13) && !print(1, i64::MAX).is_settled(i64::MAX));
        assert!(print(1, -5).is_settled(13));
    }

    proptest! {
        #![proptest_config(crate::random::cases(256))]

        #[test]
        fn no_bytes_end_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = CacheTable::read(sealed([MAGIC.as_slice(), &bytes, &[0; DIGEST]].concat()));
        }
    }
}
