//! The values of a hash table of Berkeley DB, which rpm kept its packages in up to release 8 of RHEL (`Packages`): buckets of pages,
//! and values too large for a page in pages of their own. Numbers have the order of the machine that wrote them. The source of
//! release 5.3 describes it, in `src/dbinc/db_page.h`.

use super::DamagedDatabase;

const MAGIC: u32 = 0x0006_1561;
/// The size of the head of a page, behind which the places of its items stand.
const PAGE_HEAD: usize = 26;
/// The kinds of pages: the first of the file, those with items, and those of one large value.
const META: u8 = 8;
const HASH: [u8; 2] = [2, 13];
const OVERFLOW: u8 = 7;
/// The kinds of items: in place, and in pages of its own.
const IN_PLACE: u8 = 1;
const ELSEWHERE: u8 = 3;
/// The key of a record that is no package: the number of the newest one.
const COUNTER: &[u8] = &[0; 4];

const DAMAGED: DamagedDatabase = DamagedDatabase("a page of it");

/// Whether a file is such a table.
pub(super) fn is_one(file: &[u8]) -> bool {
    Order::of(file).is_some()
}

/// Each value of the table but the counter.
///
/// # Errors
/// When the file is no such table, or damaged.
pub(super) fn values(file: &[u8]) -> Result<Vec<Vec<u8>>, DamagedDatabase> {
    Table::open(file).and_then(|table| table.values()).ok_or(DAMAGED)
}

#[derive(Clone, Copy)]
enum Order {
    Lowest,
    Highest,
}

impl Order {
    fn of(file: &[u8]) -> Option<Self> {
        [Self::Lowest, Self::Highest].into_iter().find(|order| order.word(file, 12) == Some(MAGIC))
    }

    fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let part = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Lowest => u32::from_le_bytes(part),
            Self::Highest => u32::from_be_bytes(part),
        })
    }

    fn short(self, bytes: &[u8], at: usize) -> Option<usize> {
        let part = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(usize::from(match self {
            Self::Lowest => u16::from_le_bytes(part),
            Self::Highest => u16::from_be_bytes(part),
        }))
    }
}

struct Table<'a> {
    file: &'a [u8],
    order: Order,
    page_size: usize,
    /// How many pages the file has.
    pages: usize,
}

/// Values, which together are never larger than the file: where they would be, records share their pages.
struct Values {
    all: Vec<Vec<u8>>,
    room: usize,
}

impl Values {
    fn add(&mut self, value: Vec<u8>) -> Option<()> {
        self.room = self.room.checked_sub(value.len())?;
        self.all.push(value);
        Some(())
    }
}

impl<'a> Table<'a> {
    fn open(file: &'a [u8]) -> Option<Self> {
        let order = Order::of(file)?;
        let page_size = usize::try_from(order.word(file, 20)?).ok()?;
        let is_fit = page_size.is_power_of_two() && (512..=1 << 16).contains(&page_size);
        // Neither encrypted, nor with a sum behind the head of each page.
        let is_plain = file.get(24) == Some(&0) && file.get(25) == Some(&META) && file.get(26) == Some(&0);
        (is_fit && is_plain).then(|| Self { file, order, page_size, pages: file.len() / page_size })
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let begin = usize::try_from(number).ok()?.checked_mul(self.page_size)?;
        self.file.get(begin..begin.checked_add(self.page_size)?)
    }

    fn values(&self) -> Option<Vec<Vec<u8>>> {
        let last = self.order.word(self.file, 72)?;
        let (mut values, mut visited) = (Values { all: Vec::new(), room: self.file.len() }, 0);
        for bucket in 0..=last {
            let mut next = self.first_page(bucket)?;
            while next != 0 {
                visited += 1;
                if visited > self.pages {
                    // Pages that name each other in a circle.
                    return None;
                }
                let page = self.page(next)?;
                self.items(page, &mut values)?;
                next = self.order.word(page, 16)?;
            }
        }
        Some(values.all)
    }

    /// The first page of a bucket: what was spared before each doubling of the table lies between the buckets.
    fn first_page(&self, bucket: u32) -> Option<u32> {
        let doublings =
            usize::try_from(bucket.checked_add(1)?.checked_next_power_of_two()?.trailing_zeros()).ok()?;
        bucket.checked_add(self.order.word(self.file, 96 + 4 * doublings)?)
    }

    /// Adds the values of a page: keys and values by turns, each from its place to that of the one before.
    fn items(&self, page: &'a [u8], values: &mut Values) -> Option<()> {
        let count = self.order.short(page, 20)?;
        if !HASH.contains(page.get(25)?) || count % 2 == 1 {
            return None;
        }
        let mut items = Vec::with_capacity(count);
        let mut end = page.len();
        for index in 0..count {
            let begin = self.order.short(page, PAGE_HEAD + 2 * index)?;
            items.push(page.get(begin..end).filter(|item| !item.is_empty())?);
            end = begin;
        }
        for pair in items.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            if key[0] != IN_PLACE {
                return None;
            }
            if &key[1..] != COUNTER {
                values.add(self.value(value)?)?;
            }
        }
        Some(())
    }

    fn value(&self, item: &[u8]) -> Option<Vec<u8>> {
        match item[0] {
            IN_PLACE => Some(item[1..].to_vec()),
            ELSEWHERE => self.large(self.order.word(item, 4)?, self.order.word(item, 8)?),
            _ => None,
        }
    }

    fn large(&self, first: u32, length: u32) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|&length| length <= self.file.len())?;
        let (mut bytes, mut next) = (Vec::with_capacity(length), first);
        while next != 0 {
            let page = self.page(next)?;
            let size = self.order.short(page, 22)?;
            let part = page.get(PAGE_HEAD..PAGE_HEAD + size)?;
            if page[25] != OVERFLOW || part.is_empty() || bytes.len() + size > length {
                return None;
            }
            bytes.extend_from_slice(part);
            next = self.order.word(page, 16)?;
        }
        (bytes.len() == length).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Makes a table of random values by Berkeley DB itself, and prints what it has but the counter.
    const MAKE: &str = r"
use DB_File;
my ($place, $seed) = @ARGV;
srand $seed;
my $kind = DB_File::HASHINFO->new;
$kind->{bsize} = 2 ** (9 + int rand 8);
$kind->{nelem} = int rand 200;
$kind->{lorder} = (1234, 4321)[int rand 2];
my %table;
tie %table, 'DB_File', $place, 66, 0600, $kind or die $!;
$table{pack 'N', 0} = pack 'N', 99;
for (1 .. 1 + int rand 5) {
    for (1 .. int rand 150) {
        my $size = (0, 1, 90, 240, 500, 3000, 70000)[int rand 7] + int rand 40;
        $table{pack 'N', 1 + int rand 400} = join '', map { chr int rand 256 } 1 .. $size;
    }
    for my $key (1 .. 400) { delete $table{pack 'N', $key} if rand() < 0.2 }
}
delete $table{pack 'N', 0} if rand() < 0.2;
print unpack('H*', $table{$_}), qq(\n) for grep { $_ ne pack 'N', 0 } keys %table;
untie %table;
";

    fn made(place: &Path, seed: u64) -> (Vec<u8>, Vec<String>) {
        let mut perl = Command::new("perl");
        let told = perl.args(["-e", MAKE]).arg(place).arg(seed.to_string()).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let mut values: Vec<String> =
            String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect();
        values.sort();
        (std::fs::read(place).unwrap(), values)
    }

    #[test]
    fn random_tables_are_read_as_berkeley_db_reads_them() {
        let begin: u64 = std::env::var("DRIFTLOCK_SEED")
            .map_or_else(|_| crate::control::any_number(), |it| it.parse().unwrap());
        let rounds = std::env::var("DRIFTLOCK_ROUNDS").map_or(12, |it| it.parse().unwrap());
        for seed in (0..rounds).map(|round| begin.wrapping_add(round)) {
            let place = tempfile::tempdir().unwrap();
            let (file, expected) = made(&place.path().join("Packages"), seed);
            let read = values(&file).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let mut read: Vec<String> = read.iter().map(|it| data_encoding::HEXLOWER.encode(it)).collect();
            read.sort();
            assert!(read == expected, "seed {seed}: {} values, {} expected", read.len(), expected.len());
        }
    }

    /// Where the places of values in pages of their own stand.
    fn places_of_large_values(table: &Table<'_>) -> Vec<usize> {
        let mut places = Vec::new();
        for page in (0..table.pages).map(|number| number * table.page_size).skip(1) {
            let bytes = &table.file[page..page + table.page_size];
            let count = if HASH.contains(&bytes[25]) { table.order.short(bytes, 20).unwrap() } else { 0 };
            let values = (1..count).step_by(2);
            let items = values.map(|index| page + table.order.short(bytes, PAGE_HEAD + 2 * index).unwrap());
            places.extend(items.filter(|&at| table.file[at] == ELSEWHERE));
        }
        places
    }

    #[test]
    fn records_that_share_the_pages_of_one_are_an_error() {
        let place = tempfile::tempdir().unwrap();
        let (mut file, _) = made(&place.path().join("Packages"), 0);
        let table = Table::open(&file).unwrap();
        let places = places_of_large_values(&table);
        let largest = *places.iter().max_by_key(|&&at| table.order.word(&file, at + 8)).unwrap();
        for at in &places {
            file.copy_within(largest + 4..largest + 12, at + 4);
        }
        assert!(places.len() > 2, "{} large values", places.len());
        assert!(values(&file).is_err());
    }

    #[test]
    fn what_is_damaged_is_an_error_or_other_values_and_never_more() {
        let place = tempfile::tempdir().unwrap();
        let (file, _) = made(&place.path().join("Packages"), 6);
        let mut errors = 0;
        for cut in (0..file.len()).step_by(file.len() / 97) {
            errors += u32::from(values(&file[..cut]).is_err());
            let mut other = file.clone();
            for at in (cut..file.len()).step_by(file.len() / 31) {
                other[at] ^= 0xff;
            }
            errors += u32::from(values(&other).is_err());
        }
        assert!(errors > 20, "{errors}");
        // Encrypted, and with sums: neither is read.
        for at in [24, 26] {
            let mut other = file.clone();
            other[at] = 1;
            assert!(is_one(&other) && values(&other).is_err());
        }
    }
}
