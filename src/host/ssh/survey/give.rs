//! One file's bytes from a server: the script that gives them, and the reading of its answer.

use super::error::SurveyError;
use super::field::REPEATED;
use super::pattern::quoted;
use super::script::{FUNCTIONS, bare};
use crate::control::nonce;
use crate::model::Digest;

const GIVE: &str = include_str!("give.sh");
/// A login shell may say something of its own first; size and digest need little.
const NOISE: usize = 4 << 20;

/// The answer to a request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenFile {
    /// All its bytes: their number and digest are those that the server told beforehand.
    Bytes(Vec<u8>),
    /// It has so many bytes, which is more than was asked for.
    TooLarge(u64),
    /// There is no regular file that can be read.
    NoFile,
    /// It changed while it was given.
    Changed,
}

impl GivenFile {
    /// Whether the script says this of a file where so many bytes are asked for at most.
    fn is_within(&self, limit: usize) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.len() <= limit,
            Self::TooLarge(size) => *size > limit as u64,
            Self::NoFile | Self::Changed => true,
        }
    }
}

/// Asks for the bytes of one file.
pub struct FileRequest {
    nonce: String,
    script: Vec<u8>,
    limit: usize,
    /// The number of files, which the mark behind the answer repeats.
    count: usize,
    answer: Vec<u8>,
    has_begun: bool,
}

impl FileRequest {
    /// Asks for at most `limit` bytes of the file at `path`, which has no NUL.
    #[must_use]
    pub fn new(path: &[u8], limit: u64) -> Self {
        let nonce = nonce();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX / 4).min(usize::MAX / 4);
        let call = [format!("survey() {{\ncall give {limit} ").as_bytes(), &quoted(path), b"\n}\n"].concat();
        let last = format!("main {nonce} </dev/null\n");
        let script = [bare(FUNCTIONS).as_bytes(), bare(GIVE).as_bytes(), &call, last.as_bytes()].concat();
        Self { script, ..Self::awaited(&nonce, limit) }
    }

    /// Awaits the answer to a request of this nonce.
    #[must_use]
    pub fn awaited(nonce: &str, limit: usize) -> Self {
        Self {
            nonce: nonce.to_owned(),
            script: Vec::new(),
            limit,
            count: 1,
            answer: Vec::new(),
            has_begun: false,
        }
    }

    /// The standard input of `sh -s`.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        self.script.clone()
    }

    /// Takes a piece of the answer.
    ///
    /// # Errors
    /// When the answer is longer than it can be.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), SurveyError> {
        if self.answer.len() + piece.len() > self.limit + NOISE {
            return Err(SurveyError::Endless);
        }
        self.answer.extend_from_slice(piece);
        let begin = self.begin();
        self.has_begun = self.has_begun || self.answer.windows(begin.len()).any(|window| window == begin);
        Ok(())
    }

    /// The mark before the answer.
    fn begin(&self) -> Vec<u8> {
        format!("\0{} begin\0", self.nonce).into_bytes()
    }

    /// Whether the mark before the answer has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The file that was given.
    ///
    /// # Errors
    /// When the answer did not begin, was cut short, or is not what the script writes.
    pub fn finish(&self) -> Result<GivenFile, SurveyError> {
        let given = read(self.told()?).filter(|given| given.is_within(self.limit));
        given.ok_or(SurveyError::Garbled)
    }

    /// What stands between the marks.
    fn told(&self) -> Result<&[u8], SurveyError> {
        let after = |bytes: &[u8], mark: &[u8]| {
            let at = bytes.windows(mark.len()).position(|window| window == mark);
            at.map(|at| (at, at + mark.len()))
        };
        let Some((_, from)) = after(&self.answer, &self.begin()) else {
            return Err(SurveyError::NotBegun);
        };
        let answer = &self.answer[from..];
        let Some((end, _)) = after(answer, format!("\0Z{} {}\0", self.nonce, self.count).as_bytes()) else {
            let refusal = answer.strip_prefix(b"E").and_then(|rest| rest.split(|&b| b == 0).next());
            let ends = answer.ends_with(format!("\0Z{} 0\0", self.nonce).as_bytes());
            let why = refusal
                .filter(|_| ends)
                .map(|why| String::from_utf8_lossy(why).chars().take(REPEATED).collect());
            return Err(why.map_or(SurveyError::Cut, SurveyError::Refusal));
        };
        Ok(&answer[..end])
    }
}

/// Asks for the bytes of several files, with one script.
pub struct FilesRequest {
    request: FileRequest,
    limits: Vec<usize>,
}

impl FilesRequest {
    /// Asks for files, each with the most bytes that it may have; no path has a NUL.
    #[must_use]
    pub fn new(files: &[(&[u8], u64)]) -> Self {
        let nonce = nonce();
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX / 4).min(usize::MAX / 4);
        let limits: Vec<usize> = files.iter().map(|(_, limit)| size(*limit)).collect();
        let whole = limits.iter().fold(0, |all: usize, limit| all.saturating_add(*limit)).min(usize::MAX / 4);
        let mut script = [bare(FUNCTIONS).as_bytes(), bare(GIVE).as_bytes(), b"survey() {\n"].concat();
        for (path, limit) in files {
            script.extend_from_slice(format!("call give {limit} ").as_bytes());
            script.extend_from_slice(&[&quoted(path)[..], b"\n"].concat());
        }
        script.extend_from_slice(format!("}}\nmain {nonce} </dev/null\n").as_bytes());
        let count = files.len();
        Self { request: FileRequest { script, count, ..FileRequest::awaited(&nonce, whole) }, limits }
    }

    /// The standard input of `sh -s`.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        self.request.script()
    }

    /// Takes a piece of the answer.
    ///
    /// # Errors
    /// When the answer is longer than it can be.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), SurveyError> {
        self.request.feed(piece)
    }

    /// Whether the mark before the answer has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.request.has_begun()
    }

    /// The files that were given, in their order; `None` where one changed meanwhile, so that it is not known where the next begins.
    ///
    /// # Errors
    /// When the answer did not begin, or was cut short.
    pub fn finish(&self) -> Result<Option<Vec<GivenFile>>, SurveyError> {
        let mut told = self.request.told()?;
        let mut given = Vec::with_capacity(self.limits.len());
        for limit in &self.limits {
            let Some(length) = record_length(told) else { return Ok(None) };
            let file = read(&told[..length]).filter(|file| file.is_within(*limit));
            let Some(file) = file.filter(|file| *file != GivenFile::Changed) else { return Ok(None) };
            given.push(file);
            told = told.get(length + 1..).unwrap_or_default();
        }
        Ok(told.is_empty().then_some(given))
    }
}

/// The length of the first record, without the NUL that ends it; `None` where there is none.
fn record_length(told: &[u8]) -> Option<usize> {
    let head = told.iter().position(|&b| b == 0).unwrap_or(told.len());
    let record = std::str::from_utf8(&told[..head]).ok()?;
    let Some((size, _)) = record.strip_prefix('C').and_then(|rest| rest.split_once(' ')) else {
        return (!record.is_empty()).then_some(head);
    };
    let length = head.checked_add(1)?.checked_add(size.parse().ok()?)?;
    (length <= told.len() && told.get(length).is_none_or(|&b| b == 0)).then_some(length)
}

/// Reads what stands between the marks; the NUL before the last one ends it.
fn read(told: &[u8]) -> Option<GivenFile> {
    let end = told.iter().position(|&b| b == 0).unwrap_or(told.len());
    let (record, rest) = (std::str::from_utf8(&told[..end]).ok()?, told.get(end + 1..));
    if let Some(size) = record.strip_prefix('L') {
        return Some(GivenFile::TooLarge(size.parse().ok()?));
    }
    if record == "N" {
        return rest.is_none().then_some(GivenFile::NoFile);
    }
    let (size, hex) = record.strip_prefix('C')?.split_once(' ')?;
    let (size, bytes): (usize, &[u8]) = (size.parse().ok()?, rest?);
    let is_whole = bytes.len() == size && Digest::of(bytes).hex() == hex.as_bytes();
    Some(if is_whole { GivenFile::Bytes(bytes.to_vec()) } else { GivenFile::Changed })
}
