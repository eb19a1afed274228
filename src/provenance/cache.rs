//! What is remembered between runs: the SHA-256 of blobs, which git knows by another hash.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::atomic::{read_file, replace_file};
use crate::model::Digest;

/// How many are kept; the oldest go first.
const KEPT: usize = 50_000;
/// Hex digits at the end of each line that tell whether it is whole.
const CHECK: usize = 8;

/// The digests of blobs by their ids, on the disk.
pub(super) struct Cache {
    path: Option<PathBuf>,
    lines: Vec<(String, Digest)>,
    known: usize,
}

impl Cache {
    /// Reads the file; what is damaged is as if it were not there.
    pub(super) fn read(path: Option<&Path>) -> Self {
        let bytes = path.and_then(|path| read_file(path).ok()).unwrap_or_default();
        let lines: Vec<_> = bytes.split(|&b| b == b'\n').filter_map(line).collect();
        Self { path: path.map(Path::to_owned), known: lines.len(), lines }
    }

    pub(super) fn all(&self) -> HashMap<String, Digest> {
        self.lines.iter().cloned().collect()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        // So that the next writing happens even where nothing is added.
        self.known = usize::MAX;
    }

    pub(super) fn add(&mut self, blob: &str, digest: Digest) {
        self.lines.push((blob.to_owned(), digest));
    }

    /// Writes the file, if there is anything new and a directory for it. A failure costs time at the next run, and
    /// nothing else.
    pub(super) fn write(&self) {
        let Some(path) = self.path.as_ref().filter(|_| self.known != self.lines.len()) else { return };
        if !path.parent().is_some_and(Path::is_dir) {
            return;
        }
        let newest = &self.lines[self.lines.len().saturating_sub(KEPT)..];
        let text: String = newest.iter().map(|(blob, digest)| print(blob, *digest)).collect();
        let _ = replace_file(path, text.as_bytes());
    }
}

fn print(blob: &str, digest: Digest) -> String {
    let text = format!("{blob} {digest}");
    let check = Digest::of(text.as_bytes()).to_string();
    format!("{text} {}\n", &check[..CHECK])
}

fn line(line: &[u8]) -> Option<(String, Digest)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split(' ');
    let (blob, digest) = (words.next()?, Digest::parse(words.next()?.as_bytes())?);
    let is_whole = print(blob, digest).strip_suffix('\n') == Some(text);
    is_whole.then(|| (blob.to_owned(), digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digests.txt");
        let mut cache = Cache::read(Some(&path));
        for blob in ["aa", "bb", "cc"] {
            cache.add(blob, Digest::of(blob.as_bytes()));
        }
        cache.write();
        assert_eq!(Cache::read(Some(&path)).all().len(), 3);
        let text = std::fs::read_to_string(&path).unwrap();
        let swapped = text.replace(&Digest::of(b"aa").to_string(), &Digest::of(b"bb").to_string());
        std::fs::write(&path, [b"\xff\n", swapped.as_bytes(), b"aa"].concat()).unwrap();
        let read = Cache::read(Some(&path)).all();
        assert_eq!(read.get("aa"), None);
        assert_eq!(read["bb"], Digest::of(b"bb"));
    }

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digests.txt");
        let mut cache = Cache::read(Some(&path));
        for n in 0..=KEPT {
            cache.add(&format!("{n:x}"), Digest::of(b"x"));
        }
        cache.write();
        let read = Cache::read(Some(&path)).all();
        assert!(read.len() == KEPT && !read.contains_key("0") && read.contains_key("1"));
    }
}
