//! The chain of signed reports: each names the one before it, so what was altered or removed shows.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Refused, Signer};
use crate::model::Digest;

/// A report as it lies in a run.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The name of the run that it lies in.
    pub run: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The run that it says it is of.
    pub says: String,
    /// The run before it, and the digest of that one's report.
    pub previous: Option<(String, Digest)>,
    /// Its signer.
    pub by: Result<Signer, Refused>,
}

/// Something that is to be said of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A report was altered, is missing, or does not count.
    Wrong {
        /// The run that it is about.
        run: String,
        /// The fault.
        why: String,
    },
    /// Something that is as it may be.
    Note(String),
}

impl Word {
    fn wrong(run: &str, why: impl Into<String>) -> Self {
        Self::Wrong { run: run.to_owned(), why: why.into() }
    }
}

/// Walks the reports of one place, oldest first. `is_old` tells whether a run of a name is old enough to
/// have been removed as the configuration says.
#[must_use]
pub fn walk(reports: &[Kept], is_old: &dyn Fn(&str) -> bool) -> Vec<Word> {
    let is_of_chain =
        |kept: &&Kept| kept.previous.is_some() || !matches!(kept.by, Err(Refused::Unsigned { .. }));
    let begin = reports.iter().position(|kept| is_of_chain(&kept)).unwrap_or(reports.len());
    let (before, chain) = reports.split_at(begin);
    let by_name: BTreeMap<&str, &Kept> = reports.iter().map(|kept| (kept.run.as_str(), kept)).collect();
    let mut words = Vec::new();
    if chain.is_empty() && !before.is_empty() {
        words.push(Word::wrong(&names(before), "nobody has signed any of them"));
    } else if !before.is_empty() {
        words.push(Word::Note(format!("not signed, and older than all that are: {}", names(before))));
    }
    let mut missing = BTreeSet::new();
    for (at, kept) in chain.iter().enumerate() {
        words.extend(of_itself(kept));
        match &kept.previous {
            None if at + begin > 0 => {
                words.push(Word::wrong(&kept.run, "it names no report before it, and older ones are here"));
            }
            None => {}
            Some((name, digest)) => match by_name.get(name.as_str()) {
                Some(previous) if previous.digest == *digest => {}
                Some(_) => words.push(Word::wrong(
                    name,
                    format!("it is not the report that run {} names: it was altered, or replaced", kept.run),
                )),
                None if missing.insert(name.as_str()) => words.push(gone(name, &kept.run, is_old)),
                None => {}
            },
        }
    }
    words.extend(ends(chain, missing.len()));
    words
}

fn names(reports: &[Kept]) -> String {
    match reports {
        [] => String::new(),
        [one] => one.run.clone(),
        [first, .., last] => format!("{} runs, {} to {}", reports.len(), first.run, last.run),
    }
}

/// The facts in a report itself.
fn of_itself(kept: &Kept) -> Vec<Word> {
    let mut words = Vec::new();
    if let Err(why) = &kept.by {
        words.push(Word::wrong(&kept.run, why.to_string()));
    }
    if kept.says != kept.run {
        words.push(Word::wrong(
            &kept.run,
            format!("it is the report of run {}: it was moved or copied", kept.says),
        ));
    }
    words
}

/// The reason for a run that another one names and that is not here.
fn gone(name: &str, by: &str, is_old: &dyn Fn(&str) -> bool) -> Word {
    if is_old(name) {
        return Word::Note(format!(
            "run {name} is not here: {by} names it, and it is old enough to have been removed by driftlock prune"
        ));
    }
    Word::wrong(
        name,
        format!(
            "it is missing: run {by} names it, and it is not old enough to have been removed by retention_days. Whoever \
             has run driftlock prune --days N may say so with --days N"
        ),
    )
}

/// Reports that no later one names: there is one, the newest, and one more wherever a run is missing.
fn ends(chain: &[Kept], missing: usize) -> Vec<Word> {
    let named: BTreeSet<&str> =
        chain.iter().filter_map(|kept| Some(kept.previous.as_ref()?.0.as_str())).collect();
    let ends: Vec<&Kept> = chain.iter().filter(|kept| !named.contains(kept.run.as_str())).collect();
    if ends.len() <= missing + 1 {
        return Vec::new();
    }
    let older = &ends[..ends.len() - 1];
    older
        .iter()
        .map(|kept| Word::wrong(&kept.run, "no later report names it, though there are later ones"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer { principals: "cron".to_owned(), key: "key".to_owned() }
    }

    fn unsigned() -> Refused {
        Refused::Unsigned { place: "x.sig".to_owned(), next: "" }
    }

    /// A chain of so many reports, called by their numbers.
    fn chain(length: usize) -> Vec<Kept> {
        let mut all: Vec<Kept> = Vec::new();
        for at in 0..length {
            let previous = all.last().map(|kept| (kept.run.clone(), kept.digest));
            let run = format!("run{at}");
            let digest = Digest::of(run.as_bytes());
            all.push(Kept { says: run.clone(), run, digest, previous, by: Ok(signer()) });
        }
        all
    }

    fn wrong(reports: &[Kept], old: &[&str]) -> Vec<(String, String)> {
        let words = walk(reports, &|name| old.contains(&name)).into_iter();
        words
            .filter_map(|word| if let Word::Wrong { run, why } = word { Some((run, why)) } else { None })
            .collect()
    }

    fn runs(reports: &[Kept], old: &[&str]) -> Vec<String> {
        wrong(reports, old).into_iter().map(|(run, _)| run).collect()
    }

    #[test]
    fn a_whole_chain_is_as_it_must_be() {
        for length in 0..4 {
            assert_eq!(walk(&chain(length), &|_| false), []);
        }
    }

    #[test]
    fn what_is_altered_or_removed_is_named() {
        let whole = chain(5);
        for at in 0..4 {
            let mut altered = whole.clone();
            altered[at].digest = Digest::of(b"other");
            assert_eq!(runs(&altered, &[]), [whole[at].run.clone()], "altered");
            let mut shorter = whole.clone();
            shorter.remove(at);
            assert_eq!(runs(&shorter, &[]), [whole[at].run.clone()], "removed");
        }
        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        let (first, second) = (swapped[1].run.clone(), swapped[2].run.clone());
        (swapped[1].run, swapped[2].run) = (second, first);
        assert!(
            runs(&swapped, &[]).contains(&"run1".to_owned())
                && runs(&swapped, &[]).contains(&"run2".to_owned())
        );
    }

    #[test]
    fn what_prune_removes_is_said_and_is_no_fault() {
        let mut tail = chain(5);
        tail.drain(..2);
        assert_eq!(runs(&tail, &["run0", "run1"]), [""; 0]);
        assert!(
            matches!(&walk(&tail, &|_| true)[..], [Word::Note(text)] if text.starts_with("run run1 is not here: run2 names it"))
        );
        let mut middle = chain(5);
        middle.remove(2);
        assert_eq!(
            runs(&middle, &["run0", "run1", "run2"]),
            [""; 0],
            "an old one that stays is the newest of a kind"
        );
        assert_eq!(runs(&middle, &[]), ["run2"]);
    }

    #[test]
    fn the_time_before_reports_were_signed_is_told_apart() {
        let mut all = chain(4);
        for kept in &mut all[..2] {
            (kept.previous, kept.by) = (None, Err(unsigned()));
        }
        assert_eq!(runs(&all, &[]), [""; 0]);
        assert!(
            matches!(&walk(&all, &|_| false)[..], [Word::Note(text)] if text.contains("2 runs, run0 to run1"))
        );
        all[3].by = Err(unsigned());
        assert_eq!(runs(&all, &[]), ["run3"]);
        let mut late = chain(4);
        (late[3].previous, late[3].by) = (None, Err(unsigned()));
        let told = wrong(&late, &[]);
        assert!(told.iter().any(|(run, why)| run == "run3" && why.contains("nobody has signed")), "{told:?}");
        assert!(told.iter().any(|(run, why)| run == "run3" && why.contains("names no report")), "{told:?}");
    }

    #[test]
    fn a_second_end_shows_that_something_was_left_out() {
        let mut forked = chain(4);
        forked[3].previous = forked[2].previous.clone();
        assert_eq!(runs(&forked, &[]), ["run2"]);
    }
}
