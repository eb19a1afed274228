//! Acknowledgements of the API, committed to a branch of the deployment's repository: each is pushed once, and waits for as long as
//! that fails. What counts here is in the state directory, whether it is pushed or not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::mirror::{BranchFile, Mirror, MirrorError, NewFile};
use crate::acknowledge::{self, Acknowledgement, Edit, EditError};
use crate::atomic::{LARGEST_TEXT, read_file_within, replace_private_file};
use crate::audit::acknowledgements::with_rules;
use crate::config::{ConfigError, Deployment, GitSource};
use crate::control::{clock, waits};
use crate::host::Watch;
use crate::model::{Digest, escaped, in_words};
use crate::store::state;

/// The record of what is pushed, below the state of a deployment.
const RECORD: &str = "pushed-acknowledgements.json";
/// The name of its format.
const FORMAT: &str = "driftlock.pushed/1";

/// The reason why acknowledgements were not pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The repository was not reached, or refused.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The file of the branch, or that of the state directory, cannot be read or changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file of the branch is no text.
    #[error("{path}: it is not UTF-8", path = acknowledge::PATH)]
    NoText,
    /// The state directory cannot be read or written.
    #[error("{}: {}", acknowledge::PATH, .0)]
    Config(#[from] ConfigError),
    /// The record cannot be written.
    #[error("{RECORD}: {}", in_words(.0))]
    Record(#[source] std::io::Error),
    /// The next run would refuse the commit.
    #[error(
        "commits of {branch} must be signed, and what the agent commits is not: name another branch in [serve] commit_acknowledgements"
    )]
    Unsigned {
        /// The branch.
        branch: String,
    },
    /// It ended by itself.
    #[error("it ended unexpectedly; that is a defect")]
    Defect,
}

/// How it stands with the acknowledgements of a deployment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publication {
    /// The branch that they are committed to.
    pub(crate) branch: String,
    /// How many wait to be pushed.
    pub(crate) waiting: usize,
    /// The reason why the last attempt failed.
    pub(crate) error: Option<String>,
    /// The commit that was pushed last, since the agent was started.
    pub(crate) commit: Option<String>,
    /// How many attempts pushed something, since the agent was started.
    pub(crate) pushes: u64,
    /// How many failed.
    pub(crate) failures: u64,
    failed_in_a_row: u32,
    due: Option<Instant>,
    is_under_way: bool,
}

/// Those of all deployments that have a repository, by name.
#[derive(Debug, Default)]
pub(super) struct Publications(BTreeMap<String, Publication>);

impl Publications {
    /// Goes on with these deployments and a branch: everything that waits is tried at once.
    pub(super) fn plan(&mut self, branch: Option<&String>, deployments: &[Deployment]) {
        let mut before = std::mem::take(&mut self.0);
        let Some(branch) = branch else { return };
        for deployment in deployments.iter().filter(|it| it.git.is_some()) {
            let known = before.remove(&deployment.name).unwrap_or_default();
            let due = Some(Instant::now());
            let now = Publication { branch: branch.clone(), due, failed_in_a_row: 0, ..known };
            self.0.insert(deployment.name.clone(), now);
        }
    }

    /// How it stands with each.
    pub(super) fn all(&self) -> BTreeMap<String, Publication> {
        self.0.clone()
    }

    /// Has what was just acknowledged pushed at once.
    pub(super) fn ask(&mut self, deployment: &str) {
        if let Some(publication) = self.0.get_mut(deployment) {
            publication.waiting += 1;
            publication.due = Some(Instant::now());
        }
    }

    /// Those that are to be begun now.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        let is_due = |it: &Publication| !it.is_under_way && it.due.is_some_and(|due| due <= now);
        self.0.iter().filter(|(_, it)| is_due(it)).map(|(name, _)| name.clone()).collect()
    }

    /// The time until the next one is due.
    pub(super) fn next(&self, now: Instant) -> Duration {
        let waiting = self.0.values().filter(|it| !it.is_under_way).filter_map(|it| it.due);
        waiting.map(|due| due.saturating_duration_since(now)).min().unwrap_or(Duration::MAX)
    }

    /// Takes note that one is under way.
    pub(super) fn began(&mut self, deployment: &str) {
        if let Some(publication) = self.0.get_mut(deployment) {
            (publication.is_under_way, publication.due) = (true, None);
        }
    }

    /// Takes note of what came of it; one that failed is tried again, each time later.
    pub(super) fn ended(
        &mut self,
        deployment: &str,
        done: &Result<Option<Pushed>, PublishError>,
        waiting: usize,
    ) {
        let Some(publication) = self.0.get_mut(deployment) else { return };
        publication.is_under_way = false;
        publication.waiting = waiting;
        match done {
            Ok(pushed) => {
                (publication.error, publication.failed_in_a_row) = (None, 0);
                if let Some(pushed) = pushed {
                    publication.pushes += 1;
                    publication.commit = Some(pushed.commit.clone());
                }
            }
            Err(error) => {
                publication.error = Some(error.to_string());
                publication.failures += 1;
                let wait = again_after(publication.failed_in_a_row);
                publication.failed_in_a_row += 1;
                publication.due = publication.due.or(Some(Instant::now() + wait));
            }
        }
    }
}

/// The wait after so many failures in a row before the one that was just counted.
fn again_after(failures: u32) -> Duration {
    let wait = waits::PUSH_SOON.most.saturating_mul(1 << failures.min(20));
    wait.min(waits::PUSH_AGAIN.most)
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The commit.
    pub(crate) commit: String,
    /// How many acknowledgements it has.
    pub(crate) count: usize,
}

/// The acknowledgements that were pushed to a branch of a repository, by digests of them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct PushRecord {
    schema: String,
    url: String,
    branch: String,
    pushed: BTreeSet<String>,
}

impl PushRecord {
    /// What is recorded for a branch; nothing where another one is, or what is there has no sense: then each entry is compared with the
    /// branch again.
    fn read(path: &Path, git: &GitSource, branch: &str) -> Self {
        let bytes = read_file_within(path, LARGEST_TEXT).unwrap_or_default();
        let known: Self = serde_json::from_slice(&bytes).unwrap_or_default();
        if known.schema == FORMAT && known.url == git.url && known.branch == branch {
            return known;
        }
        let (schema, url, branch) = (FORMAT.to_owned(), git.url.clone(), branch.to_owned());
        Self { schema, url, branch, pushed: BTreeSet::new() }
    }

    fn write(&self, path: &Path) -> Result<(), PublishError> {
        let bytes =
            serde_json::to_vec_pretty(self).map_err(std::io::Error::from).map_err(PublishError::Record)?;
        replace_private_file(path, &bytes).map_err(PublishError::Record)
    }
}

/// The identity of an acknowledgement: another reason or end is another one.
fn identity(entry: &Acknowledgement) -> String {
    let Acknowledgement { check, subject, target, kind, fingerprint, reason, by, since, until } = entry;
    let words = format!(
        "{check}\0{target:?}\0{}\0{fingerprint}\0{reason}\0{by}\0{}\0{}\0",
        kind.word(),
        since.text,
        until.text
    );
    Digest::of(&[words.as_bytes(), subject].concat()).to_string()
}

/// Acknowledgements of one deployment on their way.
pub(super) struct Outbox<'a> {
    /// The deployment.
    pub(super) deployment: &'a Deployment,
    /// Its repository.
    pub(super) git: &'a GitSource,
    /// The branch that they are committed to.
    pub(super) branch: &'a str,
    /// The directory of its state.
    pub(super) store_root: &'a Path,
}

impl Outbox<'_> {
    /// Pushes what waits, where anything does.
    ///
    /// # Errors
    /// When it cannot be read, committed or pushed: then all of it still waits.
    pub(super) fn empty(
        &self,
        mirror: &Mirror,
        must_be_signed: bool,
        watch: &Watch,
    ) -> Result<Option<Pushed>, PublishError> {
        let path = self.store_root.join(state::PATH).join(RECORD);
        let mut record = PushRecord::read(&path, self.git, self.branch);
        let all = self.acknowledged()?;
        let waiting = waiting(&all, &record);
        if waiting.is_empty() {
            return Ok(None);
        }
        if must_be_signed && self.branch == self.git.branch {
            return Err(PublishError::Unsigned { branch: self.branch.to_owned() });
        }
        let file = self.git.path.join(acknowledge::PATH);
        let file = BranchFile { branch: self.branch, path: &file };
        let change = |before: Option<&[u8]>| self.changed(before, &waiting);
        let commit = mirror.change_file(file, &change, &|| watch.is_cancelled())?;
        let count = waiting.len();
        let known: BTreeSet<String> = all.iter().map(identity).collect();
        record.pushed.extend(waiting.iter().map(|entry| identity(entry)));
        // What is acknowledged no more needs no memory.
        record.pushed.retain(|entry| known.contains(entry));
        record.write(&path)?;
        Ok(commit.map(|commit| Pushed { commit, count }))
    }

    /// How many wait; none where that cannot be read.
    pub(super) fn count(&self) -> usize {
        let path = self.store_root.join(state::PATH).join(RECORD);
        let record = PushRecord::read(&path, self.git, self.branch);
        self.acknowledged().map_or(0, |all| waiting(&all, &record).len())
    }

    fn acknowledged(&self) -> Result<Vec<Acknowledgement>, ConfigError> {
        with_rules(|rules| acknowledge::load(self.store_root, rules))
    }

    /// What the file of the branch becomes; nothing where it has all of them.
    fn changed(
        &self,
        before: Option<&[u8]>,
        waiting: &[&Acknowledgement],
    ) -> Result<Option<NewFile>, PublishError> {
        let text = std::str::from_utf8(before.unwrap_or_default()).map_err(|_| PublishError::NoText)?;
        let decide = |there: &[Acknowledgement]| Ok::<_, EditError>((edits(there, waiting), ()));
        let (new, ()) = with_rules(|rules| acknowledge::edited(text, rules, decide))?;
        let message = message(&self.deployment.name, waiting);
        Ok(new.map(|new| NewFile { bytes: new.into_bytes(), message }))
    }
}

fn waiting<'a>(all: &'a [Acknowledgement], record: &PushRecord) -> Vec<&'a Acknowledgement> {
    let now = clock::unix();
    all.iter().filter(|it| !it.is_over(now) && !record.pushed.contains(&identity(it))).collect()
}

/// What takes these into a file that has others: one about the same subject makes way, unless it is newer.
fn edits(there: &[Acknowledgement], new: &[&Acknowledgement]) -> Vec<Edit> {
    let edit = |entry: &&Acknowledgement| {
        let same = there.iter().position(|it| it.is_of_same_subject(entry));
        match same {
            None => Some(Edit::Add((*entry).clone())),
            Some(at) if there[at] == **entry || there[at].since.unix > entry.since.unix => None,
            Some(at) => Some(Edit::Put(at, (*entry).clone())),
        }
    };
    new.iter().filter_map(edit).collect()
}

/// The message of a commit.
fn message(deployment: &str, entries: &[&Acknowledgement]) -> String {
    let name = |entry: &Acknowledgement| format!("{}/{}", entry.check, escaped(&entry.subject));
    let subject = match entries {
        [one] => format!("Acknowledge {}", name(one)),
        several => format!("Acknowledge {} findings", several.len()),
    };
    let paragraph = |entry: &&Acknowledgement| {
        let target = entry.target.as_deref().map(|target| format!(" on {target}")).unwrap_or_default();
        format!(
            "{}{target}: acknowledged by {} until {}: {}\n",
            name(entry),
            escaped(entry.by.as_bytes()),
            entry.until.text,
            escaped(entry.reason.as_bytes())
        )
    };
    let all: Vec<String> = entries.iter().map(paragraph).collect();
    format!("{subject}\n\n{}\nBy driftlock serve, deployment {deployment}.\n", all.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Moment};

    fn moment(unix: i64) -> Moment {
        Moment { text: clock::utc_text(unix).unwrap(), unix }
    }

    fn entry(subject: &str, reason: &str, since: i64) -> Acknowledgement {
        Acknowledgement {
            check: "compose_hashes".to_owned(),
            subject: subject.as_bytes().to_vec(),
            target: None,
            kind: Kind::Modified,
            fingerprint: Digest::of(reason.as_bytes()),
            reason: reason.to_owned(),
            by: "ops".to_owned(),
            since: moment(since),
            until: moment(since + 1_000_000_000),
        }
    }

    #[test]
    fn a_newer_word_of_somebody_else_stays_and_an_older_one_makes_way() {
        let (old, own, newer) = (entry("a", "old", 10), entry("a", "own", 20), entry("a", "newer", 30));
        let other = entry("b", "other", 20);
        let is = |there: &[Acknowledgement], new: &Acknowledgement| match edits(there, &[new]).as_slice() {
            [] => "nothing",
            [Edit::Put(0, it)] if it == new => "put",
            [Edit::Add(it)] if it == new => "add",
            odd => panic!("{odd:?}"),
        };
        assert_eq!(is(&[old, other.clone()], &own), "put");
        assert_eq!(is(&[newer], &own), "nothing");
        assert_eq!(is(std::slice::from_ref(&own), &own), "nothing");
        assert_eq!(is(&[other], &own), "add");
    }

    #[test]
    fn what_somebody_typed_stays_within_its_line_of_the_message() {
        let mut odd = entry("a\nSigned-off-by: x", "why\u{7}", 20);
        odd.by = "ops\nx".to_owned();
        let text = message("erp", &[&odd]);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.starts_with("Acknowledge compose_hashes/a\\nSigned-off-by: x\n\n"), "{text}");
        let two = message("erp", &[&entry("a", "x", 1), &entry("b", "y", 1)]);
        assert!(
            two.starts_with("Acknowledge 2 findings\n\ncompose_hashes/a: acknowledged by ops until "),
            "{two}"
        );
    }

    #[test]
    fn another_branch_has_nothing_of_what_was_pushed_and_attempts_grow_rare() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECORD);
        let git = |text: &str| {
            let text =
                format!("[[deployments]]\nname = \"a\"\ngit = {{ url = \"{text}\", branch = \"main\" }}\n");
            crate::config::Config::parse(&text).unwrap().deployments[0].git.clone().unwrap()
        };
        let (here, there) = (git("ssh://h/a"), git("ssh://h/b"));
        let mut record = PushRecord::read(&path, &here, "acks");
        let own = entry("a", "x", clock::unix());
        record.pushed.insert(identity(&own));
        record.write(&path).unwrap();
        let is_waiting = |git: &GitSource, branch: &str| {
            !waiting(std::slice::from_ref(&own), &PushRecord::read(&path, git, branch)).is_empty()
        };
        assert!(!is_waiting(&here, "acks") && is_waiting(&here, "other") && is_waiting(&there, "acks"));
        assert!(
            !waiting(&[entry("a", "y", clock::unix())], &PushRecord::read(&path, &here, "acks")).is_empty()
        );
        assert!(waiting(&[entry("a", "y", 1)], &PushRecord::default()).is_empty(), "its time is over");
        std::fs::write(&path, "{").unwrap();
        assert!(is_waiting(&here, "acks"), "what is broken is taken for nothing");
        assert_eq!(again_after(0), waits::PUSH_SOON.most);
        assert_eq!(again_after(60), waits::PUSH_AGAIN.most);
    }
}
