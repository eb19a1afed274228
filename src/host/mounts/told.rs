//! What another machine told of its mounts and of the processes of its containers, for the judgement that is made here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::led::{Led, Lost};
use super::table::MountTable;
use crate::host::storage::Storage;

/// A question to a machine about one of its paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) enum Wanted {
    /// Where a path of the machine leads.
    Here(Vec<u8>),
    /// Where a path leads in the container whose first process has this number.
    Inside(u32, Vec<u8>),
}

/// The end of a path, links on the way followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) enum Found {
    /// Something is there.
    At {
        /// Its path without links.
        real: Vec<u8>,
        /// Device and inode; zeros where they were not told.
        inode: (u64, u64),
    },
    /// Nothing is there.
    Gone,
    /// It could not be looked at, with the reason.
    Refused(String),
}

impl Found {
    /// The location of the end of a path, by the mounts that are seen there.
    pub(super) fn led(&self, table: &MountTable) -> Result<Option<Led>, Lost> {
        match self {
            Self::At { real, inode } => {
                let location = table.at(real).location(real).ok_or(Lost::Moved)?;
                Ok(Some(Led { location, real: real.clone(), inode: *inode }))
            }
            Self::Gone => Ok(None),
            Self::Refused(why) => Err(Lost::Refused(why.clone())),
        }
    }
}

/// The root directory of a container, as far as the user of the machine may look at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::host) enum ToldRoot {
    /// It may not be looked at.
    #[default]
    Closed,
    /// It may be looked at.
    Open {
        /// Whether it is the directory that the engine mounted; `None` where that could not be compared.
        is_expected: Option<bool>,
    },
}

/// What a machine told of a container's processes. The texts are those of `/proc/PID`.
#[derive(Debug, Clone, Default)]
pub(in crate::host) struct ToldContainer {
    /// `stat`, before everything else was read.
    pub(in crate::host) stat: Vec<u8>,
    /// `stat`, after that.
    pub(in crate::host) stat_again: Vec<u8>,
    /// `cgroup`.
    pub(in crate::host) groups: Vec<u8>,
    /// `mountinfo`.
    pub(in crate::host) mounts: Vec<u8>,
    /// Its root.
    pub(in crate::host) root: ToldRoot,
    /// The processes of its control group, each with a letter: `s` has the same mounts and the same root as the first, `n` other
    /// mounts, `r` another root, `g` has ended; of any other this user may not tell.
    pub(in crate::host) members: Vec<(u32, u8)>,
    /// Where paths of the container lead.
    pub(in crate::host) paths: BTreeMap<Vec<u8>, Found>,
}

/// Paths of a container that are to be read.
#[derive(Debug, Default)]
pub(in crate::host) struct HeldPaths {
    /// Single files.
    pub(in crate::host) files: BTreeSet<Vec<u8>>,
    /// Modules, each with the number of files that the baseline has of it.
    pub(in crate::host) modules: BTreeMap<Vec<u8>, usize>,
    /// Addon roots, of which all modules are wanted.
    pub(in crate::host) roots: BTreeSet<Vec<u8>>,
    /// Directories, of which all files are wanted.
    pub(in crate::host) trees: BTreeSet<Vec<u8>>,
}

/// What a machine told.
#[derive(Default)]
pub(in crate::host) struct ToldMachine {
    /// Its own `mountinfo`.
    pub(in crate::host) mounts: Vec<u8>,
    /// Where its paths lead.
    pub(in crate::host) paths: BTreeMap<Vec<u8>, Found>,
    /// Its containers, by the number of the first process.
    pub(in crate::host) containers: BTreeMap<u32, ToldContainer>,
    /// What was asked of it and had not been told.
    pub(in crate::host) wanted: RefCell<BTreeSet<Wanted>>,
    /// When its files last changed.
    pub(in crate::host) changed: BTreeMap<Vec<u8>, i64>,
    /// Files of which that was not told.
    pub(in crate::host) wanted_changes: RefCell<BTreeSet<Vec<u8>>>,
    /// What its containers have, by the number of the first process.
    pub(in crate::host) held: BTreeMap<u32, Box<dyn Storage>>,
    /// The paths of containers that were not told.
    pub(in crate::host) wanted_held: RefCell<BTreeMap<u32, HeldPaths>>,
}

impl ToldMachine {
    /// Whether nothing of what containers have is still to be told, nor when files changed.
    pub(in crate::host) fn has_all(&self) -> bool {
        self.wanted_held.borrow().is_empty() && self.wanted_changes.borrow().is_empty()
    }

    /// The end of a path of the machine.
    pub(super) fn locate(&self, path: &[u8], table: &MountTable) -> Result<Option<Led>, Lost> {
        let Some(found) = self.paths.get(path) else {
            self.wanted.borrow_mut().insert(Wanted::Here(path.to_vec()));
            return Err(Lost::Untold);
        };
        found.led(table)
    }
}
