//! Objects, read one after the other by one `git cat-file --batch`.

use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::{GitError, Repository};
use crate::model::{Digest, Hasher};

/// Reads objects; git is started with the first one, and ended when this is dropped.
pub struct Objects {
    repository: Repository,
    batch: Option<Batch>,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: String,
    /// `blob`, `tree`, `commit`.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
}

struct Batch {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It may be in the middle of an answer that nobody reads.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Objects {
    pub(super) fn of(repository: Repository) -> Self {
        Self { repository, batch: None }
    }

    /// The bytes of a blob by its id, or as `COMMIT:PATH` (from the uppermost directory); `None` where there is no
    /// such object, or it is no blob.
    ///
    /// # Errors
    /// When git cannot be started, or the object cannot be read to its end.
    pub fn content(&mut self, name: &str) -> Result<Option<Vec<u8>>, GitError> {
        let mut bytes = Vec::new();
        let found = self.read(name.as_bytes(), &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(found.filter(|object| object.kind == "blob").map(|_| bytes))
    }

    /// The SHA-256 of a blob's bytes by its id, in bounded memory; `None` where there is no such blob.
    ///
    /// # Errors
    /// When git cannot be started, or the object cannot be read to its end.
    pub fn digest(&mut self, name: &str) -> Result<Option<Digest>, GitError> {
        let mut hasher = Hasher::default();
        let found = self.read(name.as_bytes(), &mut |piece| hasher.update(piece))?;
        Ok(found.filter(|object| object.kind == "blob").map(|_| hasher.finish()))
    }

    /// Reads one object and gives its bytes to `take`, piece by piece; `None` where there is none of that name. A
    /// name with a line break is none.
    ///
    /// # Errors
    /// When git cannot be started, or the object cannot be read to its end.
    pub fn read(&mut self, name: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<Option<Object>, GitError> {
        if name.contains(&b'\n') || name.is_empty() {
            return Ok(None);
        }
        let answer =
            self.batch().and_then(|batch| batch.read(name, take).map_err(|error| cut_short(name, &error)));
        if answer.is_err() {
            self.batch = None;
        }
        answer
    }

    fn batch(&mut self) -> Result<&mut Batch, GitError> {
        if self.batch.is_none() {
            let mut git = self.repository.git();
            git.args(["cat-file", "--batch"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            log::debug!(command = super::command::shown(&git); "started git");
            let mut child = git.spawn().map_err(|error| GitError::no_git(&error))?;
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(GitError::NoGit { reason: "it has no standard input".to_owned() });
            };
            self.batch = Some(Batch { child, input, output: BufReader::with_capacity(1 << 16, output) });
        }
        self.batch.as_mut().ok_or_else(|| GitError::NoGit { reason: "it did not start".to_owned() })
    }
}

fn cut_short(name: &[u8], _: &io::Error) -> GitError {
    GitError::CutShort { revision: String::from_utf8_lossy(name).into_owned() }
}

impl Batch {
    /// Asks for one object.
    fn read(&mut self, name: &[u8], take: &mut dyn FnMut(&[u8])) -> io::Result<Option<Object>> {
        self.input.write_all(&[name, b"\n"].concat())?;
        self.input.flush()?;
        let Some(object) = header(&mut self.output)? else { return Ok(None) };
        pass_on(&mut self.output, object.size, take)?;
        Ok(Some(object))
    }
}

/// The first line of an answer: `ID KIND SIZE`, or `NAME missing`.
pub(super) fn header(from: &mut dyn BufRead) -> io::Result<Option<Object>> {
    let mut header = Vec::new();
    from.read_until(b'\n', &mut header)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let line = header.strip_suffix(b"\n").ok_or_else(invalid)?;
    if [&b" missing"[..], b" ambiguous", b" submodule"].iter().any(|word| line.ends_with(word)) {
        return Ok(None);
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (Some(id), Some(kind), Some(size), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid());
    };
    Ok(Some(Object { id: id.to_owned(), kind: kind.to_owned(), size: size.parse().map_err(|_| invalid())? }))
}

/// What follows that line: the object's bytes and a line feed.
pub(super) fn pass_on(from: &mut dyn BufRead, size: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut left = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidData)?;
    while left > 0 {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = piece.len().min(left);
        take(&piece[..taken]);
        from.consume(taken);
        left -= taken;
    }
    let mut end = [0];
    from.read_exact(&mut end)?;
    if end == *b"\n" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
