//! The blobs of a database of rpm's own kind, which SUSE has (`Packages.db`): pages of slots at the begin of the file, each of which
//! says where a blob lies. Numbers have their lowest byte first. Its only description is `lib/backend/ndb/rpmpkg.c` of rpm's source.

use super::DamagedDatabase;

pub(super) const MAGIC: &[u8] = b"RpmP";
const PAGE: usize = 4096;
/// The size of the head of the file, in place of the first slots.
const HEAD: usize = 32;
const SLOT: usize = 16;
const SLOT_MAGIC: &[u8] = b"Slot";
/// What the places and sizes of blobs are counted in.
const BLOCK: usize = 16;
const BLOB_MAGIC: &[u8] = b"BlbS";
/// The size of what is before the bytes of a blob, and behind them.
const BLOB_HEAD: usize = 16;
const BLOB_TAIL: usize = 12;

const DAMAGED: DamagedDatabase = DamagedDatabase("a slot of it");

/// Each blob of the database.
///
/// # Errors
/// When the file is no such database, or damaged.
pub(super) fn blobs(file: &[u8]) -> Result<Vec<Vec<u8>>, DamagedDatabase> {
    let pages = usize::try_from(word(file, 12).ok_or(DAMAGED)?).map_err(|_| DAMAGED)?;
    let slots = pages.checked_mul(PAGE).and_then(|end| file.get(HEAD..end)).ok_or(DAMAGED)?;
    let slots = slots.chunks_exact(SLOT).filter(|slot| word(slot, 8) != Some(0));
    let mut room = file.len();
    let mut its = |slot| {
        let blob = blob(file, slot)?;
        // Together they are never larger than the file: where they would be, slots share a blob.
        room = room.checked_sub(blob.len())?;
        Some(blob.to_vec())
    };
    slots.map(|slot| its(slot).ok_or(DAMAGED)).collect()
}

fn blob<'a>(file: &'a [u8], slot: &[u8]) -> Option<&'a [u8]> {
    let blocks = |at: usize| usize::try_from(word(slot, at)?).ok()?.checked_mul(BLOCK);
    let (begin, size) = (blocks(8)?, blocks(12)?);
    let whole = file.get(begin..begin.checked_add(size)?)?;
    let length = usize::try_from(word(whole, 12)?).ok()?;
    let is_its_own =
        slot.starts_with(SLOT_MAGIC) && whole.starts_with(BLOB_MAGIC) && word(whole, 4) == word(slot, 4);
    let is_fit = length.checked_add(BLOB_HEAD + BLOB_TAIL)? <= size;
    (is_its_own && is_fit).then(|| &whole[BLOB_HEAD..BLOB_HEAD + length])
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of these blobs, with an empty slot behind each.
    fn made(all: &[&[u8]]) -> Vec<u8> {
        let pages = (HEAD + 2 * SLOT * all.len()).div_ceil(PAGE).max(1);
        let words = |words: [usize; 3]| words.map(|it| u32::try_from(it).unwrap().to_le_bytes()).concat();
        let (mut slots, mut data) = (Vec::new(), Vec::new());
        for (index, blob) in all.iter().enumerate() {
            let begin = (pages * PAGE + data.len()) / BLOCK;
            let blocks = (BLOB_HEAD + blob.len() + BLOB_TAIL).div_ceil(BLOCK);
            slots.extend([SLOT_MAGIC, &words([index + 1, begin, blocks]), SLOT_MAGIC, &[0; 12]].concat());
            data.extend([BLOB_MAGIC, &words([index + 1, 7, blob.len()]), blob].concat());
            data.resize(
                data.len().next_multiple_of(BLOCK)
                    + if blob.len() % BLOCK > 4 || blob.len() % BLOCK == 0 { BLOCK } else { 0 },
                0,
            );
        }
        let mut file = [MAGIC, &words([0, 1, pages]), &[0; HEAD - 16]].concat();
        file.extend(slots);
        file.resize(pages * PAGE, 0);
        file.extend(data);
        file
    }

    #[test]
    fn blobs_are_read_by_their_slots_and_what_is_damaged_is_an_error() {
        let long = vec![b'x'; 9000];
        let all: [&[u8]; 4] = [b"", b"one", &long, b"four bytes and more"];
        let file = made(&all);
        assert_eq!(blobs(&file).unwrap(), all);
        let many: Vec<Vec<u8>> = (0..500).map(|number| format!("blob {number}").into_bytes()).collect();
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        assert_eq!(blobs(&made(&many)).unwrap(), many);
        assert_eq!(blobs(&made(&[])).unwrap(), Vec::<Vec<u8>>::new());
        let mut shared = made(&[b"x", &long, b"y"]);
        for slot in [0, 4] {
            shared.copy_within(HEAD + 2 * SLOT..HEAD + 3 * SLOT, HEAD + slot * SLOT);
        }
        assert!(blobs(&shared).is_err());
        for cut in 0..file.len() - BLOCK {
            assert!(blobs(&file[..cut]).is_err(), "{cut}");
        }
        // A slot without its magic, one of another blob, and one that is too short for its blob.
        for at in [HEAD, HEAD + 4, HEAD + 2 * SLOT + 12] {
            let mut other = file.clone();
            other[at] ^= 3;
            assert!(blobs(&other).is_err(), "{at}");
        }
    }
}
