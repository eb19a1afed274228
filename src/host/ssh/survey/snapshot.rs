//! What a server told of its disk. What it did not tell of is unreadable: nothing is ever taken for gone in silence.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::error::SurveyError;
use super::field::{UNSEEN, in_words, means_gone, means_loop, refused, unseen};
use super::module::SurveyedModule;
use super::pattern::filter;
use crate::host::disk::Disk;
use crate::host::read::ReadError;
use crate::host::reasons::{BROKEN, LOOPS, not_a_file};
use crate::host::storage::{Asked, DirectoryId, Held, Storage};
use crate::host::system::{LATE, LEFT_BEHIND, Source, Sources};
use crate::host::{HostError, Seen, Watch};
use crate::model::{Digest, Reason, Stat};

/// The kind of something at a path, links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// A directory, with its path without links.
    Directory(Vec<u8>),
    /// A regular file.
    File,
    /// Something that is neither.
    Special(FileType),
    /// Anything but a directory.
    NoDirectory,
    /// A link that leads nowhere, with what `ls` says of that.
    Link(Vec<u8>),
    /// Not even the path itself could be looked at, with what `ls` says of that.
    Unreachable(Vec<u8>),
    /// Nothing.
    Gone,
}

impl Fact {
    /// A fact as the script writes it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (letter, rest) = text.split_first()?;
        Some(match letter {
            b'd' => Self::Directory(rest.to_vec()),
            b'f' => Self::File,
            b'p' => Self::Special(FileType::Fifo),
            b's' => Self::Special(FileType::Socket),
            b'c' => Self::Special(FileType::CharacterDevice),
            b'?' => Self::Special(FileType::Unknown),
            b'l' => Self::Link(rest.to_vec()),
            b'u' if means_gone(rest) => Self::Gone,
            b'u' => Self::Unreachable(rest.to_vec()),
            b'g' => Self::Gone,
            _ => return None,
        })
    }
}

/// The entries of one directory that pass a filter.
#[derive(Debug)]
pub(super) enum Listing {
    Entries(Vec<(Vec<u8>, FileType)>),
    /// It cannot be listed, with what `ls` says of that.
    Refused(Vec<u8>),
}

/// A server's disk as its script told of it; paths are the server's own.
#[derive(Debug, Default)]
pub struct Snapshot {
    facts: HashMap<Vec<u8>, Fact>,
    implied: HashMap<Vec<u8>, Fact>,
    listings: HashMap<Vec<u8>, Vec<(Vec<u8>, Listing)>>,
    files: HashMap<Vec<u8>, Result<Digest, Vec<u8>>>,
    modules: HashMap<Vec<u8>, SurveyedModule>,
    /// Modules of which some file is not what it was when it was read: they must be asked for as a whole.
    moved: Vec<Vec<u8>>,
    without_manifest: HashSet<Vec<u8>>,
    /// What was told of the system, and how many bytes that has.
    system: (Sources, usize),
    /// Directories by their paths without links.
    by_real: HashMap<Vec<u8>, Vec<u8>>,
}

/// The most bytes that are taken of the system.
const MOST_OF_SYSTEM: usize = 64 << 20;
/// The exit codes of `timeout` for a program that did not end.
const ENDED_BY_TIMEOUT: [i32; 2] = [124, 137];

/// The output of a program: hex, with `=` and its exit code on a line among it, and `!` on one where something that it left
/// behind held that output.
fn output(text: &[u8], most: usize) -> Option<Source> {
    let mut hex = Vec::new();
    let (mut code, mut is_held) = (None, false);
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                let digits: Vec<u8> = rest.by_ref().take_while(|b| *b != b'\n').collect();
                code = Some(std::str::from_utf8(&digits).ok()?.parse::<i32>().ok()?);
            }
            b'!' => is_held = true,
            b' ' | b'\n' => {}
            digit => hex.push(u8::try_from(char::from(digit).to_digit(16)?).ok()?),
        }
    }
    let (bytes, odd) = hex.as_chunks::<2>();
    let bytes: Vec<u8> = bytes.iter().map(|[high, low]| high << 4 | low).collect();
    Some(match code? {
        _ if !odd.is_empty() => return None,
        // A program that nobody listens to any more ends in its own way.
        _ if bytes.len() >= most => Source::Text(bytes),
        _ if is_held => Source::Refused(LEFT_BEHIND.to_owned()),
        0 => Source::Text(bytes),
        code if ENDED_BY_TIMEOUT.contains(&code) => Source::Refused(LATE.to_owned()),
        code => Source::Refused(format!("it ended with exit code {code}")),
    })
}

impl Snapshot {
    pub(super) fn tell(&mut self, path: &[u8], fact: Fact) {
        if let Fact::Directory(real) = &fact {
            self.by_real.insert(real.clone(), path.to_vec());
        }
        self.facts.insert(path.to_vec(), fact);
    }

    /// Takes what another script told at the same time, where this one has told nothing else.
    pub(in crate::host::ssh) fn join(&mut self, other: Self) {
        let tell = |facts: &mut HashMap<Vec<u8>, Fact>, other: HashMap<Vec<u8>, Fact>| {
            for (path, fact) in other {
                facts.entry(path).or_insert(fact);
            }
        };
        tell(&mut self.facts, other.facts);
        tell(&mut self.implied, other.implied);
        for (path, listings) in other.listings {
            self.listings.entry(path).or_default().extend(listings);
        }
        for (path, read) in other.files {
            self.files.entry(path).or_insert(read);
        }
        for (path, module) in other.modules {
            self.modules.entry(path).or_insert(module);
        }
        self.moved.extend(other.moved);
        self.without_manifest.extend(other.without_manifest);
        for (name, source) in other.system.0 {
            self.system.0.entry(name).or_insert(source);
        }
        for (real, path) in other.by_real {
            self.by_real.entry(real).or_insert(path);
        }
    }

    /// Takes note of how much is told of the system.
    pub(super) fn spend_on_system(&mut self, bytes: usize) -> Result<(), SurveyError> {
        self.system.1 += bytes;
        if self.system.1 > MOST_OF_SYSTEM {
            return Err(SurveyError::Malformed("more about the system than a machine has"));
        }
        Ok(())
    }

    /// Takes a text about the system; `None` where it cannot be one.
    pub(super) fn tell_of_system(&mut self, name: &[u8], text: &[u8], how: &[u8]) -> Option<()> {
        let source = match how {
            b"0" => Source::Text(text.to_vec()),
            b"x" if means_gone(text) => Source::Gone,
            b"x" => Source::Refused(in_words(text).to_string()),
            b"e" => Source::Refused("it could not be read to its end".to_owned()),
            how => output(text, std::str::from_utf8(how.strip_prefix(b"r")?).ok()?.parse().ok()?)?,
        };
        self.system.0.insert(String::from_utf8(name.to_vec()).ok()?, source);
        Some(())
    }

    /// What was told of the system.
    pub(super) fn system(&self) -> &Sources {
        &self.system.0
    }

    /// The number of bytes of paths that are held.
    pub(super) fn weight(&self) -> usize {
        let fact = |fact: &Fact| match fact {
            Fact::Directory(text) | Fact::Link(text) | Fact::Unreachable(text) => text.len(),
            _ => 0,
        };
        let facts = self.facts.iter().chain(&self.implied).map(|(path, it)| path.len() + fact(it));
        let real = self.by_real.iter().map(|(real, path)| real.len() + path.len());
        facts.chain(real).chain(self.files.keys().map(Vec::len)).sum()
    }

    /// Takes what an entry of a directory says of a path.
    pub(super) fn imply(&mut self, path: Vec<u8>, fact: Fact) {
        self.implied.insert(path, fact);
    }

    pub(super) fn list(&mut self, path: Vec<u8>, filter: Vec<u8>, listing: Listing) {
        self.listings.entry(path).or_default().push((filter, listing));
    }

    pub(super) fn put_file(&mut self, path: &[u8], read: Result<Digest, Vec<u8>>) {
        self.files.insert(path.to_vec(), read);
    }

    pub(super) fn put_module(&mut self, path: Vec<u8>, module: SurveyedModule) {
        self.modules.insert(path, module);
    }

    /// Takes that a module must be asked for as a whole.
    pub(super) fn moved(&mut self, path: Vec<u8>) {
        self.moved.push(path);
    }

    /// The modules that must be asked for as a whole, each once; they are not known until then.
    pub(in crate::host::ssh) fn take_moved(&mut self) -> Vec<Vec<u8>> {
        let mut moved = std::mem::take(&mut self.moved);
        moved.sort();
        moved.dedup();
        moved.retain(|path| !self.modules.contains_key(path));
        moved
    }

    /// Takes that what was told of a directory, or of all in a module, is not the whole of it.
    pub(super) fn break_off(&mut self, path: &[u8], why: &[u8]) -> Option<()> {
        for (_, listing) in self.listings.get_mut(path).into_iter().flatten() {
            *listing = Listing::Refused(why.to_vec());
        }
        self.modules.get_mut(path).map_or(Some(()), |module| module.take(b'u', &[Vec::new(), why.to_vec()]))
    }

    pub(super) fn without_manifest(&mut self, path: &[u8]) {
        self.without_manifest.insert(path.to_vec());
    }

    /// The kind of something at a path, as far as records of it or of a directory above it say.
    fn fact(&self, path: &[u8]) -> Option<Fact> {
        if let Some(fact) = self.facts.get(path).or_else(|| self.implied.get(path)) {
            return Some(fact.clone());
        }
        if self.files.contains_key(path) {
            return Some(Fact::File);
        }
        match self.fact(above(path)?)? {
            Fact::Directory(_) => None,
            Fact::File | Fact::Special(_) | Fact::NoDirectory | Fact::Gone => Some(Fact::Gone),
            Fact::Link(why) if means_gone(&why) => Some(Fact::Gone),
            Fact::Link(why) | Fact::Unreachable(why) => Some(Fact::Unreachable(why)),
        }
    }

    /// The listings of a directory that answer what is asked: more than one where several patterns led there. They may
    /// hold other entries beside those that the filter passes, as the end of a pattern lets more be noticed.
    fn listings(&self, dir: &[u8], asked: Asked<'_>) -> impl Iterator<Item = &Listing> {
        let wanted = match asked {
            Asked::Matching(part) => filter(part).into_bytes(),
            Asked::Directories => b"d".to_vec(),
            Asked::Detection => b"c".to_vec(),
            Asked::Beside => b"b".to_vec(),
            Asked::All => b"a".to_vec(),
        };
        let listings = self.listings.get(dir).into_iter().flatten();
        listings.filter(move |(filter, _)| *filter == wanted).map(|(_, listing)| listing)
    }
}

impl Disk for Snapshot {
    fn is_file(&self, path: &Path) -> bool {
        let is_file =
            |path: &[u8]| matches!(self.files.get(path), Some(Ok(_))) || self.fact(path) == Some(Fact::File);
        if is_file(bytes(path)) {
            return true;
        }
        let by_real = || {
            let dir = self.by_real.get(self.real(path.parent()?)?.as_os_str().as_bytes())?;
            Some([dir.as_slice(), b"/", path.file_name()?.as_bytes()].concat())
        };
        by_real().is_some_and(|path| is_file(&path))
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        for dir in path.ancestors() {
            let known = match self.facts.get(bytes(dir)).or_else(|| self.implied.get(bytes(dir))) {
                Some(Fact::Directory(real)) => real,
                _ if self.by_real.contains_key(bytes(dir)) => bytes(dir),
                _ => continue,
            };
            let rest = path.strip_prefix(dir).ok()?;
            let real = Path::new(OsStr::from_bytes(known));
            return Some(if rest.as_os_str().is_empty() { real.to_owned() } else { real.join(rest) });
        }
        None
    }
}

impl Storage for Snapshot {
    fn entries(&self, dir: &Path, asked: Asked<'_>) -> Result<Vec<(Vec<u8>, FileType)>, ReadError> {
        let (mut count, mut all) = (0, Vec::new());
        for listing in self.listings(bytes(dir), asked) {
            match listing {
                Listing::Entries(entries) => all.extend_from_slice(entries),
                Listing::Refused(why) => return Err(refused(why)),
            }
            count += 1;
        }
        if count > 1 {
            all.sort_by(|(a, _), (b, _)| a.cmp(b));
            all.dedup_by(|(a, _), (b, _)| a == b);
        }
        if count > 0 {
            return Ok(all);
        }
        match self.fact(bytes(dir)) {
            None | Some(Fact::Directory(_)) => Err(unseen()),
            Some(Fact::Link(why) | Fact::Unreachable(why)) => Err(refused(&why)),
            Some(_) => Err(ReadError::Gone),
        }
    }

    fn directory_id(&self, path: &Path) -> Result<Option<DirectoryId>, ReadError> {
        match self.fact(bytes(path)) {
            None => Err(unseen()),
            Some(Fact::Directory(real)) => {
                let hex = Digest::of(&real).to_string();
                let number = |digits: &str| {
                    u64::from_str_radix(digits, 16)
                        .map_err(|error| ReadError::Refused(error.to_string().into()))
                };
                Ok(Some((number(&hex[..16])?, number(&hex[16..32])?)))
            }
            Some(Fact::Link(why) | Fact::Unreachable(why)) if !means_gone(&why) && !means_loop(&why) => {
                Err(ReadError::Refused(in_words(&why)))
            }
            Some(_) => Ok(None),
        }
    }

    fn exists(&self, path: &Path) -> Result<(), ReadError> {
        match self.fact(bytes(path)) {
            None => Err(unseen()),
            Some(Fact::Gone) => Err(ReadError::Gone),
            Some(Fact::Unreachable(why)) => Err(refused(&why)),
            Some(_) => Ok(()),
        }
    }

    fn file(&self, path: &Path, _: &Watch) -> Result<Seen, HostError> {
        let unreadable = |why: Reason| Ok(Seen::Unreadable(why));
        match self.files.get(bytes(path)) {
            Some(Ok(digest)) => return Ok(Seen::File(*digest, Stat::default())),
            Some(Err(why)) => return unreadable(in_words(why)),
            None => {}
        }
        match self.fact(bytes(path)) {
            Some(Fact::Gone) => Ok(Seen::Gone),
            Some(Fact::Directory(_)) => unreadable(not_a_file(FileType::Directory)),
            Some(Fact::Special(kind)) => unreadable(not_a_file(kind)),
            Some(Fact::Link(why) | Fact::Unreachable(why)) => unreadable(nowhere(&why)),
            Some(Fact::File | Fact::NoDirectory) | None => unreadable(UNSEEN.into()),
        }
    }

    fn module(&self, path: &Path) -> Result<Option<Box<dyn Held + '_>>, ReadError> {
        if let Some(module) = self.modules.get(bytes(path)) {
            return match &module.closed {
                Some(why) => Err(ReadError::Refused(in_words(why))),
                None => Ok(Some(Box::new(module))),
            };
        }
        match self.fact(bytes(path)) {
            Some(Fact::Directory(_)) if self.without_manifest.contains(bytes(path)) => Ok(None),
            Some(Fact::Directory(_)) | None => Err(unseen()),
            Some(Fact::Link(why) | Fact::Unreachable(why)) => Err(ReadError::Refused(nowhere(&why))),
            Some(_) => Ok(None),
        }
    }
}

/// The reason why following a path leads nowhere.
fn nowhere(why: &[u8]) -> Reason {
    match why {
        why if means_gone(why) => BROKEN.into(),
        why if means_loop(why) => LOOPS.into(),
        why => in_words(why),
    }
}

fn above(path: &[u8]) -> Option<&[u8]> {
    let cut = path.iter().rposition(|&b| b == b'/')?;
    if path == b"/" { None } else { Some(if cut == 0 { b"/" } else { &path[..cut] }) }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
