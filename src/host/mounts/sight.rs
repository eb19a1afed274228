//! The machines that are asked about their paths: this one, and one that told what it was asked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::led::{Led, Lost};
use super::table::MountTable;
use super::told::{HeldPaths, ToldMachine};
use super::view::{View, locate};
use crate::host::storage::Storage;

/// A machine that is asked where its paths lead.
pub(super) trait Sight {
    /// The end of a path; `table` is that of the machine.
    fn locate(&self, path: &[u8], table: &MountTable) -> Result<Option<Led>, Lost>;

    /// When a file last changed, in seconds since 1970, where that is known.
    fn changed(&self, path: &[u8]) -> Option<i64>;

    /// Gives `read` the files that the processes of a container see, where they can be read: `paths` are those that are wanted.
    fn inside(&self, view: &View<'_>, paths: &dyn Fn() -> HeldPaths, read: &mut dyn FnMut(&dyn Storage));
}

/// This machine.
pub(super) struct ThisKernel;

impl Sight for ThisKernel {
    fn locate(&self, path: &[u8], table: &MountTable) -> Result<Option<Led>, Lost> {
        locate(Path::new(OsStr::from_bytes(path)), table)
    }

    fn changed(&self, path: &[u8]) -> Option<i64> {
        rustix::fs::stat(Path::new(OsStr::from_bytes(path))).ok().map(|stat| stat.st_ctime)
    }

    fn inside(&self, view: &View<'_>, _: &dyn Fn() -> HeldPaths, read: &mut dyn FnMut(&dyn Storage)) {
        if let Some(disk) = view.disk() {
            read(&disk);
        }
    }
}

impl Sight for ToldMachine {
    fn locate(&self, path: &[u8], table: &MountTable) -> Result<Option<Led>, Lost> {
        Self::locate(self, path, table)
    }

    fn changed(&self, path: &[u8]) -> Option<i64> {
        let changed = self.changed.get(path).copied();
        if changed.is_none() {
            self.wanted_changes.borrow_mut().insert(path.to_vec());
        }
        changed
    }

    fn inside(&self, view: &View<'_>, paths: &dyn Fn() -> HeldPaths, read: &mut dyn FnMut(&dyn Storage)) {
        let Some(pid) = view.told_by() else { return };
        if let Some(disk) = self.held.get(&pid) {
            return read(disk.as_ref());
        }
        let HeldPaths { files, modules, .. } = paths();
        let mut all = self.wanted_held.borrow_mut();
        let its = all.entry(pid).or_default();
        its.files.extend(files);
        its.modules.extend(modules);
    }
}
