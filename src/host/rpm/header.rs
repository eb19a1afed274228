//! The header of a package as rpm stores it: an index of tags, and their values behind it. Numbers have their highest byte first:
//! <https://rpm-software-management.github.io/rpm/manual/format_header.html>.

use super::DamagedDatabase;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;

/// The types of values.
const INT32: u32 = 4;
const STRING: u32 = 6;
/// The size of an entry of the index.
const ENTRY: usize = 16;

const DAMAGED: DamagedDatabase = DamagedDatabase("the header of a package");

/// The line of a package: name, version with epoch and release, and architecture.
///
/// # Errors
/// When it is no header, or has not what every package has.
pub(super) fn line(header: &[u8]) -> Result<Vec<u8>, DamagedDatabase> {
    let header = Header::read(header).ok_or(DAMAGED)?;
    let text = |tag: u32| header.text(tag).ok_or(DAMAGED);
    let (name, version, release) = (text(NAME)?, text(VERSION)?, text(RELEASE)?);
    let epoch = header.number(EPOCH).map(|epoch| format!("{epoch}:")).unwrap_or_default();
    // Keys of signers have none.
    let arch = header.text(ARCH).unwrap_or(b"(none)");
    Ok([name, b"\t", epoch.as_bytes(), version, b"-", release, b"\t", arch, b"\n"].concat())
}

struct Header<'a> {
    index: &'a [u8],
    values: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = (word(bytes, 0)?, bytes.get(8..)?);
        let length = usize::try_from(entries).ok()?.checked_mul(ENTRY)?;
        let (index, values) = rest.split_at_checked(length)?;
        (values.len() == usize::try_from(word(bytes, 4)?).ok()?).then_some(Self { index, values })
    }

    /// The bytes from the value of a tag on, where it has this type.
    fn value(&self, tag: u32, kind: u32) -> Option<&'a [u8]> {
        let mut entries = self.index.chunks_exact(ENTRY);
        let entry = entries.find(|entry| word(entry, 0) == Some(tag) && word(entry, 4) == Some(kind))?;
        self.values.get(usize::try_from(word(entry, 8)?).ok()?..)
    }

    /// A text of one line that is not empty.
    fn text(&self, tag: u32) -> Option<&'a [u8]> {
        let text = self.value(tag, STRING)?.split(|&b| b == 0).next()?;
        (!text.is_empty() && !text.iter().any(u8::is_ascii_control)).then_some(text)
    }

    fn number(&self, tag: u32) -> Option<u32> {
        word(self.value(tag, INT32)?, 0)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
