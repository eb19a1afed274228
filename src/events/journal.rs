//! The journal: events as lines of JSON below `audit/state/events`, each whole or absent, numbered without gaps.
//!
//! Files are named `YYYYMMDD-NNNN.jsonl` by the day in UTC, and a new one is begun each day and above [`LARGEST`]. Several watchers
//! of one project write one journal; who writes holds the file `.lock` beside it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::control::{clock, file_lock, waits};
use crate::store::state;

/// The directory below that of the state.
const DIRECTORY: &str = "events";
/// The file that is held by who writes.
const LOCK: &str = ".lock";
/// How the files end.
const ENDING: &str = ".jsonl";
/// How large a file grows before the next is begun.
const LARGEST: u64 = 16 << 20;
/// How many events are read at once.
const READ_AT_ONCE: usize = 100;
/// How much of the end of a file holds its last whole line in any case.
const LONGEST_LINE: u64 = 1 << 20;

/// The directory of a project's journal.
pub(crate) fn directory(root: &Path) -> PathBuf {
    root.join(state::PATH).join(DIRECTORY)
}

/// Where a reader of the journal stands: behind the bytes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalPosition {
    /// The file's name; empty before the first.
    file: String,
    offset: u64,
    /// How many lines were passed over that are no events.
    #[serde(skip)]
    pub(crate) passed_over: u64,
}

/// Writes events.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    lock: File,
    /// The file that is written, how long it was when it was last looked at, and its last number.
    newest: Option<(PathBuf, u64, u64)>,
}

impl Journal {
    /// Opens the journal of a project, and makes its directory where there is none.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = directory(root);
        std::fs::create_dir_all(&dir)?;
        let ignore = root.join(state::PATH).join(".gitignore");
        if !ignore.exists() {
            crate::atomic::replace_file(&ignore, b"*\n")?;
        }
        let lock = open(OpenOptions::new().create(true).append(true).mode(0o600), &dir.join(LOCK))?;
        Ok(Self { dir, lock, newest: None })
    }

    /// Numbers events and appends them, all of them or none. Whether a new file was begun.
    ///
    /// # Errors
    /// When they cannot be written, or another one writes and does not end; the journal is as it was then.
    pub(crate) fn append(&mut self, events: &mut [Event]) -> io::Result<bool> {
        if events.is_empty() {
            return Ok(false);
        }
        if !file_lock::hold(&self.lock, waits::JOURNAL.most, &|| false)? {
            return Err(io::Error::other("another watcher writes it and does not end"));
        }
        let written = self.append_alone(events);
        self.lock.unlock()?;
        written
    }

    fn append_alone(&mut self, events: &mut [Event]) -> io::Result<bool> {
        let (path, length, last) = self.newest()?;
        for (number, event) in (last + 1..).zip(&mut *events) {
            event.seq = number;
        }
        let text: String = events.iter().map(Event::line).collect();
        let today = clock::utc_day_before(0);
        // Where the clock was put back the newest file is of a later day: readers go by the order of the files.
        let day = path.as_deref().map(day_of).filter(|newest| *newest > &*today).unwrap_or(&today);
        let (path, is_new) = match &path {
            Some(path) if length < LARGEST && day_of(path) == day => (path.clone(), false),
            before => (self.next_file(before.as_deref(), day), true),
        };
        let mut file = open(OpenOptions::new().create(true).append(true).mode(0o640), &path)?;
        let length = file.metadata()?.len();
        let whole = file.write_all(text.as_bytes());
        if let Err(error) = whole {
            // What was written of it is nobody's event.
            file.set_len(length)?;
            return Err(error);
        }
        file.sync_data()?;
        let last = last + events.len() as u64;
        self.newest = Some((path, length + text.len() as u64, last));
        Ok(is_new)
    }

    /// The place behind the last event that this one appended; `None` where it has appended none.
    pub(crate) fn position(&self) -> Option<JournalPosition> {
        let (path, length, _) = self.newest.as_ref()?;
        Some(JournalPosition { file: name_of(path).to_owned(), offset: *length, passed_over: 0 })
    }

    fn next_file(&self, before: Option<&Path>, today: &str) -> PathBuf {
        let number =
            before.and_then(|path| name_of(path).strip_prefix(today)?.get(1..5)?.parse::<u32>().ok());
        self.dir.join(format!("{today}-{:04}{ENDING}", number.map_or(1, |number| number + 1)))
    }

    /// The newest file, its length, and the last number in the journal. A line that was cut off there is cut away.
    fn newest(&mut self) -> io::Result<(Option<PathBuf>, u64, u64)> {
        let files = files(&self.dir)?;
        let Some(path) = files.last() else { return Ok((None, 0, 0)) };
        if let Some((known, length, last)) = &self.newest
            && known == path
            && std::fs::metadata(path)?.len() == *length
        {
            return Ok((Some(path.clone()), *length, *last));
        }
        let file = open(OpenOptions::new().read(true).write(true), path)?;
        let length = whole_length(&file)?;
        if length < file.metadata()?.len() {
            file.set_len(length)?;
        }
        let mut last = None;
        for path in files.iter().rev() {
            last = last_number(path)?;
            if last.is_some() {
                break;
            }
        }
        Ok((Some(path.clone()), length, last.unwrap_or(0)))
    }

    /// Removes the files of days that are over by so many days; the newest stays.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not be removed.
    pub(crate) fn prune(&self, days: u32) -> io::Result<()> {
        if days == 0 {
            return Ok(());
        }
        let (first, today) = (clock::utc_day_before(days), clock::utc_day_before(0));
        let files = files(&self.dir)?;
        let all_but_newest = files.split_last().map(|(_, older)| older).unwrap_or_default();
        for path in all_but_newest {
            // Of a clock that was ahead the name stays too new; when it was written is told by a clock, too. One that was behind says
            // nothing of files whose names are of days that have been.
            let is_ahead = day_of(path) > &*today;
            let is_old = || Ok::<_, io::Error>(clock::utc_day(written(path)?).is_some_and(|day| day < first));
            if day_of(path) < &*first || (is_ahead && is_old()?) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Reads the events behind a position, and moves it behind them. A last line without an end is read when it has one; a line that
/// is no event is passed over.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn read_on(dir: &Path, position: &mut JournalPosition) -> io::Result<Vec<Event>> {
    read_some(dir, position, usize::MAX)
}

/// The same, of at most so many events.
///
/// # Errors
/// As [`read_on`].
pub(crate) fn read_some(dir: &Path, position: &mut JournalPosition, most: usize) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    let files = files(dir)?;
    if files.last().is_some_and(|newest| name_of(newest) < position.file.as_str()) {
        // The journal that it stood in was removed.
        *position = JournalPosition::default();
    }
    for path in files {
        let name = name_of(&path).to_owned();
        if name < position.file {
            continue;
        }
        let mut file = match open(OpenOptions::new().read(true), &path) {
            // It has just become too old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if name == position.file && file.metadata()?.len() >= position.offset {
            file.seek(SeekFrom::Start(position.offset))?;
        } else {
            (position.file, position.offset) = (name, 0);
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            position.offset += line.len() as u64;
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) => events.push(event),
                Err(_) => position.passed_over += 1,
            }
            line.clear();
            if events.len() >= most {
                return Ok(events);
            }
        }
    }
    Ok(events)
}

/// How many events of each name there are.
pub(crate) type EventCounts = BTreeMap<&'static str, u64>;

/// Counts the events of a project since a moment, of the targets that `is_wanted` wants.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) fn counts(
    root: &Path,
    since: i64,
    is_wanted: &dyn Fn(Option<&str>) -> bool,
) -> io::Result<EventCounts> {
    let mut counts = EventCounts::new();
    each(root, &mut |event| {
        if event.detected_at_unix >= since && is_wanted(event.target.as_deref()) {
            *counts.entry(event.event.word()).or_default() += 1;
        }
    })?;
    Ok(counts)
}

/// Gives `take` every event of a project, oldest first; a part of the journal is in memory at a time.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) fn each(root: &Path, take: &mut dyn FnMut(&Event)) -> io::Result<()> {
    let (dir, mut position) = (directory(root), JournalPosition::default());
    loop {
        let events = read_some(&dir, &mut position, READ_AT_ONCE)?;
        if events.is_empty() {
            return Ok(());
        }
        events.iter().for_each(&mut *take);
    }
}

/// The files of a journal, oldest first; none where there is no journal.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = name_of(&path);
        let digits = |range: std::ops::Range<usize>| {
            name.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
        };
        if name.len() == 13 + ENDING.len() && digits(0..8) && digits(9..13) && name.ends_with(ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Opens a file of a journal: none that a link leads to, and nothing that is no file.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = options.custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is no regular file; remove it", name_of(path))))
}

/// When a file was last written, in seconds since 1970.
fn written(path: &Path) -> io::Result<i64> {
    Ok(path.symlink_metadata()?.mtime())
}

/// The day that a file of a journal is of.
fn day_of(path: &Path) -> &str {
    name_of(path).get(..8).unwrap_or_default()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The end of a file, of at most so many bytes.
fn end_of(file: &File, most: u64) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(most);
    let mut file = file;
    file.seek(SeekFrom::Start(begin))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok((begin, end))
}

/// How long a file is up to the end of its last whole line.
fn whole_length(file: &File) -> io::Result<u64> {
    let (begin, end) = end_of(file, LONGEST_LINE)?;
    let whole = end.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    Ok(if whole == 0 && begin > 0 { begin + end.len() as u64 } else { begin + whole as u64 })
}

/// The number of the last event in a file.
fn last_number(path: &Path) -> io::Result<Option<u64>> {
    let file = open(OpenOptions::new().read(true), path)?;
    let mut most = LONGEST_LINE;
    loop {
        let (begin, end) = end_of(&file, most)?;
        let mut lines = end.split(|&b| b == b'\n').rev();
        let last = lines.find_map(|line| serde_json::from_slice::<Event>(line).ok());
        if last.is_some() || begin == 0 {
            return Ok(last.map(|event| event.seq));
        }
        // An event may be longer: it names every file of a module.
        most = most.saturating_mul(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::{Happened, Scene};
    use crate::events::inbox::HintSource;

    fn event() -> Event {
        Event::new(Happened::Started, Scene { target: None, trigger: HintSource::Start })
    }

    fn numbers(dir: &Path) -> Vec<u64> {
        let events = read_on(&directory(dir), &mut JournalPosition::default()).unwrap();
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_event_and_leaves_no_gap() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(root.path()).unwrap();
        journal.append(&mut [event(), event()]).unwrap();
        let path = files(&directory(root.path())).unwrap().pop().unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"schema\":\"driftlock.event/1\",\"seq\":3").unwrap();
        assert_eq!(numbers(root.path()), [1, 2]);
        journal.append(&mut [event()]).unwrap();
        Journal::open(root.path()).unwrap().append(&mut [event()]).unwrap();
        journal.append(&mut [event()]).unwrap();
        assert_eq!(numbers(root.path()), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_reader_goes_on_where_it_stood() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(root.path()).unwrap();
        let mut position = JournalPosition::default();
        journal.append(&mut [event()]).unwrap();
        assert_eq!(read_on(&directory(root.path()), &mut position).unwrap().len(), 1);
        assert_eq!(read_on(&directory(root.path()), &mut position).unwrap().len(), 0);
        journal.append(&mut [event(), event()]).unwrap();
        assert_eq!(read_on(&directory(root.path()), &mut position).unwrap().len(), 2);
    }

    #[test]
    fn a_reader_begins_anew_where_the_journal_was_removed() {
        let root = tempfile::tempdir().unwrap();
        let dir = directory(root.path());
        for earlier in ["99991231-0001.jsonl", ""] {
            let mut journal = Journal::open(root.path()).unwrap();
            journal.append(&mut [event(), event()]).unwrap();
            let mut position = JournalPosition { file: earlier.to_owned(), offset: 7, passed_over: 0 };
            if earlier.is_empty() {
                position = journal.position().unwrap();
                std::fs::remove_dir_all(&dir).unwrap();
                Journal::open(root.path()).unwrap().append(&mut [event()]).unwrap();
            }
            assert!(!read_on(&dir, &mut position).unwrap().is_empty(), "{earlier}");
        }
    }

    #[test]
    fn days_that_are_over_go_and_numbers_go_on() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(root.path()).unwrap();
        journal.append(&mut [event(), event()]).unwrap();
        let path = files(&directory(root.path())).unwrap().pop().unwrap();
        std::fs::rename(&path, path.with_file_name("20200101-0001.jsonl")).unwrap();
        journal.append(&mut [event()]).unwrap();
        assert_eq!(numbers(root.path()), [1, 2, 3]);
        journal.prune(30).unwrap();
        assert_eq!(numbers(root.path()), [3]);
        journal.append(&mut [event()]).unwrap();
        assert_eq!(numbers(root.path()), [3, 4]);
    }

    #[test]
    fn a_clock_that_is_put_back_loses_nothing_and_repeats_no_number() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(root.path()).unwrap();
        journal.append(&mut [event(), event()]).unwrap();
        let today = files(&directory(root.path())).unwrap().pop().unwrap();
        // It was ahead for a while.
        let ahead = today.with_file_name("99991231-0001.jsonl");
        std::fs::copy(&today, &ahead).unwrap();
        let text = std::fs::read_to_string(&ahead).unwrap();
        let ahead_of = text.replace("\"seq\":1,", "\"seq\":3,").replace("\"seq\":2,", "\"seq\":4,");
        std::fs::write(&ahead, ahead_of).unwrap();
        let mut follower = JournalPosition::default();
        read_on(&directory(root.path()), &mut follower).unwrap();
        journal.append(&mut [event()]).unwrap();
        journal.append(&mut [event()]).unwrap();
        Journal::open(root.path()).unwrap().append(&mut [event()]).unwrap();
        assert_eq!(numbers(root.path()), [1, 2, 3, 4, 5, 6, 7]);
        let news = read_on(&directory(root.path()), &mut follower).unwrap();
        assert_eq!(news.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 6, 7]);
        // What it left is removed when it is old by the clock of now.
        std::fs::write(ahead.with_file_name("99991231-0002.jsonl"), "").unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 86_400);
        File::options().append(true).open(&ahead).unwrap().set_modified(long_ago).unwrap();
        journal.prune(30).unwrap();
        assert!(!ahead.exists() && today.exists());
    }

    #[test]
    fn the_number_after_an_event_of_any_length_is_the_next() {
        let root = tempfile::tempdir().unwrap();
        let mut long = event();
        long.fields = (0..40_000).map(|number| format!("models/a_file_of_a_module_{number}.py")).collect();
        Journal::open(root.path()).unwrap().append(&mut [event(), long]).unwrap();
        Journal::open(root.path()).unwrap().append(&mut [event()]).unwrap();
        assert_eq!(numbers(root.path()), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_file_is_neither_read_nor_written_nor_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(root.path()).unwrap();
        let (dir, elsewhere) = (directory(root.path()), root.path().join("elsewhere"));
        std::fs::write(&elsewhere, "").unwrap();
        let place = dir.join("99991231-0001.jsonl");
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        assert!(journal.append(&mut [event()]).is_err());
        std::fs::remove_file(&place).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::RUSR).unwrap();
        assert!(read_on(&dir, &mut JournalPosition::default()).is_err());
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"");
    }

    #[test]
    fn lines_that_are_no_events_are_counted() {
        let root = tempfile::tempdir().unwrap();
        Journal::open(root.path()).unwrap().append(&mut [event()]).unwrap();
        let path = files(&directory(root.path())).unwrap().pop().unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"schema\":\"driftlock.event/9\"}\n\xff\n").unwrap();
        let mut position = JournalPosition::default();
        assert_eq!(read_on(&directory(root.path()), &mut position).unwrap().len(), 1);
        assert_eq!(position.passed_over, 2);
    }
}
