//! Where repository paths lie on a host: one root, and exceptions for some prefixes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::disk::{Disk, ThisDisk};

/// Maps repository paths (bytes, `/` between components, relative) to paths on the host.
#[derive(Debug, Clone)]
pub struct Layout {
    root: Option<PathBuf>,
    exceptions: Vec<(Vec<u8>, PathBuf)>,
}

impl Layout {
    /// The tree of a project, all below `root`.
    #[must_use]
    pub fn of_root(root: &Path) -> Self {
        Self { root: Some(root.to_owned()), exceptions: Vec::new() }
    }

    /// A target's tree: `exceptions` are repository prefixes that lie elsewhere; the longest one wins.
    #[must_use]
    pub fn new(root: Option<PathBuf>, mut exceptions: Vec<(Vec<u8>, PathBuf)>) -> Self {
        exceptions.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { root, exceptions }
    }

    /// Whether no repository path has a place on this host.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.root.is_none() && self.exceptions.is_empty()
    }

    /// Each repository prefix and where it lies; the empty one is the root.
    pub fn places(&self) -> impl Iterator<Item = (&[u8], &Path)> {
        let root = self.root.iter().map(|root| (&[][..], root.as_path()));
        root.chain(self.exceptions.iter().map(|(prefix, place)| (prefix.as_slice(), place.as_path())))
    }

    /// The host path of a repository path, `None` where the layout gives it none. Absolute paths are
    /// the host's own.
    #[must_use]
    pub fn locate(&self, path: &[u8]) -> Option<PathBuf> {
        if path.starts_with(b"/") {
            return Some(PathBuf::from(OsStr::from_bytes(path)));
        }
        for (prefix, place) in &self.exceptions {
            if let Some(rest) = below(prefix, path) {
                return Some(join(place, rest));
            }
        }
        self.root.as_deref().map(|root| join(root, path))
    }

    /// The directory below which a repository path lies, where that is not there at all: then nothing can
    /// be told of what should lie in it.
    #[must_use]
    pub(super) fn missing_base(&self, path: &[u8], is_directory: impl Fn(&Path) -> bool) -> Option<&Path> {
        let exception = self.exceptions.iter().find(|(prefix, _)| below(prefix, path).is_some());
        let base = exception.map(|(_, place)| place.as_path()).or(self.root.as_deref())?;
        (!path.starts_with(b"/") && !is_directory(base)).then_some(base)
    }

    /// The repository path of a host path, also where links on its disk lead into the layout; `None` outside it.
    #[must_use]
    pub(crate) fn repository_path(&self, path: &Path, disk: &dyn Disk) -> Option<Vec<u8>> {
        let root = self.root.iter().map(|root| (&[][..], root));
        let places = self.exceptions.iter().map(|(prefix, place)| (prefix.as_slice(), place)).chain(root);
        let places: Vec<(&[u8], &PathBuf)> = places.collect();
        let inside = |path: &Path, place: &Path, prefix: &[u8]| {
            let rest = path.strip_prefix(place).ok()?.as_os_str().as_bytes();
            Some([prefix, rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b'/'))
        };
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        let plain = places.iter().find_map(|(prefix, place)| inside(path, place, prefix));
        plain.filter(|_| !climbs).or_else(|| {
            let real = disk.real(path)?;
            places.iter().find_map(|(prefix, place)| inside(&real, &disk.real(place)?, prefix))
        })
    }

    /// The repository path of a path of this machine, as [`Layout::repository_path`] finds it.
    #[must_use]
    pub(crate) fn repository_path_here(&self, path: &Path) -> Option<Vec<u8>> {
        self.repository_path(path, &ThisDisk)
    }

    /// Names directly below the repository directory `dir` that exist because of an exception.
    pub(crate) fn mounted_in(&self, dir: &[u8]) -> Vec<&[u8]> {
        let names = self.exceptions.iter().filter_map(|(prefix, _)| {
            let rest = below(dir, prefix).filter(|rest| !rest.is_empty())?;
            rest.split(|&b| b == b'/').next()
        });
        names.collect()
    }
}

/// The rest of `path` below `prefix`, without a slash before it; `None` where it does not lie there. Everything lies
/// below the empty prefix.
pub(super) fn below<'a>(prefix: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(prefix)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn join(base: &Path, rest: &[u8]) -> PathBuf {
    if rest.is_empty() { base.to_owned() } else { base.join(OsStr::from_bytes(rest)) }
}

/// Whether a path is a directory, or lies below it.
#[must_use]
pub(crate) fn is_below(dir: &[u8], path: &[u8]) -> bool {
    below(dir, path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let layout = Layout::new(
            Some("/opt/erp".into()),
            vec![(b"infra".to_vec(), "/i".into()), (b"infra/stacks".to_vec(), "/srv/stacks".into())],
        );
        let at = |path: &str| layout.locate(path.as_bytes()).unwrap();
        assert_eq!(at("infra/stacks/a/x.yml"), Path::new("/srv/stacks/a/x.yml"));
        assert_eq!(at("infra/stacksx"), Path::new("/i/stacksx"));
        assert_eq!(at("odoo"), Path::new("/opt/erp/odoo"));
        assert_eq!(at("/etc/ssh/sshd_config"), Path::new("/etc/ssh/sshd_config"));
        assert_eq!(layout.mounted_in(b""), [b"infra".as_slice(), b"infra"]);
        assert_eq!(layout.mounted_in(b"infra"), [b"stacks"]);
    }

    #[test]
    fn host_paths_are_mapped_back() {
        let layout =
            Layout::new(Some("/opt/erp".into()), vec![(b"infra/stacks".to_vec(), "/srv/stacks".into())]);
        let back = |path: &str| {
            let path = layout.repository_path(Path::new(path), &crate::host::disk::ThisDisk);
            path.map(|p| String::from_utf8(p).unwrap())
        };
        assert_eq!(back("/srv/stacks/a/x.yml").as_deref(), Some("infra/stacks/a/x.yml"));
        assert_eq!(back("/opt/erp/odoo/x").as_deref(), Some("odoo/x"));
        assert_eq!(back("/somewhere/else.yml"), None);
    }

    #[test]
    fn without_a_root_only_the_exceptions_have_a_place() {
        let layout = Layout::new(None, vec![(b"infra".to_vec(), "/i".into())]);
        assert_eq!(layout.locate(b"odoo"), None);
        assert!(!layout.is_nowhere());
    }
}
