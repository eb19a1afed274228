//! One alteration: what it is done to, who must notice it, and how it is done.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};

/// One thing that is done to a copy.
pub(crate) struct Alteration {
    /// What is done, in words: `one bit of a file is changed`.
    pub(crate) what: &'static str,
    /// What it is done to, relative to the project's root.
    pub(crate) path: PathBuf,
    /// The check that must notice it.
    pub(crate) check: &'static str,
    /// The subject that it must name; none where the lock file itself is altered.
    pub(crate) place: Option<Vec<u8>>,
    /// The act; `Err` says why it cannot be tried.
    pub(crate) act: Result<Act, NotTried>,
}

/// Reason why an alteration cannot be tried. Names in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTried {
    /// A change needs a byte.
    #[error("the file is empty")]
    Empty,
    /// A change of two files needs two contents.
    #[error("no two files differ")]
    Alike,
    /// The configuration leaves out this name.
    #[error("the configuration leaves {0} out")]
    LeftOut(String),
    /// Only a pattern finds a new file.
    #[error("the patterns name single files, so no other one is looked for")]
    OnlyNamed,
    /// Nothing would be left of the lock file.
    #[error("the lock file has one line")]
    OneLine,
    /// The configuration ignores containers of which the baseline knows nothing.
    #[error("the configuration ignores such")]
    Ignored,
    /// The lock file does not hold this fact.
    #[error("{0} is not known of the container")]
    NotLocked(String),
    /// The lock file cannot be written with the change.
    #[error("{0}")]
    NotWritten(String),
}

/// What is done to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Other bytes are written.
    Write(Vec<u8>),
    /// It is removed, with all below it.
    Remove,
    /// It is renamed.
    Rename(PathBuf),
    /// A link is put in its place.
    Link(PathBuf),
    /// A FIFO is put in its place.
    Fifo,
    /// All rights are taken away.
    Close,
    /// It is copied beside itself.
    Duplicate(PathBuf),
}

impl Alteration {
    /// Does it below `root`; tells why not where it has no effect here.
    pub(crate) fn apply(&self, act: &Act, root: &Path) -> std::io::Result<Option<&'static str>> {
        let path = root.join(&self.path);
        match act {
            Act::Write(bytes) => {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(&path, bytes)?;
            }
            Act::Remove => remove(&path)?,
            Act::Rename(to) => std::fs::rename(&path, root.join(to))?,
            Act::Link(target) => {
                remove(&path)?;
                symlink(target, &path)?;
            }
            Act::Fifo => {
                remove(&path)?;
                mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
            }
            Act::Close => {
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000))?;
                if File::open(&path).is_ok() {
                    return Ok(Some("rights do not count for this user, who may read everything"));
                }
            }
            Act::Duplicate(to) => duplicate(&path, &root.join(to))?,
        }
        Ok(None)
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    }
}

fn duplicate(from: &Path, to: &Path) -> std::io::Result<()> {
    let stat = from.symlink_metadata()?;
    if stat.is_symlink() {
        return symlink(std::fs::read_link(from)?, to);
    }
    if !stat.is_dir() {
        to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        duplicate(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// The ways in which the bytes of a file can differ.
pub(crate) fn of_bytes(bytes: &[u8]) -> Vec<(&'static str, Result<Act, NotTried>)> {
    let flipped = |at: usize| {
        let mut other = bytes.to_vec();
        other[at] ^= 1;
        Ok(Act::Write(other))
    };
    let empty = || Err(NotTried::Empty);
    vec![
        ("the first bit of a file is changed", if bytes.is_empty() { empty() } else { flipped(0) }),
        (
            "a bit in the last byte of a file is changed",
            if bytes.is_empty() { empty() } else { flipped(bytes.len() - 1) },
        ),
        ("a byte is appended", Ok(Act::Write([bytes, b"\n"].concat()))),
        ("a file is emptied", if bytes.is_empty() { empty() } else { Ok(Act::Write(Vec::new())) }),
    ]
}

/// A path with more at its end.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}
