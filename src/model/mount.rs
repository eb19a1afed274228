//! Mounts of containers: what an engine lists, and what the kernel shows of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppliedEnvironment, ContainerEnvironment, Entry, SectionId, Unreadable};

/// A mount of a container, as its engine lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Where the container has it.
    pub destination: String,
    /// `bind`, `volume`, `tmpfs`, …
    pub kind: String,
    /// What is mounted: of a bind its path, as it was given; of a volume its name; empty where it has neither.
    pub source: String,
    /// Where that lies on the engine's machine; empty where it lies nowhere.
    pub host_path: String,
    /// Whether the container may write there.
    pub writable: bool,
}

/// What became of looking at the mounts of a container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MountView {
    /// It does not run, or it was not asked for.
    #[default]
    NotRunning,
    /// Nothing of the baseline is in what it has mounted.
    NotConcerned,
    /// They were looked at.
    Seen {
        /// When its first process started, in seconds since 1970, where the engine tells it.
        started: Option<i64>,
        /// The mounts through which it has locked paths, by destination.
        uses: Vec<MountUse>,
        /// Whether everything that proves that this is the container's view could be seen.
        is_whole: bool,
    },
    /// Its processes are not to be seen from here, with the reason.
    Unseen(String),
    /// It could not be looked at, or what was seen cannot be believed, with the reason.
    Refused(String),
}

/// A mount through which a container has locked paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountUse {
    /// Where the container has it, or a part of it.
    pub destination: String,
    /// The path of this machine that it should show, without links; `None` where nothing is there.
    pub expected: Option<String>,
    /// What it shows.
    pub shown: Shows,
    /// Whether a tmpfs of the container lies over it, which the next start makes again.
    pub is_covered: bool,
    /// The files and modules of the baseline that it should show, as the container has them, where that could be read.
    pub held: Vec<HeldSubject>,
    /// The files and modules of the baseline that it covers, each with the path at which the container has it.
    pub covers: Vec<Covered>,
}

/// A file or module of the baseline that a container has through a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// Its repository path.
    pub place: Vec<u8>,
    /// Whether it is a module.
    pub is_module: bool,
    /// The path in the container.
    pub at: Vec<u8>,
    /// When one of its files last changed, in seconds since 1970, and that file's repository path, where the host tells it.
    pub changed: Option<(i64, Vec<u8>)>,
}

/// A module root or file of the baseline that a container uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "WireUse"))]
pub struct Use {
    /// Its repository path; lossy where it is not UTF-8.
    pub place: String,
    /// The container's name.
    pub container: String,
    /// The path at which the container has it.
    pub path: String,
    /// Whether the container has what was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// The consequence of something that is worth a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUse {
    /// It is noted.
    #[default]
    Note,
    /// It is a finding.
    Fail,
    /// Nothing is said.
    Ignore,
}

/// A file or module of the baseline as a container has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSubject {
    /// The section that names it.
    pub section: SectionId,
    /// Its repository path.
    pub place: Vec<u8>,
    /// What the baseline has of it, as far as it lies in the mount.
    pub expected: Entry,
    /// What the container has.
    pub actual: HeldState,
}

/// A file or module inside a container, held against a part of the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideSubject {
    /// The section that it is compared with.
    pub section: SectionId,
    /// The repository path that it should have the content of.
    pub place: Vec<u8>,
    /// Its path in the container.
    pub at: String,
    /// What the baseline has; nothing of what it does not know.
    pub expected: Option<Entry>,
    /// What the container has.
    pub actual: HeldState,
}

/// What lies at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The first part of the path that is a link in the container.
    pub link: Option<String>,
    /// All that is there, and all that the baseline has.
    pub subjects: Vec<InsideSubject>,
}

/// The outcome of looking into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentsState {
    /// It was read.
    Seen(Contents),
    /// It is not to be seen by this user, or from here, with the reason and what to do.
    Unseen(String),
    /// It could not be read, with the reason and what to do.
    Refused(String),
}

/// The state of a subject in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldState {
    /// It is there.
    There(Entry),
    /// Nothing is there.
    Gone,
    /// It, or a part of it, could not be read.
    Unreadable(Unreadable),
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// What is at the path now.
    Current,
    /// What the engine mounts over it at a destination of the container.
    Hidden {
        /// The path that this has.
        by: String,
        /// The destination.
        at: String,
    },
    /// Something else: the path that this has now, or the one it had.
    Other(String),
    /// Nobody can tell, with the reason.
    Unknown(String),
}

/// What is known of the mounts of all containers of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Views {
    /// What became of looking at each container's, by its name.
    pub by_container: BTreeMap<Vec<u8>, MountView>,
    /// The host path of each of a container's mounts as it was given, by container and destination.
    pub as_given: BTreeMap<Vec<u8>, BTreeMap<String, String>>,
    /// Why not all paths that matter are known.
    pub problems: Vec<String>,
    /// The files and modules of the baseline that a container may use, each with whether it is a module.
    pub usable: BTreeMap<Vec<u8>, bool>,
    /// What lies at the paths of each container that the configuration names, by container.
    pub contents: BTreeMap<Vec<u8>, Vec<(String, ContentsState)>>,
    /// The patterns of the configuration that no container matches.
    pub unmatched_contents: Vec<String>,
    /// The variables of each container of a Compose service, by container, where they are wanted.
    pub environments: BTreeMap<Vec<u8>, ContainerEnvironment>,
    /// How they stand to what compose files give, by container.
    pub applied: BTreeMap<Vec<u8>, AppliedEnvironment>,
    /// The first run that saw a file or module as it is now, by repository path: of those alone that a container was not
    /// restarted for.
    pub first_seen: BTreeMap<Vec<u8>, String>,
    /// What becomes of those that no container of the baseline has.
    pub on_unused: OnUse,
    /// What becomes of containers that were not restarted since what they have changed.
    pub on_not_restarted: OnUse,
}

/// A container that started before a file that it has mounted last changed: its program may have kept what it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRestarted<'a> {
    /// The container's name.
    pub container: &'a [u8],
    /// The destination of the mount.
    pub destination: &'a str,
    /// When its first process started, in seconds since 1970.
    pub started: i64,
    /// When the file last changed, in seconds since 1970.
    pub changed: i64,
    /// The file's repository path.
    pub file: &'a [u8],
    /// The repository path of the subject that the file is of.
    pub place: &'a [u8],
}

impl Views {
    /// The mounts through which containers have something that changed since they started, each with what changed last.
    pub fn not_restarted(&self) -> impl Iterator<Item = NotRestarted<'_>> {
        let started = self.by_container.iter().filter_map(|(name, view)| match view {
            MountView::Seen { started: Some(started), uses, .. } => Some((name, *started, uses)),
            _ => None,
        });
        let current = started.flat_map(|(name, started, uses)| {
            uses.iter().filter(|used| used.shown == Shows::Current).map(move |used| (name, started, used))
        });
        current.filter_map(|(container, started, used)| {
            let dated = used.covers.iter().filter_map(|it| Some((it.changed.as_ref()?, &it.place)));
            let (&(changed, ref file), place) = dated.max().filter(|((at, _), _)| *at > started)?;
            let destination = used.destination.as_str();
            Some(NotRestarted { container, destination, started, changed, file, place })
        })
    }

    /// The containers that have a file or module, by name, each with the path.
    #[must_use]
    pub fn users(&self, place: &[u8]) -> Vec<(&[u8], &[u8])> {
        let seen = self.by_container.iter().filter_map(|(name, view)| match view {
            MountView::Seen { uses, .. } => Some((name, uses)),
            _ => None,
        });
        let all = seen.flat_map(|(name, uses)| {
            uses.iter().flat_map(move |used| used.covers.iter().map(move |it| (name, it)))
        });
        all.filter(|(_, it)| it.place == place)
            .map(|(name, it)| (name.as_slice(), it.at.as_slice()))
            .collect()
    }
}
