//! Mount tables: what `/proc/PID/mountinfo` lists (proc(5)), and which mount a path lies on.

use std::collections::{HashMap, HashSet};

use crate::host::layout;

/// One line of a mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    /// The number of the mount.
    pub(super) id: u64,
    /// The number of the mount that it lies on.
    parent: u64,
    /// The file system: `major:minor`.
    device: String,
    /// The directory or file of that file system which is mounted.
    root: Vec<u8>,
    /// Its mount point, as the processes of this table see it.
    pub(super) point: Vec<u8>,
    /// The type of the file system.
    kind: Vec<u8>,
    /// The options of the file system.
    options: Vec<u8>,
}

/// A place in a file system, whatever path leads there: what is mounted is the same if this is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FsLocation {
    /// The file system: `major:minor`.
    pub(super) device: String,
    /// The path in it; it ends in `//deleted` where nothing has that path any more.
    pub(super) path: Vec<u8>,
}

/// The mounts that the processes of one namespace see.
#[derive(Debug, Clone)]
pub(super) struct MountTable {
    mounts: Vec<Mounted>,
    /// The index of the mount that the others lie on.
    root: usize,
    /// The indices of the mounts that lie on each other one, by its number.
    above: HashMap<u64, Vec<usize>>,
}

impl MountTable {
    /// Reads a mount table. `None`: it is none, or lists nothing.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let mounts = lines.map(Mounted::parse).collect::<Option<Vec<_>>>()?;
        let ids: HashSet<u64> = mounts.iter().map(|mounted| mounted.id).collect();
        let is_root = |it: &Mounted| it.point == b"/" && (!ids.contains(&it.parent) || it.parent == it.id);
        let root = mounts.iter().position(is_root)?;
        let mut above: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, mounted) in mounts.iter().enumerate().filter(|(_, it)| it.parent != it.id) {
            above.entry(mounted.parent).or_default().push(at);
        }
        Some(Self { mounts, root, above })
    }

    /// The mount with a number.
    pub(super) fn with_id(&self, id: u64) -> Option<&Mounted> {
        self.mounts.iter().find(|mounted| mounted.id == id)
    }

    /// The mount on which a path without links lies: the way there is walked as the kernel walks it, so a mount that a later
    /// one covers is not met.
    pub(super) fn at(&self, path: &[u8]) -> &Mounted {
        let mut at = &self.mounts[self.root];
        // Each step goes to another mount that lies on this one, so there are at most as many as there are mounts.
        for _ in 0..self.mounts.len() {
            let above = self.above.get(&at.id).into_iter().flatten().map(|at| &self.mounts[*at]);
            let entered =
                above.filter(|it| below(&it.point, path).is_some() && below(&at.point, &it.point).is_some());
            match entered.min_by_key(|it| it.point.len()) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// Whether something is mounted at exactly this path, which has no link in it.
    pub(super) fn has_mount_at(&self, path: &[u8]) -> bool {
        self.at(path).point == path
    }

    /// The point of a mount that has this name.
    pub(super) fn point_named(&self, name: &[u8]) -> Option<&[u8]> {
        let points = self.mounts.iter().map(|mounted| mounted.point.as_slice());
        points.into_iter().find(|point| point.rsplit(|&b| b == b'/').next() == Some(name))
    }

    /// The points, at or below a directory, where something is mounted.
    pub(super) fn points_below<'a>(&'a self, dir: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let points = self.mounts.iter().map(|mounted| mounted.point.as_slice());
        points.filter(move |point| below(dir, point).is_some_and(|rest| !rest.is_empty()))
    }

    /// The mount point of the control groups of some controllers, named as in `/proc/PID/cgroup`: none for those of version 2.
    pub(super) fn group_directory(&self, controllers: &str) -> Option<&[u8]> {
        let is_its = |it: &&Mounted| match controllers {
            "" => it.kind == b"cgroup2",
            names => it.kind == b"cgroup" && names.split(',').all(|name| it.has_option(name)),
        };
        self.mounts.iter().find(|it| it.root == b"/" && is_its(it)).map(|it| it.point.as_slice())
    }

    /// A path by which this table reaches a location, if it has one.
    pub(super) fn path_to(&self, location: &FsLocation) -> Option<Vec<u8>> {
        let on_device = self.mounts.iter().filter(|it| it.device == location.device);
        let paths =
            on_device.filter_map(|it| Some((it, joined(&it.point, below(&it.root, &location.path)?))));
        let seen = paths.filter(|(it, path)| self.at(path).id == it.id);
        seen.map(|(_, path)| path).min_by_key(Vec::len)
    }
}

impl Mounted {
    /// Reads a line: number, parent, device, root, point, options, any number of fields, `-`, type, source, options.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b' ');
        let number = |field: &[u8]| str::from_utf8(field).ok()?.parse().ok();
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let device = str::from_utf8(fields.next()?).ok()?.to_owned();
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        fields.find(|field| *field == b"-")?;
        let kind = fields.next()?.to_vec();
        let options = unescaped(fields.nth(1).unwrap_or_default());
        Some(Self { id, parent, device, root, point, kind, options })
    }

    /// The location of a path without links on this mount.
    pub(super) fn location(&self, path: &[u8]) -> Option<FsLocation> {
        let path = joined(&self.root, below(&self.point, path)?);
        Some(FsLocation { device: self.device.clone(), path })
    }

    /// Whether it is a file system in memory.
    pub(super) fn is_tmpfs(&self) -> bool {
        self.kind == b"tmpfs"
    }

    fn has_option(&self, name: &str) -> bool {
        self.options.split(|&b| b == b',').any(|option| option == name.as_bytes())
    }

    /// The value of an option of the file system: `upperdir=…`.
    pub(super) fn option(&self, name: &str) -> Option<&[u8]> {
        let mut options = self.options.split(|&b| b == b',');
        options.find_map(|option| option.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

/// The rest of `path` below the absolute directory `dir`; `None` where it does not lie there.
pub(super) fn below<'a>(dir: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if dir == b"/" { path.strip_prefix(b"/") } else { layout::below(dir, path) }
}

/// A path of a directory and what lies below it.
pub(super) fn joined(dir: &[u8], rest: &[u8]) -> Vec<u8> {
    match (dir, rest) {
        (dir, []) => dir.to_vec(),
        (b"/", rest) => [b"/", rest].concat(),
        (dir, rest) => [dir, b"/", rest].concat(),
    }
}

/// A field without the kernel's escapes: a backslash and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, more @ ..] = rest {
        let code = more.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        rest = if code.is_some() { &more[3..] } else { more };
        out.push(code.unwrap_or(*first));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> MountTable {
        MountTable::parse(lines.join("\n").as_bytes()).unwrap()
    }

    fn location(table: &MountTable, path: &str) -> String {
        let at = table.at(path.as_bytes()).location(path.as_bytes()).unwrap();
        format!("{} {}", at.device, String::from_utf8(at.path).unwrap())
    }

    #[test]
    fn a_path_lies_on_the_mount_that_the_way_there_meets_last() {
        let table = table(&[
            "20 1 8:1 / / rw - ext4 /dev/sda1 rw",
            "21 20 8:2 /@srv /srv rw shared:1 - btrfs /dev/sdb rw,subvol=/@srv",
            "22 21 8:3 / /srv/data rw - ext4 /dev/sdc rw",
            "23 20 8:1 /home/erp /srv2 rw - ext4 /dev/sda1 rw",
        ]);
        assert_eq!(location(&table, "/etc/x"), "8:1 /etc/x");
        assert_eq!(location(&table, "/srv"), "8:2 /@srv");
        assert_eq!(location(&table, "/srv/mods/a"), "8:2 /@srv/mods/a");
        assert_eq!(location(&table, "/srv/data/a"), "8:3 /a");
        assert_eq!(location(&table, "/srv/database"), "8:2 /@srv/database");
        assert_eq!(location(&table, "/srv2/x"), "8:1 /home/erp/x");
        let points: Vec<&[u8]> = table.points_below(b"/srv").collect();
        assert_eq!(points, [b"/srv/data"]);
    }

    #[test]
    fn a_mount_that_another_covers_is_not_met() {
        let below_it = ["20 1 8:1 / / rw - ext4 a rw", "21 20 8:2 / /srv/data rw - ext4 b rw"];
        let over_the_parent = table(&[below_it[0], below_it[1], "22 20 8:3 / /srv rw - ext4 c rw"]);
        assert_eq!(location(&over_the_parent, "/srv/data/x"), "8:3 /data/x");
        let over_itself = table(&[below_it[0], below_it[1], "22 21 8:3 / /srv/data rw - ext4 c rw"]);
        assert_eq!(location(&over_itself, "/srv/data/x"), "8:3 /x");
        let location = FsLocation { device: "8:2".to_owned(), path: b"/x".to_vec() };
        assert_eq!(over_itself.path_to(&location), None, "nothing leads there");
    }

    #[test]
    fn names_are_those_that_the_kernel_escaped() {
        let table = table(&[
            "20 1 8:1 / / rw - ext4 a rw",
            "21 20 8:2 /a\\040b\\134c //deleted /x\\011y rw master:1 - overlay o rw,upperdir=/up\\040per,x",
        ]);
        let mounted = table.with_id(21).unwrap();
        assert_eq!((mounted.root.as_slice(), mounted.point.as_slice()), (&b"/a b\\c"[..], &b"//deleted"[..]));
        let text = b"20 1 8:1 / / rw - ext4 a rw\n21 20 8:2 /a //x rw - overlay o rw,lowerdir=/l,upperdir=/up\\040per,x";
        let table = MountTable::parse(text).unwrap();
        assert_eq!(table.with_id(21).unwrap().option("upperdir"), Some(&b"/up per"[..]));
        assert_eq!(unescaped(b"a\\04"), b"a\\04");
    }

    #[test]
    fn what_is_no_table_is_none() {
        for text in ["", "\n", "x", "1 2 8:1 / / rw", "a b 8:1 / / rw - ext4 a rw"] {
            assert!(MountTable::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_location_is_reached_by_the_shortest_way() {
        let table = table(&[
            "20 1 8:1 / / rw - ext4 a rw",
            "21 20 8:2 /mods /srv/mods rw - ext4 b rw",
            "22 20 8:2 / /long/way rw - ext4 b rw",
        ]);
        let at = |path: &str| FsLocation { device: "8:2".to_owned(), path: path.as_bytes().to_vec() };
        assert_eq!(table.path_to(&at("/mods/x")).unwrap(), b"/srv/mods/x");
        assert_eq!(table.path_to(&at("/other")).unwrap(), b"/long/way/other");
    }
}
