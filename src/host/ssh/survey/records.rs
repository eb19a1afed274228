//! The records of the script: what each letter means, and where in the snapshot it goes.

use std::sync::Arc;

use super::budget::Budget;
use super::error::SurveyError;
use super::field::{REPEATED, digest_line, plain, split_digest};
use super::module::SurveyedModule;
use super::plain_modules::{self, FileDigests};
use super::snapshot::{Fact, Listing, Snapshot};
use crate::host::stat_cache::stat_words;
use crate::host::walk::child;
use crate::host::{ServerCache, ServerStart, StatCache, Watch};
use crate::model::Digest;

use rustix::fs::FileType;

/// Takes records in their order; most are of one field, some of two or three.
#[derive(Default)]
pub(super) struct Records {
    fields: Vec<Vec<u8>>,
    snapshot: Snapshot,
    /// Directories whose entries are being told: path, path without links, filter, entries.
    open: Vec<OpenDirectory>,
    module: Option<(Vec<u8>, SurveyedModule)>,
    /// Modules that are about to be told of together: path, path without links.
    plain: Vec<(Vec<u8>, Vec<u8>)>,
    refusal: Option<String>,
    budget: Budget,
    memory: Option<Arc<ServerCache>>,
    /// What the server said of itself.
    start: Option<ServerStart>,
}

/// No path of a system is longer: one that is told is forged, and every name below it would repeat it.
const LONGEST_PATH: usize = 4096 + 256;

struct OpenDirectory {
    path: Vec<u8>,
    real: Vec<u8>,
    filter: Vec<u8>,
    entries: Vec<(Vec<u8>, FileType)>,
}

impl OpenDirectory {
    /// The path of an entry as the script has it: a slash at a directory's end is not doubled.
    fn below(&self, name: &[u8]) -> Vec<u8> {
        let path = self.path.strip_suffix(b"/").filter(|path| !path.is_empty());
        child(path.unwrap_or(&self.path), name)
    }
}

impl Records {
    /// Takes no more than `budget` allows.
    pub(super) fn within(budget: Budget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// The same, where stats may stand for files that were read before.
    pub(super) fn remembering(self, memory: Option<Arc<ServerCache>>) -> Self {
        Self { memory, ..self }
    }

    /// The number of bytes of paths that are held.
    pub(super) fn weight(&self) -> usize {
        let open = self.open.iter().flat_map(|open| &open.entries).map(|(name, _)| name.len());
        self.snapshot.weight() + open.sum::<usize>()
    }

    /// Whether no record is in the middle of its fields.
    pub(super) fn are_complete(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether all that was begun has been ended.
    pub(super) fn are_whole(&self) -> bool {
        self.are_complete() && self.open.is_empty() && self.module.is_none() && self.plain.is_empty()
    }

    /// The reason why the script could not begin.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// Takes one field.
    pub(super) fn take(&mut self, field: Vec<u8>, watch: &Watch) -> Result<(), SurveyError> {
        self.fields.push(field);
        let Some((&letter, _)) = self.fields[0].split_first() else {
            return Err(SurveyError::Malformed("an empty record"));
        };
        let fields = match letter {
            b'T' => 4,
            b'L' | b'H' | b'N' | b'S' => 3,
            b'F' | b'M' | b'W' | b'B' | b'x' | b'r' | b'u' => 2,
            _ => 1,
        };
        if self.fields.len() < fields {
            return Ok(());
        }
        let mut fields = std::mem::take(&mut self.fields);
        fields[0].remove(0);
        self.spend(letter, &fields)?;
        self.accept(letter, &fields, watch).ok_or(SurveyError::Record(letter))
    }

    /// Takes note of what keeping a record costs: an entry repeats the paths of its directory.
    fn spend(&mut self, letter: u8, fields: &[Vec<u8>]) -> Result<(), SurveyError> {
        let told: usize = fields.iter().map(Vec::len).sum();
        let above = self.open.last().map_or(0, |open| open.path.len() + open.real.len());
        let (bytes, pieces) = match letter {
            b'H' | b'N' => {
                let lines = fields[1].iter().filter(|&&b| b == b'\n').count();
                return self.budget.spend(told, lines as u64 + 1);
            }
            b'L' | b'M' | b'W' | b'F' => (4 * (told + above), 3),
            b'd' | b'D' | b'f' | b'l' | b'x' | b'?' => (2 * told + above, 2),
            // Files have no part in it: how much a machine can tell of its system is bounded by itself.
            b'S' => return self.snapshot.spend_on_system(told),
            _ => (2 * told, 1),
        };
        let is_batch_or_reason = matches!(letter, b'h' | b'H' | b'N' | b'E' | b'S');
        if !is_batch_or_reason && fields.iter().any(|field| field.len() > LONGEST_PATH) {
            return Err(SurveyError::Malformed("a path that no system has"));
        }
        self.budget.spend(bytes, pieces)
    }

    /// Takes one record; `None` where it cannot be.
    fn accept(&mut self, letter: u8, fields: &[Vec<u8>], watch: &Watch) -> Option<()> {
        let first = &fields[0];
        match letter {
            b'E' => {
                let why: String = String::from_utf8_lossy(first).chars().take(REPEATED).collect();
                self.refusal = Some(why);
            }
            b'T' => self.begin(fields)?,
            b'F' => self.snapshot.tell(first, Fact::parse(&fields[1])?),
            b'L' => {
                let (path, real) = self.directory(first, &fields[1])?;
                self.open.push(OpenDirectory { path, real, filter: fields[2].clone(), entries: Vec::new() });
            }
            b'd' | b'D' | b'f' | b'l' | b'x' | b'?' => self.entry(letter, first, fields.get(1))?,
            b'.' | b'!' => self.close(letter, first)?,
            b'B' => self.snapshot.break_off(first, &fields[1])?,
            b'S' => self.snapshot.tell_of_system(first, &fields[1], &fields[2])?,
            b'O' => self.snapshot.without_manifest(first),
            b'H' => self.batch(fields, watch)?,
            b'h' => {
                let (digest, path) = split_digest(first)?;
                self.hashed(path, Ok(digest))?;
                self.count_read(watch);
            }
            b'r' => self.hashed(plain(first), Err(fields[1].clone()))?,
            b'M' => {
                let (path, _) = self.directory(first, &fields[1])?;
                let module = (path, SurveyedModule::default());
                return self.module.replace(module).is_none().then_some(());
            }
            b'W' => {
                let told = self.directory(first, &fields[1])?;
                self.plain.push(told);
            }
            b'N' => self.plain_modules(fields, watch)?,
            b'm' => {
                let (path, module) = self.module.take()?;
                self.snapshot.put_module(path, module);
            }
            letter => self.module.as_mut()?.1.take(letter, fields)?,
        }
        Some(())
    }

    /// The path of a directory, and its path without links. Without a path it is the entry that was told last;
    /// without the other one, that is the same.
    fn directory(&mut self, path: &[u8], real: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let told = || {
            let open = self.open.last()?;
            open.entries.last().map(|(name, _)| open.below(name))
        };
        let path = if path.is_empty() { told()? } else { path.to_vec() };
        let real = if real.is_empty() { path.clone() } else { real.to_vec() };
        self.snapshot.tell(&path, Fact::Directory(real.clone()));
        Some((path, real))
    }

    fn entry(&mut self, letter: u8, name: &[u8], why: Option<&Vec<u8>>) -> Option<()> {
        let open = self.open.last_mut()?;
        let path = open.below(name);
        let (kind, fact) = match letter {
            b'd' => (FileType::Directory, Fact::Directory(child(&open.real, name))),
            b'D' => (FileType::Symlink, Fact::Directory(path.clone())),
            b'f' => (FileType::RegularFile, Fact::NoDirectory),
            b'l' => (FileType::Symlink, Fact::NoDirectory),
            b'x' => (FileType::Symlink, Fact::Link(why?.clone())),
            _ => (FileType::Unknown, Fact::Unreachable(b"Permission denied".to_vec())),
        };
        open.entries.push((name.to_vec(), kind));
        self.snapshot.imply(path, fact);
        Some(())
    }

    fn close(&mut self, letter: u8, why: &[u8]) -> Option<()> {
        let open = self.open.pop()?;
        let listing =
            if letter == b'.' { Listing::Entries(open.entries) } else { Listing::Refused(why.to_vec()) };
        self.snapshot.list(open.path, open.filter, listing);
        Some(())
    }

    /// The modules that were announced, unless something in them failed: all of them follow by their names then.
    fn plain_modules(&mut self, fields: &[Vec<u8>], watch: &Watch) -> Option<()> {
        let announced = std::mem::take(&mut self.plain);
        let memory = self.memory();
        let digests = match (&fields[2][..], memory) {
            (b"0" | b"=", _) => FileDigests::Told(&fields[1]),
            (b"s", Some((cache, _))) if fields[1].is_empty() => FileDigests::Remembered(cache),
            (b"s", _) => return None,
            _ => return Some(()),
        };
        let is_settled = fields[2] == b"=";
        let told = plain_modules::read(announced, &fields[0], &digests, &mut |stats, digest| {
            let Some((cache, began)) = memory else { return };
            cache.count_read();
            if let (true, Some(words)) = (is_settled, stat_words(stats)) {
                cache.note_of_server(&words, digest, began);
            }
        })?;
        for (path, module) in told.modules {
            (0..module.files()).for_each(|_| watch.count(0));
            self.snapshot.put_module(path, module);
        }
        told.moved.into_iter().for_each(|path| self.snapshot.moved(path));
        Some(())
    }

    /// Takes what the server says of itself.
    fn begin(&mut self, fields: &[Vec<u8>]) -> Option<()> {
        let clock = std::str::from_utf8(&fields[0]).ok()?.parse().ok();
        let [boot, machine, user] = [1, 2, 3].map(|at| fields[at].clone());
        self.start = clock.map(|clock| ServerStart { clock, boot, machine, user });
        Some(())
    }

    /// What is remembered of the server that told its start, and when it began by its clock.
    fn memory(&self) -> Option<(&StatCache, i64)> {
        let (memory, start) = (self.memory.as_ref()?, self.start.as_ref()?);
        Some((memory.begin(start)?, start.clock))
    }

    /// Counts a file that was read.
    fn count_read(&self, watch: &Watch) {
        watch.count(0);
        if let Some((cache, _)) = self.memory() {
            cache.count_read();
        }
    }

    /// A batch of digests as the programs print them; where one failed, each file follows by itself.
    fn batch(&mut self, fields: &[Vec<u8>], watch: &Watch) -> Option<()> {
        if fields[2] != b"0" {
            return Some(());
        }
        let count: usize = std::str::from_utf8(&fields[0]).ok()?.parse().ok()?;
        let mut lines = fields[1].strip_suffix(b"\n")?.split(|&b| b == b'\n');
        for _ in 0..count {
            let (digest, path) = digest_line(lines.next()?)?;
            self.hashed(plain(path), Ok(digest))?;
            self.count_read(watch);
        }
        lines.next().is_none().then_some(())
    }

    fn hashed(&mut self, path: &[u8], read: Result<Digest, Vec<u8>>) -> Option<()> {
        let path = plain(path);
        match (&mut self.module, path.first()? == &b'/') {
            (Some((_, module)), false) => module.file(path, read),
            (None, true) => {
                self.snapshot.put_file(path, read);
                Some(())
            }
            _ => None,
        }
    }
}
