//! The database of rpm, read from its file, for where no process is started: the header of each package, in a table of `SQLite` or
//! Berkeley DB, or in a file of rpm's own kind.

mod berkeley;
mod header;
mod ndb;
mod sqlite;

use std::collections::BTreeSet;

/// The table that has a header a package.
const PACKAGES: &str = "Packages";

/// Why a database is not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the database of rpm is damaged ({0}): run rpmdb --rebuilddb there, or make the container anew of its image"
)]
pub(super) struct DamagedDatabase(&'static str);

/// What `rpm -qa` lists of a database, a line each of name, version and architecture with tabs between, in order: from the bytes
/// of its file and of the log that `SQLite` keeps beside it, which may be empty. Of which kind it is, its bytes say.
///
/// # Errors
/// When it is no such database, or damaged.
pub(super) fn listed(file: &[u8], log: &[u8]) -> Result<Vec<u8>, DamagedDatabase> {
    let headers = match file {
        file if file.starts_with(ndb::MAGIC) => ndb::blobs(file)?,
        file if berkeley::is_one(file) => berkeley::values(file)?,
        file => sqlite::blobs(file, log, PACKAGES)?,
    };
    let lines: BTreeSet<Vec<u8>> =
        headers.iter().map(|header| header::line(header)).collect::<Result<_, _>>()?;
    Ok(lines.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of texts and numbers by their tags.
    fn header(texts: &[(u32, &str)], numbers: &[(u32, u32)]) -> Vec<u8> {
        let (mut index, mut values) = (Vec::new(), Vec::new());
        let mut entry = |tag: u32, kind: u32, value: &[u8]| {
            let at = u32::try_from(values.len()).unwrap();
            index.extend([tag, kind, at, 1].map(u32::to_be_bytes).concat());
            values.extend(value);
        };
        for (tag, number) in numbers {
            entry(*tag, 4, &number.to_be_bytes());
        }
        for (tag, text) in texts {
            entry(*tag, 6, format!("{text}\0").as_bytes());
        }
        let counts =
            [index.len() / 16, values.len()].map(|count| u32::try_from(count).unwrap().to_be_bytes());
        [counts.concat(), index, values].concat()
    }

    #[test]
    fn a_header_gives_the_line_that_rpm_prints() {
        let texts = [(1000, "bash"), (1001, "5.2"), (1002, "1.el9"), (1022, "x86_64")];
        let line = |header: &[u8]| header::line(header).map(|line| String::from_utf8(line).unwrap());
        assert_eq!(line(&header(&texts, &[])).unwrap(), "bash\t5.2-1.el9\tx86_64\n");
        assert_eq!(line(&header(&texts, &[(1003, 0)])).unwrap(), "bash\t0:5.2-1.el9\tx86_64\n");
        assert_eq!(line(&header(&texts[..3], &[])).unwrap(), "bash\t5.2-1.el9\t(none)\n");
        let whole = header(&texts, &[]);
        for cut in 0..whole.len() {
            assert!(line(&whole[..cut]).is_err(), "{cut}");
        }
        for texts in [&texts[1..], &[(1000, "a\tb"), texts[1], texts[2]], &[(1000, ""), texts[1], texts[2]]] {
            assert!(line(&header(texts, &[])).is_err(), "{texts:?}");
        }
    }
}
