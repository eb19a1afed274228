//! Fields of the script's records: digests, paths and the reasons of failures.

use crate::host::read::ReadError;
use crate::model::{Digest, Obstacle, Reason};

/// The reason where nothing is known.
pub(super) const UNSEEN: &str = "it was not looked at on the server";
/// The part of a refusal or of a reason that is repeated, in letters.
pub(super) const REPEATED: usize = 200;

/// The error where nothing is known.
pub(super) fn unseen() -> ReadError {
    ReadError::Refused(UNSEEN.into())
}

/// A path without the mark that keeps it from being taken for an option.
pub(super) fn plain(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"./").unwrap_or(path)
}

/// A digest and what follows it.
pub(super) fn split_digest(text: &[u8]) -> Option<(Digest, &[u8])> {
    let (hex, rest) = text.split_at_checked(64)?;
    Some((Digest::parse(hex)?, rest))
}

/// A line of a program that hashes: a digest and a path.
pub(super) fn digest_line(line: &[u8]) -> Option<(Digest, &[u8])> {
    let (digest, rest) = split_digest(line)?;
    let path = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    Some((digest, path))
}

/// A failure as a program on the server printed it, in the text of this machine.
pub(super) fn refused(why: &[u8]) -> ReadError {
    if means_gone(why) { ReadError::Gone } else { ReadError::Refused(in_words(why)) }
}

/// The reason that a program on the server gave. It gives no numbers: its line is all there is to go by.
pub(super) fn in_words(why: &[u8]) -> Reason {
    if why.is_empty() {
        return UNSEEN.into();
    }
    let text: String = String::from_utf8_lossy(why).chars().take(REPEATED).collect();
    let obstacle = means_no_rights(why).then_some(Obstacle::NoRights);
    Reason::of(obstacle, crate::model::in_words(&std::io::Error::other(text)))
}

pub(super) fn means_gone(why: &[u8]) -> bool {
    matches!(why, b"No such file or directory" | b"Not a directory")
}

fn means_no_rights(why: &[u8]) -> bool {
    matches!(why, b"Permission denied" | b"Operation not permitted")
}

pub(super) fn means_loop(why: &[u8]) -> bool {
    matches!(why, b"Too many levels of symbolic links" | b"Symbolic link loop")
}
