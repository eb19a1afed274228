//! The doors through which tests and the fuzzer reach what reads a server's output.

use std::path::Path;

use super::survey::{self, FileRequest, GivenFile, Reader};
use crate::host::{Answer, Layout, Query, Watch};

/// The word in the marks around the output.
pub(crate) const NONCE: &str = "n";
/// How many calls the script made.
pub(crate) const CALLS: usize = 3;
/// How much may be held of what it told: a KiB for each file that is believed.
const HELD: u64 = 1 << 20;
/// Where the tree lies on the server.
const ROOT: &str = "/r";

/// What became of asking for a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gave {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is said to have so many.
    TooLarge(u64),
    /// Something else.
    Nothing,
}

/// What is answered from a script's output that comes in pieces.
pub(crate) fn answers<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    queries: &[Query],
) -> Result<Vec<Answer>, String> {
    let watch = Watch::default();
    let mut reader = Reader::believing(NONCE, CALLS, HELD >> 10);
    for piece in pieces {
        let _ = reader.feed(piece, &watch);
        assert!(reader.weight() as u64 <= 4 * HELD, "{} bytes are held", reader.weight());
    }
    let snapshot = reader.finish().map_err(|error| error.to_string())?;
    let layout = Layout::of_root(Path::new(ROOT));
    let answers = queries.iter().map(|query| survey::answer(&layout, query, &snapshot, &watch));
    answers.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What is given of a file of at most `limit` bytes.
pub(crate) fn give<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Result<Gave, String> {
    let mut request = FileRequest::of_nonce(NONCE, limit);
    for piece in pieces {
        request.feed(piece).map_err(|error| error.to_string())?;
    }
    Ok(match request.finish().map_err(|error| error.to_string())? {
        GivenFile::Bytes(bytes) => Gave::Bytes(bytes),
        GivenFile::TooLarge(size) => Gave::TooLarge(size),
        GivenFile::NoFile | GivenFile::Changed => Gave::Nothing,
    })
}
