//! A tar archive while it arrives: headers are read, content is hashed, and nothing is written anywhere. The formats are those of
//! POSIX (pax) and GNU: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>.

use super::Node;
use crate::host::read::HEAD;
use crate::model::Hasher;

const BLOCK: usize = 512;
/// The longest extended header: names and attributes.
const LONGEST_HEADER: u64 = 1 << 20;

/// Why an archive is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::host) enum TarError {
    #[error("what the engine sent is no tar archive")]
    Malformed,
    #[error("the archive broke off")]
    Cut,
    #[error("the archive has a name that leads out of it")]
    Climbs,
    #[error("the archive has a name that was not asked for")]
    Foreign,
    #[error("the archive has more entries than can be kept: name a smaller path")]
    TooMuch,
    #[error("a file in it has more than {} MiB", .0 >> 20)]
    TooLarge(u64),
}

/// One entry, its name without a slash at its end.
pub(super) type Entry = (Vec<u8>, Node);

/// Reads an archive piece by piece.
#[derive(Default)]
pub(super) struct TarReader {
    block: Vec<u8>,
    state: State,
    /// What the extended headers before an entry say of it.
    ahead: Ahead,
    zeros: u8,
    /// How many bytes of content may still be kept; `None` where no content is.
    pub(super) keeps: Option<u64>,
    /// The content of files, by their names, where it is kept.
    pub(super) kept: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Header,
    /// More headers of a sparse file, before so many bytes of content.
    Sparse(u64),
    Content {
        left: u64,
        pad: u64,
        of: Content,
    },
    Ended,
}

/// The use of an entry's content.
enum Content {
    /// It is hashed; so many of its first bytes are kept.
    File(Vec<u8>, Box<Hasher>, Vec<u8>, usize),
    /// It is read by this letter.
    Header(u8, Vec<u8>),
    /// It is passed over.
    Nothing,
}

impl TarReader {
    /// Takes the next piece of the archive, and gives each entry that ends in it to `take`.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        while !piece.is_empty() {
            if let State::Content { left, pad, of } = &mut self.state {
                let some = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                let (bytes, rest) = piece.split_at(some);
                of.take(bytes);
                *left -= some as u64;
                let skipped = if *left == 0 { usize::try_from(*pad).unwrap_or(0).min(rest.len()) } else { 0 };
                *pad -= skipped as u64;
                piece = &rest[skipped..];
                if *left == 0 && *pad == 0 {
                    self.end_content(take)?;
                }
                continue;
            }
            if matches!(self.state, State::Ended) {
                return Ok(());
            }
            let some = (BLOCK - self.block.len()).min(piece.len());
            self.block.extend_from_slice(&piece[..some]);
            piece = &piece[some..];
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.header(&block, take)?;
            }
        }
        Ok(())
    }

    /// Whether the end of the archive has come.
    pub(super) fn finish(&self) -> Result<(), TarError> {
        if matches!(self.state, State::Ended) { Ok(()) } else { Err(TarError::Cut) }
    }

    fn header(
        &mut self,
        block: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        if let State::Sparse(size) = self.state {
            self.state = if block[504] == 0 { content(size, Content::Nothing) } else { State::Sparse(size) };
            return self.end_empty(take);
        }
        if block.iter().all(|&b| b == 0) {
            self.zeros += 1;
            if self.zeros == 2 {
                self.state = State::Ended;
            }
            return Ok(());
        }
        self.zeros = 0;
        check_sum(block)?;
        let letter = block[156];
        let told = number(&block[124..136])?;
        if matches!(letter, b'x' | b'g' | b'L' | b'K') {
            if told > LONGEST_HEADER {
                return Err(TarError::Malformed);
            }
            self.state = content(told, Content::Header(letter, Vec::new()));
            return self.end_empty(take);
        }
        let ahead = std::mem::take(&mut self.ahead);
        let size = ahead.size.unwrap_or(told);
        let name = ahead.name.unwrap_or_else(|| name_in(block));
        let name = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
        let link = ahead.link.unwrap_or_else(|| text(&block[157..257]).to_vec());
        let node = match letter {
            b'0' | 0 | b'7' if !ahead.is_sparse => {
                let kept = match self.keeps {
                    Some(most) if size > most => return Err(TarError::TooLarge(most)),
                    Some(most) => {
                        self.keeps = Some(most - size);
                        usize::try_from(size).unwrap_or(HEAD).max(HEAD)
                    }
                    None => HEAD,
                };
                self.state = content(size, Content::File(name, Box::default(), Vec::new(), kept));
                return self.end_empty(take);
            }
            b'1' => Node::Same(link),
            b'2' => Node::Link(link),
            b'3' | b'4' => Node::Special(rustix::fs::FileType::CharacterDevice),
            b'5' => Node::Directory,
            b'6' => Node::Special(rustix::fs::FileType::Fifo),
            b'0' | 0 | b'7' | b'S' => {
                Node::Odd("it is a sparse file in the engine's archive, which is not read")
            }
            _ => Node::Odd("the engine's archive does not say what it is"),
        };
        take((name, node))?;
        self.state = match letter {
            b'S' if block[482] != 0 => State::Sparse(size),
            // Of these the size says nothing of content.
            b'1'..=b'6' => State::Header,
            _ => content(size, Content::Nothing),
        };
        self.end_empty(take)
    }

    /// Ends an entry that has no content.
    fn end_empty(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), TarError>) -> Result<(), TarError> {
        match &self.state {
            State::Content { left: 0, pad: 0, .. } => self.end_content(take),
            _ => Ok(()),
        }
    }

    fn end_content(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), TarError>) -> Result<(), TarError> {
        let State::Content { of, .. } = std::mem::take(&mut self.state) else { return Ok(()) };
        match of {
            Content::File(name, hasher, bytes, _) => {
                let head = bytes.get(..HEAD).and_then(|head| head.try_into().ok());
                if self.keeps.is_some() {
                    self.kept.push((name.clone(), bytes));
                }
                take((name, Node::File(hasher.finish(), head)))
            }
            Content::Header(b'L', bytes) => {
                self.ahead.name = Some(text(&bytes).to_vec());
                Ok(())
            }
            Content::Header(b'K', bytes) => {
                self.ahead.link = Some(text(&bytes).to_vec());
                Ok(())
            }
            Content::Header(b'x', bytes) => self.ahead.read(&bytes),
            Content::Header(..) | Content::Nothing => Ok(()),
        }
    }
}

impl Content {
    fn take(&mut self, bytes: &[u8]) {
        match self {
            Self::File(_, hasher, head, most) => {
                head.extend_from_slice(&bytes[..bytes.len().min(*most - head.len())]);
                hasher.update(bytes);
            }
            Self::Header(_, kept) => kept.extend_from_slice(bytes),
            Self::Nothing => {}
        }
    }
}

impl Ahead {
    /// Reads the records of a pax header: `LENGTH KEY=VALUE` and a line feed.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|&b| b == b' ').ok_or(TarError::Malformed)?;
            let length = decimal(&bytes[..space])?;
            let record = bytes.get(space + 1..length).ok_or(TarError::Malformed)?;
            let record = record.strip_suffix(b"\n").ok_or(TarError::Malformed)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or(TarError::Malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(size(value)?),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }
}

fn content(size: u64, of: Content) -> State {
    State::Content { left: size, pad: size.next_multiple_of(BLOCK as u64) - size, of }
}

/// A size that leaves room for what is counted with it.
fn size(digits: &[u8]) -> Result<u64, TarError> {
    let size = decimal(digits)? as u64;
    if i64::try_from(size).is_ok() { Ok(size) } else { Err(TarError::Malformed) }
}

fn decimal(digits: &[u8]) -> Result<usize, TarError> {
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(TarError::Malformed)
}

/// The text of a field, up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

fn name_in(block: &[u8]) -> Vec<u8> {
    let prefix = if block[257..].starts_with(b"ustar\0") { text(&block[345..500]) } else { b"" };
    let name = text(&block[..100]);
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// A number of a header: octal digits, or bytes behind a first one with the highest bit.
fn number(field: &[u8]) -> Result<u64, TarError> {
    if field[0] & 0x80 != 0 {
        let digits = [&[field[0] & 0x7f], &field[1..]].concat();
        let is_small = digits[..digits.len() - 7].iter().all(|&b| b == 0);
        let value = digits.iter().fold(0u64, |all, &b| all << 8 | u64::from(b));
        return if is_small { Ok(value) } else { Err(TarError::Malformed) };
    }
    let text = str::from_utf8(text(field)).map_err(|_| TarError::Malformed)?.trim();
    if text.is_empty() { Ok(0) } else { u64::from_str_radix(text, 8).map_err(|_| TarError::Malformed) }
}

fn check_sum(block: &[u8]) -> Result<(), TarError> {
    let bytes = block.iter().enumerate();
    let sum: u64 = bytes.map(|(at, &b)| if (148..156).contains(&at) { 32 } else { u64::from(b) }).sum();
    if number(&block[148..156])? == sum { Ok(()) } else { Err(TarError::Malformed) }
}
