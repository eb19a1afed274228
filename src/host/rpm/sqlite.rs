//! The blobs of one table in a database file of `SQLite`, and nothing else of it: <https://www.sqlite.org/fileformat2.html>.

use std::collections::HashMap;

use super::DamagedDatabase;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// The size of the head of the file, which the first page begins with.
const HEAD: usize = 100;
/// The kinds of pages of a table: those that name others, and those with rows.
const INNER: u8 = 0x05;
const LEAF: u8 = 0x0d;
/// The head of the log, and of each page in it. The last bit of the magic says in which order bytes are summed up.
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

const NO_DATABASE: DamagedDatabase = DamagedDatabase("it is none of SQLite");
const DAMAGED: DamagedDatabase = DamagedDatabase("a page of it");

/// The second column of each row of a table, where that is a blob and the first is the number of the row.
///
/// # Errors
/// When the file is no database, has no such table, or is damaged.
pub(super) fn blobs(file: &[u8], log: &[u8], table: &str) -> Result<Vec<Vec<u8>>, DamagedDatabase> {
    let database = Database::open(file, log).ok_or(NO_DATABASE)?;
    let is_wanted = |row: &[Column<'_>]| {
        row.first() == Some(&Column::Bytes(b"table")) && row.get(1) == Some(&Column::Bytes(table.as_bytes()))
    };
    let mut root = None;
    database.rows(1, &mut |row| {
        if let (true, Some(&Column::Number(page))) = (is_wanted(row), row.get(3)) {
            root = u32::try_from(page).ok();
        }
        Some(())
    })?;
    let mut blobs = Vec::new();
    database.rows(root.ok_or(DamagedDatabase("it has no packages"))?, &mut |row| match row {
        [_, Column::Bytes(blob)] => {
            blobs.push(blob.to_vec());
            Some(())
        }
        _ => None,
    })?;
    Ok(blobs)
}

/// A value of a row; what is not needed is told apart no further.
#[derive(Debug, PartialEq, Eq)]
enum Column<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Other,
}

struct Database<'a> {
    file: &'a [u8],
    /// The pages that the log has anew.
    newer: HashMap<u32, &'a [u8]>,
    page_size: usize,
    /// The bytes of a page that hold rows.
    usable: usize,
    /// How many pages there are at most.
    pages: usize,
}

impl<'a> Database<'a> {
    fn open(file: &'a [u8], log: &'a [u8]) -> Option<Self> {
        let logged = Log::read(log);
        let first = logged.as_ref().and_then(|log| log.pages.get(&1).copied()).unwrap_or(file);
        if !first.starts_with(MAGIC) || first.len() < HEAD {
            return None;
        }
        let page_size = match number(first, 16, 2)? {
            1 => 1 << 16,
            size => usize::try_from(size).ok()?,
        };
        let is_fit = page_size.is_power_of_two() && page_size >= 512;
        let is_same = logged.as_ref().is_none_or(|log| log.page_size == page_size);
        let usable = page_size.checked_sub(usize::from(first[20])).filter(|&usable| usable >= 480)?;
        let newer = logged.map(|log| log.pages).unwrap_or_default();
        let pages = file.len() / page_size + newer.len();
        (is_fit && is_same).then_some(Self { file, newer, page_size, usable, pages })
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        if let Some(page) = self.newer.get(&number) {
            return Some(page);
        }
        let begin = usize::try_from(number.checked_sub(1)?).ok()?.checked_mul(self.page_size)?;
        self.file.get(begin..begin.checked_add(self.page_size)?)
    }

    /// Gives each row of the table that begins at a page to `take`, which gives nothing where it is none that it knows.
    fn rows(
        &self,
        root: u32,
        take: &mut dyn FnMut(&[Column<'_>]) -> Option<()>,
    ) -> Result<(), DamagedDatabase> {
        let mut waiting = vec![root];
        let mut visited = 0;
        while let Some(number) = waiting.pop() {
            visited += 1;
            if visited > self.pages {
                // Pages that name each other in a circle.
                return Err(DAMAGED);
            }
            self.page_of_table(number, &mut waiting, take).ok_or(DAMAGED)?;
        }
        Ok(())
    }

    fn page_of_table(
        &self,
        page_number: u32,
        waiting: &mut Vec<u32>,
        take: &mut dyn FnMut(&[Column<'_>]) -> Option<()>,
    ) -> Option<()> {
        let page = self.page(page_number)?;
        let head = if page_number == 1 { HEAD } else { 0 };
        let kind = *page.get(head)?;
        let cells = usize::try_from(number(page, head + 3, 2)?).ok()?;
        let pointers = head + if kind == INNER { 12 } else { 8 };
        for cell in 0..cells {
            let at = usize::try_from(number(page, pointers + 2 * cell, 2)?).ok()?;
            match kind {
                INNER => waiting.push(u32::try_from(number(page, at, 4)?).ok()?),
                LEAF => take(&columns(&self.payload(page, at)?)?)?,
                _ => return None,
            }
        }
        match kind {
            INNER => waiting.push(u32::try_from(number(page, head + 8, 4)?).ok()?),
            LEAF => {}
            _ => return None,
        }
        Some(())
    }

    /// The bytes of a row, gathered from its page and from those that it flows over to.
    fn payload(&self, page: &[u8], at: usize) -> Option<Vec<u8>> {
        let (length, at) = variable(page, at)?;
        let (_, at) = variable(page, at)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= self.pages * self.page_size)?;
        let here = self.held_on_the_page(length);
        let mut bytes = page.get(at..at + here)?.to_vec();
        if here == length {
            return Some(bytes);
        }
        let mut next = u32::try_from(number(page, at + here, 4)?).ok()?;
        while bytes.len() < length {
            let page = self.page(next)?;
            let part = (length - bytes.len()).min(self.usable - 4);
            bytes.extend_from_slice(page.get(4..4 + part)?);
            next = u32::try_from(number(page, 0, 4)?).ok()?;
        }
        Some(bytes)
    }

    /// How many bytes of a row of that length lie on its own page.
    fn held_on_the_page(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let wanted = least + (length - least) % (self.usable - 4);
        if wanted <= most { wanted } else { least }
    }
}

/// The columns of a row.
fn columns(row: &[u8]) -> Option<Vec<Column<'_>>> {
    let (head, mut at) = variable(row, 0)?;
    let mut value = usize::try_from(head).ok()?;
    let end = value;
    let mut columns = Vec::new();
    while at < end {
        let (kind, next) = variable(row, at)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = row.get(value..value.checked_add(size)?)?;
        columns.push(match kind {
            1..=6 => Column::Number(signed(bytes)),
            8 | 9 => Column::Number(i64::from(kind == 9)),
            0 | 7 => Column::Other,
            _ => Column::Bytes(bytes),
        });
        (at, value) = (next, value + size);
    }
    Some(columns)
}

fn signed(bytes: &[u8]) -> i64 {
    let first = if bytes.first().is_some_and(|&b| b >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(first, |all, &b| all << 8 | i64::from(b))
}

/// A number of so many bytes, the highest first.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(size)?)?;
    Some(part.iter().fold(0, |all, &b| all << 8 | u64::from(b)))
}

/// A number of variable length, and where it ends: seven bits a byte, and eight of a ninth.
fn variable(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut all = 0;
    for count in 0..8 {
        let byte = *bytes.get(at.checked_add(count)?)?;
        all = all << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((all, at + count + 1));
        }
    }
    Some((all << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

/// Pages that were written beside the file and are not in it yet.
struct Log<'a> {
    page_size: usize,
    pages: HashMap<u32, &'a [u8]>,
}

impl<'a> Log<'a> {
    /// Reads a log up to its last whole transaction; `None` where it has none.
    fn read(log: &'a [u8]) -> Option<Self> {
        let word = |at: usize| number(log, at, 4).and_then(|word| u32::try_from(word).ok());
        let magic = word(0)?;
        let page_size = usize::try_from(word(8)?).ok()?;
        if magic & !1 != LOG_MAGIC || !page_size.is_power_of_two() || page_size < 512 {
            return None;
        }
        let is_big = magic & 1 == 1;
        let mut sum = summed((0, 0), log.get(..24)?, is_big);
        if (word(24)?, word(28)?) != sum {
            return None;
        }
        let (mut pages, mut open) = (HashMap::new(), Vec::new());
        for frame in log[LOG_HEAD..].chunks_exact(FRAME_HEAD + page_size) {
            let (head, page) = frame.split_at(FRAME_HEAD);
            let word = |at: usize| number(head, at, 4).and_then(|word| u32::try_from(word).ok());
            sum = summed(summed(sum, &head[..8], is_big), page, is_big);
            // Frames behind these are of a time before the log was begun anew.
            if head[8..16] != log[16..24] || (word(16)?, word(20)?) != sum {
                break;
            }
            open.push((word(0)?, page));
            if word(4)? != 0 {
                pages.extend(open.drain(..));
            }
        }
        (!pages.is_empty()).then_some(Self { page_size, pages })
    }
}

/// Goes on with the sum of a log over more bytes, whose length is a multiple of eight.
fn summed(mut sum: (u32, u32), bytes: &[u8], is_big: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    for pair in bytes.chunks_exact(8) {
        sum.0 = sum.0.wrapping_add(word(&pair[..4])).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(&pair[4..])).wrapping_add(sum.0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Makes a database of random rows by `SQLite` itself, and prints them. A reader stays, so that the log is kept.
    const MAKE: &str = r"
import random, shutil, sqlite3, sys
place, dice = sys.argv[1], random.Random(int(sys.argv[2]))
base = sqlite3.connect(place + '/base')
base.execute(f'pragma page_size={2 ** dice.randint(9, 16)}')
if dice.random() < 0.5:
    base.execute('pragma journal_mode=wal')
base.execute('create table other (a text, b real)')
base.execute('create table Packages (hnum integer primary key autoincrement, blob blob not null)')
reader = sqlite3.connect(place + '/base')
reader.execute('select * from Packages').fetchall()
for _ in range(dice.randint(1, 6)):
    for _ in range(dice.randint(0, 60)):
        size = dice.choice([0, 1, 90, 400, 470, 500, 3000, 70000]) + dice.randint(0, 40)
        base.execute('insert into Packages (blob) values (?)', (dice.randbytes(size),))
        base.execute('insert into other values (?, ?)', ('x' * dice.randint(0, 900), 1.5))
    if dice.random() < 0.4:
        base.execute('delete from Packages where hnum % 3 = ?', (dice.randint(0, 2),))
    base.commit()
    if dice.random() < 0.3:
        base.execute('pragma wal_checkpoint(%s)' % dice.choice(['passive', 'restart']))
if dice.random() < 0.5:
    base.execute('insert into Packages (blob) values (?)', (b'not committed' * 99,))
for kind in ['', '-wal']:
    try:
        shutil.copy(place + '/base' + kind, place + '/copy' + kind)
    except FileNotFoundError:
        open(place + '/copy' + kind, 'w').close()
for blob, in reader.execute('select blob from Packages order by hnum'):
    print(blob.hex())
";

    fn made(place: &Path, seed: u64) -> (Vec<u8>, Vec<u8>, Vec<String>) {
        let mut python = Command::new("python3");
        let told = python.args(["-c", MAKE]).arg(place).arg(seed.to_string()).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let read = |name: &str| std::fs::read(place.join(name)).unwrap();
        let rows = String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect();
        (read("copy"), read("copy-wal"), rows)
    }

    fn hex(blobs: &[Vec<u8>]) -> Vec<String> {
        let mut all: Vec<String> = blobs.iter().map(|blob| data_encoding::HEXLOWER.encode(blob)).collect();
        all.sort();
        all
    }

    #[test]
    fn random_tables_are_read_as_sqlite_reads_them() {
        let begin: u64 = std::env::var("DRIFTLOCK_SEED")
            .map_or_else(|_| crate::control::any_number(), |it| it.parse().unwrap());
        let rounds = std::env::var("DRIFTLOCK_ROUNDS").map_or(12, |it| it.parse().unwrap());
        let mut logged = 0;
        for seed in (0..rounds).map(|round| begin.wrapping_add(round)) {
            let place = tempfile::tempdir().unwrap();
            let (file, log, mut rows) = made(place.path(), seed);
            rows.sort();
            let read = blobs(&file, &log, "Packages").unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!(hex(&read) == rows, "seed {seed}: {} rows, {} expected", read.len(), rows.len());
            logged += usize::from(!log.is_empty());
        }
        assert!(rounds < 12 || logged > 0, "none of them had a log");
    }

    #[test]
    fn what_is_damaged_is_an_error_or_other_rows_and_never_more() {
        let place = tempfile::tempdir().unwrap();
        let (file, log, _) = made(place.path(), 6);
        let mut errors = 0;
        for cut in (0..file.len()).step_by(file.len() / 97) {
            errors += u32::from(blobs(&file[..cut], &[], "Packages").is_err());
            let mut other = file.clone();
            for at in (cut..file.len()).step_by(file.len() / 31) {
                other[at] ^= 0xff;
            }
            errors += u32::from(blobs(&other, &log, "Packages").is_err());
        }
        assert!(errors > 20, "{errors}");
        for (file, log) in [(&b""[..], &b""[..]), (b"SQLite format 3", b""), (&file[..100], b"")] {
            assert!(blobs(file, log, "Packages").is_err());
        }
        assert!(blobs(&file, &log, "None").is_err());
    }
}
