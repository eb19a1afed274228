//! Objects: one `git cat-file` that is told all names and answers in their order, for a bounded time.

use std::io::{self, BufRead};
use std::time::Duration;

use super::error::GitError;
use super::form::{Form, FormHasher};
use super::limit::{self, End, Limit};
use super::repository::Repository;
use crate::control::waits;
use crate::model::Digest;

/// How long git may say nothing while it reads an object.
const QUIET: Duration = waits::GIT_QUIET.most;
/// How many unreadable objects in a row are stepped over before the rest is given up.
const STEPS: usize = 8;

/// An event while one object is read.
pub enum ObjectEvent<'a> {
    /// A piece of its bytes.
    Piece(&'a [u8]),
    /// It is this, and all its bytes were given.
    Whole(Object),
    /// There is none of that name.
    Missing,
    /// It is there and cannot be read to its end.
    Unreadable,
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

/// The SHA-256 of one blob in each form that was asked for; none of what has no such form.
pub(super) type InForms = Vec<Option<Digest>>;

/// Takes the events of the object at an index of the names that were asked for.
type Take<'a> = dyn FnMut(usize, ObjectEvent<'_>) + 'a;

impl Repository {
    /// Reads all objects of these names, and gives their bytes to `take` piece by piece.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn read_each(
        &self,
        names: &[Vec<u8>],
        limit: &Limit<'_>,
        take: &mut Take<'_>,
    ) -> Result<End, GitError> {
        self.ask_each("--batch", names, limit, take)
    }

    /// What the names lead to, without any bytes.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn look_up(
        &self,
        names: &[Vec<u8>],
        limit: &Limit<'_>,
    ) -> Result<(Vec<Option<Object>>, End), GitError> {
        let mut found = vec![None; names.len()];
        let end = self.ask_each("--batch-check", names, limit, &mut |at, event| {
            if let ObjectEvent::Whole(object) = event {
                found[at] = Some(object);
            }
        })?;
        Ok((found, end))
    }

    /// The SHA-256 of each of these blobs, its bytes made what `form` makes of them; `None` where there is no such
    /// blob, or it cannot be read.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn digests(
        &self,
        blobs: &[Vec<u8>],
        form: Form,
        limit: &Limit<'_>,
    ) -> Result<(Vec<Option<Digest>>, End), GitError> {
        let mut digests = vec![None; blobs.len()];
        let mut current = form.hasher();
        let end = self.read_each(blobs, limit, &mut |at, event| {
            if let ObjectEvent::Piece(piece) = event {
                return current.update(piece);
            }
            let digest = std::mem::replace(&mut current, form.hasher()).finish();
            digests[at] =
                digest.filter(|_| matches!(event, ObjectEvent::Whole(object) if object.kind == "blob"));
        })?;
        Ok((digests, end))
    }

    /// The SHA-256 of each of these blobs in each of `forms`, read once for all of them; nothing where there is no such blob,
    /// or it cannot be read.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn digests_in(
        &self,
        blobs: &[Vec<u8>],
        forms: &[Form],
        limit: &Limit<'_>,
    ) -> Result<(Vec<InForms>, End), GitError> {
        let begin = || forms.iter().map(|form| form.hasher()).collect::<Vec<_>>();
        let mut digests = vec![Vec::new(); blobs.len()];
        let mut current = begin();
        let end = self.read_each(blobs, limit, &mut |at, event| {
            if let ObjectEvent::Piece(piece) = event {
                return current.iter_mut().for_each(|hasher| hasher.update(piece));
            }
            let done = std::mem::replace(&mut current, begin());
            if matches!(event, ObjectEvent::Whole(object) if object.kind == "blob") {
                digests[at] = done.into_iter().map(FormHasher::finish).collect();
            }
        })?;
        Ok((digests, end))
    }

    /// The bytes of a blob by its id, or as `COMMIT:PATH` (from the uppermost directory); `None` where there is no
    /// such object, or it is no blob.
    ///
    /// # Errors
    /// When git cannot be started or does not answer, or the object cannot be read to its end.
    pub fn content(&self, name: &[u8]) -> Result<Option<Vec<u8>>, GitError> {
        let (mut bytes, mut found, mut is_lost) = (Vec::new(), None, false);
        let end = self.read_each(&[name.to_vec()], &Limit::soon(), &mut |_, event| match event {
            ObjectEvent::Piece(piece) => bytes.extend_from_slice(piece),
            ObjectEvent::Whole(object) => found = Some(object),
            ObjectEvent::Missing => {}
            ObjectEvent::Unreadable => is_lost = true,
        })?;
        match end {
            End::Cut => Err(limit::too_slow()),
            _ if is_lost => Err(self.unreadable(&String::from_utf8_lossy(name))),
            _ => Ok(found.filter(|object: &Object| object.kind == "blob").map(|_| bytes)),
        }
    }

    /// What a name leads to, without any bytes; `None` where there is no such object.
    ///
    /// # Errors
    /// As [`Repository::content`].
    pub fn object(&self, name: &[u8]) -> Result<Option<Object>, GitError> {
        Ok(self.objects(&[name.to_vec()])?.pop().flatten())
    }

    /// What each of these names leads to, without any bytes; `None` where there is no such object.
    ///
    /// # Errors
    /// As [`Repository::content`]: what cannot be read is not there for all that.
    pub fn objects(&self, names: &[Vec<u8>]) -> Result<Vec<Option<Object>>, GitError> {
        let (mut found, mut lost) = (vec![None; names.len()], None);
        let end = self.ask_each("--batch-check", names, &Limit::soon(), &mut |at, event| match event {
            ObjectEvent::Whole(object) => found[at] = Some(object),
            ObjectEvent::Unreadable => lost = Some(at),
            ObjectEvent::Piece(_) | ObjectEvent::Missing => {}
        })?;
        match (end, lost) {
            (End::Cut, _) => Err(limit::too_slow()),
            (_, Some(at)) => Err(self.unreadable(&String::from_utf8_lossy(&names[at]))),
            (End::Whole | End::Failed(_), None) => Ok(found),
        }
    }

    fn ask_each(
        &self,
        how: &str,
        names: &[Vec<u8>],
        limit: &Limit<'_>,
        take: &mut Take<'_>,
    ) -> Result<End, GitError> {
        let limit = &limit.unless_quiet(QUIET);
        let is_askable = |name: &[u8]| !name.is_empty() && !name.contains(&b'\n');
        let (askable, others): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&at| is_askable(&names[at]));
        for at in others {
            take(at, ObjectEvent::Missing);
        }
        let (mut done, mut steps) = (0, 0);
        while steps <= STEPS {
            let first = done;
            let rest = &askable[done..];
            if rest.is_empty() {
                return Ok(End::Whole);
            }
            let input: Vec<u8> = rest.iter().flat_map(|&at| [&names[at][..], b"\n"].concat()).collect();
            let mut git = self.git();
            git.args(["cat-file", how]);
            let end = limit::run(git, &input, limit, &mut |from| {
                while let Some(&at) = askable.get(done) {
                    answer(from, how == "--batch", at, take)?;
                    done += 1;
                }
                Ok(())
            })?;
            match end {
                End::Cut => return Ok(End::Cut),
                _ if done == askable.len() => return Ok(End::Whole),
                _ => {
                    steps = if done > first { 1 } else { steps + 1 };
                    take(askable[done], ObjectEvent::Unreadable);
                    done += 1;
                }
            }
        }
        Ok(End::Failed("too many objects cannot be read".to_owned()))
    }
}

fn answer(from: &mut dyn BufRead, with_bytes: bool, at: usize, take: &mut Take<'_>) -> io::Result<()> {
    let Some(object) = header(from)? else {
        take(at, ObjectEvent::Missing);
        return Ok(());
    };
    if with_bytes {
        pass_on(from, object.size, &mut |piece| take(at, ObjectEvent::Piece(piece)))?;
    }
    take(at, ObjectEvent::Whole(object));
    Ok(())
}

/// The first line of an answer: `ID KIND SIZE`, or `NAME missing`.
fn header(from: &mut dyn BufRead) -> io::Result<Option<Object>> {
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
fn pass_on(from: &mut dyn BufRead, size: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
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
