//! What containers really have mounted, held against where the paths of this machine lead now.
//!
//! A bind mount keeps the file or directory that was there when the container started. When that is replaced by rename, or a
//! link on the way is switched, the engine still names the path, and the container still has the old one. The kernel tells
//! which: two mounts show the same where file system and path in it are the same.

mod contents;
mod held;
mod led;
mod locked;
mod sight;
mod table;
mod told;
mod view;

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use super::LockedSubject;
use super::docker::EngineError;
use crate::model::{Covered, HeldSubject, Mount, MountUse, MountView, Shows, escaped};
use led::{Led, Lost};
use locked::KnownHere;
use sight::{Sight, ThisKernel};
use table::{FsLocation, MountTable, below, joined};
use view::{Trouble, View};

pub(super) use contents::{contents, contents_of, contents_paths, start_of_told};
use held::HeldPlan;
pub(super) use held::HeldReading;
pub(super) use locked::LockedPaths;
pub(super) use told::{Found, HeldPaths, ToldContainer, ToldMachine, ToldRoot, Wanted};
pub(super) use view::{Running, start_in};

/// The number of looks at a container that changes meanwhile, and the pause before each.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// The kind of a mount that an engine keeps itself.
const VOLUME: &str = "volume";

/// Questions to the engine about one container.
pub(super) struct EngineQuestions<'a> {
    /// Its processes once more; `None` where it does not run now.
    pub(super) again: &'a dyn Fn(&str) -> Result<Option<Running>, EngineError>,
    /// The path that a volume of this name is a bind of, if it is one.
    pub(super) device: &'a dyn Fn(&str) -> Result<Option<String>, EngineError>,
    /// What is needed to read the files that a stale mount shows.
    pub(super) reading: HeldReading<'a>,
}

/// Looks at a container's mounts, and again while it changes. A container that has no locked path by what its engine says is
/// left alone where its view cannot be had.
pub(super) fn look(
    locked: &LockedPaths,
    first: &Running,
    mounts: &[Mount],
    ask: &EngineQuestions<'_>,
) -> MountView {
    let mut running = first.clone();
    for look in 1.. {
        // What was mounted since is no mount of the table: the look moves, and the next one reads it anew.
        let known = locked.here.as_ref().and_then(|here| here.table.as_ref()).filter(|_| look == 1);
        let fresh = if known.is_none() { view::own_table() } else { None };
        let Some(table) = known.or(fresh.as_ref()) else {
            return MountView::Unseen("this machine does not show its mounts".to_owned());
        };
        let machine = Machine { table, locked, sight: &ThisKernel, reading: ask.reading };
        let mounts = match machine.with_devices(mounts, ask) {
            Ok(mounts) => mounts,
            Err(error) => return MountView::Refused(error.to_string()),
        };
        let seen = View::of(&running, machine.table).and_then(|view| machine.seen(&view, &running, &mounts));
        let why = match seen {
            Ok(seen) => return seen,
            Err(trouble) => trouble,
        };
        // The paths that the engine names are those of its machine, which may be another one.
        if !matches!(why, Trouble::Unseen(_)) && !machine.is_concerned(&mounts) {
            return MountView::NotConcerned;
        }
        let may_pass = look < LOOKS && matches!(why, Trouble::Moving(_));
        if may_pass {
            std::thread::sleep(PAUSE);
        }
        // Whatever is wrong, the container may be another one by now.
        match (ask.again)(&running.id) {
            Ok(None) if look < LOOKS => std::thread::sleep(PAUSE),
            Ok(None) => return MountView::Refused("it ended while it was looked at; check again".to_owned()),
            Ok(Some(now)) if now != running && look < LOOKS => running = now,
            Ok(Some(_)) if may_pass => {}
            Ok(Some(_)) => {
                return match why {
                    Trouble::Unseen(why) => MountView::Unseen(why),
                    Trouble::Moving(why) | Trouble::Foreign(why) => MountView::Refused(why),
                };
            }
            Err(error) => return MountView::Refused(error.to_string()),
        }
        if ask.reading.watch.is_cancelled() {
            return MountView::Refused(EngineError::Interrupted.to_string());
        }
    }
    MountView::NotRunning
}

/// The outcome of judging a container of another machine by what that told.
pub(super) enum Judged {
    /// The outcome of looking at its mounts.
    View(MountView),
    /// More must be told, or it moved: these are what it would be judged as if it stays so.
    Again(MountView),
}

/// Judges a container of another machine by what that told so far. What more it must tell is among
/// [`ToldMachine::wanted`] then. `device` is the path that a volume of this name is a bind of, if it is one, where that is known.
pub(super) fn judge(
    told: &ToldMachine,
    locked: &LockedPaths,
    running: &Running,
    mounts: &[Mount],
    device: &dyn Fn(&str) -> Result<Option<String>, EngineError>,
    reading: HeldReading<'_>,
) -> Judged {
    let Some(table) = MountTable::parse(&told.mounts) else {
        return Judged::View(MountView::Unseen("the server does not show its mounts".to_owned()));
    };
    let machine = Machine { table: &table, locked, sight: told, reading };
    let mut mounts = mounts.to_vec();
    for mount in mounts.iter_mut().filter(|mount| machine.is_bound_volume(mount)) {
        match device(&mount.source) {
            Ok(Some(path)) => mount.host_path = path,
            Ok(None) => {}
            Err(error) => return Judged::View(MountView::Refused(error.to_string())),
        }
    }
    let unseen = || Trouble::Unseen("the server told nothing of its processes".to_owned());
    let container = told.containers.get(&running.pid).ok_or_else(unseen);
    let view = container.and_then(|container| View::told(container, running, told, machine.table));
    let why = match view.and_then(|view| machine.seen(&view, running, &mounts)) {
        Ok(seen) => return Judged::View(seen),
        Err(trouble) => trouble,
    };
    if !matches!(why, Trouble::Unseen(_)) && !machine.is_concerned(&mounts) {
        let is_final = told.wanted.borrow().is_empty();
        let judged = if is_final { Judged::View } else { Judged::Again };
        return judged(MountView::NotConcerned);
    }
    Judged::Again(match why {
        Trouble::Unseen(why) => MountView::Unseen(why),
        Trouble::Moving(why) | Trouble::Foreign(why) => MountView::Refused(why),
    })
}

/// The questions about a container that are asked of another machine in any case.
pub(super) fn first_questions(running: &Running, mounts: &[Mount]) -> Vec<Wanted> {
    let placed = mounts.iter().filter(|mount| !mount.host_path.is_empty());
    let both = placed.flat_map(|mount| {
        let here = Wanted::Here(mount.host_path.clone().into_bytes());
        [here, Wanted::Inside(running.pid, plain(mount.destination.as_bytes()))]
    });
    both.collect()
}

/// The paths of a machine, compared with the mounts of its containers.
struct Machine<'a> {
    table: &'a MountTable,
    locked: &'a LockedPaths,
    sight: &'a dyn Sight,
    /// What is needed to read the files that a stale mount shows.
    reading: HeldReading<'a>,
}

impl Machine<'_> {
    /// The outcome of looking at a container through its view.
    fn seen(&self, view: &View<'_>, running: &Running, mounts: &[Mount]) -> Result<MountView, Trouble> {
        match self.uses(view, mounts) {
            Some(uses) => Ok(MountView::Seen { started: running.started, uses, is_whole: view.is_whole() }),
            None => Err(Trouble::Moving("it moved while it was looked at".to_owned())),
        }
    }

    fn locate(&self, path: &[u8]) -> Result<Option<Led>, Lost> {
        self.sight.locate(path, self.table)
    }

    /// Whether a mount is a volume that is itself a mount of this machine.
    fn is_bound_volume(&self, mount: &Mount) -> bool {
        mount.kind == VOLUME && self.table.has_mount_at(mount.host_path.as_bytes())
    }

    /// The mounts, where a volume that is itself a bind is told by the path that it was made of: that may lead elsewhere by now.
    fn with_devices(&self, mounts: &[Mount], ask: &EngineQuestions<'_>) -> Result<Vec<Mount>, EngineError> {
        let mut mounts = mounts.to_vec();
        for mount in mounts.iter_mut().filter(|mount| self.is_bound_volume(mount)) {
            if let Some(path) = (ask.device)(&mount.source)? {
                mount.host_path = path;
            }
        }
        Ok(mounts)
    }

    /// Whether a locked path is in one of the mounts by what the engine says of them.
    fn is_concerned(&self, mounts: &[Mount]) -> bool {
        let placed = mounts.iter().filter(|mount| !mount.host_path.is_empty());
        let concerned = placed.filter(|mount| {
            let now = self.locate(mount.host_path.as_bytes());
            self.matters(mount, now.as_ref().ok().and_then(Option::as_ref), None)
        });
        concerned.count() > 0
    }

    /// The uses of locked paths through a container's mounts. `None`: something moved meanwhile.
    fn uses(&self, view: &View<'_>, mounts: &[Mount]) -> Option<Vec<MountUse>> {
        let (mut uses, mut has_moved) = (Vec::new(), false);
        for mount in mounts.iter().filter(|mount| !mount.host_path.is_empty()) {
            let others = mounts.iter().map(|it| it.destination.as_bytes());
            let others = others.filter(|other| *other != mount.destination.as_bytes()).collect();
            // All are looked at: a machine that is asked from afar is asked for all that is wanted at once.
            has_moved |= self.judge(view, mount, &others, &mut uses).is_none();
        }
        if has_moved {
            return None;
        }
        uses.sort_by(|a, b| a.destination.cmp(&b.destination));
        Some(uses)
    }

    /// Judges a mount, and whatever is mounted inside it on either side. `None`: something moved meanwhile.
    fn judge(
        &self,
        view: &View<'_>,
        mount: &Mount,
        others: &BTreeSet<&[u8]>,
        uses: &mut Vec<MountUse>,
    ) -> Option<()> {
        let destination = plain(mount.destination.as_bytes());
        let now = self.locate(mount.host_path.as_bytes());
        let there = view.locate(&destination);
        if matches!(now, Err(Lost::Untold)) || matches!(there, Err(Lost::Untold)) {
            return None;
        }
        if !self.matters(
            mount,
            now.as_ref().ok().and_then(Option::as_ref),
            there.as_ref().ok().and_then(Option::as_ref),
        ) {
            return Some(());
        }
        let (now, there) = match (now, there) {
            (Err(Lost::Moved | Lost::Untold), _) | (_, Err(Lost::Moved | Lost::Untold)) => return None,
            (Err(Lost::Refused(why)), _) | (_, Err(Lost::Refused(why))) => {
                uses.push(said(mount, b"", None, Shows::Unknown(why)));
                return Some(());
            }
            (Ok(now), Ok(there)) => (now, there),
        };
        let top = if view.follows_links() || view.has_mount_at(&destination) {
            self.shows(now.as_ref(), there.as_ref())
        } else {
            Shows::Unknown("only root can tell where a link in the container leads".to_owned())
        };
        let is_current = top == Shows::Current;
        let held = match top {
            Shows::Other(_) => self.held(view, mount, b"", now.as_ref(), &destination),
            _ => Vec::new(),
        };
        let covers = self.covers(mount, now.as_ref().map(|now| (now, is_current)), &destination, others);
        uses.push(MountUse { held, covers, ..said(mount, b"", now.as_ref(), top) });
        let (Some(now), Some(there)) = (now, there) else { return Some(()) };
        let points = self.points_inside(view, &now, &there).into_iter().map(|rest| (rest, Inside::Mount));
        let links = self.links_inside(mount, &now).into_iter().map(|rest| (rest, Inside::Link));
        let mut has_moved = false;
        for (rest, what) in points.chain(links).filter(|_| is_current) {
            let path = joined(&now.real, &rest);
            let place = joined(&there.real, &rest);
            // Those of the engine's own mounts that hide nothing are compared with the baseline's.
            let is_added = what == Inside::Mount && !self.locked.meets(&path);
            if is_added && mounted_over(&place, &there.real, others).is_some() {
                continue;
            }
            let (here, inside) = match (self.locate(&path), view.locate(&place)) {
                (Err(Lost::Moved | Lost::Untold), _) | (_, Err(Lost::Moved | Lost::Untold)) => {
                    has_moved = true;
                    continue;
                }
                (Err(Lost::Refused(why)), _) | (_, Err(Lost::Refused(why))) => {
                    uses.push(said(mount, &rest, None, Shows::Unknown(why)));
                    continue;
                }
                (Ok(here), Ok(inside)) => (here, inside),
            };
            // What the container has nowhere, it does not use.
            let is_absent = what == Inside::Link && inside.is_none();
            let shown = match self.shows(here.as_ref(), inside.as_ref()) {
                Shows::Other(_) if what == Inside::Link && !view.follows_links() => {
                    Shows::Unknown("only root can tell where a link in the container leads".to_owned())
                }
                Shows::Other(by) => match mounted_over(&place, &there.real, others) {
                    Some(at) => Shows::Hidden { by, at },
                    None => Shows::Other(by),
                },
                shown => shown,
            };
            if shown != Shows::Current && !is_absent {
                let is_covered = view.has_tmpfs_at(&place);
                let held = self.held(view, mount, &rest, Some(&now), &place);
                uses.push(MountUse { is_covered, held, ..said(mount, &rest, here.as_ref(), shown) });
            }
        }
        (!has_moved).then_some(())
    }

    /// The baseline's files below a mount, or its part `rest`, as the container has them at `place`; `now` is where the mount's
    /// own path leads. Nothing where they cannot be read.
    fn held(
        &self,
        view: &View<'_>,
        mount: &Mount,
        rest: &[u8],
        now: Option<&Led>,
        place: &[u8],
    ) -> Vec<HeldSubject> {
        let tops = [Some(plain(mount.host_path.as_bytes())), now.map(|now| now.real.clone())];
        let bases: Vec<Vec<u8>> = tops.into_iter().flatten().map(|top| joined(&top, rest)).collect();
        let plan = HeldPlan::of(self.locked, &bases, place);
        let mut held = Vec::new();
        self.sight.inside(view, &|| plan.paths(), &mut |disk| {
            held = plan.read(disk, self.reading).unwrap_or_default();
        });
        held
    }

    /// The baseline's files and modules below a mount, each with its path in the container, but for what another mount of the
    /// container lies over; `now` is where the mount's own path leads, and whether the container has that.
    fn covers(
        &self,
        mount: &Mount,
        now: Option<(&Led, bool)>,
        destination: &[u8],
        others: &BTreeSet<&[u8]>,
    ) -> Vec<Covered> {
        let find = || self.find_covers(mount, now, destination, others);
        let Some(here) = &self.locked.here else { return find() };
        let others = others.iter().map(|other| plain(other));
        let key = (
            mount.host_path.clone().into_bytes(),
            now.map(|(now, is_current)| (now.real.clone(), is_current)),
            destination.to_vec(),
            others.filter(|other| below(destination, other).is_some()).collect(),
        );
        let known = here.covers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let found = find();
            here.covers.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
            found
        })
    }

    fn find_covers(
        &self,
        mount: &Mount,
        now: Option<(&Led, bool)>,
        destination: &[u8],
        others: &BTreeSet<&[u8]>,
    ) -> Vec<Covered> {
        let given = plain(mount.host_path.as_bytes());
        let bases: Vec<&[u8]> =
            now.map(|(now, _)| now.real.as_slice()).into_iter().chain([given.as_slice()]).collect();
        let mut all = Vec::new();
        for (subject, ways) in &self.locked.subjects {
            let below_one =
                |way: &Vec<u8>| bases.iter().find_map(|base| below(base, way).map(<[u8]>::to_vec));
            let inside = |way: &Vec<u8>| bases.iter().any(|base| below(way, base).is_some());
            let is_module = subject.entry.tree.is_some();
            let at = match ways.iter().find_map(below_one) {
                Some(rest) => joined(destination, &rest),
                None if is_module && ways.iter().any(inside) => destination.to_vec(),
                None => continue,
            };
            if mounted_over(&at, destination, others).is_none() {
                let changed = now
                    .filter(|(_, is_current)| *is_current)
                    .and_then(|(now, _)| self.changed(subject, ways, now, &bases));
                all.push(Covered { place: subject.place.clone(), is_module, at, changed });
            }
        }
        all
    }

    /// When one of a subject's files that a mount shows last changed, where that is known.
    fn changed(
        &self,
        subject: &LockedSubject,
        ways: &BTreeSet<Vec<u8>>,
        now: &Led,
        bases: &[&[u8]],
    ) -> Option<(i64, Vec<u8>)> {
        let newest = || {
            let way = ways.iter().find(|way| {
                bases.iter().any(|base| below(base, way).is_some() || below(way, base).is_some())
            })?;
            let its = subject.files().map(|file| (joined(way, file), joined(&subject.place, file)));
            let alone = subject.entry.tree.is_none().then(|| (way.clone(), subject.place.clone()));
            let shown = its.chain(alone).filter(|(path, _)| {
                bases.iter().any(|base| below(base, path).is_some()) || below(&now.real, path).is_some()
            });
            shown.filter_map(|(path, place)| Some((self.sight.changed(&path)?, place))).max()
        };
        let Some(KnownHere { newest: known, .. }) = &self.locked.here else { return newest() };
        let key = (subject.place.clone(), bases.iter().map(|base| base.to_vec()).collect());
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_insert_with(newest).clone()
    }

    /// Whether a locked path is in a mount: by what the engine says, by where that leads now, or by what the container has.
    fn matters(&self, mount: &Mount, now: Option<&Led>, there: Option<&Led>) -> bool {
        let has = there.and_then(|there| self.table.path_to(&without_mark(&there.location).0));
        let paths = [Some(mount.host_path.clone().into_bytes()), now.map(|now| now.real.clone()), has];
        paths.into_iter().flatten().any(|path| self.locked.meets(&plain(&path)))
    }

    /// The places below a mount at which something is mounted on this machine or in the container, where a locked path is
    /// concerned, or an addon root would have more than the baseline.
    fn points_inside(&self, view: &View<'_>, now: &Led, there: &Led) -> BTreeSet<Vec<u8>> {
        let inside = |table: &MountTable, dir: &[u8]| {
            let points = table.points_below(dir).filter_map(|point| below(dir, point));
            points.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let points = inside(self.table, &now.real).into_iter().chain(inside(view.table(), &there.real));
        let is_concerned = |rest: &Vec<u8>| {
            let path = joined(&now.real, rest);
            // Bytecode that is written to memory is no part of a module.
            let is_scratch =
                || path.ends_with(b"/__pycache__") && view.has_tmpfs_at(&joined(&there.real, rest));
            self.locked.meets(&path) || (self.locked.takes_in(&path) && !is_scratch())
        };
        points.filter(is_concerned).collect()
    }

    /// The locked subjects below a mount to which a link leads, or with a link on the way from there.
    fn links_inside(&self, mount: &Mount, now: &Led) -> BTreeSet<Vec<u8>> {
        let given = plain(mount.host_path.as_bytes());
        let inside = self.locked.linked.iter().filter_map(|(way, real)| {
            let rest =
                below(&now.real, way).or_else(|| below(&given, way)).filter(|rest| !rest.is_empty())?;
            (joined(&now.real, rest) != *real).then(|| rest.to_vec())
        });
        inside.collect()
    }

    /// The content of a mount, by the ends of the host's path now and of the container's.
    fn shows(&self, now: Option<&Led>, there: Option<&Led>) -> Shows {
        let Some(there) = there else { return Shows::Other("nothing".to_owned()) };
        let is_same = now.is_some_and(|now| {
            let knows_inodes = there.inode != (0, 0) && now.inode != (0, 0);
            now.location == there.location && (!knows_inodes || now.inode == there.inode)
        });
        if is_same { Shows::Current } else { Shows::Other(self.name_of(&there.location)) }
    }

    /// The name of a location: the path by which this machine reaches it now, or the one that it had.
    fn name_of(&self, location: &FsLocation) -> String {
        let (location, is_gone) = without_mark(location);
        match (self.table.path_to(&location), is_gone) {
            (Some(path), false) => escaped(&path),
            (Some(path), true) => format!("{} (deleted or replaced)", escaped(&path)),
            (None, _) => format!("{} of a file system that is not mounted here", escaped(&location.path)),
        }
    }
}

fn said(mount: &Mount, rest: &[u8], now: Option<&Led>, shown: Shows) -> MountUse {
    let destination = joined(&plain(mount.destination.as_bytes()), rest);
    let expected = now.map(|now| escaped(&now.real));
    MountUse {
        destination: String::from_utf8_lossy(&destination).into_owned(),
        expected,
        shown,
        is_covered: false,
        held: Vec::new(),
        covers: Vec::new(),
    }
}

/// A location without the kernel's mark of what has no name any more, and whether it had one.
fn without_mark(location: &FsLocation) -> (FsLocation, bool) {
    let path = location.path.strip_suffix(b"//deleted");
    let bare = path.unwrap_or(&location.path).to_vec();
    (FsLocation { device: location.device.clone(), path: bare }, path.is_some())
}

/// Something inside a mount that is looked at by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Mount,
    Link,
}

/// The destination below another one, `above`, at which the engine mounts what is seen at `place`, if it does.
fn mounted_over(place: &[u8], above: &[u8], others: &BTreeSet<&[u8]>) -> Option<String> {
    let others = others.iter().map(|other| plain(other));
    let mut inner = others.filter(|other| below(above, other).is_some_and(|rest| !rest.is_empty()));
    let over = inner.find(|other| below(other, place).is_some())?;
    Some(String::from_utf8_lossy(&over).into_owned())
}

/// A path without doubled slashes, and without one at its end.
fn plain(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> =
        path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    [b"/", parts.join(&b'/').as_slice()].concat()
}
