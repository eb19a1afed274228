//! The bytes of a blob as they are stored, and as a checkout writes their line ends.

use crate::model::{Digest, Hasher};

/// A form of the bytes of a blob.
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
    /// All but [`Form::Stored`].
    pub const OTHERS: [Self; 3] = [Self::CarriageReturns, Self::EveryCarriageReturn, Self::LineFeeds];

    pub(super) fn hasher(self) -> FormHasher {
        FormHasher { form: self, hasher: Hasher::default(), last: 0, has_nul: false, held: false }
    }

    /// The bytes in this form.
    #[must_use]
    pub fn apply(self, bytes: Vec<u8>) -> Vec<u8> {
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
pub(super) struct FormHasher {
    form: Form,
    hasher: Hasher,
    last: u8,
    has_nul: bool,
    /// Whether a CR was met of which it is not known yet whether an LF follows.
    held: bool,
}

impl FormHasher {
    pub(super) fn update(&mut self, piece: &[u8]) {
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
    pub(super) fn finish(mut self) -> Option<Digest> {
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
        assert_eq!(Form::CarriageReturns.apply(text.to_vec()), wanted);
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
        assert_eq!(Form::CarriageReturns.apply(b"a\0\n".to_vec()), b"a\0\n");
    }
}
