//! How much of what a server tells is taken: as many files as the baseline makes likely, and no more memory than those need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::SurveyError;
use crate::host::Query;
use crate::model::Tree;

/// The number of files beyond twice those of the baseline that are accepted.
const UNEXPECTED: u64 = 50_000;
/// The number of files that are accepted where there is no baseline yet: that of the largest tree that was ever tried, twice.
const FIRST: u64 = 2_000_000;
/// The memory for a file, in bytes: its path as often as it is told and kept, its digest, its place in tables.
const A_FILE: u64 = 1024;
/// The memory besides files, in bytes: directories on the way to them, and modules.
const BESIDES: u64 = 16 << 10;
/// The memory for keeping anything besides its bytes.
const OVERHEAD: u64 = 200;

/// The memory that is left; clones share it.
#[derive(Clone, Default)]
pub struct Budget {
    files: u64,
    known: u64,
    left: Arc<AtomicU64>,
}

impl Budget {
    /// For an answer to `queries`; `most` is how many files the user said that there may be.
    #[must_use]
    pub fn new(queries: &[Query], most: Option<u64>) -> Self {
        Self::of(queries.iter().map(known).sum(), most)
    }

    /// For an answer about files of which the baseline has `known`.
    pub(super) fn of(known: u64, most: Option<u64>) -> Self {
        let files = most.unwrap_or(if known == 0 { FIRST } else { known.saturating_mul(2) + UNEXPECTED });
        let left = files.saturating_mul(A_FILE).saturating_add(BESIDES);
        Self { files, known, left: Arc::new(left.into()) }
    }

    /// Takes note that so many bytes are kept, in so many pieces.
    ///
    /// # Errors
    /// When that is more than all the files can need.
    pub(super) fn spend(&self, bytes: usize, pieces: u64) -> Result<(), SurveyError> {
        let cost = OVERHEAD.saturating_mul(pieces).saturating_add(bytes as u64);
        let spent = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(cost));
        let Self { files, known, .. } = *self;
        spent.map(drop).map_err(|_| SurveyError::TooMuch { files, known })
    }
}

/// The number of files of a query that the baseline has.
fn known(query: &Query) -> u64 {
    let known = match query {
        Query::Files(query) => query.named.len(),
        Query::Modules(query) => query.known.values().map(Tree::len).sum(),
        Query::Containers(_) | Query::System(_) => 0,
    };
    known as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FileQuery, Scope, Select};

    fn query(named: usize) -> Query {
        let named = (0..named).map(|number| format!("etc/{number}").into_bytes()).collect();
        Query::Files(FileQuery {
            select: Select::Named,
            exclude: Vec::new(),
            named,
            scope: Scope::default(),
            beside: false,
        })
    }

    /// How many files of a usual tree pass: a path of 60 bytes is told once and kept three times.
    fn passed(named: usize, most: Option<u64>) -> u64 {
        let budget = Budget::new(&[query(named)], most);
        (0..10_000_000).take_while(|_| budget.spend(64 + 3 * 60, 3).is_ok()).count() as u64
    }

    #[test]
    fn a_tree_of_any_size_passes_and_far_more_than_it_does_not() {
        for named in [1, 1_000, 100_000, 1_000_000] {
            let most = passed(named, None);
            assert!((named as u64 + 50_000..4 * named as u64 + 100_000).contains(&most), "{named}: {most}");
        }
        assert!(passed(0, None) > 1_000_000, "the first look has nothing to go by");
        assert!((10..35).contains(&passed(1_000, Some(10))), "the user's word goes first");
    }

    #[test]
    fn the_words_say_how_many_and_what_helps() {
        let why = Budget::new(&[query(3)], Some(1)).spend(20_000, 1).unwrap_err().to_string();
        assert!(
            why.contains("more than 1 files can need, and the baseline has 3") && why.contains("max_files"),
            "{why}"
        );
    }
}
