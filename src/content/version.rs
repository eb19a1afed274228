//! One version of a file, and whether it is a text that can be compared.

/// The longest text that is compared, in bytes.
const LONGEST: usize = 1 << 20;

/// One of the versions that are compared.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// What the version is called: a path, and where it lies.
    pub name: &'a str,
    /// Its content; `None` where there is no such file.
    pub bytes: Option<&'a [u8]>,
}

/// Why a version is not compared by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoText {
    Binary,
    TooLong,
}

impl<'a> Version<'a> {
    /// Its text; that of a file that is not there is empty.
    pub(super) fn text(&self) -> Result<&'a str, NoText> {
        text(self.bytes.unwrap_or_default())
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.bytes.map_or(0, <[u8]>::len)
    }
}

/// Bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, NoText> {
    let text = std::str::from_utf8(bytes).map_err(|_| NoText::Binary)?;
    if text.contains('\0') {
        return Err(NoText::Binary);
    }
    if text.len() > LONGEST { Err(NoText::TooLong) } else { Ok(text) }
}
