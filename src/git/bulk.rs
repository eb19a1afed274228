//! Many objects asked for at once: one `git cat-file` that is told all names and answers in their order.

use std::io::{self, BufRead};

use super::limit::{self, End, Limit};
use super::objects::{Object, header, pass_on};
use super::{GitError, Repository};
use crate::model::{Digest, Hasher};

/// How many unreadable objects are stepped over before the rest is given up.
const STEPS: usize = 8;

/// What is told of one object.
pub enum Told<'a> {
    /// A piece of its bytes.
    Piece(&'a [u8]),
    /// It is this, and all its bytes have been told.
    Whole(Object),
    /// There is none of that name.
    Missing,
    /// It is there and cannot be read to its end.
    Unreadable,
}

/// Takes what is told of the object at an index of the names that were asked for.
type Take<'a> = dyn FnMut(usize, Told<'_>) + 'a;

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
        let end = self.ask_each("--batch-check", names, limit, &mut |at, told| {
            if let Told::Whole(object) = told {
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
        let end = self.read_each(blobs, limit, &mut |at, told| {
            if let Told::Piece(piece) = told {
                return current.update(piece);
            }
            let digest = std::mem::replace(&mut current, form.hasher()).finish();
            digests[at] = digest.filter(|_| matches!(told, Told::Whole(object) if object.kind == "blob"));
        })?;
        Ok((digests, end))
    }

    fn ask_each(
        &self,
        how: &str,
        names: &[Vec<u8>],
        limit: &Limit<'_>,
        take: &mut Take<'_>,
    ) -> Result<End, GitError> {
        let is_askable = |name: &[u8]| !name.is_empty() && !name.contains(&b'\n');
        let (askable, others): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&at| is_askable(&names[at]));
        for at in others {
            take(at, Told::Missing);
        }
        let mut done = 0;
        for _ in 0..=STEPS {
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
                    take(askable[done], Told::Unreadable);
                    done += 1;
                }
            }
        }
        Ok(End::Failed("too many objects cannot be read".to_owned()))
    }
}

fn answer(from: &mut dyn BufRead, with_bytes: bool, at: usize, take: &mut Take<'_>) -> io::Result<()> {
    let Some(object) = header(from)? else {
        take(at, Told::Missing);
        return Ok(());
    };
    if with_bytes {
        pass_on(from, object.size, &mut |piece| take(at, Told::Piece(piece)))?;
    }
    take(at, Told::Whole(object));
    Ok(())
}

/// In which form the bytes of a blob are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As they are stored.
    Stored,
    /// As a checkout writes them where lines end in CR and LF.
    CarriageReturns,
    /// The same for what has a NUL in it, too.
    EveryCarriageReturn,
    /// Lines that ended in CR and LF end in LF.
    LineFeeds,
}

impl Form {
    fn hasher(self) -> FormHasher {
        FormHasher { form: self, hasher: Hasher::default(), last: 0, has_nul: false, held: false }
    }

    /// The bytes in this form.
    #[must_use]
    pub fn of(self, bytes: Vec<u8>) -> Vec<u8> {
        if self == Self::Stored || (self == Self::CarriageReturns && bytes.contains(&0)) {
            return bytes;
        }
        if self == Self::LineFeeds {
            let mut bytes = bytes;
            let mut next = bytes.iter().skip(1).copied().chain([0]).collect::<Vec<u8>>().into_iter();
            bytes.retain(|&byte| next.next() != Some(b'\n') || byte != b'\r');
            return bytes;
        }
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }
}

/// A SHA-256 over bytes in a form.
struct FormHasher {
    form: Form,
    hasher: Hasher,
    last: u8,
    has_nul: bool,
    /// Whether a CR was met of which it is not known yet whether an LF follows.
    held: bool,
}

impl FormHasher {
    fn update(&mut self, piece: &[u8]) {
        if self.form == Form::Stored {
            return self.hasher.update(piece);
        }
        if self.form == Form::LineFeeds {
            return self.drop_returns(piece);
        }
        for line in piece.split_inclusive(|&b| b == b'\n') {
            let (text, ends) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
            self.has_nul |= text.contains(&0);
            self.hasher.update(text);
            self.last = text.last().copied().unwrap_or(self.last);
            if ends {
                self.hasher.update(if self.last == b'\r' { b"\n" } else { b"\r\n" });
                self.last = b'\n';
            }
        }
    }

    fn drop_returns(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|&b| b == b'\n') {
            if std::mem::take(&mut self.held) && line != b"\n" {
                self.hasher.update(b"\r");
            }
            if let Some(text) = line.strip_suffix(b"\r\n") {
                self.hasher.update(text);
                self.hasher.update(b"\n");
            } else if let Some(text) = line.strip_suffix(b"\r") {
                self.hasher.update(text);
                self.held = true;
            } else {
                self.hasher.update(line);
            }
        }
    }

    /// `None` for what is no text and has no such form.
    fn finish(mut self) -> Option<Digest> {
        if self.held {
            self.hasher.update(b"\r");
        }
        (self.form != Form::CarriageReturns || !self.has_nul).then(|| self.hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_a_checkout_would_end_them() {
        let text = b"a\n\nb\r\nc\rd\n";
        let wanted = b"a\r\n\r\nb\r\nc\rd\r\n";
        assert_eq!(Form::CarriageReturns.of(text.to_vec()), wanted);
        for size in 1..text.len() {
            let mut hasher = Form::CarriageReturns.hasher();
            text.chunks(size).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), Some(Digest::of(wanted)), "{size}");
        }
    }

    #[test]
    fn what_is_no_text_has_no_other_form() {
        let mut hasher = Form::CarriageReturns.hasher();
        hasher.update(b"a\0\n");
        assert_eq!(hasher.finish(), None);
        assert_eq!(Form::CarriageReturns.of(b"a\0\n".to_vec()), b"a\0\n");
    }
}
